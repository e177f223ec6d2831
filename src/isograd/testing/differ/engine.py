"""Every operation of a step on the reference's own inputs, before a float64 referee."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isograd.testing.differ import reproducer
from isograd.testing.differ.recording import read_recording
from isograd.testing.differ.replay import Replay, Replayer, as_dtype, same_bits
from isograd.testing.differ.report import DiffReport, Entry
from isograd.testing.differ.run import Operation, Run, run_of
from isograd.testing.differ.shrink import shrunk
from isograd.testing.differ.targets import Side, TargetError, parse_side
from isograd.testing.differ.training import Training
from isograd.testing.differ.verdict import CANDIDATE, REFERENCE, fails, judge, wrong_outputs
from isograd.testing.differ.whole import compare_whole

__all__ = ["diff", "record"]

Array = Any
Progress = Callable[[int, int, str], None]

_SUFFIX = ".safetensors"
_RACE_TIMES = 50


def diff(
    reference: Any,
    candidate: Any,
    build: Any = None,
    /,
    *inputs: Any,
    seed: int = 0,
    folder: Path | str | None = None,
    progress: Progress | None = None,
) -> DiffReport:
    """Compare two sides over a training step, operation by operation, and say who is wrong.

    The reference runs the step: forward, backward, and the update where there is an optimizer. The
    candidate then gets each operation with the reference's own inputs and cotangents, so that no
    error is inherited, and both results go before the operation's independent float64 reference.

    Parameters
    ----------
    reference, candidate
        A backend's name, ``"pkg.mod:factory"``, or a backend object; a text may go on with
        ``+compiled``, ``+threads=2``, ``+float64`` or a numerics mode. Or a recording: a file, or
        what `record` returned. Two recordings are each judged on their own inputs.
    build
        ``"pkg.mod:build"`` or a function without arguments that returns a module or a function,
        alone or in a tuple with an optimizer and a ``loss(model, *inputs)``. Not needed where the
        reference is a recording.
    *inputs
        The batch, as arrays.
    seed
        Seeds `isograd.random` before the model is built, and again before the step.
    folder
        Where to write the inputs of the first operation that is wrong, and a stand-alone test.
    progress
        Called with the number of operations done, that of all, and the name of one.

    Returns
    -------
    DiffReport
        True where the two agree.

    Raises
    ------
    TargetError
        If a side or the model cannot be had, or the model draws random numbers that have no key.
    RecordingError
        If a recording cannot be read.

    Examples
    --------
    >>> import isograd as ig, numpy as np
    >>> report = diff("numpy", "numpy+float64", lambda: ig.nn.Linear(2, 1), np.ones((3, 2)))
    >>> report.ok, report.first is None
    (True, True)
    """
    started = time.perf_counter()
    first = _resolved(reference)
    second = _resolved(candidate)
    whole: tuple[str, ...] = ()
    fault: tuple[int, str] = (-1, "")
    if isinstance(first, Side):
        if build is None:
            raise TargetError("diff: the reference runs a model, so name one: pass build")
        run, fault = _twice(first, build, inputs, seed)
    else:
        run = first
    if isinstance(second, Run):
        entries, structure = _of_recordings(run, second, progress)
        other_facts = second.facts
    else:
        entries, structure = _of_replays(run, first, second, fault, progress), ""
        other_facts = {"backend": second.backend.name, "backend version": second.backend.version}
        if second.compiled and build is not None and all(e.ok for e in entries):
            whole = compare_whole(second, build, inputs, seed)
    report = DiffReport(
        run.side,
        second.side if isinstance(second, Run) else second.text,
        tuple(entries),
        structure,
        whole,
        {"reference": run.facts, "candidate": other_facts},
    )
    files = {} if folder is None else _written(report, first, second, Path(folder))
    seconds = time.perf_counter() - started
    return DiffReport(
        report.reference,
        report.candidate,
        report.entries,
        structure,
        whole,
        report.facts,
        files,
        seconds,
    )


def record(side: Any, build: Any, /, *inputs: Any, seed: int = 0) -> Run:
    """Run a training step on a side and return every operation of it.

    Parameters
    ----------
    side, build, *inputs, seed
        As for `diff`.

    Returns
    -------
    Run
        Write it with `write_recording`, or pass it to `diff`.

    Examples
    --------
    >>> import isograd as ig, numpy as np
    >>> [o.op for o in record("numpy", lambda: ig.sin, np.ones(2)).operations][0]
    'sin'
    """
    found = parse_side(side)
    return _twice(found, build, inputs, seed)[0]


def _resolved(side: Any) -> Side | Run:
    if isinstance(side, Run):
        return side
    if isinstance(side, Path) or (isinstance(side, str) and side.endswith(_SUFFIX)):
        return read_recording(Path(side))
    return parse_side(side)


def _twice(side: Side, build: Any, inputs: Sequence[Any], seed: int) -> tuple[Run, tuple[int, str]]:
    """Run a step twice, so that what changes between runs is not blamed on the candidate."""
    runs = [run_of(side, Training(build, inputs, side.dtype, seed, side.backend)) for _ in range(2)]
    if not runs[0].operations:
        raise TargetError("diff: the step ran no operation of isograd; use isograd's functions")
    pairs = itertools.zip_longest(runs[0].operations, runs[1].operations)
    for number, (a, b) in enumerate(pairs):
        there = a or b
        assert there is not None
        same = a is not None and b is not None and a.signature() == b.signature()
        if not (same and a is not None and b is not None and same_bits(a.inputs, b.inputs)):
            raise TargetError(
                f"diff: two runs of the model on the same inputs part at operation {number} "
                f"({there.op}, {there.where}); draw random numbers from isograd.random, which is "
                "seeded"
            )
        if not same_bits(a.outputs, b.outputs):
            return runs[0], (number, "two calls with the same inputs differ")
    return runs[0], (-1, "")


def _of_replays(
    run: Run,
    first: Side | Run,
    second: Side,
    fault: tuple[int, str],
    progress: Progress | None,
) -> list[Entry]:
    replayer = Replayer(second)
    bits = isinstance(first, Side) and first.differs_in_threads_only(second)
    entries: list[Entry] = []
    for number, operation in enumerate(run.operations):
        given = as_dtype(operation, second.dtype)
        verdict = judge(
            operation,
            given,
            replayer(given),
            bits=bits,
            reference_fault=fault[1] if number == fault[0] else "",
        )
        entries.append(Entry(number, given if verdict.verdict == CANDIDATE else operation, verdict))
        if progress is not None:
            progress(number + 1, len(run.operations), operation.op)
    return entries


def _of_recordings(run: Run, other: Run, progress: Progress | None) -> tuple[list[Entry], str]:
    """Judge each operation of two recordings on its own inputs, as far as they do the same."""
    entries: list[Entry] = []
    pairs = list(itertools.zip_longest(run.operations, other.operations))
    for number, (a, b) in enumerate(pairs):
        if a is None or b is None or a.signature() != b.signature():
            return entries, _parting(number, run, other, a, b)
        verdict = judge(a, b, Replay(b.outputs))
        entries.append(Entry(number, b if verdict.verdict == CANDIDATE else a, verdict))
        if progress is not None:
            progress(number + 1, len(pairs), a.op)
    return entries, ""


def _parting(number: int, run: Run, other: Run, a: Operation | None, b: Operation | None) -> str:
    def told(side: Run, operation: Operation | None) -> str:
        if operation is None:
            return f"{side.side} ends"
        shapes = ", ".join(str(list(x.shape)) for x in operation.inputs)
        return f"{side.side} runs {operation.op}({shapes}) at {operation.where}"

    return (
        f"the models differ in structure: the first {number} operations are the same, then "
        f"{told(run, a)}, and {told(other, b)}; what follows cannot be compared"
    )


def _written(
    report: DiffReport, first: Side | Run, second: Side | Run, folder: Path
) -> dict[str, str]:
    """Save the inputs of the first wrong operation, and write its test."""
    entry = report.first
    if entry is None:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    inputs = folder / f"{entry.operation.op}_{entry.operation.phase}_inputs.npz"
    np.savez(inputs, **{f"input_{i}": x for i, x in enumerate(entry.operation.inputs)})
    files = {"inputs": str(inputs)}
    side = first if entry.verdict.verdict == REFERENCE else second
    if not isinstance(side, Side):
        return files
    if not side.source:
        return files
    replayer = Replayer(side)
    raced = "two calls" in entry.verdict.note or "threads" in entry.verdict.note
    small = entry.operation
    if not raced and fails(small, replayer(small)):
        small = shrunk(small, lambda operation: fails(operation, replayer(operation)))
    times = _RACE_TIMES if raced else 1
    outputs = wrong_outputs(small, replayer(small))
    file = reproducer.write(folder, small, side, str(entry), outputs=outputs, times=times)
    files["reproducer"] = str(file)
    return files
