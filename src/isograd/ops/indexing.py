"""Reading and updating by index: ``x[...]`` as NumPy reads it, ``x.at[...]``, gather, scatter.

An index is split into a basic part (integers, slices, ``...``, ``None``), which is views, and an
advanced part (integer or boolean arrays), which becomes one gather over the axes it indexes,
flattened into one.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from isograd.core import dtypes
from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import infer
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, axis_of, cast, is_traced, operands
from isograd.ops.creation import arange, full, tensor, zeros
from isograd.ops.movement import (
    broadcast_shapes,
    broadcast_to,
    expand_dims,
    flatten,
    flip,
    permute_dims,
    reshape,
    strided_slice,
)
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "At",
    "at",
    "getitem",
    "index_add",
    "index_set",
    "nonzero",
    "one_hot",
    "scatter_add",
    "scatter_add_along_axis",
    "take",
    "take_along_axis",
]


def _as_indices(function: str, indices: Any, like: Tensor) -> Tensor:
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
    return bind(p.take, t, _as_indices("take", indices, t), axis=number)


def take_along_axis(x: TensorLike, indices: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Return elements of x at indices that are given for each position beside the axis.

    >>> take_along_axis(tensor([[1, 2], [3, 4]]), tensor([[1], [0]])).tolist()
    [[2], [3]]
    """
    t = as_tensor("take_along_axis", x)
    number = axis_of("take_along_axis", axis, t.ndim)
    return bind(p.take_along_axis, t, _as_indices("take_along_axis", indices, t), axis=number)


def _put(prim: Any, x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int) -> Tensor:
    t, u = operands(prim.name, x, updates)
    number = axis_of(prim.name, axis, t.ndim)
    where = _as_indices(prim.name, indices, t)
    shape = (*t.shape[:number], *where.shape, *t.shape[number + 1 :])
    return bind(prim, t, where, broadcast_to(u, shape), axis=number)


def scatter_add(
    x: TensorLike, indices: TensorLike, updates: TensorLike, /, *, axis: int = 0
) -> Tensor:
    """Return x with updates added at indices along an axis; duplicates accumulate in order.

    Parameters
    ----------
    updates
        Broadcast to the shape that ``take(x, indices, axis=axis)`` has.

    >>> scatter_add(zeros(3), tensor([0, 0, 2]), tensor([1.0, 2.0, 3.0])).tolist()
    [3.0, 0.0, 3.0]
    """
    return _put(p.scatter_add, x, indices, updates, axis)


def index_add(
    x: TensorLike, indices: TensorLike, updates: TensorLike, /, *, axis: int = 0
) -> Tensor:
    """Return `scatter_add` under torch's name.

    >>> index_add(zeros(2), tensor([1]), tensor([5.0])).tolist()
    [0.0, 5.0]
    """
    return _put(p.scatter_add, x, indices, updates, axis)


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
        _as_indices("scatter_add_along_axis", indices, t),
        u,
        axis=number,
    )


def nonzero(x: TensorLike, /) -> tuple[Tensor, ...]:
    """Return the indices of nonzero elements, a vector (int64) for each axis.

    The shape depends on the data.

    >>> [t.tolist() for t in nonzero(tensor([0, 5, 7]))]
    [[1, 2]]
    """
    t = as_tensor("nonzero", x)
    if t.ndim == 0:
        raise ShapeError("nonzero: the tensor has no axes; reshape it to (1,) first")
    return tuple([tensor(index, device=t.device) for index in np.nonzero(t.numpy())])


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


# -- x[index] --------------------------------------------------------------------------------------


class _View(NamedTuple):
    """The basic part of an index: a strided slice, some axes reversed, then a reshape."""

    start: tuple[int, ...]
    stop: tuple[int, ...]
    step: tuple[int, ...]
    reverse: tuple[int, ...]
    shape: tuple[int, ...]


class _Part(NamedTuple):
    """Indices into one axis: its number in x, its number in the viewed tensor, its length."""

    axis: int
    viewed: int
    length: int
    indices: Any


class _Gather(NamedTuple):
    """The advanced part: indices into ``axes``, which are brought together at the place ``at``."""

    axes: tuple[int, ...]
    indices: Tensor
    at: int


def _expanded(x: Tensor, index: Any) -> list[Any]:
    """Return the index as a list with an entry for each axis (and each None), without ``...``."""
    items: list[Any] = list(index) if isinstance(index, tuple) else [index]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    items = [_entry(item) for item in items]
    used = 0
    for item in items:
        if item is not None and item is not Ellipsis:
            used += item.ndim if _is_mask(item) else 1
    ellipses = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(ellipses) > 1:
        raise ShapeError("x[...]: an index has several `...`; write one")
    if used > x.ndim:
        raise ShapeError(
            f"x[...]: {used} indices for a tensor of shape {x.shape}; use at most {x.ndim}"
        )
    missing: list[Any] = [slice(None)] * (x.ndim - used)
    if ellipses:
        return items[: ellipses[0]] + missing + items[ellipses[0] + 1 :]
    return items + missing


def _entry(item: Any) -> Any:
    """Return one part of an index as None, Ellipsis, slice, int, host array or tensor."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item  # pyright: ignore[reportUnknownVariableType]
    if isinstance(item, bool | np.bool_):
        return np.asarray(item)
    if isinstance(item, int | np.integer):
        return int(item)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(item, Tensor):
        if item.dtype == dtypes.bool or dtypes.is_integer(item.dtype):
            return item
        raise DTypeError(f"x[...]: an index is {item.aval}; pass integers or booleans")
    array: np.ndarray[Any, Any] = np.asarray(item)
    if array.size == 0 and isinstance(item, list | tuple):
        array = array.astype(np.int64)
    if array.dtype.kind not in "biu":
        raise DTypeError(
            f"x[...]: an index has NumPy dtype {array.dtype}; pass integers, slices or booleans"
        )
    return array


def _is_mask(item: Any) -> bool:
    return getattr(item, "dtype", None) == dtypes.bool


def _out_of_range(index: int, axis: int, n: int) -> str:
    advice = f"use indices in [{-n}, {n - 1}]" if n else "it has none; check for empty input first"
    return f"x[...]: index {index} is out of range for axis {axis} with size {n}; {advice}"


def _mask_to_indices(mask: Any, x: Tensor, axis: int) -> list[Any]:
    """Return integer indices for a boolean mask over the axes from ``axis`` on."""
    host: np.ndarray[Any, Any] = mask.numpy() if isinstance(mask, Tensor) else mask
    if host.shape != x.shape[axis : axis + host.ndim]:
        raise ShapeError(
            f"x[...]: a boolean index of shape {host.shape} does not fit axes "
            f"{x.shape[axis : axis + host.ndim]} of {x.shape}; make the shapes equal"
        )
    return list(np.nonzero(host))


def _split(x: Tensor, index: Any) -> tuple[_View, _Gather | None]:
    """Split an index into its basic and its advanced part."""
    start: list[int] = []
    stop: list[int] = []
    step: list[int] = []
    reverse: list[int] = []
    shape: list[int] = []
    parts: list[_Part] = []
    places: list[int] = []  # positions among the entries, to see whether arrays stand together
    scalars: list[int] = []
    axis = 0

    def keep_whole() -> None:
        start.append(0)
        stop.append(x.shape[axis])
        step.append(1)

    for place, item in enumerate(_expanded(x, index)):
        if item is None:
            shape.append(1)
        elif isinstance(item, slice):
            first, last, by = item.indices(x.shape[axis])
            count = len(range(first, last, by))
            if by < 0:
                reverse.append(axis)
                first, last, by = first + (count - 1) * by, first + 1, -by
            start.append(first if count else 0)
            stop.append(first + (count - 1) * by + 1 if count else 0)
            step.append(by)
            shape.append(count)
            axis += 1
        elif isinstance(item, int):
            n = x.shape[axis]
            if not -n <= item < n:
                raise IndexOutOfRangeError(_out_of_range(item, axis, n))
            start.append(item % n)
            stop.append(item % n + 1)
            step.append(1)
            scalars.append(place)
            axis += 1
        elif _is_mask(item) and item.ndim == 0:
            shape.append(1)
            chosen = np.zeros(int(bool(item)), np.int64)
            parts.append(_Part(axis, len(shape) - 1, 1, chosen))
            places.append(place)
        else:
            for indices in _mask_to_indices(item, x, axis) if _is_mask(item) else [item]:
                keep_whole()
                shape.append(x.shape[axis])
                parts.append(_Part(axis, len(shape) - 1, x.shape[axis], indices))
                axis += 1
            places.append(place)
    view = _View(tuple(start), tuple(stop), tuple(step), tuple(reverse), tuple(shape))
    if not parts:
        return view, None
    axes = tuple([part.viewed for part in parts])
    # NumPy counts integers among the arrays here: x[0, :, [1, 2]] puts the gathered axis first.
    advanced = sorted(places + scalars)
    together = advanced == list(range(advanced[0], advanced[0] + len(advanced)))
    flat = _flat_indices(x, parts)
    return view, _Gather(axes, flat, axes[0] if together else 0)


def _flat_indices(x: Tensor, parts: list[_Part]) -> Tensor:
    """Check indices into several axes; return indices into those axes flattened into one."""
    tensors = [cast(_as_indices("x[...]", part.indices, x), dtypes.int64) for part in parts]
    traced = any(is_traced(t) for t in tensors)
    if not traced:
        for t, part in zip(tensors, parts, strict=True):
            _check_range(t, part.axis, part.length)
    if len(tensors) == 1:
        return tensors[0]
    total = prod([part.length for part in parts])
    flat: Tensor | None = None
    for t, part in zip(tensors, parts, strict=True):
        n = part.length
        wrapped = m.where(m.less(t, 0), m.add(t, n), t)
        if traced:  # what cannot be seen yet is sent out of range as a whole, for the kernel
            inside = m.logical_and(m.greater_equal(wrapped, 0), m.less(wrapped, n))
            wrapped = m.where(inside, wrapped, total)
        flat = wrapped if flat is None else m.add(m.multiply(flat, n), wrapped)
    assert flat is not None
    return broadcast_to(flat, broadcast_shapes(*[t.shape for t in tensors]))


def _check_range(indices: Tensor, axis: int, n: int) -> None:
    host = indices.numpy()
    outside = (host < -n) | (host >= n)
    if outside.any():
        raise IndexOutOfRangeError(_out_of_range(host[outside][0], axis, n))


def _viewed(x: Tensor, view: _View) -> Tensor:
    whole = view.start == (0,) * x.ndim and view.stop == x.shape and view.step == (1,) * x.ndim
    out = x if whole else strided_slice(x, view.start, view.stop, view.step)
    if view.reverse:
        out = flip(out, axis=view.reverse)
    return reshape(out, view.shape)


def _front(ndim: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    return (*axes, *[i for i in range(ndim) if i not in axes])


def _joined(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Bring axes to the front and flatten them into one."""
    order = _front(x.ndim, axes)
    moved = x if order == tuple(range(x.ndim)) else permute_dims(x, order)
    rest = moved.shape[len(axes) :]
    return reshape(moved, (prod([x.shape[a] for a in axes]), *rest))


def _placed(ndim: int, count: int, at: int) -> tuple[int, ...]:
    """Return the order of axes that moves the first ``count`` axes to place ``at``."""
    rest = list(range(count, ndim))
    return (*rest[:at], *range(count), *rest[at:])


def getitem(x: Tensor, index: Any, /) -> Tensor:
    """Return ``x[index]`` as NumPy reads it.

    Raises
    ------
    IndexOutOfRangeError, ShapeError, DTypeError
        If the index does not fit.

    >>> getitem(arange(5), slice(None, None, -2)).tolist()
    [4, 2, 0]
    """
    view, gather = _split(x, index)
    out = _viewed(x, view)
    if gather is None:
        return out
    taken = bind(p.take, _joined(out, gather.axes), gather.indices, axis=0)
    order = _placed(taken.ndim, gather.indices.ndim, gather.at)
    return taken if order == tuple(range(taken.ndim)) else permute_dims(taken, order)


class At:
    """What ``x.at`` returns: index it, then call `get`, `set`, `add` or `multiply`.

    >>> zeros(3).at[1:].set(5.0).tolist()
    [0.0, 5.0, 5.0]
    """

    __slots__ = ("_index", "_x")

    def __init__(self, x: Tensor, index: Any = ()) -> None:
        self._x = x
        self._index = index

    def __getitem__(self, index: Any) -> At:
        return At(self._x, index)

    def get(self) -> Tensor:
        """Return ``x[index]``."""
        return getitem(self._x, self._index)

    def set(self, value: TensorLike, /) -> Tensor:
        """Return x with ``value`` at the index; the last of duplicates wins."""
        return self._update(p.index_set, value)

    def add(self, value: TensorLike, /) -> Tensor:
        """Return x with ``value`` added at the index; duplicates accumulate."""
        return self._update(p.scatter_add, value)

    def multiply(self, value: TensorLike, /) -> Tensor:
        """Return x multiplied by ``value`` at the index, which must name each element once."""
        return self.set(m.multiply(self.get(), value))

    def _update(self, prim: Any, value: TensorLike) -> Tensor:
        x = self._x
        view, gather = _split(x, self._index)
        # Each element of the view, and of what is gathered from it, is known by its place in x.
        places = _viewed(reshape(arange(x.size, device=x.device), x.shape), view)
        if gather is not None:
            taken = bind(p.take, _joined(places, gather.axes), gather.indices, axis=0)
            places = permute_dims(taken, _placed(taken.ndim, gather.indices.ndim, gather.at))
        t = as_tensor("x.at", value, x.device)
        if infer.broadcast("x.at", t.shape, places.shape) != places.shape:
            raise ShapeError(
                f"x.at: a value of shape {t.shape} does not fit into the {places.shape} that is "
                "indexed; reshape it, or index more"
            )
        updates = flatten(broadcast_to(cast(t, x.dtype), places.shape))
        return reshape(bind(prim, reshape(x, (x.size,)), flatten(places), updates, axis=0), x.shape)


def at(x: Tensor, /) -> At:
    """Return the object that ``x.at[...]`` indexes."""
    return At(x)


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
