"""GradScaler: scales, skipped steps, state; eager and compiled; torch's course."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import amp, nn, optim

OPTIONS = {"init_scale": 8.0, "growth_interval": 3, "growth_factor": 4.0, "backoff_factor": 0.25}
BAD = {4: np.inf, 5: np.nan, 9: -np.inf}


def gradient(step: int) -> np.ndarray[Any, Any]:
    g = np.array([0.5, -0.25], np.float32) * (step + 1)
    g[1] = BAD.get(step, g[1])
    return g


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (optim.SGD, {"momentum": 0.9}),
        (optim.Adam, {}),
        (optim.RMSprop, {"momentum": 0.5}),
    ],
)
def test_steps_that_are_not_finite_are_skipped(
    backend: str, kind: Any, options: dict[str, Any], compiled: bool
) -> None:
    p, q = (nn.Parameter(ig.tensor([1.0, 2.0])) for _ in range(2))
    optimizer, plain = kind([p], lr=0.1, **options), kind([q], lr=0.1, **options)
    scaler = amp.GradScaler(**OPTIONS)

    def step(g: ig.Tensor) -> None:
        scaler.scale((p * g).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    run = ig.compile(step, state=(p, optimizer, scaler)) if compiled else step
    scales: list[float] = []
    for i in range(12):
        run(ig.tensor(gradient(i)))
        scales.append(scaler.get_scale())
        if i not in BAD:
            q.grad = ig.tensor(gradient(i))
            plain.step()
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-6)
    assert scales == [8, 8, 32, 32, 8, 2, 2, 2, 8, 2, 2, 2]
    assert [slots.keys() for slots in optimizer.state_dict()["state"].values()] == [
        slots.keys() for slots in plain.state_dict()["state"].values()
    ]


def test_gradients_are_unscaled_for_clipping() -> None:
    p = nn.Parameter(ig.tensor([0.0, 0.0]))
    sgd = optim.SGD([p], lr=1.0)
    scaler = amp.GradScaler(init_scale=1024.0)
    scaler.scale((p * ig.tensor([3.0, 4.0])).sum()).backward()
    scaler.unscale_(sgd)
    assert p.grad.tolist() == [3.0, 4.0]
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 5
    scaler.step(sgd)
    scaler.update()
    np.testing.assert_allclose(p.numpy(), [-0.6, -0.8], rtol=1e-5)


def test_small_gradients_survive_float16() -> None:
    """A gradient of 1e-9 is 0 in float16, and is not when scaled."""
    model = nn.Linear(1, 1, bias=False)
    gradients: list[float] = []
    for scaler in (amp.GradScaler(enabled=False), amp.GradScaler()):
        model.zero_grad()
        with amp.autocast("cpu", dtype=ig.float16):
            loss = (model(ig.full((1, 1), 1e-4)).astype(ig.float32) * 1e-5).sum()
        scaler.scale(loss).backward()
        gradients.append(model.weight.grad.item() / scaler.get_scale())
    assert gradients[0] != pytest.approx(1e-9, rel=0.01)
    assert gradients[1] == pytest.approx(1e-9, rel=0.01)


def test_losses_in_a_tree() -> None:
    scaler = amp.GradScaler(init_scale=4.0)
    scaled = scaler.scale({"a": ig.tensor(1.0), "b": [ig.tensor(2.0, dtype=ig.float16)]})
    assert scaled["a"].item() == 4
    assert (scaled["b"][0].item(), scaled["b"][0].dtype) == (8, ig.float32)


def test_not_enabled() -> None:
    p = nn.Parameter(ig.tensor([1.0]))
    sgd = optim.SGD([p], lr=1.0)
    scaler = amp.GradScaler(enabled=False)
    loss = (p * 2.0).sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(sgd)
    scaler.step(sgd)
    scaler.update()
    assert p.tolist() == [-1.0]
    assert scaler.state_dict() == {}
    assert (scaler.get_scale(), scaler.is_enabled()) == (1.0, False)


def test_the_order_of_calls() -> None:
    p = nn.Parameter(ig.tensor([1.0]))
    sgd = optim.SGD([p])
    scaler = amp.GradScaler()
    with pytest.raises(RuntimeError, match=r"GradScaler.update: .* call step first"):
        scaler.update()
    scaler.scale(p.sum()).backward()
    scaler.unscale_(sgd)
    with pytest.raises(RuntimeError, match=r"GradScaler.unscale_: .* unscaled already"):
        scaler.unscale_(sgd)
    scaler.step(sgd)
    with pytest.raises(RuntimeError, match=r"GradScaler.step: .* stepped already; call update"):
        scaler.step(sgd)
    scaler.update(new_scale=3.0)
    assert scaler.get_scale() == 3


def test_float16_parameters_are_refused() -> None:
    p = nn.Parameter(ig.ones(1, dtype=ig.float16))
    p.grad = ig.ones(1, dtype=ig.float16)
    with pytest.raises(ig.DTypeError, match="a gradient is float16, in which small ones vanish"):
        amp.GradScaler().unscale_(optim.SGD([p]))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="growth_factor=1"):
        amp.GradScaler(growth_factor=1)
    with pytest.raises(ValueError, match="backoff_factor=1"):
        amp.GradScaler(backoff_factor=1)


def test_a_state_that_does_not_fit() -> None:
    scaler = amp.GradScaler()
    state = scaler.state_dict()
    with pytest.raises(ig.StateDictError, match=r"missing: scale\n  unexpected: size"):
        scaler.load_state_dict({**{k: v for k, v in state.items() if k != "scale"}, "size": 1})
    with pytest.raises(ig.StateDictError, match="scale: inf is not finite"):
        scaler.load_state_dict({**state, "scale": float("inf")})
    assert scaler.state_dict() == state


@pytest.mark.oracle
def test_course_and_state_of_torch() -> None:
    torch = pytest.importorskip("torch")
    p, q = nn.Parameter(ig.tensor([1.0, 2.0])), torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    ours, theirs = optim.Adam([p], lr=0.1), torch.optim.Adam([q], lr=0.1)
    mine, other = amp.GradScaler("cpu", **OPTIONS), torch.amp.GradScaler("cpu", **OPTIONS)
    for i in range(14):
        mine.scale((p * ig.tensor(gradient(i))).sum()).backward()
        other.scale((q * torch.tensor(gradient(i))).sum()).backward()
        for scaler, optimizer in ((mine, ours), (other, theirs)):
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-6)
        assert mine.state_dict() == other.state_dict()
        if i == 6:
            mine = amp.GradScaler()
            mine.load_state_dict(other.state_dict())
