"""What must hold of a random program: compiled as eager, and the same on every backend."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core import dtypes
from isograd.testing.case import REFERENCE_BACKEND
from isograd.testing.execute import on_device_of
from isograd.testing.fuzz.generate import generate
from isograd.testing.fuzz.noise import Noise
from isograd.testing.fuzz.program import Program
from isograd.testing.fuzz.shrink import shrink
from isograd.testing.harness import available_backends
from isograd.testing.scheduled import ScheduledBackend
from isograd.testing.tolerances import TABLE, Comparison, compare

__all__ = ["Failure", "FuzzReport", "check", "fuzz", "judge"]

Array = Any

#: How often noise is tried, and how much farther than that a result may be.
_NOISES = 4
_MARGIN = 1.5


def judge(
    value: Array,
    reference: Array,
    *,
    pair: str,
    noisy: Sequence[Array] = (),
    terms: int = 1,
    precision: Any = None,
) -> str:
    """Say what is wrong with a result: the one rule of all comparisons of the fuzzer.

    Parameters
    ----------
    value, reference
        Arrays.
    pair
        ``"compiled"``: a compiled program that runs the kernels of its backend, and the same one
        eager; they are equal bit for bit, NaN being equal to NaN. ``"backends"``: a backend, or
        code that it writes, and NumPy. Where rounding noise leaves the reference alone, equality is
        due as well; elsewhere the result may be as far away as noise takes it, beside the tolerance
        of programs, which is that of numbers of at least 1. An element that noise takes from or to
        NaN, or a whole number that it changes, is not compared.
    noisy
        The reference with noise, several times; empty where only exact functions are used.
    terms
        How many terms a sum may have.
    precision
        The dtype in which they may be added; that of the result when None.

    Returns
    -------
    str
        Empty where nothing is wrong.

    Examples
    --------
    >>> judge(np.float32([0.0]), np.float32([-0.0]), pair="compiled")
    'element (0,) is 0.0 where -0.0 is due'
    """
    if value.dtype != reference.dtype or value.shape != reference.shape:
        found, wanted = f"{value.dtype}{value.shape}", f"{reference.dtype}{reference.shape}"
        return f"{found} where {wanted} is due"
    if pair == "compiled" or not noisy:
        return _at(compare(value, reference, tolerance=TABLE["exact"]))
    with np.errstate(all="ignore"):
        stable = stable_elements(reference, noisy)
        if not dtypes.is_floating(reference.dtype):
            return _at(compare(value[stable], reference[stable], tolerance=TABLE["exact"]))
        right = reference.astype(np.float64)
        eps = float(dtypes.finfo(precision or reference.dtype).eps)
        spread = _spread(right, noisy)
        # Chance may leave an element alone; its neighbours were moved.
        spread = np.maximum(spread, spread[stable].mean()) if stable.any() else spread
        # Functions take differences of numbers about 1 inside, as 1 - softmax, where noise on what
        # goes in and out does not show what rounding leaves of them.
        unit = eps * TABLE["program"].factor(terms)
        scale = np.maximum(np.abs(right), 1.0) + _MARGIN * spread / unit
    found = compare(
        value[stable],
        reference[stable],
        tolerance=TABLE["program"],
        scale=scale[stable],
        terms=terms,
        dtype=precision,
    )
    return _at(found)


def _spread(reference: Array, noisy: Sequence[Array]) -> Array:
    moved = np.max([np.abs(n.astype(np.float64) - reference) for n in noisy], axis=0)
    return np.where(np.isnan(moved), 0.0, moved)  # of NaN and infinities that stayed


def stable_elements(reference: Array, noisy: Sequence[Array]) -> Array:
    """Tell which elements noise changes a little or not at all."""
    if not dtypes.is_floating(reference.dtype):
        return np.all([n == reference for n in noisy], axis=0)
    same = [
        (np.isfinite(n) & np.isfinite(reference))
        | (n == reference)
        | (np.isnan(n) & np.isnan(reference))
        for n in noisy
    ]
    return np.all(same, axis=0)


def _at(found: Comparison) -> str:
    if found.ok:
        return ""
    bound = f", within {found.bound:.3g}" if found.bound else ""
    return f"element {found.index} is {found.value!r} where {found.reference!r} is due{bound}"


@dataclasses.dataclass(frozen=True)
class Failure:
    """A program that breaks a rule.

    Attributes
    ----------
    program : Program
    backend, pair, what : str
        Where, in which comparison, and which output.
    message : str
        What is wrong.
    value, reference : ndarray or None
        The two results; None where an exception was raised.
    """

    program: Program
    backend: str
    pair: str
    what: str
    message: str
    value: Array = None
    reference: Array = None

    @property
    def kind(self) -> tuple[str, str, str]:
        """What a smaller program must share with this one to show the same mistake."""
        raised = self.message.partition(":")[0] if self.what == "exception" else ""
        return self.backend, self.pair, raised

    def __str__(self) -> str:
        lines = [
            f"seed {self.program.seed}, {self.pair}, {self.backend}: {self.what}: {self.message}",
            "",
            self.program.source(self.backend),
        ]
        if self.value is not None:
            lines += [f"got {self.value!r}", f"due {self.reference!r}"]
        return "\n".join(lines)


@dataclasses.dataclass
class Counts:
    """How much was compared.

    Attributes
    ----------
    programs, steps, arrays, elements : int
    unstable : int
        Elements of other backends that were not compared, since noise changes them too much.
    """

    programs: int = 0
    steps: int = 0
    arrays: int = 0
    elements: int = 0
    unstable: int = 0


def check(
    program: Program, backends: Sequence[str] | None = None, counts: Counts | None = None
) -> Failure | None:
    """Return the first rule that a program breaks, or None.

    Parameters
    ----------
    program
        The program.
    backends
        Names of backends; None for those that can run here. The first is the reference.
    counts
        Added to.
    """
    chosen = (*available_backends(), ScheduledBackend.name) if backends is None else tuple(backends)
    return _Check(program, Counts() if counts is None else counts).run(chosen)


def _chosen(name: str) -> Any:
    """Return a backend by name; that of schedules is for tests only, and not registered."""
    return ScheduledBackend() if name == ScheduledBackend.name else name


class _Check:
    """The comparisons of one program."""

    def __init__(self, program: Program, counts: Counts) -> None:
        self._program = program
        self._counts = counts
        self._place = ("", "")

    def run(self, backends: Sequence[str]) -> Failure | None:
        self._counts.programs += 1
        self._counts.steps += len(self._program.steps)
        try:
            return self._run(backends)
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{line.filename.rpartition('isograd/')[2]}:{line.lineno}"
            message = f"{type(error).__name__}: {error} ({where})"
            return Failure(self._program, *self._place, "exception", message)

    def _run(self, backends: Sequence[str]) -> Failure | None:
        reference: list[Array] = []
        noisy: list[list[Array]] = []
        for backend in backends:
            with on_device_of(_chosen(backend)) as active:
                self._place = (backend, "eager")
                eager = self._program.run(self._program.derived())
                if backend == backends[0]:
                    reference = eager
                    noisy = self._noisy() if len(backends) > 1 else []
                else:
                    failure = self._compare("backends", eager, reference, noisy)
                    if failure is not None:
                        return failure
                if hasattr(active, "lowering"):
                    failure = self._native(reference, noisy)
                else:
                    failure = self._compiled(eager)
                if failure is not None:
                    return failure
        return None

    def _native(self, reference: list[Array], noisy: list[list[Array]]) -> Failure | None:
        """Compare code, which adds in orders of its own, with the eager reference."""
        self._place = (self._place[0], "compiled")
        compiled = ig.compile(self._program.derived())
        self._program.run(compiled, variant=1)
        got = self._program.run(compiled)
        return self._compare("backends", got, reference, noisy)

    def _compiled(self, eager: list[Array]) -> Failure | None:
        """Trace with other data than it is compared with, so that data stay out of programs."""
        fn = self._program.derived()
        other = self._program.run(fn, variant=1)
        self._place = (self._place[0], "compiled")
        compiled = ig.compile(fn)
        for variant, due in ((1, other), (0, eager)):
            got = self._program.run(compiled, variant=variant)
            failure = self._compare("compiled", got, due, [])
            if failure is not None:
                return failure
        return None

    def _noisy(self) -> list[list[Array]]:
        everywhere = bool(self._program.derivative)
        results: list[list[Array]] = []
        for number in range(_NOISES):
            noise = Noise(number, everywhere=everywhere)
            results.append(self._program.run(self._program.derived(noise)))
            if not noise.used:
                return []
        return results

    def _compare(
        self, pair: str, values: list[Array], due: list[Array], noisy: list[list[Array]]
    ) -> Failure | None:
        backend = self._place[0]
        given = [one.array() for one in self._program.inputs]
        terms = max([a.size for a in [*given, *due]])
        # What is added in one dtype may be returned in a wider one.
        used = [a.dtype for a in [*given, *due] if dtypes.is_floating(a.dtype)]
        coarsest = max(used, key=lambda dtype: dtypes.finfo(dtype).eps, default=None)
        for number, what in enumerate(self._program.labels()):
            value, reference = values[number], due[number]
            moved = [result[number] for result in noisy]
            self._counts.arrays += 1
            self._counts.elements += value.size
            if moved:
                self._counts.unstable += int(np.sum(~stable_elements(reference, moved)))
            message = judge(
                value, reference, pair=pair, noisy=moved, terms=terms, precision=coarsest
            )
            if message:
                return Failure(self._program, backend, pair, what, message, value, reference)
        return None


@dataclasses.dataclass
class FuzzReport:
    """What `fuzz` found; true when nothing is wrong. Print it.

    Attributes
    ----------
    seed : int
        The first seed; programs have consecutive ones.
    counts : Counts
    failures : list of Failure
        With their programs made small.
    seconds : float
    """

    seed: int
    counts: Counts
    failures: list[Failure]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether programs were run and none failed."""
        return self.counts.programs > 0 and not self.failures

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        c = self.counts
        head = (
            f"fuzz: {c.programs} programs from seed {self.seed}, {c.steps} steps, {c.arrays} "
            f"arrays with {c.elements} elements compared ({c.unstable} left out as unstable), "
            f"{len(self.failures)} failures, {self.seconds:.1f} s"
        )
        return "\n\n".join([head, *[str(failure) for failure in self.failures]])


def fuzz(
    programs: int = 300,
    seed: int = 0,
    *,
    backends: Sequence[str] | None = None,
    shrinking: bool = True,
    progress: Callable[[Counts, list[Failure]], None] | None = None,
) -> FuzzReport:
    """Check random programs.

    Parameters
    ----------
    programs
        How many.
    seed
        That of the first; the next ones follow.
    backends
        Names of backends; None for those that can run here.
    shrinking
        Whether programs that fail are made small.
    progress
        Called after each program with the counts and the failures so far.

    Returns
    -------
    FuzzReport

    Examples
    --------
    >>> fuzz(3, backends=["numpy"]).ok
    True
    """
    chosen = (*available_backends(), ScheduledBackend.name) if backends is None else tuple(backends)
    chosen = tuple(sorted(chosen, key=lambda name: name != REFERENCE_BACKEND))
    counts, failures = Counts(), list[Failure]()
    start = time.perf_counter()
    for number in range(programs):
        failure = check(generate(seed + number), chosen, counts)
        if failure is not None:
            failures.append(_small(failure, chosen) if shrinking else failure)
        if progress is not None:
            progress(counts, failures)
    return FuzzReport(seed, counts, failures, time.perf_counter() - start)


def _small(failure: Failure, backends: Sequence[str]) -> Failure:
    needed = [name for name in backends if name in (backends[0], failure.backend)]

    def same(program: Program) -> bool:
        found = check(program, needed)
        return found is not None and found.kind == failure.kind

    return check(shrink(failure.program, same), needed) or failure
