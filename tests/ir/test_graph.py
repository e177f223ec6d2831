import numpy as np
import pytest

import isograd as ig
from isograd.ir.graph import Equation, Graph, GraphError, Var, format_graph, interpret, verify
from isograd.ir.primitive import Aval

PRIMS = ig.ops.PRIMITIVES
CPU = ig.device("cpu")


def var(shape=(2,), dtype="float64"):
    return Var(Aval(shape, np.dtype(dtype)), CPU)


def small_graph():
    x, c, y, z = var(), var(()), var(), var(())
    equations = [
        Equation(PRIMS["mul"], (x, c), {}, (y,)),
        Equation(PRIMS["sum"], (y,), {"axis": (0,), "keepdims": False}, (z,)),
    ]
    return Graph([x], {c: np.asarray(3.0)}, equations, [z, y]), (x, c, y, z)


def test_a_graph_verifies_prints_and_runs():
    graph, _ = small_graph()
    verify(graph)
    assert str(graph) == format_graph(graph)
    assert "%2: float64[2] = mul(%0, %1)" in str(graph)
    assert "sum(%2, axis=(0,), keepdims=False)" in str(graph)
    total, scaled = interpret(graph, ig.get_backend("cpu").kernel, [np.array([1.0, 2.0])])
    assert float(total) == 9.0
    assert scaled.tolist() == [3.0, 6.0]


@pytest.mark.parametrize("break_it", ["order", "twice", "shape", "output"])
def test_the_verifier_sees_what_is_wrong(break_it):
    graph, (x, c, y, _) = small_graph()
    if break_it == "order":
        graph.equations.reverse()
    elif break_it == "twice":
        graph.equations.append(Equation(PRIMS["mul"], (x, c), {}, (y,)))
    elif break_it == "shape":
        graph.equations.append(Equation(PRIMS["neg"], (x,), {}, (var((3,)),)))
    else:
        graph.outputs.append(var())
    with pytest.raises(GraphError, match="verify"):
        verify(graph)


def test_a_missing_kernel_is_named():
    graph, _ = small_graph()
    with pytest.raises(GraphError, match="no kernel for mul"):
        interpret(graph, lambda name: None, [np.ones(2)])
