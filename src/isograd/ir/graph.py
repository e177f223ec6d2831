"""Graph: a program in static single assignment, with a verifier, a printer, an interpreter.

The interpreter is what "correct" means for a compiled program: it applies each primitive's kernel
in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from isograd.core.devices import Device
from isograd.core.errors import ConcretizationError, IsogradError
from isograd.ir.primitive import Aval, Primitive

__all__ = [
    "Equation",
    "Graph",
    "GraphError",
    "Var",
    "count_uses",
    "format_graph",
    "interpret",
    "verify",
]


_OF_ARRAYS = frozenset({"dtype", "flags", "ndim", "shape", "size", "strides"})


class GraphError(IsogradError, AssertionError):
    """A graph that breaks its own rules: a mistake in a tracer or a pass."""


class Var:
    """A value of a graph: what is known of it, and where the user's program made it.

    While a function is traced, a Var stands in for a tensor's array.
    """

    __slots__ = ("aval", "device", "line", "name", "weak")

    def __init__(self, aval: Aval, device: Device, name: str = "", line: str | None = None) -> None:
        self.aval = aval
        self.device = device
        self.name = name
        self.line = line
        #: Whether it was a Python number, which takes the dtype of the tensor beside it.
        self.weak = False

    def refuse(self) -> NoReturn:
        """Raise, since a number was asked for where there is only a symbol."""
        raise ConcretizationError(
            f"compile: this tensor is {self.aval} of a function that is being compiled, so it has "
            f"no numbers yet (made at {self.line}); use isograd.where and other functions of "
            "tensors, or return it"
        )

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.refuse()

    if not TYPE_CHECKING:  # a checker would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            if name in _OF_ARRAYS:  # a kernel was called with a symbol that left its trace
                self.refuse()
            raise AttributeError(f"a value of a graph has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<{self.name or 'value'}: {self.aval}>"


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """One application of a primitive."""

    prim: Primitive
    inputs: tuple[Var, ...]
    static: Mapping[str, Any]
    outputs: tuple[Var, ...]
    line: str | None = None


@dataclass(slots=True, eq=False)
class Graph:
    """A program: inputs and constants, then equations in order, then outputs.

    Attributes
    ----------
    inputs : list of Var
    constants : dict
        Values that are fixed when the program is made, with their arrays.
    equations : list of Equation
    outputs : list of Var
        Any of the above values, also repeatedly.
    """

    inputs: list[Var] = field(default_factory=list[Var])
    constants: dict[Var, Any] = field(default_factory=dict[Var, Any])
    equations: list[Equation] = field(default_factory=list[Equation])
    outputs: list[Var] = field(default_factory=list[Var])

    def __str__(self) -> str:
        return format_graph(self)


def count_uses(graph: Graph) -> dict[Var, int]:
    """Return how often each value is an operand or an output."""
    found = dict.fromkeys([*graph.inputs, *graph.constants], 0)
    for equation in graph.equations:
        found.update(dict.fromkeys(equation.outputs, 0))
    for var in [v for e in graph.equations for v in e.inputs] + graph.outputs:
        found[var] = found.get(var, 0) + 1
    return found


def verify(graph: Graph) -> Graph:
    """Check that every value is defined once, before its use, with the shape and dtype it claims.

    Raises
    ------
    GraphError
        At the first rule that is broken.
    """
    defined: set[Var] = set()

    def define(values: Iterable[Var], what: str) -> None:
        for value in values:
            if value in defined:
                raise GraphError(f"verify: {value} is defined twice, the second time as {what}")
            defined.add(value)

    define(graph.inputs, "an input")
    define(graph.constants, "a constant")
    for number, equation in enumerate(graph.equations):
        where = f"equation {number} ({equation.prim.name})"
        for value in equation.static.values():
            if isinstance(value, Graph):
                verify(value)
        for value in equation.inputs:
            if value not in defined:
                raise GraphError(f"verify: {where} uses {value}, which is not defined before it")
        inferred = equation.prim.infer(*[v.aval for v in equation.inputs], **equation.static)
        avals: Sequence[Aval] = inferred if equation.prim.multiple else (inferred,)
        if tuple(avals) != tuple([v.aval for v in equation.outputs]):
            found = ", ".join(str(v.aval) for v in equation.outputs)
            raise GraphError(
                f"verify: {where} makes {', '.join(map(str, avals))}, but its outputs are {found}"
            )
        define(equation.outputs, f"an output of {where}")
    for value in graph.outputs:
        if value not in defined:
            raise GraphError(f"verify: output {value} is never defined")
    return graph


def interpret(
    graph: Graph, kernel: Callable[[str], Callable[..., Any] | None], arguments: Sequence[Any]
) -> list[Any]:
    """Run a graph, one kernel after the other.

    Parameters
    ----------
    graph
        The program. Primitives without a kernel must have been decomposed.
    kernel
        Gives a primitive's kernel by name.
    arguments
        An array for each input.

    Returns
    -------
    list
        An array for each output.

    Raises
    ------
    GraphError
        If a primitive has no kernel.
    """

    def runner(inner: Graph) -> Callable[[Sequence[Any]], list[Any]]:
        return partial(interpret, inner, kernel)

    values: dict[Var, Any] = dict(graph.constants)
    values.update(zip(graph.inputs, arguments, strict=True))
    for equation in graph.equations:
        control = equation.prim.control
        if control is None:
            run = kernel(equation.prim.name)
        else:
            run = control.kernel(runner, kernel, **equation.static)
        if run is None:
            raise GraphError(
                f"interpret: there is no kernel for {equation.prim.name}; decompose it"
            )
        static: Mapping[str, Any] = equation.static if control is None else {}
        out = run(*[values[v] for v in equation.inputs], **static)
        if equation.prim.multiple:
            values.update(zip(equation.outputs, out, strict=True))
        else:
            values[equation.outputs[0]] = out
    return [values[v] for v in graph.outputs]


def format_graph(graph: Graph) -> str:
    """Return the graph as text, a line for each equation, values numbered in order."""
    names: dict[Var, str] = {}

    def name(value: Var) -> str:
        return names.setdefault(value, f"%{len(names)}")

    def declared(value: Var) -> str:
        return f"{name(value)}: {value.aval}"

    lines = ["graph(" + ", ".join(declared(v) for v in graph.inputs) + ") {"]
    lines += [f"  {declared(v)} = constant" for v in graph.constants]
    for equation in graph.equations:
        static = [f"{k}={_text(v)}" for k, v in equation.static.items()]
        left = ", ".join(declared(v) for v in equation.outputs)
        right = ", ".join([*[name(v) for v in equation.inputs], *static])
        lines.append(f"  {left} = {equation.prim.name}({right})")
    lines.append("  return " + ", ".join(name(v) for v in graph.outputs))
    return "\n".join([*lines, "}"])


def _text(value: Any) -> str:
    if isinstance(value, Graph):
        return format_graph(value).replace("\n", "\n    ")
    return value.name if hasattr(value, "itemsize") else str(value)
