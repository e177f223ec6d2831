"""Rows of the elementwise primitives."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core.dtypes import as_dtype
from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.generate import (
    BINARY_SHAPES,
    Draw,
    bad,
    binary,
    bound,
    distinct,
    draw,
    specials,
    table,
    unary,
)
from isograd.testing.op_db.spec import BOOL, FLOATS, INTS, NUMERIC, ErrorCase, OpSpec, Sample, Scale

__all__ = ["ELEMENTWISE"]

Array = Any
Reference = Callable[..., Array]

ALL = (*NUMERIC, *BOOL)
EXACT = Scale("exact")
CLOSE = Scale("elementwise")

INF, NAN = math.inf, math.nan
ZEROS = (0.0, -0.0)
TINY = (1e-40, -1e-40, 5e-324, 1e-8, -1e-8)
HUGE = (1e30, -1e30, 3e38, -3e38, 1e300, 65504.0)
EVERYTHING = (
    *ZEROS,
    *TINY,
    *HUGE,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    1000.0,
    -1000.0,
    INF,
    -INF,
    NAN,
)
PAIRS = (*ZEROS, 1.0, -1.0, 2.5, -3.0, 1e-40, 1e30, INF, -INF, NAN)


def _each(fn: Callable[..., float]) -> Reference:
    """Apply a function of Python floats to every element."""
    return np.vectorize(fn, otypes=[np.float64])


def _sign(x: Array) -> Array:
    if x.dtype.kind == "f":
        return np.where(np.isnan(x), x, (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)).astype(
            x.dtype
        )
    return ((x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)).astype(x.dtype)


def _half_even(x: Array) -> Array:
    if x.dtype.kind != "f":
        return x
    low = np.floor(x)
    odd = np.mod(low, 2) == 1
    up = (x - low > 0.5) | ((x - low == 0.5) & odd)
    return np.where(np.isfinite(x), np.copysign(low + up, x), x).astype(x.dtype)


def _toward_zero(x: Array) -> Array:
    return np.copysign(np.floor(np.abs(x)), x) if x.dtype.kind == "f" else x


def _signbit(x: Array) -> Array:
    return np.signbit(x) if x.dtype.kind == "f" else x < 0


def _power(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.power(x, y)
    wide = np.vectorize(lambda a, b: pow(int(a), int(b), 2**64), otypes=[object])(x, y)
    return np.asarray(wide, dtype=np.uint64).astype(np.result_type(x, y))


def _not_negative(y: Array) -> Array:
    return y if y.dtype.kind != "i" else y[y >= 0]


def _bits(y: Array) -> Array:
    """Return how far a shift goes: nowhere, and as far as there are bits."""
    return np.array([0, 1, 8 * y.dtype.itemsize - 1] if y.size else [], y.dtype)


def _floor_divide(x: Array, y: Array) -> Array:
    def one(a: float, b: float) -> float:
        if b == 0:
            return (
                math.nan
                if a == 0 or math.isnan(a)
                else math.copysign(INF, a) * math.copysign(1.0, b)
            )
        return a // b

    if x.dtype.kind == "f":
        return _each(lambda a, b: one(float(a), float(b)))(x, y)
    return np.where(y == 0, 0, x // np.where(y == 0, 1, y)).astype(x.dtype)


def _remainder(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return _each(lambda a, b: NAN if b == 0 else float(a) % float(b))(x, y)
    return np.where(y == 0, 0, x - y * (x // np.where(y == 0, 1, y))).astype(x.dtype)


def _log_add_exp(x: Array, y: Array) -> Array:
    top = np.maximum(x, y)
    gap = -np.abs(x - y)
    return np.where(np.isinf(x) & (x == y), x, top + np.log1p(np.exp(gap)))


def _log_add_scale(x: Array, y: Array) -> Array:
    """Return the larger magnitude, or that of the result where it is larger still."""
    return np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(_log_add_exp(x, y)))


def _wrong_dtype(name: str, dtype: str = "int64") -> ErrorCase:
    return bad(np.ones(3, dtype), error=DTypeError, says=(name, dtype))


def _unary(
    name: str,
    reference: Reference,
    source: Draw | None = None,
    *,
    dtypes: tuple[str, ...] = FLOATS,
    scale: Scale = CLOSE,
    order: int = 2,
    values: tuple[float, ...] = EVERYTHING,
    errors: tuple[ErrorCase, ...] | None = None,
) -> OpSpec:
    if errors is None:
        errors = (_wrong_dtype(name),) if dtypes == FLOATS else ()
    return OpSpec(
        name=name,
        fn=bound(name),
        reference=reference,
        samples=unary(source, grad=order > 0),
        extreme=specials(values),
        errors=errors,
        dtypes=dtypes,
        grad_args=(0,) if order else (),
        order=order,
        scale=scale,
    )


_JUMPS = draw(-3.4, 3.4, avoid=[n / 2 for n in range(-7, 8)], gap=0.05)
# Of these, exp is infinite and half of it is not: in float32, in float64.
_LARGEST = (*EVERYTHING, 89.0, -89.0, 710.0, -710.0)
_REDUCED = (*EVERYTHING, 100.0, -355.0, 11.0, 12345.678)

UNARY = (
    _unary(
        "neg",
        lambda x: (0 - x) if x.dtype.kind != "f" else np.copysign(x, -_sign_of(x)),
        dtypes=NUMERIC,
        scale=EXACT,
    ),
    _unary("abs", np.abs, draw(avoid=[0.0]), dtypes=NUMERIC, scale=EXACT),
    _unary("sign", _sign, draw(avoid=[0.0]), dtypes=NUMERIC, scale=Scale("equal"), order=1),
    _unary("square", lambda x: x * x, dtypes=NUMERIC, scale=EXACT),
    _unary(
        "floor", lambda x: np.floor(x).astype(x.dtype), _JUMPS, dtypes=NUMERIC, scale=EXACT, order=1
    ),
    _unary(
        "ceil",
        lambda x: (-np.floor(-x)).astype(x.dtype) if x.dtype.kind == "f" else x,
        _JUMPS,
        dtypes=NUMERIC,
        scale=EXACT,
        order=1,
    ),
    _unary("trunc", _toward_zero, _JUMPS, dtypes=NUMERIC, scale=EXACT, order=1),
    _unary("round", _half_even, _JUMPS, dtypes=NUMERIC, scale=EXACT, order=1),
    _unary(
        "exp", np.exp, draw(-3.0, 3.0), values=(*EVERYTHING, 88.0, -87.5, -100.0, 700.0, -708.0)
    ),
    _unary("expm1", np.expm1, draw(-2.0, 2.0)),
    _unary("log", np.log, draw(0.2, 4.0)),
    _unary("log1p", np.log1p, draw(-0.7, 3.0)),
    _unary("log2", np.log2, draw(0.2, 4.0)),
    _unary("log10", np.log10, draw(0.2, 4.0)),
    _unary("sqrt", np.sqrt, draw(0.2, 4.0), scale=EXACT),
    _unary("sin", np.sin, draw(-7.0, 7.0), values=_REDUCED),
    _unary("cos", np.cos, draw(-7.0, 7.0), values=_REDUCED),
    _unary("tan", np.tan, draw(-1.2, 1.2), values=_REDUCED),
    _unary("asin", np.arcsin, draw(-0.8, 0.8)),
    _unary("acos", np.arccos, draw(-0.8, 0.8)),
    _unary("atan", np.arctan, draw(-3.0, 3.0)),
    _unary("sinh", np.sinh, draw(-2.0, 2.0), values=_LARGEST),
    _unary("cosh", np.cosh, draw(-2.0, 2.0), values=_LARGEST),
    _unary("tanh", np.tanh, draw(-2.0, 2.0), values=(*EVERYTHING, 9.1, -9.1, 20.0)),
    _unary("asinh", np.arcsinh, draw(-3.0, 3.0)),
    _unary("acosh", np.arccosh, draw(1.3, 4.0)),
    _unary("atanh", np.arctanh, draw(-0.7, 0.7)),
    _unary("erf", _each(math.erf), draw(-2.0, 2.0), values=(*EVERYTHING, 3.9, -3.9, 5.0)),
    _unary("isnan", lambda x: x != x, dtypes=ALL, scale=EXACT, order=0),
    _unary("isinf", lambda x: np.abs(x) == INF, dtypes=ALL, scale=EXACT, order=0),
    _unary("isfinite", lambda x: np.abs(x) < INF, dtypes=ALL, scale=EXACT, order=0),
    _unary("signbit", _signbit, dtypes=NUMERIC, scale=EXACT, order=0),
    _unary(
        "bitwise_invert",
        lambda x: ~x,
        dtypes=(*INTS, *BOOL),
        scale=EXACT,
        order=0,
        errors=(_wrong_dtype("bitwise_invert", "float32"),),
    ),
    _unary("stop_gradient", np.copy, dtypes=ALL, scale=EXACT, order=0),
)


def _sign_of(x: Array) -> Array:
    return np.where(np.signbit(x), -1.0, 1.0).astype(x.dtype)


def _shapes(name: str) -> ErrorCase:
    return bad((2, 3), (4,), error=ShapeError, says=(name, "(2, 3)", "(4,)"))


def _binary(
    name: str,
    reference: Reference,
    left: Draw | None = None,
    right: Draw | None = None,
    *,
    dtypes: tuple[str, ...] = FLOATS,
    scale: Scale = CLOSE,
    order: int = 2,
    grad_args: tuple[int, ...] = (0, 1),
    values: tuple[float, ...] = PAIRS,
    second: Callable[[Array], Array] = np.copy,
    errors: tuple[ErrorCase, ...] = (),
) -> OpSpec:
    return OpSpec(
        name=name,
        fn=bound(name),
        reference=reference,
        samples=binary(left, right, grad=order > 0),
        extreme=table(values, second),
        errors=(_shapes(name), *errors) if "float32" in dtypes else errors,
        dtypes=dtypes,
        grad_args=grad_args if order else (),
        order=order,
        scale=scale,
    )


def _apart(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Draw whole numbers and a half, which `distinct` on the other side never meets."""
    if dtype.kind != "f":
        return draw()(rng, shape, dtype)
    return (rng.integers(-3, 4, shape) + 0.5).astype(dtype)


_NONZERO = draw(0.6, 2.0)
_DIVIDEND = draw(4.1, 4.9)
_DIVISOR = draw(1.1, 1.3)

BINARY = (
    _binary("add", lambda x, y: x + y, dtypes=ALL, scale=EXACT),
    _binary("sub", lambda x, y: x - y, dtypes=NUMERIC, scale=EXACT),
    _binary("mul", lambda x, y: x * y, dtypes=ALL, scale=EXACT, values=(*PAIRS, 1e-310)),
    _binary(
        "div",
        lambda x, y: x / y,
        right=draw(-2.0, 2.0, avoid=[0.0], gap=0.5),
        scale=EXACT,
        values=(*PAIRS, 1e-310),
    ),
    _binary("pow", _power, draw(0.3, 3.0), draw(0.0, 3.0), dtypes=NUMERIC, second=_not_negative),
    _binary(
        "maximum",
        lambda x, y: np.where((x >= y) | (x != x), x, y),
        distinct(),
        _apart,
        dtypes=ALL,
        scale=Scale("equal"),
    ),
    _binary(
        "minimum",
        lambda x, y: np.where((x <= y) | (x != x), x, y),
        distinct(),
        _apart,
        dtypes=ALL,
        scale=Scale("equal"),
    ),
    _binary(
        "floor_divide", _floor_divide, _DIVIDEND, _DIVISOR, dtypes=NUMERIC, scale=EXACT, order=1
    ),
    _binary("remainder", _remainder, _DIVIDEND, _DIVISOR, dtypes=NUMERIC, scale=EXACT, order=1),
    _binary("atan2", np.arctan2, _NONZERO, _NONZERO),
    _binary("hypot", np.hypot, _NONZERO, _NONZERO),
    _binary("logaddexp", _log_add_exp, scale=Scale(of=_log_add_scale)),
    _binary("copysign", np.copysign, draw(avoid=[0.0]), draw(avoid=[0.0]), scale=EXACT, order=1),
    _binary("nextafter", np.nextafter, dtypes=FLOATS[:2], scale=EXACT, order=0),
    *(
        _binary(name, reference, draw(-2.0, 2.0), dtypes=ALL, scale=EXACT, order=0)
        for name, reference in (
            ("equal", lambda x, y: x == y),
            ("not_equal", lambda x, y: x != y),
            ("less", lambda x, y: x < y),
            ("less_equal", lambda x, y: x <= y),
            ("greater", lambda x, y: x > y),
            ("greater_equal", lambda x, y: x >= y),
        )
    ),
    *(
        _binary(
            name,
            reference,
            draw(-100, 100),
            dtypes=(*INTS, *BOOL),
            scale=EXACT,
            order=0,
            errors=(bad((3,), (3,), error=DTypeError, says=(name, "float32")),),
        )
        for name, reference in (
            ("bitwise_and", lambda x, y: x & y),
            ("bitwise_or", lambda x, y: x | y),
            ("bitwise_xor", lambda x, y: x ^ y),
        )
    ),
    _binary(
        "bitwise_left_shift",
        lambda x, y: x << y,
        draw(-100, 100),
        draw(0, 5),
        dtypes=INTS,
        second=_bits,
        scale=EXACT,
        order=0,
    ),
    _binary(
        "bitwise_right_shift",
        lambda x, y: x >> y,
        draw(-100, 100),
        draw(0, 5),
        dtypes=INTS,
        second=_bits,
        scale=EXACT,
        order=0,
    ),
)


def _where_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    values = draw()
    shapes: tuple[tuple[tuple[int, ...], ...], ...] = (
        *((x, x, y) for x, y in BINARY_SHAPES),
        ((4,), (3, 1), ()),
        ((2, 1, 1), (3,), (2, 3, 1)),
    )
    for condition, x, y in shapes:
        mask = rng.integers(0, 2, condition).astype(bool)
        yield Sample((mask, values(rng, x, dtype), values(rng, y, dtype)))
    mask = rng.integers(0, 2, 70_001).astype(bool)
    large = (mask, values(rng, (70_001,), dtype), values(rng, (), dtype))
    yield Sample(large, label="large", grad=False, layouts=False)


def _where_extreme(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for sample in specials(PAIRS)(rng, dtype):
        (x,) = sample.args
        mask = np.arange(x.size) % 2 == 0
        yield dataclasses.replace(sample, args=(mask, x, x[::-1].copy()))


def _where(mask: Array, x: Array, y: Array) -> Array:
    wide, first, second = np.broadcast_arrays(mask, x, y)
    out = second.copy()
    out[wide] = first[wide]
    return out


WHERE = OpSpec(
    name="where",
    fn=bound("where"),
    reference=_where,
    samples=_where_samples,
    extreme=_where_extreme,
    errors=(
        bad(np.ones(2, bool), (3,), (3,), error=ShapeError, says=("where", "(2,)", "(3,)")),
        bad((3,), (3,), (3,), error=DTypeError, says=("where", "float32")),
    ),
    dtypes=ALL,
    grad_args=(1, 2),
    scale=EXACT,
)


def _astype_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    x = draw(0.0, 100.0)(rng, (3, 4), dtype)
    for target in ALL:
        yield Sample(
            (x,), {"dtype": as_dtype(target)}, grad=target == "float64" and dtype == np.float64
        )
    yield Sample((x[:0],), {"dtype": as_dtype("float32")}, grad=False)
    yield Sample((x[0, 0],), {"dtype": as_dtype("float64")}, grad=False)


def _astype_extreme(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for sample in specials(EVERYTHING)(rng, dtype):
        # No integer is promised for NaN, nor for a number beyond those of the dtype.
        for target in (*FLOATS, *BOOL) if dtype.name in FLOATS else ALL:
            yield dataclasses.replace(sample, kwargs={"dtype": as_dtype(target)})


def _astype(x: Array, *, dtype: np.dtype[Any]) -> Array:
    with np.errstate(all="ignore"):
        return x.astype(dtype)


ASTYPE = OpSpec(
    name="astype",
    fn=bound("astype"),
    reference=_astype,
    samples=_astype_samples,
    extreme=_astype_extreme,
    dtypes=ALL,
    order=1,
    scale=EXACT,
)

ELEMENTWISE: tuple[OpSpec, ...] = (*UNARY, *BINARY, WHERE, ASTYPE)
