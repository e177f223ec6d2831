"""Every operation of a step on the reference's own inputs, before a float64 referee."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.errors import IsogradError
from isograd.testing.differ import reproducer
from isograd.testing.differ.recording import RecordingError, read_recording
from isograd.testing.differ.replay import Replay, as_dtype
from isograd.testing.differ.report import DiffReport, Entry
from isograd.testing.differ.run import Operation, Run
from isograd.testing.differ.shrink import shrunk
from isograd.testing.differ.sides import SECONDS, Local, Remote, worker_of
from isograd.testing.differ.state import compare_given, compare_state
from isograd.testing.differ.targets import Side, TargetError, parse_side
from isograd.testing.differ.verdict import (
    CANDIDATE,
    REFERENCE,
    fails,
    is_right,
    judge,
    wrong_outputs,
)

__all__ = ["diff", "record"]

Array = Any
Progress = Callable[[int, int, str], None]
Worker = Local | Remote

_SUFFIX = ".safetensors"
_RACE_TIMES = 50
#: Seconds that a process may take to begin.
_START = 60.0


def diff(
    reference: Any,
    candidate: Any,
    build: Any = None,
    /,
    *inputs: Any,
    seed: int = 0,
    folder: Path | str | None = None,
    progress: Progress | None = None,
    isolated: bool = False,
    seconds: float = SECONDS,
) -> DiffReport:
    """Compare two sides over a training step, operation by operation, and say who is wrong.

    The reference runs the step: forward, backward, and the update where there is an optimizer. The
    candidate then gets each operation with the reference's own inputs and cotangents, so that no
    error is inherited, and both results go before the operation's independent float64 reference.

    Parameters
    ----------
    reference, candidate
        A backend's name, ``"pkg.mod:factory"``, or a backend object; a text may go on with
        ``+compiled``, ``+threads=2``, ``+float64``, a numerics mode, and last with
        ``+python=/path/to/python`` for the interpreter of another environment. Or a recording: a
        file, or what `record` returned. Two recordings are each judged on their own inputs.
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
    isolated
        Whether each side runs in a process of its own, so that a crash or a hang is what it made
        of an operation. Sides, and `build` for the reference, must then be texts.
    seconds
        How long such a process may take for an operation, or for the reference's step.

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
    with contextlib.ExitStack() as stack:

        def opened(side: Any, *, alone: bool) -> Worker | Run:
            found = _resolved(side)
            if isinstance(found, Run):
                return found
            return stack.enter_context(worker_of(found, seconds, isolated=alone))

        # A model that is no text cannot be sent to another process.
        first = opened(reference, alone=isolated and (build is None or isinstance(build, str)))
        second = opened(candidate, alone=isolated)
        fault, structure = (-1, ""), ""
        failed: Worker | None = None
        if isinstance(first, Run):
            run = first
        elif build is None:
            raise TargetError(
                "diff: the reference runs a model, so name one: pass build, or --model MODULE:NAME"
            )
        else:
            try:
                run, fault = first.record(build, inputs, seed)
            except IsogradError as error:
                first.facts()  # where the reference cannot even be made, that is what is said
                failed, run = first, _run_of(second, build, inputs, seed, error)
                structure = f"the step failed on {first.side.text}, so operations are those of "
                structure += f"{run.side}: {str(error).removeprefix('diff: ')}"
        if isinstance(second, Run) and run.side == second.side:
            run, second = _told_apart(run, reference), _told_apart(second, candidate)
        whole, state = (), ()
        if failed is not None:
            entries = [e.exchanged() for e in _of_replays(run, second, failed, fault, progress)]
            named, facts = run.side, run.facts
            run = dataclasses.replace(run, side=failed.side.text, facts=failed.facts())
        elif isinstance(second, Run):
            entries, structure = _of_recordings(run, second, progress)
            state = compare_state(run, second) if structure else ()
            named, facts = second.side, second.facts
        else:
            named, facts = second.side.text, second.facts()
            entries = _of_replays(run, first, second, fault, progress)
            if second.side.compiled and build is not None and all(e.ok for e in entries):
                whole = _runner(second, build).whole(build, inputs, seed)
        report = DiffReport(
            run.side,
            named,
            tuple(entries),
            structure,
            whole,
            {"reference": run.facts, "candidate": facts},
            state=state,
        )
        files = {} if folder is None else _written(report, first, second, Path(folder), seconds)
    return dataclasses.replace(report, files=files, seconds=time.perf_counter() - started)


def record(
    side: Any,
    build: Any,
    /,
    *inputs: Any,
    seed: int = 0,
    isolated: bool = False,
    seconds: float = SECONDS,
) -> Run:
    """Run a training step on a side and return every operation of it.

    Parameters
    ----------
    side, build, *inputs, seed, isolated, seconds
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
    with worker_of(parse_side(side), seconds, isolated=isolated) as worker:
        return worker.record(build, inputs, seed)[0]


def _runner(side: Worker, build: Any) -> Worker:
    """Return who runs a model there: a function cannot be sent to another process."""
    return side if isinstance(build, str) else Local(side.side)


def _run_of(
    second: Worker | Run, build: Any, inputs: Sequence[Any], seed: int, error: IsogradError
) -> Run:
    """Return the candidate's run, whose operations show what made the reference's step fail.

    Where it is the model that fails, it does so on both, and the error is raised.
    """
    if isinstance(second, Run):
        return second
    with contextlib.suppress(IsogradError):
        return _runner(second, build).record(build, inputs, seed)[0]
    raise error


def _told_apart(run: Run, source: Any) -> Run:
    """Name a run after its file: two of one side are two versions of a model."""
    return dataclasses.replace(run, side=Path(source).name) if _is_file(source) else run


def _is_file(side: Any) -> bool:
    return isinstance(side, Path) or (isinstance(side, str) and side.endswith(_SUFFIX))


def _resolved(side: Any) -> Side | Run:
    if isinstance(side, Run):
        return side
    if _is_file(side):
        return read_recording(Path(side))
    return parse_side(side)


def _of_replays(
    run: Run,
    first: Worker | Run,
    second: Worker,
    fault: tuple[int, str],
    progress: Progress | None,
) -> list[Entry]:
    bits = not isinstance(first, Run) and first.side.differs_in_threads_only(second.side)
    used, wanted = _dtypes(run, second.side)
    entries: list[Entry] = []
    fatal: dict[Any, Replay] = {}
    for number, operation in enumerate(run.operations):
        given = as_dtype(operation, used, wanted)
        # What ended the process once is not tried again.
        replay = fatal.get(given.signature()) or second.replay(given)
        if replay.ended:
            fatal[given.signature()] = replay
        said = fault[1] if number == fault[0] else ""
        entries.append(_judged(number, operation, given, replay, bits=bits, reference_fault=said))
        if progress is not None:
            progress(number + 1, len(run.operations), operation.op)
    return entries


def _judged(number: int, a: Operation, b: Operation, replay: Replay, **how: Any) -> Entry:
    try:
        verdict = judge(a, b, replay, **how)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise RecordingError(
            f"diff: operation {number}, {a.op}, is none that can be judged "
            f"({type(error).__name__}: {error}); record the run again"
        ) from error
    return Entry(number, b if verdict.verdict == CANDIDATE else a, verdict)


def _dtypes(run: Run, side: Side) -> tuple[Any, Any]:
    """Return the dtype that the run was in, and that of the other side: the model's unless set."""
    used, own = (
        dtypes.as_dtype(name) if name and name != "None" else None
        for name in (run.facts.get("dtype"), run.facts.get("dtype of the model"))
    )
    return used, side.dtype or own


def _of_recordings(run: Run, other: Run, progress: Progress | None) -> tuple[list[Entry], str]:
    """Judge each operation of two recordings on its own inputs, as far as they do the same."""
    entries: list[Entry] = []
    pairs = list(itertools.zip_longest(run.operations, other.operations))
    for number, (a, b) in enumerate(pairs):
        if a is None or b is None or a.signature() != b.signature():
            return entries, _parting(number, run, other, a, b)
        entries.append(_judged(number, a, b, Replay(b.outputs)))
        if progress is not None:
            progress(number + 1, len(pairs), a.op)
    return entries, compare_given(run, other)


def _parting(number: int, run: Run, other: Run, a: Operation | None, b: Operation | None) -> str:
    def told(side: Run, operation: Operation | None, beside: Operation | None) -> str:
        if operation is None:
            return f"{side.side} ends"
        parts = [str(list(x.shape)) for x in operation.inputs]
        if beside is not None and beside.op == operation.op:
            parts += [f"{k}={v}" for k, v in operation.static.items() if beside.static.get(k) != v]
        return f"{side.side} runs {operation.op}({', '.join(parts)}) at {operation.where}"

    return (
        f"the models differ in structure: after {number} operations that are the same, "
        f"{told(run, a, b)}, and {told(other, b, a)}; what follows cannot be compared"
    )


def _written(
    report: DiffReport, first: Worker | Run, second: Worker | Run, folder: Path, seconds: float
) -> dict[str, str]:
    """Save the inputs of the first wrong operation, and write its test."""
    entry = report.first
    if entry is None:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    inputs = folder / f"{entry.operation.op}_{entry.operation.phase}_inputs.npz"
    np.savez(inputs, **{f"input_{i}": x for i, x in enumerate(entry.operation.inputs)})
    files = {"inputs": str(inputs)}
    wrong = first if entry.verdict.verdict == REFERENCE else second
    if isinstance(wrong, Run) or not wrong.side.source:
        return files
    small, note = entry.operation, entry.verdict.note
    raced, late = "two calls" in note or "threads" in note, "took more than" in note
    numpy = Local(parse_side("numpy"))
    shared = not is_right(small, numpy.replay(small))

    def alone(operation: Operation) -> bool:
        """Tell whether the side fails where NumPy is right."""
        if not fails(operation, wrong.replay(operation)):
            return False
        return shared or is_right(operation, numpy.replay(operation))

    if not (raced or late) and alone(small):
        small = shrunk(small, alone)
    last = Replay((), note, ended=True) if late else wrong.replay(small)
    how = {"outputs": wrong_outputs(small, last), "seconds": seconds if last.ended else None}
    for times in (1, _RACE_TIMES)[raced:]:
        file = reproducer.write(folder, small, wrong.side, str(entry), times=times, **how)
        files["reproducer"] = str(file)
        if late or reproducer.fails(file, _START + 2 * times * seconds, wrong.side.python):
            return files
    files["passes alone, since it needs what ran before"] = files.pop("reproducer")
    return files
