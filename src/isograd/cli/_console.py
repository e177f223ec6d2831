"""What the commands share: consoles, progress bars, tables, and the choice of names from lists."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import os
import signal
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import isograd

__all__ = [
    "Bar",
    "bounds_text",
    "choose",
    "choose_backends",
    "finite",
    "new_table",
    "output",
    "processes",
    "stoppable",
    "verdict",
    "write_json",
]


def output() -> Console:
    """Return a console for results: colours and width of the terminal, plain text when piped."""
    return Console(highlight=False, soft_wrap=False)


class Bar:
    """A progress bar on standard error; it draws nothing where that is not a terminal."""

    def __init__(self, description: str, total: int | None = None) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(description, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move on by some steps."""
        self._progress.advance(self._task, steps)

    def say(self, description: str) -> None:
        """Name what is running now."""
        self._progress.update(self._task, description=description)

    def show(self, done: int, total: int, description: str) -> None:
        """Set everything at once."""
        self._progress.update(self._task, completed=done, total=total, description=description)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()


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
    for name in wanted or ():
        if ":" in name:
            raise typer.BadParameter(
                f"{name!r} is the factory of a backend; ask it with isograd conform {name}"
            )
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


def processes(wanted: int | None) -> int:
    """Return how many processes share the work: one for each core where no number was given."""
    return (os.cpu_count() or 1) if wanted is None else wanted


@contextlib.contextmanager
def stoppable() -> Generator[Callable[[], int]]:
    """Let SIGTERM end the work inside as Ctrl-C does: with `KeyboardInterrupt`.

    Yields
    ------
    callable
        Returns the exit status of a command that was stopped: 130 after Ctrl-C, 143 after SIGTERM.
    """
    seen = [signal.SIGINT]

    def stop(number: int, _: Any) -> None:
        seen[0] = signal.Signals(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield lambda: 128 + seen[0]
    finally:
        signal.signal(signal.SIGTERM, before)


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


def bounds_text(error: float) -> str:
    """Return an error in units of its bound with three digits."""
    return "NaN" if math.isnan(error) else f"{error:.3g}"


def finite(value: Any) -> Any:
    """Return the value, or its name where it is a float that JSON has no number for."""
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)
