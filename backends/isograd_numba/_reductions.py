"""Sums over any axes, each in a tree that the sizes alone fix.

An array is seen as ``(outer, n, inner)``. Where ``inner`` is 1, blocks of `BLOCK` numbers are added
in lanes; else blocks of `HEIGHT` rows are added column by column. What the blocks give is added in
the same way, until one is left. Threads share the blocks.

NumPy's maximum and minimum are as fast as any that keep NaN, so they have no kernels here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_numba._arrays import FLOAT_DTYPES, contiguous
from isograd_numba._jit import FLOATS, compiled
from isograd_numba._lanes import LANES, row_sum

__all__ = ["BLOCK", "HEIGHT", "SMALLEST", "SMALLEST_ALONG", "WIDTH", "reduction_kernels"]

Array = Any

SMALLEST: Final = 2048
"""Elements from which the compiled kernels are used."""
SMALLEST_ALONG: Final = 16384
"""The same for sums over the last axis, which NumPy's functions take in one pass too."""
BLOCK: Final = 4096
HEIGHT: Final = 64
WIDTH: Final = 1024
_PARTS: Final = 64
_PART: Final = 1 << 15


@compiled("T[::1], int64, int64, T[::1], T[::1]", T=FLOATS, grain=2)
def _sum_along(
    start: int, stop: int, x: Array, n: int, parts: int, lanes: Array, out: Array
) -> None:
    blocks = (n + BLOCK - 1) // BLOCK
    for part in range(start, stop):
        for i in range(part * out.size // parts, (part + 1) * out.size // parts):
            row, first = i // blocks * n, i % blocks * BLOCK
            last = min(first + BLOCK, n)
            out[i] = row_sum(x, row + first, row + last, lanes, part * LANES)


@compiled("T[::1], int64, int64, int64, int64, T[::1]", T=FLOATS, grain=2)
def _sum_across(
    start: int, stop: int, x: Array, n: int, inner: int, parts: int, items: int, out: Array
) -> None:
    blocks = (n + HEIGHT - 1) // HEIGHT
    strips = (inner + WIDTH - 1) // WIDTH
    for part in range(start, stop):
        for item in range(part * items // parts, (part + 1) * items // parts):
            block, left = item // strips, item % strips * WIDTH
            width = min(WIDTH, inner - left)
            first = block % blocks * HEIGHT
            rest = min(first + HEIGHT, n) - first - 1
            source = (block // blocks * n + first) * inner + left
            to = block * inner + left
            for j in range(width):
                out[to + j] = x[source + j]
            source += inner
            for _ in range(rest // 4):
                for j in range(width):
                    upper = x[source + j] + x[source + inner + j]
                    lower = x[source + 2 * inner + j] + x[source + 3 * inner + j]
                    out[to + j] += upper + lower
                source += 4 * inner
            for _ in range(rest % 4):
                for j in range(width):
                    out[to + j] += x[source + j]
                source += inner


def _sum(x: Array, outer: int, n: int, inner: int) -> Array:
    """Sum the contiguous ``(outer, n, inner)`` over n; both arrays have one axis."""
    while n > 1:
        parts = min(max(x.size // _PART, 1), _PARTS)
        blocks = -(-n // (BLOCK if inner == 1 else HEIGHT))
        out = np.empty(outer * blocks * inner, x.dtype)
        if inner == 1:
            lanes = np.empty(parts * LANES, x.dtype)
            _sum_along[x.dtype](parts, x, n, parts, lanes, out)
        else:
            items = outer * blocks * -(-inner // WIDTH)
            _sum_across[x.dtype](parts, x, n, inner, parts, items, out)
        x, n = out, blocks
    return x


def _runs(shape: tuple[int, ...], axis: tuple[int, ...]) -> list[tuple[bool, int]]:
    """Return the sizes of runs of adjacent axes, and whether each is reduced."""
    sizes = ((i in axis, size) for i, size in enumerate(shape) if size != 1)
    runs = itertools.groupby(sizes, key=lambda entry: entry[0])
    return [(reduced, math.prod(size for _, size in run)) for reduced, run in runs]


def reduction_kernels(reference: Mapping[str, Kernel], /) -> dict[str, Kernel]:
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
    other = reference["sum"]

    def sum_(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        smallest = SMALLEST_ALONG if x.ndim - 1 in axis else SMALLEST
        if x.size < smallest or not axis or x.dtype not in FLOAT_DTYPES:
            return other(x, axis=axis, keepdims=keepdims)
        flat = contiguous(x).ravel()
        inner = 1
        for reduced, n in reversed(_runs(x.shape, axis)):
            if reduced:
                flat = _sum(flat, flat.size // (n * inner), n, inner)
            else:
                inner *= n
        shape = [1 if i in axis else s for i, s in enumerate(x.shape) if keepdims or i not in axis]
        return flat.reshape(shape)

    return {"sum": sum_}
