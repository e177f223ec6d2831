"""Rows of convolution and pooling: each reference goes through outputs one by one."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.contractions import BLAS
from isograd.testing.op_db.generate import bad, bound, distinct, draw
from isograd.testing.op_db.spec import OpSpec, Sample, Samples, Scale

__all__ = ["WINDOWED"]

Array = Any
Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Static = dict[str, Any]


def _places(size: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Shape:
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple((n + a + b - ((k - 1) * d + 1)) // s + 1 for n, k, s, (a, b), d in axes)


def _meetings(
    size: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Iterator[tuple[Shape, Shape, Shape]]:
    """Yield (window, position in it, element of the input) wherever the three meet."""
    for o in np.ndindex(_places(size, kernel, stride, padding, dilation)):
        for i in np.ndindex(kernel):
            axes = zip(o, stride, i, dilation, padding, strict=True)
            at = tuple(a * s + b * d - low for a, s, b, d, (low, _) in axes)
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                yield o, i, at


def _blocks(channels: int, outputs: int, groups: int) -> Iterator[tuple[slice, slice]]:
    for g in range(groups):
        a, b = channels // groups, outputs // groups
        yield slice(g * a, (g + 1) * a), slice(g * b, (g + 1) * b)


def _conv(
    x: Array, w: Array, *, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Array:
    places = _places(x.shape[2:], w.shape[2:], stride, padding, dilation)
    out = np.zeros((x.shape[0], w.shape[0], *places))
    for o, i, at in _meetings(x.shape[2:], w.shape[2:], stride, padding, dilation):
        for a, b in _blocks(x.shape[1], w.shape[0], groups):
            out[(slice(None), b, *o)] += x[(slice(None), a, *at)] @ w[(b, slice(None), *i)].T
    return out


def _conv_input_grad(y: Array, w: Array, *, size: Shape, groups: int, **static: Any) -> Array:
    out = np.zeros((y.shape[0], w.shape[1] * groups, *size))
    for o, i, at in _meetings(size, w.shape[2:], **static):
        for a, b in _blocks(out.shape[1], w.shape[0], groups):
            out[(slice(None), a, *at)] += y[(slice(None), b, *o)] @ w[(b, slice(None), *i)]
    return out


def _conv_weight_grad(x: Array, y: Array, *, kernel: Shape, groups: int, **static: Any) -> Array:
    out = np.zeros((y.shape[1], x.shape[1] // groups, *kernel))
    for o, i, at in _meetings(x.shape[2:], kernel, **static):
        for a, b in _blocks(x.shape[1], y.shape[1], groups):
            out[(b, slice(None), *i)] += y[(slice(None), b, *o)].T @ x[(slice(None), a, *at)]
    return out


def _window(stride: Shape, padding: Pairs, dilation: Shape, groups: int) -> Static:
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


# (input, weight, static)
CONVOLUTIONS: tuple[tuple[Shape, Shape, Static], ...] = (
    ((2, 2, 5), (3, 2, 3), _window((1,), ((1, 1),), (1,), 1)),
    ((2, 4, 7), (6, 2, 2), _window((2,), ((0, 3),), (2,), 2)),
    ((1, 2, 4, 5), (2, 2, 3, 2), _window((1, 2), ((1, 0), (0, 2)), (1, 1), 1)),
    ((1, 3, 5, 4), (3, 1, 2, 2), _window((2, 1), ((0, 0), (1, 1)), (3, 1), 3)),
    ((1, 2, 3, 2, 3), (2, 1, 2, 2, 1), _window((1, 1, 2), ((0, 0), (1, 0), (0, 1)), (1,) * 3, 2)),
    ((2, 2, 6), (4, 1, 2), _window((3,), ((2, 3),), (1,), 2)),
    ((2, 2, 6, 5), (4, 1, 2, 3), _window((2, 2), ((1, 0), (2, 1)), (2, 1), 2)),
    ((0, 2, 5), (2, 1, 3), _window((1,), ((0, 0),), (1,), 2)),
    ((2, 1, 4), (1, 1, 1), _window((3,), ((0, 0),), (1,), 1)),
    ((0, 2, 5), (3, 2, 3), _window((1,), ((0, 0),), (1,), 1)),
    ((2, 0, 5), (3, 0, 3), _window((1,), ((0, 0),), (1,), 1)),
)
LARGE_CONVOLUTIONS: tuple[tuple[Shape, Shape, Static], ...] = (
    ((3, 8, 15, 14), (16, 8, 3, 3), _window((1, 1), ((1, 1), (1, 1)), (1, 1), 1)),
    ((2, 16, 9, 9), (16, 4, 3, 3), _window((2, 2), ((1, 1), (1, 1)), (1, 1), 4)),
    ((2, 24, 13, 11), (24, 1, 3, 3), _window((1, 1), ((1, 1), (1, 1)), (1, 1), 24)),
    ((2, 8, 9, 9), (16, 1, 5, 5), _window((2, 2), ((2, 2), (2, 2)), (1, 1), 8)),
)


def _conv_samples(kind: str) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        rows = [(row, "") for row in CONVOLUTIONS]
        if dtype.name in ("float32", "float64"):
            rows += [(row, "large") for row in LARGE_CONVOLUTIONS]
        for (x_shape, w_shape, static), label in rows:
            axes = static["stride"], static["padding"], static["dilation"]
            places = _places(x_shape[2:], w_shape[2:], *axes)
            x, w, y = [
                draw()(rng, shape, dtype)
                for shape in (x_shape, w_shape, (x_shape[0], w_shape[0], *places))
            ]
            args, more = {
                "output": ((x, w), {}),
                "input": ((y, w), {"size": x_shape[2:]}),
                "weight": ((x, y), {"kernel": w_shape[2:]}),
            }[kind]
            yield Sample(args, {**static, **more}, label=label, grad=not label)

    return samples


_ONE: Any = _window((1,), ((0, 0),), (1,), 1)
_bad = functools.partial(bad, error=ShapeError)

CONVS: tuple[OpSpec, ...] = (
    OpSpec(
        name="conv",
        fn=bound("conv"),
        reference=_conv,
        samples=_conv_samples("output"),
        errors=(
            bad((1, 2, 5), (3, 2), **_ONE, error=ShapeError, says=("conv", "(1, 2, 5)", "(3, 2)")),
            bad((1, 2, 5), (3, 3, 2), **_ONE, error=ShapeError, says=("conv", "(3, 3, 2)")),
            bad((1, 2, 2), (3, 2, 3), **_ONE, error=ShapeError, says=("conv", "kernel")),
            _bad((1, 3, 5), (2, 1, 2), **_ONE | {"groups": 2}, says=("conv", "groups=2", "divide")),
            _bad((1, 2, 5), (3, 2, 2), **_ONE | {"dilation": (0,)}, says=("conv", "dilation")),
            _bad((1, 2, 5), (3, 2, 2), **_ONE | {"padding": ((-1, 0),)}, says=("conv", "padding")),
            bad(
                np.zeros((1, 2, 5), np.int64),
                np.zeros((3, 2, 2), np.int64),
                **_ONE,
                error=DTypeError,
                says=("conv", "int64"),
            ),
        ),
        grad_args=(0, 1),
        known=(BLAS,),
        scale=Scale(
            "sum",
            lambda x, w, **static: _conv(np.abs(x), np.abs(w), **static),
            lambda x, w, **static: int(np.prod(w.shape[1:])),
        ),
    ),
    OpSpec(
        name="conv_input_grad",
        fn=bound("conv_input_grad"),
        reference=_conv_input_grad,
        samples=_conv_samples("input"),
        errors=(
            _bad((1, 3, 4), (3, 2, 2), size=(7,), **_ONE, says=("conv_input_grad", "(1, 3, 6)")),
        ),
        grad_args=(0, 1),
        known=(BLAS,),
        scale=Scale(
            "sum",
            lambda y, w, **static: _conv_input_grad(np.abs(y), np.abs(w), **static),
            lambda y, w, **static: int(np.prod(w.shape[2:])) * w.shape[0],
        ),
    ),
    OpSpec(
        name="conv_weight_grad",
        fn=bound("conv_weight_grad"),
        reference=_conv_weight_grad,
        samples=_conv_samples("weight"),
        errors=(
            _bad((1, 2, 5), (1, 3, 5), kernel=(2,), **_ONE, says=("conv_weight_grad", "(1, 3, 4)")),
        ),
        grad_args=(0, 1),
        known=(BLAS,),
        scale=Scale(
            "sum",
            lambda x, y, **static: _conv_weight_grad(np.abs(x), np.abs(y), **static),
            lambda x, y, **static: x.shape[0] * int(np.prod(y.shape[2:])),
        ),
    ),
)


# -- pooling ---------------------------------------------------------------------------------------


def _lead(x: Array, kernel: Shape) -> int:
    return x.ndim - len(kernel)


def _first_maxima(x: Array, **static: Any) -> tuple[Array, Array]:
    """Return maxima and the numbers of the first elements that have them; NaN is the largest."""
    first = _lead(x, static["kernel"])
    size = x.shape[first:]
    places = _places(size, **static)
    values = np.full((*x.shape[:first], *places), -np.inf)
    numbers = np.full(values.shape, -1)
    for o, _, at in _meetings(size, **static):
        new, old = x[(..., *at)], values[(..., *o)]
        wins = (numbers[(..., *o)] < 0) | (new > old) | (np.isnan(new) & ~np.isnan(old))
        values[(..., *o)] = np.where(wins, new, old)
        flat = int(np.ravel_multi_index(at, size))
        numbers[(..., *o)] = np.where(wins, flat, numbers[(..., *o)])
    return values, numbers


def _max_pool(x: Array, **static: Any) -> Array:
    return _first_maxima(x, **static)[0]


def _max_pool_grad(g: Array, x: Array, out: Array, **static: Any) -> Array:
    first = _lead(x, static["kernel"])
    _, numbers = _first_maxima(x, **static)
    total = np.zeros((*x.shape[:first], math.prod(x.shape[first:])))
    for lead in np.ndindex(g.shape):
        total[(*lead[:first], numbers[lead])] += g[lead]
    return total.reshape(x.shape)


def _pool(kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Static:
    return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


POOLS: tuple[tuple[Shape, Static], ...] = (
    ((2, 6), _pool((2,), (2,), ((0, 0),), (1,))),
    ((2, 3, 7), _pool((3,), (2,), ((1, 1),), (1,))),
    ((7,), _pool((2,), (1,), ((0, 2),), (3,))),
    ((2, 4, 6), _pool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))),
    ((1, 5, 6), _pool((3, 2), (1, 3), ((1, 1), (0, 1)), (1, 2))),
    ((3, 4, 4), _pool((1, 2, 2), (1, 2, 1), ((0, 0), (1, 0), (0, 0)), (1, 1, 1))),
    ((0, 4), _pool((2,), (1,), ((0, 0),), (1,))),
)
LARGE_POOL: tuple[Shape, Static] = (
    (3, 5, 21, 20),
    _pool((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
)


def _pool_samples(kind: str) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shape, static in (*POOLS, LARGE_POOL):
            label = "large" if len(shape) == 4 else ""
            spacing = 0.25 if not label else 2.0**-4
            x = distinct(spacing)(rng, shape, dtype)
            out = _max_pool(x.astype(np.float64), **static).astype(dtype)
            g = draw()(rng, out.shape, dtype)
            args = {"value": (x,), "grad": (g, x, out), "indices": (x, out)}[kind]
            # The zero-stride layout of one axis has other maxima than ``out`` says.
            plain = kind == "value" or len(shape) > 1
            yield Sample(args, static, label=label, grad=not label, layouts=plain)
            if not label:
                # Few different values: many ties.
                tied = rng.integers(0, 2, shape).astype(dtype)
                out = _max_pool(tied.astype(np.float64), **static).astype(dtype)
                args = {"value": (tied,), "grad": (g, tied, out), "indices": (tied, out)}[kind]
                yield Sample(args, static, label="ties", grad=False, layouts=plain)

    return samples


def _pool_special(kind: str) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        static = _pool((2,), (2,), ((1, 1),), (1,))
        x = np.array([[-np.inf, 1.0, np.nan, np.nan, np.inf, -np.inf, -np.inf]]).astype(dtype)
        out = _max_pool(x.astype(np.float64), **static).astype(dtype)
        args = {"value": (x,), "grad": (np.ones_like(out), x, out), "indices": (x, out)}[kind]
        yield Sample(args, static, label="extreme", grad=False)

    return samples


_BAD_POOL = _pool((3,), (1,), ((0, 0),), (1,))


def _window_sum(x: Array, *, kernel: Shape, stride: Shape, padding: Pairs) -> Array:
    first, ones = _lead(x, kernel), (1,) * len(kernel)
    size = x.shape[first:]
    out = np.zeros((*x.shape[:first], *_places(size, kernel, stride, padding, ones)))
    for o, _, at in _meetings(size, kernel, stride, padding, ones):
        out[(..., *o)] += x[(..., *at)]
    return out


def _window_spread(g: Array, *, size: Shape, kernel: Shape, stride: Shape, padding: Pairs) -> Array:
    out = np.zeros((*g.shape[: _lead(g, kernel)], *size))
    for o, _, at in _meetings(size, kernel, stride, padding, (1,) * len(kernel)):
        out[(..., *at)] += g[(..., *o)]
    return out


def _sum_samples(spread: bool) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shape, pool in (*POOLS, LARGE_POOL):
            static = {key: pool[key] for key in ("kernel", "stride", "padding")}
            first, ones = len(shape) - len(static["kernel"]), (1,) * len(static["kernel"])
            label = "large" if len(shape) == 4 else ""
            if spread:
                size = shape[first:]
                axes = static["kernel"], static["stride"], static["padding"]
                shape = (*shape[:first], *_places(size, *axes, ones))
                static["size"] = size
            yield Sample((draw()(rng, shape, dtype),), static, label=label, grad=not label)

    return samples


POOLINGS: tuple[OpSpec, ...] = (
    OpSpec(
        name="max_pool",
        fn=bound("max_pool"),
        reference=_max_pool,
        samples=_pool_samples("value"),
        extreme=_pool_special("value"),
        errors=(bad((2,), **_BAD_POOL, error=ShapeError, says=("max_pool", "kernel")),),
        scale=Scale("equal"),
    ),
    OpSpec(
        name="max_pool_indices",
        fn=bound("max_pool_indices"),
        reference=lambda x, out, **static: _first_maxima(x, **static)[1],
        samples=_pool_samples("indices"),
        extreme=_pool_special("indices"),
        errors=(
            bad((5,), (5,), **_BAD_POOL, error=ShapeError, says=("max_pool_indices", "[5]", "[3]")),
        ),
        grad_args=(),
        scale=Scale("exact"),
    ),
    OpSpec(
        name="max_pool_grad",
        fn=bound("max_pool_grad"),
        reference=_max_pool_grad,
        samples=_pool_samples("grad"),
        extreme=_pool_special("grad"),
        errors=(
            bad((4,), (5,), (3,), **_BAD_POOL, error=ShapeError, says=("max_pool_grad", "[4]")),
        ),
        scale=Scale(
            "sum",
            lambda g, x, out, **static: _max_pool_grad(np.abs(g), x, out, **static),
            lambda g, x, out, **static: int(np.prod(static["kernel"])),
        ),
    ),
    OpSpec(
        name="window_sum",
        fn=bound("window_sum"),
        reference=_window_sum,
        samples=_sum_samples(spread=False),
        errors=(
            _bad((2,), kernel=(3,), stride=(1,), padding=((0, 0),), says=("window_sum", "kernel")),
        ),
        scale=Scale(
            "sum",
            lambda x, **static: _window_sum(np.abs(x), **static),
            lambda x, **static: int(np.prod(static["kernel"])),
        ),
    ),
    OpSpec(
        name="window_spread",
        fn=bound("window_spread"),
        reference=_window_spread,
        samples=_sum_samples(spread=True),
        errors=(
            _bad(
                *[(4,)],
                kernel=(2,),
                stride=(1,),
                padding=((0, 0),),
                size=(3,),
                says=("window_spread", "(4,)", "(2,)"),
            ),
        ),
        scale=Scale(
            "sum",
            lambda g, **static: _window_spread(np.abs(g), **static),
            lambda g, **static: int(np.prod(static["kernel"])),
        ),
    ),
)

WINDOWED: tuple[OpSpec, ...] = (*CONVS, *POOLINGS)
