"""What got worse between two reports of `isograd check`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from isograd.core.errors import IsogradError

__all__ = ["ReportError", "read_report", "worse"]

_KEYS = ("op", "check", "kind", "name", "backend", "dtype")
_FACTOR = 2.0
_LEAST = 0.25


class ReportError(IsogradError, ValueError):
    """A file that is no report of `isograd check`.

    Mistake: passing a certificate of a backend to ``isograd check --against``.
    Fix: pass what ``isograd check --json`` wrote.
    """


def read_report(file: Path | str) -> dict[str, Any]:
    """Read what ``isograd check --json`` wrote.

    Raises
    ------
    ReportError
        If the file cannot be read, is something else, or is of a run that was stopped.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        rows: Any = content["cells"]
        if any(not isinstance(row, dict) for row in rows):
            raise TypeError("cells that are no objects")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReportError(
            f"check: {str(file)!r} is no report ({type(error).__name__}: {error}); pass what "
            "isograd check --json wrote"
        ) from error
    if content.get("complete") is False:
        raise ReportError(
            f"check: {str(file)!r} is of a run that was stopped before its end; run isograd check "
            "--json again, to the end"
        )
    return content


def worse(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say which cells got worse: fail now, are gone, or have an error that is twice as large.

    Parameters
    ----------
    old, new
        Reports, as JSON has them. Errors below a quarter of their bound do not count.

    Examples
    --------
    >>> row = {"op": "exp", "check": "forward", "backend": "numpy", "dtype": "float32"}
    >>> old = {"cells": [{**row, "verdict": "pass", "error": 0.3}]}
    >>> worse(old, {"cells": [{**row, "verdict": "pass", "error": 0.9}]})
    ['exp forward numpy float32: the error grew from 0.3 to 0.9 of its bound']
    """
    before, now = _by_key(old["cells"]), _by_key(new["cells"])
    found: list[str] = []
    for key, row in before.items():
        name = " ".join(key)
        if key not in now:
            found.append(f"{name}: was checked, and is not any more")
            continue
        was, is_now = _error(row), _error(now[key])
        if now[key].get("verdict") == "fail":
            if row.get("verdict") != "fail":
                found.append(f"{name}: fails now: {now[key].get('message', '')}")
        elif is_now > max(_LEAST, _FACTOR * was):
            found.append(f"{name}: the error grew from {was:.3g} to {is_now:.3g} of its bound")
    return found


def _by_key(rows: Sequence[Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    known = [cast("dict[str, Any]", row) for row in rows]
    return {tuple(str(row[key]) for key in _KEYS if key in row): row for row in known}


def _error(row: Mapping[str, Any]) -> float:
    try:
        value = float(row.get("error", 0.0))
    except (TypeError, ValueError):
        return math.inf
    return math.inf if math.isnan(value) else value
