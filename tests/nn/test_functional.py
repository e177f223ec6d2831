"""Functions and layers: edge values, dropout's randomness, what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.nn import functional as F


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_edges(backend: str, dtype: str) -> None:
    def value_and_slope(fn: Any, at: list[float]) -> tuple[list[float], list[float]]:
        x = ig.tensor(at, dtype=dtype, requires_grad=True)
        y = fn(x)
        y.sum().backward()
        assert x.grad is not None
        return y.tolist(), x.grad.tolist()

    assert value_and_slope(F.relu, [-1.0, -0.0, 0.0, 2.0]) == ([0, 0, 0, 2], [0, 0, 0, 1])
    assert np.isnan(F.relu(ig.tensor([np.nan])).item())
    assert value_and_slope(F.softplus, [1000.0, -1000.0]) == ([1000, 0], [1, 0])
    assert value_and_slope(F.sigmoid, [-1000.0, 1000.0]) == ([0, 1], [0, 0])
    assert value_and_slope(F.silu, [-1000.0, 1000.0]) == ([0, 1000], [0, 1])
    assert value_and_slope(F.gelu, [-1000.0, 0.0, 1000.0]) == ([0, 0, 1000], [0, 0.5, 1])
    minus = -float("inf")
    soft = ig.grad(lambda x: F.softmax(x, 0)[0])(ig.tensor([1000.0, 1000.0, minus], dtype=dtype))
    assert soft.tolist() == [0.25, -0.25, 0.0]


def test_the_dtype_of_softmax() -> None:
    x = ig.tensor([1.0, 2.0])
    assert F.softmax(x, 0, dtype=ig.float64).dtype == ig.float64
    assert F.log_softmax(x, 0, dtype=ig.float64).dtype == ig.float64


# -- dropout ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_and_scale(backend: str, p: float) -> None:
    x = ig.ones((100, 200), dtype=ig.float64)
    out = F.dropout(x, p).numpy()
    kept = out != 0
    np.testing.assert_allclose(out[kept], 1 / (1 - p), rtol=1e-15)
    assert abs(kept.mean() - (1 - p)) < 5 * (p * (1 - p) / kept.size) ** 0.5
    rows, columns = kept.mean(axis=1), kept.mean(axis=0)
    assert abs(rows - (1 - p)).max() < 0.2
    assert abs(columns - (1 - p)).max() < 0.25


def test_dropout_drops_the_same_in_backward(backend: str) -> None:
    x = ig.tensor(np.arange(1.0, 1001.0), requires_grad=True)
    out = nn.Dropout(0.3)(x)
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy() * x.numpy(), out.numpy(), rtol=1e-15)


def test_dropout_draws_from_the_random_state(backend: str) -> None:
    layer, x = nn.Dropout(), ig.ones(200)
    ig.random.manual_seed(3)
    first, second = layer(x).tolist(), layer(x).tolist()
    ig.random.manual_seed(3)
    assert layer(x).tolist() == first
    assert layer(x).tolist() == second != first


def test_dropout_is_equal_on_every_backend() -> None:
    names = [record.name for record in ig.backends() if record.available]
    results = []
    for name in names:
        with ig.use_backend(name):
            ig.random.manual_seed(11)
            results.append(F.dropout(ig.ones((7, 9)), 0.4).tolist())
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("at", [1.0, np.inf])
def test_dropout_of_everything(backend: str, at: float) -> None:
    x = ig.tensor([at, 2.0], requires_grad=True)
    out = F.dropout(x, 1.0)
    out.sum().backward()
    assert out.tolist() == [0, 0]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0]


def test_dropout_that_does_nothing() -> None:
    x = ig.ones(50)
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.7, training=False) is x
    assert nn.Dropout().eval()(x) is x


@pytest.mark.parametrize("p", [1.5, -0.1, float("nan")])
def test_dropout_of_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match=f"Dropout: p={p} is not a probability; use"):
        nn.Dropout(p)
    with pytest.raises(ValueError, match=f"dropout: p={p} is not a probability; use"):
        F.dropout(ig.ones(2), p, training=False)


# -- errors ----------------------------------------------------------------------------------------

X = ig.zeros((4, 3))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: nn.Linear(2, 5)(X), ig.ShapeError, r"linear: input \(4, 3\), weight \(5, 2\)"),
        (
            lambda: nn.Linear(2, 5, bias=False)(X),
            ig.ShapeError,
            r"linear: input \(4, 3\) and weight",
        ),
        (lambda: nn.Linear(3, 2).to("float64")(X), ig.DTypeError, "linear"),
        (lambda: nn.Linear(3, -2), ValueError, "Linear: sizes in_features=3, out_features=-2"),
        (lambda: nn.Linear(3, 2, dtype=ig.int64), ig.DTypeError, "int64"),
        (lambda: nn.Linear(3, 2, device="nowhere"), ig.UnknownDeviceError, "nowhere"),
        (lambda: nn.GELU("cubic")(X), ValueError, "gelu: approximate is 'cubic'; pass"),
        (lambda: nn.Softmax(2)(X), ig.ShapeError, r"softmax: axis 2 .* use an axis in \[-2, 1\]"),
        (lambda: nn.LogSoftmax(-3)(X), ig.ShapeError, "log_softmax: axis -3"),
        (lambda: nn.Flatten()(ig.zeros(3)), ig.ShapeError, "flatten"),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


# -- activations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "at", "slopes"),
    [
        (F.relu6, [0.0, 6.0, 7.0], [0, 1, 0]),
        (F.hardtanh, [-1.0, 1.0, 1.5], [1, 1, 0]),
        (F.hardsigmoid, [-3.0, 3.0, 4.0], [1 / 6, 1 / 6, 0]),
        (F.softshrink, [-0.5, 0.5, 0.0], [0, 0, 0]),
        (F.hardshrink, [-0.5, 0.5, 1.0], [0, 0, 1]),
        (F.elu, [0.0, -1000.0, 1000.0], [1, 0, 1]),
        (F.leaky_relu, [0.0, -2.0, 2.0], [0.01, 0.01, 1]),
        (F.softsign, [0.0, 1.0], [1, 0.25]),
        (F.logsigmoid, [-1000.0, 1000.0], [1, 0]),
        (F.mish, [-1000.0, 1000.0], [0, 1]),
        (lambda x: F.threshold(x, 1.0, 5.0), [1.0, 2.0], [0, 1]),
    ],
)
def test_slopes_at_kinks_and_far_away(backend: str, fn: Any, at: list[float], slopes: Any) -> None:
    x = ig.tensor(at, dtype=ig.float64, requires_grad=True)
    fn(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slopes, atol=1e-15)


def test_random_slopes(backend: str) -> None:
    x = ig.full(10_000, -2.0, dtype=ig.float64).requires_grad_()
    layer = nn.RReLU(0.1, 0.3)
    out = layer(x)
    out.sum().backward()
    slopes = x.grad.numpy()
    np.testing.assert_allclose(out.numpy(), -2 * slopes)
    assert slopes.min() >= 0.1
    assert slopes.max() < 0.3
    assert abs(slopes.mean() - 0.2) < 5 * 0.2 / (12 * 10_000) ** 0.5
    assert layer(ig.ones(2)).tolist() == [1, 1]
    np.testing.assert_allclose(layer.eval()(x.detach()).numpy(), -0.4)


def test_slopes_that_are_learned_start_again() -> None:
    layer = nn.PReLU(2, init=0.5)
    layer.weight.assign_(ig.zeros(2))
    layer.reset_parameters()
    assert layer.weight.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_gumbel_softmax_draws_from_the_distribution(backend: str, dtype: str) -> None:
    p = np.array([0.5, 0.3, 0.2])
    logits = ig.broadcast_to(ig.tensor(np.log(p).astype(dtype)), (20_000, 3))
    codes = F.gumbel_softmax(logits, hard=True)
    assert codes.dtype == logits.dtype
    host = codes.numpy().astype(float)
    assert np.isfinite(host).all()
    np.testing.assert_allclose(host.sum(1), 1, atol=2e-3)
    np.testing.assert_allclose(host.mean(0), p, atol=5 * (0.25 / 20_000) ** 0.5)


def test_hard_samples_have_the_derivative_of_soft_ones() -> None:
    logits = ig.tensor(np.random.default_rng(0).normal(size=(2, 4, 3)), requires_grad=True)
    weights = ig.tensor(np.random.default_rng(1).normal(size=(2, 4, 3)))
    gradients: list[Any] = []
    for hard in (False, True):
        ig.random.manual_seed(5)
        logits.grad = None
        out = F.gumbel_softmax(logits, tau=0.5, hard=hard, dim=1)
        np.testing.assert_allclose(out.sum(axis=1).numpy(), 1)
        (out * weights).sum().backward()
        gradients.append(logits.grad.numpy())
    np.testing.assert_allclose(gradients[0], gradients[1])
    assert gradients[0].any()
    with pytest.raises(ValueError, match="gumbel_softmax: tau=0 is not positive"):
        F.gumbel_softmax(logits, tau=0)
