"""Clipped gradients: known values, torch's, compiled, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)

GRADIENTS = ([3.0, -4.0], [[12.0]], 0.5)


def parameters(*gradients: Any) -> list[nn.Parameter]:
    made: list[nn.Parameter] = []
    for gradient in gradients:
        p = nn.Parameter(ig.zeros_like(ig.tensor(gradient)))
        p.grad = ig.tensor(gradient)
        made.append(p)
    return [*made, nn.Parameter(ig.zeros(3))]  # the last has none


@pytest.mark.parametrize("order", [2.0, 1.0, float("inf"), 3.0])
@pytest.mark.parametrize("most", [2.0, 100.0])
def test_the_norm_over_all_gradients(backend: str, order: float, most: float) -> None:
    params = parameters(*GRADIENTS)
    flat = np.array([3.0, -4.0, 12.0, 0.5])
    norm = np.linalg.norm(flat, order)
    total = clip_grad_norm_(params, most, order)
    np.testing.assert_allclose(total.item(), norm, rtol=1e-6)
    found = np.concatenate([p.grad.numpy().ravel() for p in params[:-1]])
    np.testing.assert_allclose(found, flat * min(1.0, most / norm), rtol=1e-5)
    assert params[-1].grad is None


@pytest.mark.oracle
@pytest.mark.parametrize("order", [2.0, 1.0, float("inf"), 0.5])
@pytest.mark.parametrize("most", [2.0, 100.0, 0.0])
def test_norms_of_torch(order: float, most: float) -> None:
    torch = pytest.importorskip("torch")
    ours = parameters(*GRADIENTS)
    theirs = [torch.nn.Parameter(torch.tensor(p.numpy())) for p in ours]
    for p, q in zip(ours, theirs, strict=True):
        q.grad = None if p.grad is None else torch.tensor(p.grad.numpy())
    mine = clip_grad_norm_(ours, most, order)
    other = torch.nn.utils.clip_grad_norm_(theirs, most, order)
    np.testing.assert_allclose(mine.item(), other.item(), rtol=1e-6)
    torch.nn.utils.clip_grad_value_(theirs, 1.5)
    clip_grad_value_(ours, 1.5)
    for p, q in zip(ours[:-1], theirs, strict=False):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_values() -> None:
    params = parameters([0.5, -4.0, float("inf")])
    clip_grad_value_(params, 1.0)
    assert params[0].grad.tolist() == [0.5, -1.0, 1.0]
    with pytest.raises(ValueError, match="clip_value=-1 is negative"):
        clip_grad_value_(params, -1)


def test_one_parameter_an_iterator_or_none() -> None:
    assert clip_grad_norm_(parameters([3.0, 4.0])[0], 1.0).item() == 5
    assert clip_grad_norm_(iter(parameters([3.0, 4.0])), 1.0).item() == 5
    assert clip_grad_norm_([], 1.0).item() == 0
    assert get_total_norm(ig.tensor([3.0, 4.0])).item() == 5


def test_float16_norms_do_not_overflow() -> None:
    params = [nn.Parameter(ig.zeros(4, dtype=ig.float16)) for _ in range(2)]
    for p in params:
        p.grad = ig.full(4, 300.0, dtype=ig.float16)
    assert get_total_norm([p.grad for p in params]).item() == pytest.approx(600 * 2**0.5, rel=1e-3)
    clip_grads_with_norm_(params, 6.0, ig.tensor(600.0))
    np.testing.assert_allclose(params[0].grad.numpy(), 3.0, rtol=1e-2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_norms_that_are_not_finite(bad: float) -> None:
    params = parameters([1.0, bad], [2.0])
    with pytest.raises(RuntimeError, match=r"clip_grad_norm_: the total norm of order 2\.0 is"):
        clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[1].grad.tolist() == [2.0]
    assert not np.isfinite(clip_grad_norm_(params, 1.0).item())


def test_compiled(backend: str) -> None:
    model = nn.Linear(3, 2)
    sgd = optim.SGD(model.parameters(), lr=1.0)

    def step(x: ig.Tensor) -> ig.Tensor:
        (model(x) ** 2).sum().backward()
        norm = clip_grad_norm_(model.parameters(), 0.5)
        clip_grad_value_(model.parameters(), 0.2)
        sgd.step()
        sgd.zero_grad()
        return norm

    x = ig.ones((4, 3))
    start = {key: value.numpy() for key, value in model.state_dict().items()}
    eager = [step(x).item() for _ in range(3)]
    weights = model.weight.numpy()
    model.load_state_dict(start)
    compiled = ig.compile(step, state=(model, sgd))
    np.testing.assert_allclose([compiled(x).item() for _ in range(3)], eager, rtol=1e-5)
    np.testing.assert_allclose(model.weight.numpy(), weights, rtol=1e-5, atol=1e-7)

    def strict(x: ig.Tensor) -> None:
        model(x).sum().backward()
        clip_grad_norm_(model.parameters(), 0.5, error_if_nonfinite=True)

    with pytest.raises(ig.ConcretizationError, match="error_if_nonfinite looks at a value"):
        ig.compile(strict, state=(model, sgd))(x)
