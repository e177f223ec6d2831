"""Other values in the place of some, for passes."""

from __future__ import annotations

from collections.abc import Mapping

from isograd.ir.graph import Equation, Graph, Var

__all__ = ["followed", "renamed", "with_inputs"]


def followed(var: Var, replaced: Mapping[Var, Var]) -> Var:
    """Return what stands in the place of a value at last."""
    while var in replaced:
        var = replaced[var]
    return var


def with_inputs(equation: Equation, replaced: Mapping[Var, Var]) -> Equation:
    """Return an equation that takes what stands in the place of its inputs."""
    if not any(v in replaced for v in equation.inputs):
        return equation
    inputs = tuple([followed(v, replaced) for v in equation.inputs])
    return Equation(equation.prim, inputs, equation.static, equation.outputs, equation.line)


def renamed(graph: Graph, replaced: Mapping[Var, Var]) -> Graph:
    """Return a graph that uses what stands in the place of its values."""
    if not replaced:
        return graph
    equations = [with_inputs(equation, replaced) for equation in graph.equations]
    outputs = [followed(v, replaced) for v in graph.outputs]
    return Graph(graph.inputs, graph.constants, equations, outputs)
