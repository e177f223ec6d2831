"""Gathering and scattering along an axis, and sorting.

The array API has no scatter, so these are written with gathers only, which also makes them
deterministic: the indices are sorted stably, and then each row of the result collects its updates
in index order, the first one of every row in one step, then the second ones, and so on.
"""

from __future__ import annotations

import math
from typing import Any

from isograd.backend.indices import check_indices
from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import cast, from_front, in_float32, to_front, widen

__all__ = ["indexing_kernels", "wrapped"]


def wrapped(xp: Any, indices: Array, size: int, /) -> Array:
    """Return indices as int64 with negative ones counted from the end."""
    indices = cast(xp, indices, xp.int64)
    return xp.where(indices < 0, indices + size, indices)


def _segments(xp: Any, indices: Array, rows: int) -> tuple[Array, Array, Array]:
    """Return the stable order of ``indices``, and where each row's part of it begins and ends."""
    order = xp.argsort(indices, stable=True)
    ordered = xp.take(indices, order, axis=0)
    numbers = xp.arange(rows, dtype=xp.int64, device=indices.device)
    first = xp.searchsorted(ordered, numbers, side="left")
    return order, first, xp.searchsorted(ordered, numbers, side="right")


def _add_rows(xp: Any, x: Array, indices: Array, updates: Array) -> Array:
    """Add ``updates[i]`` to row ``indices[i]`` of ``x``, in the order of ``i``."""
    if 0 in updates.shape:
        return x
    order, first, end = _segments(xp, indices, x.shape[0])
    # Rows with more updates come first, so those that still expect one are a shrinking prefix.
    by_count = xp.argsort(first - end, stable=True)
    first = xp.take(first, by_count, axis=0)
    count = xp.take(end, by_count, axis=0) - first
    active = xp.take(x, by_count, axis=0)
    finished: list[Array] = []
    for turn in range(int(count[0])):
        height = int(xp.sum(cast(xp, count > turn, xp.int64)))
        if height < active.shape[0]:
            finished.append(active[height:])
        which = xp.take(order, first[:height] + turn, axis=0)
        active = active[:height] + xp.take(updates, which, axis=0)
    out = xp.concat([active, *reversed(finished)], axis=0)
    return xp.take(out, xp.argsort(by_count, stable=True), axis=0)


def _set_rows(xp: Any, x: Array, indices: Array, updates: Array) -> Array:
    """Replace row ``indices[i]`` of ``x`` by ``updates[i]``; the last one wins."""
    if 0 in updates.shape:
        return x
    order, first, end = _segments(xp, indices, x.shape[0])
    is_set = end > first
    last = xp.where(is_set, end - 1, xp.zeros_like(end))
    rows = xp.take(updates, xp.take(order, last, axis=0), axis=0)
    return xp.where(xp.reshape(is_set, (-1,) + (1,) * (x.ndim - 1)), rows, x)


def indexing_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the indexing primitives over an array namespace."""

    def rows_of(x: Array, indices: Array, updates: Array, axis: int) -> tuple[Array, Array, Array]:
        """Bring ``axis`` to the front of x, and the axes of the indices, as one, of the updates."""
        k = indices.ndim
        order = (*range(axis, axis + k), *range(axis), *range(axis + k, updates.ndim))
        rest = x.shape[:axis] + x.shape[axis + 1 :]
        rows = xp.reshape(xp.permute_dims(updates, order), (math.prod(indices.shape), *rest))
        flat = xp.reshape(wrapped(xp, indices, x.shape[axis]), (-1,))
        return to_front(xp, x, axis), flat, rows

    def cells_of(x: Array, indices: Array, axis: int) -> Array:
        """Return where the indexed elements are in ``x`` with ``axis`` moved to the end, flat."""
        size = x.shape[axis]
        ends = to_end(wrapped(xp, indices, size), axis)
        batch = math.prod(ends.shape[:-1])
        starts = xp.arange(batch, dtype=xp.int64, device=x.device) * size
        return xp.reshape(ends, (batch, -1) if batch else (0, 0)) + xp.expand_dims(starts, axis=1)

    def to_end(x: Array, axis: int) -> Array:
        return xp.permute_dims(x, (*(i for i in range(x.ndim) if i != axis), axis))

    def from_end(x: Array, axis: int) -> Array:
        last = x.ndim - 1
        return xp.permute_dims(x, (*range(axis), last, *range(axis, last)))

    def take(x: Array, indices: Array, *, axis: int) -> Array:
        check_indices("take", indices, x.shape[axis], axis, xp=xp)
        flat = xp.reshape(wrapped(xp, indices, x.shape[axis]), (-1,))
        shape = x.shape[:axis] + indices.shape + x.shape[axis + 1 :]
        return xp.reshape(xp.take(x, flat, axis=axis), shape)

    def scatter_add(x: Array, indices: Array, updates: Array, *, axis: int) -> Array:
        check_indices("scatter_add", indices, x.shape[axis], axis, xp=xp)
        return from_front(xp, _add_rows(xp, *rows_of(x, indices, updates, axis)), axis)

    def index_set(x: Array, indices: Array, updates: Array, *, axis: int) -> Array:
        check_indices("index_set", indices, x.shape[axis], axis, xp=xp)
        return from_front(xp, _set_rows(xp, *rows_of(x, indices, updates, axis)), axis)

    def take_along_axis(x: Array, indices: Array, *, axis: int) -> Array:
        check_indices("take_along_axis", indices, x.shape[axis], axis, xp=xp)
        if 0 in indices.shape:
            return xp.zeros(indices.shape, dtype=x.dtype, device=x.device)
        cells = xp.reshape(cells_of(x, indices, axis), (-1,))
        out = xp.take(xp.reshape(to_end(x, axis), (-1,)), cells, axis=0)
        shape = indices.shape[:axis] + indices.shape[axis + 1 :] + (indices.shape[axis],)
        return from_end(xp.reshape(out, shape), axis)

    def scatter_add_along_axis(x: Array, indices: Array, updates: Array, *, axis: int) -> Array:
        check_indices("scatter_add_along_axis", indices, x.shape[axis], axis, xp=xp)
        if 0 in indices.shape:
            return x
        cells = xp.reshape(cells_of(x, indices, axis), (-1,))
        ends = to_end(x, axis)
        flat_updates = xp.reshape(to_end(updates, axis), (-1,))
        out = _add_rows(xp, xp.reshape(ends, (-1,)), cells, flat_updates)
        return from_end(xp.reshape(out, ends.shape), axis)

    def argsort(x: Array, *, axis: int, descending: bool) -> Array:
        x = widen(xp, x)  # ml-dtypes sorts NaN of bfloat16 anywhere
        if descending:  # an order-reversing map keeps ties stable and NaN last
            floating = xp.isdtype(x.dtype, "real floating")
            x = xp.negative(x) if floating else xp.bitwise_invert(x)
        return cast(xp, xp.argsort(x, axis=axis, stable=True), xp.int64)

    return {
        "take": take,
        "scatter_add": in_float32(xp, scatter_add),
        "take_along_axis": take_along_axis,
        "scatter_add_along_axis": in_float32(xp, scatter_add_along_axis),
        "index_set": index_set,
        "argsort": argsort,
    }
