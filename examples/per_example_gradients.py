"""The gradient of each example of a batch: a loop, `isograd.vmap`, and `vmap` compiled.

python examples/per_example_gradients.py --batch 64
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import isograd as ig
from isograd import nn
from isograd.nn import functional as F

CLASSES = 10

MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "small perceptron": (
        lambda: nn.Sequential(
            nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, CLASSES)
        ),
        (16,),
    ),
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, CLASSES)),
        (784,),
    ),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(-3),
            nn.Linear(16 * 12 * 12, CLASSES),
        ),
        (1, 28, 28),
    ),
}


def loss(model: nn.Module, x: ig.Tensor, y: ig.Tensor) -> ig.Tensor:
    """Return the loss of one example."""
    return F.cross_entropy(model(x), y)


def ways(model: nn.Module) -> dict[str, Callable[[ig.Tensor, ig.Tensor], dict[str, ig.Tensor]]]:
    """Return functions of a batch that give the gradients of all examples, by name."""
    of_one = ig.grad(loss)
    mapped = ig.vmap(of_one, in_axes=(None, 0, 0))
    compiled = ig.compile(lambda x, y: mapped(model, x, y), state=model)

    def loop(x: ig.Tensor, y: ig.Tensor) -> dict[str, ig.Tensor]:
        rows = [of_one(model, x[i], y[i]) for i in range(len(x))]
        return {name: ig.stack([row[name] for row in rows]) for name in rows[0]}

    return {"loop": loop, "vmap": lambda x, y: mapped(model, x, y), "compiled vmap": compiled}


def seconds(call: Callable[[], Any], runs: int) -> float:
    """Return the fastest of several runs after a first one."""
    call()
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def measure(name: str, batch: int, runs: int) -> dict[str, float]:
    """Return the seconds of each way, after checking that all give the same."""
    ig.manual_seed(0)
    build, shape = MODELS[name]
    model = build()
    x, y = ig.random.normal((batch, *shape)), ig.random.integers(CLASSES, shape=batch)
    calls = ways(model)
    found = {way: call(x, y) for way, call in calls.items()}
    for gradients in found.values():
        for key, value in gradients.items():
            np.testing.assert_allclose(value.numpy(), found["loop"][key].numpy(), 1e-3, 1e-5)
    return {way: seconds(lambda call=call: call(x, y), runs) for way, call in calls.items()}


def main(arguments: list[str] | None = None) -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64, help="examples in a batch")
    parser.add_argument("--runs", type=int, default=10, help="runs, of which the fastest counts")
    parser.add_argument("--backend", choices=["numpy", "numba"], help="who computes")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    options = parser.parse_args(arguments)
    if options.backend:
        ig.set_backend(options.backend)
    for name in options.models:
        times = measure(name, options.batch, options.runs)
        shown = [
            f"{way} {taken * 1e3:.2f} ms ({times['loop'] / taken:.1f} x)"
            for way, taken in times.items()
        ]
        print(f"{name}, {options.batch} examples: {', '.join(shown)}")


if __name__ == "__main__":
    main()
