"""Reductions of contiguous numbers in lanes: a fixed order that suits vector registers.

Element ``i`` of a row goes to lane ``i % 128``, four of a lane at a time where there are so many;
then the upper half of the lanes is folded onto the lower half until one is left. Short rows are
reduced one by one. So the result is a function of the numbers alone, whatever the width of the
registers, and the compiler needs no leave to reassociate: lanes are an array in the first-level
cache. A sum of n numbers has n / 512 + 10 additions in a row.

The functions take ``(x, start, stop, lanes, at)``: `LANES` numbers of scratch begin at
``lanes[at]``.
"""

from __future__ import annotations

from typing import Any, Final

from isograd_numba._jit import inlined
from isograd_numba._math import NEGATIVE_ZERO, real

__all__ = ["LANES", "SHORT", "row_peak", "row_sum"]

Array = Any
Scalar = Any

LANES: Final = 128
SHORT: Final = 32
"""Rows below this length are reduced one by one."""

_LOWEST = real(float("-inf"))


@inlined
def _add(a: Scalar, b: Scalar) -> Scalar:
    return a + b


@inlined
def _peak(a: Scalar, b: Scalar) -> Scalar:
    return b if b > a else a


def _in_lanes(combine: Any, identity: Any) -> Any:
    @inlined
    def row(x: Array, start: int, stop: int, lanes: Array, at: int) -> Scalar:
        if stop - start < SHORT:
            total = identity
            for i in range(start, stop):
                total = combine(total, x[i])
            return total
        width = min(stop - start, LANES)
        for lane in range(width):
            lanes[at + lane] = x[start + lane]
        fours = start + width + (stop - start - width) // (4 * LANES) * (4 * LANES)
        for i in range(start + width, fours, 4 * LANES):
            for j in range(LANES):
                upper = combine(x[i + j], x[i + LANES + j])
                lower = combine(x[i + 2 * LANES + j], x[i + 3 * LANES + j])
                lanes[at + j] = combine(lanes[at + j], combine(upper, lower))
        for i in range(fours, stop, LANES):
            for j in range(min(LANES, stop - i)):
                lanes[at + j] = combine(lanes[at + j], x[i + j])
        while width > 1:
            kept = (width + 1) // 2
            for j in range(at, at + width - kept):
                lanes[j] = combine(lanes[j], lanes[j + kept])
            width = kept
        return lanes[at]

    return row


row_sum = _in_lanes(_add, NEGATIVE_ZERO)
row_peak = _in_lanes(_peak, _LOWEST)
"""The maximum of what is not NaN, or NaN if there is one."""
