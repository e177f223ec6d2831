"""Rows of indexing primitives."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.testing.op_db.generate import bad, bound, distinct, draw, specials
from isograd.testing.op_db.spec import BOOL, NUMERIC, OpSpec, Sample, Samples, Scale

__all__ = ["INDEXING"]

Array = Any
ALL = (*NUMERIC, *BOOL)
CASES: tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...] = (
    ((5,), (3,), 0),
    ((5,), (), 0),
    ((4, 3), (6,), 0),
    ((4, 3), (2, 2), 1),
    ((2, 3, 4), (5,), 1),
    ((4, 3), (0,), 0),
    ((0, 3), (0,), 0),
)


def _indices(
    rng: np.random.Generator, shape: tuple[int, ...], size: int, dtype: str = "int64"
) -> Array:
    """Draw indices of either sign, with duplicates."""
    return np.asarray(rng.integers(-size, max(size, 1), shape)).astype(dtype)


def _columns(x: Array, axis: int) -> Iterable[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Yield the index of each line along an axis, before and after it."""
    for before in np.ndindex(x.shape[:axis]):
        for after in np.ndindex(x.shape[axis + 1 :]):
            yield before, after


def _take(x: Array, indices: Array, *, axis: int) -> Array:
    out = np.empty((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    for place in np.ndindex(indices.shape):
        for before, after in _columns(x, axis):
            out[(*before, *place, *after)] = x[(*before, int(indices[place]), *after)]
    return out


def _write(x: Array, indices: Array, updates: Array, axis: int, add: bool) -> Array:
    out = x.copy()
    for place in np.ndindex(indices.shape):
        for before, after in _columns(x, axis):
            target = (*before, int(indices[place]), *after)
            value = updates[(*before, *place, *after)]
            out[target] = out[target] + value if add else value
    return out


def _along(
    x: Array, indices: Array, axis: int
) -> Iterable[tuple[tuple[int, ...], tuple[int, ...]]]:
    for place in np.ndindex(indices.shape):
        yield place, (*place[:axis], int(indices[place]), *place[axis + 1 :])


def _take_along(x: Array, indices: Array, *, axis: int) -> Array:
    out = np.empty(indices.shape, x.dtype)
    for place, source in _along(x, indices, axis):
        out[place] = x[source]
    return out


def _add_along(x: Array, indices: Array, updates: Array, *, axis: int) -> Array:
    out = x.copy()
    for place, target in _along(x, indices, axis):
        out[target] += updates[place]
    return out


def _take_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    source = draw()
    for shape, place, axis in CASES:
        yield Sample((source(rng, shape, dtype), _indices(rng, place, shape[axis])), {"axis": axis})
    narrow = source(rng, (4, 3), dtype), _indices(rng, (5,), 4, "int32")
    yield Sample(narrow, {"axis": 0}, label="int32 indices")
    wide = source(rng, (300, 9), dtype), _indices(rng, (2000,), 300)
    yield Sample(wide, {"axis": 0}, label="large", grad=False)


def _write_samples(unique: bool) -> Samples:
    """Return samples of updates, some with indices that occur twice."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        source = draw()
        for shape, place, axis in CASES:
            indices = _indices(rng, place, shape[axis])
            updates = source(rng, (*shape[:axis], *place, *shape[axis + 1 :]), dtype)
            yield Sample((source(rng, shape, dtype), indices, updates), {"axis": axis})
        twice = np.array([1, -3, 1, 0])
        updates = source(rng, (4, 3), dtype)
        yield Sample((source(rng, (4, 3), dtype), twice, updates), {"axis": 0}, label="duplicates")
        if not unique:
            many = (
                source(rng, (30, 9), dtype),
                _indices(rng, (2000,), 30),
                source(rng, (2000, 9), dtype),
            )
            yield Sample(many, {"axis": 0}, label="large", grad=False)

    return samples


def _along_samples(updates: bool) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        source = draw()
        for shape, place, axis in (
            ((5,), (3,), 0),
            ((4, 3), (6, 3), 0),
            ((4, 3), (4, 5), 1),
            ((2, 3, 4), (2, 2, 4), 1),
            ((4, 3), (0, 3), 0),
        ):
            args = (source(rng, shape, dtype), _indices(rng, place, shape[axis]))
            yield Sample((*args, source(rng, place, dtype)) if updates else args, {"axis": axis})

    return samples


def _argsort(x: Array, *, axis: int, descending: bool) -> Array:
    def one(row: Array) -> Array:
        numbers = [i for i, value in enumerate(row) if value == value]
        rest = [i for i, value in enumerate(row) if value != value]
        return np.array(
            [*sorted(numbers, key=lambda i: row[i].item() * (-1 if descending else 1)), *rest],
            np.int64,
        )

    if x.size == 0:
        return np.zeros(x.shape, np.int64)
    return np.apply_along_axis(one, axis, x)


def _sort_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for shape, axis in (
        ((5,), 0),
        ((3, 4), 0),
        ((3, 4), 1),
        ((2, 3, 4), 1),
        ((0, 3), 0),
        ((3, 0), 1),
    ):
        for descending in (False, True):
            yield Sample(
                (distinct()(rng, shape, dtype),),
                {"axis": axis, "descending": descending},
                grad=False,
            )
    ties = draw(-2, 2)(rng, (3, 40), np.dtype(np.int64)).clip(0).astype(dtype)
    for descending in (False, True):
        yield Sample((ties,), {"axis": 1, "descending": descending}, label="ties", grad=False)
        static = {"axis": 1, "descending": descending}
        yield Sample((draw()(rng, (9, 1500), dtype),), static, label="large", grad=False)


def _sort_special(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    special = (np.nan, 1.0, -np.inf, np.nan, np.inf, 0.0, -0.0)
    for sample in specials(special)(rng, dtype):
        x = sample.args[0][None]
        for descending in (False, True):
            yield Sample((x,), {"axis": 1, "descending": descending}, grad=False)


def _out_of_range(name: str, *updates: Any) -> tuple[Any, ...]:
    says = (name, "7", "axis 0", "size 3")
    low = bad(
        (3,),
        np.array([0, -4]),
        *updates,
        axis=0,
        error=IndexOutOfRangeError,
        says=(name, "-4", "size 3"),
    )
    return bad((3,), np.array([0, 7]), *updates, axis=0, error=IndexOutOfRangeError, says=says), low


def _count(x: Array, indices: Array, updates: Array, **_: Any) -> int:
    return max(int(indices.size), 1)


def _magnitude(write: Callable[..., Array]) -> Callable[..., Array]:
    return lambda x, indices, updates, **static: write(
        np.abs(x), indices, np.abs(updates), **static
    )


def _scatter(x: Array, indices: Array, updates: Array, *, axis: int) -> Array:
    return _write(x, indices, updates, axis, add=True)


INDEXING: tuple[OpSpec, ...] = (
    OpSpec(
        name="take",
        fn=bound("take"),
        reference=_take,
        samples=_take_samples,
        errors=(
            *_out_of_range("take"),
            bad((3,), np.array([0.5]), axis=0, error=DTypeError, says=("take", "float64")),
        ),
        dtypes=ALL,
        scale=Scale("exact"),
    ),
    OpSpec(
        name="scatter_add",
        fn=bound("scatter_add"),
        reference=_scatter,
        samples=_write_samples(unique=False),
        errors=(
            *_out_of_range("scatter_add", (2,)),
            bad(
                (3,),
                np.array([0, 1]),
                (3,),
                axis=0,
                error=ShapeError,
                says=("scatter_add", "(3,)", "(2,)"),
            ),
        ),
        dtypes=ALL,
        grad_args=(0, 2),
        scale=Scale("sum", _magnitude(_scatter), _count),
    ),
    OpSpec(
        name="take_along_axis",
        fn=bound("take_along_axis"),
        reference=_take_along,
        samples=_along_samples(updates=False),
        errors=_out_of_range("take_along_axis"),
        dtypes=ALL,
        scale=Scale("exact"),
    ),
    OpSpec(
        name="scatter_add_along_axis",
        fn=bound("scatter_add_along_axis"),
        reference=_add_along,
        samples=_along_samples(updates=True),
        errors=_out_of_range("scatter_add_along_axis", (2,)),
        dtypes=ALL,
        grad_args=(0, 2),
        scale=Scale("sum", _magnitude(_add_along), _count),
    ),
    OpSpec(
        name="index_set",
        fn=bound("index_set"),
        reference=lambda x, indices, updates, *, axis: _write(x, indices, updates, axis, add=False),
        samples=_write_samples(unique=True),
        errors=_out_of_range("index_set", (2,)),
        dtypes=ALL,
        grad_args=(0, 2),
        scale=Scale("exact"),
    ),
    OpSpec(
        name="argsort",
        fn=bound("argsort"),
        reference=_argsort,
        samples=_sort_samples,
        extreme=_sort_special,
        dtypes=ALL,
        grad_args=(),
        scale=Scale("exact"),
    ),
)
