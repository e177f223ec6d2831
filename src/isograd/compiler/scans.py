"""Passes over loops: what a loop back need not compute again, and what need not be in a loop.

A loop and its pullback are traced from one body, so equal values are the same `Var` in both, and a
value that the pullback takes as a slice is what the loop had in that step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from isograd.compiler.renaming import renamed
from isograd.compiler.trace import traced
from isograd.ir import Aval
from isograd.ir.control import SCAN
from isograd.ir.graph import Equation, Graph, Var, count_uses
from isograd.ops.arithmetic import add
from isograd.ops.linear import matmul
from isograd.ops.movement import permute_dims, reshape
from isograd.runtime.tensor import Tensor

__all__ = ["keep_products", "sum_products_once"]

#: What is kept by a loop for its pullback, since it costs more to compute than to read.
_COSTLY = frozenset({"matmul", "conv"})


@dataclass
class _Scan:
    """The parts of a scan's equation, which may be added to."""

    equation: Equation
    fixed: list[tuple[Var, Var]] = field(init=False)
    carries: list[tuple[Var, Var]] = field(init=False)
    slices: list[tuple[Var, Var]] = field(init=False)
    #: Results of the body, and what they are outside.
    ends: list[tuple[Var, Var]] = field(init=False)
    stacks: list[tuple[Var, Var]] = field(init=False)
    equations: list[Equation] = field(init=False)

    def __post_init__(self) -> None:
        static, body = self.equation.static, self.body
        carries: int = static["carries"]
        sliced = len(body.inputs) - static["slices"]
        pairs = list(zip(body.inputs, self.equation.inputs, strict=True))
        self.fixed, self.carries = pairs[: sliced - carries], pairs[sliced - carries : sliced]
        self.slices = pairs[sliced:]
        results = list(zip(body.outputs, self.equation.outputs, strict=True))
        self.ends, self.stacks = results[:carries], results[carries:]
        self.equations = list(body.equations)

    @property
    def body(self) -> Graph:
        """The graph of one step as it was."""
        return self.equation.static["body"]

    @property
    def length(self) -> int:
        """The number of steps."""
        return self.equation.static["length"]

    def stack_of(self, var: Var) -> Var:
        """Return all steps' values of what is computed, or sliced, in the body."""
        known = dict([*self.slices, *self.stacks])
        if var not in known:
            aval = Aval((self.length, *var.aval.shape), var.aval.dtype)
            known[var] = Var(aval, var.device, var.name, var.line)
            self.stacks.append((var, known[var]))
        return known[var]

    def finished(self) -> Equation:
        """Return the equation as it is now."""
        given = [*self.fixed, *self.carries, *self.slices]
        made = [*self.ends, *self.stacks]
        inner, results = [var for var, _ in given], [var for var, _ in made]
        body = Graph(inner, self.body.constants, self.equations, results)
        changed = {"body": body, "carries": len(self.carries), "slices": len(self.slices)}
        static = {**self.equation.static, **changed}
        operands, outputs = [tuple([outside for _, outside in pairs]) for pairs in (given, made)]
        return Equation(SCAN, operands, static, outputs, self.equation.line)


def keep_products(graph: Graph) -> Graph:
    """Let loops keep what their pullbacks would multiply again."""
    scans = {e: _Scan(e) for e in graph.equations if e.prim is SCAN}
    makers: dict[Var, Equation] = {}
    for equation, scan in scans.items():
        for inner in scan.equations:
            for var in inner.outputs:
                makers.setdefault(var, equation)
    changed: set[Equation] = set()
    for equation, scan in scans.items():
        for var in _worth_keeping(scan, {v for v, e in makers.items() if e is not equation}):
            scan.slices.append((var, scans[makers[var]].stack_of(var)))
            scan.equations = [e for e in scan.equations if var not in e.outputs]
            changed |= {equation, makers[var]}
    equations = [scans[e].finished() if e in changed else e for e in graph.equations]
    return Graph(graph.inputs, graph.constants, equations, graph.outputs)


def _worth_keeping(scan: _Scan, known: set[Var]) -> list[Var]:
    """Return products of the body that an earlier loop has made, with what is done to them there.

    An addition, an activation: what follows is kept instead if only it is used, since it is
    computed while the product is at hand.
    """
    uses = count_uses(scan.body)
    users = {v: e for e in scan.equations for v in e.inputs}
    found: list[Var] = []
    for equation in scan.equations:
        var = equation.outputs[0]
        if equation.prim.name not in _COSTLY or var not in known:
            continue
        while uses[var] == 1 and var in users:
            following = users[var].outputs[0]
            if following.aval != var.aval or following not in known:
                break
            var = following
        found.append(var)
    return found


def sum_products_once(graph: Graph) -> Graph:
    """Replace sums of products, a term a step, by one product of all steps' operands.

    So the gradient of a recurrent weight is one large product behind the loop.
    """
    replaced: dict[Var, Var] = {}
    constants = dict(graph.constants)
    equations: list[Equation] = []
    for equation in graph.equations:
        if equation.prim is not SCAN:
            equations.append(equation)
            continue
        scan = _Scan(equation)
        sums = _sums(scan)
        stacks = [[scan.stack_of(v) for v, _ in one.factors] for one in sums]
        equations.append(scan.finished() if sums else equation)
        for one, factors in zip(sums, stacks, strict=True):
            x, y = [turned for _, turned in one.factors]
            total = partial(_plus_products, x_turned=x, y_turned=y)
            made = traced(total, [one.init, *factors], equation.line)
            constants.update(made.constants)
            equations += made.equations
            replaced[one.end] = made.outputs[0]
    return renamed(Graph(graph.inputs, constants, equations, graph.outputs), replaced)


class _Sum(NamedTuple):
    """A carry that only adds up products.

    Attributes
    ----------
    end, init
        What it ends as and begins with, outside of the loop.
    factors
        Values of the body, and whether the product takes them transposed.
    """

    end: Var
    init: Var
    factors: list[tuple[Var, bool]]


def _sums(scan: _Scan) -> list[_Sum]:
    """Take the carries that only add up products out of a loop."""
    uses = count_uses(scan.body)
    makers = {v: e for e in scan.equations for v in e.outputs}
    fixed = {v for v, _ in scan.fixed} | scan.body.constants.keys()
    found: list[_Sum] = []
    for carry, end in zip(list(scan.carries), list(scan.ends), strict=True):
        addition = makers.get(end[0])
        if addition is None or addition.prim.name != "add" or carry[0] not in addition.inputs:
            continue
        term = next((v for v in addition.inputs if v is not carry[0]), carry[0])
        product = makers.get(term)
        if product is None or product.prim.name != "matmul" or len(term.aval.shape) != 2:
            continue
        if not uses[carry[0]] == uses[end[0]] == uses[term] == 1:
            continue
        factors: list[tuple[Var, bool]] = []
        for var in product.inputs:
            maker = makers.get(var)
            turned = maker is not None and maker.prim.name == "permute_dims"
            factors.append((maker.inputs[0] if maker is not None and turned else var, turned))
        if any(len(v.aval.shape) != 2 or v in fixed for v, _ in factors):
            continue
        scan.carries.remove(carry)
        scan.ends.remove(end)
        scan.equations.remove(addition)
        scan.equations.remove(product)
        found.append(_Sum(end[1], carry[1], factors))
    return found


def _plus_products(
    init: Tensor, x: Tensor, y: Tensor, /, *, x_turned: bool, y_turned: bool
) -> Tensor:
    """Return ``init`` and the sum of ``x[t] @ y[t]``; those that are turned are transposed."""
    if x_turned:
        x = permute_dims(reshape(x, (x.shape[0] * x.shape[1], x.shape[2])), (1, 0))
    else:
        x = reshape(permute_dims(x, (1, 0, 2)), (x.shape[1], x.shape[0] * x.shape[2]))
    if y_turned:
        y = permute_dims(y, (0, 2, 1))
    return add(init, matmul(x, reshape(y, (y.shape[0] * y.shape[1], y.shape[2]))))
