"""Rows of gathering and scattering, segments, and updates by index."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.testing.op_db.generate import Draw, bad, cast, distinct, draw, public
from isograd.testing.op_db.public import sampled
from isograd.testing.op_db.shaping import DUPLICATES, INDICES
from isograd.testing.op_db.spec import (
    BOOL,
    FLOATS,
    NUMERIC,
    ErrorCase,
    OpSpec,
    Sample,
    Samples,
    Scale,
)

__all__ = ["SCATTERING"]

Array = Any
Rng = np.random.Generator
DType = np.dtype[Any]

ALL = (*NUMERIC, *BOOL)

# -- gathering and scattering ----------------------------------------------------------------------


def _with_dim(name: str) -> Callable[..., Any]:
    """Return a function that takes its axis between its arrays."""
    call = public(name)
    return lambda x, *rest, dim, **static: call(x, dim, *rest, **static)


_PLACES: tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...] = (
    ((5,), (3,), 0),
    ((4, 3), (6, 3), 0),
    ((4, 3), (2, 5), 1),
    ((2, 3, 4), (1, 5, 2), -2),
    ((4, 3), (0, 3), 0),
    ((0, 3), (0, 2), 0),
)


def _indices(rng: Rng, shape: tuple[int, ...], n: int, dtype: str = "int64") -> Array:
    return np.asarray(rng.integers(-n, max(n, 1), shape)).astype(dtype)


def _along_samples(updates: bool) -> Samples:
    source = draw()

    def samples(rng: Rng, dtype: DType) -> Iterable[Sample]:
        for number, (shape, where, dim) in enumerate(_PLACES):
            index = _indices(rng, where, shape[dim], "int32" if number == 1 else "int64")
            args = (source(rng, shape, dtype), index)
            if updates:  # larger than the index in one of them
                wide = where if number != 2 else (3, 6)
                args += (source(rng, wide, dtype),)
            yield Sample(args, {"dim": dim})
        if updates:
            one = source(rng, (4, 3), dtype), _indices(rng, (2, 3), 4), source(rng, (), dtype)
            yield Sample(one, {"dim": 0}, label="one number")
        else:
            args = source(rng, (60, 70), dtype), _indices(rng, (50, 70), 60)
            yield Sample(args, {"dim": 0}, label="large", grad=False)

    return samples


def _targets(index: Array, dim: int) -> Iterable[tuple[tuple[int, ...], tuple[int, ...]]]:
    axis = dim % index.ndim
    for place in np.ndindex(index.shape):
        yield place, (*place[:axis], int(index[place]), *place[axis + 1 :])


def _gather(x: Array, index: Array, *, dim: int) -> Array:
    out = np.empty(index.shape, x.dtype)
    for place, target in _targets(index, dim):
        out[place] = x[target]
    return out


def _scatter(x: Array, index: Array, src: Array, *, dim: int, add: bool = False) -> Array:
    out = x.copy()
    for place, target in _targets(index, dim):
        value = src[place] if src.ndim else src
        out[target] = out[target] + value if add else value
    return out


_scattered_sum = functools.partial(_scatter, add=True)


def _rows_samples(updates: bool) -> Samples:
    source = draw()

    def samples(rng: Rng, dtype: DType) -> Iterable[Sample]:
        for shape, count, dim in (((5,), 7, 0), ((4, 3), 2, -1), ((2, 3, 4), 3, 1), ((3, 2), 0, 0)):
            args = (source(rng, shape, dtype), _indices(rng, (count,), shape[dim]))
            if updates:
                axis = dim % len(shape)
                args += (source(rng, (*shape[:axis], count, *shape[axis + 1 :]), dtype),)
            yield Sample(args, {"dim": dim})

    return samples


def _index_select(x: Array, index: Array, *, dim: int) -> Array:
    return np.stack([x.take(int(i), dim) for i in index], dim) if index.size else x.take([], dim)


def _index_add(x: Array, index: Array, source: Array, *, dim: int, alpha: float = 1) -> Array:
    out = np.moveaxis(x.copy(), dim, 0)
    for i, part in zip(index, np.moveaxis(source, dim, 0), strict=True):
        out[int(i)] = out[int(i)] + part * np.asarray(alpha, x.dtype)
    return np.moveaxis(out, 0, dim)


def _outside(name: str, *rest: Any, **static: Any) -> ErrorCase:
    says = (name, "index 9", "axis 1", "size 3", "[-3, 2]")
    args = ((2, 3), *rest)
    return bad(*args, error=IndexOutOfRangeError, says=says, **static)


def _sum_of(reference: Callable[..., Array]) -> Scale:
    """Return the scale of a sum: the reference of absolute values."""
    return Scale(
        "sum",
        lambda x, index, *rest, **static: reference(
            np.abs(x), index, *(np.abs(u) for u in rest), **static
        ),
        lambda x, index, *rest, **static: max(int(np.size(index)), 1),
    )


def _take_along(x: Array, index: Array, *, axis: int) -> Array:
    beside = [(*a.shape[:axis], 1, *a.shape[axis + 1 :]) for a in (x, index)]
    both = list(np.broadcast_shapes(*beside))
    wide = [
        np.broadcast_to(a, (*both[:axis], a.shape[axis], *both[axis + 1 :])) for a in (x, index)
    ]
    return _gather(*wide, dim=axis)


def _take_along_samples(rng: Rng, dtype: DType) -> Iterable[Sample]:
    source = draw()
    for shape, where, axis in (((4, 3), (2, 1), 0), ((1, 3), (4, 2), 1), ((2, 3, 1), (1, 2, 4), 1)):
        yield Sample((source(rng, shape, dtype), _indices(rng, where, shape[axis])), {"axis": axis})


_FAR = np.array([[0, 9]])

_PLACED = (
    sampled(
        "gather",
        _with_dim("gather"),
        _gather,
        _along_samples(updates=False),
        _outside("gather", _FAR, dim=1),
        bad((2, 3), np.zeros((3, 1), int), dim=1, error=ShapeError, says=("gather", "(3, 1)")),
        bad((2, 3), np.array([[0.5]]), dim=1, error=DTypeError, says=("gather", "float64")),
        dtypes=ALL,
    ),
    sampled(
        "scatter",
        _with_dim("scatter"),
        _scatter,
        _along_samples(updates=True),
        _outside("scatter", _FAR, (1, 2), dim=1),
        bad((2, 3), np.zeros((1, 2), int), (1, 1), dim=1, error=ShapeError, says=("src", "(1, 1)")),
        dtypes=ALL,
        grad_args=(0, 2),
    ),
    sampled(
        "isograd.scatter_add",
        _with_dim("scatter_add"),
        _scattered_sum,
        _along_samples(updates=True),
        _outside("scatter_add", _FAR, (1, 2), dim=1),
        grad_args=(0, 2),
        scale=_sum_of(_scattered_sum),
    ),
    sampled(
        "index_select",
        _with_dim("index_select"),
        _index_select,
        _rows_samples(updates=False),
        _outside("index_select", np.array([9]), dim=1),
        bad((2, 3), np.array([[0]]), dim=1, error=ShapeError, says=("index_select", "(1, 1)")),
        dtypes=ALL,
    ),
    sampled(
        "index_add",
        lambda x, index, source, *, dim: public("index_add")(x, dim, index, source, alpha=2),
        functools.partial(_index_add, alpha=2),
        _rows_samples(updates=True),
        _outside("index_add", np.array([9]), (2, 1), dim=1),
        grad_args=(0, 2),
        scale=_sum_of(functools.partial(_index_add, alpha=2)),
    ),
    sampled(
        "isograd.take_along_axis",
        public("take_along_axis"),
        _take_along,
        _take_along_samples,
        bad((2, 3), np.array([0]), axis=1, error=ShapeError, says=("(1,)", "(2, 3)")),
        dtypes=ALL,
    ),
)


# -- segments --------------------------------------------------------------------------------------


def _segment_samples(source: Draw, *, empty: bool = True) -> Samples:
    def samples(rng: Rng, dtype: DType) -> Iterable[Sample]:
        for shape, count in (((6,), 3), ((5, 2), 2), ((4, 2, 3), 2)):
            ids = np.concatenate([np.arange(count), rng.integers(0, count, shape[0] - count)])
            yield Sample((source(rng, shape, dtype), rng.permutation(ids)), {"num_segments": count})
        if empty:
            few = source(rng, (3,), dtype), np.array([3, 0, 3])
            yield Sample(few, {"num_segments": 5}, label="empty segments", grad=False)
            none = source(rng, (0, 2), dtype), np.zeros(0, np.int64)
            yield Sample(none, {"num_segments": 2}, grad=False)

    return samples


def _segment(of: Callable[[Array], Array], none: Callable[[DType], Any]) -> Callable[..., Array]:
    def reference(x: Array, ids: Array, *, num_segments: int) -> Array:
        out = np.full((num_segments, *x.shape[1:]), none(x.dtype), x.dtype)
        for segment in range(num_segments):
            if (ids == segment).any():
                out[segment] = of(x[ids == segment])
        return out

    return reference


def _limit(x: DType, *, least: bool) -> Any:
    if x.kind == "b":
        return not least
    if x.kind in "iu":
        return np.iinfo(x).min if least else np.iinfo(x).max
    return -np.inf if least else np.inf


_segment_sum = _segment(lambda rows: rows.sum(0, dtype=rows.dtype), lambda dtype: 0)
_SEGMENT_ERRORS = (
    bad(
        (2,),
        np.array([0, 3]),
        num_segments=3,
        error=IndexOutOfRangeError,
        says=("segment_sum", "3", "[0, 2]"),
    ),
    bad((2,), np.array([0, -1]), num_segments=3, error=IndexOutOfRangeError, says=("-1",)),
    bad((2,), np.array([0]), num_segments=3, error=ShapeError, says=("(1,)", "(2,)")),
)


def _segment_specials(rng: Rng, dtype: DType) -> Iterable[Sample]:
    if dtype.kind in "fV":
        x = cast([np.nan, 1, -np.inf, np.inf, np.inf, 2, -np.inf, -np.inf], dtype)
        yield Sample((x, np.array([0, 0, 1, 1, 2, 2, 3, 3])), {"num_segments": 4}, grad=False)


def _bincount(x: Array, weights: Array | None = None, *, minlength: int = 0) -> Array:
    length = max([minlength, *(int(number) + 1 for number in x)])
    out = np.zeros(length, np.int64 if weights is None else weights.dtype)
    for place, number in enumerate(x):
        out[number] += 1 if weights is None else weights[place]
    return out


def _counted(rng: Rng, dtype: DType) -> Iterable[Sample]:
    for n, static in ((6, {}), (5, {"minlength": 9}), (0, {}), (0, {"minlength": 2})):
        x = np.asarray(rng.integers(0, 4, n)).astype(dtype)
        yield Sample((x,), static, grad=False)


def _weighted(rng: Rng, dtype: DType) -> Iterable[Sample]:
    for n, static in ((6, {"minlength": 4}), (5, {"minlength": 9}), (0, {})):
        yield Sample((draw()(rng, (n,), dtype), rng.integers(0, 4, n)), static)


_SEGMENTS = (
    sampled(
        "segment_sum",
        public("segment_sum"),
        _segment_sum,
        _segment_samples(draw()),
        *_SEGMENT_ERRORS,
        scale=_sum_of(_segment_sum),
    ),
    sampled(
        "segment_mean",
        public("segment_mean"),
        _segment(lambda rows: rows.mean(0), lambda dtype: np.nan),
        _segment_samples(draw(), empty=False),
        dtypes=FLOATS,
        scale=Scale("sum", lambda *_, **__: np.float64(4.0), lambda x, *_, **__: max(x.size, 1)),
    ),
    *(
        sampled(
            name,
            public(name),
            _segment(of, functools.partial(_limit, least=least)),
            _segment_samples(distinct()),
            dtypes=ALL,
            extreme=_segment_specials,
        )
        for name, of, least in (
            ("segment_max", functools.partial(np.max, axis=0), True),
            ("segment_min", functools.partial(np.min, axis=0), False),
        )
    ),
    sampled(
        "bincount",
        public("bincount"),
        _bincount,
        _counted,
        bad(np.array([1, -1]), error=IndexOutOfRangeError, says=("bincount", "-1")),
        bad((2,), error=DTypeError, says=("bincount", "float32")),
        dtypes=("int64", "int32", "uint8"),
        grad_args=(),
        compiles=False,
    ),
    sampled(
        "bincount with weights",
        lambda w, x, **static: public("bincount")(x, w, **static),
        lambda w, x, **static: _bincount(x, w, **static),
        _weighted,
        bad((3,), np.array([0, 1]), error=ShapeError, says=("bincount", "(3,)", "(2,)")),
        scale=Scale("sum", lambda w, x, **s: _bincount(x, np.abs(w), **s), lambda w, x, **_: 6),
        compiles=False,
    ),
)


# -- updates ---------------------------------------------------------------------------------------


def _update_samples(source: Draw, indices: Sequence[Any]) -> Samples:
    def samples(rng: Rng, dtype: DType) -> Iterable[Sample]:
        for index in indices:
            shape = np.zeros((3, 4))[index].shape
            both = source(rng, (12 + int(np.prod(shape)),), dtype)  # so that none of them are equal
            yield Sample((both[:12].reshape(3, 4), both[12:].reshape(shape)), {"index": index})
        mask = np.array([True, False, True])
        for shape in ((), (1, 4)):
            both = source(rng, (12 + int(np.prod(shape)),), dtype)
            yield Sample((both[:12].reshape(3, 4), both[12:].reshape(shape)), {"index": mask})

    return samples


def _updated(ufunc: Any) -> Callable[..., Array]:
    def reference(x: Array, v: Array, *, index: Any) -> Array:
        out = x.copy()
        ufunc.at(out, index, v)
        return out

    return reference


_FEW = (*INDICES[:2], INDICES[4], INDICES[8], INDICES[10], *DUPLICATES)
_POSITIVE = draw(0.5, 2.0)
_PRODUCT = Scale("sum", terms=lambda x, v, **_: 8)

_UPDATES = tuple(
    sampled(
        f"at.{name}",
        lambda x, v, *, index, name=name: getattr(x.at[index], name)(v),
        _updated(ufunc),
        _update_samples(source, _FEW),
        bad((3, 4), (), index=3, error=IndexOutOfRangeError, says=("3", "axis 0", "size 3")),
        dtypes=kinds,
        grad_args=(0, 1),
        scale=scale,
    )
    for name, ufunc, source, kinds, scale in (
        ("subtract", np.subtract, draw(), FLOATS, Scale("sum", lambda x, v, **_: np.float64(4.0))),
        ("multiply", np.multiply, _POSITIVE, ("float64", "float32", "int64"), _PRODUCT),
        ("divide", np.divide, _POSITIVE, ("float64", "float32"), _PRODUCT),
        ("max", np.maximum, distinct(), NUMERIC, Scale("equal")),
        ("min", np.minimum, distinct(), NUMERIC, Scale("equal")),
    )
)

SCATTERING: tuple[OpSpec, ...] = (*_PLACED, *_SEGMENTS, *_UPDATES)
