"""Rows of reductions and scans."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.errors import DTypeError
from isograd.testing.op_db.generate import (
    LARGE,
    Draw,
    bad,
    bound,
    distinct,
    draw,
    in_rows,
    limits,
)
from isograd.testing.op_db.spec import BOOL, NUMERIC, OpSpec, Sample, Samples, Scale

__all__ = ["REDUCTIONS", "sum_scale"]

Array = Any

AXES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((5,), (0,)),
    ((3, 4), (0,)),
    ((3, 4), (1,)),
    ((3, 4), (0, 1)),
    ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (1,)),
    ((3, 4), ()),
    ((), ()),
)
EMPTY: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((0,), (0,)),
    ((2, 0, 3), (1,)),
    ((0, 3), (1,)),
)
LONG: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((LARGE,), (0,)),
    ((130, 257), (0,)),
    ((130, 257), (1,)),
)
SPECIAL = (
    (np.nan, 1.0, 2.0),
    (1.0, np.nan, 2.0),
    (1.0, 2.0, np.nan),
    (np.inf, 1.0, -np.inf),
    (np.inf, np.inf, 1.0),
    (-np.inf, 1.0, 2.0),
)


def count(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> int:
    """Return the number of terms of each sum."""
    return int(np.prod([x.shape[i] for i in axis])) if axis else 1


def sum_scale(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Return the sum of absolute values."""
    return np.sum(np.abs(x), axis=axis, keepdims=keepdims)


def _fold(
    combine: Callable[[Array, Array], Array], start: float | bool | None
) -> Callable[..., Array]:
    """Reduce by combining the halves until one slice is left."""

    def reduce(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        if axis == ():
            return x.copy() if start is None or not isinstance(start, bool) else x.astype(bool)
        rest = [i for i in range(x.ndim) if i not in axis]
        count = int(np.prod([x.shape[i] for i in axis]))
        rows = np.transpose(x, (*axis, *rest)).reshape(count, *(x.shape[i] for i in rest))
        while rows.shape[0] > 1:
            half = rows.shape[0] // 2
            rows = np.concatenate([combine(rows[:half], rows[half : 2 * half]), rows[2 * half :]])
        out = np.full(rows.shape[1:], start) if rows.shape[0] == 0 else rows[0]
        out = np.asarray(out, bool if isinstance(start, bool) else x.dtype)
        return np.expand_dims(out, axis) if keepdims else out

    return reduce


def _reduce_samples(source: Draw, *, empty: bool = True, long: bool = True) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shape, axis in AXES:
            for keepdims in (False, True):
                yield Sample((source(rng, shape, dtype),), {"axis": axis, "keepdims": keepdims})
        for shape, axis in EMPTY if empty else EMPTY[2:]:
            yield Sample(
                (source(rng, shape, dtype),), {"axis": axis, "keepdims": False}, label="empty"
            )
        for shape, axis in LONG if long else ():
            static = {"axis": axis, "keepdims": False}
            yield Sample(
                (source(rng, shape, dtype),),
                static,
                label="large",
                grad=False,
                layouts=len(shape) == 2,
            )

    return samples


def _lines(dtype: np.dtype[Any]) -> list[Array]:
    """Return short and long rows with special numbers; the limits of an integer dtype."""
    if dtypes.is_floating(dtype):
        return in_rows(SPECIAL, dtype, 1.0)[::2]
    return [np.resize(limits(dtype), (5, 3))] if dtypes.is_integer(dtype) else []


def _special(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for x in _lines(dtype):
        yield Sample((x,), {"axis": (1,), "keepdims": False}, label="extreme", grad=False)
        static = {"axis": (0,), "keepdims": False}
        yield Sample((x.T.copy(),), static, label="extreme", grad=False)


def _sum_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    yield from _reduce_samples(draw())(rng, dtype)
    if dtype.name in ("float32", "float64"):
        # One accumulator loses percents here; a tree does not.
        many = np.full(1_000_000, 0.1, dtype)
        static = {"axis": (0,), "keepdims": False}
        yield Sample((many,), static, label="large constant", grad=False, layouts=False)


def _near_one(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return (rng.uniform(0.5, 1.5, shape) * rng.choice((-1.0, 1.0), shape)).astype(dtype)
    return draw(-2, 2)(rng, shape, dtype)


def _index(best: Callable[[Array], Array]) -> Callable[..., Array]:
    """Return argmax or argmin by looking at each row: the first NaN, else the first best."""

    def one(row: Array) -> int:
        for i, value in enumerate(row):
            if value != value:
                return i
        return next(i for i, value in enumerate(row) if value == best(row))

    def reference(x: Array, *, axis: int, keepdims: bool) -> Array:
        moved = np.moveaxis(x, axis, -1)
        out = np.zeros(moved.shape[:-1], np.int64)
        for place in np.ndindex(out.shape):
            out[place] = one(moved[place])
        return np.expand_dims(out, axis) if keepdims else out

    return reference


def _axis_samples(source: Draw, *, keepdims: bool, empty: bool, grad: bool) -> Samples:
    """Return samples of functions with one axis."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shape, axis in (((5,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 1), ((0, 3), 1)):
            for keep in (False, True) if keepdims else (None,):
                static: dict[str, Any] = (
                    {"axis": axis} if keep is None else {"axis": axis, "keepdims": keep}
                )
                yield Sample((source(rng, shape, dtype),), static, grad=grad)
        last: dict[str, Any] = {"axis": 1, "keepdims": False} if keepdims else {"axis": 1}
        if empty:
            yield Sample((source(rng, (3, 0), dtype),), last, label="empty", grad=grad)
        yield Sample((source(rng, (40, 700), dtype),), last, label="large", grad=False)

    return samples


def _axis_special(keepdims: bool) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        static: dict[str, Any] = {"axis": 1, "keepdims": False} if keepdims else {"axis": 1}
        for x in _lines(dtype):
            yield Sample((x,), static, label="extreme", grad=False)
        ties = np.array([[2, 2, 1], [1, 2, 2], [0.0, -0.0, 0.0]], dtype)
        for x in (ties, np.repeat(ties, 1001, axis=1)):
            yield Sample((x,), static, label="ties", grad=False)

    return samples


def _scan(combine: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def reference(x: Array, *, axis: int) -> Array:
        moved = np.moveaxis(x, axis, 0)
        out = moved.copy()
        for i in range(1, moved.shape[0]):
            out[i] = combine(out[i - 1], moved[i])
        return np.moveaxis(out, 0, axis)

    return reference


def _larger(a: Array, b: Array) -> Array:
    return np.where((a >= b) | (a != a), a, b)


def _smaller(a: Array, b: Array) -> Array:
    return np.where((a <= b) | (a != a), a, b)


_BAD_DTYPE = bad(
    np.ones(3, bool), axis=(0,), keepdims=False, error=DTypeError, says=("sum", "bool")
)
_EMPTY_MAX = bad((0,), axis=(0,), keepdims=False, error=ValueError, says=("max", "(0,)"))
_EMPTY_MIN = bad((2, 0), axis=(1,), keepdims=False, error=ValueError, says=("min", "(2, 0)"))
_EMPTY_ARGMAX = bad((0,), axis=0, keepdims=False, error=ValueError, says=("argmax", "(0,)"))

REDUCTIONS: tuple[OpSpec, ...] = (
    OpSpec(
        name="sum",
        fn=bound("sum"),
        reference=lambda x, *, axis, keepdims: np.sum(
            x, axis=axis, keepdims=keepdims, dtype=x.dtype
        ),
        samples=_sum_samples,
        extreme=_special,
        dtypes=NUMERIC,
        scale=Scale("sum", sum_scale, count),
        errors=(_BAD_DTYPE,),
    ),
    OpSpec(
        name="prod",
        fn=bound("prod"),
        reference=_fold(lambda a, b: a * b, 1.0),
        samples=_reduce_samples(_near_one, long=False),
        extreme=_special,
        dtypes=NUMERIC,
        scale=Scale("sum", terms=count),
    ),
    OpSpec(
        name="max",
        fn=bound("max"),
        reference=_fold(_larger, None),
        samples=_reduce_samples(distinct(), empty=False),
        extreme=_special,
        dtypes=(*NUMERIC, *BOOL),
        scale=Scale("equal"),
        errors=(_EMPTY_MAX,),
    ),
    OpSpec(
        name="min",
        fn=bound("min"),
        reference=_fold(_smaller, None),
        samples=_reduce_samples(distinct(), empty=False),
        extreme=_special,
        dtypes=(*NUMERIC, *BOOL),
        scale=Scale("equal"),
        errors=(_EMPTY_MIN,),
    ),
    *(
        OpSpec(
            name=name,
            fn=bound(name),
            reference=_fold(combine, start),
            samples=_reduce_samples(draw()),
            dtypes=BOOL,
            grad_args=(),
            scale=Scale("exact"),
        )
        for name, combine, start in (("any", np.logical_or, False), ("all", np.logical_and, True))
    ),
    *(
        OpSpec(
            name=name,
            fn=bound(name),
            reference=_index(best),
            samples=_axis_samples(distinct(), keepdims=True, empty=False, grad=False),
            extreme=_axis_special(True),
            dtypes=NUMERIC,
            grad_args=(),
            scale=Scale("exact"),
            errors=errors,
        )
        for name, best, errors in (("argmax", np.max, (_EMPTY_ARGMAX,)), ("argmin", np.min, ()))
    ),
    OpSpec(
        name="cumsum",
        fn=bound("cumsum"),
        reference=_scan(lambda a, b: a + b),
        samples=_axis_samples(draw(), keepdims=False, empty=True, grad=True),
        extreme=_axis_special(False),
        dtypes=NUMERIC,
        scale=Scale(
            "sum", lambda x, *, axis: np.cumsum(np.abs(x), axis), lambda x, *, axis: x.shape[axis]
        ),
    ),
    OpSpec(
        name="cumprod",
        fn=bound("cumprod"),
        reference=_scan(lambda a, b: a * b),
        samples=_axis_samples(_near_one, keepdims=False, empty=True, grad=True),
        extreme=_axis_special(False),
        dtypes=NUMERIC,
        scale=Scale("sum", terms=lambda x, *, axis: x.shape[axis]),
    ),
)
