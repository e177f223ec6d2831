"""What two runs of different structure ended in: loss, gradients, parameters and buffers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.testing.differ.pattern import pattern
from isograd.testing.differ.run import Run
from isograd.testing.tolerances import TABLE, compare, outside

__all__ = ["compare_given", "compare_state"]

Array = Any


def compare_state(run: Run, other: Run) -> tuple[str, ...]:
    """Say which results of a step differ by more than rounding explains, the second run's last."""
    found: list[str] = []
    for name in dict.fromkeys([*run.state, *other.state]):
        a, b = run.state.get(name), other.state.get(name)
        if a is None or b is None:
            has, lacks = (run, other) if b is None else (other, run)
            found.append(f"{name} is there on {has.side} only, not on {lacks.side}")
        elif a.shape != b.shape:
            found.append(f"{name} has shape {list(b.shape)} where {list(a.shape)} was")
        else:
            found += _compared(name, np.asarray(a), np.asarray(b))
    return tuple(found)


def compare_given(run: Run, other: Run) -> str:
    """Say which of the numbers that no operation made is another one in the second run, or nothing.

    Parameters, inputs, constants, keys: where they differ, two runs may be right and differ.
    """
    first, second = _given(run), _given(other)
    for number, i in sorted(first.keys() & second.keys()):
        o = run.operations[number]
        name = f"input {i} of operation {number}, {o.op}, at {o.where}"
        for text in _compared(name, first[number, i], second[number, i]):
            return f"the two were given different numbers: {text}"
    return ""


def _given(run: Run) -> dict[tuple[int, int], Array]:
    made, found = set[int](), dict[tuple[int, int], Array]()
    for number, o in enumerate(run.operations):
        found |= {(number, i): x for i, x in enumerate(o.inputs) if hash(x.tobytes()) not in made}
        made |= {hash(x.tobytes()) for x in o.outputs}
    return found


def _compared(name: str, a: Array, b: Array) -> list[str]:
    floating = dtypes.is_floating(a.dtype) and dtypes.is_floating(b.dtype)
    rule = TABLE["program" if floating else "exact"]
    wide = np.asarray(a, np.float64) if floating else a
    scale = np.max(np.abs(wide), initial=0.0, where=np.isfinite(wide)) if floating else None
    terms = max(1, math.prod(a.shape))
    found = compare(b, wide, tolerance=rule, scale=scale, terms=terms)
    if found.ok:
        return []
    bad = outside(b, wide, tolerance=rule, scale=scale, terms=terms)
    what = pattern(b, a, bad).replace("the right value", "the first's")
    numbers = f"{found.value!r} where the first has {found.reference!r}"
    return [f"{name}, element {list(found.index)}: {numbers}; {what}"]
