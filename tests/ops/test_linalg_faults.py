"""The rows of linear algebra can fail: each of these faults must be found by the check named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.ops.linalg import primitives as p
from isograd.ops.linalg import rules
from isograd.runtime.rules import General, Several, Shared
from isograd.testing.harness import check_op
from isograd.testing.op_db import primitive_specs

Array = Any


class Faulty:
    """The NumPy backend with one kernel changed."""

    name = "faulty"

    def __init__(self, op: str, kernel: Callable[..., Any]) -> None:
        with ig.use_backend("numpy") as inner:
            self._inner = inner
        self._op, self._changed = op, kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def kernel(self, name: str) -> Any:
        return self._changed if name == self._op else self._inner.kernel(name)


def turned_vectors(x: Array) -> tuple[Array, Array]:
    values, vectors = np.linalg.eigh((x + np.swapaxes(x, -1, -2)) / 2)
    return values, -vectors


def ascending(x: Array) -> Array:
    return np.linalg.svd(x, compute_uv=False)[..., ::-1]


def without_pivots(a: Array, b: Array) -> Array:
    return np.linalg.solve(a + 1e-6 * np.eye(a.shape[-1], dtype=a.dtype), b)


def reads_the_diagonal(a: Array, b: Array, *, lower: bool, unit_diagonal: bool) -> Array:
    return np.linalg.solve(np.tril(a) if lower else np.triu(a), b)


KERNELS: list[tuple[str, Callable[..., Any]]] = [
    ("cholesky", np.linalg.cholesky),  # reads one triangle
    ("eigh", turned_vectors),
    ("qr", lambda x, *, mode: tuple(np.linalg.qr(x, mode))),  # signs of LAPACK
    ("svd", lambda x, *, full_matrices: tuple(np.linalg.svd(x, full_matrices=full_matrices))),
    ("svdvals", ascending),
    ("solve", without_pivots),
    ("solve_triangular", reads_the_diagonal),
    ("inv", lambda x: np.swapaxes(np.linalg.inv(x), -1, -2)),
    ("det", lambda x: np.abs(np.linalg.det(x))),
    ("slogdet", lambda x: (np.ones(x.shape[:-2], x.dtype), np.linalg.slogdet(x)[1])),
    ("pinv", lambda x, rtol: np.linalg.pinv(x, rcond=0.5)),
    ("expm", lambda x: np.eye(x.shape[-1], dtype=x.dtype) + x + x @ x / 2),
]


@pytest.mark.parametrize(("op", "kernel"), KERNELS, ids=[op for op, _ in KERNELS])
def test_a_faulty_kernel_is_found(op: str, kernel: Callable[..., Any]) -> None:
    cells = list(check_op(primitive_specs()[op], "forward", Faulty(op, kernel), ("float64",)))
    assert [cell.verdict for cell in cells] == ["fail"]


def half_gap(g: Any, out: Any) -> Any:
    return rules._eigh((g[0], None if g[1] is None else g[1] * 2.0), out)


def no_residual(g: Any, out: Any, a: Any, b: Any, rtol: Any) -> Any:
    ga, gb, none = rules._lstsq(g, out, a, ig.matmul(a, out), rtol)
    return ga, gb, none


def negated(g: Any, out: Any, x: Any, *, full_matrices: bool) -> Any:
    return -rules._svd(g, out, x, full_matrices=full_matrices)


RULES: list[tuple[str, Any]] = [
    ("cholesky", General(lambda g, out: ig.tril(rules._cholesky(g, out)))),
    ("eigh", Several(half_gap)),
    (
        "svd",
        Several(negated),
    ),
    ("qr", Several(lambda g, out, x, *, mode: rules._qr((g[0], None), out, x, mode=mode))),
    ("inv", General(lambda g, out: -rules._product(out, g, out))),
    ("det", General(lambda g, x: ig.bind(p.inv, x) * g[..., None, None])),
    ("pinv", General(lambda g, out: -rules._product(out.mT, g, out.mT), None)),
    ("lstsq", Shared(no_residual, names=("a", "b", "rtol"))),
    ("solve", Shared(lambda g, out, a: (-ig.matmul(g, out.mT), g), names=("a", "b"))),
    ("expm", General(lambda g, x: ig.matmul(ig.bind(p.expm, x).mT, g))),
]


@pytest.mark.parametrize(("op", "rule"), RULES, ids=[op for op, _ in RULES])
def test_a_faulty_rule_is_found(op: str, rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getattr(p, op), "rule", rule)
    cells = list(check_op(primitive_specs()[op], "gradient", "numpy"))
    assert [cell.verdict for cell in cells] == ["fail"]
    assert "analytic" in cells[0].message
