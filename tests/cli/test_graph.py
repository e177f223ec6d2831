"""``isograd graph``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

from isograd.cli.app import app

TRAIN = """
import isograd as ig

@ig.compile
def step(x, y):
    return x @ y

@ig.compile
def called(x):
    return ig.sin(x)

called(ig.ones(3))

@ig.compile
def alone():
    return ig.arange(4) + 1

class steps:
    inner = alone

number = 3

def example():
    return step, (ig.ones((2, 3)), ig.ones((3, 4)))

def made():
    return alone

def wrong():
    return step, 3

def too_few():
    return step, (ig.ones(2),)

def broken():
    raise RuntimeError("from inside")
"""


COMMAND = "from isograd.cli import main; main()"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in a folder with a module of the user's."""
    (tmp_path / "graph_train.py").write_text(TRAIN)
    (tmp_path / "graph_needs.py").write_text("import a_module_that_nobody_has\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("graph_train", "graph_needs"):
        sys.modules.pop(name, None)


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["graph", *arguments], env={"COLUMNS": "1000"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("name", "primitive"),
    [
        ("example", "matmul"),
        ("called", "sin"),
        ("alone", "add"),
        ("made", "add"),
        ("steps.inner", "add"),
    ],
)
def test_the_program_is_printed(name: str, primitive: str) -> None:
    code, text = invoke(f"graph_train:{name}")
    assert code == 0, text
    assert "Program 1 of 1" in text
    assert f"= {primitive}(" in text
    assert "graph_train.py" in text


def test_html_and_json_are_written(tmp_path: Path) -> None:
    code, text = invoke(
        "graph_train:example", "--html", "page.html", "--json", "page.json", "--timings"
    )
    assert (code, text) == (0, "")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    program = json.loads((tmp_path / "page.json").read_text())["programs"][0]
    assert program["equations"][0]["flops"] == 2 * 2 * 3 * 4
    assert program["steps" if "steps" in program else "equations"][0]["time"] > 0


def test_the_code_is_printed_where_it_is_asked_for() -> None:
    pytest.importorskip("numba", reason="code is written by the Numba backend")
    code, text = invoke("graph_train:called", "--source")
    assert code == 0, text
    assert "define void" in text
    assert "define void" not in invoke("graph_train:called")[1]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("graph_train", "not of the form MODULE:NAME"),
        ("graph_train:", "not of the form MODULE:NAME"),
        ("graph-train:step", "not of the form MODULE:NAME"),
        ("graph_train.py:step", "write graph_train:step"),
        ("folder/graph_train.py:step", "write graph_train:step"),
        ("nobody_has_this:step", "there is no module 'nobody_has_this'"),
        ("graph_train.inner:step", "there is no module 'graph_train.inner'"),
        ("graph_train:exampel", "did you mean example"),
        ("graph_train:zzzzzz", "has no 'zzzzzz'; check the name"),
        ("graph_train:number", "is int, not a compiled function"),
        ("graph_train:step", "gives 0 arguments for step(x, y)"),
        ("graph_train:too_few", "gives 1 arguments for step(x, y)"),
        ("graph_train:wrong", "returned tuple, not (compiled, args)"),
        ("graph_train:ig.sum", "takes arguments"),
    ],
)
def test_a_bad_name_says_what_to_write(target: str, message: str) -> None:
    code, text = invoke(target)
    assert code == 2
    assert message in text


def test_what_the_module_raises_is_shown_in_full() -> None:
    with pytest.raises(ModuleNotFoundError, match="a_module_that_nobody_has"):
        CliRunner().invoke(app, ["graph", "graph_needs:step"], catch_exceptions=False)
    with pytest.raises(RuntimeError, match="from inside"):
        CliRunner().invoke(app, ["graph", "graph_train:broken"], catch_exceptions=False)


def test_a_folder_that_is_missing_is_refused_before_the_work() -> None:
    code, text = invoke("graph_train:example", "--html", "missing/page.html")
    assert code == 2
    assert "there is no folder" in text


def test_the_console_command_finds_modules_of_this_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, "graph", "graph_train:alone"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "compiled alone" in done.stdout
