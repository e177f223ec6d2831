"""One training step of a small network with batch size 1: isograd eager next to its peers.

The network is 64-64-64-1 with tanh, mean squared error and plain SGD, in float32: so little
arithmetic that a step costs what the library costs. Before anything is timed, every contender takes
the same five steps from the same weights, and its losses are compared with a float64 reference
written in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import common
import numpy as np
import pytest

import isograd as ig

SIZES = (64, 64, 64, 1)
LEARNING_RATE = 0.01
CHECKED_STEPS = 5

Array = Any
Step = Callable[[], float]


class MissingPeerError(Exception):
    """A contender that is not installed here; the message says what to install."""


def problem() -> tuple[list[Array], Array, Array]:
    """Return weights and biases by layer, one input row, and its target, all float32."""
    rng = np.random.default_rng(0)
    parameters: list[Array] = []
    for inputs, outputs in pairwise(SIZES):
        parameters.append((rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)).astype(np.float32))
        parameters.append(rng.normal(size=outputs).astype(np.float32) * np.float32(0.1))
    return (
        parameters,
        rng.normal(size=(1, SIZES[0])).astype(np.float32),
        np.ones((1, SIZES[-1]), np.float32),
    )


def reference_losses() -> list[float]:
    """Return the losses of the first steps, in float64, with the backward pass by hand."""
    parameters, x, y = problem()
    p = [a.astype(np.float64) for a in parameters]
    losses: list[float] = []
    for _ in range(CHECKED_STEPS):
        activations = [x.astype(np.float64)]
        for k in range(3):
            z = activations[-1] @ p[2 * k].T + p[2 * k + 1]
            activations.append(np.tanh(z) if k < 2 else z)
        difference = activations[-1] - y
        losses.append(float(np.mean(difference**2)))
        delta = 2.0 * difference / difference.size
        for k in reversed(range(3)):
            gradients = delta.T @ activations[k], delta.sum(axis=0)
            delta = (delta @ p[2 * k]) * (1.0 - activations[k] ** 2)
            p[2 * k] = p[2 * k] - LEARNING_RATE * gradients[0]
            p[2 * k + 1] = p[2 * k + 1] - LEARNING_RATE * gradients[1]
    return losses


def isograd_step(backend: str) -> Step:
    if backend not in [record.name for record in ig.backends() if record.available]:
        raise MissingPeerError(f"the {backend} backend is not available here")
    from isograd import nn, optim

    parameters, x, y = problem()
    model = nn.Sequential(
        nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
    )
    names = ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]
    model.load_state_dict(dict(zip(names, parameters, strict=True)))
    sgd = optim.SGD(model.parameters(), lr=LEARNING_RATE)
    inputs, target = ig.tensor(x), ig.tensor(y)
    mse_loss = nn.functional.mse_loss
    chosen = ig.use_backend(backend)

    def step() -> float:
        with chosen:
            sgd.zero_grad()
            loss = mse_loss(model(inputs), target)
            loss.backward()
            sgd.step()
            return loss.item()

    return step


def autograd_step() -> Step:
    try:
        import autograd
        import autograd.numpy as anp
    except ImportError as error:
        raise MissingPeerError("pip install autograd") from error
    p, x, y = problem()
    rate = np.float32(LEARNING_RATE)

    def loss_of(p: list[Array]) -> Array:
        h = anp.tanh(anp.dot(x, p[0].T) + p[1])
        h = anp.tanh(anp.dot(h, p[2].T) + p[3])
        return anp.mean((anp.dot(h, p[4].T) + p[5] - y) ** 2)

    value_and_grad = autograd.value_and_grad(loss_of)

    def step() -> float:
        nonlocal p
        loss, gradients = value_and_grad(p)
        p = [a - rate * g for a, g in zip(p, gradients, strict=True)]
        return float(loss)

    return step


def mygrad_step() -> Step:
    try:
        import mygrad as mg
    except ImportError as error:
        raise MissingPeerError("pip install mygrad") from error
    parameters, x, y = problem()
    p = [mg.tensor(a.copy()) for a in parameters]
    rate = np.float32(LEARNING_RATE)

    def step() -> float:
        h = mg.tanh(mg.matmul(x, p[0].T) + p[1])
        h = mg.tanh(mg.matmul(h, p[2].T) + p[3])
        loss = mg.mean((mg.matmul(h, p[4].T) + p[5] - y) ** 2)
        loss.backward()
        for q in p:
            q.data -= rate * q.grad
            q.null_grad()
        return loss.item()

    return step


def torch_step() -> Step:
    try:
        import torch
    except ImportError as error:
        raise MissingPeerError("pip install torch") from error
    parameters, x, y = problem()
    nn: Any = torch.nn
    model = nn.Sequential(
        nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
    )
    with torch.no_grad():
        for q, a in zip(model.parameters(), parameters, strict=True):
            q.copy_(torch.from_numpy(a))
    sgd = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    inputs, target = torch.from_numpy(x), torch.from_numpy(y)

    def step() -> float:
        sgd.zero_grad()
        loss = nn.functional.mse_loss(model(inputs), target)
        loss.backward()
        sgd.step()
        return loss.item()

    return step


CONTENDERS: Mapping[str, Callable[[], Step]] = {
    "isograd on NumPy": lambda: isograd_step("numpy"),
    "isograd on Numba": lambda: isograd_step("numba"),
    "HIPS autograd": autograd_step,
    "MyGrad": mygrad_step,
    "PyTorch eager": torch_step,
}


def checked(name: str) -> Step:
    """Build a contender and compare its first losses with the reference.

    Raises
    ------
    MissingPeerError
        If it is not installed.
    AssertionError
        If it computes something else.
    """
    step = CONTENDERS[name]()
    losses = [step() for _ in range(CHECKED_STEPS)]
    np.testing.assert_allclose(losses, reference_losses(), rtol=2e-4, atol=1e-7, err_msg=name)
    return step


def measure_step(
    *, rounds: int = 80, inner: int = 25
) -> tuple[dict[str, common.Timing], dict[str, str]]:
    """Return microseconds a step by contender, and why others are missing."""
    steps: dict[str, Step] = {}
    missing: dict[str, str] = {}
    for name in CONTENDERS:
        try:
            steps[name] = checked(name)
        except MissingPeerError as error:
            missing[name] = str(error)
    return common.in_turns(steps, rounds=rounds, inner=inner), missing


@pytest.mark.parametrize("name", CONTENDERS)
def test_step(benchmark: Any, name: str) -> None:
    benchmark.group = "one step of 64-64-64-1, batch 1"
    try:
        step = checked(name)
    except MissingPeerError as error:
        pytest.skip(f"{name} is missing: {error}")
    benchmark(step)
