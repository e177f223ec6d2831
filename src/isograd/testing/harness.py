"""Running the generated checks: each operation, check, backend and dtype gives one cell."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

import isograd as ig
from isograd.backend import Backend
from isograd.core import dtypes as core_dtypes
from isograd.testing.case import case_of
from isograd.testing.checks import CHECKS, Finding, refused_dtypes
from isograd.testing.execute import on_device_of
from isograd.testing.op_db import OP_DB, OpSpec, Sample, missing
from isograd.testing.op_db.spec import Samples
from isograd.testing.report import Cell, Report

__all__ = ["applies", "available_backends", "check_op", "dtypes_for", "run_checks"]

FLOAT64_ONLY = frozenset({"gradient", "second", "jvp"})
FIRST_DTYPE_ONLY = frozenset({"errors", "dtypes"})

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
    smooth = bool(spec.grad_args) and "float64" in spec.dtypes
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
        The floating dtypes that are wanted, None for all. Other dtypes are always checked.

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
        return ("float64",)
    if dtypes is None:
        return spec.dtypes
    return tuple(
        d
        for d in spec.dtypes
        if d in dtypes or not core_dtypes.is_floating(core_dtypes.as_dtype(d))
    )


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
            findings = _findings(spec, check, active.name, dtype)
        if findings:
            yield _cell(spec, check, active.name, dtype, findings)


def _findings(spec: OpSpec, check: str, backend: str, dtype: str) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(CHECKS[check](case_of(spec, dtype), backend))
    except Exception as error:  # a cell must say what happened, whatever it was
        found.append(Finding(math.inf, "", f"{type(error).__name__}: {error}"))
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


def run_checks(
    ops: Iterable[str] | None = None,
    backends: Sequence[str | Backend] | None = None,
    dtypes: Sequence[str] | None = ("float64", "float32"),
    checks: Sequence[str] | None = None,
    progress: Progress | None = None,
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

    Returns
    -------
    Report
        Its `ok` is False when any cell fails, or when there is none.

    Raises
    ------
    KeyError
        If an operation or a check has no such name.

    Examples
    --------
    >>> run_checks(["add"], ["numpy"], checks=["forward"]).ok
    True
    """
    started = time.perf_counter()
    names = available_backends() if backends is None else tuple(backends)
    specs = _selected(ops)
    wanted = (*CHECKS, "edge", "complete") if checks is None else tuple(checks)
    generated = [name for name in wanted if name in CHECKS]
    for name in set(wanted) - {*CHECKS, "edge", "complete"}:
        raise KeyError(
            f"run_checks: there is no check {name!r}; choose from {(*CHECKS, 'edge', 'complete')}"
        )
    steps: list[Callable[[], Iterable[Cell]]] = []
    for spec, check, backend in itertools.product(specs, generated, names):
        steps.append(functools.partial(check_op, spec, check, backend, dtypes))
    if "edge" in wanted and ops is None:
        steps.extend(_edge_steps(names, dtypes))
    if "complete" in wanted and ops is None:
        steps.append(_completeness)
    cells: list[Cell] = []
    for done, step in enumerate(steps, start=1):
        for cell in step():
            cells.append(cell)
            if progress is not None:
                progress(done, len(steps), cell)
    return Report(tuple(cells), time.perf_counter() - started)


def _selected(ops: Iterable[str] | None) -> list[OpSpec]:
    if ops is None:
        return list(OP_DB)
    wanted = list(ops)
    for name in wanted:
        if all(spec.name != name for spec in OP_DB):
            raise KeyError(
                f"run_checks: there is no operation {name!r}; choose one of isograd.testing.op_db"
            )
    return [spec for spec in OP_DB if spec.name in wanted]


def _edge_steps(
    names: Sequence[str | Backend], dtypes: Sequence[str] | None
) -> Iterator[Callable[[], Iterable[Cell]]]:
    from isograd.testing.edge_checks import check_row
    from isograd.testing.edge_policy import EDGE_ROWS

    floats = [d for d in ("float64", "float32") if dtypes is None or d in dtypes]
    for row in EDGE_ROWS:
        for backend in names:
            yield lambda r=row, b=backend: [check_row(r, b, dtype) for dtype in floats]


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
