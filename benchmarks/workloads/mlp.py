"""Multilayer perceptrons, from 2-3-1 to the size of MNIST."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from workloads.base import Array, Parameters, Workload, affine, cross_entropy, linear

_RATES = {"sgd": 0.05, "adam": 0.003}


def _classifier(sizes: tuple[int, ...], batch: int) -> Workload:
    """Return a ReLU network with cross-entropy."""
    layers = list(pairwise(sizes))

    def examples(rng: np.random.Generator) -> tuple[Array, ...]:
        x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
        return x, rng.integers(0, sizes[-1], batch)

    def model(nn: Any) -> Any:
        modules: list[Any] = []
        for inputs, outputs in layers:
            modules += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*modules[:-1])

    def formula(xp: Any, p: Parameters, x: Array, labels: Array) -> Array:
        for k in range(len(layers)):
            x = affine(p, str(2 * k), x if k == 0 else xp.maximum(x, 0.0))
        return cross_entropy(xp, x, labels)

    # Products forward, for the weights, and (but in the first layer) for the inputs.
    products = sum((2 if k == 0 else 3) * m * n for k, (m, n) in enumerate(layers))
    return Workload(
        title=f"{'-'.join(map(str, sizes))}, ReLU, cross-entropy, batch {batch}",
        optimizer="sgd",
        rates=_RATES,
        shapes={
            name: shape
            for k, (inputs, outputs) in enumerate(layers)
            for name, shape in linear(str(2 * k), inputs, outputs).items()
        },
        batch=examples,
        model=model,
        loss=lambda F, model, x, labels: F.cross_entropy(model(x), labels),
        formula=formula,
        gemm_flops=2.0 * batch * products,
    )


def _textbook_batch(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.normal(size=(1, 2)).astype(np.float32), np.full((1, 1), 0.7, np.float32)


def _textbook(xp: Any, p: Parameters, x: Array, y: Array) -> Array:
    for layer in ("0", "2"):
        x = 1.0 / (1.0 + xp.exp(-affine(p, layer, x)))
    return 0.5 * xp.sum((x - y) ** 2)


TINY = Workload(
    title="2-3-1, sigmoid, half the sum of squares, batch 1",
    optimizer="sgd",
    rates={"sgd": 0.1, "adam": 0.01},
    shapes={**linear("0", 2, 3), **linear("2", 3, 1)},
    batch=_textbook_batch,
    model=lambda nn: nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1), nn.Sigmoid()),
    loss=lambda F, model, x, y: 0.5 * F.mse_loss(model(x), y, reduction="sum"),
    formula=_textbook,
    gemm_flops=2.0 * (2 * 6 + 3 * 3),
)


def _small_batch(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.normal(size=(1, 64)).astype(np.float32), np.ones((1, 1), np.float32)


def _small(xp: Any, p: Parameters, x: Array, y: Array) -> Array:
    x = xp.tanh(affine(p, "0", x))
    x = xp.tanh(affine(p, "2", x))
    return xp.mean((affine(p, "4", x) - y) ** 2)


#: So little arithmetic that an eager step costs what the library costs.
EAGER = Workload(
    title="64-64-64-1, tanh, mean squared error, batch 1",
    optimizer="plain",
    rates={"plain": 0.01, "sgd": 0.01, "adam": 0.003},
    shapes={**linear("0", 64, 64), **linear("2", 64, 64), **linear("4", 64, 1)},
    batch=_small_batch,
    model=lambda nn: nn.Sequential(
        nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
    ),
    loss=lambda F, model, x, y: F.mse_loss(model(x), y),
    formula=_small,
    gemm_flops=2.0 * (2 * 64 * 64 + 3 * 64 * 64 + 3 * 64),
)

DIGITS = _classifier((64, 64, 10), batch=32)
MNIST = _classifier((784, 512, 256, 10), batch=128)
