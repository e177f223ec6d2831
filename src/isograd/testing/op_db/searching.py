"""Rows of searching and sets."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.generate import bad, cast, distinct, draw, public
from isograd.testing.op_db.public import case, row, sampled
from isograd.testing.op_db.spec import BOOL, NUMERIC, OpSpec, Sample

__all__ = ["SEARCHING"]

Array = Any
Rng = np.random.Generator
DType = np.dtype[Any]

ALL = (*NUMERIC, *BOOL)


def _before(a: Any, b: Any) -> bool:
    """Tell whether a comes before b in NumPy's order, which has NaN last."""
    return bool(a < b) or (b != b and a == a)


def _searchsorted(x1: Array, x2: Array, *, side: str = "left") -> Array:
    out = np.zeros(x2.shape, np.int64)
    for place in np.ndindex(x2.shape):
        v = x2[place]
        out[place] = sum(_before(a, v) if side == "left" else not _before(v, a) for a in x1)
    return out


def _sorted_samples(rng: Rng, dtype: DType) -> Iterable[Sample]:
    source = draw(-4, 4)
    for n, shape, side in (
        (7, (5,), "left"),
        (7, (2, 3), "right"),
        (8, (), "left"),
        (1, (3,), "right"),
        (0, (2,), "left"),
        (5, (0, 2), "right"),
    ):
        x1 = np.sort(np.round(source(rng, (n,), dtype)).astype(dtype))
        x2 = np.round(source(rng, shape, dtype)).astype(dtype)
        yield Sample((x1, x2), {"side": side}, grad=False)
    large = np.sort(source(rng, (300,), dtype)), source(rng, (40, 50), dtype)
    yield Sample(large, {"side": "left"}, label="large", grad=False, layouts=False)


def _sorted_specials(rng: Rng, dtype: DType) -> Iterable[Sample]:
    if dtype.kind in "fV":
        x1 = cast([-np.inf, -0.0, 0.0, 1, np.inf, np.nan, np.nan], dtype)
        for side in ("left", "right"):
            yield Sample((x1, x1[::-1]), {"side": side}, grad=False)


def _isin(x1: Array, x2: Array, *, invert: bool = False) -> Array:
    out = np.zeros(x1.shape, bool)
    for place in np.ndindex(x1.shape):
        out[place] = any(bool(x1[place] == y) for y in x2.ravel()) != invert
    return out


def _isin_samples(rng: Rng, dtype: DType) -> Iterable[Sample]:
    for left, right, static in (
        ((5,), (3,), {}),
        ((2, 3), (2, 2), {"invert": True}),
        ((), (4,), {}),
        ((3,), (0,), {}),
        ((0, 2), (3,), {}),
    ):
        arrays = [np.round(draw(0, 4)(rng, shape, dtype)).astype(dtype) for shape in (left, right)]
        yield Sample(tuple(arrays), static, grad=False)


def _isin_specials(rng: Rng, dtype: DType) -> Iterable[Sample]:
    if dtype.kind in "fV":
        x = cast([-np.inf, -0.0, 1, np.inf, np.nan], dtype)
        yield Sample((x, cast([np.nan, 0.0, np.inf], dtype)), grad=False)


def _topk(x: Array, *, k: int, axis: int = -1, largest: bool = True) -> tuple[Array, Array]:
    moved = np.moveaxis(x, axis, -1)
    indices = np.zeros((*moved.shape[:-1], k), np.int64)
    for place in np.ndindex(moved.shape[:-1]):
        line = moved[place]
        numbers = [i for i in range(line.size) if line[i] == line[i]]
        order = sorted(numbers, key=lambda i: float(line[i]) * (-1 if largest else 1))
        order += [i for i in range(line.size) if line[i] != line[i]]
        indices[place] = order[:k]
    values = np.take_along_axis(moved, indices, -1)
    return np.moveaxis(values, -1, axis), np.moveaxis(indices, -1, axis)


def _topk_samples(rng: Rng, dtype: DType) -> Iterable[Sample]:
    for shape, static in (
        ((5,), {"k": 2}),
        ((3, 4), {"k": 3, "axis": 0}),
        ((2, 3, 4), {"k": 1, "axis": -2, "largest": False}),
        ((3, 4), {"k": 4}),
        ((3, 4), {"k": 0}),
        ((0, 4), {"k": 2}),
    ):
        yield Sample((distinct()(rng, shape, dtype),), static)
    ties = np.round(draw(0, 3)(rng, (3, 40), dtype)).astype(dtype)
    yield Sample((ties,), {"k": 20}, label="ties", grad=False)


def _topk_specials(rng: Rng, dtype: DType) -> Iterable[Sample]:
    if dtype.kind in "fV":
        x = cast([[np.nan, -np.inf, 0.0, -0.0, np.inf, np.nan]], dtype)
        for largest in (True, False):
            yield Sample((x,), {"k": 5, "largest": largest}, grad=False)


def _unique(x: Array) -> tuple[Array, Array, Array, Array]:
    flat = list(x.ravel())
    first: list[int] = []
    inverse = np.zeros(len(flat), np.int64)
    for i, value in enumerate(flat):
        same = [j for j, k in enumerate(first) if flat[k] == value]
        inverse[i] = same[0] if same else len(first)
        if not same:
            first.append(i)
    order = sorted(
        range(len(first)), key=lambda j: (flat[first[j]] != flat[first[j]], float(flat[first[j]]))
    )
    nan = [j for j in order if flat[first[j]] != flat[first[j]]]
    order = [j for j in order if j not in nan] + sorted(nan)
    rank = np.argsort(order)
    indices = np.array([first[j] for j in order], np.int64)
    inverse = np.asarray(rank[inverse], np.int64) if flat else inverse
    counts = np.array([int((inverse == j).sum()) for j in range(len(order))], np.int64)
    return x.ravel()[indices], indices, inverse.reshape(x.shape), counts


def _repeated(rng: Rng, dtype: DType) -> Iterable[Sample]:
    for shape in ((6,), (3, 4), (), (0,), (2, 0)):
        x = np.round(draw(-3, 3)(rng, shape, dtype)).astype(dtype)
        yield Sample((x,), grad=False)
    yield Sample((distinct()(rng, (3, 2), dtype),), label="distinct", layouts=False)


def _unique_specials(rng: Rng, dtype: DType) -> Iterable[Sample]:
    if dtype.kind in "fV":
        x = cast([np.nan, 1, -0.0, np.inf, np.nan, 0.0, -np.inf, 1], dtype)
        yield Sample((x,), grad=False)


def _meshgrid(*xs: Array, indexing: Any = "xy") -> tuple[Array, ...]:
    return tuple(np.meshgrid(*xs, indexing=indexing))


def _found(name: str, reference: Callable[..., Any], *shapes: tuple[int, ...]) -> OpSpec:
    """Return the row of a function that finds what is not zero."""
    made = row(
        name,
        reference,
        *(case(shape) for shape in shapes),
        source=draw(0, 1),
        dtypes=("int64", "float32", "bool"),
        grad_args=(),
        errors=(bad((), error=ShapeError, says=("nonzero",)),) if name == "nonzero" else (),
    )
    return dataclasses.replace(made, compiles=False)


def _argwhere(x: Array) -> Array:
    places = [place for place in np.ndindex(x.shape) if x[place] != 0]
    return np.array(places, np.int64).reshape(len(places), x.ndim)


SEARCHING: tuple[OpSpec, ...] = (
    sampled(
        "searchsorted",
        public("searchsorted"),
        _searchsorted,
        _sorted_samples,
        bad((2, 2), (2,), error=ShapeError, says=("searchsorted", "(2, 2)")),
        bad((2,), (2,), side="top", error=ValueError, says=("searchsorted", "top")),
        extreme=_sorted_specials,
        grad_args=(),
    ),
    sampled(
        "isin",
        public("isin"),
        _isin,
        _isin_samples,
        extreme=_isin_specials,
        dtypes=ALL,
        grad_args=(),
    ),
    sampled(
        "topk",
        lambda x, *, k, **static: public("topk")(x, k, **static),
        _topk,
        _topk_samples,
        bad((2, 3), k=4, error=ShapeError, says=("topk", "4", "size 3", "[0, 3]")),
        bad((2, 3), k=1.5, error=DTypeError, says=("topk", "1.5")),
        extreme=_topk_specials,
    ),
    *(
        sampled(
            name,
            public(name),
            lambda x, pick=pick: tuple(_unique(x)[i] for i in pick),
            _repeated,
            extreme=_unique_specials,
            dtypes=ALL,
            compiles=False,
        )
        for name, pick in (
            ("unique_all", (0, 1, 2, 3)),
            ("unique_counts", (0, 3)),
            ("unique_inverse", (0, 2)),
            ("unique_values", (0,)),
        )
    ),
    row(
        "meshgrid",
        _meshgrid,
        case((3,), (2,)),
        case((3,), (2,), (4,), indexing="ij"),
        case((3,), (), (2,)),
        case((3,)),
        case((0,), (2,)),
        dtypes=ALL,
        grad_args=(0, 1, 2),
        errors=(
            bad((2, 2), error=ShapeError, says=("meshgrid", "(2, 2)")),
            bad((2,), indexing="yx", error=ValueError, says=("meshgrid", "yx")),
        ),
    ),
    _found(
        "nonzero",
        lambda x: tuple(_argwhere(x)[:, i] for i in range(x.ndim)),
        (5,),
        (3, 4),
        (0, 2),
    ),
    _found("argwhere", _argwhere, (5,), (3, 4), (), (0, 2)),
    _found("flatnonzero", lambda x: _argwhere(x.ravel())[:, 0], (5,), (3, 4), (), (0, 2)),
)
