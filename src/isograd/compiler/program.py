"""Program: a graph made ready to run on a backend, as a list of kernels with their places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from isograd.backend import Executable, Lowering, Schedule
from isograd.compiler.lower import schedule
from isograd.compiler.passes import optimize
from isograd.core.config import modes
from isograd.ir.graph import Equation, Graph, Var, verify
from isograd.runtime.registry import KernelTable

__all__ = ["Program"]

Step = tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class Program:
    """Runs a graph: as the backend's native code where it writes any, else kernel by kernel.

    Attributes
    ----------
    traced : Graph
        What the function did, before all passes.
    graph : Graph
        What runs, after all passes.
    table : KernelTable
        The kernels of the backend that it was made for.
    schedule : Schedule or None
        The steps of native code.
    native : Executable or None
        The native code.
    """

    def __init__(
        self,
        graph: Graph,
        table: KernelTable,
        *,
        donors: Mapping[int, int] | None = None,
        optimized: bool = False,
    ) -> None:
        def kernel(name: str) -> Callable[..., Any] | None:
            return table[name]

        lowering: Lowering | None = getattr(table.backend, "lowering", None)
        keeps = None if lowering is None else lowering.keeps
        self.traced = graph
        self.table = table
        self.graph = graph if optimized else optimize(graph, kernel, modes.run, verify, keeps)
        self.schedule: Schedule | None = None
        self.native: Executable | None = None
        self._kernel = kernel
        self._as_array = table.as_array
        self._array_type = table.array_type
        if lowering is None:
            self._plan()
        else:
            self.schedule = schedule(self.graph, lowering.renders, donors)
            self.native = lowering.load(self.schedule, self._call_of)

    def _call_of(self, equation: Equation) -> Callable[..., Any]:
        """Return what computes an equation from its inputs."""
        if equation.prim.control is not None:
            return equation.prim.control.kernel(self._runner, self._kernel, **equation.static)
        found = self._kernel(equation.prim.name)
        assert found is not None, equation.prim
        return partial(found, **equation.static) if equation.static else found

    def _plan(self) -> None:
        """Give each value a place, and note after which step it is not needed any more."""
        graph = self.graph
        places: dict[Var, int] = {}
        for var in [*graph.inputs, *graph.constants]:
            places[var] = len(places)
        last_use: dict[Var, int] = {}
        for number, equation in enumerate(graph.equations):
            for var in equation.outputs:
                places[var] = len(places)
            for var in (*equation.inputs, *equation.outputs):
                last_use[var] = number
        kept = {*graph.outputs, *graph.constants}
        ends: list[list[int]] = [[] for _ in graph.equations]
        for var, number in last_use.items():
            if var not in kept:
                ends[number].append(places[var])
        self._steps: list[Step] = []
        for number, equation in enumerate(graph.equations):
            self._steps.append(
                (
                    self._call_of(equation),
                    tuple([places[v] for v in equation.inputs]),
                    tuple([places[v] for v in equation.outputs]),
                    tuple(ends[number]),
                )
            )
        self._constants = list(graph.constants.values())
        self._outputs = [places[v] for v in graph.outputs]
        self._size = len(places)

    def _runner(self, graph: Graph) -> Callable[[Sequence[Any]], list[Any]]:
        """Return how to run a part of this program: a loop's body, a branch."""
        inner = Program(graph, self.table, optimized=True)
        return inner._run if inner.native is None else inner.native.run

    def calls(self) -> list[Callable[..., Any]]:
        """Return what computes each equation from its inputs, where there is no native code."""
        return [step[0] for step in self._steps]

    def run(self, arguments: Sequence[Any]) -> list[Any]:
        """Return the output arrays for input arrays."""
        if self.native is not None:
            return modes.run(self.native.run, arguments)
        return modes.run(self._run, arguments)

    def _run(self, arguments: Sequence[Any]) -> list[Any]:
        values: list[Any] = [*arguments, *self._constants]
        values.extend([None] * (self._size - len(values)))
        for call, inputs, outputs, ends in self._steps:
            out = call(*[values[i] for i in inputs])
            if len(outputs) == 1 and out.__class__ is not tuple:
                values[outputs[0]] = out
            else:
                for place, part in zip(outputs, out, strict=True):
                    values[place] = part
            for place in ends:
                values[place] = None
        fix, kind = self._as_array, self._array_type
        return [v if v.__class__ is kind else fix(v) for v in [values[i] for i in self._outputs]]
