"""Optimizers against torch: trajectories, state layout, states carried over both ways."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

pytestmark = pytest.mark.oracle

STEPS = 15
SHAPES = [(3, 4), (3,), (2, 2, 3), ()]

TOLERANCE = {"float64": 1e-12, "float32": 5e-6}

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}),
    ("SGD", {"lr": 0.05, "dampening": 0.5}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.2, "maximize": True}),
    ("SGD", {"lr": 0.0, "momentum": 0.9}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "betas": (0.0, 0.0)}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adam", {"lr": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.5, "eps": 1e-4}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.0}),
    ("AdamW", {"lr": 0.1, "maximize": True, "betas": (0.8, 0.9)}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adamax", {"lr": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("NAdam", {"lr": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.1, "betas": (0.5, 0.6), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.9, 0.9), "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.1, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.1, "centered": True, "eps": 1e-2}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.5, "eps": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.2)}),
    ("Rprop", {"lr": 0.1, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    ("Adadelta", {"maximize": True, "rho": 1.0}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 3, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.1, "t0": 0, "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.5, "beta2_decay": -0.5, "eps": (1e-3, 0.1), "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.1, "d": 2.0, "maximize": True}),
]
IDS = [f"{name}-{options}" for name, options in CASES]


class Twins:
    """The same parameters in both libraries, which get the same gradients."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.rng = np.random.default_rng(1)
        start = [self.rng.normal(size=shape).astype(dtype) for shape in SHAPES]
        self.ours = [nn.Parameter(ig.tensor(value)) for value in start]
        self.theirs = [torch.nn.Parameter(torch.tensor(value)) for value in start]

    def gradients(self) -> None:
        for p, q in zip(self.ours, self.theirs, strict=True):
            noise = self.rng.normal(size=p.shape).astype(self.dtype)
            gradient = np.asarray(noise + q.detach().numpy(), self.dtype)
            p.grad, q.grad = ig.tensor(gradient), torch.tensor(gradient)

    def compare(self) -> None:
        bound = TOLERANCE[self.dtype]
        for p, q in zip(self.ours, self.theirs, strict=True):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=bound, atol=bound)


@pytest.fixture(autouse=True)
def _wide_numbers() -> Iterator[None]:
    """Let torch keep the numbers that NAdam and ASGD carry from step to step in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def make(name: str, options: dict[str, Any], twins: Twins) -> tuple[optim.Optimizer, Any]:
    ours = getattr(optim, name)(twins.ours, **options)
    return ours, getattr(torch.optim, name)(twins.theirs, **options)


def with_arrays(state: Any) -> Any:
    """Return a state dict with NumPy arrays for torch's tensors."""
    if isinstance(state, dict):
        return {key: with_arrays(value) for key, value in state.items()}
    if isinstance(state, list):
        return [with_arrays(value) for value in state]
    return state.numpy() if isinstance(state, torch.Tensor) else state


def with_torch_tensors(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: with_torch_tensors(value) for key, value in state.items()}
    if isinstance(state, list):
        return [with_torch_tensors(value) for value in state]
    return torch.tensor(state.numpy()) if isinstance(state, ig.Tensor) else state


def assert_same_state(ours: optim.Optimizer, theirs: Any, dtype: str) -> None:
    mine, other = ours.state_dict(), with_arrays(theirs.state_dict())
    assert list(mine) == list(other) == ["state", "param_groups"]
    assert mine["state"].keys() == other["state"].keys()
    for number, slots in mine["state"].items():
        assert slots.keys() == other["state"][number].keys()
        for key, value in slots.items():
            assert value.shape == other["state"][number][key].shape
            np.testing.assert_allclose(
                value.numpy(),
                other["state"][number][key],
                rtol=TOLERANCE[dtype],
                atol=TOLERANCE[dtype],
            )
    only_torch = {"foreach", "differentiable", "fused", "capturable"}
    for group, group_torch in zip(mine["param_groups"], other["param_groups"], strict=True):
        assert group == {key: v for key, v in group_torch.items() if key not in only_torch}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_trajectory(backend: str, name: str, options: dict[str, Any], dtype: str) -> None:
    twins = Twins(dtype)
    ours, theirs = make(name, options, twins)
    assert_same_state_before_the_first_step(ours, theirs)
    for step in range(STEPS):
        twins.gradients()
        if step == 5:  # a parameter that misses some steps
            twins.ours[1].grad = twins.theirs[1].grad = None
        if step == 10:
            for group in (*ours.param_groups, *theirs.param_groups):
                group["lr"] *= 0.5
        ours.step()
        theirs.step()
        twins.compare()
    assert_same_state(ours, theirs, dtype)


def assert_same_state_before_the_first_step(ours: optim.Optimizer, theirs: Any) -> None:
    mine = ours.state_dict()
    if type(theirs) is torch.optim.Adagrad:  # torch's has its slots already, too
        assert_same_state(ours, theirs, "float64")
        return
    assert theirs.state_dict()["state"] == {}
    for slots in mine["state"].values():  # ours has its slots already; they are zeros
        assert all(not value.numpy().any() for value in slots.values())
    assert mine["param_groups"][0]["params"] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", [*sorted({name for name, _ in CASES}), "LBFGS"])
def test_arguments_have_the_names_and_defaults_of_torch(name: str) -> None:
    ours = dict(inspect.signature(getattr(optim, name)).parameters)
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    ours.pop("hints", None)
    left_out = {"foreach", "capturable", "differentiable", "fused"}
    positional = [key for key in theirs if key not in left_out]
    assert sorted(ours) == sorted(positional)
    taken = [key for key, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert taken == positional[: len(taken)]
    for key, parameter in ours.items():
        assert parameter.default == theirs[key].default


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
@pytest.mark.parametrize("direction", ["from torch", "to torch"])
def test_states_carry_over(name: str, options: dict[str, Any], direction: str) -> None:
    twins = Twins("float64")
    ours, theirs = make(name, options, twins)
    for _ in range(3):
        twins.gradients()
        ours.step()
        theirs.step()
    if direction == "from torch":
        state = with_arrays(theirs.state_dict())
        ours = getattr(optim, name)(twins.ours, lr=7.0)
        ours.load_state_dict(state)
    else:
        state = with_torch_tensors(ours.state_dict())
        theirs = getattr(torch.optim, name)(twins.theirs, lr=7.0)
        theirs.load_state_dict(state)
    for _ in range(3):
        twins.gradients()
        ours.step()
        theirs.step()
        twins.compare()


def test_groups_with_options_of_their_own(backend: str) -> None:
    twins = Twins("float64")

    def groups(params: list[Any]) -> list[dict[str, Any]]:
        return [
            {"params": params[:2], "lr": 0.3},
            {"params": params[2], "momentum": 0.9, "weight_decay": 0.1},
            {"params": params[3:], "maximize": True},
        ]

    ours = optim.SGD(groups(twins.ours), lr=0.1)
    theirs = torch.optim.SGD(groups(twins.theirs), lr=0.1)
    for _ in range(STEPS):
        twins.gradients()
        ours.step()
        theirs.step()
        twins.compare()
    assert_same_state(ours, theirs, "float64")


def test_a_group_that_comes_later(backend: str) -> None:
    twins = Twins("float64")
    ours = optim.Adam(twins.ours[:2], lr=0.1)
    theirs = torch.optim.Adam(twins.theirs[:2], lr=0.1)
    for step in range(STEPS):
        if step == 4:
            ours.add_param_group({"params": twins.ours[2:], "lr": 0.01})
            theirs.add_param_group({"params": twins.theirs[2:], "lr": 0.01})
        twins.gradients()
        ours.step()
        theirs.step()
        twins.compare()
    assert_same_state(ours, theirs, "float64")
    assert [slots["step"].item() for slots in ours.state_dict()["state"].values()] == [
        15,
        15,
        11,
        11,
    ]


def test_repr() -> None:
    p, q = nn.Parameter(ig.ones(1)), torch.nn.Parameter(torch.ones(1))
    ours = repr(optim.AdamW([p], lr=0.5)).splitlines()
    theirs = repr(torch.optim.AdamW([q], lr=0.5)).splitlines()
    assert set(ours) <= set(theirs)
    assert (ours[:2], ours[-1]) == (theirs[:2], theirs[-1])
