"""From groups of equations to a `Schedule`: kernels, buffers, an order, an arena."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from isograd.backend.schedule import (
    REDUCTIONS,
    Apply,
    Buffer,
    Kernel,
    Loop,
    Place,
    Product,
    Schedule,
    Step,
)
from isograd.compiler.convolution import CONVOLUTIONS, operands
from isograd.compiler.fuse import Fused, fuse
from isograd.compiler.groups import Group, Map
from isograd.compiler.kernels import Builder, class_counts, strides_of
from isograd.compiler.plan import plan
from isograd.compiler.rows import scan_steps
from isograd.compiler.split import split_reduction
from isograd.compiler.views import View, contiguous, reshaped_strides
from isograd.ir.graph import Equation, Graph, Var, count_uses

__all__ = ["Lowering", "schedule"]

Fusable = Callable[[Equation], bool]


class Lowering:
    """Writes the steps of one graph; places and buffers are those of the schedule."""

    def __init__(
        self, graph: Graph, fused: Fused, fusable: Fusable, schedule: Schedule | None = None
    ) -> None:
        self.graph = graph
        self.fused = fused
        self.fusable = fusable
        self.schedule = Schedule() if schedule is None else schedule
        self.places: dict[Var, Place] = {}
        #: Arrays with zeros around, by what they are made of.
        self.padded: dict[Any, Place] = {}
        #: Results that are views, or not computed here, and where they are to be.
        self.copied: list[tuple[Var, Place]] = []
        for var, array in graph.constants.items():
            if var not in fused.uniform:
                self.schedule.constants[self._buffer(var, "constant")] = array
        self.stored = self._stored()
        self.maker = {v: e for e in graph.equations for v in e.outputs}
        #: Parts of concatenations that are stored where they belong when they are computed.
        self.direct: set[Var] = set()

    # -- buffers -----------------------------------------------------------------------------------

    def _buffer(self, var: Var, role: Any) -> int:
        """Give a value memory of its own."""
        shape, dtype = var.aval.shape, var.aval.dtype.name
        number = self.memory(dtype, prod(shape), role)
        strides = self.fused.layout.get(var) if role == "temporary" else None
        self.places[var] = Place(number, 0, shape, strides or contiguous(shape), dtype)
        return number

    def memory(self, dtype: str, size: int, role: Any = "temporary") -> int:
        """Return the number of a new buffer."""
        self.schedule.buffers.append(Buffer(dtype, size, role))
        return len(self.schedule.buffers) - 1

    def _root(self, var: Var) -> Var:
        view = self.fused.views.get(var)
        return var if view is None else view.root

    def _stored(self) -> set[Var]:
        """Return the values that somebody reads from memory."""
        found = {self._root(v) for v in self.graph.outputs}
        for group in self.fused.groups:
            for equation in group.equations:
                for var in equation.inputs:
                    root = self._root(var)
                    if (
                        equation.prim.name in _PRODUCTS
                        or group.kind in ("call", "parts")
                        or self.fused.owner.get(root) is not group
                    ):
                        found.add(root)
        return found

    def inner(
        self,
        body: Graph,
        fused: Fused,
        inputs: Sequence[Place],
        results: Sequence[tuple[Var, Place]],
    ) -> list[Step]:
        """Return the steps of a loop's body, between inputs and results in given places."""
        schedule = replace(self.schedule, steps=[])
        lowering = Lowering(body, fused, self.fusable, schedule)
        lowering.places.update(zip(body.inputs, inputs, strict=True))
        for var, place in results:
            if var in fused.owner and var not in lowering.places:
                lowering.places[var] = place
            else:
                lowering.copied.append((var, place))
        return lowering.run().steps

    def outside(self, donors: Mapping[int, int]) -> Lowering:
        """Give inputs and each distinct output a buffer; what is not computed here is copied."""
        for var in self.graph.inputs:
            self.schedule.inputs.append(self._buffer(var, "input"))
        made = self.fused.owner
        taken: dict[Var, int] = {}
        for number, var in enumerate(self.graph.outputs):
            if var not in taken:
                if var in made:
                    buffer = self._buffer(var, "output")
                else:
                    dtype, shape = var.aval.dtype.name, var.aval.shape
                    buffer = self.memory(dtype, prod(shape), "output")
                    self.copied.append((var, Place(buffer, 0, shape, contiguous(shape), dtype)))
                taken[var] = len(self.schedule.outputs)
                self.schedule.outputs.append(buffer)
                if number in donors:
                    self.schedule.donors[buffer] = self.schedule.inputs[donors[number]]
            self.schedule.returned.append((taken[var], var.aval.shape))
        return self

    def place(self, var: Var) -> Place:
        """Return where a value is; what is not stored yet gets a buffer or is computed."""
        view = self.fused.views.get(var)
        if view is not None and view.root not in self.fused.ranges:
            base = self.place(view.root)
            return Place(
                base.buffer, base.offset + view.offset, view.shape, view.strides, base.dtype
            )
        if var not in self.places:
            self._buffer(var, "temporary")
            if var in self.fused.uniform or self._root(var) in self.fused.ranges:
                self._copy(var, self.places[var], None)
        return self.places[var]

    # -- steps -------------------------------------------------------------------------------------

    def run(self) -> Schedule:
        self._place_parts()
        steps = self.schedule.steps
        for group in self.fused.groups:
            before = len(steps)
            {
                "loop": self._loop,
                "product": self._product,
                "call": self._call,
                "parts": self._parts,
            }[group.kind](group)
            steps[before:] = [_credited(step, group) for step in steps[before:]]
        for var, place in self.copied:
            self._copy(var, place, None)
        return self.schedule

    def _call(self, group: Group) -> None:
        (equation,) = group.equations
        if equation.prim.name == "scan" and scan_steps(self, equation):
            return
        inputs = tuple([self.place(v) for v in equation.inputs])
        outputs = tuple([self.place(v) for v in equation.outputs])
        self.schedule.steps.append(Apply(equation, inputs, outputs, equation.line))

    def _parts(self, group: Group) -> None:
        """Write the parts of a concatenation, or a value inside its padding."""
        (equation,) = group.equations
        static, out = equation.static, self.place(equation.outputs[0])
        if equation.prim.name == "concat":
            for var, part in _split_along(out, equation):
                if var not in self.direct:
                    self._copy(var, part, equation)
            return
        builder = Builder(out.shape, [False] * len(out.shape))
        builder.store(out, out.strides, builder.add("const", (), out.dtype, (static["value"],)))
        self.finish(builder, builder.kernel(), equation)
        offset = sum([a * s for a, s in zip(static["low"], out.strides, strict=True)])
        steps = [s * (1 + k) for s, k in zip(out.strides, static["interior"], strict=True)]
        inner = Place(
            out.buffer, out.offset + offset, equation.inputs[0].aval.shape, tuple(steps), out.dtype
        )
        self._copy(equation.inputs[0], inner, equation)

    def _place_parts(self) -> None:
        """Let what is only a part of a concatenation be stored in its place there."""
        uses = count_uses(self.graph)
        for equation in reversed(self.graph.equations):  # so that the outer ones come first
            out = equation.outputs[0]
            if equation.prim.name != "concat" or self.fused.owner[out].kind != "parts":
                continue
            for var, part in _split_along(self.place(out), equation):
                found = self._origin(var, part, uses)
                if found is not None:
                    self.places[found[0]] = found[1]
                    self.direct.add(var)

    def _origin(self, var: Var, place: Place, uses: Mapping[Var, int]) -> tuple[Var, Place] | None:
        """Return the value that ``var`` is a movement of, and where to store it instead.

        That is where it must be for ``var`` to be in ``place``; None where there is no such place.
        """
        while var in self.fused.views:
            equation = self.maker[var]
            (source,) = equation.inputs
            if uses[var] > 1 or var in self.places:
                return None
            if equation.prim.name == "permute_dims":
                axes: tuple[int, ...] = equation.static["axes"]
                strides = tuple([place.strides[axes.index(i)] for i in range(len(axes))])
            elif equation.prim.name == "reshape":
                found = reshaped_strides(place.shape, place.strides, source.aval.shape)
                if found is None:
                    return None
                strides = found
            else:
                return None
            var, place = source, replace(place, shape=source.aval.shape, strides=strides)
        group = self.fused.owner.get(var)
        if uses[var] > 1 or var in self.places or group is None or group.kind == "call":
            return None
        maker = self.maker[var]
        if maker.prim.name == "reshape":  # which is stored as its operand is indexed
            shape = maker.inputs[0].aval.shape
            if reshaped_strides(place.shape, place.strides, shape) is None:
                return None
        return var, place

    # -- for convolutions --------------------------------------------------------------------------

    def reordered(
        self, var: Var, order: Sequence[int], equation: Equation, flipped: Sequence[int] = ()
    ) -> Place:
        """Copy a value with its axes in another order, some of the new ones turned around."""
        shape = tuple([var.aval.shape[a] for a in order])
        strides = contiguous(shape)
        memory = self.memory(var.aval.dtype.name, prod(shape))
        back = [0] * len(order)
        offset = 0
        for new, old in enumerate(order):
            back[old] = strides[new]
            if new in flipped:
                back[old] = -strides[new]
                offset += (shape[new] - 1) * strides[new]
        to = Place(memory, offset, var.aval.shape, tuple(back), var.aval.dtype.name)
        self._copy(var, to, equation, order)
        return Place(memory, 0, shape, strides, to.dtype)

    def zeros_around(
        self,
        var: Var,
        order: Sequence[int],
        shape: Sequence[int],
        low: Sequence[int],
        steps: Sequence[int],
        equation: Equation,
    ) -> Place:
        """Copy (N, C, *size) to the inside of zeros of a shape (N, *size, C)."""
        dtype, strides = var.aval.dtype.name, contiguous(shape)
        whole = Place(self.memory(dtype, prod(shape)), 0, tuple(shape), strides, dtype)
        builder = Builder(shape, [False] * len(shape))
        builder.store(whole, strides, builder.add("const", (), dtype, (0.0,)))
        self.finish(builder, builder.kernel(), equation)
        inner = [s * k for s, k in zip(strides[1:-1], steps, strict=True)]
        offset = sum([a * s for a, s in zip(low, strides[1:-1], strict=True)])
        inside = (strides[0], strides[-1], *inner)
        self._copy(var, Place(whole.buffer, offset, var.aval.shape, inside, dtype), equation, order)
        return whole

    def written_out(
        self, view: Place, equation: Equation, strides: tuple[int, ...] | None = None
    ) -> Place:
        """Copy a view to memory of its own, which is contiguous unless strides are given."""
        strides = strides or contiguous(view.shape)
        size = max([prod(view.shape), *[n * s for n, s in zip(view.shape, strides, strict=True)]])
        to = Place(self.memory(view.dtype, size), 0, view.shape, strides, view.dtype)
        self.copy(view, to, equation)
        return to

    def copy(self, view: Place, to: Place, equation: Equation) -> None:
        """Copy what is in one place to another."""
        builder = Builder(view.shape, [False] * len(view.shape))
        builder.store(to, to.strides, builder.load(view, view.strides))
        self.finish(builder, builder.kernel(), equation)

    def _copy(
        self,
        var: Var,
        to: Place,
        equation: Equation | None,
        order: Sequence[int] | None = None,
    ) -> None:
        shape = var.aval.shape
        axes = list(range(len(shape)) if order is None else order)
        builder = Builder([shape[a] for a in axes], [False] * len(shape))
        whole: Map = tuple([(i,) for i in range(len(shape))])
        steps = tuple([to.strides[a] for a in axes])
        builder.store(to, steps, self._external(builder, var, whole, axes))
        self.finish(builder, builder.kernel(), equation)

    def finish(self, builder: Builder, kernel: Kernel, equation: Equation | None) -> None:
        """Write a loop; one over nothing is left out."""
        line = None if equation is None else equation.line
        if 0 in kernel.shape:
            return
        self.schedule.steps.append(Loop(kernel, tuple(builder.params), tuple(builder.checks), line))

    def _loop(self, group: Group) -> None:
        atoms = list(group.sizes)
        reduced = group.reduced or frozenset()
        builder = Builder([group.sizes[a] for a in atoms], [a in reduced for a in atoms])
        self._body(group, group.equations, builder, atoms, {})
        kernel = builder.kernel()
        if group.closed:
            split_reduction(self, builder, kernel, group.equations[-1])
        else:
            self.finish(builder, kernel, group.equations[-1])

    def _product(self, group: Group) -> None:
        first = _product_of(group)
        rest = [e for e in group.equations if e is not first]
        var = first.outputs[0]
        if first.prim.name == "matmul":
            x, y = [self.place(v) for v in first.inputs]
            blocks = 0
        else:
            x, y, blocks = operands(self, first)
        own = group.maps[var]
        batch, rows, columns = [list(part) for part in group.maps["parts"]]
        atoms = batch + rows + columns
        shape, layout = var.aval.shape, group.strides(own)
        place = self.place(var) if var in self.stored or not rest else None
        if place is not None and place.strides != _without_ones(layout, shape, place.strides):
            place = None  # an output of the graph that lies otherwise
        if place is not None and not rest:
            out = _matrix(place, first, x, y)
            self.schedule.steps.append(Product(x, y, out, blocks=blocks, line=first.line))
            return
        if place is None:
            place = self._shared_place(group, rest, shape, var.aval.dtype.name, layout)
        # Axes of length 1 have no atoms, but rows and columns have an axis each.
        sizes = [group.sizes[a] for a in atoms]
        classes = [0] * len(batch) + [1] * len(rows) + [2] * len(columns)
        builder = Builder(sizes, [False] * len(sizes))
        value = builder.load(place, strides_of(builder, atoms, own, layout, shape))
        if var in self.stored and self.place(var) != place:
            mine = self.place(var)
            builder.store(mine, strides_of(builder, atoms, own, mine.strides, shape), value)
        self._body(group, rest, builder, atoms, {var: value})
        out = _matrix(place, first, x, y)
        kernel = builder.kernel(classes, lane=0)
        counts = class_counts(builder, classes)
        if counts[2] == 1 and columns:
            params = tuple(builder.params)
            axes = (counts[0], counts[1])
            self.schedule.steps.append(Product(x, y, out, kernel, params, axes, blocks, first.line))
            return
        self.schedule.steps.append(Product(x, y, out, blocks=blocks, line=first.line))
        self.finish(builder, builder.kernel(), first)

    def _shared_place(
        self,
        group: Group,
        rest: Sequence[Equation],
        shape: tuple[int, ...],
        dtype: str,
        layout: tuple[int, ...],
    ) -> Place:
        """Return memory for a product that is only used here: that of a result, if it fits."""
        whole = group.maps[_product_of(group).outputs[0]]
        for equation in reversed(rest):
            for var in equation.outputs:
                fits = var.aval.shape == shape and group.maps.get(var) == whole
                if fits and var in self.stored and var.aval.dtype.name == dtype:
                    place = self.place(var)
                    same = place.strides == _without_ones(layout, shape, place.strides)
                    if same and place.buffer not in self.schedule.donors:
                        return place
        return Place(self.memory(dtype, prod(shape)), 0, shape, layout, dtype)

    # -- bodies ------------------------------------------------------------------------------------

    def _body(
        self,
        group: Group,
        equations: Sequence[Equation],
        builder: Builder,
        atoms: list[int],
        values: dict[Var, int],
    ) -> None:
        """Write what some equations of a group compute, and store what others read."""

        def inside(var: Var) -> int:
            """Return the node of a value of the group, of which ``var`` is perhaps a movement."""
            while var not in values:
                var = self.maker[var].inputs[0]
            return values[var]

        def value(equation: Equation, var: Var, own: Map) -> int:
            if var not in self.fused.uniform and self.fused.owner.get(self._root(var)) is group:
                return inside(var)
            return self._external(builder, var, own, atoms)

        for equation in equations:
            out = equation.outputs[0]
            name, dtype = equation.prim.name, out.aval.dtype.name
            own = group.maps.get(out, ())
            shape = out.aval.shape
            if equation in group.picks:
                number = self._pick(equation, group, builder, value)
            elif name in REDUCTIONS:
                x = value(equation, equation.inputs[0], group.maps[equation])
                number = builder.add(name, (x,), dtype)
            elif name == "reshape":
                own, shape = group.maps[equation], equation.inputs[0].aval.shape
                number = value(equation, equation.inputs[0], own)
            elif name in ("take", "take_along_axis"):
                number = self._gather(equation, own, builder, atoms, value)
            else:
                args = [value(equation, v, self._aligned(own, v)) for v in equation.inputs]
                static = tuple([(k, v) for k, v in equation.static.items() if k != "dtype"])
                number = builder.add(name, args, dtype, static)
            values[out] = number
            if out in self.stored:
                place = self.place(out)
                steps: Sequence[int] | None = place.strides
                if name == "reshape":
                    steps = reshaped_strides(place.shape, place.strides, shape)
                assert steps is not None
                builder.store(place, strides_of(builder, atoms, own, steps, shape), number)

    @staticmethod
    def _aligned(own: Map, var: Var) -> Map:
        """Return the part of a result's map that an operand is broadcast along."""
        shape = var.aval.shape
        return tuple(
            [a if n != 1 else () for a, n in zip(own[len(own) - len(shape) :], shape, strict=True)]
        )

    def _external(self, builder: Builder, var: Var, own: Map, atoms: list[int]) -> int:
        """Return the node of a value that is not made in the group."""
        dtype = var.aval.dtype.name
        if var in self.fused.uniform:
            return builder.add("const", (), dtype, (_plain(self.fused.uniform[var]),))
        view = self.fused.views.get(var, View(var, 0, var.aval.shape, contiguous(var.aval.shape)))
        if view.root in self.fused.ranges:
            strides = strides_of(builder, atoms, own, view.strides, view.shape)
            static = self.fused.ranges[view.root].static
            start = static["start"] + static["step"] * view.offset
            return builder.add("index", (), dtype, (strides, start, static["step"]))
        place = self.place(var)
        return builder.load(place, strides_of(builder, atoms, own, place.strides, place.shape))

    def _gather(
        self, equation: Equation, own: Map, builder: Builder, atoms: list[int], value: Any
    ) -> int:
        source, indices = equation.inputs
        axis: int = equation.static["axis"]
        place = self.place(source)
        if equation.prim.name == "take":
            count = len(indices.aval.shape)
            index_map = own[axis : axis + count]
            rest = (*own[:axis], *own[axis + count :])
            others = [i for i in range(len(place.shape)) if i != axis]
            strides = [place.strides[i] for i in others]
            shape = [place.shape[i] for i in others]
        else:
            index_map, rest = own, own
            strides = [0 if i == axis else s for i, s in enumerate(place.strides)]
            shape = [1 if i == axis else n for i, n in enumerate(place.shape)]
        index_map = tuple(
            [a if n != 1 else () for a, n in zip(index_map, indices.aval.shape, strict=True)]
        )
        index = value(equation, indices, index_map)
        if indices.aval.dtype.name != "int64":
            index = builder.add("astype", (index,), "int64")
        wrapped = builder.wrap(index, place.shape[axis], equation)
        base = strides_of(builder, atoms, rest, strides, shape)
        static = (builder.param(place), base, (place.strides[axis],))
        return builder.add("gather", (wrapped,), place.dtype, static)

    def _pick(self, equation: Equation, group: Group, builder: Builder, value: Any) -> int:
        """Add up a row in which all but one element are replaced by 0."""
        source, indices = equation.inputs
        axis: int = equation.static["axis"]
        own = group.maps[equation]
        dtype = source.aval.dtype.name
        x = value(equation, source, own)
        row = tuple(
            [
                () if i == axis or n == 1 else a
                for i, (a, n) in enumerate(zip(own, indices.aval.shape, strict=True))
            ]
        )
        index = value(equation, indices, row)
        if indices.aval.dtype.name != "int64":
            index = builder.add("astype", (index,), "int64")
        wrapped = builder.wrap(index, source.aval.shape[axis], equation)
        atoms = list(group.sizes)
        steps = [1 if i == axis else 0 for i in range(len(own))]
        strides = strides_of(builder, atoms, own, steps, source.aval.shape)
        at = builder.add("index", (), "int64", (strides, 0, 1))
        same = builder.add("equal", (at, wrapped), "bool")
        zero = builder.add("const", (), dtype, (0.0,))
        return builder.add("sum", (builder.add("where", (same, x, zero), dtype),), dtype)


_PRODUCTS = CONVOLUTIONS | {"matmul"}


def _credited(step: Step, group: Group) -> Step:
    """Note in a step of a group which of the equations it computes."""
    if isinstance(step, Apply) or step.equations:  # those of a loop's body are known
        return step
    mine: Sequence[Equation] = group.equations
    if group.kind == "product":
        first = _product_of(group)
        if isinstance(step, Loop):
            mine = [e for e in mine if e is not first]
        elif step.kernel is None:
            mine = [first]
    if group.kind in ("product", "call") and isinstance(step, Loop):
        moves = all(node.op in ("load", "const") for node in step.kernel.nodes)
        mine = () if moves else mine
    return replace(step, equations=tuple(mine))


def _split_along(place: Place, concat: Equation) -> Iterator[tuple[Var, Place]]:
    """Yield the parts of a concatenation with their places in that of the whole."""
    axis: int = concat.static["axis"]
    at = 0
    for var in concat.inputs:
        yield (
            var,
            replace(place, offset=place.offset + at * place.strides[axis], shape=var.aval.shape),
        )
        at += var.aval.shape[axis]


def _product_of(group: Group) -> Equation:
    return next(e for e in group.equations if e.prim.name in _PRODUCTS)


def _without_ones(
    layout: Sequence[int], shape: Sequence[int], strides: Sequence[int]
) -> tuple[int, ...]:
    """Return a layout with the strides that another one gives to axes of length 1."""
    return tuple([t if n == 1 else s for s, n, t in zip(layout, shape, strides, strict=True)])


def _matrix(place: Place, equation: Equation, x: Place, y: Place) -> Place:
    """Return the result of a product, which is C-contiguous, as (*batch, rows, columns)."""
    shape = equation.outputs[0].aval.shape
    if equation.prim.name != "matmul":
        shape = (*x.shape[: len(shape) - 1], y.shape[-1])
    return Place(place.buffer, place.offset, shape, contiguous(shape), place.dtype)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def schedule(
    graph: Graph, fusable: Fusable, donors: Mapping[int, int] | None = None, /
) -> Schedule:
    """Return what a graph runs.

    Parameters
    ----------
    graph
        After all passes.
    fusable
        Tells of an equation whether the backend renders it inside a loop; ``matmul``: as a product.
    donors
        For outputs, by number, the number of the input whose memory they may take over.
    """
    lowering = Lowering(graph, fuse(graph, fusable), fusable)
    return plan(lowering.outside(donors or {}).run())
