"""Rows of diagonals, and of products that are composites of the matrix product."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from isograd.core.errors import ShapeError
from isograd.testing.op_db.generate import bad, public
from isograd.testing.op_db.public import SUMMED, case, joined, row
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


# -- products --------------------------------------------------------------------------------------


def _products(fn: Callable[..., Array]) -> Scale:
    return Scale(
        "sum",
        lambda *xs, **static: fn(*[np.abs(x) for x in xs], **static),
        lambda *xs, **_: int(np.prod([max(x.size, 1) for x in xs])),
    )


def _inner(x: Array, y: Array) -> Array:
    if not x.ndim or not y.ndim:
        return x * y
    out = [np.sum(u * v, dtype=x.dtype) for u in _rows(x) for v in _rows(y)]
    return np.array(out, x.dtype).reshape(x.shape[:-1] + y.shape[:-1])


def _dot(x: Array, y: Array) -> Array:
    return _inner(x, np.swapaxes(y, -1, -2) if y.ndim > 1 and x.ndim else y)


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1]) if x.size else np.zeros((int(np.prod(x.shape[:-1])), 0))


def _kron(x: Array, y: Array) -> Array:
    ndim = max(x.ndim, y.ndim)
    x, y = x.reshape((1,) * (ndim - x.ndim) + x.shape), y.reshape((1,) * (ndim - y.ndim) + y.shape)
    out = np.zeros([n * m for n, m in zip(x.shape, y.shape, strict=True)], x.dtype)
    for i in np.ndindex(x.shape):
        place = tuple(slice(a * m, (a + 1) * m) for a, m in zip(i, y.shape, strict=True))
        out[place] = x[i] * y
    return out


def _cross(x: Array, y: Array, *, axis: int = -1) -> Array:
    a, b = [np.moveaxis(z, axis, 0) for z in np.broadcast_arrays(x, y)]
    out = [a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.stack(out, axis)


def _cross_scale(x: Array, y: Array, *, axis: int = -1) -> Array:
    a, b = [np.abs(np.moveaxis(z, axis, 0)) for z in np.broadcast_arrays(x, y)]
    return np.stack([a[i] * b[j] + a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))], axis)


def _einsum(*xs: Array, subscripts: str, **_: Any) -> Array:
    """Sum over all combinations of indices, one after the other."""
    left, _arrow, right = subscripts.partition("->")
    parts = left.split(",")
    spread = max(x.ndim - len(p.replace("...", "")) for x, p in zip(xs, parts, strict=True))
    if not _arrow:
        letters = left.replace(",", "").replace("...", "")
        right = ("..." if spread else "") + "".join(
            sorted(c for c in set(letters) if letters.count(c) == 1)
        )

    def named(part: str, hidden: int) -> str:
        return part.replace("...", "0123456789"[spread - hidden : spread])

    inputs = [named(p, x.ndim - len(p.replace("...", ""))) for x, p in zip(xs, parts, strict=True)]
    output = named(right, spread)
    sizes: dict[str, int] = {}
    for x, labels in zip(xs, inputs, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            sizes[label] = max(sizes.get(label, 0), n) if n else 0
    out = np.zeros([sizes[label] for label in output], xs[0].dtype)
    for index in np.ndindex(*sizes.values()):
        at = dict(zip(sizes, index, strict=True))
        term = np.ones((), xs[0].dtype)
        for x, labels in zip(xs, inputs, strict=True):
            places = zip(labels, x.shape, strict=True)
            term = term * x[tuple(at[label] if n > 1 else 0 for label, n in places)]
        out[tuple(at[label] for label in output)] += term
    return out


def _of(subscripts: str, *shapes: tuple[int, ...], **static: Any) -> Any:
    return case(*shapes, subscripts=subscripts, **static)


def _call_einsum(*xs: Any, subscripts: str, optimize: Any = False) -> Any:
    return public("einsum")(subscripts, *xs, optimize=optimize)


ONE = (
    _of("ij->ji", (2, 3)),
    _of("ba", (2, 3)),
    _of("ij->", (2, 3)),
    _of("ii", (3, 3)),
    _of("ii->i", (3, 3)),
    _of("iji->j", (3, 2, 3)),
    _of("iii->i", (2, 2, 2)),
    _of("...ij->...ji", (2, 3, 4)),
    _of("i...->...", (2, 3)),
    _of("...", ()),
    _of("ij->j", (0, 3)),
)
TWO = (
    _of("ij,jk->ik", (2, 3), (3, 4)),
    _of("ij,jk", (2, 3), (3, 4)),
    _of("ij,jk->ki", (2, 3), (3, 4)),
    _of("i,i", (3,), (3,)),
    _of("i,i->i", (3,), (3,)),
    _of("i,j->ji", (2,), (3,)),
    _of("i,i->i", (3,), (1,)),
    _of("ij,j->", (2, 3), (1,)),
    _of("ii,i->i", (3, 3), (3,)),
    _of("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 2, 4)),
    _of("bhqk,bhkd->bqhd", (2, 2, 3, 2), (2, 2, 2, 4)),
    _of("abcd,dbe->eac", (2, 3, 2, 2), (2, 3, 3)),
    _of("...ij,...jk", (2, 3, 2), (2, 4)),
    _of("...i,j...->j...", (2, 3), (4, 1)),
    _of("ij,kj->k", (2, 3), (4, 3)),
    _of("i,->i", (3,), ()),
    _of("ij,jk->ik", (2, 0), (0, 3)),
)
MANY = (
    _of("ij,jk,kl->il", (2, 3), (3, 2), (2, 4)),
    _of("ij,jk,kl->il", (2, 3), (3, 2), (2, 4), optimize="greedy"),
    _of("ij,jk,kl->il", (2, 3), (3, 2), (2, 4), optimize=((1, 2), (0, 1))),
    _of("i,ij,j", (2,), (2, 3), (3,)),
    _of("bi,bj,bk->bijk", (2, 2), (2, 3), (2, 2)),
    _of("i,i,i,i->", (3,), (3,), (3,), (3,), optimize=True),
)


def _says(
    *words: str, shapes: tuple[tuple[int, ...], ...], error: type[Exception], **kw: Any
) -> Any:
    return bad(*shapes, error=error, says=("einsum", *words), **kw)


EINSUM_ERRORS = (
    _says("'j'", "3 and 4", shapes=((2, 3), (4, 5)), error=ShapeError, subscripts="ij,jk"),
    _says("'i'", "2 and 3", shapes=((2, 3),), error=ShapeError, subscripts="ii"),
    _says("1 letters", "2 axes", shapes=((2, 3),), error=ShapeError, subscripts="i"),
    _says("'k'", "in no operand", shapes=((2, 3),), error=ValueError, subscripts="ij->k"),
    _says("'i'", "twice", shapes=((2, 3),), error=ValueError, subscripts="ij->ii"),
    _says("'$'", "no letter", shapes=((2, 3),), error=ValueError, subscripts="i$"),
    _says("'.'", "no letter", shapes=((2, 3),), error=ValueError, subscripts="i.j"),
    _says("2 operands", "1 were", shapes=((2,),), error=ValueError, subscripts="i,i"),
    _says("ellipsis", "output", shapes=((2, 3),), error=ValueError, subscripts="...j->j"),
    _says("optimize", shapes=((2,),) * 3, error=ValueError, subscripts="i,i,i", optimize="best"),
    _says("optimize", shapes=((2,),) * 3, error=ValueError, subscripts="i,i,i", optimize=((0, 3),)),
)

PRODUCT_ROWS = (
    row(
        "einsum",
        _einsum,
        *ONE,
        *TWO,
        *MANY,
        fn=_call_einsum,
        dtypes=SUMMED,
        grad_args=(0, 1, 2, 3),
        scale=_products(_einsum),
        errors=EINSUM_ERRORS,
        budget=len(ONE) + len(TWO) + len(MANY),
    ),
    row(
        "dot",
        _dot,
        case((3,), (3,)),
        case((2, 3), (3,)),
        case((2, 3), (3, 2)),
        case((2, 1, 3), (2, 3, 2)),
        case((), (2,)),
        case((2, 0), (0, 3)),
        dtypes=SUMMED,
        grad_args=(0, 1),
        scale=_products(_dot),
        errors=(bad((2, 3), (2, 3), error=ShapeError, says=("(2, 3)",)),),
    ),
    row(
        "inner",
        _inner,
        case((3,), (3,)),
        case((2, 3), (3,)),
        case((2, 1, 3), (4, 3)),
        case((2, 2), ()),
        dtypes=SUMMED,
        grad_args=(0, 1),
        scale=_products(_inner),
    ),
    row(
        "vdot",
        lambda x, y: np.sum(x.reshape(-1) * y.reshape(-1)),
        case((3,), (3,)),
        case((2, 3), (3, 2)),
        case((), ()),
        case((0,), (0,)),
        grad_args=(0, 1),
        scale=_products(lambda x, y: np.sum(x.reshape(-1) * y.reshape(-1))),
        errors=(bad((2,), (3,), error=ShapeError, says=("vdot", "(2,)", "(3,)")),),
    ),
    row(
        "kron",
        _kron,
        case((2,), (3,)),
        case((2, 2), (1, 3)),
        case((2, 1, 2), (3,)),
        case((), (2, 2)),
        case((0,), (2,)),
        dtypes=NUMERIC,
        grad_args=(0, 1),
    ),
    row(
        "cross",
        _cross,
        case((3,), (3,)),
        case((2, 3), (3,)),
        case((2, 1, 3), (4, 3)),
        case((3, 2), (3, 2), axis=0),
        case((2, 3, 1), (3, 4), axis=-2),
        dtypes=SUMMED,
        grad_args=(0, 1),
        scale=Scale("sum", _cross_scale, lambda x, y, **_: 2),
        errors=(
            bad((2,), (2,), error=ShapeError, says=("cross", "(2,)", "3")),
            bad((3, 1), (3, 3), error=ShapeError, says=("cross", "(3, 1)")),
            bad((3,), (2, 3), axis=0, error=ShapeError, says=("cross", "(2, 3)")),
        ),
    ),
    row(
        "linalg.multi_dot",
        lambda *xs: functools.reduce(np.matmul, xs),
        case((2, 3), (3, 4)),
        case((2, 5), (5, 1), (1, 4), (4, 2)),
        case((3,), (3, 4), (4, 2), (2,)),
        case((3,), (3, 2)),
        fn=joined("linalg.multi_dot"),
        grad_args=(0, 1, 2, 3),
        dtypes=("float64", "float32"),
        scale=_products(lambda *xs: functools.reduce(np.matmul, xs)),
        errors=(
            bad((2, 3), error=ShapeError, says=("multi_dot", "(2, 3)")),
            bad((2, 3), (3,), (3, 2), error=ShapeError, says=("multi_dot", "(3,)")),
        ),
    ),
)

PRODUCTS: tuple[OpSpec, ...] = (*DIAGONALS, *PRODUCT_ROWS)
