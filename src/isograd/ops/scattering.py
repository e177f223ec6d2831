"""Gathering and scattering in torch's order of arguments, and sums by segment."""

from __future__ import annotations

from math import prod
from typing import Any

from isograd.core import dtypes
from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, axis_of, cast, concrete, is_traced, operands
from isograd.ops.creation import arange, full, ones, zeros
from isograd.ops.indexing import as_indices, from_start, take_along_axis
from isograd.ops.infer import require
from isograd.ops.movement import broadcast_to, expand_dims, flatten, reshape, strided_slice
from isograd.ops.places import place_extremum
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "bincount",
    "gather",
    "index_add",
    "index_select",
    "scatter",
    "scatter_add",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_sum",
]


def _check_range(function: str, indices: Tensor, axis: int, n: int, *, low: int) -> None:
    """Raise unless indices that can be seen are in ``[low, n - 1]``."""
    if is_traced(indices):
        return
    host = indices.numpy()
    outside = (host < low) | (host >= n)
    if outside.any():
        advice = f"use indices in [{low}, {n - 1}]" if n else "it has none"
        raise IndexOutOfRangeError(
            f"{function}: index {host[outside][0]} is out of range for axis {axis} with size {n}; "
            f"{advice}"
        )


def _along(function: str, x: Tensor, dim: int, index: Any) -> tuple[int, Tensor]:
    """Return the axis and the indices of `gather` and `scatter`, which fit x."""
    axis = axis_of(function, dim, x.ndim)
    at = as_indices(function, index, x)
    fits = at.ndim == x.ndim and all(
        i == axis or k <= n for i, (n, k) in enumerate(zip(x.shape, at.shape, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"{function}: an index of shape {at.shape} does not fit a tensor of shape {x.shape} "
            f"along dim {axis}; give it as many axes, none longer than the tensor's beside dim"
        )
    return axis, at


def _corner(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the first elements along each axis."""
    if x.shape == shape:
        return x
    return strided_slice(x, (0,) * x.ndim, shape, (1,) * x.ndim)


def gather(x: TensorLike, /, dim: int, index: TensorLike) -> Tensor:
    """Return ``x[i0, ..., index[i0, ...], ..., in]``, with the index at axis ``dim``.

    Parameters
    ----------
    dim
        The axis.
    index
        Integers in ``[-n, n - 1]`` of the result's shape: as many axes as x has, and no longer than
        x beside ``dim``.

    Raises
    ------
    IndexOutOfRangeError
        If an index is outside the axis.

    >>> gather(tensor([[1, 2], [3, 4]]), 1, tensor([[0, 0], [1, 0]])).tolist()
    [[1, 1], [4, 3]]
    """
    t = as_tensor("gather", x)
    axis, at = _along("gather", t, dim, index)
    _check_range("gather", at, axis, t.shape[axis], low=-t.shape[axis])
    shape = (*at.shape[:axis], t.shape[axis], *at.shape[axis + 1 :])
    return take_along_axis(_corner(t, shape), at, axis=axis)


def _put(prim: Any, function: str, x: Any, dim: int, index: Any, src: Any) -> Tensor:
    """Write or add ``src`` where `gather` would read."""
    t, u = operands(function, x, src)
    axis, at = _along(function, t, dim, index)
    if u.ndim and (u.ndim != at.ndim or any(k < n for n, k in zip(at.shape, u.shape, strict=True))):
        raise ShapeError(
            f"{function}: src of shape {u.shape} is too small for an index of shape {at.shape}; "
            "give an element for each index, or one number"
        )
    updates = _corner(u, at.shape) if u.ndim else broadcast_to(u, at.shape)
    _check_range(function, at, axis, t.shape[axis], low=-t.shape[axis])
    strides = [prod(t.shape[i + 1 :]) for i in range(t.ndim)]
    places = m.multiply(from_start(at, t.shape[axis]), strides[axis])
    for i, length in enumerate(at.shape):
        if i != axis and length > 1:
            steps = m.multiply(arange(length, device=t.device), strides[i])
            places = m.add(places, reshape(steps, (length, *(1,) * (t.ndim - i - 1))))
    flat = bind(prim, reshape(t, (t.size,)), flatten(places), flatten(updates), axis=0)
    return reshape(flat, t.shape)


def scatter(x: TensorLike, /, dim: int, index: TensorLike, src: TensorLike) -> Tensor:
    """Return x with the elements of ``src`` where `gather` with this index would read.

    The last of duplicates wins, and it alone has a derivative.

    Parameters
    ----------
    dim, index
        As in `gather`.
    src
        A number, or a tensor with an element for each index; what it has beyond is not used.

    Raises
    ------
    IndexOutOfRangeError
        If an index is outside the axis.

    >>> scatter(zeros((2, 2)), 1, tensor([[1], [0]]), tensor([[5.0], [6.0]])).tolist()
    [[0.0, 5.0], [6.0, 0.0]]
    """
    return _put(p.index_set, "scatter", x, dim, index, src)


def scatter_add(x: TensorLike, /, dim: int, index: TensorLike, src: TensorLike) -> Tensor:
    """Return x with the elements of ``src`` added where `gather` with this index would read.

    Duplicates accumulate, in their order.

    Parameters
    ----------
    dim, index, src
        As in `scatter`.

    Raises
    ------
    IndexOutOfRangeError
        If an index is outside the axis.

    >>> scatter_add(zeros(2), 0, tensor([0, 0]), tensor([1.0, 2.0])).tolist()
    [3.0, 0.0]
    """
    return _put(p.scatter_add, "scatter_add", x, dim, index, src)


def _rows(function: str, x: Tensor, dim: int, index: Any) -> tuple[int, Tensor]:
    """Return the axis and the vector of indices of `index_select` and `index_add`."""
    axis = axis_of(function, dim, x.ndim)
    at = as_indices(function, index, x)
    if at.ndim > 1:
        raise ShapeError(f"{function}: the index has shape {at.shape}; pass a vector, or use take")
    at = reshape(at, (at.size,))
    _check_range(function, at, axis, x.shape[axis], low=-x.shape[axis])
    return axis, at


def index_select(x: TensorLike, /, dim: int, index: TensorLike) -> Tensor:
    """Return the slices of x along axis ``dim`` that a vector of indices names.

    >>> index_select(tensor([[1, 2], [3, 4]]), 0, tensor([1, 1])).tolist()
    [[3, 4], [3, 4]]
    """
    t = as_tensor("index_select", x)
    axis, at = _rows("index_select", t, dim, index)
    return bind(p.take, t, at, axis=axis)


def index_add(
    x: TensorLike, /, dim: int, index: TensorLike, source: TensorLike, *, alpha: float = 1
) -> Tensor:
    """Return x with ``alpha`` times the slices of ``source`` added at a vector of indices.

    Duplicates accumulate, in their order.

    Parameters
    ----------
    dim
        The axis of both.
    index
        A vector of integers in ``[-n, n - 1]``.
    source
        Broadcast to the shape that ``index_select(x, dim, index)`` has.

    Raises
    ------
    IndexOutOfRangeError
        If an index is outside the axis.

    >>> index_add(zeros(2), 0, tensor([1, 1]), tensor([5.0, 1.0])).tolist()
    [0.0, 6.0]
    """
    t, u = operands("index_add", x, source)
    axis, at = _rows("index_add", t, dim, index)
    if alpha != 1:
        u = cast(m.multiply(u, alpha), t.dtype)
    shape = (*t.shape[:axis], at.size, *t.shape[axis + 1 :])
    return bind(p.scatter_add, t, at, broadcast_to(u, shape), axis=axis)


# -- segments --------------------------------------------------------------------------------------


def _segments(
    function: str, x: TensorLike, segment_ids: TensorLike, num_segments: int | None
) -> tuple[Tensor, Tensor, int]:
    """Return the data, the segment of each row, and how many segments there are."""
    t = as_tensor(function, x)
    ids = as_indices(function, segment_ids, t)
    if t.ndim == 0 or ids.shape != t.shape[:1]:
        raise ShapeError(
            f"{function}: segment_ids of shape {ids.shape} for data of shape {t.shape}; give a "
            "number for each row"
        )
    count = num_segments
    if count is None:
        host = concrete(function, ids, "pass num_segments")
        count = int(host.max()) + 1 if host.size else 0
    _check_range(function, ids, 0, count, low=0)
    # What is negative and cannot be seen yet is out of range too.
    return t, m.where(m.less(ids, 0), count, ids) if is_traced(ids) else ids, count


def segment_sum(
    x: TensorLike, /, segment_ids: TensorLike, num_segments: int | None = None
) -> Tensor:
    """Return the sums of the rows of each segment, 0 where there is none.

    Parameters
    ----------
    x
        Shape ``(n, ...)``.
    segment_ids
        The segment of each row, in any order, in ``[0, num_segments - 1]``.
    num_segments
        How many segments there are; None: as many as the largest id needs, which is not known while
        a function is compiled.

    Raises
    ------
    IndexOutOfRangeError
        If a number is out of range.

    >>> segment_sum(tensor([1.0, 2.0, 4.0]), tensor([0, 1, 0])).tolist()
    [5.0, 2.0]
    """
    t, ids, count = _segments("segment_sum", x, segment_ids, num_segments)
    none = zeros((count, *t.shape[1:]), dtype=t.dtype, device=t.device)
    return bind(p.scatter_add, none, ids, t, axis=0)


def segment_mean(
    x: TensorLike, /, segment_ids: TensorLike, num_segments: int | None = None
) -> Tensor:
    """Return the means of the rows of each segment, NaN where there is none.

    See `segment_sum` for the arguments.

    >>> segment_mean(tensor([1.0, 2.0, 4.0]), tensor([0, 1, 0])).tolist()
    [2.5, 2.0]
    """
    t, ids, count = _segments("segment_mean", x, segment_ids, num_segments)
    wide = t if dtypes.is_inexact(t.dtype) else cast(t, dtypes.default_float())
    total = segment_sum(wide, ids, count)
    rows = segment_sum(ones(ids.shape, dtype=wide.dtype, device=t.device), ids, count)
    return m.divide(total, reshape(rows, (count, *(1,) * (t.ndim - 1))))


def _segment_extremum(
    function: str,
    x: TensorLike,
    segment_ids: TensorLike,
    num_segments: int | None,
    *,
    largest: bool,
) -> Tensor:
    t, ids, count = _segments(function, x, segment_ids, num_segments)
    require(function, t.aval, "any")
    inner = prod(t.shape[1:])
    places = flatten(
        m.add(m.multiply(expand_dims(ids, axis=1), inner), arange(inner, device=t.device))
    )
    none = full((count * inner,), _least(t.dtype, largest=largest), dtype=t.dtype, device=t.device)
    out = place_extremum(places, flatten(t), none, largest=largest)
    return reshape(out, (count, *t.shape[1:]))


def _least(dtype: dtypes.DType, *, largest: bool) -> Any:
    """Return what any value is at least as large (small) as."""
    if dtype == dtypes.bool:
        return not largest
    if dtypes.is_floating(dtype):
        return float("-inf") if largest else float("inf")
    limits = dtypes.iinfo(dtype)
    return int(limits.min if largest else limits.max)


def segment_max(
    x: TensorLike, /, segment_ids: TensorLike, num_segments: int | None = None
) -> Tensor:
    """Return the largest of the rows of each segment, -inf (the least integer) where there is none.

    NaN wins, and ties share the derivative evenly. See `segment_sum` for the arguments.

    >>> segment_max(tensor([1.0, 2.0, 4.0]), tensor([0, 1, 0])).tolist()
    [4.0, 2.0]
    """
    return _segment_extremum("segment_max", x, segment_ids, num_segments, largest=True)


def segment_min(
    x: TensorLike, /, segment_ids: TensorLike, num_segments: int | None = None
) -> Tensor:
    """Return the smallest of the rows of each segment, inf (the largest integer) for none.

    NaN wins, and ties share the derivative evenly. See `segment_sum` for the arguments.

    >>> segment_min(tensor([1.0, 2.0, 4.0]), tensor([0, 1, 0])).tolist()
    [1.0, 2.0]
    """
    return _segment_extremum("segment_min", x, segment_ids, num_segments, largest=False)


def bincount(x: TensorLike, /, weights: TensorLike | None = None, *, minlength: int = 0) -> Tensor:
    """Return how often each number from 0 to the largest occurs, or the sum of its weights.

    Parameters
    ----------
    x
        A vector of integers of at least 0.
    weights
        A number for each; they have a derivative.
    minlength
        The least length of the result, which depends on the data beyond it.

    >>> bincount(tensor([0, 2, 2])).tolist()
    [1, 0, 2]
    """
    t = as_tensor("bincount", x)
    if t.ndim != 1 or not dtypes.is_integer(t.dtype):
        raise DTypeError(f"bincount: x is {t.aval}; pass a vector of integers")
    host = concrete("bincount", t, "use segment_sum(weights, x, num_segments=n)")
    if host.size and int(host.min()) < 0:
        raise IndexOutOfRangeError(
            f"bincount: {int(host.min())} is negative; pass numbers of at least 0"
        )
    length = max(int(host.max()) + 1 if host.size else 0, minlength)
    if weights is None:
        return segment_sum(ones(t.shape, dtype=dtypes.int64, device=t.device), t, length)
    w = as_tensor("bincount", weights, t.device)
    if w.shape != t.shape:
        raise ShapeError(
            f"bincount: weights of shape {w.shape} for numbers of shape {t.shape}; make them equal"
        )
    return segment_sum(w, t, length)
