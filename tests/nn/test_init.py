"""Initialisers: distributions, formulas, generators, what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.nn import init


def filled(shape: tuple[int, ...], dtype: Any = ig.float64) -> nn.Parameter:
    return nn.Parameter(ig.zeros(shape, dtype=dtype))


def assert_uniform(values: np.ndarray[Any, Any], bound: float) -> None:
    """Check the range, and the Kolmogorov-Smirnov distance to the uniform distribution."""
    assert -bound <= values.min() < values.max() < bound * (1 + 1e-6)
    assert_distribution((values.ravel() + bound) / (2 * bound))


def assert_normal(values: np.ndarray[Any, Any], std: float) -> None:
    erf = np.vectorize(math.erf)
    assert_distribution(0.5 * (1 + erf(values.ravel() / std / math.sqrt(2))))


def assert_distribution(uniform: np.ndarray[Any, Any]) -> None:
    steps = np.arange(1, uniform.size + 1) / uniform.size
    distance = np.abs(np.sort(uniform) - steps).max()
    assert distance < 2 / math.sqrt(uniform.size)  # exceeded by chance once in 3000 draws


FAN_IN, FAN_OUT = 40 * 2, 60 * 2


@pytest.mark.parametrize(
    ("name", "options", "kind", "scale"),
    [
        ("uniform_", {"a": -2.0, "b": 2.0}, "uniform", 2),
        ("normal_", {"std": 3.0}, "normal", 3),
        ("xavier_uniform_", {}, "uniform", math.sqrt(6 / (FAN_IN + FAN_OUT))),
        ("xavier_uniform_", {"gain": 2.0}, "uniform", 2 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
        ("xavier_normal_", {"gain": 2.0}, "normal", 2 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("kaiming_uniform_", {}, "uniform", math.sqrt(2) * math.sqrt(3 / FAN_IN)),
        ("kaiming_uniform_", {"a": math.sqrt(5)}, "uniform", math.sqrt(1 / FAN_IN)),
        (
            "kaiming_uniform_",
            {"mode": "fan_out", "nonlinearity": "tanh"},
            "uniform",
            5 / 3 * math.sqrt(3 / FAN_OUT),
        ),
        ("kaiming_normal_", {"nonlinearity": "relu"}, "normal", math.sqrt(2 / FAN_IN)),
        ("kaiming_normal_", {"mode": "fan_out", "a": 0.5}, "normal", math.sqrt(1.6 / FAN_OUT)),
    ],
)
def test_distributions(
    backend: str, name: str, options: dict[str, Any], kind: str, scale: float
) -> None:
    p = filled((60, 40, 2))
    assert getattr(init, name)(p, **options) is p
    assert p.requires_grad
    {"uniform": assert_uniform, "normal": assert_normal}[kind](p.numpy(), scale)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
def test_gains_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    if name == "leaky_relu":
        assert init.calculate_gain(name, 0.3) == torch.nn.init.calculate_gain(name, 0.3)


@pytest.mark.oracle
def test_a_linear_layer_starts_as_in_torch(backend: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Linear(64, 2000), torch.nn.Linear(64, 2000)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        bound = 1 / math.sqrt(64)
        assert_uniform(p.numpy().astype("f8"), bound)
        assert_uniform(q.detach().numpy().astype("f8"), bound)


def test_constants() -> None:
    p = filled((2, 3), ig.float32)
    assert init.constant_(p, 0.5).tolist() == [[0.5] * 3] * 2
    assert init.ones_(p).tolist() == [[1.0] * 3] * 2
    assert init.zeros_(p).tolist() == [[0.0] * 3] * 2
    assert p.dtype == ig.float32


def test_generators() -> None:
    def draw(seed: int) -> list[float]:
        return init.normal_(filled((5,)), generator=ig.random.Generator(seed)).tolist()

    before = ig.random.default_generator.state_dict()
    assert draw(1) == draw(1) != draw(2)
    assert ig.random.default_generator.state_dict() == before
    ig.random.manual_seed(4)
    first = nn.Linear(3, 3).state_dict()["weight"].tolist()
    ig.random.manual_seed(4)
    assert nn.Linear(3, 3).state_dict()["weight"].tolist() == first


def test_layers_start_equal_on_every_backend() -> None:
    states = []
    for record in ig.backends():
        if record.available:
            with ig.use_backend(record.name):
                ig.random.manual_seed(8)
                layer = nn.Linear(5, 7)
                init.kaiming_normal_(layer.weight)
                states.append([p.tolist() for p in layer.parameters()])
    assert all(state == states[0] for state in states)


def test_empty_weights() -> None:
    layer = nn.Linear(0, 3)
    assert layer(ig.zeros((2, 0))).tolist() == [[0.0] * 3] * 2
    assert init.xavier_uniform_(filled((0, 0))).shape == (0, 0)
    assert nn.Linear(3, 0)(ig.zeros((2, 3))).shape == (2, 0)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda: init.kaiming_uniform_(filled((3,))),
            ig.ShapeError,
            r"kaiming_uniform_: .* \(3,\)",
        ),
        (
            lambda: init.xavier_normal_(filled(())),
            ig.ShapeError,
            "xavier_normal_: a weight of shape",
        ),
        (
            lambda: init.kaiming_normal_(filled((2, 2)), mode="fan"),
            ValueError,
            "there is no mode 'fan'",
        ),
        (
            lambda: init.calculate_gain("swish"),
            ValueError,
            "there is no gain for 'swish'; use one of",
        ),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


def test_only_parameters_are_initialised() -> None:
    with pytest.raises(AttributeError, match=r"'assign_'; write isograd.nn.Parameter\(x\)"):
        nn.init.normal_(ig.zeros((2, 2)))  # type: ignore[arg-type]
