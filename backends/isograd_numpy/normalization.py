"""Standardising over axes, with the sums of the reductions and few temporaries.

Arrays in other orders are copied first: each of several sums would copy them in pieces.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from isograd.backend import Kernel
from isograd_numpy.common import widened
from isograd_numpy.reductions import total

__all__ = ["NORMALIZATION"]


def _mean(x: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    out = total(x, axis=axis, keepdims=True)
    return out / x.dtype.type(max(math.prod([x.shape[i] for i in axis]), 1))


def _parts(
    x: np.ndarray, axis: tuple[int, ...], eps: float, centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return an array of its own of the deviations, and the root of their mean square."""
    deviation = x - _mean(x, axis) if centred else x.copy()
    return deviation, np.sqrt(_mean(np.square(deviation), axis) + x.dtype.type(eps))


def _standardize(x: np.ndarray, *, axis: tuple[int, ...], eps: float, centred: bool) -> np.ndarray:
    deviation, root = _parts(np.ascontiguousarray(x), axis, eps, centred)
    deviation /= root
    return deviation


def _standardize_grad(
    g: np.ndarray, x: np.ndarray, *, axis: tuple[int, ...], eps: float, centred: bool
) -> np.ndarray:
    g = np.ascontiguousarray(g)
    out, root = _parts(np.ascontiguousarray(x), axis, eps, centred)
    out /= root
    out *= _mean(g * out, axis)
    np.subtract(g, out, out=out)
    if centred:
        out -= _mean(g, axis)
    out /= root
    return out


NORMALIZATION: Final[dict[str, Kernel]] = {
    "standardize": widened(_standardize),
    "standardize_grad": widened(_standardize_grad),
}
