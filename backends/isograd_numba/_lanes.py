"""Reductions of contiguous numbers in sixteen lanes: a fixed order that vector registers can hold.

Element ``i`` of a block goes to lane ``i % 16``, and the lanes are combined as a balanced tree;
the elements behind the last full sixteen are combined one by one, and come last. So the result is
a function of the numbers alone, whatever the width of the registers, and the compiler needs no
leave to reassociate.

The functions take ``(x, y, start, stop, lanes, at)``: sixteen numbers of scratch begin at
``lanes[at]``. They may lie anywhere, as they are written before they are read.
"""

from __future__ import annotations

from typing import Any, Final

from isograd_numba._jit import inlined
from isograd_numba._math import INFINITY, NEGATIVE_ZERO, real

__all__ = ["BLOCK", "LANES", "add", "block_max", "block_min", "block_sum", "larger", "row_dot"]
__all__ += ["row_peak", "row_sum", "smaller"]

Array = Any
Scalar = Any

LANES: Final = 16
BLOCK: Final = 1024
"""Elements that one block adds: 64 additions in a lane."""
_SUPERBLOCK: Final = 64 * BLOCK

LOWEST = real(float("-inf"))


@inlined
def add(a: Scalar, b: Scalar) -> Scalar:
    """Return the sum."""
    return a + b


@inlined
def larger(a: Scalar, b: Scalar) -> Scalar:
    """Return the larger number, NaN if one is NaN."""
    return a if (a >= b) | (a != a) else b


@inlined
def smaller(a: Scalar, b: Scalar) -> Scalar:
    """Return the smaller number, NaN if one is NaN."""
    return a if (a <= b) | (a != a) else b


@inlined
def _peak(a: Scalar, b: Scalar) -> Scalar:
    return b if b > a else a


@inlined
def _element(x: Array, _: Array, i: int) -> Scalar:
    return x[i]


@inlined
def _product(x: Array, y: Array, i: int) -> Scalar:
    return x[i] * y[i]


def _in_lanes(combine: Any, load: Any, identity: Any) -> Any:
    @inlined
    def block(x: Array, y: Array, start: int, stop: int, lanes: Array, at: int) -> Scalar:
        full = stop - (stop - start) % 16
        rest = identity
        for i in range(full, stop):
            rest = combine(rest, load(x, y, i))
        if full == start:
            return rest
        for lane in range(16):
            lanes[at + lane] = load(x, y, start + lane)
        for i in range(start + 16, full, 16):
            for lane in range(16):
                lanes[at + lane] = combine(lanes[at + lane], load(x, y, i + lane))
        for width in (8, 4, 2, 1):
            for lane in range(width):
                lanes[at + lane] = combine(lanes[at + lane], lanes[at + lane + width])
        return combine(lanes[at], rest)

    return block


block_sum = _in_lanes(add, _element, NEGATIVE_ZERO)
block_max = _in_lanes(larger, _element, LOWEST)
block_min = _in_lanes(smaller, _element, INFINITY)
row_peak = _in_lanes(_peak, _element, LOWEST)  # the maximum of what is not NaN
_block_dot = _in_lanes(add, _product, NEGATIVE_ZERO)


def _in_blocks(block: Any) -> Any:
    """Return a function that adds up blocks, and blocks of blocks, so that no sum gets long."""

    @inlined
    def row(x: Array, y: Array, start: int, stop: int, lanes: Array, at: int) -> Scalar:
        total = NEGATIVE_ZERO
        for first in range(start, stop, _SUPERBLOCK):
            last = min(first + _SUPERBLOCK, stop)
            part = NEGATIVE_ZERO
            for i in range(first, last, BLOCK):
                part += block(x, y, i, min(i + BLOCK, last), lanes, at)
            total += part
        return total

    return row


row_sum = _in_blocks(block_sum)
row_dot = _in_blocks(_block_dot)
