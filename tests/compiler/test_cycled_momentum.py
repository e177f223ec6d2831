"""A momentum that a scheduler cycles is an input of a compiled step, as the learning rate is."""

import numpy as np
import pytest

import isograd as ig
from isograd import optim
from isograd.optim.lr_scheduler import CyclicLR, OneCycleLR
from isograd.testing.scheduled import ScheduledBackend

STEPS = 6
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "SGD without momentum at first": lambda p: optim.SGD(p, lr=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
    "Adam with amsgrad": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1),
    "Adamax": lambda p: optim.Adamax(p, lr=0.1),
    "NAdam": lambda p: optim.NAdam(p, lr=0.1),
    "RAdam": lambda p: optim.RAdam(p, lr=0.1),
    "Lion": lambda p: optim.Lion(p, lr=0.1),
}


def training(make, *, compiled, change=lambda optimizer, count: None):
    """Train a line for some steps; return its weights after each, and the compiled step."""
    weight = ig.nn.Parameter(ig.tensor([1.0, -2.0, 0.5], dtype="float64"))
    x = ig.tensor(np.random.default_rng(0).standard_normal((5, 3)))
    optimizer = make([weight])
    scheduler = OneCycleLR(optimizer, 0.2, total_steps=STEPS + 1)

    def step(x):
        loss = ((x @ weight - 1.0) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    run = ig.compile(step, state=(weight, optimizer)) if compiled else step
    history = []
    for count in range(STEPS):
        run(x)
        scheduler.step()
        change(optimizer, count)
        history.append(weight.numpy().copy())
    return np.stack(history), run


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("chosen", ["numpy", "numba", ScheduledBackend.name])
def test_one_program_serves_all_momenta(name, chosen):
    if chosen == "numba":
        pytest.importorskip("numba", reason="the numba backend writes code")
    with ig.use_backend("numpy"):
        due, _ = training(OPTIMIZERS[name], compiled=False)
    with ig.use_backend(ScheduledBackend() if chosen == ScheduledBackend.name else chosen):
        got, run = training(OPTIMIZERS[name], compiled=True)
    # Float64 after six steps.
    np.testing.assert_allclose(got, due, rtol=1e-10, atol=1e-12)
    # RAdam takes another branch when its variance is known, RMSprop and SGD at their first step.
    assert len(run.programs) <= 2


@pytest.mark.parametrize("chosen", ["numpy", "numba"])
def test_the_other_beta_is_a_constant_that_is_looked_at(chosen):
    if chosen == "numba":
        pytest.importorskip("numba", reason="the numba backend writes code")

    def change(optimizer, count):
        if count == 2:
            group = optimizer.param_groups[0]
            group["betas"] = (group["betas"][0], 0.5)

    with ig.use_backend("numpy"):
        due, _ = training(OPTIMIZERS["Adam"], compiled=False, change=change)
    with ig.use_backend(chosen):
        got, run = training(OPTIMIZERS["Adam"], compiled=True, change=change)
    np.testing.assert_allclose(got, due, rtol=1e-10, atol=1e-12)  # float64 after six steps
    assert len(run.programs) == 2


def test_a_fixed_momentum_stays_a_constant():
    weight = ig.nn.Parameter(ig.ones(3))
    optimizer = optim.SGD([weight], lr=0.1, momentum=0.9)

    def step():
        (weight * weight).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    run = ig.compile(step, state=(weight, optimizer))
    run()
    optimizer.param_groups[0]["momentum"] = 0.5
    run()
    assert len(run.programs) == 2


def test_cyclic_rates_cycle_the_momentum_too():
    weight = ig.nn.Parameter(ig.ones(3))
    optimizer = optim.SGD([weight], lr=0.1, momentum=0.9)
    scheduler = CyclicLR(optimizer, 0.1, 1.0, 3)
    seen = []

    def step():
        (weight * weight).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    run = ig.compile(step, state=(weight, optimizer))
    for _ in range(4):
        run()
        scheduler.step()
        seen.append(optimizer.param_groups[0]["momentum"])
    assert all(isinstance(number, float) for number in seen)
    assert len(set(seen)) > 1
    assert len(run.programs) == 2  # the first step is another one


def test_a_momentum_that_is_switched_on_begins_with_zeros():
    weight = ig.nn.Parameter(ig.ones(3, dtype="float64"))
    optimizer = optim.SGD([weight], lr=0.1)

    def step():
        (weight * weight).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    run = ig.compile(step, state=(weight, optimizer))
    run()
    optimizer.param_groups[0]["momentum"] = 0.5
    run()
    run()
    # 1; then g = 2p: 0.8; v = 1.6: 0.64; v = 0.8 + 1.28: 0.432.
    np.testing.assert_allclose(weight.numpy(), np.full(3, 0.432), rtol=1e-14)  # float64
