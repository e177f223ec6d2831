"""Sums of padded slices become concatenations, and their parts are stored where they belong."""

import numpy as np
import pytest

import isograd as ig
from isograd.backend.schedule import Loop
from isograd.compiler.parts import join_parts
from isograd.compiler.passes import drop_unused
from isograd.compiler.trace import Trace
from isograd.core.config import modes
from isograd.ir.graph import interpret, verify
from isograd.ir.primitive import Aval
from isograd.runtime.registry import table_for
from isograd.testing.scheduled import ScheduledBackend

CPU = ig.device("cpu")
#: Keys that read all elements once, in some order.
WHOLE = {
    "halves": ((6, 5), [np.s_[:2], np.s_[2:]]),
    "four gates": ((3, 8), [np.s_[:, 2 * k : 2 * k + 2] for k in (3, 0, 2, 1)]),
    "first axis": ((3, 2, 4), [np.s_[2:], np.s_[1:2], np.s_[0:1]]),
    "windows": ((2, 4, 6), [np.s_[:, i::2, j::3] for i in range(2) for j in range(3)]),
    "windows of one axis": ((4, 6), [np.s_[:, 1::2], np.s_[:, ::2]]),
    "a corner and the rest": ((4, 4), [np.s_[:1, :3], np.s_[:1, 3:], np.s_[1:]]),
}
#: Keys that leave out something, or read something twice.
BROKEN = {
    "a gap": ((6,), [np.s_[:2], np.s_[3:]]),
    "an overlap": ((6,), [np.s_[:4], np.s_[3:]]),
    "one window missing": ((4, 4), [np.s_[::2, ::2], np.s_[1::2, ::2], np.s_[::2, 1::2]]),
    "twice the same": ((4,), [np.s_[:2], np.s_[:2]]),
    "windows of two sizes": ((6,), [np.s_[::2], np.s_[1::3]]),
    "a pinwheel": (
        (3, 3),
        [np.s_[:1, :2], np.s_[:2, 2:], np.s_[2:, 1:], np.s_[1:, :1], np.s_[1:2, 1:2]],
    ),
}
CASES = {**WHOLE, **BROKEN}


def gradient_of_slices(keys):
    """Return a function whose gradient is a sum of padded slices."""

    def total(x):
        return sum([(ig.sin(x[key]) * (k + 1.0)).sum() for k, key in enumerate(keys)])

    return ig.grad(total)


def traced(fn, shape, dtype="float64"):
    trace = Trace()
    with trace:
        x = trace.input(Aval(shape, np.dtype(dtype)), CPU, "x")
        trace.graph.outputs = [trace.var_of(fn(x))]
    return drop_unused(verify(trace.graph))


def names(graph):
    return [equation.prim.name for equation in graph.equations]


@pytest.mark.parametrize("case", CASES)
def test_the_sum_is_written_as_its_parts_where_they_fill_it(case, rng):
    shape, keys = CASES[case]
    graph = traced(gradient_of_slices(keys), shape)
    joined = drop_unused(verify(join_parts(graph)))
    assert "pad" in names(graph)
    assert ("pad" in names(joined)) == (case in BROKEN)
    assert ("concat" in names(joined)) == (case in WHOLE)
    x = rng.standard_normal(shape)
    results = [modes.run(interpret, g, lambda n: table_for("cpu")[n], [x]) for g in (graph, joined)]
    (before,), (after,) = results
    assert np.asarray(before).tobytes() == np.asarray(after).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_zeros_of_either_sign_stay_what_a_sum_makes_of_them(dtype):
    def fn(x):
        return ig.pad(x, ((0, 3),)) + ig.pad(x, ((3, 0),))

    graph = traced(fn, (3,), dtype)
    joined = drop_unused(join_parts(graph))
    assert "concat" in names(joined)
    x = np.array([-0.0, 0.0, 1.0]).astype(dtype)
    for g in (graph, joined):
        (out,) = modes.run(interpret, g, lambda n: table_for("cpu")[n], [x])
        assert np.array_equal(out, [0, 0, 1, 0, 0, 1])
        assert not np.signbit(out).any()


def test_what_else_uses_a_padded_value_still_has_it(rng):
    def fn(x):
        first, second = ig.pad(x, ((0, 2),)), ig.pad(x * 2.0, ((2, 0),))
        return (first + second) * first

    graph = join_parts(traced(fn, (2,)))
    x = rng.standard_normal(2)
    (out,) = modes.run(interpret, graph, lambda n: table_for("cpu")[n], [x])
    np.testing.assert_array_equal(out, [x[0] ** 2, x[1] ** 2, 0.0, 0.0])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chosen", ["numba", ScheduledBackend.name])
def test_compiled_it_is_what_it_is_step_by_step(case, chosen, rng):
    if chosen == "numba":
        pytest.importorskip("numba", reason="the numba backend writes code")
    shape, keys = CASES[case]
    fn = gradient_of_slices(keys)
    x = ig.tensor(rng.standard_normal(shape))
    with ig.use_backend("numpy"):
        due = fn(x).numpy()
    with ig.use_backend(chosen if chosen == "numba" else ScheduledBackend()):
        got = ig.compile(fn)(x).numpy()
    # Float64; sine and cosine are another library's.
    np.testing.assert_allclose(got, due, rtol=1e-14)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, y: ig.concat([ig.exp(x), y * 2.0], axis=1),
        lambda x, y: ig.concat([ig.exp(x).T, (x @ y.T) * 1.5, y.T @ x, x.T], axis=0),
        lambda x, y: ig.concat([ig.exp(x).reshape((1, 9)), y.reshape((1, 9)) - 1.0], axis=0),
        lambda x, y: ig.stack([ig.exp(x), ig.stack([x * y, x - y])[0], y], axis=1) * 2.0,
        lambda x, y: ig.concat([ig.concat([x + y, x]), ig.concat([y, x * y])], axis=1),
        lambda x, y: ig.concat([z := ig.exp(x), z, y]) + ig.concat([z, z * y, y]),
        lambda x, y: ig.concat([ig.sum(x, axis=0, keepdims=True), y * y, ig.flip(x + y, axis=0)]),
    ],
)
@pytest.mark.parametrize("chosen", ["numba", ScheduledBackend.name])
def test_concatenations_of_computed_parts(fn, chosen, rng):
    if chosen == "numba":
        pytest.importorskip("numba", reason="the numba backend writes code")
    x, y = [ig.tensor(rng.standard_normal((3, 3))) for _ in range(2)]
    with ig.use_backend("numpy"):
        due = fn(x, y).numpy()
    with ig.use_backend(chosen if chosen == "numba" else ScheduledBackend()):
        got = ig.compile(fn)(x, y).numpy()
    np.testing.assert_allclose(got, due, rtol=1e-13, atol=1e-13)  # float64


def test_parts_are_stored_once_where_they_belong():
    def fn(x, y):
        return ig.concat([ig.exp(x), ig.tanh(y)], axis=1)

    with ig.use_backend(ScheduledBackend()):
        compiled = ig.compile(fn)
        compiled(ig.ones((4, 3)), ig.ones((4, 5)))
    schedule = compiled.programs[-1].schedule
    assert len(schedule.steps) == 2
    assert all(isinstance(step, Loop) for step in schedule.steps)
    assert not schedule.offsets  # nothing is kept beside the output
