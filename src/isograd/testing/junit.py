"""Reports as JUnit XML, which CI systems read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from isograd.testing.report import Cell, Report

__all__ = ["junit_of"]

# Characters that XML 1.0 cannot hold at all.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;"}
_STOPPED = (
    '<testsuite name="complete" tests="1" errors="1"><testcase classname="complete" name="run">'
    '<error message="the run was stopped before its end"/></testcase></testsuite>'
)


def junit_of(report: Report) -> str:
    """Return a report as JUnit XML: a suite for each check, a case for each cell.

    Examples
    --------
    >>> from isograd.testing import Cell
    >>> text = junit_of(Report((Cell("exp", "forward", "numpy", "float32", "pass"),)))
    >>> '<testcase classname="forward" name="exp[numpy-float32]"/>' in text
    True
    """
    checks = dict.fromkeys(cell.check for cell in report.cells)
    suites = [
        _suite(check, [cell for cell in report.cells if cell.check == check]) for check in checks
    ]
    if not report.complete:
        suites.append(_STOPPED)
    missing = int(not report.complete)
    counts = (
        f'tests="{len(report.cells) + missing}" failures="{len(report.failures)}" '
        f'errors="{missing}"'
    )
    head = f'<testsuites name="isograd check" {counts} time="{report.seconds:.3f}">'
    return "\n".join(['<?xml version="1.0" encoding="utf-8"?>', head, *suites, "</testsuites>", ""])


def _suite(check: str, cells: Sequence[Cell]) -> str:
    failed = sum(not cell.ok for cell in cells)
    head = f'<testsuite name="{_text(check)}" tests="{len(cells)}" failures="{failed}">'
    return "\n".join([head, *map(_case, cells), "</testsuite>"])


def _case(cell: Cell) -> str:
    name = _text(f"{cell.op}[{cell.backend}-{cell.dtype}]")
    head = f'<testcase classname="{_text(cell.check)}" name="{name}"'
    if cell.ok:
        return f"{head}/>"
    return (
        f'{head}><failure message="{_text(cell.message)}">{_text(str(cell))}</failure></testcase>'
    )


def _text(text: str) -> str:
    kept = _FORBIDDEN.sub("?", text)
    return "".join(_ENTITIES.get(c, c) for c in kept)
