"""What the benchmarks time is right: training steps against a float64 reference of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("autograd", reason="HIPS autograd differentiates the reference")
pytest.importorskip("scipy", reason="HIPS autograd takes erf from SciPy")

import contenders
import reference
import run
from workloads import WORKLOADS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("workload", ["tiny", "eager", "digits", "mlp"])
def test_training_steps_are_right(
    workload: str, compiled: bool, backend: str, folder: Path
) -> None:
    name = f"isograd-{backend}" + ("-compiled" if compiled else "")
    optimizer = WORKLOADS[workload].optimizer
    wanted = reference.reference(workload, optimizer, folder)
    contender = contenders.build(name, WORKLOADS[workload], optimizer)
    reference.check(contender, workload, wanted)


def test_another_computation_fails(folder: Path) -> None:
    """A learning rate that is off by a tenth is found."""
    digits = WORKLOADS["digits"]
    other = digits._replace(rates={"sgd": digits.rates["sgd"] * 1.1})
    contender = contenders.build("isograd-numpy", other, "sgd")
    with pytest.raises(reference.WrongResultError):
        reference.check(contender, "digits", reference.reference("digits", "sgd", folder))


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
