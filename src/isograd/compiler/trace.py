"""Tracing: run a Python function once with symbols in place of arrays, and keep what it did.

`bind` hands every application to the active `Trace`, so derivatives, rules and updates are traced
like everything else: they are made of the same operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from isograd.core.config import modes
from isograd.core.devices import Device
from isograd.core.errors import UndeclaredStateError
from isograd.core.frames import user_line
from isograd.ir import Aval, Primitive
from isograd.ir.graph import Equation, Graph, Var
from isograd.runtime.modes import no_grad
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["Trace", "traced"]


class Trace:
    """The graph of a function that is being run with symbols."""

    def __init__(self) -> None:
        self.graph = Graph()
        #: Captured arrays by identity; the array is kept so that its identity stays its own.
        self._captured: dict[int, tuple[Any, Var]] = {}
        #: Random generators that were drawn from: the symbol of the next key, and how many streams.
        self.draws: dict[Any, tuple[Var, int]] = {}
        #: Modules that were called though nobody declared them: they decide by flags and hooks.
        self.visited: dict[int, Any] = {}
        #: Symbols of loop bodies and branches, which mean nothing outside them.
        self.hidden: set[Var] = set()
        #: Identities of declared modules, and of the groups of declared optimizers; None: all are.
        self.declared: frozenset[int] | None = None
        self._outer: Any = None

    def __enter__(self) -> Trace:
        self._outer, modes.trace = modes.trace, self
        return self

    def __exit__(self, *_: object) -> None:
        modes.trace = self._outer

    def input(self, aval: Aval, device: Device, name: str, *, weak: bool = False) -> Tensor:
        """Return a tensor whose array is a new input of the graph."""
        var = Var(aval, device, name, user_line())
        var.weak = weak
        self.graph.inputs.append(var)
        return Tensor(var, aval, device)

    def stage(
        self,
        prim: Primitive,
        tensors: Sequence[Tensor],
        static: dict[str, Any],
        avals: Any,
        device: Device,
    ) -> Any:
        """Record an application; return the symbol, or symbols, of what it makes."""
        line = user_line()
        inputs = tuple([self.var_of(t, prim) for t in tensors])
        # Python numbers stay as flexible in a trace as they are outside.
        weak = (
            prim.name != "astype"
            and any(v.weak for v in inputs)
            and all(v.weak or (v.aval.shape == () and v in self.graph.constants) for v in inputs)
        )
        outputs: list[Var] = []
        for aval in avals if prim.multiple else (avals,):
            var = Var(aval, device, prim.name, line)
            var.weak = weak
            outputs.append(var)
        self.graph.equations.append(Equation(prim, inputs, static, tuple(outputs), line))
        return tuple(outputs) if prim.multiple else outputs[0]

    def var_of(self, t: Tensor, prim: Primitive | None = None) -> Var:
        """Return what stands for a tensor: its symbol, or a constant for a captured array."""
        array = t.array
        if array.__class__ is Var:
            if array in self.hidden:
                raise UndeclaredStateError(
                    f"compile: a tensor made inside the body of a scan or a branch of a cond (at "
                    f"{array.line}) is used outside of it; return it from the body"
                )
            return array
        if isinstance(t, Parameter):
            where = f" of {prim.public}" if prim is not None else ""
            raise UndeclaredStateError(
                f"compile: a parameter of shape {t.shape} is an argument{where} at {user_line()}, "
                "but was not "
                "declared; pass what owns it: isograd.compile(state=(model, optimizer))"
            )
        found = self._captured.get(id(array))
        if found is None:
            var = Var(t.aval, t.device, "constant")
            self.graph.constants[var] = array
            found = self._captured[id(array)] = (array, var)
        return found[1]

    def check_declared(self, owner: Any, what: str) -> None:
        """Refuse to use state that was not declared: its changes would be lost, or never seen.

        Raises
        ------
        UndeclaredStateError
            If ``owner`` is none of what was declared.
        """
        if self.declared is not None and id(owner) not in self.declared:
            raise UndeclaredStateError(
                f"compile: {what} is used at {user_line()}, but was not declared; pass it: "
                "isograd.compile(state=(model, optimizer))"
            )

    def visit(self, module: Any) -> None:
        """Note that a module is called; its flags and hooks are as good as arguments."""
        if self.declared is not None and id(module) not in self.declared:
            self.visited[id(module)] = module

    def check_complete(self) -> None:
        """Refuse a graph that uses a symbol of another one.

        Raises
        ------
        ConcretizationError
            That says where the symbol was made.
        """
        known = {*self.graph.inputs, *self.graph.constants}
        for equation in self.graph.equations:
            for var in equation.inputs:
                if var not in known:
                    var.refuse()
            known.update(equation.outputs)
        for var in self.graph.outputs:
            if var not in known:
                var.refuse()

    def draw(self, generator: Any, device: Device, count: int = 1) -> Tensor:
        """Return a generator's next key as a function of where it stands at the call.

        ``count`` is the number of streams to take.
        """
        from isograd.ops.arithmetic import add
        from isograd.ops.creation import tensor

        if generator not in self.draws:
            key = self.input(Aval((2,), np.dtype(np.uint64)), device, "random key")
            self.draws[generator] = (key.array, 0)
        var, taken = self.draws[generator]
        self.draws[generator] = (var, taken + count)
        base = Tensor(var, var.aval, device)
        return add(base, tensor(np.array([0, taken], np.uint64), device=device)) if taken else base

    # -- control flow ------------------------------------------------------------------------------

    def scan(self, *args: Any) -> tuple[list[Tensor], list[Tensor]]:
        """Record a loop; see `isograd.compiler.loops.scan`."""
        from isograd.compiler.loops import scan

        return scan(self, *args)

    def cond(self, *args: Any) -> list[Tensor]:
        """Record a choice; see `isograd.compiler.branches.cond`."""
        from isograd.compiler.branches import cond

        return cond(self, *args)


def traced(function: Callable[..., Any], inputs: Sequence[Var], line: str | None) -> Graph:
    """Return the graph of a function of tensors, applied to symbols of another graph.

    Its equations are credited to a line of the user's: nobody has written what a pass makes.
    """
    trace = Trace()
    with trace, no_grad():
        out: Any = function(*[Tensor(v, v.aval, v.device) for v in inputs])
        made = cast("tuple[Tensor, ...]", out if isinstance(out, tuple) else (out,))
        results = [trace.var_of(t) for t in made]
    equations = [replace(e, line=line) for e in trace.graph.equations]
    return Graph(list(inputs), trace.graph.constants, equations, results)
