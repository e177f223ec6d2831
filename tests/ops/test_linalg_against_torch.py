"""Linear algebra and contractions against torch: values, gradients of two orders, tangents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import linalg

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

pytestmark = pytest.mark.oracle

Array = Any


def general(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(size=shape) + 2 * np.eye(*shape[-2:])


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    x = rng.normal(size=shape)
    return x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])


def plain(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(size=shape)


def projectors(vectors: Any) -> Any:
    """Return v v^T for each column, which does not depend on its sign."""
    return vectors[..., :, None, :] * vectors[..., None, :, :]


def with_svd(of: Any, x: Any) -> tuple[Any, ...]:
    u, s, vh = of(x, full_matrices=False)
    return s, projectors(u), (u * s[..., None, :] ** 2) @ vh


def with_qr(of: Any, x: Any) -> tuple[Any, ...]:
    q, r = of(x)
    return projectors(q), r.mT @ r, q @ r


def with_eigh(of: Any, x: Any) -> tuple[Any, ...]:
    values, vectors = of(x + x.mT)
    return values, projectors(vectors)


def functions(lib: Any, name: str) -> Any:
    """Return a function of ``isograd.linalg`` and its partner of ``torch.linalg``."""
    return getattr(linalg if lib is ig else torch.linalg, name)


def triangular(lib: Any, a: Any, b: Any) -> Any:
    if lib is ig:
        return linalg.solve_triangular(a, b, upper=True)
    return torch.linalg.solve_triangular(a, b, upper=True)


Function = Callable[..., Any]

#: A name, a function of a library and tensors, and the arguments: how they are made, their shapes.
CASES: list[tuple[str, Function, list[tuple[Any, tuple[int, ...]]]]] = [
    ("cholesky", lambda lib, x: functions(lib, "cholesky")(x), [(positive, (2, 3, 3))]),
    ("eigh", lambda lib, x: with_eigh(functions(lib, "eigh"), x), [(general, (2, 3, 3))]),
    ("eigvalsh", lambda lib, x: functions(lib, "eigvalsh")(x + x.mT), [(general, (3, 3))]),
    ("qr", lambda lib, x: with_qr(functions(lib, "qr"), x), [(general, (2, 4, 3))]),
    ("qr, wide", lambda lib, x: with_qr(functions(lib, "qr"), x), [(general, (3, 5))]),
    ("svd", lambda lib, x: with_svd(functions(lib, "svd"), x), [(general, (2, 4, 3))]),
    ("svd, wide", lambda lib, x: with_svd(functions(lib, "svd"), x), [(general, (3, 4))]),
    ("svdvals", lambda lib, x: functions(lib, "svdvals")(x), [(general, (4, 3))]),
    (
        "solve",
        lambda lib, *xs: functions(lib, "solve")(*xs),
        [(general, (2, 3, 3)), (plain, (3, 2))],
    ),
    ("triangular", triangular, [(general, (3, 3)), (plain, (3, 2))]),
    (
        "cholesky_solve",
        # torch's gradient does not leave out what lies above the factor.
        lambda lib, b, a: (linalg if lib is ig else torch).cholesky_solve(b, lib.tril(a)),
        [(plain, (3, 2)), (general, (3, 3))],
    ),
    ("inv", lambda lib, x: functions(lib, "inv")(x), [(general, (2, 3, 3))]),
    ("det", lambda lib, x: functions(lib, "det")(x), [(general, (2, 3, 3))]),
    ("slogdet", lambda lib, x: functions(lib, "slogdet")(x)[1], [(general, (3, 3))]),
    ("pinv", lambda lib, x: functions(lib, "pinv")(x), [(general, (2, 4, 3))]),
    ("pinv, wide", lambda lib, x: functions(lib, "pinv")(x), [(general, (3, 4))]),
    (
        "lstsq",
        lambda lib, *xs: functions(lib, "lstsq")(*xs)[0],
        [(general, (4, 3)), (plain, (4, 2))],
    ),
    (
        "expm",
        lambda lib, x: linalg.expm(x) if lib is ig else torch.linalg.matrix_exp(x),
        [(general, (2, 3, 3))],
    ),
    ("power", lambda lib, x: functions(lib, "matrix_power")(x, -3), [(general, (3, 3))]),
    ("nuclear", lambda lib, x: functions(lib, "matrix_norm")(x, ord="nuc"), [(general, (4, 3))]),
    ("multi_dot", lambda lib, *xs: functions(lib, "multi_dot")(xs), [(plain, (3, 3))] * 3),
    ("cross", lambda lib, *xs: functions(lib, "cross")(*xs), [(plain, (2, 3)), (plain, (1, 3))]),
    ("kron", lambda lib, *xs: lib.kron(*xs), [(plain, (2, 3)), (plain, (2, 2))]),
    ("block_diag", lambda lib, *xs: lib.block_diag(*xs), [(plain, (2, 3)), (plain, (1, 2))]),
    *[
        (text, lambda lib, *xs, text=text: lib.einsum(text, *xs), [(plain, s) for s in shapes])
        for text, shapes in {
            "bhqd,bhkd->bhqk": [(2, 2, 3, 4), (2, 2, 5, 4)],
            "ii->i": [(3, 3)],
            "i,i->": [(3,), (3,)],
            "...ij,...jk->...ki": [(2, 1, 2, 3), (4, 3, 2)],
            "ab,bc,cd,da->": [(2, 3), (3, 2), (2, 4), (4, 2)],
            "iij,jk->ik": [(3, 3, 2), (2, 4)],
        }.items()
    ],
]


def _total(lib: Any, out: Any, weights: list[Array]) -> Any:
    parts = out if isinstance(out, tuple) else (out,)
    total = 0.0
    for part, weight in zip(parts, weights, strict=True):
        w = ig.tensor(weight) if lib is ig else torch.tensor(weight)
        total = total + (lib.sin(part) * w).sum()
    return total


@pytest.mark.parametrize(("name", "fn", "inputs"), CASES, ids=[name for name, _, _ in CASES])
def test_equals_torch(name: str, fn: Function, inputs: list[Any], backend: str) -> None:
    rng = np.random.default_rng(0)
    arrays = [make(rng, shape) for make, shape in inputs]
    directions = [rng.normal(size=x.shape) for x in arrays]
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    out = fn(torch, *theirs)
    shapes = [tuple(part.shape) for part in (out if isinstance(out, tuple) else (out,))]
    weights = [rng.normal(size=shape) for shape in shapes]
    total = _total(torch, out, weights)
    first = torch.autograd.grad(total, theirs, create_graph=True)
    along = sum((g * torch.tensor(d)).sum() for g, d in zip(first, directions, strict=True))
    second = torch.autograd.grad(along, theirs)

    def loss(*xs: Any) -> Any:
        return _total(ig, fn(ig, *xs), weights)

    ours = tuple(ig.tensor(x) for x in arrays)
    moved = tuple(ig.tensor(d) for d in directions)
    argnums = tuple(range(len(ours)))
    value, gradients = ig.value_and_grad(loss, argnums)(*ours)
    np.testing.assert_allclose(value.item(), total.item(), rtol=1e-10)
    for g, right in zip(gradients, first, strict=True):
        np.testing.assert_allclose(g.numpy(), right.detach().numpy(), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ig.jvp(loss, ours, moved)[1].item(), along.item(), rtol=1e-8)
    products = ig.jvp(ig.grad(loss, argnums), ours, moved)[1]
    for h, right in zip(products, second, strict=True):
        scale = float(np.max(np.abs(right.numpy())))
        np.testing.assert_allclose(h.numpy(), right.numpy(), rtol=1e-7, atol=1e-9 * scale)
