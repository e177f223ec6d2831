"""Rows of diagonals, and of products that are composites of the matrix product."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import Any

import numpy as np

from isograd.core.errors import ShapeError
from isograd.testing.op_db.generate import bad
from isograd.testing.op_db.public import SUMMED, case, row
from isograd.testing.op_db.spec import BOOL, NUMERIC, OpSpec, Scale

__all__ = ["PRODUCTS"]

Array = Any
ALL = (*NUMERIC, *BOOL)


def _diagonal(x: Array, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Array:
    moved = np.moveaxis(x, (axis1, axis2), (-2, -1))
    n, m = moved.shape[-2:]
    places = [i for i in range(n) if 0 <= i + offset < m]
    parts = [moved[..., i, i + offset] for i in places]
    return np.stack(parts, -1) if parts else np.zeros((*moved.shape[:-2], 0), x.dtype)


def _trace(x: Array, **static: Any) -> Array:
    return np.sum(_diagonal(x, **static), axis=-1)


def _diag(x: Array, *, k: int = 0) -> Array:
    if x.ndim == 2:
        return _diagonal(x, offset=k)
    n = x.size + abs(k)
    out = np.zeros((n, n), x.dtype)
    for i, value in enumerate(x):
        out[i + max(-k, 0), i + max(k, 0)] = value
    return out


def _block_diag(*xs: Array) -> Array:
    blocks = [np.atleast_2d(x) for x in xs]
    out = np.zeros((sum(b.shape[0] for b in blocks), sum(b.shape[1] for b in blocks)), xs[0].dtype)
    i = j = 0
    for b in blocks:
        out[i : i + b.shape[0], j : j + b.shape[1]] = b
        i, j = i + b.shape[0], j + b.shape[1]
    return out


DIAGONALS = (
    row(
        "diagonal",
        _diagonal,
        case((3, 3)),
        case((2, 3, 4), offset=1),
        case((2, 4, 3), offset=-2),
        case((2, 3), offset=5),
        case((2, 3), offset=-2),
        case((0, 3)),
        case((2, 0, 3)),
        case((3, 2, 4), axis1=0, axis2=2),
        case((3, 2, 3), axis1=-1, axis2=0, offset=1),
        case((40, 50)),
        dtypes=ALL,
        errors=(
            bad((3,), error=ShapeError, says=("diagonal", "(3,)", "matrix")),
            bad((2, 2), axis1=1, axis2=-1, error=ShapeError, says=("diagonal", "same")),
        ),
    ),
    row(
        "trace",
        _trace,
        case((3, 3)),
        case((2, 3, 4), offset=1),
        case((3, 2, 4), axis1=0, axis2=1, offset=-1),
        case((0, 2)),
        dtypes=SUMMED,
        scale=Scale("sum", lambda x, **static: _trace(np.abs(x), **static), lambda x, **_: 4),
        errors=(bad((3,), error=ShapeError, says=("trace", "(3,)")),),
    ),
    row(
        "diag",
        _diag,
        case((3,)),
        case((3,), k=2),
        case((2,), k=-1),
        case((0,), k=1),
        case((1,)),
        case((3, 4), k=-1),
        dtypes=ALL,
        errors=(bad((2, 2, 2), error=ShapeError, says=("diag", "(2, 2, 2)")),),
    ),
    row(
        "block_diag",
        _block_diag,
        case((2, 2), (1, 3)),
        case((2, 1)),
        case((), (2,), (0, 2)),
        dtypes=NUMERIC,
        grad_args=(0, 1),
        errors=(bad((2, 2, 2), error=ShapeError, says=("block_diag", "(2, 2, 2)")),),
    ),
)

PRODUCTS: tuple[OpSpec, ...] = DIAGONALS
