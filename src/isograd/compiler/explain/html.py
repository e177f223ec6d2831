"""Reports as one HTML file that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from isograd.compiler.explain.layout import Facts, Listing, ProgramReport, Section, Table, shown

__all__ = ["html_of"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6570; --line: #dfe3e8; --back: #fff;
  --card: #f6f8fa; --bar: #b9d7f5; --accent: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #9aa5b1; --line: #323a42;
  --back: #14181c; --card: #1c2127; --bar: #1f4a75; --accent: #6fb1f2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 84rem; color: var(--ink);
  background: var(--back); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; padding-bottom: .3rem;
  border-bottom: 2px solid var(--line); overflow-wrap: anywhere; }
nav a { margin-right: 1rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:target > td { background: var(--card); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: .5rem;
  margin: 0; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .4rem .7rem; }
dl div.wide { grid-column: span 2; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; }
details { margin: .8rem 0; border: 1px solid var(--line); border-radius: 6px; }
summary { cursor: pointer; padding: .45rem .8rem; font-weight: 600; background: var(--card);
  border-radius: 6px; }
summary small { color: var(--soft); font-weight: 400; }
.body { padding: .4rem .8rem .8rem; overflow-x: auto; }
.body p { color: var(--soft); font-size: .85rem; margin: .3rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th { text-align: left; color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
th, td { padding: .2rem .6rem; vertical-align: top; }
tr + tr > td { border-top: 1px solid var(--line); }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar { background: linear-gradient(to left, var(--bar) var(--share), transparent var(--share));
  min-width: 11rem; }
.code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: .82rem; }
td.code { overflow-wrap: anywhere; min-width: 5rem; }
pre { margin: 0; line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere; }
footer { margin-top: 2rem; color: var(--soft); font-size: .8rem; }
@media print { details { break-inside: auto; } body { max-width: none; } }
"""

_VALUE = re.compile(r"%(\d+)")


def html_of(title: str, programs: Sequence[ProgramReport], footer: str) -> str:
    """Return a report as an HTML page without scripts or outside resources."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
    ]
    if len(programs) > 1:
        links = [f'<a href="#p{i}">{escape(p.title)}</a>' for i, p in enumerate(programs)]
        parts.append(f"<nav>{' '.join(links)}</nav>")
    for number, program in enumerate(programs):
        parts.append(f'<section id="p{number}"><h2>{escape(program.title)}</h2>')
        for section in program.sections:
            parts += _section(section, f"p{number}v")
        parts.append("</section>")
    parts.append(f"<footer>{escape(footer)}</footer></body></html>")
    return "\n".join(parts) + "\n"


def _section(section: Section, prefix: str) -> Iterator[str]:
    if isinstance(section, Facts):
        yield f'<dl aria-label="{escape(section.title)}">'
        for name, value, kind in section.values:
            text = shown(value, kind)
            wide = ' class="wide"' if len(text) > 30 else ""
            yield f"<div{wide}><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>"
        yield "</dl>"
        return
    is_table = isinstance(section, Table)
    count = len(section.rows) if is_table else len(section.lines)
    state = "" if section.folded else " open"
    yield f"<details{state}><summary>{escape(section.title)} <small>{count:,}</small></summary>"
    yield '<div class="body">'
    if section.note:
        yield f"<p>{escape(section.note)}</p>"
    yield from _table(section, prefix) if is_table else _listing(section)
    yield "</div></details>"


def _listing(listing: Listing) -> Iterator[str]:
    yield "<pre>" + "\n".join(map(escape, listing.lines)) + "</pre>"


def _table(table: Table, prefix: str) -> Iterator[str]:
    if not table.rows:
        yield "<p>none</p>"
        return
    names = [column.name for column in table.columns]
    place = names.index(table.bars) if table.bars else None
    values = [] if place is None else [row[place] or 0 for row in table.rows]
    heads = [
        f'<th class="{"number" if c.numeric else "text"}">{escape(c.name)}</th>'
        for c in table.columns
    ]
    yield f"<table><thead><tr>{''.join(heads)}</tr></thead><tbody>"
    defines = table.columns[0].name == "value" and table.key in ("inputs", "constants")
    for row in table.rows:
        cells = "".join(_cells(table, row, prefix, place, values))
        first = _VALUE.match(str(row[0])) if defines else None
        mark = f' id="{prefix}{first[1]}"' if first else ""
        yield f"<tr{mark}>{cells}</tr>"
    yield "</tbody></table>"


def _cells(
    table: Table, row: Sequence[Any], prefix: str, place: int | None, values: Sequence[float]
) -> Iterator[str]:
    for number, (value, column) in enumerate(zip(row, table.columns, strict=True)):
        text = escape(shown(value, column.kind))
        if column.kind == "code" and column.name in ("value", "equation"):
            text = _linked(text, prefix)
        kind = "number" if column.numeric else column.kind
        style = ""
        if number == place and any(values):
            length, share = (value or 0) / max(values), (value or 0) / sum(values)
            kind, style = "number bar", f' style="--share:{length:.1%}" title="{share:.1%} of all"'
        yield f'<td class="{kind}"{style}>{text}</td>'


def _linked(equation: str, prefix: str) -> str:
    """Make values lead to where they are defined: left of the equals sign."""
    left, equals, right = equation.partition(" = ")
    if not equals:
        return _VALUE.sub(rf'<a href="#{prefix}\1">%\1</a>', left)
    left = _VALUE.sub(rf'<b id="{prefix}\1">%\1</b>', left)
    return left + equals + _VALUE.sub(rf'<a href="#{prefix}\1">%\1</a>', right)
