"""The adaptive softmax against torch, and what it refuses; batch norms joined with layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{}, {"div_value": 2.0, "head_bias": True}])
@pytest.mark.parametrize("compiled", [False, True])
def test_adaptive_softmax(
    options: dict[str, Any], compiled: bool, backend: str, rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(64, 30, [5, 12, 20], **options).double()
    ours = nn.AdaptiveLogSoftmaxWithLoss(64, 30, [5, 12, 20], **options).to("float64")
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    values, labels = rng.normal(size=(16, 64)), rng.integers(0, 20, 16)  # none in the last cluster
    x, x_torch = ig.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    call = ig.compile(ours, state=ours) if compiled else ours
    got, wanted = call(x, ig.tensor(labels)), theirs(x_torch, torch.tensor(labels))
    assert got.loss.item() == pytest.approx(wanted.loss.item(), rel=1e-12)
    np.testing.assert_allclose(got.output.numpy(), wanted.output.detach(), rtol=1e-12)
    if compiled:
        return
    got.loss.backward()
    wanted.loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), x_torch.grad, atol=1e-13)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        grad = np.zeros(q.shape) if q.grad is None else q.grad.numpy()
        mine = np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        np.testing.assert_allclose(mine, grad, atol=1e-13, err_msg=name)
    every = theirs.log_prob(x_torch).detach().numpy()
    np.testing.assert_allclose(ours.log_prob(x).numpy(), every, rtol=1e-12)
    np.testing.assert_allclose(np.exp(every).sum(1), 1.0)
    assert ours.predict(x).tolist() == theirs.predict(x_torch).tolist()
    one, one_torch = ours(x[0], ig.tensor(7)), theirs(x_torch[0], torch.tensor(7))
    assert one.output.shape == ()
    assert one.loss.item() == pytest.approx(one_torch.loss.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda m: m(ig.ones((2, 4)), ig.zeros(3, dtype=ig.int64)), ig.ShapeError, "(2, 4)"),
        (lambda m: m(ig.ones((2, 4)), ig.zeros(2)), ig.DTypeError, "integers"),
        (lambda m: m(ig.ones((2, 4)), ig.tensor([0, 9])), ig.IndexOutOfRangeError, "0 to 8"),
        (lambda m: type(m)(4, 9, [3, 3]), ValueError, "cutoffs=[3, 3]"),
        (lambda m: type(m)(4, 9, [0, 3]), ValueError, "n_classes - 1"),
        (lambda m: type(m)(4, 9, []), ValueError, "increasing"),
        (lambda m: type(m)(4, 9, [9]), ValueError, "increasing"),
    ],
)
def test_adaptive_softmax_refuses(call: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as error:
        call(nn.AdaptiveLogSoftmaxWithLoss(4, 9, [3]))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Conv1d(3, 4, 2, bias=False), nn.BatchNorm1d(4), (5, 3, 6)),
        (nn.ConvTranspose2d(4, 4, 2, groups=1), nn.BatchNorm2d(4, affine=False), (2, 4, 3, 3)),
        (nn.Linear(3, 4), nn.BatchNorm1d(4), (5, 3)),
    ],
)
def test_batch_norm_joins_the_layer_before(layer: Any, norm: Any, shape: tuple[int, ...]) -> None:
    model = nn.Sequential(layer, norm)
    x = ig.random.normal(shape)
    for _ in range(3):
        model(x)
    is_linear = isinstance(layer, nn.Linear)
    with pytest.raises(ValueError, match="training"):
        nn.utils.fuse_conv_bn_eval(layer, norm)
    model.eval()
    if is_linear:
        joined = nn.utils.fuse_linear_bn_eval(layer, norm)
    else:
        joined = nn.utils.fuse_conv_bn_eval(layer, norm, isinstance(layer, nn.ConvTranspose2d))
    assert type(joined) is type(layer)
    np.testing.assert_allclose(joined(x).numpy(), model(x).numpy(), rtol=1e-4, atol=1e-5)
    norm.running_mean = None
    with pytest.raises(ValueError, match="running statistics"):
        nn.utils.fuse_conv_bn_eval(layer, norm)
