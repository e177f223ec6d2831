"""Differences, order statistics, and reductions that leave NaN out."""

from __future__ import annotations

import warnings
from math import prod
from typing import Any

from isograd.core import dtypes
from isograd.core.errors import NumericsWarning, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import reductions as r
from isograd.ops.convert import TensorLike, as_tensor, axes_of, axis_of, cast, constant
from isograd.ops.infer import require
from isograd.ops.movement import broadcast_to, concat, permute_dims, reshape, slice_axis
from isograd.runtime.tensor import Tensor

__all__ = [
    "diff",
    "median",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanstd",
    "nansum",
    "nanvar",
    "ptp",
]

Axis = Any


def diff(
    x: TensorLike,
    /,
    n: int = 1,
    axis: int = -1,
    *,
    prepend: TensorLike | None = None,
    append: TensorLike | None = None,
) -> Tensor:
    """Return the differences of neighbours along an axis, ``n`` times over.

    Parameters
    ----------
    n
        How often; 0 returns x.
    prepend, append
        What is put before and after x along the axis first.

    >>> diff(tensor([1.0, 4.0, 9.0, 16.0])).tolist()
    [3.0, 5.0, 7.0]
    """
    t = as_tensor("diff", x)
    number = axis_of("diff", axis, t.ndim)
    if n < 0:
        raise ShapeError(f"diff: n is {n}; pass at least 0")
    if n == 0:
        return t
    around = [_beside(part, t, number) for part in (prepend, append) if part is not None]
    if prepend is not None:
        t = concat([around[0], t], axis=number)
    if append is not None:
        t = concat([t, around[-1]], axis=number)
    for _ in range(n):
        length = t.shape[number]
        late = slice_axis(t, number, min(1, length), length)
        early = slice_axis(t, number, 0, max(length - 1, 0))
        t = m.not_equal(late, early) if t.dtype == dtypes.bool else m.subtract(late, early)
    return t


def _beside(part: TensorLike, t: Tensor, axis: int) -> Tensor:
    """Return what is put before or after a tensor; a number is spread over one place."""
    if isinstance(part, bool | int | float):
        part = constant(part, dtypes.beside_number(part, t.dtype), t.device)
    part = as_tensor("diff", part, t.device)
    return part if part.ndim else broadcast_to(part, (*t.shape[:axis], 1, *t.shape[axis + 1 :]))


def ptp(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the range of elements, largest minus smallest; NaN wins.

    >>> ptp(tensor([3.0, 1.0, 7.0])).item()
    6.0
    """
    return m.subtract(
        r.max(x, axis=axis, keepdims=keepdims), r.min(x, axis=axis, keepdims=keepdims)
    )


def median(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the middle element in order, the mean of the middle two of an even number.

    NaN wins. Of none it is NaN, with a warning. The derivative goes to the elements chosen, among
    equals to those that stable sorting puts there (policy P3).

    >>> median(tensor([3.0, 1.0, 7.0])).item(), median(tensor([3.0, 1.0])).item()
    (3.0, 2.0)
    """
    t = as_tensor("median", x)
    require("median", t.aval, "any")
    axes = axes_of("median", axis, t.ndim)
    if not dtypes.is_floating(t.dtype):
        t = cast(t, dtypes.default_float())
    kept = tuple([i for i in range(t.ndim) if i not in axes])
    count = prod([t.shape[i] for i in axes])
    flat = reshape(permute_dims(t, (*kept, *axes)), (*[t.shape[i] for i in kept], count))
    if count == 0:
        warnings.warn(
            f"median: shape {t.shape} has no elements along axes {axes}; it is NaN",
            NumericsWarning,
            2,
        )
        out = m.divide(r.sum(flat, axis=-1), 0.0)
    else:
        ordered = r.sort(flat, axis=-1)
        middle = slice_axis(ordered, len(kept), (count - 1) // 2, count // 2 + 1)
        # NaN is sorted last.
        last = slice_axis(ordered, len(kept), count - 1, count)
        out = r.mean(m.where(m.isnan(last), last, middle), axis=-1)
    shape = [1 if i in axes else n for i, n in enumerate(t.shape)]
    return reshape(out, shape) if keepdims else out


# -- without NaN -----------------------------------------------------------------------------------


def _present(function: str, x: TensorLike, fill: float) -> tuple[Tensor, Tensor]:
    """Return the tensor with ``fill`` for NaN, and where it was a number."""
    t = as_tensor(function, x)
    if not dtypes.is_inexact(t.dtype):
        return t, m.equal(t, t)
    absent = m.isnan(t)
    return m.where(absent, fill, t), m.bitwise_invert(absent)


def _real(function: str, x: TensorLike) -> tuple[Tensor, Tensor]:
    t = as_tensor(function, x)
    require(function, t.aval, "any")
    return _present(function, t, 0.0)


def nansum(
    x: TensorLike, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
) -> Tensor:
    """Return the sum of the elements that are not NaN; 0 of none.

    >>> nansum(tensor([1.0, float("nan"), 2.0])).item()
    3.0
    """
    return r.sum(_present("nansum", x, 0.0)[0], axis=axis, dtype=dtype, keepdims=keepdims)


def nanmean(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean of the elements that are not NaN; NaN of none.

    >>> nanmean(tensor([1.0, float("nan"), 2.0])).item()
    1.5
    """
    t, here = _present("nanmean", x, 0.0)
    return r.to_narrow(_mean(r.to_wide(t), here, axis, keepdims), t)


def _mean(wide: Tensor, here: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    total = r.sum(wide, axis=axis, keepdims=keepdims)
    return m.divide(total, cast(r.sum(here, axis=axis, keepdims=keepdims), wide.dtype))


def nanvar(
    x: TensorLike, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the variance of the elements that are not NaN.

    It is NaN where there are not more of them than ``correction``.

    >>> nanvar(tensor([1.0, float("nan"), 3.0])).item()
    1.0
    """
    t, here = _real("nanvar", x)
    return r.to_narrow(_variance(t, here, axis, correction, keepdims), t)


def _variance(t: Tensor, here: Tensor, axis: Axis, correction: float, keepdims: bool) -> Tensor:
    wide = r.to_wide(t)
    apart = m.where(here, m.subtract(wide, _mean(wide, here, axis, True)), 0.0)
    free = m.subtract(cast(r.sum(here, axis=axis, keepdims=keepdims), wide.dtype), correction)
    total = r.sum(m.square(apart), axis=axis, keepdims=keepdims)
    return m.divide(total, m.where(m.greater(free, 0.0), free, float("nan")))


def nanstd(
    x: TensorLike, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the square root of `nanvar`; the derivative at a constant is 0 (policy P1).

    >>> nanstd(tensor([1.0, float("nan"), 3.0])).item()
    1.0
    """
    t, here = _real("nanstd", x)
    return r.to_narrow(r.root_with_flat_zero(_variance(t, here, axis, correction, keepdims)), t)


def _extremum(function: str, x: TensorLike, axis: Axis, keepdims: bool) -> Tensor:
    largest = function == "nanmax"
    require(function, as_tensor(function, x).aval, "any")
    t, here = _present(function, x, float("-inf") if largest else float("inf"))
    out = (r.max if largest else r.min)(t, axis=axis, keepdims=keepdims)
    if not dtypes.is_floating(t.dtype):
        return out
    return m.where(r.any(here, axis=axis, keepdims=keepdims), out, float("nan"))


def nanmax(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the largest element that is not NaN; NaN where all are.

    >>> nanmax(tensor([1.0, float("nan"), 3.0])).item()
    3.0
    """
    return _extremum("nanmax", x, axis, keepdims)


def nanmin(x: TensorLike, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the smallest element that is not NaN; NaN where all are.

    >>> nanmin(tensor([1.0, float("nan"), 3.0])).item()
    1.0
    """
    return _extremum("nanmin", x, axis, keepdims)
