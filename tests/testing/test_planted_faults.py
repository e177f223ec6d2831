"""The proof: faults that are planted in a backend are found, named and reproduced.

``ISOGRAD_WRITE_DOCS=1 pytest tests/testing/test_planted_faults.py`` writes the table in the docs;
otherwise the table there must be right in all but the seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from isograd.testing import TargetError, diff, record
from isograd.testing.differ import read_recording, write_recording

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent.parent / "docs" / "explanation" / "planted_faults.md"
BEGIN, END = "<!-- table -->\n", "<!-- end -->"

sys.path.insert(0, str(FOLDER))
try:
    from planted_faults import FAULTS, Fault, batch, normalization
finally:
    sys.path.remove(str(FOLDER))

ROWS: dict[str, list[str]] = {}
X = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture(scope="module", autouse=True)
def _table() -> Iterator[None]:
    yield
    if len(ROWS) < len(FAULTS) + 1 + len(CRASHES):
        return  # a part of the tests was run
    made = _as_table(ROWS)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    old, _, after = rest.partition(END)
    if os.environ.get("ISOGRAD_WRITE_DOCS") == "1":
        PAGE.write_text(f"{before}{BEGIN}{made}{END}{after}", encoding="utf-8")
        return
    assert _without_seconds(old) == _without_seconds(made), f"{PAGE.name} is out of date"


def _as_table(rows: dict[str, list[str]]) -> str:
    head = "| fault | operation | phase | verdict | pattern | seconds | the test alone |\n"
    lines = ["| " + " | ".join([what, *row]) + " |" for what, row in rows.items()]
    return head + "|---|---|---|---|---|---|---|\n" + "\n".join(lines) + "\n"


def _without_seconds(table: str) -> list[list[str]]:
    rows = [line.split("|") for line in table.strip().splitlines()]
    return [row[:6] + row[7:] for row in rows]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_named_and_reproduced(fault: Fault, tmp_path: Path) -> None:
    x = batch(fault)
    side, model = f"planted_faults:{fault.name}", f"planted_faults:{fault.name}_model"
    assert diff("numpy", "numpy", model, x).ok
    started = time.perf_counter()
    report = diff("numpy", side, model, x, folder=tmp_path)
    seconds = time.perf_counter() - started
    first = report.first
    assert first is not None, f"{fault.what} was not seen"
    assert (first.operation.op, first.operation.phase) == (fault.op, fault.phase), str(report)
    assert first.verdict.verdict == "candidate wrong"
    done = subprocess.run(
        [sys.executable, report.files["reproducer"]], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "AssertionError" in done.stderr
    assert max(map(np.size, first.operation.inputs)) > 0
    ROWS[fault.what] = [
        f"`{first.operation.op}`",
        first.operation.phase,
        first.verdict.verdict,
        first.verdict.note if fault.name == "race" else first.verdict.pattern,
        f"{seconds:.1f}",
        "fails",
    ]


def test_a_fault_above_the_backends_shows_between_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch norm's running variance is made of right operations, so no referee can fault it."""
    monkeypatch.setattr(normalization, "batch_statistics", normalization.batch_statistics)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    started = time.perf_counter()
    file = tmp_path / "right.safetensors"
    write_recording(record("numpy", "planted_faults:variance_model", x), file)
    other = record("numpy", "planted_faults:variance_model_of_another_version", x)
    report = diff(read_recording(file), other)
    seconds = time.perf_counter() - started
    assert not report.ok
    assert report.first is None
    assert "differ in structure" in report.structure
    (said,) = report.state
    assert said.startswith("buffer 1.running_var, element [")
    pattern = said.rpartition("first has ")[2].partition("; ")[2]
    ROWS["BatchNorm's biased running variance, between two versions"] = [
        "names `buffer 1.running_var`",
        "update",
        "the versions differ",
        pattern,
        f"{seconds:.1f}",
        "none: every operation is right",
    ]


CRASHES = {
    "crash": ("crash of the process at some sizes", "ended by SIGSEGV"),
    "hang": ("a kernel that never returns", "took more than"),
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_backend_that_ends_its_process_is_found_named_and_reproduced(
    name: str, tmp_path: Path
) -> None:
    what, said = CRASHES[name]
    started = time.perf_counter()
    report = diff(
        "numpy",
        f"planted_faults:{name}",
        "planted_faults:race_model",
        X,
        folder=tmp_path if name == "crash" else None,
        isolated=True,
        seconds=10.0 if name == "hang" else 300.0,
    )
    seconds = time.perf_counter() - started
    first = report.first
    assert first is not None
    assert (first.operation.op, first.verdict.verdict) == ("tanh", "candidate wrong")
    assert said in first.verdict.note
    # All that came after was compared by another process.
    assert [e for e in report.entries if not e.ok] == [first]
    alone = "-"
    if name == "crash":
        assert "planted_faults.py" in first.verdict.note
        done = subprocess.run(
            [sys.executable, report.files["reproducer"]], capture_output=True, text=True, cwd="/"
        )
        assert done.returncode == 1, done.stdout + done.stderr
        assert "AssertionError: tanh" in done.stderr
        assert "SIGSEGV" in done.stderr
        alone = "fails"
    ROWS[what] = [
        "`tanh`",
        "forward",
        "candidate wrong",
        f"the process {said} ...",
        f"{seconds:.1f}",
        alone,
    ]


def test_a_factory_or_a_reference_that_ends_the_process_says_so() -> None:
    with pytest.raises(TargetError, match="exited with 7"):
        diff("numpy", "planted_faults:exits", "planted_faults:race_model", X, isolated=True)
    report = diff("planted_faults:crash", "numpy", "planted_faults:race_model", X, isolated=True)
    assert report.first is not None
    assert report.first.verdict.verdict == "reference wrong"
    assert "ended by SIGSEGV" in report.first.verdict.note
