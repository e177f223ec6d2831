"""Checkpoints: whole or not there, the last few kept, everything restored or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import io, nn, optim
from isograd.io import Checkpoints, TrainState


def parts(seed: int = 0) -> TrainState:
    ig.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2)
    return TrainState(model=model, optimizer=optimizer, scheduler=scheduler)


def advance(state: TrainState, steps: int) -> list[float]:
    losses: list[float] = []
    for _ in range(steps):
        loss = (state.parts["model"](ig.ones((8, 3))) ** 2).mean()
        loss.backward()
        state.parts["optimizer"].step()
        state.parts["optimizer"].zero_grad()
        state.parts["scheduler"].step()
        losses.append(loss.item())
    return losses


def test_a_restored_state_goes_on_bit_for_bit(tmp_path: Path) -> None:
    state = parts()
    advance(state, 3)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state, step=3)
    expected = advance(state, 4)
    other = parts(seed=9)
    assert checkpoints.load(other) == 3
    assert advance(other, 4) == expected


def test_the_last_few_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "new" / "folder", keep=2)
    layer = nn.Linear(1, 1)
    assert checkpoints.load(layer) is None
    (checkpoints.folder / "step-0000000001.npz.txt").touch()
    for step in (1, 12, 3, 100):
        checkpoints.save(layer, step=step)
    assert checkpoints.steps() == [12, 100]
    assert checkpoints.load(layer, step=12) == 12
    with pytest.raises(FileNotFoundError):
        checkpoints.load(layer, step=3)
    with pytest.raises(ValueError, match="keep=0 is not positive"):
        Checkpoints(tmp_path, keep=0)


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    checkpoints, layer = Checkpoints(tmp_path), nn.Linear(1, 1)
    for step in (1, 2):
        checkpoints.save(layer, step=step)
    checkpoints.path(2).write_bytes(checkpoints.path(2).read_bytes()[:50])
    with pytest.warns(RuntimeWarning, match="went back to step 1, since .*damaged"):
        assert checkpoints.load(layer) == 1
    checkpoints.path(1).write_bytes(b"")
    with pytest.raises(ig.DataFormatError, match="no checkpoint is whole"):
        checkpoints.load(layer)


def test_all_misfits_in_one_error_and_nothing_loaded(tmp_path: Path) -> None:
    state = parts()
    advance(state, 1)
    saved = state.state_dict()
    other = parts(seed=4)
    before = [t.tolist() for t in other.parts["model"].state_dict().values()]
    saved["model"] = {**saved["model"], "0.bias": ig.zeros(7)}
    saved["optimizer"] = {"state": {}, "param_groups": []}
    saved["scaler"] = {}
    del saved["scheduler"]
    with pytest.raises(ig.StateDictError) as error:
        other.load_state_dict(saved)
    for text in ("missing: scheduler", "unexpected: scaler", "shape of 0.bias", "has groups of []"):
        assert text in str(error.value)
    assert [t.tolist() for t in other.parts["model"].state_dict().values()] == before
    assert ig.random.default_generator.state_dict() != saved["random"]
    with pytest.raises(TypeError, match="TrainState: 'name' is a str, without state_dict"):
        TrainState(name="x")


def test_a_failed_write_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    io.save_tree(1, path)

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            io.save_tree(2, path)
    assert io.load_tree(path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.skipif(os.name == "nt", reason="kills with a signal that Windows lacks")
@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_killed_save_leaves_the_last_good_checkpoint(moment: str, tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
import isograd as ig
from isograd.io import Checkpoints, npz
layer = ig.nn.Linear(1, 1)
checkpoints = Checkpoints(sys.argv[1])
layer.weight.assign_(ig.full((1, 1), 7.0))
checkpoints.save(layer, step=1)

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if {moment!r} == "write":
    npz.np.lib.format.write_array = die
else:
    setattr(os, {moment!r}, die)
checkpoints.save(layer, step=2)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    layer = nn.Linear(1, 1)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load(layer) == 1
    assert layer.weight.item() == np.float32(7.0)
    checkpoints.save(layer, step=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-0000000001.npz",
        "step-0000000003.npz",
    ]
