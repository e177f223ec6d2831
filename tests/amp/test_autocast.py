"""autocast: which dtypes come out, gradients in float32, compiled programs, torch's values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import amp, nn
from isograd.nn import functional as F

X, W, B = ig.ones((3, 4)), ig.ones((5, 4)), ig.ones(5)
IMAGE = ig.ones((1, 2, 5, 5))

# What is computed, and in which dtype it comes out.
IN_16_BITS: list[Any] = [
    lambda: X @ W.T,
    lambda: ig.matmul(X, W.T),
    lambda: F.linear(X, W),
    lambda: F.linear(X, W, B),
    lambda: F.conv2d(IMAGE, ig.ones((3, 2, 2, 2)), ig.ones(3)),
    lambda: F.conv_transpose2d(IMAGE, ig.ones((2, 3, 2, 2)), ig.ones(3)),
    lambda: F.scaled_dot_product_attention(X, X, X),
    lambda: F.prelu(X, ig.ones(1)),
    lambda: nn.Linear(4, 2)(X),
    lambda: nn.MultiheadAttention(4, 2)(X, X, X)[0],
]
HALF, HALVES = X.astype(ig.float16), ig.ones((5, 4), dtype=ig.float16)
IN_FLOAT32: list[Any] = [
    lambda: X + X,
    lambda: F.softmax(HALF, 1),
    lambda: F.log_softmax(HALF, 1),
    lambda: F.cross_entropy(HALF, ig.tensor([0, 1, 2])),
    lambda: F.nll_loss(HALF, ig.tensor([0, 1, 2])),
    lambda: F.mse_loss(HALF, HALF),
    lambda: F.l1_loss(HALF, X),
    lambda: F.smooth_l1_loss(HALF, X),
    lambda: F.huber_loss(HALF, X),
    lambda: F.kl_div(HALF, X),
    lambda: F.poisson_nll_loss(HALF, X),
    lambda: F.gaussian_nll_loss(HALF, X, X),
    lambda: F.binary_cross_entropy(HALF, X),
    lambda: F.binary_cross_entropy_with_logits(HALF, X),
    lambda: F.soft_margin_loss(HALF, X),
    lambda: nn.LayerNorm(4)(HALF),
    lambda: nn.BatchNorm1d(4)(HALF),
    lambda: nn.RNN(4, 2)(X)[0],
    lambda: nn.GRU(4, 2)(X)[0],
    lambda: nn.LSTM(4, 3, proj_size=2)(X)[0],
]


@pytest.mark.parametrize("number", range(len(IN_16_BITS)))
def test_products_are_in_16_bits(backend: str, number: int) -> None:
    with amp.autocast("cpu", dtype=ig.float16):
        assert IN_16_BITS[number]().dtype == ig.float16
    assert IN_16_BITS[number]().dtype == ig.float32


@pytest.mark.parametrize("number", range(len(IN_FLOAT32)))
def test_sums_are_in_float32(backend: str, number: int) -> None:
    with amp.autocast("cpu", dtype=ig.float16):
        assert IN_FLOAT32[number]().dtype == ig.float32


def test_float64_and_integers_stay() -> None:
    with amp.autocast("cpu", dtype=ig.float16):
        assert (ig.ones((2, 2), dtype=ig.float64) @ ig.ones((2, 2), dtype=ig.float64)).dtype == (
            ig.float64
        )
        assert (ig.tensor([[1]]) @ ig.tensor([[2]])).dtype == ig.int64


def test_blocks_nest_and_end() -> None:
    with amp.autocast("cpu", dtype=ig.float16):
        with amp.autocast("cpu", dtype=ig.float16, enabled=False):
            assert (X @ W.T).dtype == ig.float32
        assert (X @ W.T).dtype == ig.float16
    with pytest.raises(ZeroDivisionError), amp.autocast("cpu", dtype=ig.float16):
        _ = 1 / 0
    assert (X @ W.T).dtype == ig.float32

    @amp.autocast("cpu", dtype=ig.float16)
    def product() -> ig.Tensor:
        return X @ W.T

    assert product().dtype == product().dtype == ig.float16


def test_bfloat16_is_the_default_of_the_cpu() -> None:
    pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
    with amp.autocast("cpu"):
        assert (X @ W.T).dtype == ig.bfloat16


def test_dtypes_that_have_not_16_bits() -> None:
    with pytest.raises(ig.DTypeError, match="autocast: float64 has not 16 bits; pass float16"):
        amp.autocast("cpu", dtype=ig.float64)


@pytest.mark.parametrize("compiled", ["eager", "inside", "outside"])
def test_gradients_are_in_float32(backend: str, compiled: str, rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3))
    x, y = ig.tensor(rng.normal(size=(6, 4)).astype("f4")), ig.tensor([0, 1, 2, 0, 1, 2])

    def inner() -> ig.Tensor:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    def step() -> ig.Tensor:
        with amp.autocast("cpu", dtype=ig.float16):
            return inner()

    wide = inner()
    exact = [p.grad.numpy() for p in model.parameters()]
    model.zero_grad()
    if compiled == "inside":
        loss = ig.compile(step, state=model)()
    elif compiled == "outside":
        program = ig.compile(inner, state=model)
        program()  # a program of its own, without autocast
        model.zero_grad()
        with amp.autocast("cpu", dtype=ig.float16):
            loss = program()
    else:
        loss = step()
    assert loss.dtype == ig.float32
    assert loss.item() != wide.item()
    np.testing.assert_allclose(loss.item(), wide.item(), rtol=5e-3)
    for p, gradient in zip(model.parameters(), exact, strict=True):
        assert p.grad.dtype == ig.float32
        np.testing.assert_allclose(p.grad.numpy(), gradient, rtol=2e-2, atol=2e-3)


@pytest.mark.oracle
def test_values_of_torch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
    theirs = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    ours = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    x = rng.normal(size=(5, 8)).astype("f4")
    labels = np.array([0, 1, 2, 3, 0])
    with amp.autocast("cpu"):
        loss = F.cross_entropy(ours(ig.tensor(x)), ig.tensor(labels))
    with torch.autocast("cpu"):
        other = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(labels))
    loss.backward()
    other.backward()
    assert loss.dtype == ig.float32
    assert other.dtype == torch.float32
    np.testing.assert_allclose(loss.item(), other.item(), rtol=1e-2)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=5e-2, atol=5e-3)
