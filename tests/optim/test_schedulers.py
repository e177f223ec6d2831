"""Schedules: known values, state, what they refuse; against torch over 50 steps."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.optim import lr_scheduler

STEPS = 50


def sgd(**options: Any) -> optim.Optimizer:
    return optim.SGD([nn.Parameter(ig.ones(1))], **{"lr": 1.0, "momentum": 0.9, **options})


class Halving:
    """A function with a state of its own."""

    def __init__(self) -> None:
        self.base = 0.5

    def __call__(self, epoch: float) -> float:
        return self.base ** (epoch // 10)


# A name, and what makes the schedule from a library's lr_scheduler and an optimizer of two groups.
Maker = Callable[[Any, Any], Any]
SCHEDULES: list[tuple[str, Maker]] = [
    ("LambdaLR", lambda s, o: s.LambdaLR(o, lambda e: 0.9**e)),
    ("LambdaLR-two", lambda s, o: s.LambdaLR(o, [lambda e: 1 / (1 + e), Halving()])),
    ("MultiplicativeLR", lambda s, o: s.MultiplicativeLR(o, lambda e: 0.9 + 0.001 * e)),
    ("StepLR", lambda s, o: s.StepLR(o, 7)),
    ("StepLR-1", lambda s, o: s.StepLR(o, 1, gamma=0.9)),
    ("MultiStepLR", lambda s, o: s.MultiStepLR(o, [3, 20, 3, 45], gamma=0.5)),
    ("ConstantLR", lambda s, o: s.ConstantLR(o)),
    ("ConstantLR-20", lambda s, o: s.ConstantLR(o, factor=0.1, total_iters=20)),
    ("LinearLR", lambda s, o: s.LinearLR(o)),
    ("LinearLR-down", lambda s, o: s.LinearLR(o, 1.0, 0.1, total_iters=30)),
    ("LinearLR-zero", lambda s, o: s.LinearLR(o, 0.5, 0.0, total_iters=13)),
    ("ExponentialLR", lambda s, o: s.ExponentialLR(o, 0.95)),
    ("PolynomialLR", lambda s, o: s.PolynomialLR(o)),
    ("PolynomialLR-2", lambda s, o: s.PolynomialLR(o, total_iters=40, power=2.5)),
    ("CosineAnnealingLR", lambda s, o: s.CosineAnnealingLR(o, 12)),
    ("CosineAnnealingLR-min", lambda s, o: s.CosineAnnealingLR(o, T_max=50, eta_min=0.01)),
    ("WarmRestarts", lambda s, o: s.CosineAnnealingWarmRestarts(o, 7)),
    ("WarmRestarts-2", lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, T_mult=2, eta_min=0.1)),
    ("OneCycleLR", lambda s, o: s.OneCycleLR(o, 0.5, total_steps=STEPS)),
    (
        "OneCycleLR-3",
        lambda s, o: s.OneCycleLR(
            o, [0.5, 1.0], epochs=5, steps_per_epoch=12, three_phase=True, pct_start=0.2
        ),
    ),
    (
        "OneCycleLR-linear",
        lambda s, o: s.OneCycleLR(
            o,
            0.5,
            total_steps=60,
            anneal_strategy="linear",
            cycle_momentum=False,
            div_factor=10.0,
            final_div_factor=2.0,
        ),
    ),
    ("CyclicLR", lambda s, o: s.CyclicLR(o, 0.1, 1.0, step_size_up=8)),
    (
        "CyclicLR-2",
        lambda s, o: s.CyclicLR(o, [0.1, 0.2], 1.0, 5, 11, mode="triangular2", max_momentum=0.99),
    ),
    (
        "CyclicLR-exp",
        lambda s, o: s.CyclicLR(o, 0.1, 1.0, 6, mode="exp_range", gamma=0.97, cycle_momentum=False),
    ),
    (
        "CyclicLR-fn",
        lambda s, o: s.CyclicLR(o, 0.1, 1.0, 6, scale_fn=Halving(), scale_mode="iterations"),
    ),
    (
        "SequentialLR",
        lambda s, o: s.SequentialLR(
            o,
            [s.LinearLR(o, 0.1, total_iters=10), s.CosineAnnealingLR(o, 30), s.StepLR(o, 2)],
            milestones=[10, 40],
        ),
    ),
    (
        "ChainedScheduler",
        lambda s, o: s.ChainedScheduler(
            [s.ConstantLR(o, 0.1, total_iters=5), s.ExponentialLR(o, 0.9), s.StepLR(o, 9, 0.5)]
        ),
    ),
    (
        "ChainedScheduler-cosine",
        lambda s, o: s.ChainedScheduler(
            [s.CosineAnnealingLR(o, 20), s.MultiplicativeLR(o, lambda e: 0.99)], optimizer=o
        ),
    ),
]
every_schedule = pytest.mark.parametrize(
    ("name", "make"), SCHEDULES, ids=[name for name, _ in SCHEDULES]
)
PLATEAUS: list[dict[str, Any]] = [
    {},
    {"mode": "max", "factor": 0.5, "patience": 2},
    {"factor": 0.5, "patience": 1, "threshold_mode": "abs", "threshold": 0.05, "cooldown": 3},
    {"mode": "max", "threshold_mode": "abs", "patience": 0, "min_lr": [0.01, 0.1]},
    {"patience": 0, "eps": 0.05, "min_lr": 0.02},
]


def two_groups(module: Any, parameter: Any, kind: str = "SGD") -> Any:
    options: dict[str, Any] = {"momentum": 0.9} if kind == "SGD" else {}
    groups = [{"params": [parameter()]}, {"params": [parameter()], "lr": 0.3}]
    return getattr(module, kind)(groups, lr=1.0, **options)


def numbers(optimizer: Any) -> list[float]:
    found: list[float] = []
    for group in optimizer.param_groups:
        found += [group["lr"], group.get("momentum", 0.0), *group.get("betas", ())]
    return found


@every_schedule
def test_a_saved_schedule_continues_exactly(name: str, make: Maker) -> None:
    del name

    def build() -> tuple[optim.Optimizer, Any]:
        optimizer = two_groups(optim, lambda: nn.Parameter(ig.ones(1)))
        return optimizer, make(lr_scheduler, optimizer)

    optimizer, scheduler = build()
    for _ in range(17):
        scheduler.step()
    saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    rates = [(scheduler.step(), numbers(optimizer))[1] for _ in range(20)]
    optimizer, scheduler = build()
    optimizer.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    assert [(scheduler.step(), numbers(optimizer))[1] for _ in range(20)] == rates


def test_known_rates() -> None:
    optimizer = sgd()
    warm = lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    cool = lr_scheduler.PolynomialLR(optimizer, total_iters=4)
    scheduler = lr_scheduler.SequentialLR(optimizer, [warm, cool], milestones=[3])
    rates: list[float] = []
    for _ in range(8):
        rates += scheduler.get_last_lr()
        scheduler.step()
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0])


def test_a_sequence_within_a_sequence() -> None:
    optimizer = sgd()
    inner = lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.ExponentialLR(optimizer, 0.5), lr_scheduler.StepLR(optimizer, 1)],
        milestones=[2],
    )
    first = lr_scheduler.LinearLR(optimizer, 0.25, total_iters=3)
    scheduler = lr_scheduler.SequentialLR(optimizer, [first, inner], milestones=[3])
    rates: list[float] = []
    for _ in range(7):
        rates += scheduler.get_last_lr()
        scheduler.step()
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1, 0.5, 1, 0.1])


def test_an_epoch_given() -> None:
    for make, rate in (
        (lambda o: lr_scheduler.StepLR(o, 3), 1e-2),
        (lambda o: lr_scheduler.LinearLR(o, 0.5, total_iters=14), 0.75),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 14), 0.5),
        (lambda o: lr_scheduler.PolynomialLR(o, 14, power=2), 0.25),
        (lambda o: lr_scheduler.MultiStepLR(o, [2, 2, 9]), 1e-2),
        (lambda o: lr_scheduler.ConstantLR(o, 0.5, total_iters=8), 0.5),
        (lambda o: lr_scheduler.LambdaLR(o, lambda epoch: epoch / 10), 0.7),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, T_mult=2), 0.9619397662556434),
    ):
        scheduler = make(sgd())
        scheduler.step(7)
        assert scheduler.get_last_lr() == [pytest.approx(rate)]
    fractional = lr_scheduler.CosineAnnealingWarmRestarts(sgd(), 2)
    fractional.step(2.5)
    assert fractional.get_last_lr() == [pytest.approx((1 + 0.5**0.5) / 2)]


def test_resuming_needs_the_initial_rate() -> None:
    with pytest.raises(ValueError, match=r"StepLR: last_epoch=3, but group 0 has no initial_lr"):
        lr_scheduler.StepLR(sgd(), 3, last_epoch=3)
    optimizer = sgd()
    optimizer.param_groups[0]["initial_lr"] = 2.0
    assert lr_scheduler.LambdaLR(optimizer, lambda e: e, last_epoch=3).get_last_lr() == [8.0]


def test_a_state_that_does_not_fit() -> None:
    scheduler = lr_scheduler.StepLR(sgd(), 3)
    state = {**scheduler.state_dict(), "surplus": 1}
    del state["gamma"]
    with pytest.raises(ig.StateDictError, match=r"StepLR, nothing.*\n  missing: gamma\n.*surplus"):
        scheduler.load_state_dict(state)
    chain = lr_scheduler.ChainedScheduler([scheduler])
    bad = {**chain.state_dict(), "_schedulers": []}
    with pytest.raises(ig.StateDictError, match="0 schedulers in the state, 1 here"):
        chain.load_state_dict(bad)


def test_it_is_stepped_outside_of_compiled_functions() -> None:
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    with pytest.raises(ig.ConcretizationError, match=r"ExponentialLR.step: .* outside"):
        ig.compile(scheduler.step, state=(model, optimizer))()


OTHER = lr_scheduler.StepLR(sgd(), 1)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda o: lr_scheduler.StepLR("o", 1), TypeError, "StepLR: the optimizer is a str"),
        (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "StepLR: step_size=0"),
        (lambda o: lr_scheduler.LambdaLR(o, 0.5), TypeError, "LambdaLR: lr_lambda is a float"),
        (
            lambda o: lr_scheduler.LambdaLR(o, [abs, abs]),
            ValueError,
            "LambdaLR: 2 values of lr_lambda for 1 parameter groups",
        ),
        (lambda o: lr_scheduler.ConstantLR(o, 1.5), ValueError, "ConstantLR: factor=1.5"),
        (lambda o: lr_scheduler.LinearLR(o, 0.0), ValueError, "LinearLR: start_factor=0.0"),
        (lambda o: lr_scheduler.LinearLR(o, 0.5, 2.0), ValueError, "LinearLR: end_factor=2.0"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0=0; use"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 1.5), ValueError, "T_mult=1.5"),
        (
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2).step(-1),
            ValueError,
            "epoch=-1; use one >= 0",
        ),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "OneCycleLR: how many steps"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 0), ValueError, "OneCycleLR: 0 steps"),
        (
            lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, pct_start=2),
            ValueError,
            "OneCycleLR: pct_start=2",
        ),
        (
            lambda o: lr_scheduler.OneCycleLR(o, 1.0, 9, anneal_strategy="exp"),
            ValueError,
            "'cos' or 'linear'",
        ),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, mode="saw"), ValueError, "mode='saw'"),
        (
            lambda o: lr_scheduler.CyclicLR(optim.Adagrad([nn.Parameter(1.0)]), 0.1, 1.0),
            ValueError,
            "CyclicLR: Adagrad has neither momentum nor betas; pass cycle_momentum=False",
        ),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor=1.0"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, "least"), ValueError, "mode='least'"),
        (
            lambda o: lr_scheduler.ReduceLROnPlateau(o, threshold_mode="x"),
            ValueError,
            "threshold_mode='x'",
        ),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 1)], [3]),
            ValueError,
            "SequentialLR: 1 schedulers and 1 milestones",
        ),
        (
            lambda o: lr_scheduler.SequentialLR(o, [OTHER], []),
            ValueError,
            "SequentialLR: scheduler 0, a StepLR, is of another optimizer",
        ),
        (lambda o: lr_scheduler.ChainedScheduler([]), ValueError, "there are no schedulers"),
        (
            lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)]),
            ValueError,
            "scheduler 0 is a ReduceLROnPlateau",
        ),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make(sgd())


def test_one_cycle_ends() -> None:
    scheduler = lr_scheduler.OneCycleLR(sgd(), 1.0, total_steps=3)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="this is step 4 of 3; make the schedule longer"):
        scheduler.step()


# -- against torch ---------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step:UserWarning")
@every_schedule
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_rates_and_state_of_torch(name: str, make: Maker, kind: str) -> None:
    torch = pytest.importorskip("torch")
    ours = two_groups(optim, lambda: nn.Parameter(ig.ones(1)), kind)
    theirs = two_groups(torch.optim, lambda: torch.nn.Parameter(torch.ones(1)), kind)
    mine, other = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    for step in range(STEPS):
        np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-12, atol=1e-15)
        assert mine.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-12, abs=1e-15)
        assert_same_state(mine.state_dict(), other.state_dict())
        if step == 23:  # go on from torch's state
            mine.load_state_dict(other.state_dict())
        mine.step()
        other.step()


def assert_same_state(ours: Any, theirs: Any) -> None:
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys() - {"_get_lr_called_within_step"}
        for key, value in ours.items():
            assert_same_state(value, theirs[key])
    elif isinstance(ours, list):
        for a, b in zip(ours, theirs, strict=True):
            assert_same_state(a, b)
    elif isinstance(ours, int | float):
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-15)
    else:
        assert ours == theirs


@pytest.mark.oracle
@pytest.mark.parametrize("options", PLATEAUS, ids=str)
def test_plateaus_of_torch(options: dict[str, Any], rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    ours = two_groups(optim, lambda: nn.Parameter(ig.ones(1)))
    theirs = two_groups(torch.optim, lambda: torch.nn.Parameter(torch.ones(1)))
    mine = lr_scheduler.ReduceLROnPlateau(ours, **options)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    way = 1 if options.get("mode") == "max" else -1
    for step in range(STEPS):
        metric = way * (1 - 1 / (1 + 0.3 * step)) + 0.05 * rng.normal()
        mine.step(metric)
        other.step(metric)
        assert numbers(ours) == numbers(theirs)
        assert_same_state(mine.state_dict(), other.state_dict())


@pytest.mark.oracle
@pytest.mark.parametrize("name", lr_scheduler.__all__)
def test_arguments_have_the_names_and_defaults_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours = inspect.signature(getattr(lr_scheduler, name)).parameters
    theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]
