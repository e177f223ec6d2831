"""Random programs, the machinery that makes, checks and shrinks them, and planted mistakes."""

import dataclasses

import numpy as np
import pytest

import isograd as ig
from isograd.compiler import passes
from isograd.ir.graph import Equation, Graph
from isograd.testing import fuzz as fz
from isograd.testing.fuzz.__main__ import main
from isograd.testing.fuzz.check import Counts
from isograd.testing.harness import available_backends

BLOCKS = range(0, 240, 40)


@pytest.mark.parametrize("seed", BLOCKS)
def test_random_programs(seed):
    report = fz.fuzz(40, seed)
    assert report, str(report)
    assert report.counts.programs == 40
    assert report.counts.unstable < 0.05 * report.counts.elements


def test_programs_are_of_many_kinds():
    programs = [fz.generate(seed) for seed in range(200)]
    functions = {step.function for p in programs for step in p.steps}
    assert len(functions) > 90
    assert {p.derivative for p in programs} == {"", "grad", "grad of grad", "jvp", "backward"}
    inputs = [one for p in programs for one in p.inputs]
    assert {one.kind for one in inputs} == {"argument", "constant", "number"}
    assert {one.dtype for one in inputs} >= {"float32", "float64", "int64", "int32", "bool"}
    assert {len(one.shape) for one in inputs} >= {0, 1, 2, 3, 4}
    assert any(0 in one.shape for one in inputs)


# -- programs --------------------------------------------------------------------------------------


def program(*steps, outputs, inputs=None, derivative=""):
    x = fz.Input("x", "argument", (3,), "float64", np.array([1.0, -2.0, 0.5]))
    return fz.Program(1, inputs or (x,), steps, outputs, derivative)


X, V = fz.Ref("x"), [fz.Ref(f"v{n}") for n in range(9)]


@pytest.mark.parametrize("seed", range(12))
def test_printed_source_is_the_program(seed, capsys):
    made = fz.generate(seed)
    with ig.use_backend("numpy"):
        due = made.run(made.derived())
        variables = {}
        source = made.source().replace("ig.set_backend('numpy')\n", "")
        exec(compile(source, "source", "exec"), variables)
    capsys.readouterr()
    found = [t.numpy() for t in variables["eager"]]
    assert len(found) == len(made.labels()) == len(due)
    for a, b in zip(found, due, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("derivative", ["", "grad", "grad of grad", "jvp", "backward"])
def test_derivatives_of_a_program(derivative):
    made = program(fz.Step("v0", "ig.square", (X,)), outputs=("v0",), derivative=derivative)
    x = np.array([1.0, -2.0, 0.5])
    slope = 2 * x * np.cos(x**2)
    curve = 2 * np.cos(x**2) - 4 * x**2 * np.sin(x**2)
    due = {
        "grad": slope,
        "backward": slope,
        "grad of grad": np.cos(slope) * curve,
        "jvp": np.sum(slope * np.cos(x)),
    }
    arrays = made.run(made.derived())
    assert arrays[0].tolist() == [1.0, 4.0, 0.25]
    assert len(arrays) == len(made.labels()) == (2 if derivative else 1)
    if derivative:
        np.testing.assert_allclose(arrays[1], due[derivative], rtol=1e-12)


def test_indexing_prints_as_python():
    index = (slice(None, None, -2), None, Ellipsis, 1)
    steps = [
        fz.Step("v0", "x[]", (X, index)),
        fz.Step("v1", "x.at[].add", (X, (fz.Ref("i"),), 2.0)),
        fz.Step("v2", "x.at[].set", (X, (), 0.5)),
    ]
    source = program(*steps, outputs=("v0", "v1")).source()
    assert "v0 = x[::-2, None, ..., 1]" in source
    assert "v1 = x.at[i,].add(2.0)" in source
    assert "v2 = x.at[()].set(0.5)" in source


# -- the rule --------------------------------------------------------------------------------------


def test_compiled_programs_give_the_same_bits():
    one = np.float32([1.0, np.nan, np.inf])
    assert fz.judge(one, one.copy(), pair="compiled") == ""
    near = np.nextafter(one, np.float32(2))
    assert "is 1.0000001192092896 where 1.0 is due" in fz.judge(near, one, pair="compiled")
    assert "where -0.0 is due" in fz.judge(np.zeros(1), -np.zeros(1), pair="compiled")
    assert "float32(3,) is due" in fz.judge(one.astype("float64"), one, pair="compiled")
    assert "(1, 3) where" in fz.judge(one[None], one, pair="compiled")


def test_backends_may_differ_as_far_as_noise_goes():
    due = np.float32([1.0, 1000.0])
    noisy = [due + np.float32([1e-3, 0]), due - np.float32([1e-3, 1e-4])]
    judge = lambda value: fz.judge(np.float32(value), due, pair="backends", noisy=noisy)  # noqa: E731
    assert judge([1.001, 1000.0]) == ""
    assert "within" in judge([1.1, 1000.0])
    assert "within" in judge([1.0, 1000.5])
    assert "where 1.0 is due" in judge([np.nan, 1000.0])
    # Without noise, equality.
    assert fz.judge(np.nextafter(due, np.float32(0)), due, pair="backends") != ""


def test_what_noise_decides_is_not_compared():
    due = np.array([1, 2])
    noisy = [np.array([1, 2]), np.array([1, 3])]
    assert fz.judge(np.array([1, 7]), due, pair="backends", noisy=noisy) == ""
    assert fz.judge(np.array([0, 2]), due, pair="backends", noisy=noisy) != ""
    due, noisy = np.array([1.0, 2.0]), [np.array([np.nan, 2.0])]
    assert fz.judge(np.array([9.0, 2.0]), due, pair="backends", noisy=noisy) == ""
    assert fz.judge(np.array([1.0, np.inf]), due, pair="backends", noisy=noisy) != ""


# -- planted mistakes ------------------------------------------------------------------------------


def merge_careless(graph):
    """Merge equations of one primitive and inputs whatever their static values are."""
    careless = [Equation(e.prim, e.inputs, {}, e.outputs) for e in graph.equations]
    merged = passes_merge(Graph(graph.inputs, graph.constants, careless, graph.outputs))
    static = {e.outputs: e.static for e in graph.equations}
    kept = [Equation(e.prim, e.inputs, static[e.outputs], e.outputs) for e in merged.equations]
    return Graph(merged.inputs, merged.constants, kept, merged.outputs)


def subtract_backwards(graph, kernel, run):
    """Swap the operands of subtractions."""
    kept = [
        Equation(e.prim, e.inputs[::-1], e.static, e.outputs)
        if e.prim.name == "sub" and e.inputs[0].aval == e.inputs[1].aval
        else e
        for e in graph.equations
    ]
    return Graph(graph.inputs, graph.constants, kept, graph.outputs)


passes_merge = passes.merge_equal


@pytest.mark.parametrize(
    ("name", "wrong"), [("merge_equal", merge_careless), ("fold_constants", subtract_backwards)]
)
def test_a_wrong_pass_is_caught_and_the_program_shrinks(monkeypatch, name, wrong):
    monkeypatch.setattr(passes, name, wrong)
    report = fz.fuzz(40, backends=["numpy"])
    assert not report
    assert {f.pair for f in report.failures} <= {"compiled", ""}
    # Most mistakes show in a step or two, with their derivatives.
    assert min(len(f.program.steps) for f in report.failures) <= 2
    for failure in report.failures:
        assert len(failure.program.steps) <= len(fz.generate(failure.program.seed).steps)
        assert f"seed {failure.program.seed}" in str(failure)
        assert "ig.compile" in str(failure)
    monkeypatch.undo()
    assert all(fz.check(f.program, ["numpy"]) is None for f in report.failures)


@pytest.mark.parametrize(
    ("primitive", "change"),
    [
        ("exp", lambda out: out * out.dtype.type(1 + 1e-3)),
        ("add", lambda out: np.nextafter(out, 9) if out.dtype.kind == "f" else out),
        ("sum", lambda out: np.asarray(out * out.dtype.type(1 + 1e-3))),
    ],
)
def test_a_wrong_kernel_is_caught(monkeypatch, primitive, change):
    with ig.use_backend("numpy") as right:
        kernel = right.kernel
    wrong = {primitive: lambda *xs, **static: change(kernel(primitive)(*xs, **static))}

    class Planted:
        name, version, protocol_version = "planted", "0", right.protocol_version
        memory, capabilities = right.memory, right.capabilities
        set_num_threads, get_num_threads = right.set_num_threads, right.get_num_threads
        describe = right.describe

        def kernel(self, name, /):
            return wrong.get(name) or kernel(name)

    found = (fz.check(fz.generate(seed), ["numpy", Planted()]) for seed in range(120))
    failure = next(filter(None, found))
    assert failure.pair == "backends"
    assert "is due" in failure.message


def test_an_exception_is_a_failure_with_its_place():
    made = program(fz.Step("v0", "ig.no_such_function", (X,)), outputs=("v0",))
    counts = Counts()
    failure = fz.check(made, ["numpy"], counts)
    assert failure.what == "exception"
    assert "AttributeError: module 'isograd' has no attribute 'no_such_function'" in str(failure)
    assert counts.programs == 1
    assert counts.arrays == 0


# -- shrinking -------------------------------------------------------------------------------------


def test_shrinking_leaves_the_one_step_that_matters():
    steps = [
        fz.Step("v0", "ig.exp", (X,)),
        fz.Step("v1", "ig.add", (V[0], X)),
        fz.Step("v2", "ig.sin", (V[1],)),
        fz.Step("v3", "ig.multiply", (V[2], 2.0)),
        fz.Step("v4", "ig.cos", (V[3],)),
    ]
    large = program(*steps, outputs=("v4", "v1", "v2"), derivative="grad of grad")
    asked = []

    def fails(candidate):
        asked.append(candidate)
        return any(step.function == "ig.sin" for step in candidate.steps)

    small = fz.shrink(large, fails)
    assert [step.function for step in small.steps] == ["ig.sin"]
    assert small.outputs == ("v2",)
    assert small.derivative == ""
    (one,) = small.inputs
    assert one.array().tolist() == [1.0]
    assert len(asked) < 60
    assert large.steps == tuple(steps)  # a program is a value


def test_shrinking_keeps_the_values_that_matter():
    x = fz.Input("x", "constant", (4, 6), "float32", fz.program.Drawn("normal", 3))
    made = program(fz.Step("v0", "ig.log", (X,)), outputs=("v0",), inputs=(x,))

    def fails(candidate):
        with ig.use_backend("numpy"):
            outs = candidate.run(candidate.derived())
        return len(candidate.steps) == 1 and any(np.isnan(out).any() for out in outs)

    small = fz.shrink(made, fails)
    assert small.inputs[0].kind == "argument"
    assert small.inputs[0].array().tolist() == [[-1.0]]


def test_shrinking_changes_sizes_in_steps_as_well():
    x = fz.Input("x", "argument", (7,), "float64", fz.program.Drawn("normal", 3))
    steps = [
        fz.Step("v0", "ig.broadcast_to", (X, (5, 7))),
        fz.Step("v1", "ig.sum", (V[0],), {"axis": 1}),
    ]
    made = program(*steps, outputs=("v1",), inputs=(x,))
    small = fz.shrink(made, lambda p: len(p.steps) == 2)
    assert small.inputs[0].shape == (1,)
    assert small.steps[0].args[1] == (5, 1)


def test_shrinking_stops_after_its_tries():
    made = fz.generate(3)
    asked = []
    assert fz.shrink(made, lambda p: bool(asked.append(p)), tries=5) is made
    assert len(asked) == 5


# -- the command -----------------------------------------------------------------------------------


def test_the_command_reports_and_exits(monkeypatch, capsys):
    assert main(["--programs", "4", "--seed", "9", "--backend", "numpy"]) == 0
    assert "4 programs from seed 9" in capsys.readouterr().out
    monkeypatch.setattr(passes, "fold_constants", subtract_backwards)
    assert main(["--programs", "60", "--backend", "numpy", "--no-shrink"]) == 1
    out = capsys.readouterr().out
    assert "compiled, numpy" in out
    assert " 0 failures" not in out.splitlines()[-1]


def test_backends_are_checked_in_pairs():
    counts = Counts()
    made = dataclasses.replace(fz.generate(5), derivative="")
    assert fz.check(made, counts=counts) is None
    outputs = len(made.outputs)
    # NumPy, which is the reference, compiled with two sets of data; each other backend, and the
    # interpreter of schedules, eager and compiled.
    others = len(available_backends()) - 1 + 1
    assert counts.arrays == outputs * 2 * (1 + others)
