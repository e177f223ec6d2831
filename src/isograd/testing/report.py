"""What checks return: cells, and the report that collects them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

__all__ = ["Cell", "Report", "number"]


def number(value: float, /) -> float | str:
    """Return a number as JSON can hold it: NaN and infinities become their names.

    Examples
    --------
    >>> number(math.inf)
    'inf'
    """
    return value if math.isfinite(value) else str(value)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One check of one operation, on one backend, in one dtype.

    Attributes
    ----------
    op, check, backend, dtype : str
        What was checked.
    verdict : str
        ``"pass"``, ``"fail"``, or ``"known"`` for an accepted departure.
    error : float
        The largest error in units of its bound: at most 1 when passed.
    sample : str
        The sample with the largest error.
    message : str
        What is wrong, or why it is accepted.
    count : int
        The number of comparisons.
    """

    op: str
    check: str
    backend: str
    dtype: str
    verdict: str
    error: float = 0.0
    sample: str = ""
    message: str = ""
    count: int = 0

    @property
    def ok(self) -> bool:
        """Whether the cell does not fail."""
        return self.verdict != "fail"

    def as_dict(self) -> dict[str, Any]:
        """Return the cell as JSON can hold it; `from_dict` makes it a cell again."""
        return {**vars(self), "error": number(self.error)}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Cell:
        """Return the cell that `as_dict` wrote.

        Examples
        --------
        >>> cell = Cell("exp", "forward", "numpy", "float32", "fail", math.inf)
        >>> Cell.from_dict(cell.as_dict()) == cell
        True
        """
        fields: dict[str, Any] = {**row, "error": float(row["error"])}
        return cls(**fields)

    def __str__(self) -> str:
        head = f"{self.verdict}: {self.op}, {self.check}, {self.backend}, {self.dtype}"
        error = f": {self.error:.3g} of the bound" if self.error else ""
        where = f"\n  sample {self.sample}" if self.sample and not self.ok else ""
        what = f"\n  {self.message}" if self.message else ""
        return head + error + where + what


@dataclasses.dataclass(frozen=True)
class Report:
    """Cells, in the order in which they were checked.

    Attributes
    ----------
    cells : tuple of Cell
        All of them.
    seconds : float
        How long the checks took.
    complete : bool
        Whether they came to their end.
    """

    cells: tuple[Cell, ...]
    seconds: float = 0.0
    complete: bool = True

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of cells by verdict."""
        found = Counter(cell.verdict for cell in self.cells)
        return {verdict: found[verdict] for verdict in ("pass", "fail", "known")}

    @property
    def comparisons(self) -> int:
        """The number of comparisons in all cells."""
        return sum(cell.count for cell in self.cells)

    @property
    def failures(self) -> tuple[Cell, ...]:
        """The cells that fail."""
        return tuple(cell for cell in self.cells if not cell.ok)

    @property
    def ok(self) -> bool:
        """Whether there are cells, none fails, and none is missing."""
        return self.complete and bool(self.cells) and not self.failures

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items() if count)
        head = f"{len(self.cells)} cells ({counts}), {self.comparisons} comparisons"
        head = head if self.complete else f"stopped before the end: {head}"
        return "\n".join([f"{head}, {self.seconds:.1f} s", *map(str, self.failures)])

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the report as JSON: ``{"ok", "complete", ..., "cells": [...]}``.

        Examples
        --------
        >>> json.loads(Report(()).to_json())["ok"]
        False
        """
        content = {
            "ok": self.ok,
            "complete": self.complete,
            "counts": dict(self.counts),
            "seconds": self.seconds,
            "cells": [cell.as_dict() for cell in self.cells],
        }
        return json.dumps(content, indent=indent)
