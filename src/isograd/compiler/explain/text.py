"""Reports as text that is readable at 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from isograd.compiler.explain.layout import Facts, Listing, ProgramReport, Section, Table, shown

__all__ = ["text_of"]

_WIDTH = 100
_INDENT = "  "
#: No column is made narrower than this to fit the width.
_NARROW = 10


def text_of(title: str, programs: Sequence[ProgramReport], *, source: bool = False) -> str:
    """Return a report as text, with what is long only if ``source``."""
    lines = [title, "=" * min(len(title), _WIDTH)]
    for program in programs:
        lines += ["", program.title, "-" * min(len(program.title), _WIDTH)]
        for section in program.sections:
            if isinstance(section, Listing) and section.long and not source:
                continue
            lines += ["", section.title, *_section(section)]
    return "\n".join(lines)


def _section(section: Section) -> Iterator[str]:
    room = _WIDTH - len(_INDENT)
    if isinstance(section, Facts):
        rows = [(name, shown(value, kind)) for name, value, kind in section.values]
        yield from _aligned(rows, [False, False], room)
        return
    if section.note:
        yield from textwrap.wrap(section.note, room, initial_indent=_INDENT, subsequent_indent="  ")
    if isinstance(section, Listing):
        for line in section.lines:
            yield from textwrap.wrap(line, room, initial_indent=_INDENT, subsequent_indent="      ")
    else:
        yield from _table(section, room)


def _table(table: Table, room: int) -> Iterator[str]:
    if not table.rows:
        yield f"{_INDENT}none"
        return
    head = [column.name for column in table.columns]
    body = [
        [shown(value, column.kind) for value, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    yield from _aligned([head, *body], [column.numeric for column in table.columns], room)


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool], room: int) -> Iterator[str]:
    """Yield rows under each other; cells wrap where the widest columns do not fit."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > room and max(widths) > _NARROW:
        widths[widths.index(max(widths))] -= 1
    for row in rows:
        cells = [textwrap.wrap(cell, width or 1) for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*cells, fillvalue=""):
            line = "  ".join(
                part.rjust(width) if is_right else part.ljust(width)
                for part, width, is_right in zip(parts, widths, right, strict=True)
            )
            yield f"{_INDENT}{line}".rstrip()
