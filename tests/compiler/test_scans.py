"""Passes over loops: products are kept for the way back, and sums of them are one product."""

import numpy as np
import pytest

import isograd as ig
from isograd.backend.schedule import Product
from isograd.ir.control import SCAN
from isograd.testing.scheduled import ScheduledBackend

STEPS, ROWS, WIDTH = 5, 2, 3


def recurrence(w, xs, h):
    def step(h, x):
        h = ig.tanh(h @ w + x)
        return h, h

    return ig.scan(step, h, xs)


def loss(w, xs, h):
    last, all_of_them = recurrence(w, xs, h)
    return (last * last).sum() + ig.sin(all_of_them).sum()


def arguments(rng):
    shapes = [(WIDTH, WIDTH), (STEPS, ROWS, WIDTH), (ROWS, WIDTH)]
    return [ig.tensor(rng.standard_normal(shape)) for shape in shapes]


def compiled(fn, args):
    with ig.use_backend(ScheduledBackend()):
        made = ig.compile(fn)
        out = made(*args)
    return made.programs[-1], out


def products(graph):
    return [e for e in graph.equations if e.prim.name == "matmul"]


def test_the_way_back_multiplies_only_by_cotangents_and_sums_at_last(rng):
    program, _ = compiled(ig.grad(loss, argnums=(0, 1, 2)), arguments(rng))
    forward, back = [e for e in program.graph.equations if e.prim is SCAN]
    # Forward: h @ w. Back: the cotangent of h. Behind the loop: the gradient of w.
    assert [len(products(e.static["body"])) for e in (forward, back)] == [1, 1]
    assert len(products(program.graph)) == 1
    assert products(program.graph)[0].outputs[0].aval.shape == (WIDTH, WIDTH)
    assert back.static["carries"] == 1  # no sum is handed on
    count = sum([isinstance(step, Product) for step in program.schedule.steps])
    assert count == 2 * STEPS + 1


def test_a_loop_that_nobody_differentiates_keeps_nothing(rng):
    program, _ = compiled(lambda *args: recurrence(*args)[0], arguments(rng))
    (forward,) = [e for e in program.graph.equations if e.prim is SCAN]
    assert len(forward.outputs) == 1


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_are_those_of_the_steps_one_by_one(rng, order):
    args = arguments(rng)
    fn = ig.grad(loss, argnums=(0, 1, 2))
    if order == 2:
        first = fn

        def of_gradients(*args):
            return sum([(g * g).sum() for g in first(*args)])

        fn = ig.grad(of_gradients, argnums=(0, 1, 2))
    with ig.use_backend("numpy"):
        due = fn(*args)
    _, got = compiled(fn, args)
    for mine, its in zip(got, due, strict=True):
        # Float64; sums over five steps in another order.
        np.testing.assert_allclose(mine.numpy(), its.numpy(), rtol=1e-11, atol=1e-12)


def gradient_with(step_of):
    """Return the gradient of a loop's last carry with respect to a matrix."""

    def total(w, xs, h):
        return (ig.scan(step_of(w), h, xs)[0] ** 2).sum()

    return ig.grad(total, argnums=(0, 1, 2))


def two_products(w):
    def step(h, x):
        y = ig.sin(h @ w)
        return ig.tanh(y @ w.T + x), None

    return step


def weight_on_the_left(w):
    def step(h, x):
        return ig.tanh((w @ h.T).T + x), None

    return step


def scaled_sum(w):
    """Use the matrix in a sum too, so that its cotangent is more than products."""

    def step(h, x):
        return ig.tanh(h @ w + x) * w.sum(), None

    return step


def batched(w):
    def step(h, x):
        return ig.tanh((h[None] @ w[None])[0] + x), None

    return step


@pytest.mark.parametrize("step_of", [two_products, weight_on_the_left, scaled_sum, batched])
@pytest.mark.parametrize("chosen", ["numba", ScheduledBackend.name])
def test_loops_with_other_uses_of_a_matrix(rng, step_of, chosen):
    if chosen == "numba":
        pytest.importorskip("numba", reason="the numba backend writes code")
    args = arguments(rng)
    fn = gradient_with(step_of)
    with ig.use_backend("numpy"):
        due = fn(*args)
    with ig.use_backend(chosen if chosen == "numba" else ScheduledBackend()):
        got = ig.compile(fn)(*args)
    for mine, its in zip(got, due, strict=True):
        np.testing.assert_allclose(mine.numpy(), its.numpy(), rtol=1e-11, atol=1e-12)  # float64


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_layers_learn_as_they_do_step_by_step(kind, rng):
    x = rng.standard_normal((4, 6, 3)).astype("float32")

    def trained(chosen, compile):
        with ig.use_backend(chosen):
            ig.manual_seed(0)
            layer = getattr(ig.nn, kind)(3, 5, num_layers=2, bidirectional=True, batch_first=True)
            optimizer = ig.optim.SGD(layer.parameters(), lr=0.1)
            batch = ig.tensor(x)

            def step(batch):
                loss = (layer(batch)[0] ** 2).mean()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                return loss

            run = ig.compile(step, state=(layer, optimizer)) if compile else step
            losses = [run(batch).item() for _ in range(4)]
            return losses, {name: p.numpy() for name, p in layer.named_parameters()}

    losses, due = trained("numpy", compile=False)
    same_losses, got = trained(ScheduledBackend(), compile=True)
    np.testing.assert_allclose(same_losses, losses, rtol=1e-5)
    for name, array in due.items():
        # Float32 after four steps, gradients summed over six steps in another order.
        np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("chosen", ["numpy", "numba", ScheduledBackend.name])
def test_a_loop_that_does_nothing_but_add_products_is_gone(rng, chosen):
    if chosen == "numba":
        pytest.importorskip("numba", reason="the numba backend writes code")

    def total(xs, ys):
        return ig.scan(lambda c, pair: (c + pair[0] @ pair[1], None), ig.zeros((2, 2)), (xs, ys))[0]

    xs, ys = rng.standard_normal((3, 2, 4)), rng.standard_normal((3, 4, 2))
    with ig.use_backend(ScheduledBackend() if chosen == ScheduledBackend.name else chosen):
        compiled = ig.compile(total)
        args = [ig.tensor(a.astype("float32")) for a in (xs, ys)]
        got = compiled(*args).numpy()
    # Float32, sums of twelve terms.
    np.testing.assert_allclose(got, (xs @ ys).sum(axis=0), rtol=1e-5, atol=1e-6)
    assert not [e for e in compiled.programs[-1].graph.equations if e.prim is SCAN]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_loops_over_nothing(shape):
    def fn(h):
        return ig.scan(lambda c, _: (ig.tanh(c), (c, ig.tanh(c))), h, length=3)

    with ig.use_backend(ScheduledBackend()):
        last, (before, after) = ig.compile(fn)(ig.ones(shape))
    assert last.shape == shape
    assert before.shape == after.shape == (3, *shape)
