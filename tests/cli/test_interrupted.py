"""Ctrl-C and SIGTERM during long commands: what is done so far is kept, and said to be a part."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

from isograd.cli.app import app
from isograd.testing import run_checks
from isograd.testing.conformance import CertificateError, conform, read_certificate
from isograd.testing.interrupted import Interruption

POSIX = pytest.mark.skipif(os.name != "posix", reason="groups of processes are POSIX's")

# A backend that never ends on `matmul`, and a command whose check of gradients never ends.
SLOW = """
import signal, sys, time
from isograd.testing.conformance.controls import BrokenBackend

def forever(*arguments, **static):
    open("begun", "w").close()
    time.sleep(600)

def create():
    return BrokenBackend("matmul", lambda right: forever)

if __name__ == "__main__":
    # Whoever runs tests in the background may have them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from isograd.cli import main
    from isograd.testing.checks import CHECKS

    CHECKS["gradient"] = forever
    main()
"""


def run(folder: Path, *arguments: str, number: int = signal.SIGINT) -> tuple[int, str]:
    """Run a command in a session of its own; signal all of it, as a terminal does, once begun."""
    (folder / "slow_backend.py").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, "-m", "slow_backend", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not (folder / "begun").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.0)  # for what was found before to arrive
        os.killpg(process.pid, number)
        text, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, text


@POSIX
@pytest.mark.parametrize(
    ("number", "jobs", "status"),
    [(signal.SIGINT, "1", 130), (signal.SIGINT, "0", 130), (signal.SIGTERM, "1", 143)],
)
def test_conform_keeps_what_is_done(tmp_path: Path, number: int, jobs: str, status: int) -> None:
    code, text = run(
        tmp_path,
        *("conform", "slow_backend:create", "--group", "complete", "--group", "values"),
        *("--op", "add", "--op", "matmul", "--json", "c.json", "--jobs", jobs),
        number=number,
    )
    assert code == status, text
    assert "Traceback" not in text
    assert "was stopped before the end, so this is no certificate" in text
    written = (tmp_path / "c.json").read_text()
    with pytest.raises(CertificateError, match="covers a part only"):
        read_certificate(written)
    content = read_certificate(written, partial=True)
    assert content["complete"] is False
    assert content["conforms"] is False
    found = {c["op"]: c["verdict"] for c in content["groups"]["values"]["cells"]}
    assert found == {"add": "pass"}
    assert content["groups"]["complete"]["passed"] == 2


@POSIX
def test_check_keeps_what_is_done(tmp_path: Path) -> None:
    files = ("--json", "r.json", "--html", "r.html", "--junit", "r.xml")
    chosen = ("--op", "add", "--backend", "numpy", "--dtype", "float64", "--jobs", "0")
    code, text = run(tmp_path, "check", *chosen, *files)
    assert code == 130, text
    assert "Traceback" not in text
    assert "Stopped before the end" in text
    content = json.loads((tmp_path / "r.json").read_text())
    assert (content["complete"], content["passed"]) == (False, False)
    found = {cell["check"]: cell["verdict"] for cell in content["cells"]}
    assert found["forward"] == "pass"
    assert "gradient" not in found
    assert "INCOMPLETE, stopped before the end" in (tmp_path / "r.html").read_text()
    suites = ElementTree.parse(tmp_path / "r.xml").getroot()
    assert suites.get("errors") == "1"
    assert [c.get("name") for c in suites.iter("testcase") if c.find("error") is not None] == [
        "run"
    ]
    result = CliRunner().invoke(
        app, ["check", "--against", str(tmp_path / "r.json")], env={"COLUMNS": "1000"}
    )
    assert result.exit_code == 2
    assert "was stopped before its end" in result.output


@pytest.mark.parametrize("jobs", [0, 2])
def test_an_interruption_in_python_has_the_part(jobs: int) -> None:
    def stop(done: int, *_: Any) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interruption) as stopped:
        conform("numpy", groups=["complete"], ops=["add", "mul", "sub"], jobs=jobs, progress=stop)
    certificate = stopped.value.partial
    assert len(certificate.groups["complete"]) == 2
    assert not certificate.complete
    assert not certificate
    with pytest.raises(Interruption) as stopped:
        run_checks(["add"], ["numpy"], jobs=jobs, progress=stop)
    report = stopped.value.partial
    assert report.cells
    assert not report.failures
    assert not report.ok
    assert str(report).startswith("stopped before the end")
