"""``isograd check``: the table of operations on every backend, in units of the bounds."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import isograd
from isograd.cli._console import (
    Bar,
    bounds_text,
    choose,
    choose_backends,
    finite,
    new_table,
    output,
    processes,
    stoppable,
    verdict,
    write_json,
)
from isograd.core.errors import IsogradError
from isograd.testing import Cell, Report, run_checks
from isograd.testing.against import ReportError, read_report, worse
from isograd.testing.certify import certify, report_of
from isograd.testing.checks import CHECKS
from isograd.testing.differ import read_inputs
from isograd.testing.gradcheck import TARGET
from isograd.testing.heatmap import html_of
from isograd.testing.interrupted import Interruption
from isograd.testing.junit import junit_of
from isograd.testing.op_db import OP_DB
from isograd.testing.op_db.spec import FLOATS

__all__ = ["run", "run_model"]

_SHOWN_FAILURES = 20


def run(
    *,
    ops: Sequence[str] | None,
    backends: Sequence[str] | None,
    dtypes: Sequence[str] | None,
    json_file: Path | None,
    html_file: Path | None = None,
    junit_file: Path | None = None,
    against: Path | None = None,
    checks: Sequence[str] | None = None,
    jobs: int | None = None,
    seconds: float,
) -> int:
    """Run the checks, print the table and every failure; return the exit status."""
    old = None if against is None else _read(against)
    op_names = choose("operation", ops, [spec.name for spec in OP_DB])
    dtype_names = choose("dtype", dtypes, FLOATS)
    chosen = choose("check", checks, (*CHECKS, "edge", "complete")) if checks else None
    backend_names = choose_backends(backends)
    with stoppable() as status_of_stop:
        try:
            with Bar("checking") as bar:
                report = run_checks(
                    op_names if ops else None,
                    backend_names,
                    tuple(dtype_names),
                    chosen,
                    progress=lambda done, total, cell: bar.show(
                        done, total, f"{cell.op} on {cell.backend}"
                    ),
                    jobs=processes(jobs),
                    seconds=seconds,
                )
        except Interruption as interruption:
            report = interruption.partial
        console = output()
        console.print(_table(report, backend_names))
        _print_failures(console, report)
        console.print(_summary(report))
        content = _as_json(report, backend_names, dtype_names)
        if json_file is not None:
            write_json(json_file, content)
        _write_pages(report, _facts(backend_names), html_file, junit_file)
    if not report.complete:
        return status_of_stop()
    return 0 if report.ok and _is_as_good(old, content) else 1


def run_model(
    model: str,
    *,
    backends: Sequence[str] | None,
    dtypes: Sequence[str] | None,
    input_file: Path | None,
    json_file: Path | None,
    against: Path | None,
    html_file: Path | None = None,
    junit_file: Path | None = None,
    jobs: int | None = None,
    seconds: float,
) -> int:
    """Check a model's gradients, print them, write the certificate; return the exit status."""
    old = None if against is None else _read(against)
    dtype_names = choose("dtype", dtypes, FLOATS) if dtypes else ["float32", "float64"]
    made = [name for name in backends or () if ":" in name]
    named = [name for name in backends or () if ":" not in name]
    chosen = [*(choose_backends(named) if named or not made else ()), *made]
    count = processes(jobs)
    try:
        inputs = () if input_file is None else read_inputs(input_file)
        with Bar("checking") as bar:
            found = certify(
                model,
                *inputs,
                backends=chosen,
                dtypes=tuple(dtype_names),
                isolated=count > 0,
                seconds=seconds,
                jobs=count,
                progress=bar.show,
            )
    except IsogradError as error:
        raise typer.BadParameter(str(error)) from error
    if json_file is not None:
        write_json(json_file, found)
    _write_pages(report_of(found), found["facts"], html_file, junit_file, model)
    console = output()
    table = new_table("what", "backend", "dtype", "error / bound", numeric=("error / bound",))
    for cell in found["cells"]:
        text = verdict(False) if cell["verdict"] == "fail" else Text()
        error = Text(f" {bounds_text(float(cell['error']))}")
        what = f"{cell['kind']} {cell['name']}"
        table.add_row(what, cell["backend"], cell["dtype"], text.append_text(error))
    console.print(table)
    for cell in found["cells"]:
        if cell["verdict"] == "fail":
            typer.echo(_why(cell))
    numeric = found["gradcheck"]
    for message in [*numeric["failures"], *numeric["notes"]]:
        typer.echo(f"numeric derivatives: {message}")
    limit, typical = float(numeric["detection_limit"]), float(numeric["typical_limit"])
    seen = (
        f"numeric derivatives would have shown a relative error of {TARGET:.0e} in "
        f"{100.0 * numeric['seen']:.4g} % of the coordinates with a derivative, above "
        f"{typical:.1e} in the median one and {limit:.1e} in any"
    )
    other = "numeric derivatives " + ("failed" if numeric["failures"] else "show nothing")
    told = seen if math.isfinite(limit) and not numeric["failures"] else other
    line = f"  {found['model']}: {told}; hash {found['sha256'][:16]}"
    console.print(verdict(found["passed"]).append(line, style="default not bold"))
    return 0 if found["passed"] and _is_as_good(old, found) else 1


def _why(cell: Mapping[str, Any]) -> str:
    place = f"{cell['kind']} {cell['name']} on {cell['backend']} in {cell['dtype']}"
    if cell["kind"] == "run":
        return f"{place}: {cell['message']}"
    numbers = f"is {cell['value']!r} where {cell['reference']!r} is right"
    return f"{place}: element {cell['index']} {numbers}; {cell['message']}"


def _write_pages(
    report: Report,
    facts: Mapping[str, str],
    html_file: Path | None,
    junit_file: Path | None,
    model: str = "",
) -> None:
    if html_file is not None:
        html_file.write_text(html_of(report, facts, model=model), encoding="utf-8")
    if junit_file is not None:
        junit_file.write_text(junit_of(report), encoding="utf-8")


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_report(file)
    except ReportError as error:
        raise typer.BadParameter(str(error)) from error


def _is_as_good(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Print what got worse; tell whether nothing did."""
    found = [] if old is None else worse(old, new)
    for line in found:
        typer.echo(f"worse: {line}")
    if old is not None and not found:
        typer.echo("nothing got worse")
    return not found


def _facts(backends: Sequence[str]) -> dict[str, str]:
    records = {record.name: record.version for record in isograd.backends()}
    versions = {f"backend {name}": records[name] for name in backends}
    return {"isograd": isograd.__version__, "Python": platform.python_version(), **versions}


def _table(report: Report, backends: Sequence[str]) -> Table:
    """Return operations by backends; a cell has the worst error over checks and dtypes."""
    by_place: dict[tuple[str, str], list[Cell]] = {}
    for cell in report.cells:
        by_place.setdefault((cell.op, cell.backend), []).append(cell)
    table = new_table("operation", *backends, numeric=backends)
    for op in dict.fromkeys(cell.op for cell in report.cells):
        found = [by_place.get((op, backend), []) for backend in backends]
        if any(found):
            table.add_row(op, *map(_cell_text, found))
    return table


def _cell_text(cells: Sequence[Cell]) -> Text:
    if not cells:
        return Text("-", style="dim")
    worst = max(cells, key=lambda cell: (not cell.ok, cell.error))
    text = verdict(worst.ok) if not worst.ok or not worst.error else Text()
    if worst.error:
        text.append(f"{' ' if text else ''}{bounds_text(worst.error)}")
    if worst.ok and any(cell.verdict == "known" for cell in cells):
        text.append(" (known)", style="yellow")
    return text


def _print_failures(console: Console, report: Report) -> None:
    """Print what is wrong, once where the same is wrong in several places."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in report.failures:
        groups.setdefault((cell.op, cell.message), []).append(cell)
    for (op, message), cells in list(groups.items())[:_SHOWN_FAILURES]:
        worst = max(cells, key=lambda cell: cell.error)
        console.print(Text(f"{op}: {message}", style="bold"))
        for name in ("check", "backend", "dtype"):
            console.print(f"  {name}: {', '.join(dict.fromkeys(getattr(c, name) for c in cells))}")
        if worst.sample:
            console.print(Text(f"  sample: {worst.sample}"))
        if math.isfinite(worst.error):
            console.print(f"  error: {bounds_text(worst.error)} bounds")
    hidden = len(groups) - _SHOWN_FAILURES
    if hidden > 0:
        console.print(f"... and {hidden} more; choose operations with --op to see theirs")


def _summary(report: Report) -> Text:
    if not report.cells and report.complete:
        return Text("Nothing to check: no chosen operation has a chosen dtype.", style="yellow")
    counts = ", ".join(f"{n} {what}" for what, n in report.counts.items() if n)
    line = (
        f"{len(report.cells)} cells ({counts}), {report.comparisons} comparisons, "
        f"{report.seconds:.1f} s. Numbers: worst error in units of its bound; 1 passes."
    )
    if not report.complete:
        line = f"Stopped before the end, so this is a part only: {line}"
    return verdict(report.ok).append(f"  {line}", style="default not bold")


def _as_json(report: Report, backends: Sequence[str], dtypes: Sequence[str]) -> dict[str, Any]:
    return {
        "command": "check",
        "isograd": isograd.__version__,
        "python": platform.python_version(),
        "backends": list(backends),
        "dtypes": list(dtypes),
        "passed": report.ok,
        "complete": report.complete,
        "counts": dict(report.counts),
        "comparisons": report.comparisons,
        "seconds": report.seconds,
        "cells": [
            {
                "op": cell.op,
                "check": cell.check,
                "backend": cell.backend,
                "dtype": cell.dtype,
                "verdict": cell.verdict,
                "error": finite(cell.error),
                "sample": cell.sample,
                "message": cell.message,
                "count": cell.count,
            }
            for cell in report.cells
        ],
    }
