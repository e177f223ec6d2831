"""`scan` while a function is compiled: one equation for the loop, one for its pullback.

The body is traced once. Its pullback is recorded in the same trace, and is the body of a loop in
the other direction, over the carries that each step began with; what a step computes beside its
carry is computed again. That loop is a loop like any other, so it can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from isograd.compiler.body import Body
from isograd.compiler.trace import Trace
from isograd.core.config import modes
from isograd.ir import Aval
from isograd.ir.control import SCAN
from isograd.ops.arithmetic import add
from isograd.ops.creation import tensor, zeros, zeros_like
from isograd.runtime.autodiff import pull_to
from isograd.runtime.tape import CustomNode, Edge
from isograd.runtime.tensor import Tensor

__all__ = ["scan"]

Step = Callable[[list[Tensor], list[Tensor]], tuple[list[Tensor], list[Tensor]]]


@dataclass(frozen=True)
class _Loop:
    """A body with the places of what goes into and comes out of each step."""

    body: Body
    carries: list[Tensor]
    slices: list[Tensor]
    new_carries: list[Tensor]
    parts: list[Tensor]


def scan(
    outer: Trace, step: Step, init: list[Tensor], xs: list[Tensor], length: int, reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Record a loop.

    Parameters
    ----------
    outer
        The trace that is active.
    step
        From carry and slices to the new carry and parts of stacks.
    init, xs
        Leaves of what the loop begins with, and of what is sliced.
    length, reverse
        The number of steps, at least 1, and whether the last slice comes first.

    Returns
    -------
    carries, stacks : list of Tensor
    """
    body = Body(outer, "scan")
    body.keys = []
    with body:
        carries = [body.symbol(t.aval, t.device, "carry") for t in init]
        slices = [body.symbol(Aval(t.aval.shape[1:], t.aval.dtype), t.device, "x") for t in xs]
        new_carries, parts = step(carries, slices)
    keys, body.keys = body.keys, None
    loop = _Loop(body, carries, [*slices, *[key for _, key, _ in keys]], new_carries, parts)
    return _emit(loop, init, [*xs, *_stacked_keys(outer, keys, length, reverse)], length, reverse)


def _stacked_keys(
    outer: Trace, keys: Sequence[tuple[Any, Tensor, int]], length: int, reverse: bool
) -> list[Tensor]:
    """Return for each draw of the body the keys of all steps: what eager steps would draw."""
    per_step: dict[Any, int] = {}
    offsets: list[int] = []
    for generator, _, count in keys:
        offsets.append(per_step.get(generator, 0))
        per_step[generator] = offsets[-1] + count
    first = {
        generator: outer.draw(generator, next(k.device for g, k, _ in keys if g is generator), n)
        for generator, n in ((g, count * length) for g, count in per_step.items())
    }
    steps = np.arange(length)[::-1] if reverse else np.arange(length)
    made: list[Tensor] = []
    for (generator, key, _), offset in zip(keys, offsets, strict=True):
        streams = np.zeros((length, 2), np.uint64)
        streams[:, 1] = offset + steps * per_step[generator]
        made.append(add(first[generator], tensor(streams, device=key.device)))
    return made


class _Followed(NamedTuple):
    """What derivatives of a loop lead to, and which outputs they lead from."""

    carries: list[int]
    slices: list[int]
    outside: list[Edge]
    outputs: list[int]


def _followed(
    loop: _Loop, outputs: Sequence[Tensor], init: Sequence[Tensor], xs: Sequence[Tensor]
) -> _Followed:
    body = loop.body
    reached = [body.sources(t) for t in outputs]
    every = {edge: None for found in reached for edge in found}
    outside = [edge for edge in every if not body.owns(edge[0])]
    pairs = enumerate(zip(loop.slices, xs, strict=True))
    slices = [i for i, (s, x) in pairs if x.edge is not None and s.edge in every]
    live = {*outside, *[loop.slices[i].edge for i in slices]}
    carries = {i for i, t in enumerate(init) if t.edge is not None and loop.carries[i].edge}
    count = -1
    while count != len(carries):
        count = len(carries)
        live.update([loop.carries[i].edge for i in carries])
        carries.update([i for i in range(len(init)) if not live.isdisjoint(reached[i])])
    leading = [i for i, found in enumerate(reached) if not live.isdisjoint(found)]
    return _Followed(sorted(carries), slices, outside, leading)


def _emit(
    loop: _Loop, init: Sequence[Tensor], xs: Sequence[Tensor], length: int, reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Record the equation, and a node of the tape if derivatives lead through it."""
    outputs = [*loop.new_carries, *loop.parts]
    end = len(outputs)
    followed = _followed(loop, outputs, init, xs) if modes.grad else None
    if followed is not None and followed.outputs:
        # The pullback needs the carries that steps began with.
        outputs += loop.carries
        followed = _followed(loop, outputs, init, xs)
    graph, operands = loop.body.extract([*loop.carries, *loop.slices], outputs, hoist=True)
    used = set(graph.outputs).union(*[equation.inputs for equation in graph.equations])
    kept = [i for i, t in enumerate(loop.slices) if t.array in used]
    graph.inputs[len(operands) + len(init) :] = [loop.slices[i].array for i in kept]
    avals = [t.aval for t in loop.new_carries]
    avals += [Aval((length, *t.aval.shape), t.aval.dtype) for t in outputs[len(avals) :]]
    static = {"carries": len(init), "slices": len(kept), "length": length, "reverse": reverse}
    given = [*operands, *init, *[xs[i] for i in kept]]
    device = (outputs or given)[0].device
    made: list[Tensor] = []
    for var in modes.trace.stage(SCAN, given, {"body": graph, **static}, tuple(avals), device):
        var.weak = False
        made.append(Tensor(var, var.aval, device))
    if followed is not None and followed.outputs:
        _connect(_Made(loop, outputs, made, xs, length, reverse), init, followed)
    return made[: len(init)], made[len(init) : end]


class _Made(NamedTuple):
    """A loop that was recorded: its body's outputs, and what they became."""

    loop: _Loop
    outputs: list[Tensor]
    made: list[Tensor]
    xs: Sequence[Tensor]
    length: int
    reverse: bool


def _connect(recorded: _Made, init: Sequence[Tensor], followed: _Followed) -> None:
    """Give what the loop made a node on the tape."""
    xs, made = recorded.xs, [t.detach() for t in recorded.made]

    def pullback(cotangents: Sequence[Tensor | None]) -> list[Tensor | None]:
        pairs = zip(followed.outputs, cotangents, strict=True)
        return _pull(recorded, followed, {i: ct for i, ct in pairs if ct is not None})

    parents = (
        *[init[i].edge for i in followed.carries],
        *[xs[i].edge for i in followed.slices],
        *followed.outside,
    )
    node = CustomNode("scan", parents, [made[i] for i in followed.outputs], pullback)
    for place, i in enumerate(followed.outputs):
        recorded.made[i].edge = (node, place)


def _pull(recorded: _Made, followed: _Followed, given: dict[int, Tensor]) -> list[Tensor | None]:
    """Record the loop in the other direction that takes cotangents of outputs to those of inputs.

    It carries the cotangents of the carries, and sums of the cotangents of what is outside.
    """
    loop, outputs, made, xs, length, reverse = recorded
    body, count = loop.body, len(loop.carries)
    with body:
        cts = {i: _symbol_like(body, outputs[i]) for i in sorted(given) if i >= count}
        ends = {i: _symbol_like(body, loop.carries[i]) for i in followed.carries}
        # In the order in which the tape of an unrolled loop would send them.
        pairs = [(outputs[i].edge, ct) for i, ct in reversed([*ends.items(), *cts.items()])]
        body.learn(pairs, followed.outside)
        known = {edge: body.facts(edge) for edge in followed.outside}
        sums = {edge: body.symbol(*f, "sum") for edge, f in known.items() if f is not None}
        inner = [loop.carries[i] for i in followed.carries]
        inner += [loop.slices[i] for i in followed.slices]
        wanted = [t.edge for t in inner if t.edge is not None] + list(sums)
        pulled = pull_to([*sums.items(), *pairs], wanted, record=modes.grad)
        likes = [*inner, *sums.values()]
        filled = [
            zeros_like(t.detach()) if ct is None else ct
            for ct, t in zip(pulled, likes, strict=True)
        ]
    a, b = len(ends), len(inner)
    back = _Loop(
        body,
        [*ends.values(), *sums.values()],
        [*loop.slices, *loop.carries, *cts.values()],
        [*filled[:a], *filled[b:]],
        filled[a:b],
    )
    begin = [given[i] if i in given else _zeros(made[i]) for i in ends]
    begin += [_zeros(t) for t in sums.values()]
    sliced = [*xs, *made[len(made) - count :], *[given[i] for i in cts]]
    carries, stacks = _emit(back, begin, sliced, length, not reverse)
    totals = dict(zip(sums, carries[a:], strict=True))
    return [*carries[:a], *stacks, *[totals.get(edge) for edge in followed.outside]]


def _symbol_like(body: Body, t: Tensor) -> Tensor:
    return body.symbol(t.aval, t.device, "cotangent")


def _zeros(t: Tensor) -> Tensor:
    return zeros(t.shape, dtype=t.dtype, device=t.device)
