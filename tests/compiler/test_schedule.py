"""Schedules: what is fused with what, where values are, and in which order steps run.

All of them run on the NumPy interpreter, whose memory is poisoned and whose state is updated where
it is, so a step that reads too early or writes too soon gives NaN.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import isograd as ig
from isograd.backend.schedule import (
    REDUCTIONS,
    Apply,
    Loop,
    Product,
    format_kernel,
    format_schedule,
    touched,
)
from isograd.testing.scheduled import ScheduledBackend

F = ig.nn.functional


def ones(*shape, dtype="float32"):
    return ig.ones(shape, dtype=dtype)


def scheduled(fn, *args, state=()):
    """Return the schedule of a function, after a look at what it computes."""
    with ig.use_backend(ScheduledBackend()):
        compiled = ig.compile(fn, state=state)
        compiled.explain(*args)
    schedule = compiled.programs[0].schedule
    check(schedule)
    return schedule


def kinds(schedule):
    return [type(step).__name__ for step in schedule.steps]


def computed(step):
    return [e.prim.name for e in (getattr(step, "equations", None) or [step.equation])]


def operations(step):
    """Return the operations in the body of a step, without what only brings values there."""
    ignored = ("load", "const", "index")
    return [n.op for n in step.kernel.nodes if n.op not in ignored]


def check(schedule):
    """Check what holds of every schedule."""
    bytes_of = {
        n: max(b.size * np.dtype(b.dtype).itemsize, 1) for n, b in enumerate(schedule.buffers)
    }
    lives: dict[int, list[int]] = {}
    written = set(schedule.inputs) | set(schedule.constants)
    for number, step in enumerate(schedule.steps):
        reads, writes = touched(step)
        # A product reads its own output in the kernel that ends it.
        assert reads - writes <= written, f"step {number} reads what nobody wrote"
        written |= writes
        for buffer in reads | writes:
            lives.setdefault(buffer, []).append(number)
        assert not writes & (set(schedule.inputs) | set(schedule.constants))
        if number < schedule.commit:
            assert not writes & schedule.donors.keys(), "state is written before the commit"
    assert set(schedule.outputs) <= written | set(schedule.inputs)
    arena = [b for b in lives if b in schedule.offsets]
    for i, one in enumerate(arena):
        start = schedule.offsets[one]
        assert start % 64 == 0
        assert start + bytes_of[one] <= schedule.arena
        for two in arena[:i]:
            other = schedule.offsets[two]
            apart = start >= other + bytes_of[two] or other >= start + bytes_of[one]
            in_turn = lives[one][0] > lives[two][-1] or lives[two][0] > lives[one][-1]
            assert apart or in_turn, f"b{one} and b{two} are alive together in one place"
    for output, source in schedule.donors.items():
        reads = [n for n, s in enumerate(schedule.steps) if source in touched(s)[0]]
        writes = [n for n, s in enumerate(schedule.steps) if output in touched(s)[1]]
        assert all(r <= writes[0] for r in reads), "state is read after it was written"
    assert format_schedule(schedule).startswith(f"arena of {schedule.arena} bytes")


# -- fusion ----------------------------------------------------------------------------------------


def test_elementwise_functions_are_one_loop():
    def fn(x, y):
        a = ig.exp(x) * y
        return ig.where(a > 1.0, a, -a), a

    (step,) = scheduled(fn, ones(4, 5), ones(4, 5)).steps
    assert operations(step) == ["exp", "mul", "greater", "neg", "where"]
    assert step.kernel.shape == (20,)  # axes that follow each other in memory are one
    assert len(step.kernel.stores) == 2


def test_values_that_nobody_reads_from_memory_are_not_stored():
    schedule = scheduled(lambda x: ig.sin(ig.cos(ig.exp(x))), ones(7))
    assert schedule.arena == 0
    assert [b.role for b in schedule.buffers] == ["input", "output"]


def test_independent_functions_are_loops_of_their_own():
    schedule = scheduled(lambda x, y: (ig.exp(x), ig.sin(y)), ones(3), ones(5))
    assert kinds(schedule) == ["Loop", "Loop"]


def mlp():
    model = ig.nn.Sequential(
        ig.nn.Linear(8, 16), ig.nn.ReLU(), ig.nn.Linear(16, 12), ig.nn.ReLU(), ig.nn.Linear(12, 3)
    )
    optimizer = ig.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return model, optimizer, step


def test_a_step_of_an_mlp_is_products_with_epilogues_and_a_few_loops():
    model, optimizer, step = mlp()
    x, y = ones(5, 8), ig.zeros(5, dtype="int64")
    with ig.use_backend(ScheduledBackend()):  # momenta exist from the second step on
        ig.compile(step, state=(model, optimizer))(x, y)
    schedule = scheduled(step, x, y, state=(model, optimizer))
    products = [s for s in schedule.steps if isinstance(s, Product)]
    # Three forward, three for weights, two for activations; each has something at its end.
    assert len(products) == 8
    assert all(p.kernel is not None for p in products)
    forward = products[:3]
    assert [computed(p)[:2] for p in forward] == [["matmul", "add"]] * 3
    assert all(computed(p)[-1] == "where" for p in forward[:2])  # relu
    assert not any(isinstance(s, Apply) for s in schedule.steps)
    # Weights are updated where their gradient is made: no gradient is ever a whole array.
    updated = [p for p in products if p.params and _writes_state(schedule, p)]
    assert len(updated) == 3


def _writes_state(schedule, step):
    return bool(touched(step)[1] & schedule.donors.keys())


@pytest.mark.parametrize(
    ("name", "fn"),
    [
        ("softmax", lambda x: F.softmax(x, dim=-1)),
        ("log_softmax", lambda x: F.log_softmax(x, dim=-1)),
        ("layer_norm", lambda x: F.layer_norm(x, (33,))),
        ("logsumexp", lambda x: ig.logsumexp(x, axis=-1, keepdims=True)),
        ("norm", lambda x: x / ig.sqrt((x * x).sum(axis=-1, keepdims=True))),
    ],
)
def test_functions_of_rows_are_one_loop(name, fn):
    schedule = scheduled(fn, ones(6, 33))
    (step,) = schedule.steps
    kernel = step.kernel
    assert kernel.shape == (6, 33)
    assert kernel.reduced == (False, True)
    assert any(n.op in REDUCTIONS for n in kernel.nodes)
    assert schedule.arena == 0


def test_a_reduction_takes_along_what_only_it_needs():
    schedule = scheduled(lambda x, y: ig.sum(x * y, axis=0), ones(40, 6), ones(40, 6))
    (step,) = schedule.steps
    assert operations(step) == ["mul", "sum"]
    assert schedule.arena == 0


def test_what_follows_a_reduction_joins_it():
    (step,) = scheduled(lambda x: ig.sqrt(ig.mean(x * x, axis=1) + 1.0), ones(5, 9)).steps
    assert operations(step)[-1] == "sqrt"
    assert step.kernel.items == 5


def test_reductions_over_different_axes_are_different_loops():
    schedule = scheduled(lambda x: (ig.sum(x, axis=0), ig.max(x, axis=1)), ones(5, 9))
    assert kinds(schedule) == ["Loop", "Loop"]


def test_picking_one_of_each_row_is_no_gather():
    def fn(x, i):
        return ig.take_along_axis(ig.exp(x), i, axis=1)

    (step,) = scheduled(fn, ones(4, 9), ig.zeros((4, 1), dtype="int64")).steps
    assert "gather" not in operations(step)
    assert "wrap" in operations(step)
    assert operations(step)[-1] == "sum"


def test_gathers_join_what_uses_them():
    (step,) = scheduled(
        lambda t, i: ig.exp(t[i]) + 1.0, ones(9, 4), ig.zeros((2, 3), dtype="int64")
    ).steps
    assert operations(step)[-3:] == ["gather", "exp", "add"]
    assert len(step.checks) == 1


# -- views -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("transpose", lambda x: x.mT),
        ("permuted", lambda x: ig.permute_dims(x, (1, 0))),
        ("slice", lambda x: x[1:5:2, ::-1]),
        ("flip", lambda x: ig.flip(x, axis=0)),
        ("reshape", lambda x: ig.reshape(x, (3, 2, 6))),
        ("row", lambda x: x[2]),
        ("diagonal block", lambda x: x[2:4, 2:4]),
        ("broadcast", lambda x: ig.broadcast_to(x[:1], (4, 6))),
        ("expanded", lambda x: ig.expand_dims(x.mT, axis=1)),
    ],
)
def test_views_are_only_other_strides(name, view):
    schedule = scheduled(lambda x: ig.exp(view(x)), ones(6, 6))
    assert kinds(schedule) == ["Loop"]
    assert schedule.arena == 0


def test_views_of_operands_of_products_cost_no_copy():
    schedule = scheduled(lambda x, y: x[:, 1:].mT @ y[::2].mT[:5], ones(5, 4), ones(6, 5))
    assert kinds(schedule) == ["Product"]


def test_a_view_inside_a_loop_keeps_it_one_loop():
    schedule = scheduled(lambda x: ig.exp(x).mT * 2.0 + ig.sin(x).mT, ones(6, 7))
    assert kinds(schedule) == ["Loop"]


def test_views_that_are_returned_are_copied_and_own_their_memory():
    x = ig.tensor(np.arange(6.0).reshape(2, 3))
    with ig.use_backend(ScheduledBackend()):
        out = ig.compile(lambda x: (x.mT, x.mT))(x)
    assert out[0].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert out[1].tolist() == out[0].tolist()


def test_numbers_are_written_into_kernels_and_ranges_are_computed():
    schedule = scheduled(lambda x: x * 2 + ig.arange(20_000), ones(2, 20_000, dtype="int64"))
    (step,) = schedule.steps
    assert {n.op for n in step.kernel.nodes} == {"load", "const", "index", "mul", "add"}
    assert schedule.constants == {}


# -- products --------------------------------------------------------------------------------------


def test_batched_products_have_epilogues_too():
    (step,) = scheduled(
        lambda x, y, b: ig.tanh(x @ y + b), ones(2, 3, 5, 4), ones(4, 6), ones(6)
    ).steps
    assert isinstance(step, Product)
    assert computed(step) == ["matmul", "add", "tanh"]
    # Columns are one axis of their own, since tiles cut there.
    assert step.kernel.shape[-1] == 6


def test_a_product_that_two_loops_read_is_stored():
    schedule = scheduled(
        lambda x, y: ((x @ y).sum(axis=0), (x @ y).max(axis=1)), ones(4, 3), ones(3, 5)
    )
    assert kinds(schedule).count("Product") == 1


def test_an_epilogue_that_needs_another_product_comes_after_both():
    schedule = scheduled(lambda x, y: (x @ y) * (y @ x), ones(4, 4), ones(4, 4))
    assert kinds(schedule) == ["Product", "Product"]
    assert schedule.steps[0].kernel is None
    assert computed(schedule.steps[1]) == ["matmul", "mul"]


# -- long reductions -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1 << 15, (1 << 15) + 1, 3 * (1 << 15) + 17, 1 << 20])
def test_long_sums_are_split_into_parts_of_fixed_shape(n):
    schedule = scheduled(lambda x: ig.sum(x * x), ones(n))
    assert kinds(schedule)[-1] == "Loop"
    assert len(schedule.steps) >= 2
    parts = schedule.steps[0].kernel
    assert parts.reduced == (False, True)
    assert parts.shape[0] >= 32
    covered = sum(s.kernel.shape[0] * s.kernel.shape[1] for s in schedule.steps[:-1])
    assert covered == n
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n).astype("float32")
    with ig.use_backend(ScheduledBackend()):
        found = ig.compile(lambda x: ig.sum(x * x))(ig.tensor(x)).item()
    right = np.sum(x.astype(np.float64) ** 2)
    assert abs(found - right) <= 4 * np.sqrt(n) * np.finfo("float32").eps * right


def test_short_sums_are_not():
    assert kinds(scheduled(lambda x: ig.sum(x), ones((1 << 15) - 1))) == ["Loop"]
    assert kinds(scheduled(lambda x: ig.sum(x, axis=1), ones(64, 1 << 10))) == ["Loop"]


# -- state and order -------------------------------------------------------------------------------


def test_state_is_written_over_what_it_replaces_and_last():
    model, optimizer, step = mlp()
    schedule = scheduled(step, ones(5, 8), ig.zeros(5, dtype="int64"), state=(model, optimizer))
    sizes = {schedule.buffers[b].size for b in schedule.donors}
    assert {8 * 16, 16, 16 * 12, 12, 12 * 3, 3} <= sizes
    assert 0 < schedule.commit < len(schedule.steps)
    assert computed(schedule.steps[0])[-1] == "where"  # relu


def test_checks_of_indices_come_before_state_is_written():
    table = ig.nn.Parameter(ig.ones((5, 2)))

    def step(i):
        table.assign_(table.detach() * 2.0)
        return table.detach()[i]

    schedule = scheduled(step, ig.tensor([1]), state=table)
    checked = [n for n, s in enumerate(schedule.steps) if isinstance(s, Loop) and s.checks]
    assert checked
    assert max(checked) < schedule.commit


def test_a_loop_that_checks_indices_does_not_write_state():
    p = ig.nn.Parameter(ig.ones((4, 2)))
    q = ig.nn.Parameter(ig.ones((8, 2)))

    def step(t, i):
        p.assign_(p.detach() * 0.5 + t[i])
        q.assign_(q.detach() + 1.0)

    schedule = scheduled(step, ones(9, 2), ig.tensor([1, 2, 3, 4]), state=(p, q))
    (checked,) = [n for n, s in enumerate(schedule.steps) if isinstance(s, Loop) and s.checks]
    assert checked < schedule.commit
    # What has nothing to do with that stays where it is.
    assert len(schedule.steps) == 3


def test_state_that_is_read_transposed_is_not_overwritten_too_soon():
    p = ig.nn.Parameter(ig.tensor(np.arange(16.0).reshape(4, 4)))

    def step():
        p.assign_(p.detach().mT + p.detach())

    scheduled(step, state=p)
    with ig.use_backend(ScheduledBackend()):
        ig.compile(step, state=p)()
    a = np.arange(16.0).reshape(4, 4)
    assert p.tolist() == (a.T + a).tolist()


def test_two_parameters_can_change_places():
    p, q = (ig.nn.Parameter(ig.tensor([1.0, 2.0]) * n) for n in (1.0, 10.0))

    def swap():
        a, b = p.detach(), q.detach()
        p.assign_(b)
        q.assign_(a)

    scheduled(swap, state=(p, q))
    with ig.use_backend(ScheduledBackend()):
        swap = ig.compile(swap, state=(p, q))
        for _ in range(3):
            swap()
    assert (p.tolist(), q.tolist()) == ([10.0, 20.0], [1.0, 2.0])


# -- kernels ---------------------------------------------------------------------------------------


def test_equal_kernels_are_equal_values():
    def layer(x, w, b):
        return ig.tanh(x @ w + b)

    def fn(x, v, w, b, c):
        return layer(layer(x, v, b), w, c)

    schedule = scheduled(fn, ones(3, 4), ones(4, 4), ones(4, 4), ones(4), ones(4))
    one, two = schedule.steps
    assert one.kernel == two.kernel
    assert hash(one.kernel) == hash(two.kernel)
    assert format_schedule(schedule).count("tanh") == 1


def test_negative_zero_is_another_number_than_zero():
    schedule = scheduled(lambda x: (ig.maximum(x, 0.0), ig.maximum(x, -0.0)), ones(3))
    constants = [n.static[0] for s in schedule.steps for n in s.kernel.nodes if n.op == "const"]
    assert sorted(str(c) for c in constants) == ["-0.0", "0.0"]


def test_kernels_print_as_loops():
    (step,) = scheduled(lambda x: ig.sum(ig.exp(x), axis=1), ones(4, 5)).steps
    assert list(format_kernel(step.kernel)) == [
        "for i0 in 4:",
        "  for i1 in 5:  # reduced  # lanes",
        "    v0: float32 = p0[i0 * 5 + i1]",
        "    v1: float32 = exp(v0)",
        "    v2: float32 = sum(v1)",
        "    p1[i0] = v2",
    ]


# -- random programs -------------------------------------------------------------------------------

UNARY = {
    "exp": (ig.exp, np.exp),
    "neg": (lambda x: -x, np.negative),
    "square": (lambda x: x * x, np.square),
    "tanh": (ig.tanh, np.tanh),
}
MOVES = {
    "transpose": (lambda x: ig.permute_dims(x, (1, 0)), np.transpose),
    "flip": (lambda x: ig.flip(x, axis=0), lambda x: np.flip(x, 0)),
    "row": (
        lambda x: ig.broadcast_to(x[:1], x.shape),
        lambda x: np.broadcast_to(x[:1], x.shape),
    ),
    "fold": (lambda x: ig.reshape(ig.reshape(x, (-1,)), x.shape), lambda x: x),
    "turn": (
        lambda x: ig.reshape(x, x.shape[::-1]),
        lambda x: np.reshape(x, x.shape[::-1]),
    ),
    "odd": (lambda x: ig.concat([x[1:], x[:1]]), lambda x: np.concatenate([x[1:], x[:1]])),
}
REDUCED = {
    "sum": (lambda x, a: ig.sum(x, axis=a, keepdims=True), np.sum),
    "max": (lambda x, a: ig.max(x, axis=a, keepdims=True), np.max),
}


@st.composite
def programs(draw):
    """Return steps over a pool of values, as (kind, name, operands)."""
    steps = []
    for number in range(draw(st.integers(1, 9))):
        pick = st.integers(0, number)
        kind = draw(st.sampled_from(("unary", "move", "reduced", "binary", "binary", "product")))
        match kind:
            case "unary":
                steps.append((kind, draw(st.sampled_from(sorted(UNARY))), draw(pick)))
            case "move":
                steps.append((kind, draw(st.sampled_from(sorted(MOVES))), draw(pick)))
            case "reduced":
                name = draw(st.sampled_from(sorted(REDUCED)))
                steps.append((kind, name, draw(pick), draw(st.integers(0, 1))))
            case _:
                steps.append((kind, "", draw(pick), draw(pick)))
    outputs = draw(st.lists(st.integers(0, len(steps)), min_size=1, max_size=3))
    shape = draw(st.sampled_from([(3, 3), (4, 3), (1, 5), (7, 2)]))
    return steps, outputs, shape


def evaluate(steps, outputs, x, library):
    """Run the steps with the functions of isograd (0) or NumPy (1)."""
    pool = [x]
    for kind, name, *which in steps:
        a = pool[which[0]]
        if kind == "unary":
            out = UNARY[name][library](a)
        elif kind == "move":
            out = MOVES[name][library](a)
        elif kind == "reduced":
            fn = REDUCED[name][library]
            total = fn(a, which[1]) if library == 0 else fn(a, axis=which[1], keepdims=True)
            out = a - total
        else:
            b = pool[which[1]]
            move = MOVES["transpose"][library]
            if kind == "product":
                out = (a @ move(b if b.shape == a.shape else a)) @ a
            elif b.shape == a.shape:
                out = a * b - a
            else:
                out = a + (move(b) if b.shape == a.shape[::-1] else a)
        # Numbers stay small, so that errors do.
        pool.append(MOVES["fold"][library](out) * 0.5)
        pool[-1] = (ig.tanh if library == 0 else np.tanh)(pool[-1])
    return [pool[i] for i in outputs]


@given(programs())
def test_random_programs_keep_their_meaning(made):
    steps, outputs, shape = made
    x = np.random.default_rng(len(steps)).uniform(-1.0, 1.0, shape)
    right = evaluate(steps, outputs, x, 1)
    with ig.use_backend(ScheduledBackend()):
        fn = ig.compile(lambda x: evaluate(steps, outputs, x, 0))
        found = fn(ig.tensor(x))
        check(fn.programs[0].schedule)
    for out, due in zip(found, right, strict=True):
        np.testing.assert_allclose(out.numpy(), due, rtol=1e-9, atol=1e-11)


@given(programs())
def test_random_updates_of_state_keep_their_meaning(made):
    steps, outputs, shape = made
    x = np.random.default_rng(len(steps)).uniform(-1.0, 1.0, shape)
    right = x
    for _ in range(2):
        found = evaluate(steps, outputs, right, 1)[0]
        right = 0.5 * right + np.reshape(found, shape)
    with ig.use_backend(ScheduledBackend()):
        p = ig.nn.Parameter(ig.tensor(x))

        def step():
            value = p.detach()
            p.assign_(0.5 * value + ig.reshape(evaluate(steps, outputs, value, 0)[0], shape))

        run = ig.compile(step, state=p)
        for _ in range(2):
            run()
        check(run.programs[0].schedule)
    np.testing.assert_allclose(p.numpy(), right, rtol=1e-9, atol=1e-11)
