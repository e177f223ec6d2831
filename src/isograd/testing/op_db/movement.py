"""Rows of primitives that move elements without changing them."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.generate import bad, bound, draw
from isograd.testing.op_db.spec import BOOL, NUMERIC, ErrorCase, OpSpec, Sample, Samples, Scale

__all__ = ["MOVEMENT", "reference_pad", "windows"]

Array = Any
ALL = (*NUMERIC, *BOOL)
EXACT = Scale("exact")


def windows(*rows: tuple[tuple[tuple[int, ...], ...], dict[str, Any]]) -> Samples:
    """Return one sample for each row: the shapes of the arrays and the static arguments."""
    source = draw()

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shapes, static in rows:
            small = sum(int(np.prod(shape)) for shape in shapes) < 200
            label = "" if small else "large"
            yield Sample(
                tuple(source(rng, shape, dtype) for shape in shapes),
                static,
                label=label,
                grad=small,
            )

    return samples


def _row(
    *shapes: tuple[int, ...], **static: Any
) -> tuple[tuple[tuple[int, ...], ...], dict[str, Any]]:
    return shapes, static


def _slice(
    x: Array, *, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]
) -> Array:
    grids = [range(a, b, c) for a, b, c in zip(start, stop, step, strict=True)]
    return x[np.ix_(*(np.array(list(grid), dtype=np.intp) for grid in grids))] if grids else x


def reference_pad(
    x: Array,
    *,
    low: tuple[int, ...],
    high: tuple[int, ...],
    interior: tuple[int, ...],
    value: float,
) -> Array:
    """Write the elements into an array of the padding value."""
    sizes = [
        a + b + n + max(n - 1, 0) * c
        for a, b, c, n in zip(low, high, interior, x.shape, strict=True)
    ]
    out = np.full(sizes, value, dtype=x.dtype)
    for index in np.ndindex(x.shape):
        out[tuple(a + i * (c + 1) for a, i, c in zip(low, index, interior, strict=True))] = x[index]
    return out


def _spec(
    name: str,
    reference: Any,
    samples: Samples,
    *errors: ErrorCase,
    grad_args: tuple[int, ...] = (0,),
) -> OpSpec:
    return OpSpec(
        name=name,
        fn=bound(name),
        reference=reference,
        samples=samples,
        errors=errors,
        dtypes=ALL,
        grad_args=grad_args,
        scale=EXACT,
    )


MOVEMENT: tuple[OpSpec, ...] = (
    _spec(
        "reshape",
        lambda x, *, shape: np.array(list(x.flat), x.dtype).reshape(shape),
        windows(
            _row((3, 4), shape=(2, 6)),
            _row((2, 3, 4), shape=(24,)),
            _row((), shape=(1, 1)),
            _row((1,), shape=()),
            _row((0, 3), shape=(3, 0, 2)),
            _row((64, 129), shape=(129, 64)),
        ),
        bad((2, 3), shape=(4,), error=ShapeError, says=("reshape", "(2, 3)", "(4,)")),
    ),
    _spec(
        "permute_dims",
        lambda x, *, axes: np.einsum(x, list(range(x.ndim)), list(axes)),
        windows(
            _row((3, 4), axes=(1, 0)),
            _row((2, 3, 4), axes=(2, 0, 1)),
            _row((2, 3, 4), axes=(0, 1, 2)),
            _row((), axes=()),
            _row((0, 3), axes=(1, 0)),
            _row((2, 2, 3, 2, 2), axes=(3, 0, 2, 4, 1)),
            _row((70, 129), axes=(1, 0)),
        ),
    ),
    _spec(
        "broadcast_to",
        lambda x, *, shape: (
            x + np.zeros(shape, x.dtype) if x.dtype.kind != "b" else x | np.zeros(shape, bool)
        ),
        windows(
            _row((4,), shape=(3, 4)),
            _row((3, 1), shape=(3, 4)),
            _row((), shape=(2, 2)),
            _row((1, 3), shape=(0, 3)),
            _row((2, 1, 3), shape=(2, 2, 4, 3)),
            _row((3, 4), shape=(3, 4)),
        ),
        bad((3,), shape=(4,), error=ShapeError, says=("broadcast_to", "(3,)", "(4,)")),
    ),
    _spec(
        "slice",
        _slice,
        windows(
            _row((7,), start=(1,), stop=(6,), step=(2,)),
            _row((7,), start=(0,), stop=(7,), step=(3,)),
            _row((3, 5), start=(0, 1), stop=(3, 4), step=(2, 1)),
            _row((3, 5), start=(2, 2), stop=(2, 4), step=(1, 1)),
            _row((3,), start=(1,), stop=(3,), step=(5,)),
            _row((), start=(), stop=(), step=()),
            _row((200, 130), start=(3, 1), stop=(199, 128), step=(1, 3)),
        ),
    ),
    _spec(
        "flip",
        lambda x, *, axis: (
            x[np.ix_(*(np.arange(n)[:: -1 if i in axis else 1] for i, n in enumerate(x.shape)))]
            if x.ndim
            else x
        ),
        windows(
            _row((5,), axis=(0,)),
            _row((3, 4), axis=(0, 1)),
            _row((2, 3, 4), axis=(1,)),
            _row((3, 4), axis=()),
            _row((0, 2), axis=(0,)),
            _row((), axis=()),
        ),
    ),
    _spec(
        "pad",
        reference_pad,
        windows(
            _row((3,), low=(1,), high=(2,), interior=(0,), value=0.0),
            _row((3, 2), low=(0, 1), high=(2, 0), interior=(1, 2), value=1.0),
            _row((4,), low=(0,), high=(0,), interior=(2,), value=0.0),
            _row((0, 2), low=(1, 0), high=(1, 0), interior=(1, 0), value=0.0),
            _row((1, 1), low=(0, 0), high=(0, 0), interior=(3, 0), value=0.0),
            _row((), low=(), high=(), interior=(), value=0.0),
        ),
    ),
    _spec(
        "concat",
        lambda *xs, axis: np.moveaxis(
            np.array([row for x in xs for row in np.moveaxis(x, axis, 0)], xs[0].dtype).reshape(
                sum(x.shape[axis] for x in xs), *np.delete(xs[0].shape, axis)
            ),
            0,
            axis,
        ),
        windows(
            _row((2, 3), (4, 3), axis=0),
            _row((2, 3), (2, 1), (2, 2), axis=1),
            _row((3,), axis=0),
            _row((0,), (3,), axis=0),
            _row((2, 0), (2, 2), axis=1),
        ),
        bad((2, 3), (2, 4), axis=0, error=ShapeError, says=("concat", "(2, 3)", "(2, 4)")),
        bad((2,), np.ones(2, bool), axis=0, error=DTypeError, says=("concat", "float32", "bool")),
        grad_args=(0, 1, 2),
    ),
)
