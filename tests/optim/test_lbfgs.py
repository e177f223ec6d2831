"""L-BFGS: known minima, torch's iterates, its state, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim

OPTIONS: list[dict[str, Any]] = [
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2},
    {"line_search_fn": "strong_wolfe", "lr": 5.0, "max_iter": 4},
    {"line_search_fn": "strong_wolfe", "lr": 1e-3, "max_eval": 7},
    {"lr": 0.1, "max_iter": 5},
    {"lr": 0.02, "max_iter": 4, "history_size": 3},
]


def rosenbrock(p: Any, q: Any) -> Any:
    return ((1 - p) ** 2).sum() + 10 * ((q - p**2) ** 2).sum()


def closure_for(optimizer: Any, p: Any, q: Any) -> Any:
    def closure() -> Any:
        optimizer.zero_grad()
        loss = rosenbrock(p, q)
        loss.backward()
        return loss

    return closure


def parameters() -> tuple[nn.Parameter, nn.Parameter]:
    return (
        nn.Parameter(ig.tensor([-1.2, 0.5], dtype=ig.float64)),
        nn.Parameter(ig.tensor([1.0, 2.0], dtype=ig.float64)),
    )


def test_it_finds_the_minimum(backend: str) -> None:
    p, q = parameters()
    optimizer = optim.LBFGS([p, q], max_iter=100, line_search_fn="strong_wolfe")
    first = optimizer.step(closure_for(optimizer, p, q))
    assert first.item() == pytest.approx(37.651)
    np.testing.assert_allclose(p.numpy(), 1, atol=1e-5)
    np.testing.assert_allclose(q.numpy(), 1, atol=1e-5)


def test_a_minimum_stays() -> None:
    p = nn.Parameter(ig.ones(2))
    optimizer = optim.LBFGS([p])
    optimizer.step(closure_for(optimizer, p, nn.Parameter(ig.ones(2))))
    assert p.tolist() == [1.0, 1.0]
    assert optimizer.state_dict()["state"] == {0: {"func_evals": 1, "n_iter": 0}}


def test_its_closure_may_be_compiled() -> None:
    p, q = parameters()
    optimizer = optim.LBFGS([p, q], line_search_fn="strong_wolfe")
    closure = ig.compile(closure_for(optimizer, p, q), state=[p, q])
    before = rosenbrock(p, q).item()
    for _ in range(3):
        optimizer.step(closure)
    assert rosenbrock(p, q).item() < 1e-3 * before


def test_it_cannot_be_compiled() -> None:
    p, q = parameters()
    optimizer = optim.LBFGS([p, q])
    closure = closure_for(optimizer, p, q)
    step = ig.compile(lambda: optimizer.step(closure), state=([p, q], optimizer))
    with pytest.raises(ig.ConcretizationError, match=r"LBFGS.step: .* call step outside"):
        step()


def test_a_state_with_unknown_entries() -> None:
    p, _ = parameters()
    optimizer = optim.LBFGS([p])
    state = optimizer.state_dict()
    with pytest.raises(ig.StateDictError, match="unexpected: surplus of parameter 0"):
        optimizer.load_state_dict({**state, "state": {0: {"surplus": 1}}})


@pytest.mark.oracle
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_iterates_and_state_are_those_of_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    p, q = parameters()
    ours = optim.LBFGS([p, q], **options)
    p_torch, q_torch = (torch.nn.Parameter(torch.tensor(x.numpy())) for x in (p, q))
    theirs = torch.optim.LBFGS([p_torch, q_torch], **options)
    for step in range(6):
        mine = ours.step(closure_for(ours, p, q))
        other = theirs.step(closure_for(theirs, p_torch, q_torch))
        np.testing.assert_allclose(mine.item(), other.item(), rtol=1e-7, atol=1e-14)
        for a, b in ((p, p_torch), (q, q_torch)):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-7, atol=1e-9)
        saved, saved_torch = (o.state_dict()["state"][0] for o in (ours, theirs))
        assert saved.keys() == saved_torch.keys()
        assert saved["n_iter"] == saved_torch["n_iter"]
        assert saved["func_evals"] == saved_torch["func_evals"]
        if step == 2:  # go on from torch's own state
            ours = optim.LBFGS([p, q])
            ours.load_state_dict(theirs.state_dict())
