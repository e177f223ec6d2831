"""Checking the rows of the edge policy, on one backend, in one dtype, in every layout, compiled."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import contextlib
import dataclasses
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.backend import Backend
from isograd.core.errors import NumericsWarning
from isograd.testing.edge_policy import EdgeCase, EdgeRow
from isograd.testing.execute import on_device_of
from isograd.testing.layouts import LAYOUTS, place, values_in
from isograd.testing.raised import told
from isograd.testing.report import Cell
from isograd.testing.tolerances import TABLE, Comparison, Tolerance, compare

__all__ = ["check_row"]

Array = Any

MANY = 6000
"""Repetitions that bring a case above the sizes from which backends use other kernels."""


def check_row(row: EdgeRow, backend: str | Backend, dtype: str) -> Cell:
    """Check a row of the edge policy.

    Parameters
    ----------
    row
        The row.
    backend
        A backend or its name.
    dtype
        ``"float64"`` or ``"float32"``; cases that are about one dtype use theirs.

    Returns
    -------
    Cell
        Its `count` is the number of comparisons, its message the first thing that is wrong.

    Examples
    --------
    >>> from isograd.testing.edge_policy import EDGE_ROWS
    >>> check_row(EDGE_ROWS[2], "numpy", "float64").verdict
    'pass'
    """
    count, largest = 0, 0.0
    with on_device_of(backend) as active:
        name = active.name
        for what, comparison in _comparisons(row, dtype):
            count += 1
            largest = max(largest, comparison.largest)
            if not comparison.ok:
                wrong = comparison.message
                return Cell(row.case, "edge", name, dtype, "fail", math.inf, what, wrong, count)
    return Cell(row.case, "edge", name, dtype, "pass", largest, count=count)


def _comparisons(row: EdgeRow, dtype: str) -> Iterator[tuple[str, Comparison]]:
    for number, case in enumerate(row.cases):
        for layout, placed in _variants(case):
            what = f"case {number}, {layout}"
            try:
                yield from (
                    (f"{what}, {part}", found)
                    for part, found in _compare_case(placed, layout, case.dtype or dtype)
                )
            except Exception as error:  # the row must say what happened, whatever it was
                yield what, Comparison(False, math.inf, message=told(error))
    if row.cases:
        try:
            yield from _compiled(row.cases, dtype)
        except Exception as error:
            wrong = told(error)
            yield "compiled", Comparison(False, math.inf, message=wrong)
    for claim in row.claims:
        try:
            wrong = claim(dtype)
        except Exception as error:
            wrong = told(error)
        yield claim.__name__, Comparison(not wrong, math.inf if wrong else 0.0, message=wrong)


def _variants(case: EdgeCase) -> Iterator[tuple[str, EdgeCase]]:
    """Yield the case in every layout; elementwise ones also as a matrix, and element by element."""
    for layout in ("C order", "transposed", "sliced", "reversed"):
        arrays = [np.asarray(x) for x in case.inputs]
        if any(values_in(layout, x) is not None and x.ndim for x in arrays) or layout == "C order":
            yield layout, case
    if case.elementwise:
        yield "transposed", _mapped(case, lambda x: np.stack([x, x]))
        yield "C order", _mapped(case, lambda x: np.concatenate([x] * MANY))
        for i in range(len(case.inputs[0])):
            yield "zero stride", _mapped(case, lambda x, i=i: np.repeat(x[i : i + 1], 3))
    if case.rows:
        yield "C order", _mapped(case, lambda x: np.concatenate([x] * MANY))
        yield "transposed", _mapped(case, lambda x: np.concatenate([x] * MANY))


def _mapped(case: EdgeCase, change: Any) -> EdgeCase:
    """Return the case with inputs, value and gradients changed alike."""
    return dataclasses.replace(
        case,
        inputs=tuple(change(np.asarray(x)) for x in case.inputs),
        value=None if case.value is None else change(np.asarray(case.value)),
        grads=None if case.grads is None else tuple(change(np.asarray(g)) for g in case.grads),
    )


def _compare_case(case: EdgeCase, layout: str, dtype: str) -> Iterator[tuple[str, Comparison]]:
    assert layout in LAYOUTS
    tensors = [place(layout, np.asarray(x, dtype)) for x in case.inputs]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out, grads = _run(case, tensors)
    yield "warnings", _warned(caught, case.warns)
    yield from _compare(case, out, grads)


def _compiled(cases: Sequence[EdgeCase], dtype: str) -> Iterator[tuple[str, Comparison]]:
    """Compare all cases as one compiled program, in which no values are there to warn of."""
    given = [[ig.tensor(np.asarray(x, case.dtype or dtype)) for x in case.inputs] for case in cases]

    def program(given: Sequence[Sequence[Any]]) -> list[Any]:
        return [_run(case, tensors) for case, tensors in zip(cases, given, strict=True)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumericsWarning)
        found = ig.compile(program)(given)
    for number, (case, (out, grads)) in enumerate(zip(cases, found, strict=True)):
        for part, comparison in _compare(case, out, grads):
            yield f"case {number}, compiled, {part}", comparison


def _run(case: EdgeCase, tensors: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """Return a case's output and gradients."""
    if case.grads is None:
        return case.fn(*tensors), ()
    out, back = ig.vjp(case.fn, *tensors)
    with ig.nan_safe() if case.nan_safe else contextlib.nullcontext():
        return out, back(ig.ones(out.shape, dtype=out.dtype))


def _compare(case: EdgeCase, out: Any, grads: Sequence[Any]) -> Iterator[tuple[str, Comparison]]:
    if case.value is not None:
        yield "value", _near(out.numpy(), case.value, case.tolerance)
    for i, (got, wanted) in enumerate(zip(grads, case.grads or (), strict=True)):
        yield f"gradient {i}", _near(got.numpy(), wanted, case.tolerance)


def _near(got: Array, wanted: Any, slack: float) -> Comparison:
    right = np.asarray(wanted)
    rule = TABLE["elementwise"]
    if slack and got.dtype.kind == "f":
        rule = Tolerance(
            rule.constant + slack / float(np.finfo(got.dtype).eps), reason="printed digits"
        )
    found = compare(got, right, tolerance=rule)
    if found.ok:
        return found
    if right.size > 20:
        where = f"element {found.index} is {found.value!r} where {found.reference!r} is right"
        return dataclasses.replace(found, message=where)
    return dataclasses.replace(found, message=f"{got.tolist()} where {right.tolist()} is right")


def _warned(caught: list[warnings.WarningMessage], due: bool) -> Comparison:
    expected = [w for w in caught if issubclass(w.category, NumericsWarning)]
    others = [str(w.message) for w in caught if w not in expected]
    if others or bool(expected) != due:
        texts = [str(w.message) for w in caught]
        message = f"warnings {texts} where {'a NumericsWarning' if due else 'none'} is due"
        return Comparison(False, math.inf, message=message)
    return Comparison(True, 0.0)
