"""Loops over steps: a scan's body becomes rows of the program's table, one set for each iteration.

The body is scheduled once, in memory that stands for its carry, its slices and its results. Then
its steps are repeated with the memory of each iteration in their place. The kernels are the same,
so no code is written twice, and a carry is read where the iteration before has written it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from isograd.backend.schedule import Apply, Param, Place, Product, Step
from isograd.compiler.fuse import fuse
from isograd.compiler.views import contiguous
from isograd.ir.graph import Equation, Graph, Var

if TYPE_CHECKING:
    from isograd.compiler.lower import Lowering

__all__ = ["scan_steps"]

#: Rows that a table may have for one loop; longer ones are run by Python, an iteration a call.
_MOST = 1 << 15

#: Elements between rows of copied matrices: a line of the cache, for float32.
_LINE = 16

Moves = Mapping[int, tuple[int, int]]


def scan_steps(outer: Lowering, equation: Equation) -> bool:
    """Add the steps of a scan, or return False where its body needs calls into Python."""
    static = equation.static
    body: Graph = static["body"]
    carries: int = static["carries"]
    slices: int = static["slices"]
    length: int = static["length"]
    fixed = len(body.inputs) - carries - slices
    operands = [outer.place(v) for v in equation.inputs]
    layout: dict[Var, tuple[int, ...]] = {}
    for var, place in zip(body.inputs[:fixed], operands[:fixed], strict=True):
        layout[var] = place.strides
    for var, place in zip(body.inputs[fixed + carries :], operands[fixed + carries :], strict=True):
        layout[var] = place.strides[1:]
    fused = fuse(body, outer.fusable, layout)
    if any(group.kind == "call" and not _is_scan(group.equations[0]) for group in fused.groups):
        return False

    def stand_in(var: Var, strides: tuple[int, ...]) -> Place:
        shape, dtype = var.aval.shape, var.aval.dtype.name
        return Place(outer.memory(dtype, 0), 0, shape, strides, dtype)

    begin = operands[fixed : fixed + carries]
    histories = [
        _History.of(outer, equation, body, fixed, number, begin[number])
        for number in range(carries)
    ]
    outputs = [outer.place(v) for v in equation.outputs]
    inputs = operands[:fixed]
    inputs += [stand_in(v, contiguous(v.aval.shape)) for v in body.inputs[fixed : fixed + carries]]
    inputs += [stand_in(v, layout[v]) for v in body.inputs[fixed + carries :]]
    results = [(v, stand_in(v, contiguous(v.aval.shape))) for v in body.outputs]
    kept = set[int]().union(*[h.stacks for h in histories if h is not None])
    template = outer.inner(
        body, fused, inputs, [pair for i, pair in enumerate(results) if i not in kept]
    )
    if any(isinstance(step, Apply) for step in template) or len(template) * length > _MOST:
        return False
    template = _straight(outer, template, {p.buffer for p in operands[:fixed]}, equation)
    carried: list[Place] = []
    targets: list[Callable[[int], tuple[int, int]]] = []
    for number, (place, history) in enumerate(zip(begin, histories, strict=True)):
        if history is None:
            carried.append(_as_contiguous(outer, place, equation))
            targets.append(_in_turns(outer, outputs[number], length))
        else:
            outer.copy(place, history.at(0), equation)
            carried.append(history.at(0))
            targets.append(history.target)
    order = range(length - 1, -1, -1) if static["reverse"] else range(length)
    for count, i in enumerate(order):
        moves: dict[int, tuple[int, int]] = {}
        for stand, now in zip(inputs[fixed : fixed + carries], carried, strict=True):
            moves[stand.buffer] = (now.buffer, now.offset)
        for stand, whole in zip(
            inputs[fixed + carries :], operands[fixed + carries :], strict=True
        ):
            moves[stand.buffer] = (whole.buffer, whole.offset + i * whole.strides[0])
        for (_, stand), whole in zip(results[carries:], outputs[carries:], strict=True):
            moves[stand.buffer] = (whole.buffer, whole.offset + i * prod(whole.shape[1:]))
        new: list[Place] = []
        for (_, stand), target in zip(results[:carries], targets, strict=True):
            buffer, offset = moves[stand.buffer] = target(count)
            new.append(replace(stand, buffer=buffer, offset=offset))
        carried = new
        outer.schedule.steps += [_moved(step, moves) for step in template]
    for number, history in enumerate(histories):
        if history is not None and not history.ends:
            outer.copy(history.at(length), outputs[number], equation)
    return True


class _History:
    """Memory for a carry of all steps, where stacks of it are wanted: nothing is copied then.

    Attributes
    ----------
    stacks : set of int
        Outputs of the body that are stacks of the carry, as it goes in or comes out.
    ends : bool
        Whether what the loop ends with is not wanted elsewhere.
    """

    def __init__(self, buffer: int, like: Place, length: int, reverse: bool) -> None:
        self._like = replace(like, buffer=buffer, offset=0, strides=contiguous(like.shape))
        self._length = length
        self._reverse = reverse
        self.stacks: set[int] = set()
        self.ends = True

    def at(self, count: int) -> Place:
        """Return the carry after some steps."""
        row = self._length - count if self._reverse else count
        return replace(self._like, offset=row * prod(self._like.shape))

    def target(self, count: int) -> tuple[int, int]:
        """Return the buffer and offset of what a step makes."""
        place = self.at(count + 1)
        return place.buffer, place.offset

    @classmethod
    def of(
        cls, outer: Lowering, equation: Equation, body: Graph, fixed: int, number: int, begin: Place
    ) -> _History | None:
        """Return memory for a carry and its stacks, or None where it has none."""
        carries: int = equation.static["carries"]
        length: int = equation.static["length"]
        goes_in, comes_out = body.inputs[fixed + number], body.outputs[number]
        wanted: dict[int, int] = {}
        for i, var in enumerate(body.outputs[carries:], carries):
            free = equation.outputs[i] not in outer.places
            if free and var in (goes_in, comes_out) and comes_out not in body.inputs:
                wanted[i] = int(var is comes_out)
        if not wanted or body.outputs[:carries].count(comes_out) > 1:
            return None
        size = prod(begin.shape)
        buffer = outer.memory(begin.dtype, (length + 1) * size)
        made = cls(buffer, begin, length, equation.static["reverse"])
        made.stacks = set(wanted)
        shape = (length, *begin.shape)
        whole = Place(buffer, 0, shape, contiguous(shape), begin.dtype)
        for i, after in wanted.items():
            row = 1 - after if equation.static["reverse"] else after
            outer.places[equation.outputs[i]] = replace(whole, offset=row * size)
        if equation.outputs[number] in outer.places:
            made.ends = False
        else:
            outer.places[equation.outputs[number]] = made.at(length)
        return made


def _in_turns(outer: Lowering, last: Place, length: int) -> Callable[[int], tuple[int, int]]:
    """Let a carry be written to two places in turns, and at last to where it is wanted."""
    spare = [outer.memory(last.dtype, prod(last.shape)) for _ in range(2)]
    return lambda count: (last.buffer, 0) if count == length - 1 else (spare[count % 2], 0)


def _straight(
    outer: Lowering, template: list[Step], same: set[int], equation: Equation
) -> list[Step]:
    """Read transposed matrices that are the same in all steps from a copy that is not."""
    made: dict[Place, Place] = {}
    found: list[Step] = []
    for step in template:
        if isinstance(step, Product) and step.y.buffer in same and step.y.strides[-1] != 1:
            if step.y not in made:
                # Rows a power of two apart would share a few sets of the cache.
                rows = contiguous((*step.y.shape[:-1], step.y.shape[-1] + _LINE))
                made[step.y] = outer.written_out(step.y, equation, rows)
            step = replace(step, y=made[step.y])
        found.append(step)
    return found


def _is_scan(equation: Equation) -> bool:
    return equation.prim.name == "scan"


def _as_contiguous(outer: Lowering, place: Place, equation: Equation) -> Place:
    strides = contiguous(place.shape)
    same = all(
        n == 1 or s == t for n, s, t in zip(place.shape, place.strides, strides, strict=True)
    )
    return place if same else outer.written_out(place, equation)


def _moved(step: Step, moves: Moves) -> Step:
    """Return a step with the memory of one iteration."""

    def at(thing: Any) -> Any:
        found = moves.get(thing.buffer)
        if found is None:
            return thing
        return replace(thing, buffer=found[0], offset=thing.offset + found[1])

    assert not isinstance(step, Apply)
    params: tuple[Param, ...] = tuple([at(p) for p in step.params])
    if isinstance(step, Product):
        return replace(step, x=at(step.x), y=at(step.y), out=at(step.out), params=params)
    return replace(step, params=params)
