"""Who is wrong: one operation of two sides before the float64 referee."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.testing.differ.pattern import pattern
from isograd.testing.differ.replay import Replay
from isograd.testing.differ.run import Operation, same_bits
from isograd.testing.execute import as_float64
from isograd.testing.referee import Referee, referee_of
from isograd.testing.tolerances import Comparison

__all__ = [
    "AGREE",
    "CANDIDATE",
    "ILL",
    "REFERENCE",
    "Verdict",
    "bounds_of",
    "fails",
    "is_right",
    "judge",
    "wrong_outputs",
]

Array = Any

AGREE = "agree"
CANDIDATE = "candidate wrong"
REFERENCE = "reference wrong"
ILL = "ill-conditioned"

#: How many times the response to changes of one unit in the last place an error may be.
_RESPONSE_FACTOR = 4.0


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the referee says of one operation.

    Attributes
    ----------
    verdict : str
        ``"agree"``, ``"candidate wrong"``, ``"reference wrong"`` or ``"ill-conditioned"``.
    output : int
        The output with the largest error.
    index : tuple of int
        Its worst element.
    value, right : float
        What the side that is wrong made of it, and what is right.
    error, bound : float
        How far these are apart, and how far they may be.
    pattern : str
        Which elements are wrong, in words.
    note : str
        What else is to be said.
    """

    verdict: str
    output: int = 0
    index: tuple[int, ...] = ()
    value: float = math.nan
    right: float = math.nan
    error: float = 0.0
    bound: float = 0.0
    pattern: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether nobody is wrong."""
        return self.verdict in (AGREE, ILL)


def _dtype_of(operation: Operation) -> np.dtype[Any]:
    found = [x.dtype for x in operation.inputs if dtypes.is_floating(x.dtype)]
    found += [x.dtype for x in operation.inputs] + [x.dtype for x in operation.outputs]
    return found[0]


@dataclasses.dataclass(frozen=True)
class _Trial:
    """One side's result before the referee."""

    operation: Operation
    outputs: Sequence[Array]
    referee: Referee
    right: Sequence[Array]
    comparisons: Sequence[Comparison]
    fault: str = ""

    @property
    def ok(self) -> bool:
        return not self.fault and all(c.ok for c in self.comparisons)

    @property
    def units(self) -> float:
        found = max((c.units for c in self.comparisons), default=0.0)
        return found if math.isfinite(found) else 0.0

    def found(self, verdict: str, note: str = "") -> Verdict:
        if not self.comparisons:
            return Verdict(verdict, error=math.inf, note=self.fault or note)
        output = max(range(len(self.comparisons)), key=lambda i: self.comparisons[i].largest)
        c = self.comparisons[output]
        text = ""
        if not c.ok:
            value, right = np.asarray(self.outputs[output]), np.asarray(self.right[output])
            args, static = self.operation.inputs, self.operation.static
            text = pattern(value, right, self.referee.outside(value, args, static, right))
        notes = "; ".join(filter(None, (self.fault, "" if text else c.message, note)))
        error = abs(c.value - c.reference)
        return Verdict(
            verdict,
            output,
            c.index,
            c.value,
            c.reference,
            error if math.isfinite(error) else (0.0 if c.ok else math.inf),
            c.bound,
            text,
            notes,
        )

    def ill_conditioned(self) -> bool:
        """Tell whether rounding of the inputs explains every error."""
        if self.fault:
            return False
        rng = np.random.default_rng(0)
        args, static = self.operation.inputs, self.operation.static
        responses = self.referee.response(args, static, self.right, rng)
        for (value, right), response in zip(self._pairs(), responses, strict=True):
            bad = self.referee.outside(np.asarray(value), args, static, np.asarray(right))
            with np.errstate(all="ignore"):
                error = np.abs(np.subtract(*as_float64([value, right])))
            if np.any(bad & ~(error <= _RESPONSE_FACTOR * response)):
                return False
        return True

    def _pairs(self) -> list[tuple[Array, Array]]:
        return list(zip(self.outputs, self.right, strict=True))


def _try(
    operation: Operation,
    replay: Replay,
    baseline: float = 0.0,
    right: Sequence[Array] | None = None,
) -> _Trial:
    referee = referee_of(operation.op, _dtype_of(operation))
    if right is None:
        right = referee.right(operation.inputs, operation.static)
    if wrong := operation.misfit(replay.outputs):
        return _Trial(operation, (), referee, right, (), replay.error or wrong)
    found = referee.compare(replay.outputs, operation.inputs, operation.static, right, baseline)
    return _Trial(operation, replay.outputs, referee, right, found, replay.error)


def judge(
    reference: Operation,
    candidate: Operation,
    replay: Replay,
    *,
    bits: bool = False,
    reference_fault: str = "",
) -> Verdict:
    """Say who is wrong.

    Parameters
    ----------
    reference
        The operation as the reference ran it.
    candidate
        The operation that the candidate was given: the same, where inputs are shared.
    replay
        What the candidate made of it.
    bits
        Whether the two must be equal bit for bit.
    reference_fault
        What is wrong with the reference beside its numbers.
    """
    first = _try(reference, Replay(reference.outputs, reference_fault))
    shared = first.right if candidate is reference else None
    second = _try(candidate, replay, first.units if first.ok else 0.0, shared)
    if first.ok and second.ok:
        if bits and not same_bits(reference.outputs, replay.outputs):
            return second.found(CANDIDATE, "the bits depend on the number of threads")
        return second.found(AGREE)
    if first.ok:
        return second.found(ILL if second.ill_conditioned() else CANDIDATE)
    if first.ill_conditioned():
        bad = not second.ok and not second.ill_conditioned()
        return second.found(CANDIDATE) if bad else first.found(ILL)
    return first.found(REFERENCE, "" if second.ok else "the other side is wrong as well")


def bounds_of(operation: Operation) -> tuple[Sequence[Array], Sequence[Array]]:
    """Return what is right for an operation, and how far results may be from it."""
    referee = referee_of(operation.op, _dtype_of(operation))
    right = referee.right(operation.inputs, operation.static)
    return right, [
        referee.bound(r, operation.inputs, operation.static, aval.dtype)
        for r, aval in zip(right, operation.due(), strict=True)
    ]


def is_right(operation: Operation, replay: Replay) -> bool:
    """Tell whether a side is right about an operation, within the bounds."""
    return _try(operation, replay).ok


def fails(operation: Operation, replay: Replay) -> bool:
    """Tell whether a side is wrong about an operation, and not for its condition."""
    trial = _try(operation, replay)
    return not trial.ok and not trial.ill_conditioned()


def wrong_outputs(operation: Operation, replay: Replay) -> list[int]:
    """Return which outputs a side got wrong; none where it raised."""
    return [i for i, c in enumerate(_try(operation, replay).comparisons) if not c.ok]
