"""The kernels of every primitive, once, over any namespace of the Python array API standard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isograd.backend.protocols import Kernel
from isograd.backend.xp.activations import activation_kernels
from isograd.backend.xp.attention import attention_kernels
from isograd.backend.xp.contraction import contraction_kernels
from isograd.backend.xp.convolution import convolution_kernels
from isograd.backend.xp.elementwise import elementwise_kernels
from isograd.backend.xp.fourier import fourier_kernels
from isograd.backend.xp.indexing import indexing_kernels
from isograd.backend.xp.linalg import linalg_kernels
from isograd.backend.xp.movement import movement_kernels
from isograd.backend.xp.normalization import normalization_kernels
from isograd.backend.xp.pooling import pooling_kernels
from isograd.backend.xp.recurrent import loop_kernels, recurrent_kernels
from isograd.backend.xp.reductions import reduction_kernels
from isograd.backend.xp.softmax import softmax_kernels
from isograd.backend.xp.sources import source_kernels
from isograd.backend.xp.special import special_kernels
from isograd.backend.xp.updates import update_kernels
from isograd.backend.xp.windows import window_kernels
from isograd.core.devices import Device

__all__ = ["xp_kernels"]


def _default_device(device: Device) -> None:
    """Leave the choice of the device to the namespace."""


def xp_kernels(
    xp: Any, /, *, native_device: Callable[[Device], Any] = _default_device
) -> dict[str, Kernel]:
    """Return a kernel of every primitive, core and fused, over an array namespace.

    Parameters
    ----------
    xp
        A namespace of the array API standard with int64 and float64: ``numpy``, ``jax.numpy`` (with
        64-bit types enabled), ``array_api_compat.torch``, ``array_api_compat.cupy``.
    native_device
        Turns a `Device` into what ``xp`` takes for ``device=``; by default ``xp`` chooses.

    Returns
    -------
    dict
        From the primitive's name to its kernel.

    Examples
    --------
    >>> import numpy as np
    >>> xp_kernels(np)["sum"](np.ones((2, 3)), axis=(1,), keepdims=False)
    array([3., 3.])
    """
    activations = activation_kernels(xp)
    table = {
        **elementwise_kernels(xp),
        **special_kernels(xp),
        **reduction_kernels(xp),
        **movement_kernels(xp),
        **indexing_kernels(xp),
        **contraction_kernels(xp),
        **linalg_kernels(xp),
        **window_kernels(xp),
        **fourier_kernels(xp),
        **convolution_kernels(xp),
        **pooling_kernels(xp),
        **normalization_kernels(xp),
        **attention_kernels(xp),
        **source_kernels(xp, native_device),
        **activations,
        **recurrent_kernels(xp, activations["sigmoid"]),
        **softmax_kernels(xp),
        **update_kernels(xp),
    }
    return {**table, **loop_kernels(xp, table)}
