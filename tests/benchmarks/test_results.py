"""What the benchmarks time is right: training steps against a float64 reference of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("autograd", reason="HIPS autograd differentiates the reference")
pytest.importorskip("scipy", reason="HIPS autograd takes erf from SciPy")

import bench_step
import contenders
import numpy as np
import reference
import report
import run
from worker import Worker, WorkerError
from workloads import WORKLOADS

import isograd as ig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


HERE = [record.name for record in ig.backends() if record.available and record.device == "cpu"]
WAYS = [f"isograd-{name}{how}" for name in sorted(HERE, reverse=True) for how in ("", "-compiled")]
SMALL = [(workload, way) for workload in ("tiny", "eager", "digits", "mlp") for way in WAYS]
LARGE = [(workload, WAYS[-1]) for workload in ("cnn", "gpt", "lstm")]


@pytest.mark.parametrize(("workload", "way"), SMALL + LARGE)
def test_training_steps_are_right(workload: str, way: str, folder: Path) -> None:
    optimizer = WORKLOADS[workload].optimizer
    wanted = reference.reference(workload, optimizer, folder)
    contender = contenders.build(way, WORKLOADS[workload], optimizer)
    reference.check(contender, workload, wanted)


def test_another_computation_fails(folder: Path) -> None:
    """A learning rate that is off by a tenth is found."""
    digits = WORKLOADS["digits"]
    other = digits._replace(rates={"sgd": digits.rates["sgd"] * 1.1})
    contender = contenders.build("isograd-numpy", other, "sgd")
    with pytest.raises(reference.WrongResultError):
        reference.check(contender, "digits", reference.reference("digits", "sgd", folder))


def test_who_cannot_take_part_is_told_from_who_is_wrong(folder: Path) -> None:
    heard: list[str] = []
    names = ["isograd-numpy", "torch-channels-last"]  # which wants convolutions, and torch
    race = bench_step.race("tiny", "sgd", names, folder, rounds=1, seconds=0.01, say=heard.append)
    assert list(race.results) == ["isograd-numpy"]
    assert list(race.missing) == ["torch-channels-last"]
    assert race.failed == {}
    assert report.speedup(race) is None
    assert any("torch-channels-last: " in text for text in heard)
    right = reference.reference("tiny", "sgd", folder)
    (file,) = folder.glob("tiny-sgd-*.npz")
    np.savez(file, losses=right.losses * 1.001, **right.changes)
    race = bench_step.race("tiny", "sgd", names[:1], folder, rounds=1, seconds=0.01, say=str)
    assert race.results == {}
    assert race.failed["isograd-numpy"].startswith("WrongResultError: losses")
    file.unlink()


def test_a_process_that_dies_is_reported(folder: Path) -> None:
    worker = Worker("no-such-contender", "tiny", "sgd", folder)
    with pytest.raises(WorkerError, match="KeyError: 'no'"):
        worker.ask("load")
    worker._process.kill()
    with pytest.raises(WorkerError, match="the process ended with"):
        worker.ask("build")
    worker.close()


def test_a_report_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "run.py step --workloads tiny --contenders isograd-numpy,autograd --quick --out"
    monkeypatch.setattr("sys.argv", [*command.split(), str(tmp_path)])
    monkeypatch.setattr(run.common, "forced", list)
    assert run.main() == 0
    assert "autograd" in capsys.readouterr().out
    written = json.loads((tmp_path / "results.json").read_text())
    (race,) = written["step"]["races"]
    assert sorted(race["results"]) == ["autograd", "isograd-numpy"]
    assert race["faster_than_the_fastest_peer"]["median"] > 0.0
    assert (tmp_path / "steps.svg").read_text().startswith("<svg")
