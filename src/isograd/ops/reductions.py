"""Reductions, scans and statistics.

Sums of integers come out as int64 (uint64 for unsigned), sums of 16-bit floats are accumulated in
float32. ``axis=None`` reduces over all axes, a tuple over several.
"""

from __future__ import annotations

import warnings
from math import prod as count_of
from typing import Any

from isograd.core import dtypes
from isograd.core.errors import NumericsWarning, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, axes_of, axis_of, cast
from isograd.ops.creation import full, ones_like, zeros_like
from isograd.ops.infer import require
from isograd.ops.movement import broadcast_to, concat, flatten, reshape
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "sort",
    "std",
    "sum",
    "var",
    "vector_norm",
]

Axis = Any


def _accumulated(x: Tensor, dtype: Any) -> Tensor:
    """Convert to the dtype that a sum or product of ``x`` has."""
    if dtype is not None:
        return cast(x, dtypes.as_dtype(dtype))
    if x.dtype.kind == "u":
        return cast(x, dtypes.uint64)
    return cast(x, dtypes.default_int()) if x.dtype.kind in "bi" else x


def sum(
    x: TensorLike, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
) -> Tensor:
    """Return the sum of elements.

    Parameters
    ----------
    x
        Any shape, numeric or bool.
    axis
        An axis, several in a tuple, or None for all.
    dtype
        Of the result; None keeps floats and widens integers to 64 bits.
    keepdims
        Keep the reduced axes with length 1.

    >>> sum(tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0).tolist()
    [4.0, 6.0]
    """
    t = as_tensor("sum", x)
    return bind(p.sum, _accumulated(t, dtype), axis=axes_of("sum", axis, t.ndim), keepdims=keepdims)


def prod(
    x: TensorLike, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
) -> Tensor:
    """Return the product of elements; its derivative is right at zeros too.

    >>> prod(tensor([2.0, 3.0])).item()
    6.0
    """
    t = as_tensor("prod", x)
    return bind(
        p.prod, _accumulated(t, dtype), axis=axes_of("prod", axis, t.ndim), keepdims=keepdims
    )


def max(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the largest element; NaN wins, and ties share the derivative evenly.

    Raises
    ------
    ShapeError
        If a reduced axis is empty.

    >>> max(tensor([1.0, 3.0, 2.0])).item()
    3.0
    """
    t = as_tensor("max", x)
    return bind(p.max, t, axis=axes_of("max", axis, t.ndim), keepdims=keepdims)


def min(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the smallest element; NaN wins, and ties share the derivative evenly.

    Raises
    ------
    ShapeError
        If a reduced axis is empty.

    >>> min(tensor([1.0, 3.0, 2.0])).item()
    1.0
    """
    t = as_tensor("min", x)
    return bind(p.min, t, axis=axes_of("min", axis, t.ndim), keepdims=keepdims)


def any(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return whether any element is nonzero.

    >>> any(tensor([0, 1])).item()
    True
    """
    t = cast(as_tensor("any", x), dtypes.bool)
    return bind(p.any, t, axis=axes_of("any", axis, t.ndim), keepdims=keepdims)


def all(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return whether all elements are nonzero.

    >>> all(tensor([0, 1])).item()
    False
    """
    t = cast(as_tensor("all", x), dtypes.bool)
    return bind(p.all, t, axis=axes_of("all", axis, t.ndim), keepdims=keepdims)


def _arg(prim: Any, x: TensorLike, axis: int | None, keepdims: bool) -> Tensor:
    t = as_tensor(prim.name, x)
    if axis is None:
        out = bind(prim, flatten(t), axis=0, keepdims=False)
        return reshape(out, (1,) * t.ndim) if keepdims else out
    return bind(prim, t, axis=axis_of(prim.name, axis, t.ndim), keepdims=keepdims)


def argmax(x: TensorLike, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the largest element (int64): the first NaN, else a tie's first.

    >>> argmax(tensor([1.0, 3.0, 3.0])).item()
    1
    """
    return _arg(p.argmax, x, axis, keepdims)


def argmin(x: TensorLike, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the smallest element (int64): the first NaN, else a tie's first.

    >>> argmin(tensor([2.0, 1.0, 1.0])).item()
    1
    """
    return _arg(p.argmin, x, axis, keepdims)


def count_nonzero(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return how many elements are nonzero (int64).

    >>> count_nonzero(tensor([0, 5, 7])).item()
    2
    """
    return sum(cast(as_tensor("count_nonzero", x), dtypes.bool), axis=axis, keepdims=keepdims)


def _cumulative(
    prim: Any, x: TensorLike, axis: int | None, dtype: Any, initial: float | None
) -> Tensor:
    t = _accumulated(as_tensor(prim.public, x), dtype)
    if axis is None:
        if t.ndim != 1:
            raise ShapeError(f"{prim.public}: the tensor has shape {t.shape}; name the axis")
        axis = 0
    number = axis_of(prim.public, axis, t.ndim)
    out = bind(prim, t, axis=number)
    if initial is None:
        return out
    edge = full(
        (*t.shape[:number], 1, *t.shape[number + 1 :]), initial, dtype=t.dtype, device=t.device
    )
    return concat([edge, out], axis=number)


def cumulative_sum(
    x: TensorLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Return running sums along an axis; with ``include_initial`` they start with 0.

    >>> cumulative_sum(tensor([1.0, 2.0, 3.0])).tolist()
    [1.0, 3.0, 6.0]
    """
    return _cumulative(p.cumsum, x, axis, dtype, 0 if include_initial else None)


def cumulative_prod(
    x: TensorLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Return running products along an axis; with ``include_initial`` they start with 1.

    >>> cumulative_prod(tensor([1.0, 2.0, 3.0])).tolist()
    [1.0, 2.0, 6.0]
    """
    return _cumulative(p.cumprod, x, axis, dtype, 1 if include_initial else None)


def argsort(
    x: TensorLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """Return the indices (int64) that sort along an axis; always stable, NaN last.

    >>> argsort(tensor([3.0, 1.0, 2.0])).tolist()
    [1, 2, 0]
    """
    t = as_tensor("argsort", x)
    return bind(p.argsort, t, axis=axis_of("argsort", axis, t.ndim), descending=descending)


def sort(
    x: TensorLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """Return the elements sorted along an axis; always stable, NaN last.

    >>> sort(tensor([3.0, 1.0, 2.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    t = as_tensor("sort", x)
    require("sort", t.aval, "any")
    number = axis_of("sort", axis, t.ndim)
    return bind(p.take_along_axis, t, argsort(t, axis=number, descending=descending), axis=number)


# -- statistics ------------------------------------------------------------------------------------


def to_wide(x: Tensor) -> Tensor:
    """Convert to the float dtype that statistics are computed in: 16-bit floats in float32."""
    if x.dtype.kind not in "fVc":
        return cast(x, dtypes.default_float())
    return cast(x, dtypes.float32) if dtypes.is_half(x.dtype) else x


def to_narrow(out: Tensor, x: Tensor) -> Tensor:
    return cast(out, x.dtype) if dtypes.is_floating(x.dtype) else out


def mean(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean of elements; NaN, with a warning, of none.

    >>> mean(tensor([1.0, 2.0, 6.0])).item()
    3.0
    """
    t = as_tensor("mean", x)
    axes = axes_of("mean", axis, t.ndim)
    count = count_of([t.shape[i] for i in axes])
    if count == 0:
        warnings.warn(
            f"mean: shape {t.shape} has no elements along axes {axes}; it is NaN",
            NumericsWarning,
            2,
        )
    return to_narrow(m.divide(sum(to_wide(t), axis=axes, keepdims=keepdims), float(count)), t)


def var(
    x: TensorLike, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the variance: squared deviations from the mean over ``count - correction``.

    In two passes.

    NaN, with a warning, where ``count <= correction``.

    >>> var(tensor([1.0, 3.0])).item(), var(tensor([1.0, 3.0]), correction=1).item()
    (1.0, 2.0)
    """
    t = as_tensor("var", x)
    return to_narrow(_variance("var", t, axis, correction, keepdims), t)


def _variance(function: str, t: Tensor, axis: Axis, correction: float, keepdims: bool) -> Tensor:
    require(function, t.aval, "any")
    axes = axes_of(function, axis, t.ndim)
    wide = to_wide(t)
    count = count_of([t.shape[i] for i in axes])
    if count - correction <= 0:
        warnings.warn(
            f"{function}: {count} elements with correction {correction} leave no degree of "
            "freedom; it is NaN",
            NumericsWarning,
            3,
        )
        total = sum(m.multiply(wide, 0.0), axis=axes, keepdims=keepdims)
        return m.divide(total, 0.0)
    centre = m.divide(sum(wide, axis=axes, keepdims=True), float(count))
    total = sum(m.square(m.subtract(wide, centre)), axis=axes, keepdims=keepdims)
    return m.divide(total, float(count - correction))


def std(
    x: TensorLike, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the standard deviation; the derivative at a constant is 0 (policy P1).

    >>> std(tensor([1.0, 3.0])).item()
    1.0
    """
    t = as_tensor("std", x)
    return to_narrow(root_with_flat_zero(_variance("std", t, axis, correction, keepdims)), t)


def root_with_flat_zero(x: Tensor) -> Tensor:
    """Return sqrt(x) with derivative 0 at 0: the minimum-norm subgradient of a norm there."""
    at_zero = m.equal(x, 0.0)
    return m.where(at_zero, zeros_like(x), m.sqrt(m.where(at_zero, ones_like(x), x)))


def vector_norm(
    x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """Return the norm of vectors of order ``ord``; the derivative at 0 is 0 (policy P1).

    Parameters
    ----------
    ord
        2 for the Euclidean norm, 1, ``inf`` and ``-inf``, 0 for the count of nonzero elements, or
        any other number p for ``sum(abs(x)**p)**(1/p)``.

    >>> vector_norm(tensor([3.0, 4.0])).item()
    5.0
    """
    t = as_tensor("vector_norm", x)
    axes = axes_of("vector_norm", axis, t.ndim)
    t = m.abs(t) if dtypes.is_complex(t.dtype) else t
    wide = to_wide(t)
    if not isinstance(ord, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"vector_norm: ord={ord!r} is no number; pass one, inf or -inf")
    if ord == 2:
        out = _euclidean(wide, axes, keepdims)
    elif ord == 1:
        out = sum(m.abs(wide), axis=axes, keepdims=keepdims)
    elif ord == float("inf"):
        out = max(m.abs(wide), axis=axes, keepdims=keepdims)
    elif ord == float("-inf"):
        out = min(m.abs(wide), axis=axes, keepdims=keepdims)
    elif ord == 0:
        out = cast(sum(m.not_equal(wide, 0.0), axis=axes, keepdims=keepdims), wide.dtype)
    else:
        total = sum(m.pow(m.abs(wide), float(ord)), axis=axes, keepdims=keepdims)
        out = _power_with_flat_zero(total, 1.0 / ord)
    return to_narrow(out, t)


def _euclidean(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """Return sqrt(sum(x**2)) without overflow: scaled by the largest element, a constant."""
    if 0 in [x.shape[i] for i in axes]:
        return sum(m.square(x), axis=axes, keepdims=keepdims)
    peak = m.stop_gradient(max(m.abs(x), axis=axes, keepdims=True))
    usable = m.logical_and(m.isfinite(peak), m.greater(peak, 0.0))
    scale = m.where(usable, peak, 1.0)
    root = root_with_flat_zero(sum(m.square(m.divide(x, scale)), axis=axes, keepdims=keepdims))
    return m.multiply(root, reshape(scale, root.shape))


def _power_with_flat_zero(x: Tensor, power: float) -> Tensor:
    at_zero = m.equal(x, 0.0)
    return m.where(at_zero, 0.0, m.pow(m.where(at_zero, 1.0, x), power))


def norm(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the Euclidean norm: `vector_norm` of order 2.

    >>> norm(tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    5.0
    """
    return vector_norm(x, axis=axis, keepdims=keepdims)


def logsumexp(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return log(sum(exp(x))) without overflow.

    It is -inf where every element is -inf, with derivative 0.

    >>> round(logsumexp(tensor([1000.0, 1000.0])).item(), 3)
    1000.693
    """
    from isograd.ops import fused

    t = as_tensor("logsumexp", x)
    require("logsumexp", t.aval, "any")
    wide = t if dtypes.is_floating(t.dtype) else cast(t, dtypes.default_float())
    return bind(fused.logsumexp_p, wide, axis=axes_of("logsumexp", axis, t.ndim), keepdims=keepdims)


def restore(g: Tensor, shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Tensor:
    """Spread a reduced tensor over ``shape`` again: the transpose of a sum."""
    # Axes that lead come back by broadcasting alone.
    if not keepdims and axis != tuple(range(len(axis))):
        g = reshape(g, tuple([1 if i in axis else n for i, n in enumerate(shape)]))
    return broadcast_to(g, shape)
