"""``isograd diff`` and ``isograd record``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

import isograd as ig
from isograd.cli.app import app
from isograd.testing import record, write_recording

MODULE = """
import isograd as ig
from isograd import nn, optim

def build():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    return model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9), loss

def loss(model, x, y):
    return nn.functional.cross_entropy(model(x), y)

def raises():
    raise RuntimeError("no weights")

def restless():
    from random import random
    return lambda x, y: (x * random()).sum()

def exits():
    import os
    os._exit(4)

class Faulty:
    name = "faulty"
    def __init__(self):
        with ig.use_backend("numpy") as inner:
            self._inner = inner
    def __getattr__(self, name):
        return getattr(self._inner, name)
    def kernel(self, name):
        right = self._inner.kernel(name)
        return (lambda g, out: right(g, out) * 2) if name == "tanh_grad" else right
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "diff_model.py").write_text(MODULE)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "batch.npz", x=rng.normal(size=(6, 4)), y=rng.integers(0, 2, 6))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("diff_model", None)


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "1000"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


MODEL = ("--model", "diff_model:build", "--input", "batch.npz")


def test_agreement_is_exit_status_0() -> None:
    code, text = invoke("diff", "numpy", "numpy+float64", *MODEL)
    assert code == 0, text
    assert "numpy and numpy+float64 agree" in text


def test_disagreement_is_exit_status_1_and_written_down() -> None:
    code, text = invoke(
        "diff", "numpy", "diff_model:Faulty", *MODEL, "--json", "d.json", "--out", "found"
    )
    assert code == 1, text
    assert "candidate wrong: operation" in text
    first = json.loads(Path("d.json").read_text())["first"]
    assert (first["op"], first["phase"]) == ("tanh_grad", "backward")
    assert (first["verdict"], first["module"]) == ("candidate wrong", "1")
    assert first["line"].split(":")[0].endswith("diff_model.py")
    assert Path("found/test_tanh_grad_backward.py").exists()


def test_a_run_is_recorded_and_compared_with() -> None:
    code, text = invoke("record", "numpy", "run.safetensors", *MODEL)
    assert code == 0, text
    assert "operations on numpy" in text
    assert invoke("diff", "run.safetensors", "numpy")[0] == 0
    assert invoke("diff", "run.safetensors", "diff_model:Faulty")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("numpy", "numpy"), "name one"),
        (("numpy", "nobody", *MODEL), "there is no backend"),
        (("missing.safetensors", "numpy"), "cannot read"),
        (("numpy", "numpy", "-m", "diff_model:build", "-i", "diff_model.py"), "cannot read"),
        (("numpy", "numpy", "-m", "diff_model:missing"), "AttributeError"),
        (("numpy", "numpy", "-m", "diff_model:raises"), "RuntimeError: no weights"),
        (("numpy", "numpy", "-m", "diff_model:restless", "-i", "batch.npz"), "isograd.random"),
        (("numpy", "numpy", "-m", "diff_model:build", "-i", "wrong.npz"), "linear: input (6, 3)"),
        (
            ("numpy", "numpy", "-m", "diff_model:build", "-i", "wrong.npz", "--in-process"),
            "linear: ",
        ),
        (("numpy", "numpy", "-m", "diff_model:build", "-i", "nothing.npz"), "does not exist"),
        (("numpy", "diff_model:exits", *MODEL), "the backend could not be made"),
        (("numpy", "diff_model:Faulty", *MODEL, "--timeout", "-1"), "--timeout"),
        (("old.safetensors", "numpy"), "is of format 99"),
        (("cut.safetensors", "numpy"), "cut off"),
    ],
)
def test_bad_arguments_are_exit_status_2(arguments: tuple[str, ...], said: str) -> None:
    np.savez("wrong.npz", x=np.ones((6, 3)), y=np.zeros(6, int))
    write_recording(record("numpy", lambda: ig.sin, np.ones(2)), "old.safetensors")
    raw = Path("old.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(raw[:-4])
    # The text of the header is JSON in JSON; the length stays.
    Path("old.safetensors").write_bytes(raw.replace(b'\\"format\\": 1', b'\\"format\\":99'))
    code, text = invoke("diff", *arguments)
    assert code == 2
    assert said in text
