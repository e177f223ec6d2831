"""Optimizer updates: the bits of the NumPy backend, the numbers of torch, inputs left alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd_numba._updates import SMALLEST, update_kernels
from isograd_numpy.kernels import numpy_kernels

Array = Any

REFERENCE = numpy_kernels()
KERNELS = update_kernels(REFERENCE)
DTYPES = ["float32", "float64"]
SHAPES: list[tuple[int, ...]] = [(17, 20), (33,), (), (1, 0, 3), (1000,)]

SGD: list[dict[str, Any]] = [
    {
        "momentum": momentum,
        "dampening": 0.0 if nesterov else 0.1,
        "nesterov": nesterov,
        "weight_decay": decay,
        "maximize": maximize,
        "first": first,
    }
    for momentum, nesterov, decay, maximize, first in itertools.product(
        (0.0, 0.9), (False, True), (0.0, 0.01), (False, True), (False, True)
    )
    if momentum or not nesterov
]
ADAM: list[dict[str, Any]] = [
    {
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": decay,
        "decoupled": decoupled,
        "maximize": maximize,
    }
    for decay, decoupled, maximize in itertools.product((0.0, 0.01), (False, True), (False, True))
]


def arrays(kinds: int, dtype: Any, rng: np.random.Generator) -> list[list[Array]]:
    """Return parameters, gradients and states; the last kind is not negative."""
    made = [[rng.standard_normal(s).astype(dtype) for s in SHAPES] for _ in range(kinds)]
    return [*made[:-1], [np.abs(x) for x in made[-1]]] if kinds == 4 else made


def same(out: tuple[Array, ...], expected: tuple[Array, ...]) -> None:
    for a, b in zip(out, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def run(kernels: Any, name: str, made: list[list[Array]], static: dict[str, Any]) -> Any:
    scalars = (np.array(0.1),) if name == "sgd_update" else (np.array(0.01), np.array(3))
    return kernels[name](*scalars, *itertools.chain(*made), **static)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("static", SGD + ADAM)
def test_bits_are_those_of_the_numpy_backend(
    static: dict[str, Any], dtype: str, rng: np.random.Generator
) -> None:
    name = "adam_update" if "betas" in static else "sgd_update"
    made = arrays(4 if "betas" in static else 3 if static["momentum"] else 2, dtype, rng)
    before = [[x.copy() for x in kind] for kind in made]
    out = run(KERNELS, name, made, static)
    same(out, run(REFERENCE, name, made, static))
    for kind, copies in zip(made, before, strict=True):
        same(tuple(kind), tuple(copies))
    for x in itertools.chain(*made):
        assert not any(np.shares_memory(x, y) for y in out)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout(
    dtype: str, rng: np.random.Generator, layouts: Callable[[Array], list[Array]]
) -> None:
    p, g, m, v = (np.abs(rng.standard_normal((20, 30))).astype(dtype) for _ in range(4))
    for kind in zip(*(layouts(x) for x in (p, g, m, v)), strict=True):
        for made in ([[x] for x in kind], [[p], [kind[1]], [m], [v]], [[kind[0]], [g], [m], [v]]):
            same(
                run(KERNELS, "adam_update", made, ADAM[4]),
                run(REFERENCE, "adam_update", made, ADAM[4]),
            )
            same(
                run(KERNELS, "sgd_update", made[:3], SGD[-1]),
                run(REFERENCE, "sgd_update", made[:3], SGD[-1]),
            )


def test_few_numbers_and_other_dtypes_go_to_the_reference(rng: np.random.Generator) -> None:
    for dtype, size in (("float16", 2 * SMALLEST), ("float32", SMALLEST - 1)):
        made = [[np.abs(rng.standard_normal(size)).astype(dtype)] for _ in range(4)]
        same(
            run(KERNELS, "adam_update", made, ADAM[0]), run(REFERENCE, "adam_update", made, ADAM[0])
        )
        same(
            run(KERNELS, "sgd_update", made[:2], SGD[0]),
            run(REFERENCE, "sgd_update", made[:2], SGD[0]),
        )


def test_parameters_of_two_dtypes(rng: np.random.Generator) -> None:
    made = [[rng.standard_normal(400), rng.standard_normal(300).astype("f4")] for _ in range(3)]
    same(run(KERNELS, "sgd_update", made, SGD[-1]), run(REFERENCE, "sgd_update", made, SGD[-1]))


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("static", SGD[::2] + ADAM)
def test_three_steps_of_torch(static: dict[str, Any], dtype: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    adam = "betas" in static
    options = {k: v for k, v in static.items() if k not in ("first", "decoupled")}
    kind = torch.optim.AdamW if static.get("decoupled") else torch.optim.Adam
    params = [rng.standard_normal((20, 15)).astype(dtype)]
    theirs = torch.tensor(params[0], requires_grad=True)
    optimizer = (kind if adam else torch.optim.SGD)([theirs], lr=0.05, **options)
    states = [[np.zeros_like(params[0])] for _ in range(2 if adam else bool(static["momentum"]))]
    for step in (1, 2, 3):
        g = rng.standard_normal((20, 15)).astype(dtype)
        theirs.grad = torch.tensor(g)
        optimizer.step()
        scalars = (np.array(0.05), np.array(step)) if adam else (np.array(0.05),)
        now = static if adam else static | {"first": step == 1}
        out = KERNELS["adam_update" if adam else "sgd_update"](
            *scalars, *params, g, *itertools.chain(*states), **now
        )
        params, states = [out[0]], [[x] for x in out[1:]]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(params[0], theirs.detach().numpy(), rtol=16 * eps, atol=16 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_change_bits(
    dtype: str,
    rng: np.random.Generator,
    for_any_threads: Callable[[Callable[[], Any]], Any],
) -> None:
    made = [[np.abs(rng.standard_normal(100_003)).astype(dtype)] for _ in range(4)]
    for_any_threads(lambda: run(KERNELS, "adam_update", made, ADAM[4]))
    for_any_threads(lambda: run(KERNELS, "sgd_update", made[:3], SGD[-1]))
    for_any_threads(lambda: run(KERNELS, "sgd_update", made[:2], SGD[0]))
