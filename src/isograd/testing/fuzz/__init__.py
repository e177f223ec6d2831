"""Fuzzing of `isograd.compile` and of the backends: random programs, checked and made small.

A `Program` is data: it runs, prints itself as a script, and shrinks. `fuzz` makes programs from
consecutive seeds and holds each, with derivatives, to these rules: compiled it gives what it gives
eagerly, bit for bit, and every backend gives what NumPy gives, within what rounding explains.
``python -m isograd.testing.fuzz`` does so from the command line.
"""

from __future__ import annotations

from isograd.testing.fuzz.check import Failure, FuzzReport, check, fuzz, judge
from isograd.testing.fuzz.generate import generate
from isograd.testing.fuzz.program import Input, Program, Ref, Step
from isograd.testing.fuzz.shrink import shrink

__all__ = [
    "Failure",
    "FuzzReport",
    "Input",
    "Program",
    "Ref",
    "Step",
    "check",
    "fuzz",
    "generate",
    "judge",
    "shrink",
]
