"""Averages of weights, and of gradients over batches of unequal weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.nn import functional as F
from isograd.optim.swa_utils import (
    SWALR,
    AveragedModel,
    get_ema_avg_fn,
    get_swa_avg_fn,
    update_bn,
)


class Counting(nn.Module):
    """A model with a buffer."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(ig.tensor([1.0, 2.0]))
        self.register_buffer("seen", ig.tensor(0.0))

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return x * self.weight


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("decay", [None, 0.9])
def test_averages_of_weights(
    backend: str, decay: float | None, use_buffers: bool, compiled: bool
) -> None:
    model = Counting()
    average = AveragedModel(
        model, avg_fn=None if decay is None else get_ema_avg_fn(decay), use_buffers=use_buffers
    )

    def step(x: ig.Tensor) -> None:
        model.weight.assign_(x)
        model.seen = x.sum()
        average.update_parameters(model)

    run = ig.compile(step, state=(model, average)) if compiled else step
    values = np.random.default_rng(0).normal(size=(5, 2)).astype("f4")
    for value in values:
        run(ig.tensor(value))

    def expected(xs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if decay is None:
            return xs.mean(axis=0)
        out = xs[0]
        for x in xs[1:]:
            out = decay * out + (1 - decay) * x
        return out

    np.testing.assert_allclose(average.module.weight.numpy(), expected(values), rtol=1e-5)
    sums = values.sum(axis=1)
    seen = expected(sums) if use_buffers else sums[-1]
    np.testing.assert_allclose(average.module.seen.item(), seen, rtol=1e-5)
    assert average.n_averaged.item() == 5
    assert average(ig.ones(2)).tolist() == average.module.weight.tolist()


@pytest.mark.oracle
@pytest.mark.parametrize("decay", [None, 0.99])
def test_averages_of_torch(decay: float | None) -> None:
    torch = pytest.importorskip("torch")
    from torch.optim import swa_utils

    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    mine = AveragedModel(ours, avg_fn=None if decay is None else get_ema_avg_fn(decay))
    other = swa_utils.AveragedModel(
        theirs, avg_fn=None if decay is None else swa_utils.get_ema_avg_fn(decay)
    )
    for i in range(4):
        with torch.no_grad():
            theirs.weight.normal_()
            theirs.bias.fill_(i)
        ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
        mine.update_parameters(ours)
        other.update_parameters(theirs)
    state, state_torch = mine.state_dict(), other.state_dict()
    assert sorted(state) == sorted(state_torch)
    for key, value in state.items():
        np.testing.assert_allclose(value.numpy(), state_torch[key].numpy(), rtol=1e-5, atol=1e-7)


def test_what_averages_refuse() -> None:
    with pytest.raises(ValueError, match=r"get_ema_avg_fn: decay=1\.5"):
        get_ema_avg_fn(1.5)
    average = AveragedModel(nn.Linear(2, 2), avg_fn=get_swa_avg_fn())
    with pytest.raises(ValueError, match="the model has parameters of other names; pass"):
        average.update_parameters(Counting())
    assert average.n_averaged.item() == 0


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_over_batches_of_unequal_weight(backend: str, compiled: bool) -> None:
    """Equal to the gradient of the mean over all tokens, which means of means are not."""
    rng = np.random.default_rng(0)
    model = nn.Linear(4, 3).to(ig.float64)
    batches = [(rng.normal(size=(n, 4)), rng.integers(0, 3, n)) for n in (1, 6, 3)]
    batches[1][1][:4] = -100  # four of the six do not count
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    F.cross_entropy(model(ig.tensor(x)), ig.tensor(y)).backward()
    whole = [p.grad.numpy() for p in model.parameters()]
    model.zero_grad()
    accumulator = optim.GradientAccumulator(model.parameters())

    def add(x: ig.Tensor, y: ig.Tensor) -> None:
        loss = F.cross_entropy(model(x), y)
        accumulator.backward(loss, weight=(y != -100).astype(ig.float64).sum())

    run = ig.compile(add, state=(model, accumulator)) if compiled else add
    for x, y in batches:
        run(ig.tensor(x), ig.tensor(y))
    assert accumulator.finish().item() == 6
    for p, gradient in zip(model.parameters(), whole, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), gradient, rtol=1e-12)
    assert accumulator.total.item() == 0


def test_weights_of_batches() -> None:
    p = nn.Parameter(ig.tensor(1.0))
    accumulator = optim.GradientAccumulator([p])
    accumulator.backward(p * 2.0, weight=0)
    assert accumulator.finish().item() == 0
    assert p.grad.item() == 0
    accumulator.backward(p * 2.0, weight=-1)
    with pytest.raises(ValueError, match=r"the weights add up to -1\.0; pass weights >= 0"):
        accumulator.finish()


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["BatchNorm1d", "BatchNorm2d"])
def test_statistics_of_batches(kind: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    shape = (6, 3) if kind == "BatchNorm1d" else (6, 3, 2, 2)
    batches = [(rng.normal(i, 1 + i, size=shape).astype("f4"), i) for i in range(4)]
    ours, theirs = getattr(nn, kind)(3).eval(), getattr(torch.nn, kind)(3).eval()
    update_bn([(ig.tensor(x), y) for x, y in batches], ours)
    torch.optim.swa_utils.update_bn([(torch.tensor(x), y) for x, y in batches], theirs)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        other = getattr(theirs, name).numpy()
        np.testing.assert_allclose(getattr(ours, name).numpy(), other, rtol=1e-5)
    assert (ours.momentum, ours.training) == (0.1, False)
    update_bn([], nn.Linear(1, 1))


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step:UserWarning")
@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 5, 20])
def test_the_last_rate_of_torch(strategy: Any, epochs: int) -> None:
    torch = pytest.importorskip("torch")
    ours = optim.SGD([nn.Parameter(ig.ones(1))], lr=1.0)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    mine = SWALR(ours, 0.05, epochs, strategy)
    other = torch.optim.swa_utils.SWALR(theirs, 0.05, epochs, strategy)
    for step in range(30):
        assert mine.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-12)
        for key, value in mine.state_dict().items():
            assert value == pytest.approx(other.state_dict()[key])
        if step == 3:
            mine.load_state_dict(other.state_dict())
        mine.step()
        other.step()


def test_what_the_last_rate_refuses() -> None:
    sgd = optim.SGD([nn.Parameter(ig.ones(1))])
    with pytest.raises(ValueError, match="SWALR: anneal_strategy='exp'; use 'cos' or 'linear'"):
        SWALR(sgd, 0.1, anneal_strategy="exp")
    with pytest.raises(ValueError, match="SWALR: anneal_epochs=-1"):
        SWALR(sgd, 0.1, anneal_epochs=-1)
