"""``isograd doctor``: what is installed, what computes, and what to do about what is missing."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping

import typer
from rich.console import Console
from rich.text import Text

from isograd.cli._console import new_table, output
from isograd.cli._facts import Facts, collect

__all__ = ["print_doctor", "print_edge_policy"]


def print_doctor(*, as_json: bool) -> None:
    """Print the facts about this installation and machine."""
    facts = collect()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    console = output()
    _pairs(
        console,
        "Versions",
        {name: found or "not installed" for name, found in facts["versions"].items()},
    )
    _pairs(console, "Machine", facts["machine"])
    _print_backends(console, facts)
    _print_blas(console, facts)
    _pairs(console, "Threads", facts["threads"])
    _print_caches(console, facts)
    _pairs(console, "Modes of this thread", facts["modes"])
    _pairs(
        console,
        "Environment",
        facts["environment"] or {"(none of the variables that matter is set)": ""},
    )


def _heading(console: Console, text: str) -> None:
    console.print(Text(text, style="bold"))


def _pairs(console: Console, heading: str, pairs: Mapping[str, object]) -> None:
    _heading(console, heading)
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        _indented(console, f"{name:<{width}}  {value}", hanging=width + 2)
    console.print()


def _indented(console: Console, text: str, indent: int = 2, hanging: int = 2) -> None:
    """Print a line that wraps below itself, so that it stays readable in a narrow terminal."""
    hanging = min(hanging, console.width // 3)
    width = max(console.width - indent, 20)
    first, *rest = textwrap.wrap(text, width, drop_whitespace=False) or [""]
    lines = [first, *textwrap.wrap("".join(rest), width - hanging)]
    for number, line in enumerate(lines):
        console.print(Text(" " * (indent + (hanging if number else 0)) + line.strip()))


def _print_backends(console: Console, facts: Facts) -> None:
    _heading(console, "Backends")
    for backend in facts["backends"]:
        state = "available" if backend["available"] else "not available"
        mark = ", the default" if backend["default"] else ""
        version = f" {backend['version']}" if backend["version"] else ""
        _indented(console, f"{backend['name']}{version} on {backend['device']}: {state}{mark}")
        if backend["reason"]:
            _indented(console, backend["reason"], indent=4)
        for name, value in backend["details"].items():
            _indented(console, f"{name}: {value}", indent=4)
    console.print()


def _print_blas(console: Console, facts: Facts) -> None:
    _heading(console, "BLAS")
    for blas in facts["blas"]:
        threads = "" if blas["threads"] is None else f", {blas['threads']} threads"
        _indented(console, f"{blas['library']} {blas['version']}, kernel {blas['kernel']}{threads}")
    console.print()


def _print_caches(console: Console, facts: Facts) -> None:
    _heading(console, "Caches")
    for cache in facts["caches"]:
        mode = f", mode {cache['mode']}" if cache["mode"] else ""
        _indented(console, f"{cache['owner']}: {cache['state']}{mode}")
    if not facts["caches"]:
        _indented(console, "none")
    console.print()


def print_edge_policy(*, as_json: bool) -> None:
    """Print the table of edge cases, each of which is a test on every backend."""
    from isograd.testing.edge_policy import EDGE_ROWS, POLICIES

    if as_json:
        rows = [{"case": r.case, "expected": r.expected, "policy": r.policy} for r in EDGE_ROWS]
        typer.echo(json.dumps({"policies": dict(POLICIES), "rows": rows}, indent=2))
        return
    console = output()
    _pairs(console, "Edge policy: equal on every backend, every row a test", POLICIES)
    table = new_table("case", "value / gradient", "policy")
    for row in EDGE_ROWS:
        table.add_row(Text(row.case), Text(row.expected), row.policy)
    console.print(table)
