"""``x[...]`` as NumPy reads it, and ``x.at[...]``, which returns updated copies.

An index is split into a basic part (integers, slices, ``...``, ``None``), which is views, and an
advanced part (integer or boolean arrays), which becomes one gather over the axes it indexes,
flattened into one. Updates go to the places in the flattened tensor that the index names.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from isograd.core import dtypes
from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, cast, concrete, is_traced
from isograd.ops.creation import arange, full, tensor
from isograd.ops.indexing import as_indices, from_start
from isograd.ops.movement import (
    broadcast_to,
    flatten,
    flip,
    permute_dims,
    reshape,
    strided_slice,
)
from isograd.ops.places import put_extremum, put_product
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = ["At", "at", "getitem"]


class _New(NamedTuple):
    """None: a new axis."""


class _Int(NamedTuple):
    """An integer, counted from the start of an axis of x."""

    axis: int
    place: int


class _Range(NamedTuple):
    """A slice of an axis of x."""

    axis: int
    first: int
    step: int
    length: int


class _Array(NamedTuple):
    """Indices into an axis of x; a mask without axes indexes a new axis of length 1."""

    axis: int | None
    length: int
    indices: Any


_Item = _New | _Int | _Range | _Array


class _Index(NamedTuple):
    """An index taken apart.

    Attributes
    ----------
    items : list
        One for each axis of x, and each None, in order.
    at : int
        Which axis of the result the axes of the arrays begin at.
    """

    items: list[_Item]
    at: int

    @property
    def arrays(self) -> list[_Array]:
        """Return the advanced part."""
        return [item for item in self.items if isinstance(item, _Array)]


# -- taking an index apart -------------------------------------------------------------------------


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
    try:
        array: np.ndarray[Any, Any] = np.asarray(item)
    except ValueError as error:
        raise ShapeError(
            f"x[...]: an index is a ragged sequence ({error}); give rows of one length"
        ) from None
    if array.size == 0 and isinstance(item, list | tuple):
        array = array.astype(np.int64)
    if array.dtype.kind not in "biu":
        raise DTypeError(
            f"x[...]: an index has NumPy dtype {array.dtype}; pass integers, slices or booleans"
        )
    return array


def _is_mask(item: Any) -> bool:
    return getattr(item, "dtype", None) == dtypes.bool


def _is_whole(item: Any) -> bool:
    return item is Ellipsis or (isinstance(item, slice) and item == slice(None))  # pyright: ignore[reportUnknownVariableType]


def _expanded(x: Tensor, index: Any) -> list[Any]:
    """Return the index as a list with an entry for each axis, and each None.

    A ``...`` stays where it stands for no axes: it keeps arrays apart, as in NumPy.
    """
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
    if ellipses and missing:
        return items[: ellipses[0]] + missing + items[ellipses[0] + 1 :]
    return items + missing


def _out_of_range(index: int, axis: int, n: int) -> str:
    advice = f"use indices in [{-n}, {n - 1}]" if n else "it has none; check for empty input first"
    return f"x[...]: index {index} is out of range for axis {axis} with size {n}; {advice}"


def _checked_int(index: int, axis: int, n: int) -> _Int:
    if not -n <= index < n:
        raise IndexOutOfRangeError(_out_of_range(index, axis, n))
    return _Int(axis, index % n)


def _checked_slice(item: slice, axis: int, n: int) -> _Range:
    try:
        first, last, by = item.indices(n)
    except TypeError:
        raise DTypeError(
            f"x[...]: the slice {item} has bounds that are no integers; pass integers or leave "
            "them out"
        ) from None
    except ValueError:
        raise ShapeError(f"x[...]: the slice {item} has step 0; pass another step") from None
    return _Range(axis, first, by, len(range(first, last, by)))


def _check_mask(mask: Any, x: Tensor, axis: int) -> None:
    fits = x.shape[axis : axis + mask.ndim]
    if mask.shape != fits:
        raise ShapeError(
            f"x[...]: a boolean index of shape {mask.shape} does not fit axes {fits} of {x.shape}; "
            "make the shapes equal"
        )


def _host_mask(mask: Any) -> np.ndarray[Any, Any]:
    if not isinstance(mask, Tensor):
        return mask
    return concrete("x[mask]", mask, "use where(mask, x, fill) or x.at[mask].set(number)")


def _split(x: Tensor, expanded: Sequence[Any]) -> _Index:
    """Check an index, and take it apart."""
    items: list[_Item] = []
    # NumPy counts integers among the arrays here: x[0, :, [1, 2]] puts the gathered axis first.
    advanced: list[int] = []
    axis = 0
    for place, entry in enumerate(expanded):
        if entry is Ellipsis:
            continue
        if entry is None:
            items.append(_New())
            continue
        if isinstance(entry, slice):
            items.append(_checked_slice(entry, axis, x.shape[axis]))  # pyright: ignore[reportUnknownArgumentType]
            axis += 1
            continue
        advanced.append(place)
        if isinstance(entry, int):
            items.append(_checked_int(entry, axis, x.shape[axis]))
            axis += 1
        elif _is_mask(entry):
            _check_mask(entry, x, axis)
            host = _host_mask(entry)
            if host.ndim == 0:
                items.append(_Array(None, 1, np.zeros(int(host), np.int64)))
            for indices in np.nonzero(host) if host.ndim else ():
                items.append(_Array(axis, x.shape[axis], indices))
                axis += 1
        else:
            items.append(_Array(axis, x.shape[axis], entry))
            axis += 1
    together = advanced == list(range(advanced[0], advanced[0] + len(advanced))) if advanced else 0
    before = 0
    if together:
        # Integers among the arrays have no axis in the result.
        before = sum(not isinstance(i, _Int | _Array) for i in items[: _first_array(items)])
    return _Index(items, before)


def _first_array(items: Sequence[_Item]) -> int:
    return next((i for i, item in enumerate(items) if isinstance(item, _Array)), 0)


def _gathered(x: Tensor, arrays: Sequence[_Array], strides: Sequence[int], size: int) -> Tensor:
    """Check indices into several axes; return their places where an axis has a stride each.

    Parameters
    ----------
    size
        The number of places.
    """
    total: Tensor | None = None
    for (axis, n, indices), stride in zip(arrays, strides, strict=True):
        t = cast(as_indices("x[...]", indices, x), dtypes.int64)
        if len(arrays) == 1 and stride == 1 and n == size:
            if not is_traced(t):
                _check_range(t, axis or 0, n)
            return t  # kernels count negative ones from the end
        if not is_traced(t):
            _check_range(t, axis or 0, n)
        wrapped = from_start(t, n)
        place = wrapped if stride == 1 else m.multiply(wrapped, stride)
        total = place if total is None else m.add(total, place)
    assert total is not None
    return total


def _check_range(indices: Tensor, axis: int, n: int) -> None:
    host = indices.numpy()
    outside = (host < -n) | (host >= n)
    if outside.any():
        raise IndexOutOfRangeError(_out_of_range(host[outside][0], axis, n))


# -- reading ---------------------------------------------------------------------------------------


def _viewed(x: Tensor, items: Sequence[_Item]) -> Tensor:
    """Return the basic part of an index; axes of arrays stay whole."""
    start, stop, step = [0] * x.ndim, list(x.shape), [1] * x.ndim
    reverse: list[int] = []
    shape: list[int] = []
    for item in items:
        match item:
            case _New():
                shape.append(1)
            case _Int(axis, place):
                start[axis], stop[axis] = place, place + 1
            case _Range(axis, first, by, count):
                if by < 0:
                    reverse.append(axis)
                    first, by = first + (count - 1) * by, -by
                start[axis] = first if count else 0
                stop[axis] = first + (count - 1) * by + 1 if count else 0
                step[axis] = by
                shape.append(count)
            case _Array(_, n, _):
                shape.append(n)
    whole = not any(start) and stop == list(x.shape) and max(step, default=1) == 1
    out = x if whole else strided_slice(x, tuple(start), tuple(stop), tuple(step))
    if reverse:
        out = flip(out, axis=tuple(reverse))
    return reshape(out, shape)


def _joined(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, int]:
    """Flatten axes into one, of which the number is returned too; in place if they are in a row."""
    first, count = axes[0], len(axes)
    if axes != tuple(range(first, first + count)):
        x = permute_dims(x, (*axes, *[i for i in range(x.ndim) if i not in axes]))
        first = 0
    shape = (*x.shape[:first], prod(x.shape[first : first + count]), *x.shape[first + count :])
    return reshape(x, shape), first


def _moved(x: Tensor, first: int, count: int, to: int) -> Tensor:
    """Move ``count`` axes from place ``first`` to place ``to`` among the others."""
    if first == to:
        return x
    rest = [i for i in range(x.ndim) if not first <= i < first + count]
    return permute_dims(x, (*rest[:to], *range(first, first + count), *rest[to:]))


def getitem(x: Tensor, index: Any, /) -> Tensor:
    """Return ``x[index]`` as NumPy reads it.

    Raises
    ------
    IndexOutOfRangeError, ShapeError, DTypeError
        If the index does not fit.
    ConcretizationError
        If a mask is not known yet, in a function that is being compiled.

    >>> getitem(arange(5), slice(None, None, -2)).tolist()
    [4, 2, 0]
    """
    items, to = _split(x, _expanded(x, index))
    out = _viewed(x, items)
    arrays = [item for item in items if isinstance(item, _Array)]
    if not arrays:
        return out
    seen = [item for item in items if not isinstance(item, _Int)]
    axes = tuple([i for i, item in enumerate(seen) if isinstance(item, _Array)])
    joined, axis = _joined(out, axes)
    lengths = [item.length for item in arrays]
    strides = [prod(lengths[i + 1 :]) for i in range(len(lengths))]
    places = _gathered(x, arrays, strides, joined.shape[axis])
    return _moved(bind(p.take, joined, places, axis=axis), axis, places.ndim, to)


# -- updates ---------------------------------------------------------------------------------------


def _places(x: Tensor, index: _Index) -> Tensor:
    """Return where in the flattened x the elements of ``x[index]`` are."""
    strides = [prod(x.shape[i + 1 :]) for i in range(x.ndim)]
    arrays = index.arrays
    rest = [item for item in index.items if isinstance(item, _New | _Range)]
    block: tuple[int, ...] = ()
    total: Tensor | None = None
    if arrays:
        steps = [0 if item.axis is None else strides[item.axis] for item in arrays]
        total = _gathered(x, arrays, steps, x.size)
        block = total.shape
        total = reshape(total, (*block, *(1,) * (len(rest) - index.at)))
    lengths = [item.length if isinstance(item, _Range) else 1 for item in rest]
    shape = (*lengths[: index.at], *block, *lengths[index.at :])
    base = sum(item.place * strides[item.axis] for item in index.items if isinstance(item, _Int))
    for place, item in enumerate(rest):
        if not isinstance(item, _Range):
            continue
        stride = strides[item.axis]
        base += item.first * stride if item.length else 0
        behind = len(shape) - (place if place < index.at else place + len(block)) - 1
        steps = m.multiply(arange(item.length, device=x.device), item.step * stride)
        steps = reshape(steps, (item.length, *(1,) * behind))
        total = steps if total is None else m.add(total, steps)
    if total is None:
        return full(shape, base, dtype=dtypes.int64, device=x.device)
    return broadcast_to(m.add(total, base) if base else total, shape)


def _fitted(value: TensorLike, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a value as a tensor of the dtype of x, broadcast to what is indexed."""
    t = _value(value, x)
    while t.ndim > len(shape) and t.shape[0] == 1:
        t = reshape(t, t.shape[1:])
    fits = t.ndim <= len(shape) and all(
        n in (1, k) for n, k in zip(t.shape[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(
            f"x.at: a value of shape {t.shape} does not fit into the {shape} that is indexed; "
            "reshape it, or index more"
        )
    return broadcast_to(t, shape)


def _value(value: TensorLike, x: Tensor) -> Tensor:
    """Return a value as a tensor of the dtype of x; numbers are rounded once."""
    if isinstance(value, Tensor):
        return cast(value, x.dtype)
    return tensor(value, dtype=x.dtype, device=x.device)


class At:
    """What ``x.at`` returns: index it, then call `get`, `set`, `add` or another of its methods.

    Places that an index names several times get all their updates, one after the other.

    >>> zeros(3).at[1:].set(5.0).tolist()
    [0.0, 5.0, 5.0]
    >>> ones(2).at[tensor([0, 0, 1])].add(1.0).tolist()
    [3.0, 2.0]
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
        return self._updated("set", value)

    def add(self, value: TensorLike, /) -> Tensor:
        """Return x with ``value`` added at the index; duplicates accumulate."""
        return self._updated("add", value)

    def subtract(self, value: TensorLike, /) -> Tensor:
        """Return x with ``value`` subtracted at the index; duplicates accumulate."""
        return self._updated("add", m.negative(_value(value, self._x)))

    def multiply(self, value: TensorLike, /) -> Tensor:
        """Return x multiplied by ``value`` at the index; duplicates accumulate."""
        return self._updated("multiply", value)

    def divide(self, value: TensorLike, /) -> Tensor:
        """Return x, of floats, divided by ``value`` at the index; duplicates accumulate."""
        if not dtypes.is_inexact(self._x.dtype):
            raise DTypeError(
                f"x.at: divide of a tensor of dtype {self._x.dtype}; convert it with .astype first"
            )
        return self._updated("divide", value)

    def max(self, value: TensorLike, /) -> Tensor:
        """Return the larger of x and ``value`` at the index; ties share the derivative evenly."""
        return self._updated("max", value)

    def min(self, value: TensorLike, /) -> Tensor:
        """Return the smaller of x and ``value`` at the index; ties share the derivative evenly."""
        return self._updated("min", value)

    def _updated(self, how: str, value: TensorLike) -> Tensor:
        x = self._x
        expanded = _expanded(x, self._index)
        masked = self._where_mask(how, value, expanded)
        if masked is not None:
            return masked
        index = _split(x, expanded)
        places = _places(x, index)
        updates = flatten(_fitted(value, x, places.shape))
        flat = reshape(x, (x.size,))
        put = _put if index.arrays else _put_once
        return reshape(put(how, flat, flatten(places), updates), x.shape)

    def _where_mask(self, how: str, value: TensorLike, expanded: Sequence[Any]) -> Tensor | None:
        """Update through `where`, if the index is one mask and the value is the same for all of it.

        That needs no numbers, so it can be compiled.
        """
        masks = [item for item in expanded if not _is_whole(item)]
        if len(masks) != 1 or not _is_mask(masks[0]):
            return None
        x, mask = self._x, masks[0]
        entries = [item for item in expanded if item is not Ellipsis]
        axis = next(i for i, item in enumerate(entries) if item is mask)
        _check_mask(mask, x, axis)
        behind = x.shape[axis + mask.ndim :]
        t = _value(value, x)
        if t.ndim > len(behind):
            return None
        chosen = as_tensor("x.at", mask, x.device)
        chosen = reshape(chosen, (*chosen.shape, *(1,) * len(behind)))
        return m.where(chosen, _PAIRS[how](x, _fitted(t, x, behind)), x)


def _second(x: Tensor, value: Tensor) -> Tensor:
    return broadcast_to(value, x.shape)


_PAIRS: dict[str, Any] = {
    "set": _second,
    "add": m.add,
    "multiply": m.multiply,
    "divide": m.divide,
    "max": m.maximum,
    "min": m.minimum,
}


def _put_once(how: str, x: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    """Update places of which none is named twice."""
    if how == "add":
        return bind(p.scatter_add, x, places, updates, axis=0)
    if how != "set":
        updates = _PAIRS[how](bind(p.take, x, places, axis=0), updates)
    return bind(p.index_set, x, places, updates, axis=0)


def _put(how: str, x: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    """Update places that may be named several times."""
    if how in ("set", "add"):
        return _put_once(how, x, places, updates)
    if how in ("max", "min"):
        return put_extremum(x, places, updates, largest=how == "max")
    product = put_product(places, updates, x.shape[0])
    return m.multiply(x, product) if how == "multiply" else m.divide(x, product)


def at(x: Tensor, /) -> At:
    """Return the object that ``x.at[...]`` indexes."""
    return At(x)
