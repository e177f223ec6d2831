"""Gathering and scattering along an axis: one pass, no array of flat positions.

NumPy's `take` copies whole rows, so it has no kernel here. Updates of one place of the result are
added by one thread, in the order of their indices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel, check_indices
from isograd_numba._arrays import FLOAT_DTYPES, contiguous
from isograd_numba._jit import FLOATS, compiled

__all__ = ["SMALLEST", "indexing_kernels"]

Array = Any

SMALLEST: Final = 256
"""Elements of the updates, or of the result of a gather, from which compiled kernels are used."""
_PART: Final = 1 << 14
_PARTS: Final = 64


@compiled("T[::1], int64[::1], int64, int64, int64, int64, T[::1]", T=FLOATS, grain=2)
def _take_along_axis(
    start: int,
    stop: int,
    x: Array,
    indices: Array,
    outer: int,
    size: int,
    inner: int,
    parts: int,
    out: Array,
) -> None:
    n = indices.size // (outer * inner)
    for part in range(start, stop):
        for o in range(part * outer // parts, (part + 1) * outer // parts):
            for i in range(o * n, (o + 1) * n):
                for j in range(inner):
                    index = indices[i * inner + j]
                    row = o * size + (index + size if index < 0 else index)
                    out[i * inner + j] = x[row * inner + j]


@compiled("T[::1], int64[::1], int64, int64, int64, int64, T[::1]", T=FLOATS, grain=2)
def _scatter_add_along_axis(
    start: int,
    stop: int,
    updates: Array,
    indices: Array,
    outer: int,
    size: int,
    inner: int,
    parts: int,
    out: Array,
) -> None:
    n = indices.size // (outer * inner)
    for part in range(start, stop):
        for o in range(part * outer // parts, (part + 1) * outer // parts):
            for i in range(o * n, (o + 1) * n):
                for j in range(inner):
                    index = indices[i * inner + j]
                    row = o * size + (index + size if index < 0 else index)
                    out[row * inner + j] += updates[i * inner + j]


@compiled("T[::1], int64[::1], int64, int64, int64, int64, T[::1]", T=FLOATS, grain=2)
def _scatter_add(
    start: int,
    stop: int,
    updates: Array,
    indices: Array,
    outer: int,
    size: int,
    inner: int,
    parts: int,
    out: Array,
) -> None:
    n = indices.size
    for part in range(start, stop):
        low, high = part * outer * inner // parts, (part + 1) * outer * inner // parts
        for o in range(low // inner, (high + inner - 1) // inner):
            left = max(low - o * inner, 0)
            width = min(high - o * inner, inner) - left
            for i in range(n):
                index = indices[i]
                row = o * size + (index + size if index < 0 else index)
                to = row * inner + left
                source = (o * n + i) * inner + left
                for j in range(width):
                    out[to + j] += updates[source + j]


def indexing_kernels(reference: Mapping[str, Kernel], /) -> dict[str, Kernel]:
    """Return the compiled kernels of these primitives.

    Parameters
    ----------
    reference
        Kernels by primitive that take what the compiled ones leave.

    Returns
    -------
    dict
        From the primitive's name to its kernel.
    """

    def is_small(x: Array, items: int) -> bool:
        return items < SMALLEST or x.dtype not in FLOAT_DTYPES

    def picks(indices: Array) -> Array:
        return contiguous(indices.astype(np.int64, copy=False)).ravel()

    def sizes(x: Array, axis: int, items: int) -> tuple[int, int, int, int]:
        outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        return outer, x.shape[axis], inner, min(max(items // _PART, 1), _PARTS)

    def scatter_add(x: Array, indices: Array, updates: Array, *, axis: int) -> Array:
        if is_small(x, updates.size):
            return reference["scatter_add"](x, indices, updates, axis=axis)
        check_indices("scatter_add", indices, x.shape[axis], axis)
        out = np.array(x, order="C")
        numbers = sizes(x, axis, updates.size)
        arrays = (contiguous(updates).ravel(), picks(indices))
        _scatter_add[x.dtype](numbers[-1], *arrays, *numbers, out.ravel())
        return out

    def take_along_axis(x: Array, indices: Array, *, axis: int) -> Array:
        if is_small(x, indices.size):
            return reference["take_along_axis"](x, indices, axis=axis)
        check_indices("take_along_axis", indices, x.shape[axis], axis)
        out = np.empty(indices.shape, x.dtype)
        numbers = sizes(x, axis, indices.size)
        arrays = (contiguous(x).ravel(), picks(indices))
        _take_along_axis[x.dtype](numbers[-1], *arrays, *numbers, out.ravel())
        return out

    def scatter_add_along_axis(x: Array, indices: Array, updates: Array, *, axis: int) -> Array:
        if is_small(x, updates.size):
            return reference["scatter_add_along_axis"](x, indices, updates, axis=axis)
        check_indices("scatter_add_along_axis", indices, x.shape[axis], axis)
        out = np.array(x, order="C")
        numbers = sizes(x, axis, updates.size)
        arrays = (contiguous(updates).ravel(), picks(indices))
        kernel = _scatter_add_along_axis[x.dtype]
        kernel(numbers[-1], *arrays, *numbers, out.ravel())
        return out

    return {
        "scatter_add": scatter_add,
        "take_along_axis": take_along_axis,
        "scatter_add_along_axis": scatter_add_along_axis,
    }
