"""The derivative of every core primitive, a row each, in the library's own functions.

``g`` is the cotangent of the output, or the tangent of an input: rows of elementwise primitives
multiply by a partial derivative, which serves both directions. Further parameters are found by name
(`isograd.runtime.rules`): ``out``, the inputs ``x`` and ``y``, their ``x_shape`` and ``x_dtype``,
and static parameters after ``*``. Broadcasting is undone once, by the engine. ``None`` means no
derivative. Kinks follow the edge policy.

`COMPLEX` lists the primitives whose rows hold for complex numbers as well: those that are complex
differentiable, whose saved values the engine conjugates on the way back, and those whose rows are
adjoints with respect to ``Re(conj(a) b)``. Through others, no complex derivative passes.
"""

# Rows are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false
# ruff: noqa: PLW0108 - a row names its parameters even where it only passes them on

from __future__ import annotations

from math import log as ln
from math import pi
from math import sqrt as root
from typing import Any

import numpy as np

from isograd.core.dtypes import DType
from isograd.ops import fused
from isograd.ops import primitives as p
from isograd.ops.complexes import complex, conj, imag, real
from isograd.ops.convert import is_traced
from isograd.ops.creation import arange, tensor, zeros, zeros_like
from isograd.ops.elementwise import (
    astype,
    copysign,
    cos,
    cosh,
    equal,
    exp,
    floor_divide,
    isnan,
    log,
    logical_and,
    logical_or,
    negative,
    pow,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    where,
)
from isograd.ops.indexing import from_start, spread_mask, winners, zero_rows
from isograd.ops.linear import matmul
from isograd.ops.movement import (
    flip,
    fold,
    matrix_transpose,
    pad,
    permute_dims,
    reshape,
    slice_axis,
    strided_slice,
    unfold,
)
from isograd.ops.reductions import cumulative_prod, restore, sum
from isograd.ops.special import digamma, polygamma
from isograd.runtime.bind import bind
from isograd.runtime.rules import Elementwise, General, Linear, Variadic, sum_to
from isograd.runtime.tensor import Tensor

__all__ = ["COMPLEX"]

# -- elementwise, one argument ---------------------------------------------------------------------

_UNARY: dict[str, Any] = {
    "neg": lambda g: negative(g),
    "abs": lambda g, x: g * sign(x),
    "square": lambda g, x: g * (2.0 * x),
    "exp": lambda g, out: g * out,
    "expm1": lambda g, out: g * (out + 1.0),
    "log": lambda g, x: g / x,
    "log1p": lambda g, x: g / (1.0 + x),
    "log2": lambda g, x: g / (x * ln(2.0)),
    "log10": lambda g, x: g / (x * ln(10.0)),
    "sqrt": lambda g, out: g / (2.0 * out),
    "sin": lambda g, x: g * cos(x),
    "cos": lambda g, x: -g * sin(x),
    "tan": lambda g, out: g * (1.0 + square(out)),
    "asin": lambda g, x: g / sqrt(_below_one(x) * _above(x, 1.0)),
    "acos": lambda g, x: -g / sqrt(_below_one(x) * _above(x, 1.0)),
    "atan": lambda g, x: g / (1.0 + square(x)),
    "sinh": lambda g, x: g * cosh(x),
    "cosh": lambda g, x: g * sinh(x),
    "tanh": lambda g, out: fused.tanh_grad(g, out),
    "asinh": lambda g, x: g / sqrt(_above(square(x), 1.0)),
    "acosh": lambda g, x: g / (sqrt(x - 1.0) * sqrt(_above(x, 1.0))),
    "atanh": lambda g, x: g / ((1.0 - x) * (1.0 + x)),
    "erf": lambda g, x: g * (2.0 / root(pi)) * exp(-square(x)),
    "erfc": lambda g, x: g * (-2.0 / root(pi)) * exp(-square(x)),
    "erfinv": lambda g, out: g * (root(pi) / 2.0) * exp(square(out)),
    "lgamma": lambda g, x: g * digamma(x),
    "digamma": lambda g, x: g * polygamma(1, x),
    "polygamma": lambda g, x, *, n: g * polygamma(n + 1, x),
}

# -- elementwise, several arguments ----------------------------------------------------------------

_SEVERAL: dict[str, tuple[Any, ...]] = {
    "add": (lambda g: g, lambda g: g),
    "sub": (lambda g: g, lambda g: negative(g)),
    "mul": (lambda g, y: g * y, lambda g, x: g * x),
    "div": (lambda g, y: g / y, lambda g, out, y: -g * out / y),
    "pow": (
        # y == 0 makes the slope 0 even where x**(y - 1) is infinite.
        lambda g, x, y: g * where(equal(y, 0), 0, y * pow(x, where(equal(y, 0), 1, y - 1))),
        # 0**y is 0 for every y > 0, so it has no slope there.
        lambda g, out, x, y: g * _times_log(out, x, logical_and(equal(x, 0), real(y) >= 0)),
    ),
    "maximum": (lambda g, x, y: g * _share(x, y, x > y), lambda g, x, y: g * _share(y, x, y > x)),
    "minimum": (lambda g, x, y: g * _share(x, y, x < y), lambda g, x, y: g * _share(y, x, y < x)),
    "floor_divide": (None, None),
    "remainder": (lambda g: g, lambda g, x, y: -g * floor_divide(x, y)),
    "atan2": (
        lambda g, x, y: g * y / (square(x) + square(y)),
        lambda g, x, y: -g * x / (square(x) + square(y)),
    ),
    "hypot": (lambda g, out, x: g * _ratio(x, out), lambda g, out, y: g * _ratio(y, out)),
    "logaddexp": (lambda g, out, x: g * _weight(x, out), lambda g, out, y: g * _weight(y, out)),
    "copysign": (lambda g, x, out: g * _same_sign(x, out), None),
    "where": (None, lambda g, x: where(x, g, 0), lambda g, x: where(x, 0, g)),
}


# A branch cut has two sides, told apart by the sign of an imaginary zero, which the sum with a real
# number would lose: -0.0 + 0.0 is 0.0, and 0.0 - 0.0 too.


def _above(x: Tensor, by: float) -> Tensor:
    return x - (-by) if x.dtype.kind == "c" else x + by


def _below_one(x: Tensor) -> Tensor:
    return negative(x - 1.0) if x.dtype.kind == "c" else 1.0 - x


def _times_log(out: Tensor, x: Tensor, at_zero: Tensor) -> Tensor:
    return where(at_zero, 0, out * log(where(at_zero, 1, x)))


def _share(x: Tensor, y: Tensor, wins: Tensor) -> Tensor:
    """Return 1 where x is chosen, one half where it ties (policy P2), and 1 where x is the NaN."""
    tie = logical_or(equal(x, y), logical_and(isnan(x), isnan(y)))
    return where(tie, 0.5, astype(logical_or(wins, isnan(x)), x.dtype))


def _ratio(x: Tensor, length: Tensor) -> Tensor:
    at_zero = equal(length, 0)
    return where(at_zero, 0, x / where(at_zero, 1, length))


def _weight(x: Tensor, total: Tensor) -> Tensor:
    """Return exp(x - total), which is 1 for the infinite term of an infinite total."""
    same = equal(x, total)
    return where(same, where(equal(x, -float("inf")), 0, 1), exp(where(same, 0, x - total)))


def _same_sign(x: Tensor, out: Tensor) -> Tensor:
    return sign(x) * copysign(1.0, out)


# -- reductions and scans --------------------------------------------------------------------------


def _extremum(
    g: Tensor, out: Tensor, x: Tensor, *, axis: tuple[int, ...], keepdims: bool
) -> Tensor:
    """Send the cotangent to the elements that equal the extremum, in even shares (policy P2)."""
    peak = restore(out, x.shape, axis, keepdims)
    chosen = astype(logical_or(equal(x, peak), logical_and(isnan(x), isnan(peak))), x.dtype)
    count = sum(chosen, axis=axis, keepdims=True)
    return restore(g, x.shape, axis, keepdims) * (chosen / count)


def _prod(g: Tensor, x: Tensor, *, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    """Multiply by the product of all other elements, made from both sides, so zeros are right."""
    kept = tuple([i for i in range(x.ndim) if i not in axis])
    order = (*kept, *axis)
    moved = permute_dims(x, order)
    flat = reshape(moved, (*[x.shape[i] for i in kept], -1 if x.size else 0))
    others = _exclusive(flat, reverse=False) * _exclusive(flat, reverse=True)
    back = permute_dims(reshape(others, moved.shape), [order.index(i) for i in range(x.ndim)])
    return restore(g, x.shape, axis, keepdims) * back


def _exclusive(x: Tensor, *, reverse: bool) -> Tensor:
    """Return the products of all elements before (after) each one along the last axis."""
    last = x.ndim - 1
    if x.shape[last] == 0:
        return x
    facing = flip(x, axis=last) if reverse else x
    out = cumulative_prod(facing, axis=last, include_initial=True)
    out = strided_slice(out, (0,) * x.ndim, x.shape, (1,) * x.ndim)
    return flip(out, axis=last) if reverse else out


def _cumprod(g: Tensor, x: Tensor, *, axis: int) -> Tensor:
    """Return P[i] * R[i] with P[i] the product before i and R[i] = g[i] + x[i+1] R[i+1].

    There is no division, so zeros are right.
    """
    moved, ct = _last(x, axis), _last(g, axis)
    n = moved.shape[-1]
    if n == 0:
        return x
    # R[i] = b[i] + a[i] R[i+1], composed with itself over distances 1, 2, 4...
    a, b = _shifted(moved, 1, 1.0), ct
    distance = 1
    while distance < n:
        a, b = a * _shifted(a, distance, 0.0), b + a * _shifted(b, distance, 0.0)
        distance *= 2
    return _last(_exclusive(moved, reverse=False) * b, axis)


def _last(x: Tensor, axis: int) -> Tensor:
    """Exchange an axis with the last one."""
    order = list(range(x.ndim))
    order[axis], order[-1] = order[-1], order[axis]
    return permute_dims(x, order)


def _shifted(x: Tensor, by: int, fill: float) -> Tensor:
    """Return x[..., i + by], and ``fill`` beyond the end."""
    n = x.shape[-1]
    tail = strided_slice(x, (*(0,) * (x.ndim - 1), min(by, n)), x.shape, (1,) * x.ndim)
    return pad(tail, [(0, 0)] * (x.ndim - 1) + [(0, min(by, n))], value=fill)


# -- movement --------------------------------------------------------------------------------------


def _concat(g: Tensor, xs_shapes: list[tuple[int, ...]], *, axis: int) -> list[Tensor]:
    parts: list[Tensor] = []
    start = 0
    for shape in xs_shapes:
        parts.append(slice_axis(g, axis, start, start + shape[axis]))
        start += shape[axis]
    return parts


def _unslice(g: Tensor, x_shape: tuple[int, ...], *, start: Any, stop: Any, step: Any) -> Tensor:
    """Pad with zeros before, between and after: the transpose of a strided slice."""
    spread = [max(n - 1, 0) * s + min(n, 1) for n, s in zip(g.shape, step, strict=True)]
    high = tuple(
        [n - first - width for n, first, width in zip(x_shape, start, spread, strict=True)]
    )
    return bind(p.pad, g, low=start, high=high, interior=tuple([s - 1 for s in step]), value=0.0)


def _unpad(g: Tensor, x_shape: tuple[int, ...], *, low: Any, interior: Any) -> Tensor:
    spread = [max(n - 1, 0) * (i + 1) + min(n, 1) for n, i in zip(x_shape, interior, strict=True)]
    stop = tuple([a + width for a, width in zip(low, spread, strict=True)])
    return strided_slice(g, low, stop, tuple([i + 1 for i in interior]))


def _inverse(axes: tuple[int, ...]) -> list[int]:
    return sorted(range(len(axes)), key=axes.__getitem__)


def _broadcast_transpose(g: Tensor, x_shape: tuple[int, ...]) -> Tensor:
    return sum_to(g, x_shape)


def _uncast(g: Tensor, x_dtype: DType) -> Tensor:
    """Convert back; of a real number made complex, the imaginary part had no share."""
    return astype(g if x_dtype.kind == "c" else real(g), x_dtype)


# -- indexing --------------------------------------------------------------------------------------


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return zeros(shape, dtype=like.dtype, device=like.device)


def _scattered(prim: Any, g: Tensor, shape: tuple[int, ...], indices: Tensor, axis: int) -> Tensor:
    return bind(prim, _zeros(shape, g), indices, g, axis=axis)


def _put_along(g: Tensor, shape: tuple[int, ...], indices: Tensor, axis: int) -> Tensor:
    """Return zeros with the cotangent where it was taken.

    One element of each row is a mask, which a compiled program has in its loops; operation by
    operation that would be several passes.
    """
    if not (is_traced(indices) and indices.shape[axis] == 1):
        return _scattered(p.scatter_add_along_axis, g, shape, indices, axis)
    places = arange(shape[axis], device=g.device)
    along = reshape(places, (shape[axis], *(1,) * (len(shape) - axis - 1)))
    return where(equal(along, from_start(indices, shape[axis])), g, 0)


def _set_updates(g: Tensor, x_shape: tuple[int, ...], indices: Tensor, *, axis: int) -> Tensor:
    """Only the last of duplicate updates was kept, so only it has a slope."""
    taken = bind(p.take, g, indices, axis=axis)
    kept = winners(indices, x_shape[axis])
    return where(spread_mask(kept, taken.shape, axis), taken, 0)


# -- Fourier transforms ----------------------------------------------------------------------------

#: The transform back, scaled so that it is the adjoint.
_ADJOINT = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _fft(g: Tensor, *, axes: tuple[int, ...], inverse: bool, norm: str) -> Tensor:
    return bind(p.fft, g, axes=axes, inverse=not inverse, norm=_ADJOINT[norm])


def _bins(n: int, axis: int, like: Tensor, middle: float) -> Tensor:
    """Return 1 for the bins of half a spectrum that stand for themselves, else ``middle``."""
    weights = np.full(n // 2 + 1, middle)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    shape = [-1 if i == axis else 1 for i in range(like.ndim)]
    return tensor(weights.reshape(shape), dtype=like.dtype, device=like.device)


def _rfft(g: Tensor, x_shape: tuple[int, ...], *, axis: int, norm: str) -> Tensor:
    """Every bin counts once here, while irfft counts those in the middle twice."""
    n = x_shape[axis]
    halved = g * _bins(n, axis, g, 0.5)
    return bind(p.irfft, halved, axis=axis, n=n, norm=_ADJOINT[norm])


def _irfft(g: Tensor, *, axis: int, n: int, norm: str) -> Tensor:
    out = bind(p.rfft, g, axis=axis, norm=_ADJOINT[norm])
    return out * _bins(n, axis, out, 2.0)


_INDEXED = ("x", "indices", "updates")

_RULES: dict[str, Any] = {
    "astype": Linear(_uncast),
    "real": Linear(lambda g, x_dtype: astype(g, x_dtype)),
    "imag": Linear(lambda g: complex(zeros_like(g), g)),
    "conj": Linear(lambda g: conj(g)),
    "complex": Linear(lambda g: real(g), lambda g: imag(g), joint=True),
    "fft": Linear(_fft),
    "rfft": Linear(_rfft),
    "irfft": Linear(_irfft),
    "sum": Linear(lambda g, x_shape, *, axis, keepdims: restore(g, x_shape, axis, keepdims)),
    "prod": General(_prod),
    "max": General(_extremum),
    "min": General(_extremum),
    "cumsum": Linear(
        lambda g, *, axis: flip(bind(p.cumsum, flip(g, axis=axis), axis=axis), axis=axis)
    ),
    "cumprod": General(_cumprod),
    "reshape": Linear(lambda g, x_shape: reshape(g, x_shape)),
    "permute_dims": Linear(lambda g, *, axes: permute_dims(g, _inverse(axes))),
    "broadcast_to": Linear(_broadcast_transpose),
    "slice": Linear(_unslice),
    "flip": Linear(lambda g, *, axis: bind(p.flip, g, axis=axis)),
    "pad": General(_unpad),
    "concat": Variadic(_concat),
    "take": Linear(
        lambda g, x_shape, indices, *, axis: _scattered(p.scatter_add, g, x_shape, indices, axis),
        None,
        names=_INDEXED,
        joint=True,
    ),
    "scatter_add": Linear(
        lambda g: g,
        None,
        lambda g, indices, *, axis: bind(p.take, g, indices, axis=axis),
        names=_INDEXED,
        joint=True,
    ),
    "take_along_axis": Linear(
        lambda g, x_shape, indices, *, axis: _put_along(g, x_shape, indices, axis),
        None,
        names=_INDEXED,
        joint=True,
    ),
    "scatter_add_along_axis": Linear(
        lambda g: g,
        None,
        lambda g, indices, *, axis: bind(p.take_along_axis, g, indices, axis=axis),
        names=_INDEXED,
        joint=True,
    ),
    "index_set": Linear(
        lambda g, indices, updates_shape, *, axis: zero_rows(g, indices, axis, updates_shape),
        None,
        _set_updates,
        names=_INDEXED,
        joint=True,
    ),
    "matmul": Linear(
        lambda g, y: matmul(g, matrix_transpose(y)), lambda g, x: matmul(matrix_transpose(x), g)
    ),
    "unfold": Linear(
        lambda g, x_shape, *, kernel, stride, dilation: fold(
            g, x_shape[len(x_shape) - len(kernel) :], stride=stride, dilation=dilation
        )
    ),
    "fold": Linear(
        lambda g, x_shape, *, size, stride, dilation: unfold(
            g, x_shape[len(x_shape) - len(size) :], stride=stride, dilation=dilation
        )
    ),
}


#: The primitives whose rows hold for complex numbers.
COMPLEX = (
    *("neg", "square", "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt"),
    *("sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("add", "sub", "mul", "div", "pow", "where", "astype"),
    *("real", "imag", "conj", "complex"),
    *("sum", "prod", "cumsum", "cumprod"),
    *("reshape", "permute_dims", "broadcast_to", "slice", "flip", "pad", "concat"),
    *("take", "scatter_add", "take_along_axis", "scatter_add_along_axis", "index_set"),
    *("matmul", "unfold", "fold"),
    *("fft", "rfft", "irfft"),
)


def install() -> None:
    """Give each core primitive its rule."""
    for name, row in _UNARY.items():
        p.PRIMITIVES[name].rule = Elementwise(row)
    for name, rows in _SEVERAL.items():
        if any(row is not None for row in rows):
            p.PRIMITIVES[name].rule = Elementwise(*rows)
    for name, rule in _RULES.items():
        p.PRIMITIVES[name].rule = rule
    for name in COMPLEX:
        p.PRIMITIVES[name].complex = True
