"""Rows of matmul, linear, windows and sources."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.runtime.registry import default_device
from isograd.testing.op_db.generate import LARGE, bad, bound, draw, limits
from isograd.testing.op_db.spec import (
    BOOL,
    FLOATS,
    INTS,
    NUMERIC,
    Known,
    OpSpec,
    Sample,
    Samples,
    Scale,
)

__all__ = ["CONTRACTIONS", "SOURCES", "philox_words"]

Array = Any
Shape = tuple[int, ...]

BLAS = Known(
    "threads",
    "NumPy's BLAS chooses its order of summation by the number of threads",
    backend="numpy",
)

MATMULS: tuple[tuple[Shape, Shape], ...] = (
    ((2, 3), (3, 4)),
    ((1, 1), (1, 1)),
    ((5, 1), (1, 5)),
    ((1, 7), (7, 1)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 6)),
    ((3, 4), (2, 4, 2)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((2, 3), (3, 0)),
    ((0, 2, 3), (3, 2)),
)
BIG_MATMULS: tuple[tuple[Shape, Shape], ...] = (
    ((8, 8), (8, 8)),
    ((9, 17), (17, 33)),
    ((64, 64), (64, 64)),
    ((67, 129), (129, 71)),
    ((150, 260), (260, 140)),
    ((1, 513), (513, 300)),
    ((300, 513), (513, 1)),
    ((7, 20, 30), (7, 30, 11)),
)


def _dot(x: Array, y: Array) -> Array:
    """Contract by an elementwise product and a sum, an inner index at a time."""
    shape = (*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])
    out = np.zeros(shape, x.dtype)
    for k in range(x.shape[-1]):
        out = out + x[..., :, k, None] * y[..., None, k, :]
    return out


def _matmul_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    source = draw()
    for x, y in MATMULS:
        yield Sample((source(rng, x, dtype), source(rng, y, dtype)))
    all_big = dtype.name in ("float32", "float64", "int64")
    for x, y in BIG_MATMULS if all_big else BIG_MATMULS[:2]:
        arrays = source(rng, x, dtype), source(rng, y, dtype)
        yield Sample(arrays, label="large", grad=False)


def _matmul_special(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    if dtype.kind == "f":
        x = draw()(rng, (9, 12), dtype)
        y = np.abs(draw()(rng, (12, 10), dtype)) + dtype.type(0.5)
        x[2, 3], x[5, 1] = np.nan, np.inf
        x[:, 4], y[4, 7] = 0.0, np.nan
        yield Sample((x, y), label="NaN, inf", grad=False)
    elif dtype.name in INTS:
        x, y = (np.resize(limits(dtype), shape) for shape in ((4, 5), (5, 3)))
        yield Sample((x, y), label="limits", grad=False)


MATMUL = OpSpec(
    name="matmul",
    fn=bound("matmul"),
    reference=_dot,
    samples=_matmul_samples,
    extreme=_matmul_special,
    errors=(
        bad((2, 3), (4, 5), error=ShapeError, says=("matmul", "(2, 3)", "(4, 5)")),
        bad((2, 3, 4), (3, 4, 5), error=ShapeError, says=("matmul", "(2, 3, 4)", "(3, 4, 5)")),
    ),
    dtypes=NUMERIC,
    grad_args=(0, 1),
    known=(BLAS,),
    scale=Scale("sum", lambda x, y: _dot(np.abs(x), np.abs(y)), lambda x, y: x.shape[-1]),
)


def _linear(x: Array, w: Array, b: Array) -> Array:
    return np.einsum("...i,oi->...o", x, w) + b


def _linear_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    source = draw()
    for batch, inputs, outputs in (
        ((3,), 4, 2),
        ((), 4, 2),
        ((2, 3), 4, 5),
        ((0,), 4, 2),
        ((3,), 0, 2),
        ((3,), 1, 1),
    ):
        shapes: tuple[Shape, ...] = ((*batch, inputs), (outputs, inputs), (outputs,))
        yield Sample(tuple(source(rng, shape, dtype) for shape in shapes))
    for batch, inputs, outputs in (((1,), 64, 64), ((130,), 70, 33), ((64,), 300, 10)):
        shapes = ((*batch, inputs), (outputs, inputs), (outputs,))
        yield Sample(
            tuple(source(rng, shape, dtype) for shape in shapes), label="large", grad=False
        )


LINEAR = OpSpec(
    name="linear",
    fn=bound("linear"),
    reference=_linear,
    samples=_linear_samples,
    errors=(bad((2, 3), (5, 4), (5,), error=ShapeError, says=("linear", "(2, 3)", "(5, 4)")),),
    grad_args=(0, 1, 2),
    known=(BLAS,),
    scale=Scale(
        "sum",
        lambda x, w, b: _linear(np.abs(x), np.abs(w), np.abs(b)),
        lambda x, w, b: x.shape[-1] + 1,
    ),
)


def _starts(size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    return tuple((n - span) // s + 1 for n, span, s in zip(size, spans, stride, strict=True))


def _unfold(x: Array, *, kernel: Shape, stride: Shape, dilation: Shape) -> Array:
    k = len(kernel)
    batch, size = x.shape[: x.ndim - k], x.shape[x.ndim - k :]
    places = _starts(size, kernel, stride, dilation)
    out = np.zeros((*batch, *places, *kernel), x.dtype)
    for o in np.ndindex(places):
        for i in np.ndindex(kernel):
            at = tuple(a * s + b * d for a, s, b, d in zip(o, stride, i, dilation, strict=True))
            out[(..., *o, *i)] = x[(..., *at)]
    return out


def _fold(x: Array, *, size: Shape, stride: Shape, dilation: Shape) -> Array:
    k = len(size)
    batch, places, kernel = (
        x.shape[: x.ndim - 2 * k],
        x.shape[x.ndim - 2 * k : x.ndim - k],
        x.shape[x.ndim - k :],
    )
    out = np.zeros((*batch, *size), x.dtype)
    for o in np.ndindex(places):
        for i in np.ndindex(kernel):
            at = tuple(a * s + b * d for a, s, b, d in zip(o, stride, i, dilation, strict=True))
            out[(..., *at)] += x[(..., *o, *i)]
    return out


WINDOWS: tuple[tuple[Shape, Shape, Shape, Shape], ...] = (
    ((6,), (3,), (1,), (1,)),
    ((2, 7), (3,), (2,), (1,)),
    ((7,), (2,), (1,), (3,)),
    ((2, 5, 6), (2, 3), (1, 2), (2, 1)),
    ((5,), (2,), (4,), (1,)),
    ((0, 4), (2,), (1,), (1,)),
)


def _unfold_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for shape, kernel, stride, dilation in WINDOWS:
        yield Sample(
            (draw()(rng, shape, dtype),), {"kernel": kernel, "stride": stride, "dilation": dilation}
        )
    static = {"kernel": (3, 3), "stride": (1, 1), "dilation": (1, 1)}
    yield Sample((draw()(rng, (4, 3, 20, 21), dtype),), static, label="large", grad=False)


def _fold_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for sample in _unfold_samples(rng, dtype):
        (x,), static = sample.args, dict(sample.kwargs)
        kernel = static.pop("kernel")
        k = len(kernel)
        size = x.shape[x.ndim - k :]
        places = _starts(size, kernel, static["stride"], static["dilation"])
        y = draw()(rng, (*x.shape[: x.ndim - k], *places, *kernel), dtype)
        yield dataclasses.replace(sample, args=(y,), kwargs={"size": size, **static})


UNFOLD = OpSpec(
    name="unfold",
    fn=bound("unfold"),
    reference=_unfold,
    samples=_unfold_samples,
    dtypes=(*NUMERIC, *BOOL),
    scale=Scale("exact"),
)
FOLD = OpSpec(
    name="fold",
    fn=bound("fold"),
    reference=_fold,
    samples=_fold_samples,
    dtypes=NUMERIC,
    scale=Scale(
        "sum",
        lambda x, **static: _fold(np.abs(x), **static),
        lambda x, *, size, **_: int(np.prod(x.shape[x.ndim - len(size) :])),
    ),
)

CONTRACTIONS: tuple[OpSpec, ...] = (MATMUL, UNFOLD, FOLD)


def _source(name: str) -> Callable[..., Any]:
    """Return a primitive without array arguments, on the default device."""
    call = bound(name)

    def on_default(**static: Any) -> Any:
        return call(device=default_device(), **static)

    return on_default


def _full_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for shape in ((), (3, 4), (0, 2)):
        values = limits(dtype).tolist() if dtype.name in INTS else (0, 1)
        for value in values:
            yield Sample((), {"shape": shape, "value": value, "dtype": dtype}, grad=False)
    if dtype.kind == "f":
        for value in (0.1, -0.0, np.inf, np.nan):
            yield Sample((), {"shape": (3,), "value": value, "dtype": dtype}, grad=False)


def _arange_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    rows: list[tuple[float, float, float]] = [(0, 5, 1), (2, 9, 3), (3, 3, 1), (0, 100, 7)]
    if dtype.kind == "f":
        rows += [(0.5, 3.0, 0.5), (4.0, 0.0, -1.0), (0.0, 200.0, 0.1)]
    for start, stop, step in rows:
        yield Sample((), {"start": start, "stop": stop, "step": step, "dtype": dtype}, grad=False)


def _arange(*, start: float, stop: float, step: float, dtype: np.dtype[Any]) -> Array:
    values: list[float] = []
    while (
        (value := start + len(values) * step) < stop
        if step > 0
        else (value := start + len(values) * step) > stop
    ):
        values.append(value)
    return np.array(values, dtype)


def philox_words(key: Array, count: int) -> Array:
    """Return the first 64-bit words of the stream of a key, from NumPy's own generator."""
    return np.random.Philox(key=key).random_raw(count) if count else np.zeros(0, np.uint64)


def _random_bits(key: Array, *, shape: Shape, bits: int) -> Array:
    count = int(np.prod(shape))
    if bits == 64:
        return philox_words(key, count).reshape(shape)
    words = philox_words(key, (count + 1) // 2)
    halves = [int(word) >> shift & 0xFFFFFFFF for word in words for shift in (0, 32)]
    return np.array(halves[:count], np.uint32).reshape(shape)


def _random_normal(key: Array, *, shape: Shape, dtype: np.dtype[Any]) -> Array:
    standard = NormalDist()
    out: list[float] = []
    for word in philox_words(key, int(np.prod(shape))):
        top = int(word) >> 12
        lower = top < 2**51
        tail = (2 * (top if lower else 2**52 - 1 - top) + 1) * 2.0**-53
        out.append(standard.inv_cdf(tail) * (1.0 if lower else -1.0))
    return np.array(out).reshape(shape)


KEYS = ((0, 0), (1, 2), (2**64 - 1, 2**63 + 12345))


def _key_samples(*statics: dict[str, Any]) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for key in KEYS:
            for static in statics:
                chosen = {**static, "dtype": dtype} if "bits" not in static else static
                layouts = static["shape"] != (LARGE,)
                args = (np.array(key, np.uint64),)
                yield Sample(args, chosen, grad=False, layouts=layouts)

    return samples


_SHAPES: tuple[Shape, ...] = ((), (1,), (4,), (7,), (3, 5), (0, 2), (1001,))

SOURCES: tuple[OpSpec, ...] = (
    OpSpec(
        name="full",
        fn=_source("full"),
        reference=lambda *, shape, value, dtype: np.array(
            [value] * int(np.prod(shape)), dtype
        ).reshape(shape),
        samples=_full_samples,
        dtypes=(*FLOATS, *INTS, *BOOL),
        grad_args=(),
        scale=Scale("exact"),
    ),
    OpSpec(
        name="arange",
        fn=_source("arange"),
        reference=_arange,
        samples=_arange_samples,
        dtypes=("float64", "float32", "int64", "int32"),
        grad_args=(),
        scale=Scale("exact"),
    ),
    OpSpec(
        name="random_bits",
        fn=bound("random_bits"),
        reference=_random_bits,
        samples=_key_samples(
            *({"shape": shape, "bits": bits} for shape in (*_SHAPES, (LARGE,)) for bits in (32, 64))
        ),
        dtypes=("uint64",),
        grad_args=(),
        scale=Scale("exact"),
        errors=(bad((2,), shape=(3,), bits=32, error=DTypeError, says=("random_bits", "float32")),),
    ),
    OpSpec(
        name="random_normal",
        fn=bound("random_normal"),
        reference=_random_normal,
        samples=_key_samples(*({"shape": shape} for shape in (*_SHAPES, (LARGE,)))),
        dtypes=FLOATS,
        grad_args=(),
        scale=Scale("elementwise", same_bits=True),
    ),
)
