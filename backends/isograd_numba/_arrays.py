"""What the wrappers of kernels share: which arrays they take, and arrays as runs of memory."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

__all__ = ["FLOAT_DTYPES", "contiguous", "flat", "flat_pair"]

Array = Any

FLOAT_DTYPES: Final = frozenset({np.dtype(np.float32), np.dtype(np.float64)})
"""Dtypes of compiled kernels, in native byte order; NumPy's kernels take the rest."""


def contiguous(x: Array, /) -> Array:
    """Return the array, or a copy, C-contiguous and aligned."""
    flags = x.flags
    return x if flags.c_contiguous and flags.aligned else np.array(x, order="C")


def flat(x: Array, /) -> tuple[Array, Array, Array]:
    """Return a new array of the shape and dtype of ``x``, and both on one contiguous axis.

    An array whose axes are permuted in memory is not copied, and the new one has the same layout.
    """
    flags = x.flags
    if flags.c_contiguous and flags.aligned:
        out = np.empty(x.shape, x.dtype)
        return out, out.ravel(), x.ravel()
    out = np.empty_like(x)
    if out.strides == x.strides and flags.aligned:
        return out, out.ravel(order="K"), x.ravel(order="K")
    out = np.empty(x.shape, x.dtype)
    return out, out.ravel(), np.array(x, order="C").ravel()


def flat_pair(x: Array, y: Array, /) -> tuple[Array, Array, Array, Array]:
    """Return what `flat` does, for two arrays of one shape and order; ``out`` is like ``x``."""
    if x.flags.c_contiguous or x.strides != y.strides:
        out, flat_out, flat_x = flat(contiguous(x))
        return out, flat_out, flat_x, contiguous(y).ravel()
    out, flat_out, flat_x = flat(x)
    if out.strides == x.strides:
        return out, flat_out, flat_x, (y if y.flags.aligned else y.copy("K")).ravel(order="K")
    return out, flat_out, flat_x, contiguous(y).ravel()
