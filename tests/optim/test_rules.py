"""Each optimizer's rule against NumPy in float64, eager and compiled, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim

Array = Any
State = dict[str, Any]
Rule = Callable[[Array, Array, State, int], Array]

STEPS = 15
SHAPES = ((3, 4), (4,), ())


def sgd(p: Array, g: Array, s: State, t: int) -> Array:
    s["b"] = 0.9 * s["b"] + g if t > 1 else g
    return p - 0.1 * (g + 0.9 * s["b"])


def adam(p: Array, g: Array, s: State, t: int) -> Array:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    return p - 0.1 * (s["m"] / (1 - 0.9**t)) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


def adamw(p: Array, g: Array, s: State, t: int) -> Array:
    return adam(0.95 * p, g, s, t)


def amsgrad(p: Array, g: Array, s: State, t: int) -> Array:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    s["top"] = np.maximum(s.get("top", 0), s["v"])
    return p - 0.1 * (s["m"] / (1 - 0.9**t)) / (np.sqrt(s["top"] / (1 - 0.999**t)) + 1e-8)


def adamax(p: Array, g: Array, s: State, t: int) -> Array:
    g = g + 0.1 * p
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["u"] = np.maximum(0.99 * s.get("u", 0), np.abs(g) + 1e-8)
    return p - 0.1 / (1 - 0.9**t) * s["m"] / s["u"]


def nadam(p: Array, g: Array, s: State, t: int) -> Array:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    mu = [0.9 * (1 - 0.5 * 0.96 ** (0.004 * i)) for i in range(1, t + 2)]
    mean = mu[t] * s["m"] / (1 - np.prod(mu)) + (1 - mu[t - 1]) * g / (1 - np.prod(mu[:t]))
    return p - 0.1 * mean / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


def radam(p: Array, g: Array, s: State, t: int) -> Array:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.99 * s.get("v", 0) + 0.01 * g**2
    mean = s["m"] / (1 - 0.9**t)
    r = 2 / 0.01 - 1
    rt = r - 2 * t * 0.99**t / (1 - 0.99**t)
    if rt <= 5:
        return p - 0.1 * mean
    rectified = np.sqrt((rt - 4) * (rt - 2) * r / ((r - 4) * (r - 2) * rt))
    return p - 0.1 * mean * rectified * np.sqrt(1 - 0.99**t) / (np.sqrt(s["v"]) + 1e-8)


def rmsprop(p: Array, g: Array, s: State, t: int) -> Array:
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g**2
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["b"] = 0.5 * s.get("b", 0) + g / (np.sqrt(s["v"] - s["m"] ** 2) + 0.1)
    return p - 0.1 * s["b"]


def rprop(p: Array, g: Array, s: State, t: int) -> Array:
    same = np.sign(g * s.get("g", 0))
    s["d"] = np.clip(s.get("d", 0.1) * np.choose(same.astype(int) + 1, [0.5, 1, 1.2]), 1e-6, 50)
    s["g"] = np.where(same < 0, 0, g)
    return p - s["d"] * np.sign(s["g"])


def adagrad(p: Array, g: Array, s: State, t: int) -> Array:
    s["v"] = s.get("v", 0.5) + g**2
    return p - 0.1 / (1 + 0.1 * (t - 1)) * g / (np.sqrt(s["v"]) + 1e-10)


def adadelta(p: Array, g: Array, s: State, t: int) -> Array:
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g**2
    step = np.sqrt(s.get("a", 0) + 1e-3) / np.sqrt(s["v"] + 1e-3) * g
    s["a"] = 0.9 * s.get("a", 0) + 0.1 * step**2
    return p - step


def asgd(p: Array, g: Array, s: State, t: int) -> Array:
    eta = 0.1 / (1 + 0.5 * 0.1 * (t - 1)) ** 0.75 if t > 1 else 0.1
    p = (1 - 0.5 * eta) * p - eta * g
    s["ax"] = p if t <= 5 else s["ax"] + (p - s["ax"]) / (t - 1 - 4)
    return p


def adafactor(p: Array, g: Array, s: State, t: int) -> Array:
    share, eps = t**-0.8, 1e-3
    if p.ndim > 1:
        s["r"] = (1 - share) * s.get("r", 0) + share * np.mean(g**2, -1, keepdims=True)
        s["c"] = (1 - share) * s.get("c", 0) + share * np.mean(g**2, -2, keepdims=True)
        v = s["r"] @ s["c"] / np.maximum(np.mean(s["r"], -2, keepdims=True), eps)
    else:
        v = s["v"] = (1 - share) * s.get("v", 0) + share * g**2
    u = g / np.sqrt(np.maximum(v, eps**2))
    rate = max(1e-3, np.sqrt(np.mean(p**2))) * min(0.1, t**-0.5)
    return 0.99 * p - rate * u / max(1, np.sqrt(np.mean(u**2)))


def lion(p: Array, g: Array, s: State, t: int) -> Array:
    m = s.get("m", 0)
    s["m"] = 0.99 * m + 0.01 * g
    return p * (1 - 0.1 * 0.2) - 0.1 * np.sign(0.9 * m + 0.1 * g)


# name, the optimizer, its options, its rule
RULES: list[tuple[type[optim.Optimizer], dict[str, Any], Rule]] = [
    (optim.SGD, {"momentum": 0.9, "nesterov": True}, sgd),
    (optim.Adam, {}, adam),
    (optim.Adam, {"amsgrad": True}, amsgrad),
    (optim.AdamW, {"weight_decay": 0.5}, adamw),
    (optim.Adamax, {"betas": (0.9, 0.99), "weight_decay": 0.1}, adamax),
    (optim.NAdam, {}, nadam),
    (optim.RAdam, {"betas": (0.9, 0.99)}, radam),
    (optim.RMSprop, {"alpha": 0.9, "momentum": 0.5, "centered": True, "eps": 0.1}, rmsprop),
    (optim.Rprop, {}, rprop),
    (optim.Adagrad, {"lr_decay": 0.1, "initial_accumulator_value": 0.5}, adagrad),
    (optim.Adadelta, {"lr": 1.0, "eps": 1e-3}, adadelta),
    (optim.ASGD, {"lambd": 0.5, "t0": 4}, asgd),
    (optim.Adafactor, {"eps": (1e-3, 1e-3), "weight_decay": 0.1}, adafactor),
    (optim.Lion, {"weight_decay": 0.2}, lion),
]
every_rule = pytest.mark.parametrize(
    ("kind", "options", "rule"), RULES, ids=[rule.__name__ for _, _, rule in RULES]
)


def gradient(p: Array, step: int) -> Array:
    return np.cos(3 * step + np.arange(p.size)).reshape(p.shape) + 0.5 * p


@every_rule
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("compiled", [False, True])
def test_trajectory(
    backend: str,
    kind: Any,
    options: dict[str, Any],
    rule: Rule,
    dtype: str,
    compiled: bool,
    rng: np.random.Generator,
) -> None:
    start = [np.asarray(rng.normal(size=shape)) for shape in SHAPES]
    params = [nn.Parameter(ig.tensor(x.astype(dtype))) for x in start]
    optimizer = kind(params, **{"lr": 0.1, **options})
    bound = 1e-12 if dtype == "float64" else 2e-5

    def step(*noise: ig.Tensor) -> None:
        for p, x in zip(params, noise, strict=True):
            p.grad = x + 0.5 * p.detach()
        optimizer.step()
        optimizer.zero_grad()

    run = ig.compile(step, state=(params, optimizer)) if compiled else step
    states: list[State] = [{} for _ in SHAPES]
    for t in range(1, STEPS + 1):
        noise = [gradient(x, t) - 0.5 * x for x in start]
        start = [rule(x, y + 0.5 * x, s, t) for x, y, s in zip(start, noise, states, strict=True)]
        run(*[ig.tensor(x.astype(dtype)) for x in noise])
        for p, x in zip(params, start, strict=True):
            np.testing.assert_allclose(p.numpy(), x, rtol=bound, atol=bound)


@every_rule
def test_a_schedule_does_not_trace_again(kind: Any, options: dict[str, Any], rule: Rule) -> None:
    """The learning rate is an input of a compiled step, and so are counters and slots."""
    del rule
    model = nn.Linear(2, 1)
    optimizer = kind(model.parameters(), **{"lr": 0.1, **options})
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    # SGD's first step is another than the rest: it sets the momentum to the gradient.
    @ig.compile(state=(model, optimizer), max_traces=1 + (kind is optim.SGD))
    def step(x: ig.Tensor) -> ig.Tensor:
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    for _ in range(4):
        step(ig.ones((3, 2)))
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(options.get("lr", 0.1) * 0.9**4)
