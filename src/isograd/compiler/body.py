"""Traces inside traces: the body of a loop, a branch.

A `Body` belongs to the trace around it. What it takes from there, tensors that the user's function
closes over, becomes operands of the primitive. It can be entered again when derivatives are taken:
the pullback is recorded behind what it differentiates, and parts of all that become graphs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isograd.compiler.passes import drop_unused
from isograd.compiler.trace import Trace
from isograd.core.config import modes
from isograd.core.devices import Device
from isograd.core.errors import UndeclaredStateError
from isograd.core.frames import user_line
from isograd.ir import Aval, Primitive
from isograd.ir.graph import Equation, Graph, Var
from isograd.runtime.autodiff import pull_to
from isograd.runtime.tape import AliasNode, Edge, LeafNode, Node
from isograd.runtime.tensor import Tensor

__all__ = ["Body"]

_KEY = Aval((2,), np.dtype(np.uint64))


class Body(Trace):
    """The trace of a function that another traced function calls in a loop or a branch.

    Parameters
    ----------
    outer
        The trace around it.
    function
        What messages name.
    """

    def __init__(self, outer: Trace, function: str) -> None:
        super().__init__()
        self.outer = outer
        self.declared = outer.declared
        self.visited = outer.visited
        self.function = function
        #: Random keys that the body takes: generator, symbol, number of streams. None: refused.
        self.keys: list[tuple[Any, Tensor, int]] | None = None
        #: Values of the outer trace, with the symbols that stand for them here.
        self._lifted: dict[Var, Var] = {}
        self._own: set[Var] = set()
        #: Ranges of numbers of the tape's nodes that were made here.
        self._spans: list[tuple[int, float]] = []
        self._avals: dict[Edge, tuple[Aval, Device]] = {}

    def __enter__(self) -> Body:
        super().__enter__()
        self._spans.append((LeafNode().number, float("inf")))
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__(*_)
        self._spans[-1] = (self._spans[-1][0], LeafNode().number)
        root = self.outer
        while isinstance(root, Body):
            root = root.outer
        root.hidden |= self._own

    # -- symbols -----------------------------------------------------------------------------------

    def symbol(self, aval: Aval, device: Device, name: str) -> Tensor:
        """Return an input; derivatives with respect to it can be taken if it has any."""
        made = self.input(aval, device, name)
        if modes.grad and aval.dtype.kind in "fV":
            made.edge = (LeafNode(), 0)
        return made

    def input(self, aval: Aval, device: Device, name: str, *, weak: bool = False) -> Tensor:
        made = super().input(aval, device, name, weak=weak)
        self._own.add(made.array)
        return made

    def stage(
        self,
        prim: Primitive,
        tensors: Sequence[Tensor],
        static: dict[str, Any],
        avals: Any,
        device: Device,
    ) -> Any:
        out = super().stage(prim, tensors, static, avals, device)
        self._own.update(out if prim.multiple else (out,))
        return out

    def var_of(self, t: Tensor, prim: Primitive | None = None) -> Var:
        if t.edge is not None and not self.owns(t.edge[0]):
            self._avals[t.edge] = (t.aval, t.device)
        if t.array.__class__ is not Var:
            var = super().var_of(t, prim)
            self._own.add(var)
            return var
        if t.array in self._own:
            return t.array
        outside = self.outer.var_of(t, prim)
        found = self._lifted.get(outside)
        if found is None:
            found = Var(outside.aval, outside.device, outside.name, user_line())
            found.weak = outside.weak
            self._lifted[outside] = found
            self._own.add(found)
        return found

    def draw(self, generator: Any, device: Device, count: int = 1) -> Tensor:
        if self.keys is None:
            raise UndeclaredStateError(
                f"{self.function}: a random number is drawn inside a branch or a derivative at "
                f"{user_line()}, where it is not known how many are drawn; draw it before, and use "
                "it there"
            )
        key = self.input(_KEY, device, "random key")
        self.keys.append((generator, key, count))
        return key

    # -- the tape ----------------------------------------------------------------------------------

    def owns(self, node: Node) -> bool:
        """Tell whether a node of the tape was made in this body."""
        return any(start <= node.number < end for start, end in self._spans)

    def sources(self, t: Tensor) -> dict[Edge, None]:
        """Return where the tape of ``t`` leaves this body: its own leaves, and edges outside."""
        found: dict[Edge, None] = {}
        seen: set[Node] = set()
        todo = [] if t.edge is None else [t.edge]
        while todo:
            edge = todo.pop()
            node = edge[0]
            if not self.owns(node) or isinstance(node, LeafNode):
                found[edge] = None
            elif node not in seen:
                seen.add(node)
                todo.extend([parent for parent in node.parents if parent is not None])
        return found

    def facts(self, edge: Edge) -> tuple[Aval, Device] | None:
        """Return what is known of the tensor at an edge outside."""
        node, index = edge
        if edge not in self._avals and not isinstance(node, LeafNode | AliasNode):
            self._avals[edge] = node.output_avals()[index]
        return self._avals.get(edge)

    def learn(self, pairs: Sequence[tuple[Edge | None, Tensor]], edges: Sequence[Edge]) -> None:
        """Find out, by pulling back, what the cotangents at some edges look like."""
        unknown = [edge for edge in edges if self.facts(edge) is None]
        if unknown:
            for edge, ct in zip(unknown, pull_to(pairs, unknown, record=False), strict=True):
                if ct is not None:
                    self._avals[edge] = (ct.aval, ct.device)

    # -- graphs ------------------------------------------------------------------------------------

    def extract(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, hoist: bool = False
    ) -> tuple[Graph, list[Tensor]]:
        """Return the graph from ``inputs`` to ``outputs``, and the operands from outside.

        The graph takes the operands first. With ``hoist``, what does not depend on ``inputs`` is
        recorded in the active trace instead, to be computed once.
        """
        with self:
            results = [self.var_of(t) for t in outputs]
        whole = Graph([], self.graph.constants, self.graph.equations, results)
        kept = drop_unused(whole).equations
        outside = {own: Tensor(var, *_facts(var)) for var, own in self._lifted.items()}
        if hoist:
            kept = _hoisted(kept, outside, self.graph.constants)
        needed = set(results).union(*[equation.inputs for equation in kept])
        operands = [(own, t) for own, t in outside.items() if own in needed]
        entries = [own for own, _ in operands] + [t.array for t in inputs]
        constants = {v: a for v, a in self.graph.constants.items() if v in needed}
        return Graph(entries, constants, kept, results), [t for _, t in operands]


def _facts(var: Var) -> tuple[Aval, Device]:
    return var.aval, var.device


def _hoisted(
    equations: Sequence[Equation], outside: dict[Var, Tensor], constants: Mapping[Var, Any]
) -> list[Equation]:
    """Record in the active trace what is the same in every step; return the rest."""
    kept: list[Equation] = []
    for equation in equations:
        known = [
            outside[v] if v in outside else Tensor(constants[v], *_facts(v))
            for v in equation.inputs
            if v in outside or v in constants
        ]
        if len(known) < len(equation.inputs) or not any(v in outside for v in equation.inputs):
            kept.append(equation)
            continue
        avals = tuple([v.aval for v in equation.outputs])
        device = equation.outputs[0].device
        multiple = equation.prim.multiple
        made = modes.trace.stage(
            equation.prim, known, equation.static, avals if multiple else avals[0], device
        )
        for var, new in zip(equation.outputs, made if multiple else (made,), strict=True):
            outside[var] = Tensor(new, *_facts(new))
    return kept
