"""LLVM vector instructions of the matrix kernels: a register tile, a strip of tiles, panel packing.

A tile computes ``C[rows, cols] = sum_k A[m, k] * B[k, n]`` with one vector register for each row
and each vector of columns. The order over k is fixed, so a result depends neither on the tile
that computes it nor on threads. All functions take addresses and strides in bytes as int64.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from isograd_numba._llvm import binding
from isograd_numba._llvm import ir as _llvm_ir

__all__ = ["Shape", "emit_pack", "emit_row", "emit_strip", "shape_for"]

_GROUP = 7  # rows of a tile that share a base address
_GROUPS = 2  # vectors of columns that one row is multiplied with at once, from columns
_ROW_VECTORS = 8  # and from rows: enough sums to hide the latency of an addition


@dataclass(frozen=True, slots=True)
class Shape:
    """A register tile: at most ``rows[0]`` rows of ``vectors`` vectors of ``lanes`` elements."""

    dtype: str
    lanes: int
    vectors: int
    rows: tuple[int, ...]
    fma: bool

    @property
    def columns(self) -> int:
        """Columns of a full tile."""
        return self.lanes * self.vectors

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return 4 if self.dtype == "float32" else 8


@functools.cache
def shape_for(dtype: str, /) -> Shape:
    """Choose the tile for this CPU."""
    features = binding().get_host_cpu_features()
    item = 4 if dtype == "float32" else 8
    if features.get("avx512f"):
        return Shape(dtype, 64 // item, 2, (14, 8, 4, 2, 1), fma=True)
    if features.get("avx2") and features.get("fma"):
        return Shape(dtype, 32 // item, 2, (6, 4, 3, 2, 1), fma=True)
    if platform.machine().lower() in ("aarch64", "arm64"):
        return Shape(dtype, 16 // item, 4, (6, 4, 3, 2, 1), fma=True)
    return Shape(dtype, 16 // item, 2, (4, 3, 2, 1), fma=False)


class _Writer:
    """Types and small building blocks for one tile shape."""

    def __init__(self, builder: Any, shape: Shape) -> None:
        ir = _llvm_ir()
        self.ir = ir
        self.builder = builder
        self.shape = shape
        self.i64 = ir.IntType(64)
        self.scalar = ir.FloatType() if shape.dtype == "float32" else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, shape.lanes)
        self.mask = ir.VectorType(ir.IntType(1), shape.lanes)
        self.width = shape.lanes * shape.itemsize
        self.suffix = f"v{shape.lanes}f{8 * shape.itemsize}"
        self.zero = ir.Constant(self.vector, [0.0] * shape.lanes)

    def const(self, value: int) -> Any:
        return self.ir.Constant(self.i64, value)

    def pointer(self, address: Any, kind: Any) -> Any:
        return self.builder.inttoptr(address, kind.as_pointer())

    def add(self, address: Any, offset: int) -> Any:
        return self.builder.add(address, self.const(offset))

    def load(self, address: Any, kind: Any = None) -> Any:
        value = self.builder.load(self.pointer(address, kind or self.vector))
        value.align = self.shape.itemsize
        return value

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.pointer(address, value.type)).align = self.shape.itemsize

    def external(self, name: str, result: Any, parameters: list[Any]) -> Any:
        module = self.builder.module
        if name not in module.globals:
            self.ir.Function(module, self.ir.FunctionType(result, parameters), name)
        return module.globals[name]

    def masked_load(self, address: Any, mask: Any) -> Any:
        i32, pointer = self.ir.IntType(32), self.vector.as_pointer()
        name = f"llvm.masked.load.{self.suffix}.p0{self.suffix}"
        function = self.external(name, self.vector, [pointer, i32, self.mask, self.vector])
        align = self.ir.Constant(i32, self.shape.itemsize)
        return self.builder.call(
            function, [self.pointer(address, self.vector), align, mask, self.zero]
        )

    def masked_store(self, value: Any, address: Any, mask: Any) -> None:
        i32, pointer = self.ir.IntType(32), self.vector.as_pointer()
        name = f"llvm.masked.store.{self.suffix}.p0{self.suffix}"
        function = self.external(name, self.ir.VoidType(), [self.vector, pointer, i32, self.mask])
        align = self.ir.Constant(i32, self.shape.itemsize)
        self.builder.call(function, [value, self.pointer(address, self.vector), align, mask])

    def splat(self, value: Any, kind: Any) -> Any:
        i32 = self.ir.IntType(32)
        undef = self.ir.Constant(kind, self.ir.Undefined)
        first = self.builder.insert_element(undef, value, self.ir.Constant(i32, 0))
        order = self.ir.Constant(self.ir.VectorType(i32, kind.count), [0] * kind.count)
        return self.builder.shuffle_vector(first, undef, order)

    def lane_mask(self, n: int, width: Any) -> Any:
        """Say for the lanes of the n-th vector whether their column is below ``width``."""
        kind = self.ir.VectorType(self.i64, self.shape.lanes)
        columns = self.ir.Constant(kind, [n * self.shape.lanes + i for i in range(kind.count)])
        return self.builder.icmp_signed("<", columns, self.splat(width, kind))

    def multiply_add(self, x: Any, y: Any, total: Any) -> Any:
        if not self.shape.fma:
            return self.builder.fadd(total, self.builder.fmul(x, y))
        fma = self.external(f"llvm.fma.{self.suffix}", self.vector, [self.vector] * 3)
        return self.builder.call(fma, [x, y, total])

    def add_where(
        self, flag: Any, values: list[Any], addends: Callable[[], list[Any]]
    ) -> list[Any]:
        """Return the values with the addends added where ``flag`` is not 0."""
        builder, before = self.builder, self.builder.block
        adding, after = (builder.append_basic_block(name) for name in ("adding", "after"))
        builder.cbranch(builder.icmp_signed("!=", flag, self.const(0)), adding, after)
        builder.position_at_end(adding)
        sums = [builder.fadd(new, old) for new, old in zip(addends(), values, strict=True)]
        builder.branch(after)
        builder.position_at_end(after)
        merged: list[Any] = []
        for old, new in zip(values, sums, strict=True):
            phi = builder.phi(self.vector)
            phi.add_incoming(old, before)
            phi.add_incoming(new, adding)
            merged.append(phi)
        return merged

    @contextmanager
    def loop(self, start: Any, stop: Any, step: int, carried: list[Any]) -> Generator[_Loop]:
        """Repeat the body while ``index + step <= stop``; see `_Loop` for carried values."""
        builder, before = self.builder, self.builder.block
        head, body, done = (builder.append_basic_block(name) for name in ("head", "body", "done"))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(self.i64)
        index.add_incoming(start, before)
        state = _Loop(index, [builder.phi(value.type) for value in carried])
        for phi, value in zip(state.values, carried, strict=True):
            phi.add_incoming(value, before)
        following = builder.add(index, self.const(step))
        builder.cbranch(builder.icmp_signed("<=", following, stop), body, done)
        builder.position_at_end(body)
        yield state
        index.add_incoming(following, builder.block)
        for phi, value in zip(state.values, state.following, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(done)


class _Loop:
    """A loop's index and carried values; the body sets ``following`` to their next values."""

    def __init__(self, index: Any, values: list[Any]) -> None:
        self.index = index
        self.values = values
        self.following: list[Any] = []


def _define(
    builder: Any, shape: Shape, name: str, parameters: int, body: Callable[..., None]
) -> Any:
    """Return the module's function ``name`` over int64s, defined at first use."""
    name = f"isograd_{name}_{shape.dtype}"
    if name in builder.module.globals:
        return builder.module.globals[name]
    writer = _Writer(builder, shape)
    ir = writer.ir
    function = ir.Function(
        builder.module, ir.FunctionType(ir.VoidType(), [writer.i64] * parameters), name
    )
    function.linkage = "internal"
    function.attributes.add("noinline")
    writer.builder = ir.IRBuilder(function.append_basic_block("entry"))
    body(writer, *function.args)
    writer.builder.ret_void()
    return function


def _tile(builder: Any, shape: Shape, rows: int, vectors: int, masked: bool) -> Any:
    """Define a tile: (a, row step, column step, b, row step, c, row step, depth, add, width, bias).

    Where ``add`` is set the sum is added to C, so a long k is summed in blocks. ``bias`` is the
    address of one value for each column, added last, or 0. ``width`` counts the columns of C of a
    masked tile; B has whole vectors all the same, as a packed panel does.
    """

    def body(
        w: _Writer, a: Any, a_row: Any, a_col: Any, b: Any, b_row: Any, c: Any, c_row: Any,
        depth: Any, add: Any, width: Any, bias: Any,
    ) -> None:  # fmt: skip
        cells = [(m, n) for m in range(rows) for n in range(vectors)]
        masks = [w.lane_mask(n, width) if masked else None for n in range(vectors)]

        def load(address: Any, n: int) -> Any:
            address = w.add(address, n * w.width)
            return w.masked_load(address, masks[n]) if masked else w.load(address)

        # Rows are addressed as a moving base plus a fixed offset, which leaves registers free.
        offsets = [w.builder.mul(a_row, w.const(m)) for m in range(min(rows, _GROUP))]
        skips = [w.builder.mul(a_row, w.const(m)) for m in range(0, rows, _GROUP)]
        starts = [b, *[w.builder.add(a, skip) for skip in skips]]
        with w.loop(w.const(0), depth, 1, [*starts, *[w.zero] * len(cells)]) as loop:
            b_k, bases = loop.values[0], loop.values[1 : len(starts)]
            sums = loop.values[len(starts) :]
            columns = [w.load(w.add(b_k, n * w.width)) for n in range(vectors)]
            following: list[Any] = []
            for m in range(rows):
                address = w.builder.add(bases[m // _GROUP], offsets[m % _GROUP])
                value = w.splat(w.load(address, w.scalar), w.vector)
                row = sums[m * vectors : (m + 1) * vectors]
                following += [
                    w.multiply_add(value, column, total)
                    for column, total in zip(columns, row, strict=True)
                ]
            moved = [w.builder.add(base, a_col) for base in bases]
            loop.following = [w.builder.add(b_k, b_row), *moved, *following]
        results = loop.values[len(starts) :]

        outs = [c]
        for _ in range(1, rows):
            outs.append(w.builder.add(outs[-1], c_row))
        results = w.add_where(add, results, lambda: [load(outs[m], n) for m, n in cells])
        results = w.add_where(bias, results, lambda: [load(bias, n) for _, n in cells])
        for (m, n), value in zip(cells, results, strict=True):
            address = w.add(outs[m], n * w.width)
            if masked:
                w.masked_store(value, address, masks[n])
            else:
                w.store(value, address)

    name = f"tile_{rows}x{vectors}{'_masked' if masked else ''}"
    return _define(builder, shape, name, 11, body)


def _strip(builder: Any, shape: Shape, vectors: int, masked: bool) -> Any:
    """Define a strip: ``rows`` rows of one panel, in tiles; a tile's parameters, then rows."""

    def body(
        w: _Writer, a: Any, a_row: Any, a_col: Any, b: Any, b_row: Any, c: Any, c_row: Any,
        depth: Any, add: Any, width: Any, bias: Any, rows: Any,
    ) -> None:  # fmt: skip
        done: Any = w.const(0)
        # Tiles of one vector have twice the rows: fewer sums would wait for each other.
        for size in shape.rows if vectors > 1 else (2 * shape.rows[0], *shape.rows):
            tile = _tile(w.builder, shape, size, vectors, masked)
            with w.loop(done, rows, size, [a, c]) as loop:
                a_m, c_m = loop.values
                arguments = [a_m, a_row, a_col, b, b_row, c_m, c_row, depth, add, width, bias]
                w.builder.call(tile, arguments)
                count = w.const(size)
                loop.following = [
                    w.builder.add(a_m, w.builder.mul(count, a_row)),
                    w.builder.add(c_m, w.builder.mul(count, c_row)),
                ]
            done, (a, c) = loop.index, loop.values

    return _define(builder, shape, f"strip_{vectors}{'_masked' if masked else ''}", 12, body)


def emit_strip(shape: Shape, builder: Any, *arguments: Any) -> None:
    """Call the strip that fits ``width``: full, masked, or masked and one vector wide."""
    w = _Writer(builder, shape)
    width = arguments[9]
    full = builder.icmp_signed("==", width, w.const(shape.columns))
    with builder.if_else(full) as (then, otherwise):
        with then:
            builder.call(_strip(builder, shape, shape.vectors, masked=False), arguments)
        with otherwise:
            narrow = builder.icmp_signed("<=", width, w.const(shape.lanes))
            with builder.if_else(narrow) as (one, several):
                with one:
                    builder.call(_strip(builder, shape, 1, masked=True), arguments)
                with several:
                    builder.call(_strip(builder, shape, shape.vectors, masked=True), arguments)


def _across(w: _Writer, address: Callable[[int], Any]) -> list[Any]:
    """Read vectors across columns whose own elements are adjacent, from ``address(column)`` on.

    Quads of 16 bytes are joined to vectors and transposed within the quads, log2(quad) times, which
    needs no instruction that moves data across the halves of a register.
    """
    quad = _quad(w.shape)
    kind = w.ir.VectorType(w.scalar, quad)
    index = w.ir.IntType(32)

    def shuffled(x: Any, y: Any, picks: list[int]) -> Any:
        order = w.ir.Constant(w.ir.VectorType(index, len(picks)), picks)
        return w.builder.shuffle_vector(x, y, order)

    def joined(parts: list[Any]) -> Any:
        while len(parts) > 1:
            picks = list(range(2 * parts[0].type.count))
            parts = [shuffled(x, y, picks) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    lanes = range(0, w.shape.lanes, quad)
    vectors = [joined([w.load(address(first + j), kind) for first in lanes]) for j in range(quad)]
    half, count = quad // 2, w.shape.lanes
    low = [first + i + side * count for first in lanes for i in range(half) for side in (0, 1)]
    high = [pick + half for pick in low]
    for _ in range(quad.bit_length() - 1):
        pairs = list(zip(vectors[:half], vectors[half:], strict=True))
        vectors = [shuffled(x, y, picks) for x, y in pairs for picks in (low, high)]
    return vectors


def _quad(shape: Shape) -> int:
    """Elements in 16 bytes."""
    return 16 // shape.itemsize


def emit_pack(shape: Shape, builder: Any, *arguments: Any) -> None:
    """Copy a matrix to rows of unit stride.

    The arguments are source, row step, column step, target, the target's row step, rows, columns.
    """

    def body(
        w: _Writer, source: Any, row_step: Any, column_step: Any, target: Any, target_step: Any,
        rows: Any, columns: Any,
    ) -> None:  # fmt: skip
        item, zero = w.const(w.shape.itemsize), w.const(0)
        lanes, quad = w.shape.lanes, _quad(w.shape)
        multiply, plus = w.builder.mul, w.builder.add

        def read(m: Any, n: Any) -> Any:
            return plus(source, plus(multiply(m, row_step), multiply(n, column_step)))

        def write(m: Any, n: Any) -> Any:
            return plus(target, plus(multiply(m, target_step), multiply(n, item)))

        def scalars(m: Any, first: Any, last: Any) -> None:
            with w.loop(first, last, 1, []) as loop:
                w.store(w.load(read(m, loop.index), w.scalar), write(m, loop.index))

        unit = w.builder.icmp_signed("==", column_step, item)
        with w.builder.if_else(unit) as (copy, gather):
            with copy, w.loop(zero, rows, 1, []) as row:
                with w.loop(zero, columns, lanes, []) as column:
                    value = w.load(read(row.index, column.index))
                    w.store(value, write(row.index, column.index))
                scalars(row.index, column.index, columns)
            with gather:
                unit_rows = w.builder.icmp_signed("==", row_step, item)
                square_rows = w.builder.select(unit_rows, rows, zero)
                with w.loop(zero, square_rows, quad, []) as row:
                    with w.loop(zero, columns, lanes, []) as column:
                        m, n = row.index, column.index
                        first = read(m, n)
                        steps = [multiply(column_step, w.const(i)) for i in range(lanes)]
                        for i, value in enumerate(_across(w, lambda i: plus(first, steps[i]))):
                            w.store(value, write(w.add(m, i), n))
                    with w.loop(row.index, w.add(row.index, quad), 1, []) as rest:
                        scalars(rest.index, column.index, columns)
                with w.loop(row.index, rows, 1, []) as rest:
                    scalars(rest.index, zero, columns)

    builder.call(_define(builder, shape, "pack", 7, body), arguments)


def _row_of_columns(builder: Any, shape: Shape) -> Any:
    """Define one row times ``_GROUPS`` vectors of columns whose own stride is one element.

    The parameters are a, its column step, b, its column step, c, depth, add, bias. Quads of B
    are transposed in registers, so the order over k is that of a tile.
    """

    def body(
        w: _Writer, a: Any, a_col: Any, b: Any, b_col: Any, c: Any, depth: Any, add: Any, bias: Any
    ) -> None:
        lanes, quad, sums = shape.lanes, _quad(shape), [w.zero] * _GROUPS
        starts = [
            w.builder.add(b, w.builder.mul(b_col, w.const(n)))
            for n in range(0, _GROUPS * lanes, quad)
        ]
        steps = [w.builder.mul(b_col, w.const(n)) for n in range(quad)]

        def multiply(loop: _Loop, count: int, read: Callable[[Callable[[int], Any]], Any]) -> None:
            a_k, bases, sums = loop.values[0], loop.values[1:-_GROUPS], loop.values[-_GROUPS:]
            factors: list[Any] = []
            for _ in range(count):
                factors.append(w.splat(w.load(a_k, w.scalar), w.vector))
                a_k = w.builder.add(a_k, a_col)

            def column(n: int) -> Any:
                return w.builder.add(bases[n // quad], steps[n % quad])

            for group in range(_GROUPS):
                vectors = read(functools.partial(_shifted, column, group * lanes))
                for factor, vector in zip(factors, vectors, strict=True):
                    sums[group] = w.multiply_add(factor, vector, sums[group])
            bases = [w.add(base, count * shape.itemsize) for base in bases]
            loop.following = [a_k, *bases, *sums]

        def gathered(address: Callable[[int], Any]) -> list[Any]:
            vector = w.zero
            for i in range(lanes):
                value, index = w.load(address(i), w.scalar), w.ir.IntType(32)(i)
                vector = w.builder.insert_element(vector, value, index)
            return [vector]

        with w.loop(w.const(0), depth, quad, [a, *starts, *sums]) as quads:
            multiply(quads, quad, lambda address: _across(w, address))
        with w.loop(quads.index, depth, 1, quads.values) as rest:
            multiply(rest, 1, gathered)
        sums = rest.values[-_GROUPS:]

        def vectors(address: Any) -> list[Any]:
            return [w.load(w.add(address, group * w.width)) for group in range(_GROUPS)]

        sums = w.add_where(add, sums, lambda: vectors(c))
        sums = w.add_where(bias, sums, lambda: vectors(bias))
        for group, value in enumerate(sums):
            w.store(value, w.add(c, group * w.width))

    return _define(builder, shape, "row_of_columns", 8, body)


def _shifted(address: Callable[[int], Any], first: int, n: int) -> Any:
    return address(first + n)


def emit_row(shape: Shape, builder: Any, *arguments: Any) -> Any:
    """Multiply one row with as many columns as fit whole groups; return how many those were.

    The arguments are a, its column step, b, its row and column step, c, depth, add, bias and the
    number of columns. None are done where neither step of B is that of an element.
    """
    w = _Writer(builder, shape)
    a, a_col, b, b_row, b_col, c, depth, add, bias, columns = arguments
    item, zero = w.const(shape.itemsize), w.const(0)

    def groups(unit: Any, vectors: int, call: Callable[[Any, Any, Any], None], done: Any) -> Any:
        size = shape.lanes * vectors
        stop = builder.select(builder.icmp_signed("==", unit, item), columns, zero)
        with w.loop(done, stop, size, []) as loop:
            offset = builder.mul(loop.index, item)
            bias_n = builder.add(bias, offset)
            bias_n = builder.select(builder.icmp_signed("==", bias, zero), zero, bias_n)
            b_n = builder.add(b, builder.mul(loop.index, b_col))
            call(b_n, builder.add(c, offset), bias_n)
        return loop.index

    def row_of_rows(b_n: Any, c_n: Any, bias_n: Any) -> None:
        tile = _tile(builder, shape, 1, _ROW_VECTORS, masked=False)
        builder.call(tile, [a, zero, a_col, b_n, b_row, c_n, zero, depth, add, zero, bias_n])

    def row_of_columns(b_n: Any, c_n: Any, bias_n: Any) -> None:
        function = _row_of_columns(builder, shape)
        builder.call(function, [a, a_col, b_n, b_col, c_n, depth, add, bias_n])

    done = groups(b_col, _ROW_VECTORS, row_of_rows, zero)
    return groups(b_row, _GROUPS, row_of_columns, done)
