"""Optimizer updates against torch's own optimizers, over three steps."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="its optimizers are the reference")


def numbers(lib: Any, *values: Any) -> list[Any]:
    return [lib.array(np.array(value)) for value in values]


def run(lib: Any, name: str, scalars: list[Any], arrays: list[np.ndarray], **static: Any) -> Any:
    before = [array.copy() for array in arrays]
    out = lib.kernel(name)(*scalars, *map(lib.array, arrays), **static)
    assert isinstance(out, tuple)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    return [lib.host(part) for part in out]


SGD = [
    dict(zip(("momentum", "dampening", "nesterov", "weight_decay", "maximize"), row, strict=True))
    for row in [
        (0.0, 0.0, False, 0.0, False),
        (0.0, 0.0, False, 0.1, True),
        (0.9, 0.0, False, 0.0, False),
        (0.9, 0.3, False, 0.1, True),
        (0.9, 0.0, True, 0.1, False),
        (0.8, 0.0, True, 0.0, True),
    ]
]


ADAM = [
    dict(zip(("weight_decay", "decoupled", "maximize"), row, strict=True))
    for row in itertools.product((0.0, 0.1), (False, True), (False, True))
]


@pytest.mark.oracle
@pytest.mark.parametrize("options", SGD)
def test_sgd_follows_torch(lib: Any, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    weights, momentum = rng.standard_normal((4, 3)), options["momentum"]
    parameter = torch.nn.Parameter(torch.from_numpy(weights.copy()))
    optimizer = torch.optim.SGD([parameter], lr=0.1, **options)
    state = [np.zeros((4, 3))] if momentum else []
    for step in range(3):
        g = rng.standard_normal((4, 3))
        parameter.grad = torch.from_numpy(g.copy())
        optimizer.step()
        arrays = [weights, g, *state]
        first = numbers(lib, 0.1)
        weights, *state = run(lib, "sgd_update", first, arrays, first=step == 0, **options)
        np.testing.assert_allclose(weights, parameter.detach().numpy(), rtol=1e-13)


@pytest.mark.oracle
@pytest.mark.parametrize("options", ADAM)
def test_adam_follows_torch(lib: Any, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((4, 3))
    parameter = torch.nn.Parameter(torch.from_numpy(weights.copy()))
    chosen = dict(options)
    make = torch.optim.AdamW if chosen.pop("decoupled") else torch.optim.Adam
    optimizer = make([parameter], lr=0.1, betas=(0.9, 0.99), eps=1e-8, **chosen)
    state = [np.zeros((4, 3)), np.zeros((4, 3))]
    for step in range(1, 4):
        g = rng.standard_normal((4, 3))
        parameter.grad = torch.from_numpy(g.copy())
        optimizer.step()
        arrays = [weights, g, *state]
        first = numbers(lib, 0.1, step)
        static = {"betas": (0.9, 0.99), "eps": 1e-8, **options}
        weights, *state = run(lib, "adam_update", first, arrays, **static)
        np.testing.assert_allclose(weights, parameter.detach().numpy(), rtol=1e-12)
