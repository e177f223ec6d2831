"""Long reductions in parts of a fixed shape: sums do not depend on the number of threads."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from isograd.backend.schedule import REDUCTIONS, Kernel, Loop, Param, Place, Store
from isograd.compiler.kernels import Builder, sliced
from isograd.compiler.views import contiguous
from isograd.ir.graph import Equation

if TYPE_CHECKING:
    from isograd.compiler.lower import Lowering

__all__ = ["split_reduction"]

_CHUNK = 1 << 14  # elements that one part has, about
_FEWEST, _MOST = 32, 4096  # parts


def split_reduction(
    lowering: Lowering, builder: Builder, kernel: Kernel, equation: Equation
) -> None:
    """Reduce in parts, then the parts: fewer terms each, and work for several threads."""
    sizes = [n if r else 0 for n, r in zip(kernel.shape, kernel.reduced, strict=True)]
    axis = sizes.index(max(sizes))
    chunks = min(_MOST, max(_FEWEST, prod(kernel.shape) // _CHUNK), sizes[axis])
    length, rest = sizes[axis] // chunks, sizes[axis] % chunks
    items = kernel.items
    kept = [i for i, r in enumerate(kernel.reduced) if not r]
    inner = dict(zip(kept, contiguous([kernel.shape[i] for i in kept]), strict=True))
    finals: list[tuple[Store, Param, Place]] = []
    params, dtypes = list(builder.params), list(kernel.params)
    stores: list[Store] = []
    for store in kernel.stores:
        node = kernel.nodes[store.node]
        if node.op not in REDUCTIONS:
            stores.append(store)
            continue
        count = chunks + bool(rest)
        memory = lowering.memory(node.dtype, count * items)
        part = Place(memory, 0, (count, items), (items, 1), node.dtype)
        finals.append((store, params[store.param], part))
        strides = tuple([inner.get(i, 0) for i in range(len(kernel.shape))])
        params.append(Param(memory, 0))
        dtypes.append(node.dtype)
        stores.append(Store(len(params) - 1, strides, store.node))
    whole = replace(kernel, stores=tuple(stores), params=tuple(dtypes))
    checks = tuple(builder.checks)
    for start, count, size, first in (
        (0, chunks, length, 0),
        (chunks * length, 1, rest, chunks),
    ):
        if not size:
            continue
        part, moved = sliced(whole, params, axis, start, count, size)
        fixed: list[Store] = []
        for store in part.stores:
            if part.nodes[store.node].op in REDUCTIONS:
                store = replace(store, strides=(items, *store.strides[1:]))
                moved[store.param] = Param(moved[store.param].buffer, first * items)
            fixed.append(store)
        part = replace(part, stores=tuple(fixed))
        lowering.schedule.steps.append(Loop(part, tuple(moved), checks, equation.line))
    for store, param, place in finals:
        shape = (place.shape[0], *[kernel.shape[i] for i in kept])
        last = Builder(shape, [True] + [False] * len(kept))
        value = last.load(place, (items, *[inner[i] for i in kept]))
        op = kernel.nodes[store.node].op
        total = last.add(op, (value,), place.dtype)
        target = replace(place, buffer=param.buffer, offset=param.offset)
        last.store(target, (0, *[store.strides[i] for i in kept]), total)
        lowering.finish(last, last.kernel(), equation)
