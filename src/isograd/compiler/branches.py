"""`cond` while a function is compiled: one equation with a graph for each branch.

What the branches use of the function around them becomes operands. The pullback is a choice between
the pullbacks of the branches, each of which computes again what it needs of its branch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isograd.compiler.body import Body
from isograd.compiler.trace import Trace
from isograd.core.config import modes
from isograd.ir.control import COND
from isograd.ir.graph import Graph, Var
from isograd.ops.creation import zeros
from isograd.runtime.autodiff import pull_to
from isograd.runtime.tape import CustomNode, Edge
from isograd.runtime.tensor import Tensor

__all__ = ["cond"]

Branch = Callable[[], list[Tensor]]


def cond(outer: Trace, pred: Tensor, branches: Sequence[Branch]) -> list[Tensor]:
    """Record a choice.

    Parameters
    ----------
    outer
        The trace that is active.
    pred
        One bool.
    branches
        What to do if it is true, and if it is false: functions without arguments that return
        tensors of the same shapes, dtypes and devices.
    """
    bodies: list[tuple[Body, list[Tensor]]] = []
    for branch in branches:
        body = Body(outer, "cond")
        with body:
            bodies.append((body, branch()))
    return _emit(pred, bodies)


def _emit(pred: Tensor, bodies: Sequence[tuple[Body, list[Tensor]]]) -> list[Tensor]:
    """Record the equation, and a node of the tape if derivatives lead through it."""
    graphs: list[Graph] = []
    operands: dict[Var, Tensor] = {}
    taken: list[list[Var]] = []
    for body, outputs in bodies:
        graph, given = body.extract([], outputs)
        graphs.append(graph)
        taken.append([t.array for t in given])
        operands.update({t.array: t for t in given})
    for graph, order in zip(graphs, taken, strict=True):
        own = dict(zip(order, graph.inputs, strict=True))
        graph.inputs = [
            own[var] if var in own else Var(var.aval, var.device, var.name) for var in operands
        ]
    outputs = bodies[0][1]
    device = (outputs or [pred])[0].device
    made: list[Tensor] = []
    for var in modes.trace.stage(
        COND,
        [pred, *operands.values()],
        {"true": graphs[0], "false": graphs[1]},
        tuple([t.aval for t in outputs]),
        device,
    ):
        var.weak = False
        made.append(Tensor(var, var.aval, device))
    if modes.grad:
        _connect(pred, bodies, made)
    return made


def _connect(pred: Tensor, bodies: Sequence[tuple[Body, list[Tensor]]], made: list[Tensor]) -> None:
    """Give what the choice made a node on the tape."""
    reached = [
        {edge: None for body, outs in bodies for edge in _outside(body, outs[i])}
        for i in range(len(made))
    ]
    sources = list({edge: None for found in reached for edge in found})
    places = [i for i, found in enumerate(reached) if found]
    if not places:
        return
    chooser = pred.detach()

    def pullback(cotangents: Sequence[Tensor | None]) -> list[Tensor | None]:
        given = [(i, ct) for i, ct in zip(places, cotangents, strict=True) if ct is not None]
        pulled: list[list[Tensor | None]] = []
        for body, outs in bodies:
            with body:
                pairs = [(outs[i].edge, ct) for i, ct in given]
                pulled.append(pull_to(pairs, sources, record=modes.grad))
        return _both(chooser, [body for body, _ in bodies], pulled)

    node = CustomNode("cond", tuple(sources), [made[i].detach() for i in places], pullback)
    for place, i in enumerate(places):
        made[i].edge = (node, place)


def _outside(body: Body, t: Tensor) -> list[Edge]:
    return [edge for edge in body.sources(t) if not body.owns(edge[0])]


def _both(
    pred: Tensor, bodies: Sequence[Body], pulled: Sequence[list[Tensor | None]]
) -> list[Tensor | None]:
    """Choose between what the pullbacks of the branches gave; a branch without any gives zeros."""
    likes = [a if a is not None else b for a, b in zip(*pulled, strict=True)]
    pairs: list[tuple[Body, list[Tensor]]] = []
    for body, cts in zip(bodies, pulled, strict=True):
        with body:
            filled = [
                zeros(t.shape, dtype=t.dtype, device=t.device) if ct is None else ct
                for ct, t in zip(cts, likes, strict=True)
                if t is not None
            ]
        pairs.append((body, filled))
    chosen = iter(_emit(pred, pairs))
    return [None if t is None else next(chosen) for t in likes]
