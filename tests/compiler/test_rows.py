"""Loops that become rows of a program's table give what loops give, and so do their gradients."""

import numpy as np
import pytest

import isograd as ig
from isograd.backend.schedule import Apply
from isograd.testing.scheduled import ScheduledBackend


def recurrence(*, reverse, transposed):
    def fn(w, xs, h0, c0):
        if transposed:
            xs = ig.permute_dims(xs, (2, 0, 1))

        def step(carry, x):
            h, c = carry
            c = 0.5 * c + ig.tanh(h @ w + x)
            new = ig.sin(c) * h
            return (new, c), (new, 2.0 * c, x[::-1], h)

        (h, c), stacks = ig.scan(step, (h0, c0), xs, reverse=reverse)
        return h, c, *stacks

    return fn


def with_gradients(fn):
    def total(*args):
        return sum([(out * out).sum() for out in fn(*args)], ig.tensor(0.0, dtype="float64"))

    return lambda *args: (*fn(*args), *ig.grad(total, argnums=(0, 1, 2, 3))(*args))


def arguments(rng, length, shape, *, transposed):
    whole = (*shape, length) if transposed else (length, *shape)
    drawn = [(shape[1], shape[1]), whole, shape, shape]
    return [ig.tensor(rng.standard_normal(s)) for s in drawn]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("shape", [(1, 1), (3, 4)])
@pytest.mark.parametrize("chosen", ["numba", ScheduledBackend.name])
def test_rows_compute_what_the_loop_does(rng, chosen, shape, length, transposed, reverse):
    if chosen == "numba":
        pytest.importorskip("numba", reason="the numba backend writes code")
    fn = with_gradients(recurrence(reverse=reverse, transposed=transposed))
    args = arguments(rng, length, shape, transposed=transposed)
    with ig.use_backend("numpy"):
        due = [out.numpy() for out in fn(*args)]
    with ig.use_backend(chosen if chosen == "numba" else ScheduledBackend()):
        compiled = ig.compile(fn)
        compiled(*args)
        got = [out.numpy() for out in compiled(*args)]
    for mine, its in zip(got, due, strict=True):
        # Float64, sums of at most five terms.
        np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-12)
    schedule = compiled.programs[-1].schedule
    assert not any(isinstance(step, Apply) for step in schedule.steps)


def test_rows_share_their_kernels(rng):
    fn = recurrence(reverse=False, transposed=False)
    kernels = []
    for length in (3, 30):
        with ig.use_backend(ScheduledBackend()):
            compiled = ig.compile(fn)
            compiled(*arguments(rng, length, (3, 4), transposed=False))
        steps = compiled.programs[-1].schedule.steps
        kernels.append({step.kernel for step in steps})
        assert len(steps) > length
    assert len(kernels[0]) == len(kernels[1])


def test_a_loop_that_needs_python_is_run_by_python(rng):
    def fn(xs):
        return ig.scan(lambda h, x: (ig.cumulative_sum(h) + x, h), xs[0], xs)[0]

    xs = ig.tensor(rng.standard_normal((4, 3)))
    with ig.use_backend(ScheduledBackend()):
        compiled = ig.compile(fn)
        got = compiled(xs)
    assert any(isinstance(step, Apply) for step in compiled.programs[-1].schedule.steps)
    np.testing.assert_allclose(got.numpy(), fn(xs).numpy(), rtol=1e-14)
