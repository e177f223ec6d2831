"""Rows of public reductions, elementwise composites and contractions."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.dtypes import is_floating
from isograd.core.errors import ShapeError
from isograd.testing.op_db.generate import bad, distinct, draw
from isograd.testing.op_db.public import SUMMED, case, row
from isograd.testing.op_db.spec import BOOL, NUMERIC, OpSpec, Sample, Scale

__all__ = ["STATISTICS"]

Array = Any
ALL = (*NUMERIC, *BOOL)


def _axes(x: Array, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,)))


def _count(x: Array, axis: Any = None, **_: Any) -> int:
    return int(np.prod([x.shape[i] for i in _axes(x, axis)]))


def _total(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    return np.sum(x, axis=_axes(x, axis), keepdims=keepdims)


def _mean(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    return _total(x, axis=axis, keepdims=keepdims) / _count(x, axis)


def _var(x: Array, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    deviations = x - _mean(x, axis=axis, keepdims=True)
    total = _total(deviations**2, axis=axis, keepdims=keepdims)
    return total / (_count(x, axis) - correction)


def _norm(x: Array, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Array:  # noqa: A002
    chosen = _axes(x, axis)
    if np.isinf(ord):
        return np.max(np.abs(x), axis=chosen, keepdims=keepdims)
    return np.sum(np.abs(x) ** ord, axis=chosen, keepdims=keepdims) ** (1.0 / ord)


def _running(x: Array, *, axis: int | None = None, include_initial: bool = False) -> Array:
    out = np.cumsum(x, axis)
    return np.insert(out, 0, 0, axis or 0) if include_initial else out


def _magnitudes(reference: Callable[..., Array], times: int = 1) -> Scale:
    """Return the scale of a sum: the reference of absolute values, over as many terms."""
    return Scale(
        "sum",
        lambda x, **static: reference(np.abs(x), **static),
        lambda x, axis=None, **_: times * _count(x, axis),
    )


def _largest(power: int) -> Scale:
    def scale(x: Array, *, axis: Any = None, keepdims: bool = False, **_: Any) -> Array:
        return np.max(np.abs(x) ** power, axis=_axes(x, axis), keepdims=keepdims)

    return Scale("sum", scale, lambda x, axis=None, **_: 4 * _count(x, axis))


def _largest_number(power: int) -> Scale:
    def scale(x: Array, *, axis: Any = None, keepdims: bool = False, **_: Any) -> Array:
        return np.nanmax(np.abs(x) ** power, axis=_axes(x, axis), keepdims=keepdims)

    return Scale("sum", scale, lambda x, axis=None, **_: 4 * _count(x, axis))


def _median(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    return np.median(x, axis=axis, keepdims=keepdims)


def _diff(x: Any, *more: Any, **static: Any) -> Any:
    return ig.diff(x, **static, **dict(zip(("prepend", "append"), more, strict=False)))


SMALL = (
    case((5,)),
    case((3, 4), axis=0),
    case((3, 4), axis=-1, keepdims=True),
    case((2, 3, 4), axis=(0, -1)),
    case((2, 3, 4), axis=None, keepdims=True),
)
CASES = (*SMALL, case((130, 257), axis=1), case((130, 257), axis=0))
CORRECTED = case((3, 4), axis=0, correction=1.0)
NO_AXIS = bad((2, 3), axis=2, error=ShapeError, says=("axis 2", "2 axes"))
TWICE = bad((2, 3), axis=(0, -2), error=ShapeError, says=("sum", "twice"))
EMPTY = bad((0,), error=ValueError, says=("max", "(0,)"))

REDUCTIONS = (
    row("isograd.sum", _total, *CASES, scale=_magnitudes(_total), errors=(NO_AXIS, TWICE)),
    row("mean", _mean, *CASES, scale=_magnitudes(_mean), errors=(NO_AXIS,)),
    row("var", _var, *CASES, CORRECTED, scale=_largest(2)),
    row("std", lambda x, **s: np.sqrt(_var(x, **s)), *CASES, CORRECTED, scale=_largest(1)),
    row(
        "isograd.max",
        np.max,
        *CASES,
        source=distinct(),
        dtypes=NUMERIC,
        scale=Scale("equal"),
        errors=(EMPTY,),
    ),
    row("isograd.argmax", np.argmax, *SMALL[:3], source=distinct(), dtypes=NUMERIC, grad_args=()),
    row(
        "isograd.any",
        lambda x, **s: np.any(x != 0, **s),
        *SMALL,
        source=draw(0, 1),
        dtypes=ALL,
        grad_args=(),
    ),
    row("count_nonzero", np.count_nonzero, *SMALL, source=draw(0, 1), dtypes=ALL, grad_args=()),
    row("norm", _norm, *CASES, scale=_magnitudes(_norm)),
    row(
        "linalg.vector_norm",
        _norm,
        case((3, 4), ord=1),
        case((3, 4), axis=-1, ord=3),
        case((3, 4), axis=0, ord=2),
        source=draw(avoid=[0.0]),
        scale=_magnitudes(_norm, 4),
    ),
    row(
        "isograd.linalg.vector_norm",
        _norm,
        case((3, 4), ord=np.inf),
        case((3, 4), axis=0, ord=np.inf),
        source=distinct(),
        order=1,
        scale=Scale("equal"),
    ),
    row(
        "isograd.logsumexp",
        lambda x, **s: np.log(_total(np.exp(x), **s)),
        *SMALL,
        scale=Scale("sum", lambda x, **_: np.float64(4.0), lambda x, **_: 4),
    ),
    row(
        "cumulative_sum",
        _running,
        case((5,)),
        case((3, 4), axis=-1),
        case((3, 4), axis=0, include_initial=True),
        dtypes=SUMMED,
        scale=_magnitudes(_running),
    ),
    row(
        "cumulative_prod",
        lambda x, axis=None: np.cumprod(x, axis),
        case((5,)),
        case((3, 4), axis=-1),
        case((3, 4), axis=0),
        dtypes=SUMMED,
        source=draw(avoid=[0.0]),
        scale=Scale("sum", terms=lambda x, **_: x.size),
    ),
)


# -- beyond the standard ---------------------------------------------------------------------------


def _with_nan(spec: OpSpec) -> OpSpec:
    """Add the samples again with NaN for every third value; derivatives are not numeric there."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for sample in spec.samples(rng, dtype) if is_floating(dtype) else ():
            (x,) = sample.args
            spoilt = x.copy()
            spoilt.reshape(-1)[2::3] = np.nan
            yield dataclasses.replace(sample, args=(spoilt,), label="NaN", grad=False)

    return dataclasses.replace(spec, extreme=samples)


def _present(fn: Callable[..., Array]) -> Scale:
    return Scale(
        "sum",
        lambda x, **static: fn(np.abs(x), **static),
        lambda x, axis=None, **_: 4 * _count(x, axis),
    )


FURTHER = (
    _with_nan(row("nansum", np.nansum, *SMALL, dtypes=SUMMED, scale=_present(np.nansum))),
    _with_nan(row("nanmean", np.nanmean, *SMALL, scale=_present(np.nanmean))),
    _with_nan(row("nanvar", np.nanvar, *SMALL, scale=_largest_number(2))),
    _with_nan(row("nanstd", np.nanstd, *SMALL, scale=_largest_number(1))),
    *(
        _with_nan(
            row(
                name,
                getattr(np, name),
                *SMALL,
                source=distinct(),
                dtypes=NUMERIC,
                scale=Scale("equal"),
            )
        )
        for name in ("nanmax", "nanmin")
    ),
    row("median", _median, *SMALL, source=distinct()),
    row("ptp", np.ptp, *SMALL, source=distinct(), dtypes=SUMMED),
    row(
        "diff",
        lambda x, *more, **static: np.diff(
            x, **static, **dict(zip(("prepend", "append"), more, strict=False))
        ),
        case((5,)),
        case((5,), n=2),
        case((3, 4), axis=0),
        case((3, 4), axis=-1, n=3),
        case((3, 1), axis=-1),
        case((2, 0)),
        case((3, 2), (3, 1)),
        case((3, 2), (3, 1), (3, 2)),
        fn=_diff,
        scale=Scale("sum", lambda x, *_, **__: np.float64(16.0), lambda x, *_, **__: 1),
        grad_args=(0, 1, 2),
        dtypes=SUMMED,
    ),
)


# -- elementwise -----------------------------------------------------------------------------------


def _clip(x: Array, *, min: float | None, max: float | None) -> Array:  # noqa: A002
    out = x if min is None else np.where(x < min, x.dtype.type(min), x)
    return out if max is None else np.where(out > max, x.dtype.type(max), out)


_TRUTH: dict[str, Any] = {
    "source": draw(0, 1),
    "dtypes": (*BOOL, "int64", "float32"),
    "grad_args": (),
}
_POSITIVE = draw(0.5, 2.0)

ELEMENTWISE = (
    row(
        "clip",
        _clip,
        case((3, 4), min=-1.0, max=0.5),
        case((5,), min=None, max=0.5),
        case((5,), min=-0.5, max=None),
        case((), min=0.0, max=1.0),
        source=draw(avoid=[-1.0, -0.5, 0.0, 0.5, 1.0]),
    ),
    row(
        "clip between tensors",
        lambda x, low, high: np.minimum(np.maximum(x, low), high),
        case((3, 4), (4,), ()),
        case((), (2, 1), (3,)),
        fn=ig.clip,
        grad_args=(0, 1, 2),
    ),
    row(
        "isclose",
        np.isclose,
        case((3, 4), (4,)),
        case((), ()),
        grad_args=(),
        dtypes=("float64", "float32", "int64"),
    ),
    row("reciprocal", lambda x: 1.0 / x, case((3, 4)), case(()), source=_POSITIVE),
    row("rsqrt", lambda x: x**-0.5, case((3, 4)), case(()), source=_POSITIVE, scale=Scale()),
    row(
        "power of a number",
        lambda x, *, e: np.float_power(x, e),
        *(case((3, 4), e=e) for e in (0, 1, 2, 3, 0.5, -1, -2.5)),
        fn=lambda x, *, e: x**e,
        source=_POSITIVE,
        scale=Scale(),
    ),
    row(
        "number minus",
        lambda x: (2.5 - x).astype(x.dtype),
        case((3, 4)),
        fn=lambda x: 2.5 - x,
    ),
    row("logical_not", lambda x: x == 0, case((3, 4)), **_TRUTH),
    *(
        row(name, reference, case((3, 4), (4,)), case((), (5,)), **_TRUTH)
        for name, reference in (
            ("logical_and", np.logical_and),
            ("logical_or", np.logical_or),
            ("logical_xor", np.logical_xor),
        )
    ),
)


# -- contraction -----------------------------------------------------------------------------------


def _vecdot(x: Array, y: Array, *, axis: int = -1) -> Array:
    left, right = np.broadcast_arrays(x, y)
    return np.sum(left * right, axis)


def _products(fn: Callable[..., Array]) -> Scale:
    return Scale(
        "sum",
        lambda x, y, **static: fn(np.abs(x), np.abs(y), **static),
        lambda x, y, **_: max(x.size, 1),
    )


CONTRACTIONS = (
    row(
        "isograd.matmul",
        np.matmul,
        case((3,), (3,)),
        case((2, 3), (3,)),
        case((3,), (3, 4)),
        case((2, 1, 3, 4), (5, 4, 6)),
        case((2, 0), (0, 3)),
        dtypes=SUMMED,
        grad_args=(0, 1),
        scale=_products(np.matmul),
        errors=(
            bad((3,), (4,), error=ShapeError, says=("matmul", "(3,)", "(4,)")),
            bad((), (3,), error=ShapeError, says=("matmul", "()")),
        ),
    ),
    row(
        "vecdot",
        _vecdot,
        case((3,), (3,)),
        case((2, 3), (3,)),
        case((3, 2), (3, 2), axis=-2),
        grad_args=(0, 1),
        scale=_products(_vecdot),
    ),
    row("outer", lambda x, y: x[:, None] * y, case((3,), (4,)), case((1,), (2,)), grad_args=(0, 1)),
    row(
        "tensordot",
        np.tensordot,
        case((2, 3, 4), (3, 4, 5), axes=2),
        case((2, 3), (4, 5), axes=0),
        case((2, 3, 4), (4, 2), axes=((0, 2), (1, 0))),
        case((2, 3), (3, 4), axes=1),
        grad_args=(0, 1),
        scale=_products(np.tensordot),
    ),
)

STATISTICS: tuple[OpSpec, ...] = (*REDUCTIONS, *FURTHER, *ELEMENTWISE, *CONTRACTIONS)
