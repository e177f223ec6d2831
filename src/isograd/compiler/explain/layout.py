"""What a report is made of: sections with titles, each rendered as text, HTML and JSON alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Column", "Facts", "Kind", "Listing", "ProgramReport", "Section", "Table", "shown"]

Kind = Literal["text", "code", "count", "bytes", "flops", "seconds"]
"""How a value is shown. JSON has numbers as they are: bytes, operations, seconds."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: Kind = "text"

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers, which are aligned at the right."""
        return self.kind not in ("text", "code")


@dataclass(frozen=True)
class Facts:
    """Names with values."""

    key: str
    title: str
    values: Sequence[tuple[str, Any, Kind]]

    def plain(self) -> Any:
        """Return what JSON has of it."""
        return {name: value for name, value, _ in self.values}


@dataclass(frozen=True)
class Table:
    """Rows under columns.

    Attributes
    ----------
    key
        Its name in JSON.
    note
        A sentence on how to read it.
    bars
        The column that HTML shows as bars too; the longest is the largest value.
    folded
        Whether HTML shows it closed at first.
    """

    key: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    bars: str = ""
    folded: bool = False

    def plain(self) -> Any:
        """Return what JSON has of it."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Listing:
    """Lines of a program.

    Attributes
    ----------
    folded
        Whether HTML shows it closed at first.
    long
        Whether text has it only where it is asked for.
    """

    key: str
    title: str
    lines: Sequence[str]
    note: str = ""
    folded: bool = True
    long: bool = False

    def plain(self) -> Any:
        """Return what JSON has of it."""
        return list(self.lines)


Section = Facts | Table | Listing


@dataclass(frozen=True)
class ProgramReport:
    """The sections about one program."""

    title: str
    sections: Sequence[Section]

    def plain(self) -> Mapping[str, Any]:
        """Return what JSON has of it: each section under its key."""
        return {"title": self.title, **{s.key: s.plain() for s in self.sections}}


def shown(value: Any, kind: Kind) -> str:
    """Return a value as a reader wants it; nothing for None.

    Examples
    --------
    >>> shown(1536, "bytes"), shown(2_500_000, "flops"), shown(0.00042, "seconds")
    ('1.5 KiB', '2.5 M', '420 us')
    """
    if value is None:
        return ""
    if kind == "count":
        return f"{value:,}"
    if kind == "bytes":
        return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))
    if kind == "flops":
        return _scaled(value, 1000, ("", "k", "M", "G", "T", "P"))
    if kind == "seconds":
        return _scaled(value * 1e9, 1000, ("ns", "us", "ms", "s")) if value < 1000 else f"{value} s"
    return str(value)


def _scaled(value: float, step: int, units: Sequence[str]) -> str:
    place = 0
    while value >= step and place < len(units) - 1:
        value /= step
        place += 1
    number = f"{value:.0f}" if place == 0 or value >= 99.95 else f"{value:.1f}"
    return f"{number.removesuffix('.0')} {units[place]}".strip()
