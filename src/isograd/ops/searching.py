"""Searching, ranking and sets.

Where the number of elements of a result depends on the data, the function needs them: it works on
what is known, and raises `ConcretizationError` in a function that is being compiled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from isograd.core import dtypes
from isograd.core.errors import DTypeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, axis_of, concrete, operands
from isograd.ops.creation import full, tensor, zeros
from isograd.ops.indexing import as_indices, take_along_axis
from isograd.ops.movement import broadcast_to, flatten, reshape, slice_axis
from isograd.ops.reductions import argsort, sort, sum
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "argwhere",
    "flatnonzero",
    "isin",
    "meshgrid",
    "nonzero",
    "searchsorted",
    "topk",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]

_KEEPS_SHAPE = "use where or masked arithmetic, which keep the shape"


def nonzero(x: TensorLike, /) -> tuple[Tensor, ...]:
    """Return the indices of nonzero elements, a vector (int64) for each axis, in row-major order.

    NaN is not zero.

    Raises
    ------
    ShapeError
        If the tensor has no axes.
    ConcretizationError
        In a function that is being compiled, since the shape depends on the data.

    >>> [t.tolist() for t in nonzero(tensor([0, 5, 7]))]
    [[1, 2]]
    """
    t = as_tensor("nonzero", x)
    if t.ndim == 0:
        raise ShapeError("nonzero: the tensor has no axes; reshape it to (1,) first")
    found = np.nonzero(concrete("nonzero", t, _KEEPS_SHAPE))
    return tuple([tensor(index, device=t.device) for index in found])


def argwhere(x: TensorLike, /) -> Tensor:
    """Return the indices of nonzero elements, a row (int64) for each.

    Raises
    ------
    ConcretizationError
        In a function that is being compiled, since the shape depends on the data.

    >>> argwhere(tensor([[0, 5], [7, 0]])).tolist()
    [[0, 1], [1, 0]]
    """
    t = as_tensor("argwhere", x)
    return tensor(np.argwhere(concrete("argwhere", t, _KEEPS_SHAPE)), device=t.device)


def flatnonzero(x: TensorLike, /) -> Tensor:
    """Return the indices (int64) of nonzero elements in the flattened tensor.

    Raises
    ------
    ConcretizationError
        In a function that is being compiled, since the shape depends on the data.

    >>> flatnonzero(tensor([[0, 5], [7, 0]])).tolist()
    [1, 2]
    """
    t = as_tensor("flatnonzero", x)
    return tensor(np.flatnonzero(concrete("flatnonzero", t, _KEEPS_SHAPE)), device=t.device)


# -- ranking ---------------------------------------------------------------------------------------


class TopK(NamedTuple):
    """What `topk` returns."""

    values: Tensor
    indices: Tensor


def topk(x: TensorLike, k: int, /, *, axis: int = -1, largest: bool = True) -> TopK:
    """Return the k largest (smallest) elements along an axis, in order, and their indices (int64).

    Of elements that are equal, the first come first. NaN comes last, as in `sort`.

    Parameters
    ----------
    k
        At most the length of the axis.
    largest
        False for the smallest.

    Returns
    -------
    values, indices
        A named pair. The derivative of the values goes to the elements at the indices.

    >>> values, indices = topk(tensor([3.0, 1.0, 2.0]), 2)
    >>> values.tolist(), indices.tolist()
    ([3.0, 2.0], [0, 2])
    """
    t = as_tensor("topk", x)
    number = axis_of("topk", axis, t.ndim)
    count = _index_of("topk", "k", k)
    if not 0 <= count <= t.shape[number]:
        raise ShapeError(
            f"topk: k is {count} for axis {number} with size {t.shape[number]}; pass a number in "
            f"[0, {t.shape[number]}]"
        )
    order = argsort(t, axis=number, descending=largest)
    indices = slice_axis(order, number, 0, count)
    return TopK(take_along_axis(t, indices, axis=number), indices)


def _index_of(function: str, what: str, value: Any) -> int:
    try:
        return value.__index__()
    except (AttributeError, TypeError):
        raise DTypeError(f"{function}: {what} is {value!r}; pass an integer") from None


def searchsorted(
    x1: TensorLike, x2: TensorLike, /, *, side: str = "left", sorter: TensorLike | None = None
) -> Tensor:
    """Return where elements of x2 would be inserted into a sorted vector, so that it stays sorted.

    Parameters
    ----------
    x1
        A vector in ascending order, NaN last.
    x2
        Any shape, which is the result's.
    side
        ``"left"``: before elements that are equal; ``"right"``: behind them.
    sorter
        Indices that sort x1, as `argsort` returns them, where it is not sorted.

    Returns
    -------
    Tensor
        Indices (int64) in ``[0, n]``.

    >>> searchsorted(tensor([1.0, 2.0, 2.0]), tensor([2.0, 5.0])).tolist()
    [1, 3]
    """
    a, v = operands("searchsorted", x1, x2)
    if a.ndim != 1:
        raise ShapeError(f"searchsorted: x1 has shape {a.shape}; pass a vector")
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side is {side!r}; pass 'left' or 'right'")
    if sorter is not None:
        order = as_indices("searchsorted", sorter, a)
        if order.shape != a.shape:
            raise ShapeError(
                f"searchsorted: sorter of shape {order.shape} for x1 of shape {a.shape}; pass an "
                "index for each element"
            )
        a = bind(p.take, a, order, axis=0)
    n = a.shape[0]
    found = zeros(v.shape, dtype=dtypes.int64, device=a.device)
    before = m.less if side == "left" else m.less_equal
    # All elements are searched at once, a power of two at a time: after each step, ``found`` of the
    # elements of x1 are known to stand before.
    step = 1 << max(n.bit_length() - 1, 0)
    while n and step:
        further = m.add(found, step)
        last = bind(p.take, a, m.minimum(m.subtract(further, 1), n - 1), axis=0)
        is_before = m.logical_and(m.less_equal(further, n), before(last, v))
        found = m.where(is_before, further, found)
        step //= 2
    if not dtypes.is_floating(a.dtype):
        return found
    numbers = sum(m.logical_not(m.isnan(a))) if side == "left" else n
    return m.where(m.isnan(v), numbers, found)


def isin(x1: TensorLike, x2: TensorLike, /, *, invert: bool = False) -> Tensor:
    """Return for each element of x1 whether it occurs in x2 (bool). NaN never does.

    Parameters
    ----------
    x2
        Any shape.
    invert
        Return whether it does not occur.

    >>> isin(tensor([1, 2, 3]), tensor([3, 1])).tolist()
    [True, False, True]
    """
    t, tests = operands("isin", x1, x2)
    n = tests.size
    if n == 0:
        return full(t.shape, invert, dtype=dtypes.bool, device=t.device)
    ordered = sort(flatten(tests))
    place = m.minimum(searchsorted(ordered, t), n - 1)
    nearest = bind(p.take, ordered, place, axis=0)
    return m.not_equal(nearest, t) if invert else m.equal(nearest, t)


# -- sets ------------------------------------------------------------------------------------------


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Tensor
    inverse_indices: Tensor


def _unique(function: str, x: TensorLike) -> UniqueAll:
    t = as_tensor(function, x)
    host = concrete(function, t, "use sort, isin or segment_sum, which keep the shape")
    if dtypes.is_half(host.dtype):
        host = host.astype(np.float32)  # NaN of bfloat16 has no place in an order
    _, first, inverse, counts = np.unique(
        host.reshape(-1),
        return_index=True,
        return_inverse=True,
        return_counts=True,
        equal_nan=False,
    )
    indices = tensor(first.astype(np.int64), device=t.device)
    return UniqueAll(
        bind(p.take, flatten(t), indices, axis=0),
        indices,
        tensor(inverse.astype(np.int64).reshape(t.shape), device=t.device),
        tensor(counts.astype(np.int64), device=t.device),
    )


def unique_all(x: TensorLike, /) -> UniqueAll:
    """Return the distinct elements in ascending order, and where and how often they occur.

    Each NaN is distinct from all others; zeros of either sign are equal.

    Returns
    -------
    values, indices, inverse_indices, counts : Tensor
        A named tuple: the elements, where each first occurs in the flattened tensor, which of them
        each element of x is, and how often each occurs. The derivative of the values goes to where
        they first occur.

    Raises
    ------
    ConcretizationError
        In a function that is being compiled, since the shape depends on the data.

    >>> [t.tolist() for t in unique_all(tensor([3, 1, 3]))]
    [[1, 3], [1, 0], [1, 0, 1], [1, 2]]
    """
    return _unique("unique_all", x)


def unique_counts(x: TensorLike, /) -> UniqueCounts:
    """Return the distinct elements in ascending order, and how often each occurs.

    See `unique_all`.

    >>> [t.tolist() for t in unique_counts(tensor([3, 1, 3]))]
    [[1, 3], [1, 2]]
    """
    found = _unique("unique_counts", x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: TensorLike, /) -> UniqueInverse:
    """Return the distinct elements in ascending order, and which of them each element is.

    See `unique_all`.

    >>> [t.tolist() for t in unique_inverse(tensor([3, 1, 3]))]
    [[1, 3], [1, 0, 1]]
    """
    found = _unique("unique_inverse", x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: TensorLike, /) -> Tensor:
    """Return the distinct elements in ascending order.

    See `unique_all`.

    >>> unique_values(tensor([3, 1, 3])).tolist()
    [1, 3]
    """
    return _unique("unique_values", x).values


# -- grids -----------------------------------------------------------------------------------------


def meshgrid(*arrays: TensorLike, indexing: str = "xy") -> list[Tensor]:
    """Return the coordinates of a grid: each vector spread along an axis of its own.

    Parameters
    ----------
    *arrays
        Vectors of lengths ``n1, n2, n3...``.
    indexing
        ``"xy"``: results of shape ``(n2, n1, n3...)``, as in plots; ``"ij"``: ``(n1, n2, n3...)``.

    >>> x, y = meshgrid(tensor([1, 2, 3]), tensor([10, 20]))
    >>> x.tolist(), y.tolist()
    ([[1, 2, 3], [1, 2, 3]], [[10, 10, 10], [20, 20, 20]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is {indexing!r}; pass 'xy' or 'ij'")
    vectors = [as_tensor("meshgrid", array) for array in arrays]
    for t in vectors:
        if t.ndim > 1:
            raise ShapeError(f"meshgrid: an array has shape {t.shape}; pass vectors")
    axes = list(range(len(vectors)))
    if indexing == "xy" and len(axes) > 1:
        axes[:2] = 1, 0
    shape = [1] * len(axes)
    for t, axis in zip(vectors, axes, strict=True):
        shape[axis] = t.size
    spread = [
        reshape(t, [t.size if i == axis else 1 for i in range(len(axes))])
        for t, axis in zip(vectors, axes, strict=True)
    ]
    return [broadcast_to(t, shape) for t in spread]
