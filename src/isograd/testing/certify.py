"""A gradient certificate: a model's gradients on every backend, and how small an error shows."""

from __future__ import annotations

import io
import itertools
import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.config import modes
from isograd.core.errors import IsogradError
from isograd.testing.conformance.certificate import described, sealed
from isograd.testing.cross_check import cross_check
from isograd.testing.differ.sides import SECONDS, Local
from isograd.testing.differ.targets import TargetError, backend_of, parse_side
from isograd.testing.differ.training import Training, packed_inputs, read_inputs
from isograd.testing.gradcheck import BUDGET, GradcheckReport, gradcheck
from isograd.testing.harness import available_backends
from isograd.testing.isolated import EndedError, Worker, spread
from isograd.testing.raised import told
from isograd.testing.report import Cell, Report, number

__all__ = ["certify", "report_of", "serve"]

FORMAT = 1

Array = Any
Progress = Callable[[int, int, str], None]
Facts = dict[str, str]

#: The request that is no backend in a dtype: numeric derivatives.
_NUMERIC = ("", "")


def certify(
    build: Any,
    /,
    *inputs: Any,
    backends: Sequence[Any] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    seed: int = 0,
    budget: int = BUDGET,
    isolated: bool = False,
    seconds: float = SECONDS,
    jobs: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Check a model's gradients on every backend and return a certificate as JSON holds it.

    Parameters
    ----------
    build, *inputs, seed
        As for `isograd.testing.diff`.
    backends
        Names of backends, ``pkg.mod:factory``, or objects; None for all that can run here.
    dtypes
        The dtypes to compute in.
    budget
        How many directions `gradcheck` may spend on coordinates that are hard to see.
    isolated
        Whether all of it runs in processes of its own, so that a crash or a hang is a failing cell.
        `build` and `backends` must then be texts.
    seconds
        How long such a process may take for a backend in a dtype, and for numeric derivatives.
    jobs
        How many processes share the work.
    progress
        Called with the number of parts done, that of all, and the name of one.

    Returns
    -------
    dict
        ``cells`` has the error of each output and of each parameter's gradient against float64, in
        units of its bound; ``gradcheck`` what numeric derivatives say, and the detection limit of
        each parameter; ``sha256`` is over all of it.

    Raises
    ------
    TargetError
        If the model cannot be had, fails on the reference backend, or draws random numbers that
        have no key.

    Examples
    --------
    >>> found = certify(lambda: ig.nn.Linear(2, 1), np.ones((3, 2)), backends=["numpy"])
    >>> found["passed"], [cell["name"] for cell in found["cells"]][1]
    (True, 'weight')
    """
    chosen = list(available_backends() if backends is None else backends)
    parts = [_NUMERIC, *itertools.product(chosen, dtypes)]
    # The numeric derivatives say first whether the model is one at all.
    model = build, inputs, seed, budget
    answers: dict[int, dict[str, Any]] = {}
    try:
        run = _in_processes(parts, model, seconds, jobs) if isolated else _here(parts, model)
        for place, got in run:
            answers[place] = got
            if progress is not None:
                backend, dtype = parts[place]
                name = f"{dtype} on {backend}" if place else "numeric derivatives"
                progress(len(answers), len(parts), name)
    except TargetError as error:
        raise TargetError(str(error).replace("diff:", "check:", 1)) from error
    numeric, *others = (answers[place] for place in range(len(parts)))
    cells = [cell for other in others for cell in other["cells"]]
    facts: Facts = {}
    for other in (numeric, *others):
        facts |= other["facts"]
    return sealed(
        {
            "kind": "isograd gradients",
            "format": FORMAT,
            "model": build if isinstance(build, str) else getattr(build, "__qualname__", "build"),
            "passed": numeric["passed"] and {cell["verdict"] for cell in cells} == {"pass"},
            "cells": cells,
            "gradcheck": {key: value for key, value in numeric.items() if key != "facts"},
            "facts": facts,
        }
    )


def report_of(certificate: Mapping[str, Any]) -> Report:
    """Return a certificate's cells as those of checks: for pages and for JUnit.

    Examples
    --------
    >>> found = certify(lambda: ig.sin, np.ones(3), backends=["numpy"], dtypes=["float32"])
    >>> [(cell.op, cell.check) for cell in report_of(found).cells][:2]
    [('output 0', 'output'), ('argument 0', 'gradient')]
    """
    cells = [
        Cell(
            f"output {row['name']}" if row["kind"] == "output" else row["name"],
            row["kind"],
            row["backend"],
            row["dtype"],
            row["verdict"],
            float(row["error"]),
            ""
            if row["kind"] == "run"
            else f"element {row['index']}: {row['value']}, float64 {row['reference']}",
            row["message"],
            1,
        )
        for row in certificate["cells"]
    ]
    numeric = certificate["gradcheck"]
    verdict = "pass" if numeric["passed"] else "fail"
    said = "\n".join(numeric["failures"])
    error = 0.0 if numeric["passed"] else float("inf")
    cells.append(
        Cell("numeric derivatives", "gradcheck", "numpy", "float64", verdict, error, "", said, 1),
    )
    return Report(tuple(cells))


# -- the work --------------------------------------------------------------------------------------


class _Answer:
    """Checks a model: numerically, or on a backend in a dtype."""

    def __init__(self, build: Any, inputs: Sequence[Array], seed: int, budget: int) -> None:
        self._build, self._inputs, self._seed, self._budget = build, inputs, seed, budget
        self._training = Training(build, inputs, None, seed)

    def __call__(self, backend: Any, dtype: str) -> dict[str, Any]:
        ig.random.manual_seed(self._seed)
        if (backend, dtype) == _NUMERIC:
            with self._training.explained("the model"):
                self._refuse_chance()
                ig.random.manual_seed(self._seed)
                return self._numeric()
        try:
            return self._on(backend, dtype)
        except Exception as error:  # on this backend only; the cell says what
            if isinstance(error, TargetError):
                raise
            return _broken(backend, dtype, f"raised {told(error)}")

    def _loss(self, *given: Any) -> Any:
        training = self._training
        if training.modules:
            return training.loss_of(given[0], given[1:])
        return training.loss_of(training.model, given)

    @property
    def _arguments(self) -> list[Any]:
        training = self._training
        return [training.model, *training.inputs] if training.modules else list(training.inputs)

    def _refuse_chance(self) -> None:
        """Refuse a model whose results change, and name the operation where that begins."""
        results: list[Array] = []
        for _ in range(2):
            ig.random.manual_seed(self._seed)
            with ig.use_backend("numpy"), ig.no_grad():
                results.append(self._loss(*self._arguments).numpy())
        if not np.array_equal(*results, equal_nan=True):
            Local(parse_side("numpy")).record(self._build, self._inputs, self._seed)
            raise TargetError(
                "check: two runs of the model on the same inputs differ; draw random numbers from "
                "isograd.random, which is seeded"
            )

    def _numeric(self) -> dict[str, Any]:
        report = gradcheck(
            self._loss,
            *self._arguments,
            backend="numpy",
            budget=self._budget,
            raise_exception=False,
        )
        return {**_told(report), "facts": _facts("numpy")}

    def _on(self, backend: Any, dtype: str) -> dict[str, Any]:
        made = backend_of(backend) if isinstance(backend, str) and ":" in backend else backend
        crossed = cross_check(self._loss, *self._arguments, backends=[made], dtypes=[dtype])
        cells = [
            {
                "kind": entry.kind,
                "name": entry.name.removeprefix("argument 0 "),
                "backend": backend if isinstance(backend, str) else entry.backend,
                "dtype": entry.dtype,
                "verdict": "pass" if entry.ok else "fail",
                "error": number(entry.error),
                "index": list(entry.index),
                "value": number(entry.value),
                "reference": number(entry.reference),
                "bound": number(entry.bound),
                "message": entry.message,
            }
            for entry in crossed.entries
        ]
        return {"cells": cells, "facts": _facts(made)}


def _told(report: GradcheckReport) -> dict[str, Any]:
    sloping = [limit for limit in report.limits if math.isfinite(limit.worst)]
    return {
        "passed": report.ok,
        "failures": [failure.message for failure in report.failures],
        "detection_limit": number(report.detection_limit),
        "typical_limit": number(report.typical_limit),
        "absolute_limit": number(report.absolute_limit),
        "coordinates": report.size,
        "seen": sum(n.seen * n.size for n in sloping) / max(1, sum(n.size for n in sloping)),
        "directions": report.directions,
        "kinks": list(report.kinks),
        "notes": list(report.notes),
        "parameters": [
            {key: number(v) if isinstance(v, float) else v for key, v in limit._asdict().items()}
            for limit in report.limits
        ],
    }


def _broken(backend: Any, dtype: str, message: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": "run",
        "name": "the step",
        "backend": backend if isinstance(backend, str) else backend.name,
        "dtype": dtype,
        "verdict": "fail",
        "error": "inf",
        "index": [],
        "value": "nan",
        "reference": "nan",
        "bound": 0.0,
        "message": message,
    }
    return {"cells": [row], "facts": {}}


def _facts(backend: Any) -> Facts:
    facts = {
        "isograd": ig.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "numerics": modes.numerics,
        "nan_safe": str(modes.nan_safe),
    }
    with ig.use_backend(backend) as active:
        name = active.name
        facts[f"backend {name}"] = active.version
        facts |= {f"{name}: {key}": value for key, value in described(active).items()}
    return facts


# -- in processes of its own -----------------------------------------------------------------------


def _here(
    parts: Sequence[tuple[Any, str]], model: tuple[Any, ...]
) -> Iterator[tuple[int, dict[str, Any]]]:
    answer = _Answer(*model)
    for place, part in enumerate(parts):
        yield place, answer(*part)


def _in_processes(
    parts: Sequence[tuple[Any, str]], model: tuple[Any, ...], seconds: float, jobs: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    def start() -> Worker:
        return Worker(f"{__name__}:serve", seconds=seconds)

    build, inputs, seed, budget = model
    head, body = json.dumps([build, seed, budget]).encode(), packed_inputs(inputs)
    # Each part is a chunk of its own; a process that ended is started again for the next one.
    requests = [[b"\n".join([head, json.dumps(part).encode(), body])] for part in parts]
    for place, _, answer in spread(requests, start, jobs):
        if not isinstance(answer, IsogradError):
            yield place, json.loads(answer)
        elif not isinstance(answer, EndedError):
            raise TargetError(str(answer)) from answer
        elif place:
            yield place, _broken(*parts[place], str(answer))
        else:
            failed = GradcheckReport((), np.inf, np.inf, np.inf, (), (), 0, 0, "")
            yield place, {**_told(failed), "passed": False, "failures": [str(answer)], "facts": {}}


def serve() -> Callable[[bytes], bytes]:
    """Return what checks parts of a certificate in a process of its own."""
    made: dict[bytes, _Answer] = {}

    def answer(request: bytes) -> bytes:
        head, part, body = request.split(b"\n", 2)
        if head not in made:
            build, seed, budget = json.loads(head)
            made[head] = _Answer(build, read_inputs(io.BytesIO(body)), seed, budget)
        return json.dumps(made[head](*json.loads(part))).encode()

    return answer
