"""Rows of special functions, and of elementwise ones in NumPy's and SciPy's names."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError
from isograd.testing.op_db.elementwise import EVERYTHING, PAIRS
from isograd.testing.op_db.generate import Draw, bad, bound, draw, specials, table, unary
from isograd.testing.op_db.public import case, row
from isograd.testing.op_db.spec import NUMERIC, OpSpec, Sample, Samples, Scale

__all__ = ["SPECIAL"]

Array = Any
INF, NAN = math.inf, math.nan


def _each(fn: Callable[..., float]) -> Callable[..., Array]:
    return np.vectorize(fn, otypes=[np.float64])


# -- references ------------------------------------------------------------------------------------


def _is_pole(x: float) -> bool:
    return -INF < x <= 0 and x == math.floor(x)


def _lgamma(x: float) -> float:
    return INF if _is_pole(x) else math.lgamma(x)


def _zeta(s: int, a: float) -> float:
    """Sum ``(a + k)**-s`` over 60 terms, and the rest by an integral with its first corrections."""
    end = a + 60.0
    rest = end ** (1 - s) / (s - 1), 0.5 * end**-s, s / 12.0 * end ** (-s - 1)
    third = s * (s + 1) * (s + 2) / 720.0 * end ** (-s - 3)
    fifth = s * (s + 1) * (s + 2) * (s + 3) * (s + 4) / 30240.0 * end ** (-s - 5)
    return math.fsum([*((a + k) ** -s for k in range(60)), *rest, -third, fifth])


def _digamma(x: float) -> float:
    if x == 0:
        return -math.copysign(INF, x)
    if math.isnan(x) or x == -INF or _is_pole(x):
        return NAN
    if x < 0:
        return _digamma(1.0 - x) - math.pi / math.tan(math.pi * (x - round(x)))
    if x > 1e15:
        return math.log(x)
    steps = max(0, 40 - int(x))
    y = x + steps
    far = math.log(y) - 0.5 / y - 1.0 / (12.0 * y**2) + 1.0 / (120.0 * y**4) - 1.0 / (252.0 * y**6)
    return math.fsum([far, *(-1.0 / (x + k) for k in range(steps))])


def _cotangent(n: int, u: float) -> float:
    """Return the n-th derivative of cot."""
    c = 1.0 / math.tan(u)
    s = 1.0 + c * c
    return {1: -s, 2: 2.0 * c * s, 3: -2.0 * s * (1.0 + 3.0 * c * c)}[n]


def _polygamma(x: float, *, n: int) -> float:
    sign = 1.0 if n % 2 else -1.0
    if math.isnan(x) or x == -INF:
        return NAN
    if x == INF:
        return math.copysign(0.0, sign)
    if x == 0:
        return INF if n % 2 else -math.copysign(INF, x)
    if _is_pole(x):
        return INF if n % 2 else NAN
    try:
        if x < 0:
            reflected = math.pi ** (n + 1) * _cotangent(n, math.pi * (x - round(x)))
            return -reflected - sign * _polygamma(1.0 - x, n=n)
        return sign * math.factorial(n) * _zeta(n + 1, x)
    except OverflowError:
        return INF if n % 2 else -math.copysign(INF, x)


def _erfinv(x: float) -> float:
    """Solve ``erf(y) = x`` by Newton's method, near the ends for the complement."""
    size = abs(x)
    if size >= 1 or math.isnan(x):
        return math.copysign(INF, x) if size == 1 else NAN
    if size < 1e-8:
        return x * math.sqrt(math.pi) / 2.0
    y = math.sqrt(-math.log1p(-size)) if size > 0.5 else size
    for _ in range(60):
        wrong = math.erfc(y) - (1.0 - size) if size > 0.5 else size - math.erf(y)
        y += wrong * math.sqrt(math.pi) / 2.0 * math.exp(y * y)
    return math.copysign(y, x)


def _xlogy(x: float, y: float) -> float:
    if math.isnan(x) or math.isnan(y):
        return NAN
    if x == 0:
        return 0.0
    return float(np.float64(x) * np.log(np.float64(y)))


def _xlog1py(x: float, y: float) -> float:
    if math.isnan(x) or math.isnan(y):
        return NAN
    if x == 0:
        return 0.0
    return float(np.float64(x) * np.log1p(np.float64(y)))


def _sinc(x: float) -> float:
    if x == 0:
        return 1.0
    if not math.isfinite(x):
        return NAN
    near = math.fmod(x, 2.0)
    turns = round(near)
    sine = math.sin(math.pi * (near - turns)) * (-1.0 if turns % 2 else 1.0)
    return sine / (math.pi * x) if abs(x) > 1e-8 else 1.0


# -- primitives ------------------------------------------------------------------------------------

#: Away from the poles.
_AWAY = draw(-2.6, 4.0, avoid=[0.0, -1.0, -2.0], gap=0.3)


def _sloping(fn: Callable[..., float], slope: Callable[..., float]) -> Scale:
    """Return the scale of a function with roots between its poles: what rounding x does to it."""

    def scale(x: Array, **static: Any) -> Array:
        moved = np.abs(x * _each(slope)(x, **static))
        return np.maximum(np.abs(_each(fn)(x, **static)), 1.0) + moved

    return Scale(of=scale)


def _trigamma(x: float) -> float:
    return _polygamma(x, n=1)


def _next_polygamma(x: float, *, n: int) -> float:
    return _polygamma(x, n=n + 1)


def _primitive(
    name: str,
    reference: Callable[..., float],
    source: Draw,
    values: tuple[float, ...] = EVERYTHING,
    scale: Scale = Scale(),  # noqa: B008 - frozen
) -> OpSpec:
    return OpSpec(
        name=name,
        fn=bound(name),
        reference=_each(reference),
        samples=unary(source, large=5001),
        extreme=specials(values),
        errors=(bad(np.ones(3, "int64"), error=DTypeError, says=(name, "int64")),),
        scale=scale,
    )


def _orders(samples: Samples) -> Samples:
    """Give each sample an order, and the small ones several."""

    def with_orders(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for sample in samples(rng, dtype):
            for n in (1, 2) if np.size(sample.args[0]) < 100 else (1,):
                yield dataclasses.replace(sample, kwargs={"n": n})

    return with_orders


_ROOTS = (*EVERYTHING, 1.4616321, 2.0, 3.0, 9.99, 10.0, -0.25, -2.457, 171.6)

PRIMITIVES = (
    _primitive(
        "erfc", math.erfc, draw(-2.0, 2.0), (*EVERYTHING, 3.9, -3.9, 5.0, 9.3, 26.5, 0.46875)
    ),
    _primitive("erfinv", _erfinv, draw(-0.9, 0.9), (*EVERYTHING, 0.85, 0.999, -0.9999, 0.3)),
    _primitive("lgamma", _lgamma, _AWAY, _ROOTS, _sloping(_lgamma, _digamma)),
    _primitive("digamma", _digamma, _AWAY, _ROOTS, _sloping(_digamma, _trigamma)),
    dataclasses.replace(
        _primitive("polygamma", _polygamma, _AWAY, _ROOTS),
        samples=_orders(unary(_AWAY, large=5001)),
        extreme=_orders(specials(_ROOTS)),
        errors=(bad(np.ones(3, "int64"), n=1, error=DTypeError, says=("polygamma", "int64")),),
        scale=_sloping(_polygamma, _next_polygamma),
    ),
)

# -- composites ------------------------------------------------------------------------------------


def _pairs(spec: OpSpec) -> OpSpec:
    """Add every pair of special values."""
    return dataclasses.replace(spec, extreme=table(PAIRS))


_SHAPES = (case((3, 4), (4,)), case((), (5,)), case((2, 1), (0, 2, 3)), case((45, 47), (47,)))

COMPOSITES = (
    _pairs(
        row(
            "xlogy",
            _each(_xlogy),
            *_SHAPES,
            source=draw(0.3, 3.0),
            grad_args=(0, 1),
            scale=Scale(),
        )
    ),
    _pairs(
        row(
            "xlog1py",
            _each(_xlog1py),
            *_SHAPES,
            source=draw(-0.6, 3.0),
            grad_args=(0, 1),
            scale=Scale(),
        )
    ),
    _pairs(
        row(
            "logaddexp2",
            np.logaddexp2,
            *_SHAPES,
            grad_args=(0, 1),
            scale=Scale(
                of=lambda x, y: np.maximum(
                    np.maximum(np.abs(x), np.abs(y)), np.abs(np.logaddexp2(x, y))
                )
            ),
        )
    ),
    dataclasses.replace(
        row(
            "sinc",
            _each(_sinc),
            case((3, 4)),
            case(()),
            case((2, 0)),
            case((45, 47)),
            source=draw(-2.0, 2.0),
            scale=Scale(of=lambda x: np.minimum(1.0, 1.0 / np.maximum(np.abs(x), 1.0))),
        ),
        extreme=specials((0.0, -0.0, 1e-8, 0.5, -0.5, 1.0, 2.0, -3.0, 7.25, INF, -INF, NAN)),
    ),
    dataclasses.replace(
        row("exp2", np.exp2, case((3, 4)), case(()), case((2, 0)), scale=Scale()),
        extreme=specials((*EVERYTHING, 127.5, -149.0, 10.0, -1074.0)),
    ),
    row("deg2rad", np.deg2rad, case((3, 4)), case(()), source=draw(-400, 400), scale=Scale()),
    row("rad2deg", np.rad2deg, case((3, 4)), case(()), scale=Scale()),
    dataclasses.replace(
        row(
            "nan_to_num",
            np.nan_to_num,
            case((3, 4)),
            case((2, 0), nan=2.0),
            dtypes=NUMERIC,
        ),
        extreme=lambda rng, dtype: (
            dataclasses.replace(sample, kwargs=static)
            for sample in specials(EVERYTHING)(rng, dtype)
            for static in (
                {"posinf": 8.0, "neginf": -4.0},
                {"nan": 2.0, "posinf": 1.0, "neginf": 0.0},
            )
        ),
    ),
)

SPECIAL: tuple[OpSpec, ...] = (*PRIMITIVES, *COMPOSITES)
