"""Gathering and scattering along one axis, as the array API has it; what derivatives need of it.

`isograd.ops.subscripts` has ``x[...]`` and ``x.at[...]``, `isograd.ops.scattering` the functions in
torch's order of arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, axis_of, cast, is_traced, operands
from isograd.ops.creation import arange, full, zeros
from isograd.ops.movement import broadcast_shapes, broadcast_to, expand_dims, reshape
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "index_set",
    "one_hot",
    "scatter_add_along_axis",
    "take",
    "take_along_axis",
]


def as_indices(function: str, indices: Any, like: Tensor) -> Tensor:
    """Return indices as an int32 or int64 tensor."""
    if isinstance(indices, list | tuple) and not indices:
        indices = np.zeros(0, np.int64)
    t = as_tensor(function, indices, like.device)
    if t.dtype in (dtypes.int32, dtypes.int64):
        return t
    if not dtypes.is_integer(t.dtype):
        raise DTypeError(
            f"{function}: indices are {t.aval}; pass integers, or convert them with .astype"
        )
    return cast(t, dtypes.int64)


def take(x: TensorLike, indices: TensorLike, /, *, axis: int | None = None) -> Tensor:
    """Return the elements of x at integer indices along an axis.

    Parameters
    ----------
    indices
        Integers in ``[-n, n - 1]``, of any shape, which takes the place of the axis.
    axis
        May be left out for a vector.

    Raises
    ------
    IndexOutOfRangeError
        If an index is outside the axis.

    >>> take(tensor([10, 20, 30]), tensor([2, 0, 2])).tolist()
    [30, 10, 30]
    """
    t = as_tensor("take", x)
    if axis is None and t.ndim != 1:
        raise ShapeError(f"take: the tensor has shape {t.shape}; name the axis")
    number = axis_of("take", 0 if axis is None else axis, t.ndim)
    return bind(p.take, t, as_indices("take", indices, t), axis=number)


def take_along_axis(x: TensorLike, indices: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Return elements of x at indices that are given for each position beside the axis.

    Parameters
    ----------
    indices
        Integers in ``[-n, n - 1]``, with as many axes as x. Beside the axis, the two broadcast.

    Raises
    ------
    IndexOutOfRangeError
        If an index is outside the axis.

    >>> take_along_axis(tensor([[1, 2], [3, 4]]), tensor([[1], [0]])).tolist()
    [[2], [3]]
    """
    t = as_tensor("take_along_axis", x)
    number = axis_of("take_along_axis", axis, t.ndim)
    at = as_indices("take_along_axis", indices, t)
    if at.ndim != t.ndim:
        raise ShapeError(
            f"take_along_axis: indices of shape {at.shape} for a tensor of shape {t.shape}; give "
            "them as many axes"
        )
    beside = [(*x.shape[:number], 1, *x.shape[number + 1 :]) for x in (t, at)]
    if beside[0] != beside[1]:
        both = broadcast_shapes(*beside)
        t, at = [
            broadcast_to(x, (*both[:number], x.shape[number], *both[number + 1 :])) for x in (t, at)
        ]
    return bind(p.take_along_axis, t, at, axis=number)


def _put(prim: Any, x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int) -> Tensor:
    t, u = operands(prim.name, x, updates)
    number = axis_of(prim.name, axis, t.ndim)
    where = as_indices(prim.name, indices, t)
    shape = (*t.shape[:number], *where.shape, *t.shape[number + 1 :])
    return bind(prim, t, where, broadcast_to(u, shape), axis=number)


def index_set(
    x: TensorLike, indices: TensorLike, updates: TensorLike, /, *, axis: int = 0
) -> Tensor:
    """Return x with updates set at indices along an axis; the last duplicate wins.

    >>> index_set(zeros(3), tensor([0, 2]), tensor([1.0, 3.0])).tolist()
    [1.0, 0.0, 3.0]
    """
    return _put(p.index_set, x, indices, updates, axis)


def scatter_add_along_axis(
    x: TensorLike, indices: TensorLike, updates: TensorLike, /, *, axis: int = -1
) -> Tensor:
    """Return x with updates added where `take_along_axis` with these indices would read.

    >>> scatter_add_along_axis(zeros((2, 2)), tensor([[1], [0]]), tensor([[5.0], [6.0]])).tolist()
    [[0.0, 5.0], [6.0, 0.0]]
    """
    t, u = operands("scatter_add_along_axis", x, updates)
    number = axis_of("scatter_add_along_axis", axis, t.ndim)
    return bind(
        p.scatter_add_along_axis,
        t,
        as_indices("scatter_add_along_axis", indices, t),
        u,
        axis=number,
    )


def one_hot(indices: TensorLike, num_classes: int, /, *, dtype: Any = None) -> Tensor:
    """Return vectors that are 1 at the index and 0 elsewhere.

    Raises
    ------
    IndexOutOfRangeError
        If an index is not in ``[0, num_classes - 1]``.

    >>> one_hot(tensor([1, 0]), 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    t = as_tensor("one_hot", indices)
    if not dtypes.is_integer(t.dtype):
        raise DTypeError(f"one_hot: indices are {t.aval}; pass integers")
    if is_traced(t):
        # The kernel checks what cannot be seen yet; negative classes are sent out of range too.
        at = expand_dims(cast(m.where(m.less(t, 0), num_classes, t), dtypes.int64), axis=-1)
        wanted = dtypes.as_dtype(dtype or dtypes.default_float())
        blank = zeros((*t.shape, num_classes), dtype=wanted, device=t.device)
        ones = full(at.shape, 1, dtype=wanted, device=t.device)
        return bind(p.scatter_add_along_axis, blank, at, ones, axis=t.ndim)
    host = t.numpy()
    outside = (host < 0) | (host >= num_classes)
    if outside.any():
        raise IndexOutOfRangeError(
            f"one_hot: class {host[outside][0]} is out of range for {num_classes} classes; use "
            f"classes in [0, {num_classes - 1}]"
        )
    classes = arange(num_classes, dtype=t.dtype, device=t.device)
    return cast(
        m.equal(expand_dims(t, axis=-1), classes), dtypes.as_dtype(dtype or dtypes.default_float())
    )


def from_start(indices: Tensor, n: int) -> Tensor:
    """Return indices into an axis of length ``n``, int64, with none counted from its end.

    Numbers that are known were checked before; others are checked here, by a gather.
    """
    if is_traced(indices):
        return bind(p.take, arange(n, device=indices.device), indices, axis=0)
    wide = cast(indices, dtypes.int64)
    return m.where(m.less(wide, 0), m.add(wide, n), wide)


def winners(indices: Tensor, n: int) -> Tensor:
    """Return which of the indices into an axis of length ``n`` is the last of its duplicates."""
    count = indices.size
    numbers = arange(count, device=indices.device)
    flat = reshape(indices, (count,))
    last = bind(
        p.index_set,
        full((n,), -1, dtype=dtypes.int64, device=indices.device),
        flat,
        numbers,
        axis=0,
    )
    return reshape(m.equal(bind(p.take, last, flat, axis=0), numbers), indices.shape)


def spread_mask(mask: Tensor, like: tuple[int, ...], axis: int) -> Tensor:
    """Reshape a mask over indices so that it broadcasts against updates of shape ``like``."""
    rest = len(like) - axis - mask.ndim
    return reshape(mask, (*mask.shape, *(1,) * rest))


def zero_rows(x: Tensor, indices: Tensor, axis: int, shape: tuple[int, ...]) -> Tensor:
    """Return x with zeros at indices along an axis."""
    return bind(p.index_set, x, indices, zeros(shape, dtype=x.dtype, device=x.device), axis=axis)
