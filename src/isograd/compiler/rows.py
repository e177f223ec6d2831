"""Loops over steps: a scan's body becomes rows of the program's table, one set for each iteration.

The body is scheduled once, in memory that stands for its carry, its slices and its results. Then
its steps are repeated with the memory of each iteration in their place. The kernels are the same,
so no code is written twice, and a carry is read where the iteration before has written it.
"""

from __future__ import annotations

from collections.abc import Mapping
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

    inputs = operands[:fixed]
    inputs += [stand_in(v, contiguous(v.aval.shape)) for v in body.inputs[fixed : fixed + carries]]
    inputs += [stand_in(v, layout[v]) for v in body.inputs[fixed + carries :]]
    results = [stand_in(v, contiguous(v.aval.shape)) for v in body.outputs]
    template = outer.inner(body, fused, inputs, results)
    if any(isinstance(step, Apply) for step in template) or len(template) * length > _MOST:
        return False
    outputs = [outer.place(v) for v in equation.outputs]
    carried = [_as_contiguous(outer, p, equation) for p in operands[fixed : fixed + carries]]
    spare = [[outer.memory(p.dtype, prod(p.shape)) for _ in range(2)] for p in results[:carries]]
    order = range(length - 1, -1, -1) if static["reverse"] else range(length)
    for count, i in enumerate(order):
        moves: dict[int, tuple[int, int]] = {}
        for stand, now in zip(inputs[fixed : fixed + carries], carried, strict=True):
            moves[stand.buffer] = (now.buffer, now.offset)
        for stand, whole in zip(
            inputs[fixed + carries :], operands[fixed + carries :], strict=True
        ):
            moves[stand.buffer] = (whole.buffer, whole.offset + i * whole.strides[0])
        for stand, whole in zip(results[carries:], outputs[carries:], strict=True):
            moves[stand.buffer] = (whole.buffer, whole.offset + i * prod(whole.shape[1:]))
        new: list[Place] = []
        for k, stand in enumerate(results[:carries]):
            last = count == length - 1
            target = (outputs[k].buffer, 0) if last else (spare[k][count % 2], 0)
            moves[stand.buffer] = target
            new.append(replace(stand, buffer=target[0], offset=target[1]))
        carried = new
        outer.schedule.steps += [_moved(step, moves) for step in template]
    return True


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
