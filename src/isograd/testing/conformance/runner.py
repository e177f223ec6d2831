"""Running the kit: each group in a process of its own, started again where a backend crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from isograd.backend import Backend
from isograd.testing.conformance.certificate import Certificate, certificate_of
from isograd.testing.conformance.groups import group_names, operations_of, run_group
from isograd.testing.differ.targets import parse_side
from isograd.testing.report import Cell

__all__ = ["conform"]

Progress = Callable[[int, int, str], None]

SECONDS_PER_OPERATION = 300.0
"""How long one operation of one group may take before its process is ended."""


def conform(
    factory: Any,
    /,
    *,
    groups: Sequence[str] | None = None,
    ops: Sequence[str] | None = None,
    isolated: bool = True,
    progress: Progress | None = None,
) -> Certificate:
    """Ask everything of a backend that the conformance kit asks.

    Parameters
    ----------
    factory
        ``"pkg.mod:factory"``, the name of an installed backend, or, without isolation, a backend.
    groups
        The groups, None for all.
    ops
        The operations, None for all. A certificate of fewer is not complete.
    isolated
        Whether each group runs in a process of its own, so that a crash is a failing cell.
    progress
        Called with how many operations are done, of how many, and what is running.

    Returns
    -------
    Certificate
        True where the backend conforms.

    Raises
    ------
    TargetError
        If the factory cannot be had.
    KeyError
        If there is no such group.

    Examples
    --------
    >>> bool(conform("numpy", groups=["complete"], isolated=False).failures)
    False
    """
    wanted = group_names() if groups is None else tuple(groups)
    for name in wanted:
        if name not in group_names():
            raise KeyError(f"conform: there is no group {name!r}; choose from {group_names()}")
    backend = parse_side(factory).backend
    todo = {
        name: [op for op in operations_of(name) if op == "*" or ops is None or op in ops]
        for name in wanted
    }
    total, done = sum(map(len, todo.values())), 0
    found: dict[str, list[Cell]] = {}
    for name, names in todo.items():
        cells = found.setdefault(name, [])
        run = _isolated(str(factory), name, names) if isolated else _here(backend, name, names)
        for op, made in run:
            cells.extend(made)
            done += 1
            if progress is not None:
                progress(done, total, f"{name}: {op}")
    complete = groups is None and ops is None
    return certificate_of(
        factory if isinstance(factory, str) else backend.name, backend, found, complete=complete
    )


def _here(backend: Backend, group: str, ops: Sequence[str]) -> Iterator[tuple[str, list[Cell]]]:
    for op in ops:
        try:
            yield from run_group(backend, group, None if op == "*" else [op])
        except Exception as error:  # a backend may raise anything
            yield op, [_failed(backend.name, group, op, f"{type(error).__name__}: {error}")]


def _isolated(factory: str, group: str, ops: Sequence[str]) -> Iterator[tuple[str, list[Cell]]]:
    left = list(ops)
    while left:
        running = ""
        with _Worker(factory, group, left) as worker:
            for line in worker.lines():
                running = line.get("start", running)
                if "done" in line:
                    left.remove(line["done"])
                    running = ""
                    yield line["done"], [_cell(row) for row in line["cells"]]
        if not left:
            return
        # The process ended early: what was running is to blame, and the rest is tried again.
        victim = running or left[0]
        left.remove(victim)
        yield victim, [_failed(factory, group, victim, worker.epitaph())]


class _Worker:
    """One process that runs a group."""

    def __init__(self, factory: str, group: str, ops: Sequence[str]) -> None:
        command = [sys.executable, "-m", "isograd.testing.conformance.worker", factory, group]
        path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [*command, *ops],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._errors: list[str] = []
        self._timed_out = False
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill() if self._process.poll() is None else None
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._errors.append(line.rstrip())
            del self._errors[:-20]

    def _end(self) -> None:
        self._timed_out = True
        self._process.kill()

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield what the process says, until it ends."""
        assert self._process.stdout is not None
        while True:
            timer = threading.Timer(SECONDS_PER_OPERATION, self._end)
            timer.start()
            line = self._process.stdout.readline()
            timer.cancel()
            if not line:
                self._process.wait()
                return
            yield json.loads(line)

    def epitaph(self) -> str:
        """Say how the process ended."""
        if self._timed_out:
            return f"it took more than {SECONDS_PER_OPERATION:.0f} s and was ended"
        code = self._process.returncode
        how = f"exited with {code}"
        if code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        last = next((line for line in reversed(self._errors) if line.strip()), "")
        return f"the process {how}{': ' + last if last else ''}"


def _cell(row: dict[str, Any]) -> Cell:
    row["error"] = float(row["error"])
    return Cell(**row)


def _failed(backend: str, group: str, op: str, message: str) -> Cell:
    return Cell(op, group, backend, "*", "fail", float("inf"), "", message, 1)
