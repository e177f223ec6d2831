"""Control flow: primitives whose static parameters are graphs, run by whoever runs the program.

``scan`` is a loop over one body, ``cond`` a choice between two branches. Backends have no kernels
for them, and they are in no list of primitives: their operands and results are those of the graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isograd.ir.graph import Equation, Graph, GraphError, Var
from isograd.ir.primitive import Aval, Control, Primitive

__all__ = ["COND", "SCAN"]

Array = Any
Run = Callable[[Sequence[Array]], list[Array]]
Runner = Callable[[Graph], Run]
Kernels = Callable[[str], Callable[..., Any] | None]


# -- scan ------------------------------------------------------------------------------------------
#
# Operands: what stays the same in all steps, the carry, what is sliced along its first axis.
# The body takes the first, the carry, slices; it returns the new carry, then a part for each stack.


def _infer_scan(
    *avals: Aval, body: Graph, carries: int, slices: int, length: int, reverse: bool
) -> tuple[Aval, ...]:
    sliced = len(avals) - slices
    if length < 1 or any(aval.shape[:1] != (length,) for aval in avals[sliced:]):
        raise GraphError(f"scan: {length} steps do not fit the operands {avals[sliced:]}")
    expected = (*avals[:sliced], *[Aval(a.shape[1:], a.dtype) for a in avals[sliced:]])
    if expected != tuple([v.aval for v in body.inputs]):
        raise GraphError(f"scan: the body takes {body.inputs}, the operands are {expected}")
    made = [v.aval for v in body.outputs]
    if tuple(made[:carries]) != expected[sliced - carries : sliced]:
        raise GraphError(f"scan: the body returns {made[:carries]} for the carry it takes")
    return (*made[:carries], *[Aval((length, *a.shape), a.dtype) for a in made[carries:]])


def _scan_kernel(
    runner: Runner,
    kernel: Kernels,
    /,
    *,
    body: Graph,
    carries: int,
    slices: int,
    length: int,
    reverse: bool,
) -> Callable[..., tuple[Array, ...]]:
    step = runner(body)
    concat = kernel("concat")
    assert concat is not None
    fixed = len(body.inputs) - carries - slices
    stacks = len(body.outputs) - carries
    order = range(length - 1, -1, -1) if reverse else range(length)

    def run(*arrays: Array) -> tuple[Array, ...]:
        same, state = arrays[:fixed], arrays[fixed : fixed + carries]
        sliced = arrays[fixed + carries :]
        columns: list[list[Array]] = [[] for _ in range(stacks)]
        for i in order:
            out = step([*same, *state, *[x[i, ...] for x in sliced]])
            state = out[:carries]
            for column, part in zip(columns, out[carries:], strict=True):
                column.append(part[None, ...])
        if reverse:
            for column in columns:
                column.reverse()
        return (*state, *[concat(*column, axis=0) for column in columns])

    return run


def _narrow_scan(equation: Equation, needed: set[Var], /) -> Equation:
    """Drop stacks that nobody needs, and carries that only they and their like depend on."""
    static = equation.static
    body: Graph = static["body"]
    carries: int = static["carries"]
    slices: int = static["slices"]
    fixed = len(body.inputs) - carries - slices
    kept = [i for i, v in enumerate(equation.outputs) if v in needed]
    count = -1
    while count != len(kept):
        count = len(kept)
        behind = _behind(body, [body.outputs[i] for i in kept])
        kept = [
            i
            for i in range(len(equation.outputs))
            if i in kept or (i < carries and body.inputs[fixed + i] in behind)
        ]
    behind = _behind(body, [body.outputs[i] for i in kept])
    places = [
        i
        for i, v in enumerate(body.inputs)
        if (i - fixed in kept if fixed <= i < fixed + carries else v in behind)
    ]
    if len(kept) == len(equation.outputs) and len(places) == len(body.inputs):
        return equation
    changed = {
        "body": _part(body, places, kept),
        "carries": sum([i < carries for i in kept]),
        "slices": sum([i >= fixed + carries for i in places]),
    }
    return Equation(
        equation.prim,
        tuple([equation.inputs[i] for i in places]),
        {**static, **changed},
        tuple([equation.outputs[i] for i in kept]),
        equation.line,
    )


def _behind(graph: Graph, outputs: Sequence[Var]) -> set[Var]:
    """Return all values that some values are computed from."""
    found = set(outputs)
    for equation in reversed(graph.equations):
        if any(v in found for v in equation.outputs):
            found.update(equation.inputs)
    return found


def _part(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
    """Return a graph with some of the inputs and outputs, and what is needed between them."""
    results = [graph.outputs[i] for i in outputs]
    behind = _behind(graph, results)
    equations = [e for e in graph.equations if any(v in behind for v in e.outputs)]
    constants = {v: array for v, array in graph.constants.items() if v in behind}
    return Graph([graph.inputs[i] for i in inputs], constants, equations, results)


# -- cond ------------------------------------------------------------------------------------------
#
# Operands: the predicate, then what both branches take.


def _infer_cond(pred: Aval, *avals: Aval, true: Graph, false: Graph) -> tuple[Aval, ...]:
    if pred.shape != () or pred.dtype != bool:
        raise GraphError(f"cond: the predicate is {pred}, not one bool")
    for branch in (true, false):
        if tuple([v.aval for v in branch.inputs]) != avals:
            raise GraphError(f"cond: a branch takes {branch.inputs}, the operands are {avals}")
    made = tuple([v.aval for v in true.outputs])
    if made != tuple([v.aval for v in false.outputs]):
        raise GraphError(f"cond: the branches return {true.outputs} and {false.outputs}")
    return made


def _cond_kernel(
    runner: Runner, kernel: Kernels, /, *, true: Graph, false: Graph
) -> Callable[..., tuple[Array, ...]]:
    if_true, if_false = runner(true), runner(false)

    def run(pred: Array, *arrays: Array) -> tuple[Array, ...]:
        return tuple((if_true if bool(pred) else if_false)(arrays))

    return run


def _narrow_cond(equation: Equation, needed: set[Var], /) -> Equation:
    """Drop outputs that nobody needs, and operands that only they were computed from."""
    true: Graph = equation.static["true"]
    false: Graph = equation.static["false"]
    kept = [i for i, v in enumerate(equation.outputs) if v in needed]
    behind = _behind(true, [true.outputs[i] for i in kept])
    behind |= _behind(false, [false.outputs[i] for i in kept])
    pairs = zip(true.inputs, false.inputs, strict=True)
    places = [i for i, (a, b) in enumerate(pairs) if a in behind or b in behind]
    if len(kept) == len(equation.outputs) and len(places) == len(true.inputs):
        return equation
    return Equation(
        equation.prim,
        (equation.inputs[0], *[equation.inputs[i + 1] for i in places]),
        {"true": _part(true, places, kept), "false": _part(false, places, kept)},
        tuple([equation.outputs[i] for i in kept]),
        equation.line,
    )


SCAN = Primitive("scan", _infer_scan, multiple=True, control=Control(_scan_kernel, _narrow_scan))
COND = Primitive("cond", _infer_cond, multiple=True, control=Control(_cond_kernel, _narrow_cond))
