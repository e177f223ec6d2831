"""The shorthand in which the rows of public functions are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from isograd.testing.op_db.generate import Draw, draw, public
from isograd.testing.op_db.spec import FLOATS, NUMERIC, ErrorCase, OpSpec, Sample, Samples, Scale

__all__ = ["SUMMED", "case", "joined", "row", "sampled"]

Array = Any
Case = tuple[tuple[tuple[int, ...], ...], dict[str, Any]]

SUMMED = ("float64", "float32", "float16", "int64")


def case(*shapes: tuple[int, ...], **static: Any) -> Case:
    """Write a call: the shapes of its tensors, and its static arguments."""
    return shapes, static


def joined(name: str) -> Callable[..., Any]:
    """Return a public function that takes its tensors in a list."""
    call = public(name)
    return lambda *xs, **static: call(list(xs), **static)


def _called(name: str, by_position: Sequence[str]) -> Callable[..., Any]:
    call = public(name)

    def on(*xs: Any, **static: Any) -> Any:
        return call(*xs, *(static.pop(key) for key in by_position), **static)

    return on


def _samples(cases: Sequence[Case], source: Draw) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shapes, static in cases:
            small = sum(int(np.prod(shape)) for shape in shapes) < 200
            arrays = tuple(source(rng, shape, dtype) for shape in shapes)
            yield Sample(arrays, static, label="" if small else "large", grad=small)

    return samples


def row(
    name: str,
    reference: Callable[..., Any],
    *cases: Case,
    fn: Callable[..., Any] | None = None,
    by: Sequence[str] = (),
    source: Draw | None = None,
    dtypes: tuple[str, ...] = FLOATS,
    grad_args: tuple[int, ...] = (0,),
    order: int = 2,
    scale: Scale = Scale("exact"),  # noqa: B008 - frozen
    errors: tuple[ErrorCase, ...] = (),
    budget: int = 8,
) -> OpSpec:
    """Write the row of a public function.

    Parameters
    ----------
    name
        Its name; a prefix ``isograd.`` keeps it apart from a primitive of the same name.
    reference
        As in `OpSpec`.
    *cases
        What `case` returns.
    fn
        What is called, where that is not the function of that name.
    by
        The static arguments that are passed by position.
    source
        Where values come from.
    dtypes, grad_args, order, scale, errors, budget
        As in `OpSpec`.
    """
    return OpSpec(
        name=name,
        fn=fn or _called(name.removeprefix("isograd."), by),
        reference=reference,
        samples=_samples(cases, source or draw()),
        errors=errors,
        dtypes=dtypes,
        grad_args=grad_args,
        order=order,
        scale=scale,
        budget=budget,
        primitive=False,
    )


def sampled(
    name: str,
    fn: Callable[..., Any],
    reference: Callable[..., Any],
    samples: Samples,
    *errors: ErrorCase,
    **more: Any,
) -> OpSpec:
    """Write the row of a public function whose samples are more than shapes.

    What it takes is what `OpSpec` takes; results are to be equal unless ``scale`` says otherwise.
    """
    given: dict[str, Any] = {"dtypes": NUMERIC, "scale": Scale("equal"), "budget": 8} | more
    return OpSpec(name, fn, reference, samples, errors=errors, primitive=False, **given)
