"""The learning-rate finder."""

from __future__ import annotations

from pathlib import Path

import pytest

import isograd as ig
from isograd import nn, optim
from isograd.data import DataLoader, load_digits
from isograd.train import LRCurve, lr_find


def test_a_rate_between_too_small_and_too_large() -> None:
    loader = DataLoader(load_digits(flatten=True).train, 64, shuffle=True, seed=0)
    model = nn.Linear(64, 10)
    optimizer = optim.SGD(model.parameters(), lr=0.123)
    before = model.weight.tolist()
    curve = lr_find(model, loader, optimizer=optimizer, stop=100.0, steps=60)
    assert 1e-3 < curve.suggestion < 10
    assert len(curve.rates) == len(curve.losses) == len(curve.smooth) < 60
    assert model.weight.tolist() == before
    assert optimizer.param_groups[0]["lr"] == 0.123
    assert (loader.epoch, model.weight.grad) == (0, None)


def test_the_steepest_fall() -> None:
    curve = LRCurve([1.0, 2.0, 4.0, 8.0], [0.0] * 4, [3.0, 2.9, 1.0, 5.0])
    assert curve.suggestion == 2.0


def test_the_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="draws with matplotlib")
    curve = LRCurve([1e-3, 1e-2, 1e-1], [3.0, 1.0, 2.0], [3.0, 2.0, 2.0])
    figure = curve.plot(tmp_path / "curve.svg")
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
    assert figure.axes[0].get_xlabel() == "learning rate"


def test_wrong_uses() -> None:
    with pytest.raises(ValueError, match=r"lr_find: start=1, stop=0\.1"):
        lr_find(nn.Linear(1, 1), [], start=1, stop=0.1)
    with pytest.raises(ValueError, match="there is no batch with a finite loss"):
        lr_find(nn.Linear(1, 1), [])
    batch = (ig.full((1, 1), float("nan")), ig.zeros((1, 1)))
    with pytest.raises(ValueError, match="there is no batch with a finite loss"):
        lr_find(nn.Linear(1, 1), [batch], loss=nn.functional.mse_loss)
