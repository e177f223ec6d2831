"""Reductions and cumulative operations."""

from __future__ import annotations

from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import cast, in_float32

__all__ = ["reduction_kernels"]


def reduction_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the reductions over an array namespace.

    Sums have the accuracy of the namespace's own.
    """
    cumulative_sum = getattr(xp, "cumulative_sum", None) or xp.cumsum
    cumulative_prod = getattr(xp, "cumulative_prod", None) or xp.cumprod

    # An empty tuple of axes reduces nothing, which not every library understands.
    def sum_(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        return xp.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype) if axis else x

    def prod_(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        return xp.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype) if axis else x

    def max_(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        return xp.max(x, axis=axis, keepdims=keepdims) if axis else x

    def min_(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        return xp.min(x, axis=axis, keepdims=keepdims) if axis else x

    def any_(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        truth = cast(xp, x, xp.bool)
        return xp.any(truth, axis=axis, keepdims=keepdims) if axis else truth

    def all_(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        truth = cast(xp, x, xp.bool)
        return xp.all(truth, axis=axis, keepdims=keepdims) if axis else truth

    def argmax(x: Array, *, axis: int, keepdims: bool) -> Array:
        return cast(xp, xp.argmax(x, axis=axis, keepdims=keepdims), xp.int64)

    def argmin(x: Array, *, axis: int, keepdims: bool) -> Array:
        return cast(xp, xp.argmin(x, axis=axis, keepdims=keepdims), xp.int64)

    def cumsum(x: Array, *, axis: int) -> Array:
        return cumulative_sum(x, axis=axis, dtype=x.dtype)

    def cumprod(x: Array, *, axis: int) -> Array:
        return cumulative_prod(x, axis=axis, dtype=x.dtype)

    return {
        "sum": in_float32(xp, sum_),
        "prod": in_float32(xp, prod_),
        "max": max_,
        "min": min_,
        "any": any_,
        "all": all_,
        "argmax": argmax,
        "argmin": argmin,
        "cumsum": in_float32(xp, cumsum),
        "cumprod": in_float32(xp, cumprod),
    }
