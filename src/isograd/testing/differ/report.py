"""What `diff` returns: an entry for each operation, and who is wrong first."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from isograd.testing.differ.run import Operation
from isograd.testing.differ.verdict import AGREE, CANDIDATE, REFERENCE, Verdict
from isograd.testing.report import number

__all__ = ["DiffReport", "Entry"]


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """One operation with the verdict on it.

    Attributes
    ----------
    number : int
        Its place in the run.
    operation : Operation
        What was run, on the reference's inputs.
    verdict : Verdict
        Who is wrong, where and by how much.
    """

    number: int
    operation: Operation
    verdict: Verdict

    @property
    def ok(self) -> bool:
        """Whether nobody is wrong."""
        return self.verdict.ok

    def __str__(self) -> str:
        o, v = self.operation, self.verdict
        told = [f"{x.dtype.name}{list(x.shape)}" for x in o.inputs]
        shapes = ", ".join(told if len(told) <= 6 else [*told[:4], f"and {len(told) - 4} more"])
        what = f"{o.op}({shapes})"
        within = f", in the derivative of {o.of}" if o.of else ""
        within += f", on the way to buffer {o.target}" if o.target else ""
        lines = [f"{v.verdict}: operation {self.number}, {o.phase}, {what}{within}"]
        module = f", module {o.module}" if o.module else ""
        lines.append(f"  at {o.where}{module}")
        name = o.output_name(v.output)
        if not math.isnan(v.right) or v.index:
            of = f" of output {v.output}" if v.output else ""
            of += f", the new value of {name}" if name and not o.target else ""
            lines.append(
                f"  element {list(v.index)}{of}: {v.value!r} where {v.right!r} is right; "
                f"error {v.error:.3g}, bound {v.bound:.3g}"
            )
        lines += [f"  wrong: {v.pattern}"] if v.pattern else []
        lines += [f"  {v.note}"] if v.note else []
        return "\n".join(lines)

    def exchanged(self) -> Entry:
        """Return the entry for sides that have changed their places."""
        other = {CANDIDATE: REFERENCE, REFERENCE: CANDIDATE}
        verdict = other.get(self.verdict.verdict, self.verdict.verdict)
        return dataclasses.replace(self, verdict=dataclasses.replace(self.verdict, verdict=verdict))

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as JSON can hold it."""
        o, v = self.operation, self.verdict
        return {
            "number": self.number,
            "op": o.op,
            "phase": o.phase,
            "verdict": v.verdict,
            "line": o.line,
            "module": o.module,
            "of": o.of,
            "output": v.output,
            "name": o.output_name(v.output),
            "index": list(v.index),
            "value": number(v.value),
            "right": number(v.right),
            "error": number(v.error),
            "bound": number(v.bound),
            "pattern": v.pattern,
            "note": v.note,
            "inputs": [f"{x.dtype.name}{list(x.shape)}" for x in o.inputs],
        }


@dataclasses.dataclass(frozen=True, eq=False)
class DiffReport:
    """What `diff` found; true where the two agree. Print it.

    Attributes
    ----------
    reference, candidate : str
        The two sides.
    entries : tuple of Entry
        Every operation, in order.
    structure : str
        Where the two do different things, or empty.
    whole : tuple of str
        For a compiled candidate: what of the whole step is outside its bound.
    state : tuple of str
        Where the two do different things: which results of the step differ, and how.
    facts : mapping
        Versions and settings of both sides.
    files : mapping of str to str
        What was written: ``"inputs"`` and ``"reproducer"``.
    seconds : float
        How long it took.
    """

    reference: str
    candidate: str
    entries: tuple[Entry, ...]
    structure: str = ""
    whole: tuple[str, ...] = ()
    facts: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict[str, Any])
    files: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    seconds: float = 0.0
    state: tuple[str, ...] = ()

    @property
    def first(self) -> Entry | None:
        """The first operation that a side got wrong."""
        return next((entry for entry in self.entries if not entry.ok), None)

    @property
    def ok(self) -> bool:
        """Whether both do the same, and nobody is wrong."""
        return bool(self.entries) and self.first is None and not (self.structure or self.whole)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of operations by verdict."""
        return Counter(entry.verdict.verdict for entry in self.entries)

    def __str__(self) -> str:
        counts = ", ".join(f"{n} {verdict}" for verdict, n in self.counts.items())
        head = "agree" if self.ok else "DISAGREE"
        sides = f"{self.reference} and {self.candidate} {head}"
        lines = [f"{sides}: {len(self.entries)} operations ({counts}), {self.seconds:.1f} s"]
        if self.first is not None:
            lines += ["", str(self.first)]
        others = [e for e in self.entries if not e.ok and e is not self.first]
        if others:
            names = dict.fromkeys(f"{e.operation.op} ({e.operation.phase})" for e in others)
            lines.append(f"  and {len(others)} later operations: {', '.join(list(names)[:8])}")
        ill = [e for e in self.entries if e.verdict.verdict not in (AGREE,) and e.ok]
        if ill:
            lines.append(
                f"  ill-conditioned, so nobody is to blame: {len(ill)} operations, the first "
                f"{ill[0].operation.op} at {ill[0].operation.where}"
            )
        lines += [self.structure] if self.structure else []
        lines += [f"  after the step: {text}" for text in self.state]
        lines += [f"whole step: {text}" for text in self.whole]
        lines += [f"{what}: {file}" for what, file in self.files.items()]
        return "\n".join(lines)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the report as JSON, with the first disagreement under ``first``."""
        content = {
            "command": "diff",
            "agree": self.ok,
            "reference": self.reference,
            "candidate": self.candidate,
            "operations": len(self.entries),
            "counts": dict(self.counts),
            "first": None if self.first is None else self.first.as_dict(),
            "structure": self.structure,
            "whole": list(self.whole),
            "state": list(self.state),
            "disagreements": [e.as_dict() for e in self.entries if e.verdict.verdict != AGREE],
            "facts": {side: dict(facts) for side, facts in self.facts.items()},
            "files": dict(self.files),
            "seconds": self.seconds,
        }
        return json.dumps(content, indent=indent)
