"""Rows of public functions that are built from primitives, with the arguments that users pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.testing.op_db.generate import Draw, bad, distinct, draw, public
from isograd.testing.op_db.movement import reference_pad
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

__all__ = ["COMPOSITES"]

Array = Any
Row = tuple[tuple[tuple[int, ...], ...], dict[str, Any]]

ALL = (*NUMERIC, *BOOL)
SUMMED = ("float64", "float32", "float16", "int64")
MIXED = Scale("sum", terms=lambda *xs, **_: 16)


def _case(*shapes: tuple[int, ...], **static: Any) -> Row:
    return shapes, static


def _samples(rows: tuple[Row, ...], source: Draw | None) -> Samples:
    values = source or draw()

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shapes, static in rows:
            small = sum(int(np.prod(shape)) for shape in shapes) < 200
            arrays = tuple(values(rng, shape, dtype) for shape in shapes)
            yield Sample(arrays, static, label="" if small else "large", grad=small)

    return samples


def _spec(
    name: str,
    fn: Callable[..., Any],
    reference: Callable[..., Any],
    *rows: Row,
    source: Draw | None = None,
    dtypes: tuple[str, ...] = FLOATS,
    grad_args: tuple[int, ...] = (0,),
    order: int = 2,
    scale: Scale = Scale("exact"),
    errors: tuple[ErrorCase, ...] = (),
) -> OpSpec:
    return OpSpec(
        name=name,
        fn=fn,
        reference=reference,
        samples=_samples(rows, source),
        errors=errors,
        dtypes=dtypes,
        grad_args=grad_args,
        order=order,
        scale=scale,
        budget=8,
        primitive=False,
    )


def _method(name: str, *positional: str) -> Callable[..., Any]:
    """Return a public function some of whose keyword arguments are passed by position."""
    call = public(name)

    def on(*xs: Any, **static: Any) -> Any:
        return call(*xs, *(static.pop(key) for key in positional), **static)

    return on


def _joined(name: str) -> Callable[..., Any]:
    """Return a public function that takes its tensors in a list."""
    call = public(name)
    return lambda *xs, **static: call(list(xs), **static)


# -- statistics ----------------------------------------------------------------------------------------------


def _axes(x: Array, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,)))


def _count(x: Array, axis: Any = None, **_: Any) -> int:
    return int(np.prod([x.shape[i] for i in _axes(x, axis)]))


def _mean(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    return np.sum(x, axis=_axes(x, axis), keepdims=keepdims) / _count(x, axis)


def _var(x: Array, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    deviations = x - _mean(x, axis=axis, keepdims=True)
    return np.sum(deviations**2, axis=_axes(x, axis), keepdims=keepdims) / (
        _count(x, axis) - correction
    )


def _std(x: Array, **static: Any) -> Array:
    return np.sqrt(_var(x, **static))


def _norm(x: Array, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Array:  # noqa: A002
    chosen = _axes(x, axis)
    if np.isinf(ord):
        return np.max(np.abs(x), axis=chosen, keepdims=keepdims)
    return np.sum(np.abs(x) ** ord, axis=chosen, keepdims=keepdims) ** (1.0 / ord)


def _total(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    return np.sum(x, axis=_axes(x, axis), keepdims=keepdims)


_REDUCTIONS = (
    _case((5,)),
    _case((3, 4), axis=0),
    _case((3, 4), axis=-1, keepdims=True),
    _case((2, 3, 4), axis=(0, -1)),
    _case((2, 3, 4), axis=None, keepdims=True),
    _case((130, 257), axis=1),
    _case((130, 257), axis=0),
)
_SUMS = Scale(
    "sum",
    lambda x, axis=None, keepdims=False, **_: _mean(np.abs(x), axis=axis, keepdims=keepdims),
    _count,
)
_SQUARES = Scale(
    "sum",
    lambda x, axis=None, keepdims=False, **_: np.max(x * x, axis=_axes(x, axis), keepdims=keepdims),
    _count,
)
_ROOTS = Scale(
    "sum",
    lambda x, axis=None, keepdims=False, **_: np.max(
        np.abs(x), axis=_axes(x, axis), keepdims=keepdims
    ),
    lambda x, axis=None, **_: 4 * _count(x, axis),
)
_BAD_AXIS = {"error": ShapeError, "says": ("axis 2", "2 axes")}

STATISTICS = (
    _spec(
        "isograd.sum",
        public("sum"),
        _total,
        *_REDUCTIONS,
        scale=Scale(
            "sum",
            lambda x, axis=None, keepdims=False: _total(np.abs(x), axis=axis, keepdims=keepdims),
            _count,
        ),
        errors=(
            bad((2, 3), axis=2, **_BAD_AXIS),
            bad((2, 3), axis=(0, -2), error=ShapeError, says=("sum", "twice")),
        ),
    ),
    _spec(
        "mean",
        public("mean"),
        _mean,
        *_REDUCTIONS,
        scale=_SUMS,
        errors=(bad((2, 3), axis=2, **_BAD_AXIS),),
    ),
    _spec(
        "var",
        public("var"),
        _var,
        *_REDUCTIONS,
        _case((3, 4), axis=0, correction=1.0),
        scale=_SQUARES,
    ),
    _spec(
        "std",
        public("std"),
        _std,
        *_REDUCTIONS,
        _case((3, 4), axis=0, correction=1.0),
        scale=_ROOTS,
    ),
    _spec(
        "isograd.max",
        public("max"),
        lambda x, *, axis=None, keepdims=False: np.max(x, axis=axis, keepdims=keepdims),
        *_REDUCTIONS,
        source=distinct(),
        dtypes=NUMERIC,
        scale=Scale("equal"),
        errors=(bad((0,), error=ValueError, says=("max", "(0,)")),),
    ),
    _spec(
        "isograd.argmax",
        public("argmax"),
        lambda x, *, axis=None, keepdims=False: np.argmax(x, axis=axis, keepdims=keepdims),
        *_REDUCTIONS[:3],
        source=distinct(),
        dtypes=NUMERIC,
        grad_args=(),
    ),
    _spec(
        "isograd.any",
        public("any"),
        lambda x, *, axis=None, keepdims=False: np.any(x != 0, axis=axis, keepdims=keepdims),
        *_REDUCTIONS[:5],
        source=draw(0, 1),
        dtypes=ALL,
        grad_args=(),
    ),
    _spec(
        "count_nonzero",
        public("count_nonzero"),
        lambda x, *, axis=None, keepdims=False: np.count_nonzero(x, axis=axis, keepdims=keepdims),
        *_REDUCTIONS[:5],
        source=draw(0, 1),
        dtypes=ALL,
        grad_args=(),
    ),
    _spec("norm", public("norm"), _norm, *_REDUCTIONS, scale=Scale("sum", terms=_count)),
    _spec(
        "vector_norm",
        public("linalg.vector_norm"),
        _norm,
        _case((3, 4), ord=1),
        _case((3, 4), axis=-1, ord=3),
        _case((3, 4), axis=0, ord=2),
        source=draw(avoid=[0.0]),
        scale=Scale("sum", terms=lambda x, **_: 4 * x.size),
    ),
    _spec(
        "inf_norm",
        public("linalg.vector_norm"),
        _norm,
        _case((3, 4), ord=np.inf),
        _case((3, 4), axis=0, ord=np.inf),
        source=distinct(),
        order=1,
        scale=Scale("equal"),
    ),
    _spec(
        "isograd.logsumexp",
        public("logsumexp"),
        lambda x, *, axis=None, keepdims=False: np.log(
            _total(np.exp(x), axis=axis, keepdims=keepdims)
        ),
        *_REDUCTIONS[:5],
        scale=Scale("sum", lambda x, **_: np.float64(4.0), lambda x, **_: 4),
    ),
    _spec(
        "cumulative_sum",
        public("cumulative_sum"),
        lambda x, *, axis=None, include_initial=False: (
            np.insert(np.cumsum(x, axis), 0, 0, axis or 0)
            if include_initial
            else np.cumsum(x, axis)
        ),
        _case((5,)),
        _case((3, 4), axis=-1),
        _case((3, 4), axis=0, include_initial=True),
        dtypes=SUMMED,
        scale=Scale(
            "sum",
            lambda x, axis=None, include_initial=False: (
                np.insert(np.cumsum(np.abs(x), axis), 0, 0, axis or 0)
                if include_initial
                else np.cumsum(np.abs(x), axis)
            ),
            lambda x, **_: x.size,
        ),
    ),
    _spec(
        "cumulative_prod",
        public("cumulative_prod"),
        lambda x, *, axis=None: np.cumprod(x, axis),
        _case((5,)),
        _case((3, 4), axis=-1),
        _case((3, 4), axis=0),
        dtypes=SUMMED,
        source=draw(avoid=[0.0]),
        scale=MIXED,
    ),
)


# -- elementwise ---------------------------------------------------------------------------------------------


def _clip(x: Array, *, low: float | None, high: float | None) -> Array:
    out = x if low is None else np.where(x < low, x.dtype.type(low), x)
    return out if high is None else np.where(out > high, x.dtype.type(high), out)


def _call_clip(x: Any, *, low: float | None, high: float | None) -> Any:
    return public("clip")(x, low, high)


ELEMENTWISE = (
    _spec(
        "clip",
        _call_clip,
        _clip,
        _case((3, 4), low=-1.0, high=0.5),
        _case((5,), low=None, high=0.5),
        _case((5,), low=-0.5, high=None),
        _case((), low=0.0, high=1.0),
        source=draw(avoid=[-1.0, -0.5, 0.0, 0.5, 1.0], gap=0.1),
    ),
    _spec(
        "reciprocal",
        public("reciprocal"),
        lambda x: 1.0 / x,
        _case((3, 4)),
        _case(()),
        source=draw(0.5, 2.0),
    ),
    _spec(
        "rsqrt",
        public("rsqrt"),
        lambda x: x**-0.5,
        _case((3, 4)),
        _case(()),
        source=draw(0.5, 2.0),
        scale=Scale(),
    ),
    _spec(
        "power_of_number",
        lambda x, *, e: x**e,
        lambda x, *, e: np.float_power(x, e),
        *(_case((3, 4), e=e) for e in (0, 1, 2, 3, 0.5, -1, -2.5)),
        source=draw(0.5, 2.0),
        scale=Scale(),
    ),
    _spec("number_minus", lambda x: 2.5 - x, lambda x: (2.5 - x).astype(x.dtype), _case((3, 4))),
    *(
        _spec(
            name,
            public(name),
            reference,
            _case((3, 4), (4,)),
            _case((), (5,)),
            source=draw(0, 1),
            dtypes=(*BOOL, "int64", "float32"),
            grad_args=(),
        )
        for name, reference in (
            ("logical_and", lambda x, y: (x != 0) & (y != 0)),
            ("logical_or", lambda x, y: (x != 0) | (y != 0)),
            ("logical_xor", lambda x, y: (x != 0) ^ (y != 0)),
        )
    ),
    _spec(
        "logical_not",
        public("logical_not"),
        lambda x: x == 0,
        _case((3, 4)),
        source=draw(0, 1),
        dtypes=(*BOOL, "int64", "float32"),
        grad_args=(),
    ),
)


# -- movement ------------------------------------------------------------------------------------------------


def _widths(x: Array, *, widths: Any, value: float = 0.0) -> Array:
    pairs = np.broadcast_to(np.asarray(widths), (x.ndim, 2)).tolist()
    low, high = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
    return reference_pad(x, low=low, high=high, interior=(0,) * x.ndim, value=value)


def _repeated(x: Array, *, repeats: int, axis: int | None = None) -> Array:
    return np.repeat(x, repeats, axis)


MOVEMENT = (
    _spec(
        "isograd.reshape",
        public("reshape"),
        lambda x, *, shape: np.reshape(x, shape),
        _case((3, 4), shape=(2, -1)),
        _case((2, 3, 4), shape=(-1,)),
        _case((0, 3), shape=(3, 0)),
        dtypes=ALL,
        errors=(
            bad((2, 3), shape=(4, -1), error=ShapeError, says=("reshape", "(2, 3)", "(4, -1)")),
        ),
    ),
    _spec(
        "flatten",
        _method("flatten", "start"),
        lambda x, *, start: x.reshape(*x.shape[:start], -1),
        _case((2, 3, 4), start=0),
        _case((2, 3, 4), start=1),
        dtypes=ALL,
    ),
    _spec(
        "transpose",
        public("transpose"),
        lambda x: np.transpose(x),
        _case((3, 4)),
        _case((2, 3, 4)),
        dtypes=ALL,
    ),
    _spec(
        "matrix_transpose",
        public("matrix_transpose"),
        lambda x: np.swapaxes(x, -1, -2),
        _case((2, 3, 4)),
        _case((3, 4)),
        dtypes=ALL,
    ),
    _spec(
        "moveaxis",
        _method("moveaxis", "source", "destination"),
        lambda x, *, source, destination: np.moveaxis(x, source, destination),
        _case((2, 3, 4), source=0, destination=-1),
        _case((2, 3, 4), source=(0, -1), destination=(1, 0)),
        dtypes=ALL,
    ),
    _spec(
        "expand_dims",
        public("expand_dims"),
        lambda x, *, axis: np.expand_dims(x, axis),
        _case((3, 4), axis=0),
        _case((3, 4), axis=-1),
        _case((), axis=0),
        dtypes=ALL,
    ),
    _spec(
        "squeeze",
        public("squeeze"),
        lambda x, *, axis: np.squeeze(x, axis),
        _case((3, 1, 4), axis=1),
        _case((1, 3, 1), axis=(0, -1)),
        dtypes=ALL,
        errors=(bad((2, 3), axis=0, error=ShapeError, says=("squeeze", "(2, 3)")),),
    ),
    _spec(
        "isograd.flip",
        public("flip"),
        lambda x, *, axis=None: np.flip(x, axis),
        _case((3, 4)),
        _case((3, 4), axis=-1),
        dtypes=ALL,
    ),
    _spec(
        "roll",
        _method("roll", "shift"),
        lambda x, *, shift, axis=None: np.roll(x, shift, axis),
        _case((5,), shift=2),
        _case((3, 4), shift=-1),
        _case((3, 4), shift=(1, -2), axis=(0, 1)),
        _case((3, 4), shift=5, axis=1),
        dtypes=ALL,
    ),
    _spec(
        "isograd.concat",
        _joined("concat"),
        lambda *xs, axis: np.concatenate(xs, axis),
        _case((2, 3), (1, 3), axis=0),
        _case((2, 3), (2, 2), (2, 1), axis=-1),
        _case((2, 3), (4,), axis=None),
        dtypes=ALL,
        grad_args=(0, 1, 2),
    ),
    _spec(
        "stack",
        _joined("stack"),
        lambda *xs, axis: np.stack(xs, axis),
        _case((2, 3), (2, 3), axis=0),
        _case((2, 3), (2, 3), (2, 3), axis=-1),
        _case((), (), axis=0),
        dtypes=ALL,
        grad_args=(0, 1, 2),
        errors=(bad((2, 3), (3, 2), axis=0, error=ShapeError, says=("stack", "(2, 3)", "(3, 2)")),),
    ),
    _spec(
        "unstack",
        public("unstack"),
        lambda x, *, axis: tuple(np.moveaxis(x, axis, 0)),
        _case((2, 3), axis=0),
        _case((2, 3), axis=-1),
        dtypes=ALL,
    ),
    _spec(
        "split",
        _method("split", "sections"),
        lambda x, *, sections, axis: tuple(np.split(x, sections, axis)),
        _case((6, 2), sections=3, axis=0),
        _case((2, 5), sections=(2, 3), axis=-1),
        dtypes=ALL,
        errors=(bad((5,), sections=2, axis=0, error=ShapeError, says=("split", "5", "2")),),
    ),
    _spec(
        "tile",
        _method("tile", "repetitions"),
        lambda x, *, repetitions: np.tile(x, repetitions),
        _case((3,), repetitions=2),
        _case((2, 3), repetitions=(2, 1)),
        _case((3,), repetitions=(2, 2)),
        dtypes=ALL,
    ),
    _spec(
        "repeat",
        _method("repeat", "repeats"),
        _repeated,
        _case((3,), repeats=2),
        _case((2, 3), repeats=3, axis=-1),
        _case((2, 3), repeats=2),
        dtypes=ALL,
    ),
    _spec(
        "isograd.pad",
        _method("pad", "widths"),
        _widths,
        _case((3,), widths=((1, 2),)),
        _case((2, 3), widths=((0, 1), (2, 0)), value=1.0),
        _case((2, 3), widths=1),
        dtypes=ALL,
    ),
    _spec(
        "broadcast_arrays",
        public("broadcast_arrays"),
        lambda *xs: tuple(np.broadcast_arrays(*xs)),
        _case((3, 1), (4,)),
        _case((), (2, 2)),
        dtypes=ALL,
        grad_args=(0, 1),
    ),
    _spec(
        "tril",
        public("tril"),
        lambda x, *, k=0: np.where(
            np.subtract.outer(np.arange(x.shape[-2]), np.arange(x.shape[-1])) >= -k,
            x,
            x.dtype.type(0),
        ),
        _case((3, 4)),
        _case((2, 3, 3), k=-1),
        dtypes=NUMERIC,
        scale=Scale("equal"),
    ),
    _spec(
        "triu",
        public("triu"),
        lambda x, *, k=0: np.where(
            np.subtract.outer(np.arange(x.shape[-2]), np.arange(x.shape[-1])) <= -k,
            x,
            x.dtype.type(0),
        ),
        _case((3, 4)),
        _case((2, 3, 3), k=1),
        dtypes=NUMERIC,
        scale=Scale("equal"),
    ),
)


# -- indexing ------------------------------------------------------------------------------------------------

_MASK = np.array(
    [[True, False, True, True], [False, True, False, False], [False, False, False, True]]
)
INDICES: tuple[Any, ...] = (
    0,
    -1,
    slice(None, None, -1),
    slice(1, None),
    (slice(None), slice(3, 0, -2)),
    (Ellipsis, 1),
    (None, slice(None), None, 2),
    np.array([0, 2, 2, -1]),
    [1, 0],
    (np.array([0, 1]), np.array([3, -1])),
    (np.array([[0], [2]]), np.array([1, 3])),
    (slice(None), np.array([0, 0, 3])),
    (1, np.array([0, 0, 3])),
    _MASK,
    _MASK[:, 0],
    (slice(None), np.array([False, True, False, True])),
    (slice(0, 0),),
    (),
)
_UNIQUE = tuple(i for i in INDICES if not isinstance(i, list) and i is not INDICES[7])


def _index_samples(indices: tuple[Any, ...], updates: bool) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for index in indices:
            x = draw()(rng, (3, 4), dtype)
            args = (x, draw()(rng, x[index].shape, dtype)) if updates else (x,)
            yield Sample(args, {"index": index})
        if updates:
            yield Sample(
                (draw()(rng, (3, 4), dtype), draw()(rng, (), dtype)),
                {"index": 1},
                label="broadcast",
            )

    return samples


def _set(x: Array, v: Array, *, index: Any) -> Array:
    out = x.copy()
    out[index] = v
    return out


def _add_at(x: Array, v: Array, *, index: Any) -> Array:
    out = x.copy()
    np.add.at(out, index, v)
    return out


def _sorted(x: Array, *, axis: int = -1, descending: bool = False) -> Array:
    out = np.sort(x, axis)
    return np.flip(out, axis) if descending else out


def _one_hot(labels: Array, *, classes: int) -> Array:
    out = np.zeros((*labels.shape, classes))
    for place in np.ndindex(labels.shape):
        out[(*place, int(labels[place]))] = 1.0
    return out.astype(np.float32)


def _label_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for shape in ((), (3,), (2, 2), (0,)):
        yield Sample(
            (np.asarray(rng.integers(0, 4, shape)).astype(dtype),), {"classes": 4}, grad=False
        )


_SAMPLED = {"budget": 20, "primitive": False, "dtypes": ALL, "scale": Scale("exact")}

INDEXING = (
    OpSpec(
        name="getitem",
        fn=lambda x, *, index: x[index],
        reference=lambda x, *, index: np.asarray(x[index]),
        samples=_index_samples(INDICES, updates=False),
        errors=(
            bad(
                (3, 4),
                index=3,
                error=IndexOutOfRangeError,
                says=("3", "axis 0", "size 3", "[-3, 2]"),
            ),
            bad((3, 4), index=(0, 0, 0), error=ShapeError, says=("3 indices", "(3, 4)")),
            bad((3, 4), index=np.array([0, -4]), error=IndexOutOfRangeError, says=("-4", "size 3")),
            bad(
                (3, 4),
                index=(slice(None), np.array([4])),
                error=IndexOutOfRangeError,
                says=("4", "axis 1", "size 4"),
            ),
            bad((3, 4), index=np.array([0.5]), error=DTypeError, says=("float64",)),
        ),
        **_SAMPLED,
    ),
    OpSpec(
        name="at.set",
        fn=lambda x, v, *, index: x.at[index].set(v),
        reference=_set,
        samples=_index_samples(_UNIQUE, updates=True),
        errors=(
            bad((3, 4), (), index=3, error=IndexOutOfRangeError, says=("3", "axis 0", "size 3")),
            bad((3, 4), (5,), index=0, error=ShapeError, says=("(5,)", "(4,)")),
        ),
        grad_args=(0, 1),
        **_SAMPLED,
    ),
    OpSpec(
        name="at.add",
        fn=lambda x, v, *, index: x.at[index].add(v),
        reference=_add_at,
        samples=_index_samples(INDICES, updates=True),
        grad_args=(0, 1),
        **{
            **_SAMPLED,
            "dtypes": NUMERIC,
            "scale": Scale(
                "sum", lambda x, v, *, index: _add_at(np.abs(x), np.abs(v), index=index)
            ),
        },
    ),
    _spec(
        "sort",
        public("sort"),
        _sorted,
        _case((5,)),
        _case((3, 4), axis=0),
        _case((3, 4), axis=-1, descending=True),
        source=distinct(),
        dtypes=NUMERIC,
        scale=Scale("equal"),
    ),
    _spec(
        "isograd.argsort",
        public("argsort"),
        lambda x, *, axis=-1, descending=False: np.argsort(
            -x.astype(np.float64) if descending else x, axis
        ),
        _case((5,)),
        _case((3, 4), axis=0, descending=True),
        source=distinct(),
        dtypes=NUMERIC,
        grad_args=(),
    ),
    OpSpec(
        name="one_hot",
        fn=_method("one_hot", "classes"),
        reference=_one_hot,
        samples=_label_samples,
        errors=(
            bad(np.array([0, 4]), classes=4, error=IndexOutOfRangeError, says=("one_hot", "4")),
        ),
        dtypes=("int64", "int32"),
        grad_args=(),
        scale=Scale("exact"),
        primitive=False,
    ),
)


# -- contraction ---------------------------------------------------------------------------------------------


def _products(fn: Callable[..., Array]) -> Scale:
    return Scale(
        "sum",
        lambda x, y, **static: fn(np.abs(x), np.abs(y), **static),
        lambda x, y, **_: max(x.size, 1),
    )


def _tensordot(x: Array, y: Array, *, axes: Any) -> Array:
    return np.tensordot(x, y, axes)


def _vecdot(x: Array, y: Array, *, axis: int = -1) -> Array:
    wide = np.broadcast_arrays(x, y)
    return np.sum(wide[0] * wide[1], axis)


CONTRACTIONS = (
    _spec(
        "isograd.matmul",
        public("matmul"),
        np.matmul,
        _case((3,), (3,)),
        _case((2, 3), (3,)),
        _case((3,), (3, 4)),
        _case((2, 1, 3, 4), (5, 4, 6)),
        _case((2, 0), (0, 3)),
        dtypes=SUMMED,
        grad_args=(0, 1),
        scale=_products(np.matmul),
        errors=(
            bad((3,), (4,), error=ShapeError, says=("matmul", "(3,)", "(4,)")),
            bad((), (3,), error=ShapeError, says=("matmul", "()")),
        ),
    ),
    _spec(
        "vecdot",
        public("vecdot"),
        _vecdot,
        _case((3,), (3,)),
        _case((2, 3), (3,)),
        _case((3, 2), (3, 2), axis=-2),
        grad_args=(0, 1),
        scale=_products(_vecdot),
    ),
    _spec(
        "outer",
        public("outer"),
        lambda x, y: x[:, None] * y,
        _case((3,), (4,)),
        _case((1,), (2,)),
        grad_args=(0, 1),
    ),
    _spec(
        "tensordot",
        public("tensordot"),
        _tensordot,
        _case((2, 3, 4), (3, 4, 5), axes=2),
        _case((2, 3), (4, 5), axes=0),
        _case((2, 3, 4), (4, 2), axes=((0, 2), (1, 0))),
        _case((2, 3), (3, 4), axes=1),
        grad_args=(0, 1),
        scale=_products(_tensordot),
    ),
)

COMPOSITES: tuple[OpSpec, ...] = (*STATISTICS, *ELEMENTWISE, *MOVEMENT, *INDEXING, *CONTRACTIONS)
