"""Losses: known values, the rows of the edge table, and what they refuse."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.nn import functional as F

LOGITS = [[1.0, 2.0, 3.0], [3.0, 1.0, 0.0]]


@pytest.mark.parametrize("dtype", [ig.float64, ig.float32])
def test_the_reductions_of_mse(backend: str, dtype: Any) -> None:
    x = ig.tensor([1.0, 2.0, 4.0], dtype=dtype, requires_grad=True)
    target = ig.tensor([0.0, 4.0, 4.0], dtype=dtype)
    expected = {
        "mean": (5 / 3, [2 / 3, -4 / 3, 0]),
        "sum": (5, [2, -4, 0]),
        "half_sum": (2.5, [1, -2, 0]),
    }
    for reduction, (value, gradient) in expected.items():
        x.grad = None
        loss = nn.MSELoss(reduction=reduction)(x, target)
        loss.backward()
        assert loss.dtype == dtype
        np.testing.assert_allclose(loss.item(), value, rtol=1e-6)
        np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-6)
    assert F.mse_loss(x, target, "none").tolist() == [1, 4, 0]


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss])
def test_shapes_that_would_broadcast_are_refused(loss: Any) -> None:
    with pytest.raises(
        ig.ShapeError, match=r"the input has shape \(4, 1\), the target \(4,\); reshape"
    ):
        loss(ig.ones((4, 1)), ig.ones(4))


@pytest.mark.parametrize("dtype", [ig.float64, ig.float32])
def test_cross_entropy_with_an_ignored_target(backend: str, dtype: Any) -> None:
    logits = ig.tensor(LOGITS, dtype=dtype, requires_grad=True)
    loss = F.cross_entropy(logits, ig.tensor([2, -100]), label_smoothing=0.1)
    loss.backward()
    bound = 1e-8 if dtype == ig.float64 else 1e-6
    assert abs(loss.item() - 0.50760596) < bound
    expected = [0.05669724, 0.21139514, -0.26809238]
    np.testing.assert_allclose(logits.grad.numpy()[0], expected, atol=bound)
    assert logits.grad.tolist()[1] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("labels", [[-100, -100], []])
def test_nothing_counts(backend: str, loss: Any, weighted: bool, labels: list[int]) -> None:
    x = ig.tensor(np.ones((len(labels), 3)), requires_grad=True)
    weight = ig.ones(3, dtype=ig.float64) if weighted else None
    target = ig.tensor(labels, dtype=ig.int64)
    with pytest.warns(
        ig.NumericsWarning, match=f"{loss.__name__}: none of the {len(labels)} targets"
    ):
        value = loss(x, target, weight)
    value.backward()
    assert value.item() == 0
    assert x.grad.shape == x.shape
    assert not x.grad.numpy().any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(x, target, weight, reduction="sum").item() == 0
        assert loss(x, target, weight, reduction="none").tolist() == [0.0] * len(labels)


def test_the_warning_points_at_the_caller() -> None:
    for loss in (F.cross_entropy, nn.CrossEntropyLoss()):
        with pytest.warns(ig.NumericsWarning) as caught:
            loss(ig.ones((1, 3)), ig.tensor([-100]))
        assert caught[0].filename == __file__


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("label", [7, -1, 3])
def test_label_that_is_no_class(backend: str, loss: Any, weighted: bool, label: int) -> None:
    weight = ig.ones(3) if weighted else None
    with pytest.raises(ig.IndexOutOfRangeError, match=rf"{loss.__name__}: .*{label}\b.*3"):
        loss(ig.zeros((2, 3)), ig.tensor([0, label]), weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_ignored_rows_may_hold_anything(backend: str, weighted: bool) -> None:
    rows = [[np.nan, np.inf, 1.0], [1.0, 2.0, 3.0], [-np.inf, -np.inf, -np.inf]]
    logits = ig.tensor(np.array(rows), requires_grad=True)
    weight = ig.tensor(np.array([1.0, 2.0, 3.0])) if weighted else None
    loss = F.cross_entropy(logits, ig.tensor([-100, 1, -100]), weight, label_smoothing=0.1)
    loss.backward()
    alone = F.cross_entropy(logits.detach()[1:2], ig.tensor([1]), weight, label_smoothing=0.1)
    np.testing.assert_allclose(loss.item(), alone.item(), rtol=1e-14)
    assert np.isfinite(logits.grad.numpy()).all()
    assert not logits.grad.numpy()[[0, 2]].any()


@pytest.mark.parametrize("kind", ["int8", "int32", "int64", "uint8"])
def test_labels_of_any_integer_dtype(backend: str, kind: str) -> None:
    logits = ig.tensor(LOGITS)
    losses = F.cross_entropy(logits, ig.tensor([2, 0], dtype=kind), reduction="none")
    same = F.nll_loss(F.log_softmax(logits, 1), ig.tensor([2, 0]), reduction="none")
    np.testing.assert_allclose(losses.numpy(), same.numpy(), rtol=1e-6)


def test_the_mean_of_many_float16_losses(backend: str) -> None:
    """Sums of 16-bit losses are wide: 40000 losses of 2.3 do not fit into float16."""
    count = 40_000
    loss = F.cross_entropy(ig.zeros((count, 10), dtype=ig.float16), ig.zeros(count, dtype=ig.int64))
    assert loss.dtype == ig.float16
    assert abs(loss.item() - np.log(10)) < 2e-3


X, Y = ig.zeros((4, 3)), ig.zeros(4, dtype=ig.int64)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: F.mse_loss(X, X, "avg"), ValueError, "mse_loss: there is no reduction 'avg'; use"),
        (lambda: nn.MSELoss(reduction="avg"), ValueError, "MSELoss: there is no reduction"),
        (lambda: nn.L1Loss(reduction="half_sum"), ValueError, "L1Loss: there is no reduction"),
        (lambda: nn.NLLLoss(reduction="avg"), ValueError, "NLLLoss: there is no reduction"),
        (lambda: F.cross_entropy(X, Y, reduction="avg"), ValueError, "cross_entropy: there is no"),
        (lambda: F.cross_entropy(X, Y, label_smoothing=1.5), ValueError, "label_smoothing=1.5"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=-0.1), ValueError, "label_smoothing=-0.1"),
        (lambda: F.cross_entropy(X, Y[:3]), ig.ShapeError, r"labels have shape \(3,\) .* \(4,\)$"),
        (lambda: F.cross_entropy(X, X[:, :2]), ig.ShapeError, "probabilities of the input.s shape"),
        (lambda: F.cross_entropy(X, Y == 0), ig.DTypeError, "the target has dtype bool"),
        (
            lambda: F.cross_entropy(X, X.astype("float64")),
            ig.DTypeError,
            "probabilities have dtype",
        ),
        (lambda: F.cross_entropy(X, X, ignore_index=1), ValueError, "ignore_index=1 needs integer"),
        (lambda: F.cross_entropy(X, Y, ig.ones(4)), ig.ShapeError, r"the weight has shape \(4,\)"),
        (
            lambda: F.cross_entropy(X, Y, ig.ones(3, dtype="float64")),
            ig.DTypeError,
            "the weight has",
        ),
        (lambda: F.cross_entropy(Y, Y), ig.DTypeError, "the input has dtype int64; convert"),
        (lambda: F.cross_entropy(ig.zeros(()), Y), ig.ShapeError, "the input has no axes"),
        (lambda: F.nll_loss(X, X), ig.DTypeError, "nll_loss: the target has dtype float32"),
        (lambda: F.one_hot(ig.tensor([3]), 3), ig.IndexOutOfRangeError, "class 3 .* 3 classes"),
        (lambda: F.one_hot(ig.tensor([-1])), ig.IndexOutOfRangeError, "one_hot: class -1"),
        (lambda: F.one_hot(ig.zeros(0, dtype=ig.int64)), ValueError, "pass num_classes"),
        (lambda: F.one_hot(X), ig.DTypeError, "one_hot"),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_at_its_ends(backend: str, dtype: str) -> None:
    x = ig.tensor([1000.0, -1000.0, 0.0], dtype=dtype, requires_grad=True)
    target = ig.tensor([0.0, 0.0, 1.0], dtype=dtype)
    losses = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    losses.sum().backward()
    np.testing.assert_allclose(losses.numpy(), [1000, 0, 0.69314718], rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [1, 0, -0.5])
    p = ig.tensor([0.0, 1.0, 1.0], dtype=dtype, requires_grad=True)
    losses = F.binary_cross_entropy(p, ig.tensor([1.0, 1.0, 0.0], dtype=dtype), reduction="none")
    losses.sum().backward()
    assert losses.tolist() == [100, 0, 100]
    assert p.grad.tolist() == [0, -1, 0]


def test_ctc_of_a_target_that_is_too_long(backend: str) -> None:
    log_probs = F.log_softmax(ig.zeros((2, 1, 3), dtype=ig.float64), 2).detach()
    log_probs.requires_grad_()
    for zero_infinity, value in ((False, np.inf), (True, 0)):
        loss = F.ctc_loss(log_probs, ig.tensor([[1, 1]]), [2], [2], zero_infinity=zero_infinity)
        loss.backward()
        assert loss.item() == value
    assert not log_probs.grad.numpy().any()


def test_ctc_compiled(rng: np.random.Generator) -> None:
    logits = ig.tensor(rng.normal(size=(12, 2, 4)))
    targets, sizes = ig.tensor([[1, 2, 2], [3, 1, 0]]), (ig.tensor([12, 9]), ig.tensor([3, 2]))

    def loss(x: ig.Tensor, labels: ig.Tensor, inputs: ig.Tensor, lengths: ig.Tensor) -> ig.Tensor:
        return F.ctc_loss(F.log_softmax(x, 2), labels, inputs, lengths)

    eager = ig.value_and_grad(loss)(logits, targets, *sizes)
    compiled = ig.compile(ig.value_and_grad(loss))(logits, targets, *sizes)
    for a, b in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.SmoothL1Loss, {}),
        (nn.KLDivLoss, {}),
        (nn.BCEWithLogitsLoss, {}),
        (nn.MultiMarginLoss, {}),
        (nn.CTCLoss, {}),
        (nn.TripletMarginLoss, {}),
    ],
)
def test_modules_refuse_reductions(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: there is no reduction 'avg'; use"):
        kind(**options, reduction="avg")


NONE = ig.zeros(0, dtype=ig.int64)
EMPTY: list[tuple[Any, Any]] = [
    (nn.MSELoss, lambda x: (x, x.detach())),
    (nn.L1Loss, lambda x: (x, x.detach())),
    (nn.SmoothL1Loss, lambda x: (x, x.detach())),
    (nn.HuberLoss, lambda x: (x, x.detach())),
    (nn.CrossEntropyLoss, lambda x: (x, NONE)),
    (nn.NLLLoss, lambda x: (x, NONE)),
    (nn.KLDivLoss, lambda x: (x, x.detach())),
    (nn.PoissonNLLLoss, lambda x: (x, x.detach())),
    (nn.GaussianNLLLoss, lambda x: (x, x.detach(), x.detach())),
    (nn.BCELoss, lambda x: (x, x.detach())),
    (nn.BCEWithLogitsLoss, lambda x: (x, x.detach())),
    (nn.SoftMarginLoss, lambda x: (x, x.detach())),
    (nn.MultiLabelSoftMarginLoss, lambda x: (x, x.detach())),
    (nn.MarginRankingLoss, lambda x: (x, x.detach(), x.detach())),
    (nn.HingeEmbeddingLoss, lambda x: (x, x.detach())),
    (nn.MultiMarginLoss, lambda x: (x, NONE)),
    (nn.MultiLabelMarginLoss, lambda x: (x, ig.zeros((0, 3), dtype=ig.int64))),
    (nn.CosineEmbeddingLoss, lambda x: (x, x.detach(), ig.zeros(0, dtype=ig.float64))),
    (nn.TripletMarginLoss, lambda x: (x, x.detach(), x.detach())),
    (nn.TripletMarginWithDistanceLoss, lambda x: (x, x.detach(), x.detach())),
]


@pytest.mark.parametrize(
    ("kind", "arguments"), EMPTY, ids=lambda item: getattr(item, "__name__", "")
)
def test_a_batch_of_nothing(backend: str, kind: Any, arguments: Any) -> None:
    x = ig.zeros((0, 3), dtype=ig.float64).requires_grad_()
    loss = kind(reduction="sum")(*arguments(x))
    loss.backward()
    assert loss.item() == 0
    assert x.grad.shape == (0, 3)
    assert kind(reduction="none")(*arguments(x)).size == 0


def test_ctc_of_a_batch_of_nothing(backend: str) -> None:
    x = ig.zeros((4, 0, 3), dtype=ig.float64).requires_grad_()
    loss = F.ctc_loss(x, ig.zeros((0, 2), dtype=ig.int64), [], [], reduction="sum")
    loss.backward()
    assert loss.item() == 0
    assert x.grad.shape == (4, 0, 3)
