"""Optimizer updates against plain formulas."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

F16, F32, F64 = np.float16, np.float32, np.float64
SHAPES: list[Any] = [(3, 4), (), (0,), (2, 9000)]


def numbers(lib: Any, *values: Any) -> list[Any]:
    return [lib.array(np.array(value)) for value in values]


def run(lib: Any, name: str, scalars: list[Any], arrays: list[np.ndarray], **static: Any) -> Any:
    before = [array.copy() for array in arrays]
    out = lib.kernel(name)(*scalars, *map(lib.array, arrays), **static)
    assert isinstance(out, tuple)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    return [lib.host(part) for part in out]


def group(rng: np.random.Generator, dtype: Any, positive: bool = False) -> list[np.ndarray]:
    made = [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]
    return [np.asarray(np.abs(array)) for array in made] if positive else made


def wide(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [array.astype(F64) for array in arrays]


def check(out: list[np.ndarray], expected: list[np.ndarray], dtype: Any) -> None:
    slack = 16 * float(np.finfo(dtype).eps)
    for part, wanted in zip(out, expected, strict=True):
        assert part.dtype == dtype
        assert part.shape == wanted.shape
        np.testing.assert_allclose(part, wanted, rtol=slack, atol=slack)


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


@pytest.mark.parametrize("dtype", [F16, F32, F64])
@pytest.mark.parametrize("options", SGD)
@pytest.mark.parametrize("first", [False, True])
def test_sgd(lib: Any, dtype: Any, options: dict[str, Any], first: bool) -> None:
    rng = np.random.default_rng(0)
    params, grads, momenta = (group(rng, dtype) for _ in range(3))
    momentum = options["momentum"]
    arrays = [*params, *grads, *(momenta if momentum else [])]
    out = run(lib, "sgd_update", numbers(lib, 0.1), arrays, first=first, **options)
    new_params: list[np.ndarray] = []
    new_momenta: list[np.ndarray] = []
    for p, g, m in zip(wide(params), wide(grads), wide(momenta), strict=True):
        d = (-g if options["maximize"] else g) + options["weight_decay"] * p
        if momentum:
            m = d if first else momentum * m + (1 - options["dampening"]) * d
            new_momenta.append(m)
            d = d + momentum * m if options["nesterov"] else m
        new_params.append(p - 0.1 * d)
    check(out, new_params + new_momenta, dtype)


ADAM = [
    dict(zip(("weight_decay", "decoupled", "maximize"), row, strict=True))
    for row in itertools.product((0.0, 0.1), (False, True), (False, True))
]


@pytest.mark.parametrize("dtype", [F16, F32, F64])
@pytest.mark.parametrize("options", ADAM)
@pytest.mark.parametrize("step", [1, 7])
def test_adam(lib: Any, dtype: Any, options: dict[str, Any], step: int) -> None:
    rng = np.random.default_rng(0)
    params, grads, means = (group(rng, dtype) for _ in range(3))
    squares = group(rng, dtype, positive=True)
    first = numbers(lib, 0.1, step)
    static = {"betas": (0.9, 0.99), "eps": 1e-3, **options}
    out = run(lib, "adam_update", first, [*params, *grads, *means, *squares], **static)
    expected: list[list[np.ndarray]] = [[], [], []]
    for p, g, m, v in zip(*map(wide, (params, grads, means, squares)), strict=True):
        g = -g if options["maximize"] else g
        if options["decoupled"]:
            p = p * (1 - 0.1 * options["weight_decay"])
        else:
            g = g + options["weight_decay"] * p
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        root = np.sqrt(v / (1 - 0.99**step)) + 1e-3
        expected[0].append(p - 0.1 * (m / (1 - 0.9**step)) / root)
        expected[1].append(m)
        expected[2].append(v)
    check(out, [*expected[0], *expected[1], *expected[2]], dtype)


def test_adam_of_the_edge_table(lib: Any) -> None:
    zero = np.zeros(1)
    arrays = [np.ones(1), np.full(1, 0.1), zero, zero]
    static: dict[str, Any] = {"betas": (0.9, 0.999), "eps": 1e-8, "maximize": False}
    for decay, expected in ((0.0, 0.90000001), (0.01, 0.89900001)):
        first = numbers(lib, 0.1, 1)
        options = {"weight_decay": decay, "decoupled": True, **static}
        out = run(lib, "adam_update", first, arrays, **options)
        assert out[0][0] == pytest.approx(expected, abs=1e-12)


def test_transposed_gradients(lib: Any) -> None:
    rng = np.random.default_rng(0)
    p, g = rng.standard_normal((5, 3)), rng.standard_normal((3, 5)).T
    static = {"dampening": 0.0, "nesterov": False, "weight_decay": 0.0, "maximize": False}
    first = numbers(lib, 0.5)
    (out,) = run(lib, "sgd_update", first, [p, g], momentum=0.0, first=True, **static)
    np.testing.assert_allclose(out, p - 0.5 * g, rtol=1e-15)
