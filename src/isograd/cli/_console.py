"""What the commands share: consoles, progress bars, tables, and the choice of names from lists."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import isograd

__all__ = [
    "Advance",
    "choose",
    "choose_backends",
    "new_table",
    "output",
    "progress",
    "verdict",
    "write_json",
]


def output() -> Console:
    """Return a console for results: colours and width of the terminal, plain text when piped."""
    return Console(highlight=False, soft_wrap=False)


class Advance(Protocol):
    """Moves a progress bar on, and may say what is running now."""

    def __call__(self, steps: int = 1, /, *, doing: str | None = None) -> None: ...


@contextmanager
def progress(description: str, total: int) -> Iterator[Advance]:
    """Show a progress bar on standard error while the block runs, if that is a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task(description, total=total)

    def advance(steps: int = 1, /, *, doing: str | None = None) -> None:
        bar.update(task, advance=steps, description=description if doing is None else doing)

    with bar:
        yield advance


def new_table(*columns: str, numeric: Sequence[str] = (), title: str | None = None) -> Table:
    """Return a table that folds long cells instead of cutting them."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in numeric else "left", overflow="fold")
    return table


def verdict(passed: bool) -> Text:
    """Return a word that reads the same without colours."""
    return Text("ok", style="green") if passed else Text("FAIL", style="bold red")


def choose(kind: str, wanted: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Return the names asked for, in the order of ``known``; all of them where none was asked for.

    Raises
    ------
    typer.BadParameter
        If a name is unknown; the message has the nearest names. The command exits with 2.
    """
    if not wanted:
        return list(known)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = (
                f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}"
            )
            raise typer.BadParameter(f"there is no {kind} {name!r}; {hint}")
    return [name for name in known if name in set(wanted)]


def choose_backends(wanted: Sequence[str] | None) -> list[str]:
    """Return the available backends asked for; all available ones where none was asked for.

    Raises
    ------
    typer.BadParameter
        If a backend is unknown, or cannot run here; the message says why.
    """
    records = isograd.backends()
    chosen = choose("backend", wanted, [record.name for record in records])
    if wanted:
        for record in records:
            if record.name in chosen and not record.available:
                raise typer.BadParameter(
                    f"backend {record.name!r} cannot run here: {record.reason}"
                )
    available = [record.name for record in records if record.available and record.name in chosen]
    # The reference first, so that the others are read against it.
    return sorted(available, key=lambda name: name != "numpy")


def write_json(file: Path, results: Any) -> None:
    """Write results as indented JSON.

    Raises
    ------
    typer.BadParameter
        If the file cannot be written.
    """
    try:
        file.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"cannot write {str(file)!r}: {error.strerror}") from error
