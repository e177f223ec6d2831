"""``isograd demo``."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

import isograd
from isograd.cli import demo
from isograd.cli.app import app

GOOD = demo.BackendResult(
    backend="numpy",
    device="cpu",
    version="2.0",
    gradient_error=0.25,
    worst="0.weight",
    eager=demo.Training(step_us=300.0, first_step_ms=1.0, loss=0.02, accuracy=0.97),
    compiled=demo.Training(step_us=100.0, first_step_ms=9.0, loss=0.02, accuracy=0.96),
)


def invoke(*arguments: str, width: int = 80) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["demo", *arguments], env={"COLUMNS": str(width)})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_trains_on_every_backend_and_agrees(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    code, text = invoke("--epochs", "6", "--json", str(file))
    assert code == 0, text
    written = json.loads(file.read_text())
    names = [entry["backend"] for entry in written["backends"]]
    assert sorted(names) == sorted(r.name for r in isograd.backends() if r.available)
    assert written["passed"] is True
    for entry in written["backends"]:
        assert entry["backend"] in text
        assert 0.0 < entry["gradient_error"] <= 1.0
        assert entry["accuracy"] >= 0.95
        eager, compiled = entry["eager"], entry["compiled"]
        assert entry["speedup"] == pytest.approx(eager["step_us"] / compiled["step_us"])
        assert f"{entry['speedup']:.1f}x" in text
    # The same seed gives the same run, up to rounding.
    runs = [entry[how] for entry in written["backends"] for how in ("eager", "compiled")]
    accuracies = [run["accuracy"] for run in runs]
    assert max(accuracies) - min(accuracies) <= 0.02


def test_the_result_is_that_of_the_worse_training(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (GOOD.accuracy, GOOD.speedup, GOOD.passed) == (0.96, 3.0, True)
    untrained = dataclasses.replace(GOOD.compiled, accuracy=0.1)
    monkeypatch.setattr(
        demo,
        "measure",
        lambda name, worst, *rest: dataclasses.replace(GOOD, backend=name, compiled=untrained),
    )
    code, text = invoke("--backend", "numpy")
    assert code == 1
    assert "test accuracy 0.1000 is below 0.95" in text.replace("\n", " ")


def test_too_little_training_exits_with_1() -> None:
    code, text = invoke("--epochs", "1", "--backend", "numpy", "--seed", "3")
    assert code == 1
    assert "below 0.95" in text
    assert "numba" not in text


def test_weights_are_the_same_bits_on_every_backend() -> None:
    weights: list[bytes] = []
    for record in isograd.backends():
        if record.available:
            with isograd.use_backend(record.name):
                model = demo.build(seed=5)
                weights.append(b"".join(p.numpy().tobytes() for p in model.parameters()))
    assert len(set(weights)) == 1


@pytest.mark.parametrize("error", [1.5, math.inf, math.nan])
def test_gradients_that_disagree_exit_with_1(
    error: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "demo.json"
    entry = demo.CrossCheckEntry("numpy", "float32", "gradient", "0.weight", error, (), 0, 0, 0)
    monkeypatch.setattr(demo, "compare_gradients", lambda names, seed: dict.fromkeys(names, entry))
    monkeypatch.setattr(
        demo,
        "measure",
        lambda name, worst, *rest: dataclasses.replace(
            GOOD, backend=name, gradient_error=worst.error
        ),
    )
    code, text = invoke("--backend", "numpy", "--json", str(file))
    assert code == 1
    assert "FAIL" in text
    assert "0.weight" in text
    assert "isograd check --backend numpy" in text.replace("\n", " ")
    written = json.loads(file.read_text())
    assert written["passed"] is False
    assert written["backends"][0]["gradients_agree"] is False


def test_a_wrong_kernel_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: a backend whose relu gradient is off by a percent is caught."""
    with isograd.use_backend("numpy") as backend:
        right = backend.kernel("relu_grad")
        wrong = type(backend)()
    assert right is not None
    own = wrong.kernel

    def kernel(name: str, /):
        return (lambda g, x: right(g, x) * x.dtype.type(1.01)) if name == "relu_grad" else own(name)

    monkeypatch.setattr(wrong, "kernel", kernel)
    worst = demo.compare_gradients([wrong], seed=0)
    assert worst[wrong.name].error > 1.0


def test_a_negative_seed_is_bad_usage() -> None:
    assert invoke("--seed", "-1")[0] == 2


def test_as_a_process_it_prints_plain_text() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isograd.cli", "demo", "--epochs", "4", "--backend", "numpy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "numpy" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr == ""
