"""Gathering, scattering and sorting along an axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from isograd.backend import Kernel, check_indices
from isograd_numpy.common import flat

__all__ = ["INDEXING"]

_CELLS = 1 << 16  # flat positions computed at a time


def _wide(x: np.ndarray) -> np.ndarray:
    """Return 16-bit floats as float32."""
    half = x.dtype.itemsize == 2 and x.dtype.kind not in "biu"
    return x.astype(np.float32) if half else x


def _wrapped(indices: np.ndarray, size: int) -> np.ndarray:
    """Return valid indices as contiguous int64 in [0, size)."""
    out = indices.astype(np.int64)
    out[out < 0] += size
    return out


def _take(x: np.ndarray, indices: np.ndarray, *, axis: int) -> np.ndarray:
    # numpy.take copies an array that is not contiguous, whatever few rows are asked for.
    try:
        if x.flags.c_contiguous:
            return x.take(indices, axis=axis)
        return x[(slice(None),) * axis + (indices,)]
    except IndexError:
        check_indices("take", indices, x.shape[axis], axis)
        raise


def _cells(
    x: np.ndarray, indices: np.ndarray, axis: int
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield (leading slice, slice of indices, flat positions in x), in C order of the updates."""
    size = x.shape[axis]
    leading, trailing = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    picks = _wrapped(flat(indices), size)
    within = picks[:, None] * trailing + np.arange(trailing)
    lead_step = max(1, _CELLS // max(1, within.size))
    pick_step = max(1, _CELLS // max(1, trailing)) if lead_step == 1 else max(1, picks.size)
    for i in range(0, leading, lead_step):
        lead = slice(i, min(i + lead_step, leading))
        starts = np.arange(lead.start, lead.stop) * (size * trailing)
        for j in range(0, picks.size, pick_step):
            part = slice(j, min(j + pick_step, picks.size))
            yield lead, part, starts[:, None, None] + within[part]


def _scatter_add(
    x: np.ndarray, indices: np.ndarray, updates: np.ndarray, *, axis: int
) -> np.ndarray:
    check_indices("scatter_add", indices, x.shape[axis], axis)
    out = np.array(_wide(x), order="C")
    if updates.size:
        target = out.reshape(-1)
        shape = (math.prod(x.shape[:axis]), indices.size, -1)
        blocks = _wide(updates).reshape(shape)
        # numpy.add.at adds in order, and is fast only for one flat index array.
        for lead, part, cells in _cells(x, indices, axis):
            np.add.at(target, cells.reshape(-1), blocks[lead, part].reshape(-1))
    return out.astype(x.dtype, copy=False)


def _index_set(x: np.ndarray, indices: np.ndarray, updates: np.ndarray, *, axis: int) -> np.ndarray:
    check_indices("index_set", indices, x.shape[axis], axis)
    out = np.array(x, order="C")
    if updates.size:
        # With one flat index array NumPy assigns in its order, so the last duplicate wins.
        target = out.reshape(math.prod(x.shape[:axis]), x.shape[axis], -1)
        target[:, flat(indices)] = updates.reshape(target.shape[0], indices.size, -1)
    return out


def _along(x: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    """Return the flat positions of the indexed elements in a C-contiguous ``x``."""
    trailing = math.prod(x.shape[axis + 1 :])
    size = x.shape[axis]
    shape = (math.prod(x.shape[:axis]), indices.shape[axis], trailing)
    picks = _wrapped(indices, size).reshape(shape)
    picks *= trailing
    picks += np.arange(trailing)
    picks += np.arange(shape[0])[:, None, None] * (size * trailing)
    return picks


def _take_along_axis(x: np.ndarray, indices: np.ndarray, *, axis: int) -> np.ndarray:
    check_indices("take_along_axis", indices, x.shape[axis], axis)
    if not indices.size:
        return np.empty(indices.shape, x.dtype)
    return flat(x).take(_along(x, indices, axis)).reshape(indices.shape)


def _scatter_add_along_axis(
    x: np.ndarray, indices: np.ndarray, updates: np.ndarray, *, axis: int
) -> np.ndarray:
    check_indices("scatter_add_along_axis", indices, x.shape[axis], axis)
    out = np.array(_wide(x), order="C")
    if indices.size:
        cells = _along(x, indices, axis)
        np.add.at(out.reshape(-1), cells.reshape(-1), flat(_wide(updates)))
    return out.astype(x.dtype, copy=False)


def _argsort(x: np.ndarray, *, axis: int, descending: bool) -> np.ndarray:
    integer = x.dtype.kind in "biu"
    x = _wide(x)
    if descending:  # an order-reversing map keeps ties stable and NaN last
        x = np.invert(x) if integer else np.negative(x)
    return x.argsort(axis=axis, kind="stable").astype(np.int64, copy=False)


INDEXING: Final[dict[str, Kernel]] = {
    "take": _take,
    "scatter_add": _scatter_add,
    "index_set": _index_set,
    "take_along_axis": _take_along_axis,
    "scatter_add_along_axis": _scatter_add_along_axis,
    "argsort": _argsort,
}
