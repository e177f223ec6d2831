"""The emitter: what a kernel's function does for one work item, as LLVM instructions.

Values are computed at the outermost loop that they depend on. Reductions have a register for each
lane, and what is costly and needed again after a reduction is kept in a row on the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from isograd.backend.schedule import REDUCTIONS, Kernel, Node, Store
from isograd_numba.codegen import dialect
from isograd_numba.codegen.numbers import Number, Writer, select

__all__ = ["BLOCK", "Emitter", "blocks_of", "width_of"]

BLOCK = 4096  # elements of the lane axis that are one work item
WIDTH = {1: 32, 2: 32, 4: 32, 8: 16, 16: 8}  # values in a vector, by the bytes of the widest dtype
SCRATCH = 1 << 14  # values of a row that are kept on the stack rather than computed twice


def width_of(kernel: Kernel) -> int:
    """Return how many values a vector of a kernel has."""
    sizes = [np.dtype(n.dtype).itemsize for n in kernel.nodes if n.op not in ("index", "wrap")]
    return WIDTH[max(sizes, default=4)]


def blocks_of(kernel: Kernel) -> int:
    """Return how many work items the lane axis makes."""
    if kernel.lane < 0 or kernel.reduced[kernel.lane]:
        return 1
    size = BLOCK if not any(kernel.reduced) else width_of(kernel)
    return max(1, -(-kernel.shape[kernel.lane] // size))


class Emitter:
    """Writes the function of one kernel."""

    def __init__(self, module: Any, name: str, kernel: Kernel, extra: int) -> None:
        writer = Writer(None)
        ir = writer.ir
        self.kernel = kernel
        signature = ir.FunctionType(
            ir.VoidType(), [writer.i64.as_pointer(), *[writer.i64] * (2 + extra)]
        )
        self.function = ir.Function(module, signature, name)
        self.entry = self.function.append_basic_block("entry")
        self.builder = ir.IRBuilder(self.function.append_basic_block("body"))
        writer.builder = self.builder
        self.w = writer
        self.params = [self._argument(i) for i in range(len(kernel.params))]
        self.axes, self.phases = kernel.axes, kernel.phases
        self.lane = kernel.lane
        self.lane_kept = self.lane >= 0 and not kernel.reduced[self.lane]
        inner = [i for i, r in enumerate(kernel.reduced) if r and i != self.lane]
        self.inner = inner + ([self.lane] if self.lane >= 0 and not self.lane_kept else [])
        self.outer = [i for i, r in enumerate(kernel.reduced) if not r and i != self.lane]
        self.index: dict[int, Any] = {}
        #: Values by node, for the scopes that are open, innermost last.
        self.scopes: list[dict[int, Number]] = [{}]
        self.totals: dict[int, Any] = {}
        self.saved: dict[int, Any] = {}
        #: Rows that the present phase writes, which the next one reads.
        self.pending: dict[int, Any] = {}
        self.keeping: list[int] = []
        self.width = 0
        self.full = width_of(kernel)

    def _argument(self, number: int) -> Any:
        builder = self.w.ir.IRBuilder(self.entry)
        return builder.load(builder.gep(self.function.args[0], [self.w.const(number)]))

    def finish(self) -> None:
        self.builder.ret_void()
        self.w.ir.IRBuilder(self.entry).branch(self.function.basic_blocks[1])

    # -- control -----------------------------------------------------------------------------------

    @contextmanager
    def loop(self, start: Any, stop: Any, step: int = 1) -> Generator[Any]:
        """Repeat the body for ``start, start + step...`` below ``stop``."""
        b = self.builder
        before = b.block
        head, body, done = [b.append_basic_block(n) for n in ("head", "loop", "done")]
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(self.w.i64)
        index.add_incoming(start, before)
        b.cbranch(b.icmp_signed("<", index, stop), body, done)
        b.position_at_end(body)
        yield index
        index.add_incoming(b.add(index, self.w.const(step)), b.block)
        b.branch(head)
        b.position_at_end(done)

    @contextmanager
    def scope(self) -> Generator[None]:
        self.scopes.append({})
        yield
        self.scopes.pop()

    def alloca(self, kind: Any, count: int = 1) -> Any:
        builder = self.w.ir.IRBuilder(self.entry)
        return builder.alloca(kind, size=count)

    # -- levels ------------------------------------------------------------------------------------

    def level(self, number: int) -> int:
        """Return how deep a node must be computed: 0 for a work item, then the loops inside."""
        axes = self.axes[number]
        depths = [2 + i for i, a in enumerate(self.inner) if a in axes]
        return max([*depths, int(self.lane in axes and self.lane_kept)], default=0)

    def store_level(self, store: Store) -> int:
        """Return how deep a value must be written: it may be spread along more axes than it has."""
        deep = [2 + i for i, a in enumerate(self.inner) if store.strides[a]]
        return max([self.level(store.node), *deep])

    def closure(self, targets: Iterable[int], stop: Callable[[int], bool]) -> list[int]:
        """Return what some nodes are computed from, in order, up to nodes where ``stop`` holds."""
        found: set[int] = set()
        todo = list(targets)
        while todo:
            number = todo.pop()
            if number in found or stop(number):
                continue
            found.add(number)
            todo.extend(self.kernel.nodes[number].args)
        return sorted(found)

    # -- values ------------------------------------------------------------------------------------

    def get(self, number: int) -> Number:
        for scope in reversed(self.scopes):
            if number in scope:
                return scope[number]
        made = self.compute(number)
        self.scopes[-1][number] = made
        return made

    def offset(self, strides: Sequence[int], *, lane: bool) -> Any:
        """Return the elements from the start to the present index, with or without the lane's."""
        b, total = self.builder, None
        for axis, step in enumerate(strides):
            if not step or axis not in self.index or (axis == self.lane and not lane):
                continue
            term = self.index[axis]
            if step != 1:
                term = b.mul(term, self.w.const(step))
            total = term if total is None else b.add(total, term)
        return self.w.const(0) if total is None else total

    def address(self, param: int, offset: Any) -> Any:
        item = np.dtype(self.kernel.params[param]).itemsize
        return self.builder.add(self.params[param], self.builder.mul(offset, self.w.const(item)))

    def memory_type(self, dtype: str) -> Any:
        return self.w.byte if dtype == "bool" else self.w.scalar_type(dtype)

    def read(self, address: Any, dtype: str, width: int) -> Number:
        kind = self.memory_type(dtype)
        if width:
            kind = self.w.ir.VectorType(kind, width)
        value = self.builder.load(self.builder.inttoptr(address, kind.as_pointer()))
        value.align = np.dtype(dtype).alignment
        made = Number(self.w, value, "uint8" if dtype == "bool" else dtype, width)
        return made != 0 if dtype == "bool" else made

    def write(self, address: Any, value: Number) -> None:
        raw = value.astype("uint8").value if value.dtype == "bool" else value.value
        store = self.builder.store(raw, self.builder.inttoptr(address, raw.type.as_pointer()))
        store.align = np.dtype(value.dtype).alignment

    def element(self, value: Number, i: int) -> Number:
        got = self.builder.extract_element(value.value, self.w.i32(i))
        return Number(self.w, got, value.dtype, 0)

    def joined(self, parts: list[Number]) -> Number:
        kind = self.w.type(parts[0].dtype, len(parts))
        vector = self.w.ir.Constant(kind, self.w.ir.Undefined)
        for i, part in enumerate(parts):
            vector = self.builder.insert_element(vector, part.value, self.w.i32(i))
        return Number(self.w, vector, parts[0].dtype, len(parts))

    def fetch(self, param: int, strides: Sequence[int], dtype: str) -> Number:
        start = self.address(param, self.offset(strides, lane=True))
        step = strides[self.lane] if self.lane >= 0 else 0
        if not (self.width and step):
            return self.read(start, dtype, 0)
        if step == 1:
            return self.read(start, dtype, self.width)
        item = np.dtype(dtype).itemsize
        return self.joined(
            [
                self.read(self.builder.add(start, self.w.const(i * step * item)), dtype, 0)
                for i in range(self.width)
            ]
        )

    def compute(self, number: int) -> Number:
        node = self.kernel.nodes[number]
        if number in self.saved and self.saved[number] is not None:
            return self.restore(number)
        if node.op == "load":
            return self.fetch(node.static[0], node.static[1], node.dtype)
        if node.op == "const":
            return self.w.number(node.static[0], node.dtype)
        if node.op == "index":
            return self.position(node)
        if node.op in REDUCTIONS:
            return self.total(number)
        args = [self.get(a) for a in node.args]
        if node.op == "wrap":
            return self.wrapped(number, args[0])
        if node.op == "gather":
            return self.gathered(node, args)
        if node.op == dialect.CAST:
            return args[0].astype(node.dtype)
        return dialect.apply(node.op, args, dict(node.static))

    def position(self, node: Node) -> Number:
        strides, start, step = node.static
        at = self.builder.mul(self.offset(strides, lane=True), self.w.const(step))
        made = Number(self.w, self.builder.add(at, self.w.const(start)), "int64", 0)
        by = strides[self.lane] * step if self.lane >= 0 else 0
        if self.width and by:
            kind = self.w.ir.VectorType(self.w.i64, self.width)
            steps = self.w.ir.Constant(kind, [by * i for i in range(self.width)])
            made = self.w.splat(made, self.width) + Number(self.w, steps, "int64", self.width)
        return made.astype(node.dtype)

    def wrapped(self, number: int, index: Number) -> Number:
        """Count an index from the start; report one that is out of range."""
        wraps = [i for i, n in enumerate(self.kernel.nodes) if n.op == "wrap"]
        size = self.kernel.nodes[number].static[0]
        wrapped = select(index < 0, index + size, index)
        wrong = (wrapped < 0) | (wrapped >= size)
        b, flag = self.builder, wrong.value
        if wrong.width:
            mask = self.w.ir.IntType(wrong.width)
            flag = b.icmp_unsigned("!=", b.bitcast(flag, mask), mask(0))
        with b.if_then(flag, likely=False):
            at = self._argument(len(self.params))
            at = b.add(at, self.w.const(16 * wraps.index(number)))
            bad = index
            if wrong.width:
                bad = self.element(index, 0)
                for i in range(1, wrong.width):
                    bad = select(self.element(wrong, i), self.element(index, i), bad)
            self.write(at, self.w.number(1, "int64"))
            self.write(b.add(at, self.w.const(8)), bad)
        return select(wrong, self.w.number(0, "int64"), wrapped)

    def gathered(self, node: Node, args: list[Number]) -> Number:
        param, strides, steps = node.static
        base, item = self.offset(strides, lane=True), np.dtype(node.dtype).itemsize
        step = strides[self.lane] if self.lane >= 0 else 0

        def start(indices: list[Number], more: int) -> Any:
            at = base
            for index, by in zip(indices, steps, strict=True):
                at = self.builder.add(at, self.builder.mul(index.value, self.w.const(by)))
            return self.builder.add(self.address(param, at), self.w.const(more * item))

        if not any(a.width for a in args):
            if not (self.width and step):
                return self.read(start(args, 0), node.dtype, 0)
            if step == 1:
                return self.read(start(args, 0), node.dtype, self.width)
        lanes = [[self.element(a, i) if a.width else a for a in args] for i in range(self.width)]
        parts = [self.read(start(one, i * step), node.dtype, 0) for i, one in enumerate(lanes)]
        return self.joined(parts)

    # -- reductions --------------------------------------------------------------------------------

    def identity(self, node: Node) -> Number:
        return self.w.number(_identity(node.op, node.dtype), node.dtype)

    def open_total(self, number: int) -> None:
        """Make room for a running reduction: a register for each lane."""
        node = self.kernel.nodes[number]
        lanes = self.lane in self.axes[node.args[0]]
        width = self.width if self.lane_kept and lanes else 0
        if not self.lane_kept:
            width = min(self.full, self.kernel.shape[self.lane])
        kind = self.w.type(node.dtype, width)
        memory = self.alloca(kind)
        start = self.identity(node)
        start = self.w.splat(start, width) if width else start
        self.builder.store(start.value, memory)
        self.totals[number] = (memory, width)

    def add_total(self, number: int) -> None:
        node = self.kernel.nodes[number]
        memory, width = self.totals[number]
        value = self.get(node.args[0])
        now = Number(self.w, self.builder.load(memory), node.dtype, width)
        if not self.lane_kept and self.width:
            value = self.w.splat(value, self.width)
        if width and value.width != width:
            value = self.widened(value, width, self.identity(node)) if value.width else value
        self.builder.store(_combined(node.op, now, value).value, memory)

    def widened(self, value: Number, width: int, rest: Number) -> Number:
        """Return a wider register with ``rest`` in the places that are new."""
        filler = self.w.splat(rest, value.width)
        order = [i if i < value.width else value.width for i in range(width)]
        picks = self.w.ir.Constant(self.w.ir.VectorType(self.w.i32, width), order)
        wide = self.builder.shuffle_vector(value.value, filler.value, picks)
        return Number(self.w, wide, value.dtype, width)

    def total(self, number: int) -> Number:
        """Return a reduction that is complete; lanes are combined in halves."""
        node = self.kernel.nodes[number]
        memory, width = self.totals[number]
        value = Number(self.w, self.builder.load(memory), node.dtype, width)
        if self.lane_kept or not width:
            return value
        size = 1 << (width - 1).bit_length()
        if size != width:
            value = self.widened(value, size, self.identity(node))
        while size > 1:
            size //= 2
            halves: list[Number] = []
            for first in (0, size):
                kind = self.w.ir.VectorType(self.w.i32, size)
                picks = self.w.ir.Constant(kind, list(range(first, first + size)))
                half = self.builder.shuffle_vector(value.value, value.value, picks)
                halves.append(Number(self.w, half, value.dtype, size))
            value = _combined(node.op, *halves)
        return self.element(value, 0)

    # -- rows that are kept ------------------------------------------------------------------------

    def row_place(self, number: int) -> Any:
        """Return the address in the kept row for the present index."""
        at: Any = self.w.const(0)
        for axis in self.inner:
            size = self.kernel.shape[axis]
            at = self.builder.add(self.builder.mul(at, self.w.const(size)), self.index[axis])
        item = np.dtype(self.kernel.nodes[number].dtype).itemsize
        by = item * (self.width or 1) if self.lane_kept else item
        at = self.builder.mul(at, self.w.const(by))
        return self.builder.add(self.builder.ptrtoint(self.saved[number], self.w.i64), at)

    def keep(self, number: int, value: Number) -> None:
        width = self.width
        self.write(self.row_place(number), self.w.splat(value, width) if width else value)

    def restore(self, number: int) -> Number:
        dtype = self.kernel.nodes[number].dtype
        # What does not change along the lane is one number, as it was before it was kept.
        width = self.width if self.lane in self.axes[number] else 0
        return self.read(self.row_place(number), dtype, width)

    # -- the nest ----------------------------------------------------------------------------------

    def item(self) -> None:
        """Write what is done for one index of the outer axes."""
        with self.scope():
            self.prepare(0)
            if not self.lane_kept:
                self.phases_of_item()
                self.write_stores([s for s in self.kernel.stores if self.store_level(s) < 2])

    def prepare(self, level: int) -> None:
        """Compute the nodes of a level that wait for no reduction, before the loops inside."""
        for number in range(len(self.kernel.nodes)):
            if self.level(number) == level and self.phases[number] == 0:
                self.get(number)

    def phases_of_item(self) -> None:
        if not self.inner:
            return
        kernel = self.kernel
        last = max(self.phases, default=0)
        self.saved = {}
        for phase in range(last + 1):
            reductions = [
                n
                for n, node in enumerate(kernel.nodes)
                if node.op in REDUCTIONS and self.phases[n] == phase + 1
            ]
            stores = [
                s
                for s in kernel.stores
                if self.store_level(s) >= 2 and self.phases[s.node] == phase
            ]
            targets = [a for n in reductions for a in kernel.nodes[n].args]
            targets += [s.node for s in stores]
            if not targets:
                continue
            for number in reductions:
                self.open_total(number)
            # Values outside the loops must be there before them.
            for number in self.closure(targets, lambda n: False):
                if self.level(number) < 2 and self.phases[number] <= phase:
                    self.get(number)
            self.plan_rows(phase, targets)
            with self.scope():
                self.nest(0, reductions, stores, targets)
            for number in reductions:
                self.get(number)

    def plan_rows(self, phase: int, targets: list[int]) -> None:
        """Decide which costly values of this phase a later phase reads from a kept row."""
        kernel = self.kernel
        now = self.closure(targets, lambda n: self.level(n) < 2 or n in self.saved)
        later: list[int] = []
        for n, node in enumerate(kernel.nodes):
            if node.op in REDUCTIONS and self.phases[n] > phase + 1:
                later += node.args
        later += [s.node for s in kernel.stores if self.phases[s.node] > phase]
        wanted = set(self.closure(later, lambda n: self.level(n) < 2))
        size = prod([kernel.shape[a] for a in self.inner])
        size *= self.width or 1 if self.lane_kept else 1
        self.keeping = []
        if size > SCRATCH:
            return
        for number in now:
            node = kernel.nodes[number]
            if number in wanted and node.op in dialect.EXPENSIVE and node.dtype != "bool":
                self.keeping.append(number)

    def nest(
        self, depth: int, reductions: list[int], stores: list[Store], targets: list[int]
    ) -> None:
        """Write the loops over the reduced axes, from ``depth`` on."""
        if depth == len(self.inner):
            for number in reductions:
                self.add_total(number)
            self.write_stores(stores)
            for number in self.keeping:
                self.remember(number)
            return
        axis = self.inner[depth]
        if axis == self.lane:
            keeping = list(self.keeping)
            for _ in self.lanes(axis, self.w.const(0), self.w.const(self.kernel.shape[axis])):
                self.keeping = keeping
                self.nest(depth + 1, reductions, stores, targets)
            self.saved.update(self.pending)
            self.pending = {}
            return
        with self.loop(self.w.const(0), self.w.const(self.kernel.shape[axis])) as i, self.scope():
            self.index[axis] = i
            for number in self.closure(targets, lambda n: n in self.saved):
                if (
                    self.level(number) == 2 + depth
                    and self.kernel.nodes[number].op not in REDUCTIONS
                ):
                    self.get(number)
            self.nest(depth + 1, reductions, stores, targets)
            del self.index[axis]
        if depth == 0:
            self.saved.update(self.pending)
            self.pending = {}

    def remember(self, number: int) -> None:
        """Write a value to its kept row, which is read from the next phase on."""
        if number not in self.pending:
            dtype = self.kernel.nodes[number].dtype
            size = prod([self.kernel.shape[a] for a in self.inner])
            size *= self.width or 1 if self.lane_kept else 1
            row = self.alloca(self.memory_type(dtype), size)
            row.align = 64
            self.pending[number] = row
        value = self.get(number)
        before, self.saved = self.saved, {**self.saved, number: self.pending[number]}
        self.keep(number, value)
        self.saved = before

    def lanes(self, axis: int, start: Any, stop: Any) -> Generator[None]:
        """Run the body in whole vectors, then in one of what is left. Yields once for each."""
        size = self.kernel.shape[axis]
        width = self.full
        whole = size - size % width
        if whole:
            self.width = width
            end = stop
            if whole != size:
                limit = self.w.const(whole)
                end = self.builder.select(self.builder.icmp_signed("<", stop, limit), stop, limit)
            if whole == width and not self._many(axis):
                with self.scope():
                    self.index[axis] = self.w.const(0)
                    yield
            else:
                with self.loop(start, end, width) as i, self.scope():
                    self.index[axis] = i
                    yield
        if whole != size:
            self.width = size - whole
            self.index[axis] = self.w.const(whole)
            if self._many(axis):
                last = self.builder.icmp_signed("==", stop, self.w.const(size))
                with self.builder.if_then(last), self.scope():
                    yield
            else:
                with self.scope():
                    yield
        self.width = 0
        del self.index[axis]

    def _many(self, axis: int) -> bool:
        """Tell whether the axis is cut into several work items."""
        return axis == self.lane and self.lane_kept and blocks_of(self.kernel) > 1

    def write_stores(self, stores: Sequence[Store]) -> None:
        for store in stores:
            value = self.get(store.node)
            start = self.address(store.param, self.offset(store.strides, lane=True))
            step = store.strides[self.lane] if self.lane >= 0 else 0
            if not (self.width and step):
                if value.width:
                    value = self.element(value, 0)
                self.write(start, value)
            elif step == 1:
                self.write(start, self.w.splat(value, self.width))
            else:
                item = np.dtype(value.dtype).itemsize
                vector = self.w.splat(value, self.width)
                for i in range(self.width):
                    at = self.builder.add(start, self.w.const(i * step * item))
                    self.write(at, self.element(vector, i))

    def lane_body(self) -> None:
        """Write what is done for one vector of a lane axis that is not reduced."""
        self.prepare(1)
        if self.inner:
            self.phases_of_item()
        self.write_stores([s for s in self.kernel.stores if self.store_level(s) < 2])


def _identity(op: str, dtype: str) -> Any:
    if op == "sum":
        return -0.0 if dtype.startswith("float") else 0
    if op in ("any", "all"):
        return op == "all"
    lowest = op == "max"
    if dtype.startswith("float"):
        return -np.inf if lowest else np.inf
    if dtype == "bool":
        return not lowest
    info = np.iinfo(dtype)
    return info.min if lowest else info.max


def _combined(op: str, total: Number, value: Number) -> Number:
    if op == "sum":
        return total + value
    if op == "any":
        return total | value
    if op == "all":
        return total & value
    better = value > total if op == "max" else value < total
    if value.is_float:
        better = better | (value != value)
    return select(better, value, total)
