"""``isograd conform``."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

from isograd.cli.app import app
from isograd.testing.conformance import read_certificate

BROKEN = """
from isograd.testing.conformance import CONTROLS

def create():
    return next(c for c in CONTROLS if c.family == "dropped padding").make()

def raises():
    raise RuntimeError("no device")
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conform_broken.py").write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["conform", *arguments], env={"COLUMNS": "1000"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_choice_of_a_right_backend_passes() -> None:
    code, text = invoke("numpy", "--group", "values", "--op", "add", "--json", "c.json")
    assert code == 0, text
    assert "was asked a part only" in text
    assert read_certificate(Path("c.json").read_text(), partial=True)["complete"] is False


def test_a_broken_backend_fails() -> None:
    code, text = invoke("conform_broken:create", "-g", "values", "-g", "types", "-o", "pad")
    assert code == 1
    assert "values: fail: pad" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("numpy", "-g", "valeus"), "did you mean values"),
        (("nobody",), "there is no backend"),
        (("conform_broken:raises",), "RuntimeError: no device"),
    ],
)
def test_bad_arguments_are_exit_status_2(arguments: tuple[str, ...], said: str) -> None:
    code, text = invoke(*arguments)
    assert code == 2
    assert said in text
