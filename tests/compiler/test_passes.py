"""Passes print what they should on graphs written by hand, and keep what programs return."""

import functools
import operator

import numpy as np
import pytest

import isograd as ig
from isograd.compiler import passes
from isograd.compiler.trace import Trace
from isograd.core.config import modes
from isograd.ir.graph import Equation, Graph, Var, format_graph, interpret, verify
from isograd.ir.primitive import Aval, Primitive
from isograd.runtime.registry import table_for
from isograd.testing.fuzz import generate

PRIMS = ig.ops.PRIMITIVES
CPU = ig.device("cpu")
FUSED = frozenset(name for name, prim in PRIMS.items() if prim.decompose is not None)


@pytest.fixture(autouse=True)
def _on_numpy():
    with ig.use_backend("numpy"):
        yield


def kernel(name):
    return table_for("cpu")[name]


class Hand:
    """Writes a graph line by line."""

    def __init__(self):
        self.graph = Graph()

    def input(self, shape=(2,), dtype="float64"):
        self.graph.inputs.append(Var(Aval(shape, np.dtype(dtype)), CPU))
        return self.graph.inputs[-1]

    def constant(self, array):
        array = np.asarray(array)
        var = Var(Aval(array.shape, array.dtype), CPU)
        self.graph.constants[var] = array
        return var

    def __call__(self, prim, *inputs, **static):
        prim = PRIMS[prim] if isinstance(prim, str) else prim
        avals = prim.infer(*[v.aval for v in inputs], **static)
        outs = tuple(Var(aval, CPU) for aval in (avals if prim.multiple else (avals,)))
        self.graph.equations.append(Equation(prim, inputs, static, outs))
        return outs if prim.multiple else outs[0]

    def returns(self, *outputs):
        self.graph.outputs = list(outputs)
        return verify(self.graph)


def lines(graph):
    return [line.strip() for line in format_graph(verify(graph)).splitlines()[1:-1]]


def run(graph, *arrays):
    out = modes.run(interpret, graph, kernel, arrays)
    return [np.asarray(a) for a in out]


def folded(graph):
    return passes.fold_constants(graph, kernel, modes.run)


def same(before, after):
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes() or (
            np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a), np.signbit(b))
        )


# -- drop_unused -----------------------------------------------------------------------------------


def test_what_no_output_needs_is_dropped_inputs_are_kept():
    g = Hand()
    x, unused = g.input(), g.input()
    c, d = g.constant(2.0), g.constant(3.0)
    y = g("mul", x, c)
    z = g("mul", y, d)
    g("add", z, unused)
    graph = passes.drop_unused(g.returns(y))
    assert lines(graph) == ["%2: float64[] = constant", "%3: float64[2] = mul(%0, %2)", "return %3"]
    assert len(graph.inputs) == 2
    assert len(g.graph.equations) == 3  # a pass makes a graph of its own


def test_one_output_of_several_keeps_the_equation():
    g = Hand()
    lr, w, grad, v = g.input(()), *[g.input() for _ in range(3)]
    hyper = {"dampening": 0.0, "nesterov": False, "weight_decay": 0.0, "maximize": False}
    _, momentum = g("sgd_update", lr, w, grad, v, momentum=0.9, first=False, **hyper)
    graph = passes.drop_unused(g.returns(momentum))
    assert len(graph.equations) == 1
    assert lines(graph)[-1] == "return %5"


@pytest.mark.parametrize(
    "apply",
    [
        passes.drop_unused,
        passes.merge_equal,
        folded,
        lambda g: passes.decompose(g, lambda e: False),
    ],
)
def test_inputs_constants_and_repeated_outputs_are_returned_as_they_are(apply):
    g = Hand()
    x, c = g.input(), g.constant([5.0])
    graph = apply(g.returns(x, c, x, c))
    assert lines(graph) == ["%1: float64[1] = constant", "return %0, %1, %0, %1"]
    same(run(graph, np.array([1.0, 2.0])), run(g.graph, np.array([1.0, 2.0])))
    nothing = apply(Hand().returns())
    assert format_graph(nothing) == "graph() {\n  return \n}"


# -- merge_equal -----------------------------------------------------------------------------------


def test_equal_equations_merge_and_so_do_those_that_become_equal():
    g = Hand()
    x, y = g.input(), g.input()
    a, b = g("add", x, y), g("add", x, y)
    c, d = g("exp", a), g("exp", b)
    swapped = g("add", y, x)
    graph = passes.merge_equal(g.returns(c, d, b, swapped))
    assert lines(graph) == [
        "%2: float64[2] = add(%0, %1)",
        "%3: float64[2] = exp(%2)",
        "%4: float64[2] = add(%1, %0)",
        "return %3, %3, %2, %4",
    ]


def test_merging_keeps_all_outputs_of_an_equation_apart():
    g = Hand()
    lr, step = g.input(()), g.input((), "int64")
    w, grad, m, s = [g.input() for _ in range(4)]
    hyper = {
        "betas": (0.9, 0.99),
        "eps": 1e-8,
        "weight_decay": 0.0,
        "decoupled": False,
        "maximize": False,
    }
    first = g("adam_update", lr, step, w, grad, m, s, **hyper)
    second = g("adam_update", lr, step, w, grad, m, s, **hyper)
    graph = passes.merge_equal(g.returns(*second, first[0]))
    assert len(graph.equations) == 1
    assert lines(graph)[-1] == "return %6, %7, %8, %6"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0),
        (1, 1.0),
        (1, True),
        (1.0, True),
        (0, False),
        ((0.0, 1), (-0.0, 1)),
        ((1, 2), (1.0, 2)),
        ((1,), (True,)),
        (((0.0,),), ((-0.0,),)),
        (np.float64(0.0), np.float64(-0.0)),
        (np.float32(1.0), 1.0),
        ((np.float64(0.0),), (np.float64(-0.0),)),
        (np.dtype("int32"), np.dtype("int64")),
    ],
)
def test_static_values_that_python_calls_equal_are_told_apart(one, other):
    constant = Primitive("constant", lambda x, *, value: x)
    g = Hand()
    x = g.input()
    a, b, c = [g(constant, x, value=value) for value in (one, other, one)]
    merged = passes.merge_equal(g.returns(a, b, c))
    assert len(merged.equations) == 2
    assert merged.outputs[0] is merged.outputs[2]


def test_full_of_either_zero_stay_two_values():
    g = Hand()
    values = [
        g("full", shape=(2,), value=v, dtype=np.dtype("float64"), device=CPU) for v in (0.0, -0.0)
    ]
    before = g.returns(*values)
    after = passes.merge_equal(before)
    same(run(before), run(after))
    assert np.signbit(run(after)[1]).all()
    same(run(before), run(folded(after)))


def test_nan_equals_itself_as_a_static_value():
    g = Hand()
    made = [
        g("full", shape=(1,), value=float("nan"), dtype=np.dtype("float64"), device=CPU)
        for _ in range(2)
    ]
    assert len(passes.merge_equal(g.returns(*made)).equations) == 1


def test_random_draws_merge_for_one_key_only():
    trace = Trace()
    with trace:
        ig.manual_seed(0)
        outs = [ig.random.uniform(4) for _ in range(3)]
        trace.graph.outputs = [trace.var_of(t) for t in outs]
    merged = passes.merge_equal(folded(verify(trace.graph)))
    bits = [e for e in merged.equations if e.prim.name == "random_bits"]
    assert len(bits) == 3
    assert len({v for e in bits for v in e.inputs}) == 3
    key = np.array([0, 0], np.uint64)
    draws = run(merged, key)
    same(run(trace.graph, key), draws)
    assert len({a.tobytes() for a in draws}) == 3
    g = Hand()
    given = g.input((2,), "uint64")
    twice = [g("random_bits", given, shape=(3,), bits=32) for _ in range(2)]
    longer = g("random_bits", given, shape=(3,), bits=64)
    assert len(passes.merge_equal(g.returns(*twice, longer)).equations) == 2


# -- decompose -------------------------------------------------------------------------------------


def test_what_has_a_kernel_or_no_decomposition_stays():
    g = Hand()
    x = g.input()
    graph = g.returns(g("relu", x), g("exp", x))
    kept = passes.decompose(graph, lambda e: e.prim.name == "relu")
    assert [e.prim.name for e in kept.equations] == ["relu", "exp"]


def test_relu_decomposes_to_its_definition():
    g = Hand()
    x = g.input()
    y = g("relu", x)
    graph = passes.decompose(g.returns(g("exp", y)), lambda e: e.prim.name not in FUSED)
    names = [e.prim.name for e in graph.equations]
    assert names[-2:] == ["where", "exp"]
    assert not FUSED & set(names)
    data = np.array([-0.0, np.nan])
    same(run(g.graph, data), run(verify(graph), data))


def chain(depth):
    """Return primitives of which each decomposes into the next alone: out is the next one's out."""

    def link(n):
        nothing = lambda x: x  # noqa: E731
        if n == 0:
            return PRIMS["neg"]
        inner = link(n - 1)
        return Primitive(f"link{n}", nothing, decompose=lambda x: ig.bind(inner, x))

    return link(depth)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_results_of_nested_decompositions_are_followed_to_their_end(depth):
    g = Hand()
    x = g.input()
    y = g(chain(depth), x)
    z = g("add", y, y)
    graph = passes.decompose(g.returns(z, y), lambda e: not e.prim.name.startswith("link"))
    assert lines(graph) == [
        "%1: float64[2] = neg(%0)",
        "%2: float64[2] = add(%1, %1)",
        "return %2, %1",
    ]


def test_a_decomposition_may_return_its_input_or_one_value_twice():
    same_twice = Primitive(
        "same_twice", lambda x: (x, x, x), decompose=lambda x: (x, -x, x), multiple=True
    )
    g = Hand()
    x = g.input()
    a, b, c = g(same_twice, x)
    d, e, f = g(same_twice, c)
    graph = passes.decompose(g.returns(a, b, c, d, e, f), lambda e: e.prim.name == "neg")
    assert lines(graph) == [
        "%1: float64[2] = neg(%0)",
        "%2: float64[2] = neg(%0)",
        "return %0, %1, %0, %0, %2, %0",
    ]
    assert lines(passes.merge_equal(graph))[-1] == "return %0, %1, %0, %0, %1, %0"


@pytest.mark.parametrize("nested", [False, True])
def test_adam_on_a_backend_without_the_kernel(nested, rng):
    hyper = {
        "betas": (0.9, 0.99),
        "eps": 1e-8,
        "weight_decay": 0.1,
        "decoupled": True,
        "maximize": False,
    }
    prim = PRIMS["adam_update"]
    if nested:
        outer = Primitive(
            "outer",
            prim.infer,
            multiple=True,
            decompose=lambda *ts, **static: ig.bind(prim, *ts, **static)[::1],
        )
    g = Hand()
    lr, step = g.input(()), g.input((), "int64")
    groups = [[g.input((3,)), g.input(())] for _ in range(4)]
    flat = functools.reduce(operator.add, groups)
    outs = g(outer if nested else prim, lr, step, *flat, **hyper)
    shifted = [g("sin", out) for out in outs]
    before = g.returns(*outs, *shifted)
    after = verify(passes.decompose(before, lambda e: e.prim.name not in ("outer", *FUSED)))
    assert not {e.prim.name for e in after.equations} & {"outer", *FUSED}
    arrays = [
        np.array(0.01),
        np.array(3),
        *[np.abs(rng.standard_normal(v.aval.shape)) for v in flat],
    ]
    arrays = [np.asarray(a) for a in arrays]
    for got, due in zip(
        run(after, *arrays),
        run(passes.decompose(before, lambda e: e.prim.name != "outer"), *arrays),
        strict=True,
    ):
        np.testing.assert_allclose(got, due, rtol=1e-14)
    merged = passes.merge_equal(after)
    assert len(merged.equations) < len(after.equations)
    same(run(after, *arrays), run(verify(merged), *arrays))


def test_captured_constants_of_decompositions_become_the_graphs():
    offset = ig.tensor([1.0, -2.0], dtype="float64")
    shifted = Primitive("shifted", lambda x: x, decompose=lambda x: ig.add(x, offset))
    g = Hand()
    x = g.input()
    graph = passes.decompose(g.returns(g(shifted, g(shifted, x))), lambda e: e.prim.name == "add")
    verify(graph)
    assert run(graph, np.array([1.0, 1.0]))[0].tolist() == [3.0, -3.0]


# -- fold_constants --------------------------------------------------------------------------------


def test_what_depends_on_constants_alone_is_computed():
    g = Hand()
    x, c = g.input(), g.constant([1.0, 4.0])
    root = g("sqrt", c)
    total = g("sum", root, axis=(0,), keepdims=False)
    y = g("mul", x, root)
    before = g.returns(y, total)
    after = passes.drop_unused(folded(before))
    assert lines(after) == [
        "%1: float64[2] = constant",
        "%2: float64[] = constant",
        "%3: float64[2] = mul(%0, %1)",
        "return %3, %2",
    ]
    data = np.array([2.0, 3.0])
    same(run(before, data), run(after, data))


@pytest.mark.parametrize(("size", "stays"), [(8192, 0), (8193, 1)])
def test_large_constants_are_not_kept(size, stays):
    g = Hand()
    big = g("broadcast_to", g.constant(1.0), shape=(size,))
    total = g("sum", big, axis=(0,), keepdims=False)
    graph = passes.drop_unused(folded(g.returns(total)))
    assert [e.prim.name for e in graph.equations] == ["broadcast_to", "sum"][: 2 * stays]
    assert run(graph)[0] == size


def test_folding_emits_no_warnings_and_keeps_special_values():
    g = Hand()
    zero = g.constant([0.0, -0.0, -1.0])
    before = g.returns(g("log", zero), g("div", g.constant(1.0), zero), g("sqrt", zero))
    after = folded(before)
    assert after.equations == []
    same(run(before), run(after))


def test_empty_and_0d_constants_fold():
    g = Hand()
    empty = g.constant(np.zeros((0, 3), "float32"))
    total = g("sum", empty, axis=(0, 1), keepdims=False)
    after = folded(g.returns(total, g("neg", empty)))
    assert after.equations == []
    same(run(g.graph), run(after))


# -- all passes, on random programs ----------------------------------------------------------------


def traced(program):
    """Return a program's graph as it is traced, before all passes, and arrays for its inputs."""
    trace = Trace()
    fn = program.derived()
    arguments = program.arguments()
    arrays = [ig.asarray(a, dtype="float64" if isinstance(a, float) else None) for a in arguments]
    with trace:
        symbols = [
            trace.input(t.aval, t.device, "argument", weak=isinstance(a, float))
            for a, t in zip(arguments, arrays, strict=True)
        ]
        trace.graph.outputs = [trace.var_of(out.detach()) for out in fn(*symbols)]
    # The keys of random numbers are inputs behind the arguments.
    keys = [np.array([program.seed, 0], np.uint64)] * (len(trace.graph.inputs) - len(arrays))
    return verify(trace.graph), [t.numpy() for t in arrays] + keys


SEEDS = range(1000, 1120)


@pytest.mark.parametrize("start", SEEDS[::20])
def test_every_pass_keeps_what_random_programs_return(start):
    changed = dict.fromkeys(("drop_unused", "merge_equal", "fold_constants", "decompose"), 0)
    for seed in range(start, start + 20):
        graph, arrays = traced(generate(seed))
        due = run(graph, *arrays)
        for name, after in {
            "drop_unused": passes.drop_unused(graph),
            "merge_equal": passes.merge_equal(graph),
            "fold_constants": folded(graph),
        }.items():
            same(due, run(verify(after), *arrays))
            changed[name] += len(after.equations) < len(graph.equations)
        whole = passes.optimize(graph, kernel, modes.run, verify)
        same(due, run(whole, *arrays))
        assert len(whole.equations) <= len(graph.equations)
        # Without fused kernels passes still agree among themselves.
        split = verify(passes.decompose(graph, lambda e: e.prim.name not in FUSED))
        assert not FUSED & {e.prim.name for e in split.equations}
        changed["decompose"] += len(split.equations) > len(graph.equations)
        same(
            run(split, *arrays),
            run(passes.drop_unused(passes.merge_equal(folded(split))), *arrays),
        )
    assert all(count > 0 for count in changed.values()), changed


def test_optimising_twice_changes_nothing_more():
    for seed in SEEDS[:10]:
        graph, _ = traced(generate(seed))
        once = passes.optimize(graph, kernel, modes.run, verify)
        again = passes.optimize(once, kernel, modes.run, verify)
        assert format_graph(again) == format_graph(once)
