"""Standardising over axes, in two passes."""

from __future__ import annotations

import math
from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import in_float32

__all__ = ["normalization_kernels"]


def normalization_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of standardising over an array namespace."""

    def mean(x: Array, axis: tuple[int, ...]) -> Array:
        count = max(math.prod([x.shape[i] for i in axis]), 1)
        return xp.sum(x, axis=axis, keepdims=True) / count if axis else x

    def parts(x: Array, axis: tuple[int, ...], eps: float, centred: bool) -> tuple[Array, Array]:
        deviation = x - mean(x, axis) if centred else x
        return deviation, xp.sqrt(mean(deviation * deviation, axis) + eps)

    def standardize(x: Array, *, axis: tuple[int, ...], eps: float, centred: bool) -> Array:
        deviation, root = parts(x, axis, eps, centred)
        return deviation / root

    def standardize_grad(
        g: Array, x: Array, *, axis: tuple[int, ...], eps: float, centred: bool
    ) -> Array:
        deviation, root = parts(x, axis, eps, centred)
        out = deviation / root
        along = g - out * mean(g * out, axis)
        return (along - mean(g, axis) if centred else along) / root

    return {
        "standardize": in_float32(xp, standardize),
        "standardize_grad": in_float32(xp, standardize_grad),
    }
