"""Reductions of a row of contiguous numbers, in an order that suits vector registers and is fixed.

A sum adds element ``i`` to lane ``i % 128`` and then folds the upper half of the lanes onto the
lower one until one is left; short rows are added one by one. So the result is a function of the
numbers alone, whatever the width of the registers, and the compiler needs no leave to reassociate:
lanes are an array in the first-level cache. A maximum is one of integers that have the order of
the numbers; it has one value in any order.
"""

from __future__ import annotations

from typing import Any, Final

from isograd_numba._jit import inlined
from isograd_numba._math import NEGATIVE_ZERO, from_ordered, ordered

__all__ = ["LANES", "SHORT", "row_peak", "row_sum"]

Array = Any
Scalar = Any

LANES: Final = 128
SHORT: Final = 32
"""Rows below this length are added one by one."""


@inlined
def row_sum(x: Array, start: int, stop: int, lanes: Array, at: int) -> Scalar:
    """Return the sum of ``x[start:stop]``; `LANES` numbers of scratch begin at ``lanes[at]``."""
    total = NEGATIVE_ZERO
    if stop - start < SHORT:
        for i in range(start, stop):
            total += x[i]
        return total
    for j in range(LANES):
        lanes[at + j] = NEGATIVE_ZERO
    for i in range(start, stop, LANES):
        for j in range(min(LANES, stop - i)):
            lanes[at + j] += x[i + j]
    for j in range(LANES // 2):
        lanes[at + j] += lanes[at + LANES // 2 + j]
    for j in range(LANES // 4):
        lanes[at + j] += lanes[at + LANES // 4 + j]
    for j in range(LANES // 8):
        lanes[at + j] += lanes[at + LANES // 8 + j]
    for j in range(LANES // 16):
        lanes[at + j] += lanes[at + LANES // 16 + j]
    for j in range(4):
        total += lanes[at + j] + lanes[at + 4 + j]
    return total


@inlined
def row_peak(x: Array, start: int, stop: int) -> Scalar:
    """Return the maximum of ``x[start:stop]``, not empty; any of its values if one is NaN."""
    peak = ordered(x[start])
    for i in range(start + 1, stop):
        key = ordered(x[i])
        peak = key if key > peak else peak
    return from_ordered(peak)
