"""Running the kit, in processes of their own, which are started again where a backend crashes."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from isograd.backend import Backend
from isograd.core.errors import IsogradError
from isograd.testing.conformance.certificate import Certificate, facts_of
from isograd.testing.conformance.groups import (
    WHOLE,
    group_names,
    operations_of,
    run_group,
)
from isograd.testing.differ.targets import TargetError, parse_side
from isograd.testing.interrupted import Interruption, gather
from isograd.testing.isolated import RefusedError, Worker, spread
from isograd.testing.raised import told
from isograd.testing.report import Cell

__all__ = ["conform", "serve"]

Progress = Callable[[int, int, str], None]

SECONDS_PER_OPERATION = 300.0
"""How long one operation of one group may take before its process is ended."""

MEMORY_OF_A_PROCESS = 1 << 30
"""How many bytes a process may keep: libraries that compile keep a program for each shape."""

_FACTS = b"facts"


def conform(
    factory: Any,
    /,
    *,
    groups: Sequence[str] | None = None,
    ops: Sequence[str] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Certificate:
    """Ask everything of a backend that the conformance kit asks.

    Parameters
    ----------
    factory
        ``"pkg.mod:factory"``, the name of an installed backend, or, without processes, a backend.
    groups
        The groups, None for all.
    ops
        The operations, None for all. A certificate of fewer is not complete.
    jobs
        How many processes share the work. A crash in one is a failing cell. With 0 it is done in
        this process.
    progress
        Called with how many operations are done, of how many, and what was done.

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
    Interruption
        If it is stopped, with Ctrl-C as a rule; a `KeyboardInterrupt` that has the partial
        certificate.

    Examples
    --------
    >>> bool(conform("numpy", groups=["complete"], jobs=0).failures)
    False
    """
    wanted = group_names() if groups is None else tuple(groups)
    for name in wanted:
        if name not in group_names():
            raise KeyError(f"conform: there is no group {name!r}; choose from {group_names()}")
    todo = {
        name: [op for op in operations_of(name) if name in WHOLE or ops is None or op in ops]
        for name in wanted
    }
    # All groups of an operation together, since they share what is right for its samples.
    by_op: dict[str, list[tuple[str, str]]] = {}
    for group, names in todo.items():
        for op in names:
            by_op.setdefault(f"{group}: {op}" if group in WHOLE else op, []).append((group, op))
    chunks = list(by_op.values())
    if jobs:
        facts, run = _facts(factory), _in_processes(factory, chunks, jobs)
    else:
        backend = parse_side(factory).backend
        facts, run = facts_of(backend), _here(backend, chunks)
    total = sum(map(len, chunks))

    def each(done: int, place: tuple[str, str], cells: list[Cell]) -> None:
        if progress is not None:
            progress(done, total, ": ".join(place))

    found, ended = gather(run, each)
    ordered = {
        group: [cell for op in names for cell in found.get((group, op), ())]
        for group, names in todo.items()
    }
    text = factory if isinstance(factory, str) else facts["backend"]
    everything = groups is None and ops is None
    certificate = Certificate(text, facts, ordered, complete=ended and everything)
    if not ended:
        raise Interruption(certificate)
    return certificate


_Done = Generator[tuple[tuple[str, str], list[Cell]]]


def _here(backend: Backend, chunks: Sequence[Sequence[tuple[str, str]]]) -> _Done:
    for group, op in (step for chunk in chunks for step in chunk):
        try:
            yield (group, op), _run(backend, group, op)
        except Exception as error:  # a backend may raise anything
            yield (group, op), [_failed(backend.name, group, op, told(error))]


def _run(backend: Backend, group: str, op: str) -> list[Cell]:
    found = run_group(backend, group, None if op == "*" else [op])
    return [cell for _, cells in found for cell in cells]


def _start(factory: Any) -> Worker:
    if not isinstance(factory, str):
        raise TargetError(
            f"conform: {type(factory).__name__} cannot be sent to another process; name a "
            "factory, as pkg.mod:factory, or pass jobs=0"
        )
    return Worker(
        f"{__name__}:serve", factory, seconds=SECONDS_PER_OPERATION, memory=MEMORY_OF_A_PROCESS
    )


def _facts(factory: Any) -> Mapping[str, str]:
    with _start(factory) as worker:
        try:
            return json.loads(worker.ask(_FACTS))
        except RefusedError as error:
            raise TargetError(str(error)) from error
        except IsogradError as error:
            raise TargetError(
                f"conform: making {factory!r} failed: {error}; call it in Python to see where"
            ) from error


def _in_processes(factory: str, chunks: Sequence[Sequence[tuple[str, str]]], jobs: int) -> _Done:
    requests = [[json.dumps(step).encode() for step in chunk] for chunk in chunks]
    for i, j, answer in spread(requests, lambda: _start(factory), jobs):
        group, op = chunks[i][j]
        if isinstance(answer, IsogradError):
            yield (group, op), [_failed(factory, group, op, str(answer))]
        else:
            yield (group, op), [Cell.from_dict(row) for row in json.loads(answer)]


def serve(factory: str) -> Callable[[bytes], bytes]:
    """Return what runs groups on a backend in a process of its own."""
    backend = parse_side(factory).backend

    def answer(request: bytes) -> bytes:
        if request == _FACTS:
            return json.dumps(facts_of(backend)).encode()
        group, op = json.loads(request)
        return json.dumps([cell.as_dict() for cell in _run(backend, group, op)]).encode()

    return answer


def _failed(backend: str, group: str, op: str, message: str) -> Cell:
    return Cell(op, group, backend, "*", "fail", float("inf"), "", message, 1)
