"""``isograd check``."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

import isograd
from isograd.cli import check
from isograd.cli.app import app
from isograd.testing import Cell, Report


def invoke(*arguments: str, width: int = 80) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": str(width)})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def available() -> list[str]:
    return [record.name for record in isograd.backends() if record.available]


@pytest.fixture
def report_of(monkeypatch: pytest.MonkeyPatch):
    """Let the command find given cells instead of running the checks."""

    def use(*cells: Cell) -> None:
        monkeypatch.setattr(check, "run_checks", lambda *args, **kwargs: Report(cells, 0.5))

    return use


def test_two_operations_pass_on_every_backend(tmp_path: Path) -> None:
    file = tmp_path / "check.json"
    code, text = invoke("--op", "add", "--op", "flip", "--dtype", "float32", "--json", str(file))
    assert code == 0, text
    for name in ("add", "flip", *available()):
        assert name in text
    written = json.loads(file.read_text())
    assert written["passed"] is True
    assert written["dtypes"] == ["float32"]
    assert {cell["op"] for cell in written["cells"]} == {"add", "flip"}
    assert {cell["backend"] for cell in written["cells"]} == set(available())
    assert {cell["verdict"] for cell in written["cells"]} <= {"pass", "known"}
    assert written["comparisons"] == sum(cell["count"] for cell in written["cells"]) > 0


def test_only_the_chosen_backend_is_checked() -> None:
    code, text = invoke("--op", "neg", "--backend", "numpy")
    assert code == 0, text
    assert "numba" not in text


def test_only_the_chosen_check_is_run_in_this_process(tmp_path: Path) -> None:
    file = tmp_path / "check.json"
    chosen = ("--op", "neg", "--check", "compiled", "--check", "forward", "--jobs", "0")
    code, text = invoke(*chosen, "--json", str(file))
    assert code == 0, text
    cells = json.loads(file.read_text())["cells"]
    assert {cell["check"] for cell in cells} == {"compiled", "forward"}


def test_a_failure_exits_with_1_and_says_where(report_of, tmp_path: Path) -> None:
    file = tmp_path / "check.json"
    report_of(
        Cell("add", "forward", "numpy", "float32", "pass", 0.25, count=3),
        Cell("mul", "forward", "numpy", "float32", "fail", 7.5, "(float32[3])", "off by 2", 4),
        Cell("mul", "gradient", "numpy", "float64", "fail", math.inf, "", "off by 2", 1),
    )
    code, text = invoke("--json", str(file))
    assert code == 1
    assert "FAIL" in text
    assert text.count("mul: off by 2") == 1
    assert "forward, gradient" in text
    assert "2 fail" in text
    written = json.loads(file.read_text())
    assert written["passed"] is False
    assert [cell["error"] for cell in written["cells"]] == [0.25, 7.5, "inf"]


def test_an_accepted_departure_is_marked(report_of) -> None:
    report_of(Cell("mul", "forward", "numpy", "float32", "known", 3.0, "", "a reason", 1))
    code, text = invoke()
    assert code == 0
    assert "(known)" in text


def test_nothing_to_check_is_not_a_success(report_of) -> None:
    report_of()
    code, text = invoke()
    assert code == 1
    assert "Nothing to check" in text


def test_many_failures_are_cut_short(report_of) -> None:
    report_of(
        *(
            Cell(f"op{i}", "forward", "numpy", "float32", "fail", 2.0, "", "bad", 1)
            for i in range(25)
        )
    )
    _, text = invoke()
    assert "... and 5 more" in text


def test_the_table_fits_a_narrow_terminal(report_of) -> None:
    report_of(
        Cell("scatter_add_along_axis", "forward", "numpy", "float32", "pass", 0.125, count=3),
        Cell("scatter_add_along_axis", "forward", "numba", "float32", "fail", 2.5, count=3),
    )
    _, text = invoke(width=40)
    assert max(map(len, text.splitlines())) <= 40
    assert "FAIL 2.5" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--op", "matmull"], ["matmull", "did you mean", "matmul"]),
        (["--backend", "nmpy"], ["nmpy", "did you mean", "numpy"]),
        (["--backend", "abacus"], ["abacus", "choose from", "numpy"]),
        (["--dtype", "float23"], ["float23", "float32"]),
        (["--check", "gradients"], ["gradients", "did you mean", "gradient"]),
        (["--jobs", "-1"], ["--jobs"]),
        (["--dtype", "complex"], ["complex", "choose from", "float64"]),
        (["--json", "no/such/folder/x.json"], ["no/such/folder", "create it"]),
        (["--colour"], ["--colour"]),
    ],
)
def test_bad_usage_exits_with_2_before_any_check(
    arguments: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "run_checks", lambda *a, **k: pytest.fail("a check was run"))
    code, text = invoke(*arguments, width=200)
    assert code == 2
    for word in words:
        assert word in text


def test_a_backend_that_cannot_run_here_is_bad_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    record = isograd.backends()[0]._replace(
        name="abacus", available=False, reason="beads are missing; pip install beads"
    )
    monkeypatch.setattr(isograd, "backends", lambda: [record])
    code, text = invoke("--backend", "abacus", width=200)
    assert code == 2
    assert "pip install beads" in text


def test_piped_output_is_plain_text() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isograd.cli", "check", "--op", "sign", "--backend", "numpy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sign" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr == ""


MODEL = """
import ctypes
import isograd as ig
from isograd import nn

def build():
    return nn.Linear(2, 1)

def still():
    return nn.Linear(2, 1), lambda model, x: (model(x) - model.bias).sum()

def wrong():
    square = ig.custom_vjp(lambda x: x * x)
    square.defvjp(lambda x: (x * x, x), lambda x, ct: (ct * x,))
    return nn.Linear(2, 1), lambda model, x: square(model(x)).sum()

def broken():
    raise RuntimeError("no weights")

def crashing():
    class Crashing(nn.Linear):
        def forward(self, x):
            return ctypes.string_at(0)

    return Crashing(2, 1)

class Other:
    def __init__(self, crashes):
        with ig.use_backend("numpy") as inner:
            self.inner, self.crashes = inner, crashes

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def kernel(self, name):
        right = self.inner.kernel(name)
        return (lambda *xs: ctypes.string_at(0)) if self.crashes and name == "linear" else right

def other():
    return Other(False)

def other_that_crashes():
    return Other(True)
"""


@pytest.fixture
def _model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "check_model.py").write_text(MODEL)
    np.savez(tmp_path / "batch.npz", x=np.ones((3, 2)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_model")
def test_a_model_gets_a_certificate_and_is_compared_with_an_older_one() -> None:
    arguments = ("check_model:build", "--input", "batch.npz", "--backend", "numpy")
    code, text = invoke(*arguments, "--json", "c.json", width=1000)
    assert code == 0, text
    assert "gradient weight" in text
    assert "would have shown a relative error of 1e-04 in 100 % of" in text
    certificate = json.loads(Path("c.json").read_text())
    assert certificate["kind"] == "isograd gradients"
    code, text = invoke(*arguments, "--against", "c.json")
    assert (code, "nothing got worse" in text) == (0, True)
    certificate["cells"][0]["name"] = "gone"
    Path("c.json").write_text(json.dumps(certificate))
    code, text = invoke(*arguments, "--against", "c.json", width=1000)
    assert code == 1
    assert "was checked, and is not any more" in text


@pytest.mark.usefixtures("_model")
def test_what_numeric_derivatives_say_of_a_model_is_of_what_has_a_derivative() -> None:
    arguments = ("--input", "batch.npz", "--backend", "numpy", "--dtype", "float32")
    code, text = invoke("check_model:still", *arguments, width=1000)
    assert (code, "in 100 % of the coordinates with a derivative" in text) == (0, True)
    code, text = invoke("check_model:wrong", *arguments, width=1000)
    assert (code, "numeric derivatives failed" in text, "would have" in text) == (1, True, False)


@pytest.mark.usefixtures("_model")
def test_a_crash_is_the_failure_of_its_cells_alone() -> None:
    arguments = ("--input", "batch.npz", "--dtype", "float32", "--backend", "check_model:other")
    crashing = ("--backend", "check_model:other_that_crashes")
    pages = ("--json", "c.json", "--html", "c.html", "--junit", "c.xml")
    code, text = invoke("check_model:build", *arguments, *crashing, *pages, width=1000)
    assert code == 1, text
    assert "on check_model:other_that_crashes in float32: the process was ended by SIG" in text
    assert "check_model.py:" in text
    found = json.loads(Path("c.json").read_text())
    failed = {(c["kind"], c["backend"]) for c in found["cells"] if c["verdict"] == "fail"}
    assert failed == {("run", "check_model:other_that_crashes")}
    assert found["gradcheck"]["passed"]
    assert 'failures="1"' in Path("c.xml").read_text()
    assert "1 cell FAILS" in Path("c.html").read_text()
    code, text = invoke("check_model:crashing", *arguments, width=1000)
    assert (code, text.count("the process was ended by SIG")) == (1, 2)


@pytest.mark.usefixtures("_model")
def test_options_of_operations_and_of_models_are_not_mixed_up() -> None:
    code, text = invoke("check_model:build", "--op", "exp", width=1000)
    assert (code, "leave them out for a model" in text) == (2, True)
    code, text = invoke("--op", "exp", "--backend", "check_model:other", width=1000)
    assert (code, "isograd conform check_model:other" in text) == (2, True)


@pytest.mark.usefixtures("_model")
def test_bad_models_and_reports_are_exit_status_2() -> None:
    code, text = invoke("check_model:broken", width=1000)
    assert code == 2
    assert "RuntimeError: no weights, at" in text
    assert "check_model.py:" in text
    code, text = invoke("check_model:build", width=1000)
    assert (code, "--input FILE" in text) == (2, True)
    np.savez("wrong.npz", x=np.ones((3, 5)))
    code, text = invoke("check_model:build", "--input", "wrong.npz", width=1000)
    assert code == 2
    assert "linear: input (3, 5)" in text
    Path("c.json").write_text("{}")
    code, text = invoke("--op", "add", "--against", "c.json", width=1000)
    assert code == 2
    assert "is no report" in text


def test_pages_for_people_and_for_ci_are_written(tmp_path: Path, report_of) -> None:
    report_of(Cell("exp", "forward", "numpy", "float32", "fail", 3.0, "s", "wrong", 1))
    page, xml = tmp_path / "p.html", tmp_path / "p.xml"
    code, _ = invoke("--op", "exp", "--html", str(page), "--junit", str(xml))
    assert code == 1
    assert page.read_text().startswith("<!doctype html>")
    assert "<failure" in xml.read_text()
