"""Gathers, scatters and sorting. Scatters add by sorted segments, so their order is fixed."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel, check_indices
from isograd_cupy._checks import settle
from isograd_cupy._elementwise import ELEMENTWISE, contiguous, copy_into, in_float32, widened
from isograd_cupy._launch import kernels
from isograd_cupy._layout import empty, layout_of, result
from isograd_cupy._movement import permuted
from isograd_cupy._sources import fill

__all__ = ["INDEXING", "wrapped"]

_INT64 = np.dtype(np.int64)


def wrapped(name: str, indices: Any, size: int, axis: int, /) -> Any:
    """Return indices as contiguous int64 in ``[0, size)``.

    Raises
    ------
    IndexOutOfRangeError
        If one is out of range; this waits for the device.
    """
    out = empty(indices.shape, _INT64)
    if not out.size:
        return out
    wrong = fill(empty((1,), _INT64), out.size)
    layout = layout_of(indices.shape, [indices])
    arguments = (indices, out, wrong, layout, -size, size, out.size)
    kernels("wrap", indices.dtype).over("wrap_indices", arguments, out.size)
    settle(wrong, out.size, lambda: check_indices(name, indices.get(), size, axis))
    return out


def _parts(x: Any, axis: int) -> tuple[int, int, int]:
    return math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])


def _take(x: Any, indices: Any, *, axis: int) -> Any:
    picks = wrapped("take", indices, x.shape[axis], axis)
    out = result(0, x.shape[:axis] + indices.shape + x.shape[axis + 1 :], x.dtype)
    _, size, trailing = _parts(x, axis)
    arguments = (contiguous(x), picks, out, picks.size, size, trailing, out.size)
    kernels("gather", x.dtype).over("take", arguments, out.size)
    return out


def _take_along_axis(x: Any, indices: Any, *, axis: int) -> Any:
    picks = wrapped("take_along_axis", indices, x.shape[axis], axis)
    out = result(0, indices.shape, x.dtype)
    _, size, trailing = _parts(x, axis)
    arguments = (contiguous(x), picks, out, indices.shape[axis], size, trailing, out.size)
    kernels("gather", x.dtype).over("take_along", arguments, out.size)
    return out


def _sorted(keys: Any) -> tuple[Any, Any]:
    """Sort the rows of contiguous ``(rows, n)`` keys stably; return them and where each was."""
    rows, n = keys.shape
    module = kernels("sort", keys.dtype)
    places = empty(keys.shape, _INT64)
    module.over("number_rows", (places, rows, n), places.size)
    width = 1
    spare = empty(keys.shape, keys.dtype), empty(keys.shape, _INT64)
    scratch = empty(keys.shape, keys.dtype)  # the argument itself is never written
    while width < n and keys.size:
        arguments = (keys, places, *spare, rows, n, width)
        module.over("merge_runs", arguments, keys.size)
        before = (scratch if width == 1 else keys), places
        (keys, places), spare = spare, before
        width *= 2
    return keys, places


def _segments(name: str, x: Any, picks: Any, updates: Any, shape: tuple[int, int, int]) -> Any:
    """Let updates meet the rows that flat indices name, in a copy of ``x``."""
    out = copy_into(result(0, x.shape, x.dtype), x)
    if updates.size:
        rows, order = _sorted(picks.reshape((1, -1)))
        arguments = (rows, order, contiguous(updates), out, picks.size, *shape[1:], updates.size)
        kernels("gather", x.dtype).over(name, arguments, updates.size)
    return out


def _scatter_add(x: Any, indices: Any, updates: Any, *, axis: int) -> Any:
    picks = wrapped("scatter_add", indices, x.shape[axis], axis)
    return _segments("add_segments", x, picks, updates, _parts(x, axis))


def _index_set(x: Any, indices: Any, updates: Any, *, axis: int) -> Any:
    picks = wrapped("index_set", indices, x.shape[axis], axis)
    return _segments("set_segments", x, picks, updates, _parts(x, axis))


def _scatter_add_along_axis(x: Any, indices: Any, updates: Any, *, axis: int) -> Any:
    picks = wrapped("scatter_add_along_axis", indices, x.shape[axis], axis)
    cells = empty((picks.size,), _INT64)
    _, size, trailing = _parts(x, axis)
    arguments = (picks, cells, indices.shape[axis], size, trailing, cells.size)
    kernels("gather", x.dtype).over("cells_along", arguments, cells.size)
    return _segments("add_segments", x, cells, updates, (1, x.size, 1))


def _argsort(x: Any, *, axis: int, descending: bool) -> Any:
    x = widened(x)
    if descending:  # an order-reversing map keeps ties stable and NaN last
        x = ELEMENTWISE["neg" if x.dtype.kind == "f" else "bitwise_invert"](x)
    order = (*[i for i in range(x.ndim) if i != axis], axis)
    ends = contiguous(permuted(x, order))
    n = x.shape[axis]
    _, places = _sorted(ends.reshape((math.prod(ends.shape[:-1]), n)))
    return permuted(places.reshape(ends.shape), tuple(np.argsort(order).tolist()))


INDEXING: Final[dict[str, Kernel]] = {
    "take": _take,
    "scatter_add": in_float32(_scatter_add),
    "take_along_axis": _take_along_axis,
    "scatter_add_along_axis": in_float32(_scatter_add_along_axis),
    "index_set": _index_set,
    "argsort": _argsort,
}
