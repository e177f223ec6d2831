"""einops on tensors: its array-API functions, and its own after ``import isograd.einops``."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import isograd as ig

pytest.importorskip("einops", reason="einops is not installed")

import einops.array_api

PATTERNS = [
    ("a b c -> (a c) b", {}),
    ("a (b b2) c -> b (a b2 c)", {"b2": 3}),
    ("a b c -> c a b 1", {}),
    ("... c -> c ...", {}),
]
REDUCTIONS = [("a b c -> a c", {}), ("a (b b2) c -> b a", {"b2": 3}), ("a b c -> () b ()", {})]
REPEATS = [("a b c -> a b c d", {"d": 2}), ("a b c -> (d a) (b e) c", {"d": 2, "e": 3})]


@pytest.fixture
def x() -> np.ndarray:
    return np.arange(48.0).reshape(2, 6, 4)


@pytest.fixture(params=["einops.array_api", "isograd.einops"])
def functions(request: pytest.FixtureRequest) -> Any:
    return einops.array_api if request.param == "einops.array_api" else ig.einops


def agree(out: Any, right: np.ndarray) -> None:
    assert isinstance(out, ig.Tensor)
    np.testing.assert_allclose(out.numpy(), right, rtol=1e-12)


@pytest.mark.parametrize(("pattern", "lengths"), PATTERNS)
def test_rearrange(x: np.ndarray, functions: Any, pattern: str, lengths: Any, backend: str) -> None:
    agree(
        functions.rearrange(ig.tensor(x), pattern, **lengths),
        einops.rearrange(x, pattern, **lengths),
    )


@pytest.mark.parametrize("how", ["sum", "mean", "max", "min", "prod"])
@pytest.mark.parametrize(("pattern", "lengths"), REDUCTIONS)
def test_reduce(x: np.ndarray, functions: Any, how: str, pattern: str, lengths: Any) -> None:
    x = x / 10 + 1
    agree(
        functions.reduce(ig.tensor(x), pattern, how, **lengths),
        einops.reduce(x, pattern, how, **lengths),
    )


@pytest.mark.parametrize(("pattern", "lengths"), REPEATS)
def test_repeat(x: np.ndarray, functions: Any, pattern: str, lengths: Any) -> None:
    agree(functions.repeat(ig.tensor(x), pattern, **lengths), einops.repeat(x, pattern, **lengths))


def test_pack_and_unpack(x: np.ndarray, functions: Any) -> None:
    t = ig.tensor(x)
    packed, shapes = functions.pack([t, t[:, :, 0]], "a b *")
    agree(packed, einops.pack([x, x[:, :, 0]], "a b *")[0])
    for part, right in zip(functions.unpack(packed, shapes, "a b *"), (x, x[:, :, 0]), strict=True):
        agree(part, right)


def test_lists_shapes_and_arrays(x: np.ndarray) -> None:
    t = ig.tensor(x)
    agree(ig.einops.rearrange([t, t], "l a b c -> a (l b) c"), np.concatenate([x, x], axis=1))
    assert ig.einops.parse_shape(t, "a _ c") == {"a": 2, "c": 4}
    assert type(ig.einops.asnumpy(t)) is np.ndarray
    assert ig.einops.reduce(t > 3, "a b c -> a", "any").tolist() == [True, True]
    backend = ig.einops.IsogradBackend()
    assert backend.from_numpy(np.ones(2)).requires_grad
    assert backend.arange(1, 3).tolist() == [1, 2]
    agree(backend.concat([t, t], axis=0), np.concatenate([x, x]))


def test_gradients_flow_eager_and_compiled(x: np.ndarray, backend: str) -> None:
    def loss(t: ig.Tensor) -> ig.Tensor:
        grid = ig.einops.reduce(
            ig.einops.rearrange(t, "a (b d) c -> (a b) c d", d=2), "n c d -> n c", "mean"
        )
        return (ig.einops.repeat(grid, "n c -> n c r", r=3) ** 2).sum()

    eager = ig.grad(loss)(ig.tensor(x))
    halves = x.reshape(2, 3, 2, 4).mean(axis=2, keepdims=True)
    agree(eager, np.broadcast_to(3 * halves, (2, 3, 2, 4)).reshape(x.shape))
    agree(ig.compile(ig.grad(loss))(ig.tensor(x)), eager.numpy())


def test_einsum(x: np.ndarray) -> None:
    t = ig.tensor(x)
    agree(ig.einops.einsum(t, t, "a b c, a b d -> c d"), np.einsum("abc,abd->cd", x, x))


def test_einops_is_imported_only_where_it_is_used() -> None:
    code = (
        "import sys, isograd as ig\n"
        "assert 'einops' not in sys.modules\n"
        "import einops, numpy as np\n"
        "import isograd.einops\n"
        "assert einops.rearrange(ig.ones((2, 3)), 'a b -> b a').shape == (3, 2)\n"
        "assert einops.rearrange(np.ones((2, 3)), 'a b -> b a').shape == (3, 2)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
