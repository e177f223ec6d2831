"""Running the generated checks: each operation, check, backend and dtype gives one cell."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import isograd as ig
from isograd.backend import Backend
from isograd.core import dtypes as core_dtypes
from isograd.core.errors import IsogradError
from isograd.testing.case import case_of
from isograd.testing.checks import CHECKS, Finding, refused_dtypes
from isograd.testing.execute import on_device_of
from isograd.testing.interrupted import Interruption, gather
from isograd.testing.isolated import Worker, spread
from isograd.testing.op_db import OP_DB, OpSpec, Sample, missing
from isograd.testing.op_db.spec import Samples
from isograd.testing.raised import told
from isograd.testing.report import Cell, Report

__all__ = ["applies", "available_backends", "check_op", "dtypes_for", "run_checks", "serve"]

FLOAT64_ONLY = frozenset({"gradient", "second", "jvp"})
WIDEST = ("float64", "complex128")
FIRST_DTYPE_ONLY = frozenset({"errors", "dtypes"})

SECONDS_PER_STEP = 300.0
"""How long one check of one operation may take in a process of its own."""

Progress = Callable[[int, int, Cell], None]


def available_backends() -> tuple[str, ...]:
    """Return the names of the CPU backends that can run here, the reference first.

    Examples
    --------
    >>> available_backends()[0]
    'numpy'
    """
    names = [record.name for record in ig.backends() if record.available and record.device == "cpu"]
    return tuple(sorted(names, key=lambda name: (name != "numpy", name)))


def applies(spec: OpSpec, check: str) -> bool:
    """Tell whether a check says anything about an operation.

    Examples
    --------
    >>> from isograd.testing.op_db import OP_DB
    >>> applies(OP_DB[0], "gradient"), applies(OP_DB[0], "fused")
    (True, False)
    """
    prim = ig.ops.PRIMITIVES.get(spec.name) if spec.primitive else None
    smooth = bool(spec.grad_args) and any(dtype in spec.dtypes for dtype in WIDEST)
    match check:
        case "gradient" | "jvp":
            return smooth
        case "second":
            return smooth and spec.order > 1
        case "backends":
            return smooth or spec.scale.kind in ("exact", "equal") or spec.scale.same_bits
        case "extreme":
            return any(_first(spec, spec.extreme))
        case "errors":
            return bool(spec.errors)
        case "fused":
            return prim is not None and prim.decompose is not None
        case "layouts":
            return any(np.ndim(x) for s in _first(spec, spec.samples, 4) for x in s.args)
        case "compiled_layouts":
            first = _first(spec, spec.samples, 3)
            placed = any(np.ndim(x) for s in first if s.layouts for x in s.args)
            return spec.compiles and placed
        case "dtypes":
            return bool(refused_dtypes(spec, _first(spec, spec.samples)[0]))
        case _:
            return check in CHECKS


def _first(spec: OpSpec, samples: Samples, count: int = 1) -> list[Sample]:
    dtype = core_dtypes.as_dtype(spec.dtypes[0])
    return list(itertools.islice(samples(np.random.default_rng(0), dtype), count))


def dtypes_for(spec: OpSpec, check: str, dtypes: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the dtypes in which a check of an operation is run.

    Parameters
    ----------
    spec
        The operation.
    check
        The name of the check.
    dtypes
        The floating dtypes that are wanted, None for all. Complex dtypes are checked where their
        parts' dtype is wanted, other dtypes always.

    Examples
    --------
    >>> from isograd.testing.op_db import OP_DB
    >>> dtypes_for(OP_DB[0], "gradient")
    ('float64',)
    """
    if not applies(spec, check):
        return ()
    if check in FIRST_DTYPE_ONLY:
        return spec.dtypes[:1]
    if check in FLOAT64_ONLY:
        return tuple(dtype for dtype in WIDEST if dtype in spec.dtypes)
    if dtypes is None:
        return spec.dtypes
    return tuple(d for d in spec.dtypes if _is_wanted(core_dtypes.as_dtype(d), dtypes))


def _is_wanted(dtype: np.dtype[Any], wanted: Sequence[str]) -> bool:
    names = {dtype.name, core_dtypes.component(dtype).name}
    return not core_dtypes.is_inexact(dtype) or not names.isdisjoint(wanted)


def check_op(
    spec: OpSpec, check: str, backend: str | Backend, dtypes: Sequence[str] | None = None
) -> Iterator[Cell]:
    """Run one check of one operation on one backend; yield a cell for each dtype.

    Parameters
    ----------
    spec
        The operation.
    check
        A key of `isograd.testing.checks.CHECKS`.
    backend
        A backend or its name.
    dtypes
        As in `dtypes_for`.
    """
    for dtype in dtypes_for(spec, check, dtypes):
        with on_device_of(backend) as active:
            if _lacks(active, spec, dtype):
                continue
            findings = _findings(spec, check, active.name, dtype)
        if findings:
            yield _cell(spec, check, active.name, dtype, findings)


def _lacks(backend: Backend, spec: OpSpec, dtype: str) -> bool:
    """Tell whether an operation takes or makes complex numbers, which a backend may leave out."""
    if core_dtypes.complex64 in backend.capabilities().dtypes:
        return False
    case = case_of(spec, dtype)
    made = [out.dtype for sample in case.samples[:1] for out in case.expected(sample)]
    return any(core_dtypes.is_complex(d) for d in (case.dtype, *made))


def _findings(spec: OpSpec, check: str, backend: str, dtype: str) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(CHECKS[check](case_of(spec, dtype), backend))
    except Exception as error:  # a cell must say what happened, whatever it was
        found.append(Finding(math.inf, "", told(error)))
    return found


def _cell(spec: OpSpec, check: str, backend: str, dtype: str, findings: Sequence[Finding]) -> Cell:
    worst = max(findings, key=lambda f: (bool(f.message), f.error))
    wrong = bool(worst.message)
    message = worst.message
    verdict = "fail" if wrong else "pass"
    for known in spec.known if wrong else ():
        if known.covers(check, backend, dtype):
            verdict, message = "known", known.reason
    return Cell(
        spec.name, check, backend, dtype, verdict, worst.error, worst.sample, message, len(findings)
    )


class _Step(NamedTuple):
    """What is checked at a time: a check of a row, by its number, on a backend."""

    check: str
    row: int
    backend: str | Backend


def run_checks(
    ops: Iterable[str] | None = None,
    backends: Sequence[str | Backend] | None = None,
    dtypes: Sequence[str] | None = ("float64", "float32"),
    checks: Sequence[str] | None = None,
    progress: Progress | None = None,
    jobs: int = 0,
    seconds: float = SECONDS_PER_STEP,
) -> Report:
    """Run the table of operations across backends.

    Parameters
    ----------
    ops
        The names of the operations, None for all.
    backends
        Backends or their names, None for all that can run here.
    dtypes
        The floating dtypes; other dtypes of an operation are always checked. None: all.
    checks
        The names of the checks, None for all, the edge table and the table's completeness included.
    progress
        Is called with the number of finished steps, the number of all, and each cell.
    jobs
        How many processes share the work, where backends are given by name: a crash then is a
        failing cell. With 0 it is done in this process.
    seconds
        How long such a process may take for one check of one operation.

    Returns
    -------
    Report
        Its `ok` is False when any cell fails, or when there is none.

    Raises
    ------
    KeyError
        If an operation or a check has no such name.
    Interruption
        If it is stopped, with Ctrl-C as a rule; a `KeyboardInterrupt` that has the partial report.

    Examples
    --------
    >>> run_checks(["add"], ["numpy"], checks=["forward"]).ok
    True
    """
    started = time.perf_counter()
    names = available_backends() if backends is None else tuple(backends)
    wanted = (*CHECKS, "edge", "complete") if checks is None else tuple(checks)
    for name in set(wanted) - {*CHECKS, "edge", "complete"}:
        raise KeyError(
            f"run_checks: there is no check {name!r}; choose from {(*CHECKS, 'edge', 'complete')}"
        )
    chunks = [
        [_Step(check, row, backend) for check in wanted if check in CHECKS for backend in names]
        for row in _selected(ops)
    ]
    if "edge" in wanted and ops is None:
        from isograd.testing.edge_policy import EDGE_ROWS

        chunks += [[_Step("edge", i, name) for name in names] for i in range(len(EDGE_ROWS))]
    if "complete" in wanted and ops is None:
        chunks.append([_Step("complete", 0, "*")])
    chunks = [chunk for chunk in chunks if chunk]
    run = _in_processes(chunks, dtypes, jobs, seconds) if jobs else _here(chunks, dtypes)
    total = sum(map(len, chunks))

    def each(done: int, place: tuple[int, int], cells: list[Cell]) -> None:
        for cell in cells:
            if progress is not None:
                progress(done, total, cell)

    found, ended = gather(run, each)
    ordered = tuple(cell for place in sorted(found) for cell in found[place])
    report = Report(ordered, time.perf_counter() - started, complete=ended)
    if not ended:
        raise Interruption(report)
    return report


_Found = Generator[tuple[tuple[int, int], list[Cell]]]


def _here(chunks: Sequence[Sequence[_Step]], dtypes: Sequence[str] | None) -> _Found:
    for i, chunk in enumerate(chunks):
        for j, step in enumerate(chunk):
            yield (i, j), list(_cells(step, dtypes))


def _in_processes(
    chunks: Sequence[Sequence[_Step]], dtypes: Sequence[str] | None, jobs: int, seconds: float
) -> _Found:
    def start() -> Worker:
        return Worker(f"{__name__}:serve", json.dumps(dtypes), seconds=seconds)

    requests = [[json.dumps(step).encode() for step in chunk] for chunk in chunks]
    for i, j, answer in spread(requests, start, jobs):
        if isinstance(answer, IsogradError):
            step = chunks[i][j]
            yield (i, j), [_broken(step, str(answer))]
        else:
            yield (i, j), [Cell.from_dict(row) for row in json.loads(answer)]


def _broken(step: _Step, message: str) -> Cell:
    name = OP_DB[step.row].name if step.check in CHECKS else "*"
    return Cell(name, step.check, str(step.backend), "*", "fail", math.inf, "", message, 1)


def serve(dtypes: str) -> Callable[[bytes], bytes]:
    """Return what runs steps in a process of its own.

    Parameters
    ----------
    dtypes
        Those of `run_checks`, as JSON.
    """
    wanted = json.loads(dtypes)

    def answer(request: bytes) -> bytes:
        cells = _cells(_Step(*json.loads(request)), wanted)
        return json.dumps([cell.as_dict() for cell in cells]).encode()

    return answer


def _cells(step: _Step, dtypes: Sequence[str] | None) -> Iterable[Cell]:
    if step.check == "complete":
        return _completeness()
    if step.check != "edge":
        return check_op(OP_DB[step.row], step.check, step.backend, dtypes)
    from isograd.testing.edge_checks import check_row
    from isograd.testing.edge_policy import EDGE_ROWS

    floats = [d for d in ("float64", "float32") if dtypes is None or d in dtypes]
    return [check_row(EDGE_ROWS[step.row], step.backend, dtype) for dtype in floats]


def _selected(ops: Iterable[str] | None) -> list[int]:
    """Return the numbers of the rows with these names."""
    if ops is None:
        return list(range(len(OP_DB)))
    wanted = list(ops)
    for name in wanted:
        if all(spec.name != name for spec in OP_DB):
            raise KeyError(
                f"run_checks: there is no operation {name!r}; choose one of isograd.testing.op_db"
            )
    return [i for i, spec in enumerate(OP_DB) if spec.name in wanted]


def _completeness() -> Iterator[Cell]:
    absent = missing()
    for name in absent:
        yield Cell(
            name,
            "complete",
            "*",
            "*",
            "fail",
            message="this primitive has no row in isograd.testing.op_db",
        )
    if not absent:
        yield Cell("*", "complete", "*", "*", "pass", count=1)
