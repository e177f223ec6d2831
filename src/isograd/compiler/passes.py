"""Passes: graphs to equal graphs. Each keeps what `interpret` returns, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from isograd.compiler.parts import join_parts
from isograd.compiler.renaming import followed, with_inputs
from isograd.compiler.scans import keep_products, sum_products_once
from isograd.compiler.trace import traced
from isograd.ir.graph import Equation, Graph, Var

__all__ = ["decompose", "drop_unused", "fold_constants", "merge_equal", "optimize", "simplify"]

#: Bytes up to which a folded constant is kept in a program instead of being computed at each call.
_SMALL = 1 << 16


def drop_unused(graph: Graph) -> Graph:
    """Drop equations and constants that no output needs."""
    needed = set(graph.outputs)
    kept: list[Equation] = []
    for equation in reversed(graph.equations):
        if any(v in needed for v in equation.outputs):
            if equation.prim.control is not None:
                equation = equation.prim.control.narrow(equation, needed)
            needed.update(equation.inputs)
            kept.append(equation)
    constants = {v: array for v, array in graph.constants.items() if v in needed}
    return Graph(graph.inputs, constants, kept[::-1], graph.outputs)


def merge_equal(graph: Graph) -> Graph:
    """Compute equal applications of a primitive to equal values once."""
    replaced: dict[Var, Var] = {}
    constants = _merge_numbers(graph, replaced)
    seen: dict[Any, Equation] = {}
    kept: list[Equation] = []
    for equation in graph.equations:
        equation = with_inputs(equation, replaced)
        static = tuple([(k, *_exactly(v)) for k, v in sorted(equation.static.items())])
        key = (equation.prim, equation.inputs, static)
        twin = seen.setdefault(key, equation)
        if twin is equation:
            kept.append(equation)
        else:
            replaced.update(zip(equation.outputs, twin.outputs, strict=True))
    outputs = [replaced.get(v, v) for v in graph.outputs]
    return Graph(graph.inputs, constants, kept, outputs)


def _merge_numbers(graph: Graph, replaced: dict[Var, Var]) -> dict[Var, Any]:
    """Return the constants with each number once; the others are entered as replaced."""
    first: dict[Any, Var] = {}
    kept: dict[Var, Any] = {}
    for var, array in graph.constants.items():
        if var.aval.shape == () and isinstance(array, np.ndarray):
            twin = first.setdefault((var.aval.dtype, array.tobytes(), var.device), var)  # pyright: ignore[reportUnknownMemberType]
            if twin is not var:
                replaced[var] = twin
                continue
        kept[var] = array
    return kept


def simplify(graph: Graph) -> Graph:
    """Replace operations that return an operand unchanged, bit for bit, by that operand."""
    scalars = [(v, a) for v, a in graph.constants.items() if v.aval.shape == ()]
    numbers: dict[Var, Any] = {v: a[()] for v, a in scalars if isinstance(a, np.ndarray)}
    replaced: dict[Var, Var] = {}
    kept: list[Equation] = []
    for equation in graph.equations:
        equation = with_inputs(equation, replaced)
        same = _unchanged(equation, numbers)
        if same is None or same.aval != equation.outputs[0].aval:
            kept.append(equation)
        else:
            replaced[equation.outputs[0]] = same
    return Graph(
        graph.inputs, graph.constants, kept, [followed(v, replaced) for v in graph.outputs]
    )


def _unchanged(equation: Equation, numbers: dict[Var, Any]) -> Var | None:
    """Return the operand that an equation returns, if it is known to."""
    name, inputs = equation.prim.name, equation.inputs
    if name in ("reshape", "broadcast_to", "stop_gradient", "astype"):
        return inputs[0]  # the caller compares shapes and dtypes
    if name == "permute_dims" and equation.static["axes"] == tuple(
        range(len(inputs[0].aval.shape))
    ):
        return inputs[0]
    if name not in ("mul", "div", "sub", "add", "pow"):
        return None
    x, y = inputs
    number = numbers.get(y)
    if name in ("mul", "div", "pow") and number is not None and number == 1:
        return x
    if name == "sub" and number is not None and number == 0 and not np.signbit(number):
        return x  # x - 0 is x for both zeros; x + 0 is not
    if name == "mul" and numbers.get(x) is not None and numbers[x] == 1:
        return y
    return None


def _exactly(value: Any) -> tuple[Any, Any]:
    """Return what tells a static value from all others: 0.0 from -0.0, 1 from 1.0 and True."""
    kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, tuple):
        return kind, tuple([_exactly(part) for part in value])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    # NumPy's floats are equal to zeros of the other sign too, and hash alike.
    if isinstance(value, float | np.floating):
        return kind, repr(float(value))  # pyright: ignore[reportUnknownArgumentType]
    return kind, value


def decompose(graph: Graph, keeps: Callable[[Equation], bool]) -> Graph:
    """Replace fused primitives that a backend does not keep by their decompositions."""
    replaced: dict[Var, Var] = {}
    constants = dict(graph.constants)
    kept: list[Equation] = []
    todo = list(reversed(graph.equations))
    while todo:
        equation = with_inputs(todo.pop(), replaced)
        if keeps(equation) or equation.prim.decompose is None:
            kept.append(equation)
            continue
        inner = traced(
            partial(equation.prim.decompose, **equation.static), equation.inputs, equation.line
        )
        constants.update(inner.constants)
        replaced.update(zip(equation.outputs, inner.outputs, strict=True))
        todo.extend(reversed(inner.equations))
    outputs = [followed(v, replaced) for v in graph.outputs]
    return Graph(graph.inputs, constants, kept, outputs)


def fold_constants(
    graph: Graph,
    kernel: Callable[[str], Callable[..., Any] | None],
    run: Callable[..., Any],
) -> Graph:
    """Compute once what depends on no input, unless it is large."""
    constants = dict(graph.constants)
    kept: list[Equation] = []
    for equation in graph.equations:
        size = sum([_bytes(v) for v in equation.outputs])
        found = kernel(equation.prim.name)
        if (
            size > _SMALL
            or found is None
            or equation.prim.multiple
            or any(v not in constants for v in equation.inputs)
        ):
            kept.append(equation)
            continue
        arrays = [constants[v] for v in equation.inputs]
        constants[equation.outputs[0]] = run(found, *arrays, **equation.static)
    return Graph(graph.inputs, constants, kept, graph.outputs)


def _bytes(var: Var) -> int:
    return int(np.prod(var.aval.shape, dtype=np.int64)) * var.aval.dtype.itemsize


def optimize(
    graph: Graph,
    kernel: Callable[[str], Callable[..., Any] | None],
    run: Callable[..., Any],
    check: Callable[[Graph], Graph],
    keeps: Callable[[Equation], bool] | None = None,
) -> Graph:
    """Apply all passes, also inside loops and branches; ``check`` sees the graph after each.

    ``keeps`` tells which fused primitives are not decomposed: by default those with a kernel.
    """
    graph = check(drop_unused(graph))
    graph = check(drop_unused(keep_products(graph)))
    graph = check(drop_unused(sum_products_once(graph)))
    graph = check(
        decompose(graph, keeps or (lambda equation: kernel(equation.prim.name) is not None))
    )
    graph = check(fold_constants(graph, kernel, run))
    graph = check(join_parts(graph))
    graph = check(simplify(graph))
    graph = check(merge_equal(graph))
    graph = drop_unused(graph)

    def inner(value: Any) -> Any:
        return optimize(value, kernel, run, check, keeps) if isinstance(value, Graph) else value

    equations = [
        equation
        if equation.prim.control is None
        else Equation(
            equation.prim,
            equation.inputs,
            {name: inner(value) for name, value in equation.static.items()},
            equation.outputs,
            equation.line,
        )
        for equation in graph.equations
    ]
    return check(Graph(graph.inputs, graph.constants, equations, graph.outputs))
