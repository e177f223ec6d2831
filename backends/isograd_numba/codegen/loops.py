"""Loops: a `Kernel` as a function that runs over a range of its work items.

``function(args, start, stop)`` takes the addresses of the kernel's parameters. A work item is one
index of the axes that are not reduced, or a block of the lane axis; what it computes depends on its
index alone. The lane axis is run through in vectors of a fixed width and one narrower one for the
rest, so the order of every sum is a function of the sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from isograd.backend.schedule import Kernel
from isograd_numba.codegen.emitter import BLOCK, Emitter, blocks_of, width_of

__all__ = ["emit_loop", "emit_tile", "work_items"]


def work_items(kernel: Kernel) -> int:
    """Return how many work items a kernel has."""
    outer = [
        n
        for i, (n, r) in enumerate(zip(kernel.shape, kernel.reduced, strict=True))
        if not r and i != kernel.lane
    ]
    return prod(outer) * blocks_of(kernel)


def emit_loop(module: Any, name: str, kernel: Kernel, /) -> None:
    """Add to a module the function ``name(args, start, stop)`` of a kernel."""
    e = Emitter(module, name, kernel, 0)
    _, start, stop = e.function.args
    blocks = blocks_of(kernel)
    b, const = e.builder, e.w.const
    # The indices of the first work item, then counted on.
    sizes = [*[kernel.shape[a] for a in e.outer], blocks]
    counters: list[Any] = []
    rest = start
    for size in reversed(sizes):
        counters.insert(0, b.urem(rest, const(size)) if size > 1 else const(0))
        rest = b.udiv(rest, const(size)) if size > 1 else rest
    places = [e.alloca(e.w.i64) if n > 1 else None for n in sizes]
    for place, value in zip(places, counters, strict=True):
        if place is not None:
            b.store(value, place)
    with e.loop(start, stop):
        values = [const(0) if p is None else b.load(p) for p in places]
        for axis, value in zip(e.outer, values, strict=False):
            e.index[axis] = value
        if e.lane_kept:
            size = kernel.shape[e.lane]
            step = size if blocks == 1 else BLOCK if not any(kernel.reduced) else width_of(kernel)
            first = b.mul(values[-1], const(step))
            last = b.add(first, const(step))
            if size % step:
                last = b.select(b.icmp_signed("<", last, const(size)), last, const(size))
            with e.scope():
                e.prepare(0)
                for _ in e.lanes(e.lane, first, last):
                    e.lane_body()
        else:
            e.item()
        carry: Any = None
        for place, value, size in reversed(list(zip(places, values, sizes, strict=True))):
            if place is None:
                continue
            step = const(1) if carry is None else b.zext(carry, e.w.i64)
            value = b.add(value, step)
            carry = b.icmp_signed("==", value, const(size))
            b.store(b.select(carry, const(0), value), place)
    e.finish()


def emit_tile(module: Any, name: str, kernel: Kernel, axes: tuple[int, int], panel: int, /) -> None:
    """Add ``name(args, matrix, row, rows, column, columns)``: a kernel on a part of a product.

    ``axes`` says how many of the kernel's axes the batch has, and how many the rows; the last axis
    is that of the columns. Parts begin at multiples of ``panel`` columns.
    """
    e = Emitter(module, name, kernel, 3)
    e.full = min(e.full, panel)
    _, matrix, row, rows, column, columns = e.function.args
    b, const = e.builder, e.w.const

    def unravelled(number: Any, members: Sequence[int]) -> None:
        for axis in reversed(members):
            size = kernel.shape[axis]
            e.index[axis] = number if axis == members[0] else b.urem(number, const(size))
            number = b.udiv(number, const(size))

    unravelled(matrix, range(axes[0]))
    size = kernel.shape[e.lane]
    with e.loop(row, rows) as i:
        unravelled(i, range(axes[0], axes[0] + axes[1]))
        with e.scope():
            e.prepare(0)
            width = e.full
            # Panels begin at multiples of the width, so only the last one is narrower.
            whole = size - size % width
            if whole:
                e.width = width
                end = b.select(b.icmp_signed("<", columns, const(whole)), columns, const(whole))
                with e.loop(column, end, width) as j, e.scope():
                    e.index[e.lane] = j
                    e.lane_body()
            if whole != size:
                e.width = size - whole
                with b.if_then(b.icmp_signed("==", columns, const(size))), e.scope():
                    e.index[e.lane] = const(whole)
                    e.lane_body()
            e.width = 0
    e.finish()
