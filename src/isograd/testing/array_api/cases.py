"""The special cases of the standard's elementwise functions, as rows: arguments and the result."""

from __future__ import annotations

from math import inf, nan, pi

__all__ = ["ONE", "TWO"]

#: A function of one argument: pairs of argument and result.
ONE: dict[str, tuple[tuple[float, float], ...]] = {
    "abs": ((nan, nan), (-0.0, 0.0), (inf, inf), (-inf, inf)),
    "acos": ((nan, nan), (1.5, nan), (-1.5, nan), (1.0, 0.0)),
    "acosh": ((nan, nan), (0.5, nan), (1.0, 0.0), (inf, inf)),
    "asin": ((nan, nan), (1.5, nan), (-1.5, nan), (0.0, 0.0), (-0.0, -0.0)),
    "asinh": ((nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf)),
    "atan": ((nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, pi / 2), (-inf, -pi / 2)),
    "atanh": (
        *((nan, nan), (-1.5, nan), (1.5, nan), (-1.0, -inf), (1.0, inf)),
        *((0.0, 0.0), (-0.0, -0.0)),
    ),
    "ceil": ((nan, nan), (inf, inf), (-inf, -inf), (0.0, 0.0), (-0.0, -0.0), (-0.5, -0.0)),
    "cos": ((nan, nan), (0.0, 1.0), (-0.0, 1.0), (inf, nan), (-inf, nan)),
    "cosh": ((nan, nan), (0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, inf)),
    "exp": ((nan, nan), (0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, 0.0)),
    "expm1": ((nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -1.0)),
    "floor": ((nan, nan), (inf, inf), (-inf, -inf), (0.0, 0.0), (-0.0, -0.0), (0.5, 0.0)),
    "isfinite": ((nan, 0.0), (inf, 0.0), (-inf, 0.0), (1.0, 1.0)),
    "isinf": ((nan, 0.0), (inf, 1.0), (-inf, 1.0), (1.0, 0.0)),
    "isnan": ((nan, 1.0), (inf, 0.0), (0.0, 0.0)),
    "log": ((nan, nan), (-1.0, nan), (0.0, -inf), (-0.0, -inf), (1.0, 0.0), (inf, inf)),
    "log1p": ((nan, nan), (-2.0, nan), (-1.0, -inf), (-0.0, -0.0), (0.0, 0.0), (inf, inf)),
    "log2": ((nan, nan), (-1.0, nan), (0.0, -inf), (-0.0, -inf), (1.0, 0.0), (inf, inf)),
    "log10": ((nan, nan), (-1.0, nan), (0.0, -inf), (-0.0, -inf), (1.0, 0.0), (inf, inf)),
    "negative": ((nan, nan), (0.0, -0.0), (-0.0, 0.0), (inf, -inf)),
    "positive": ((nan, nan), (-0.0, -0.0), (-inf, -inf)),
    "reciprocal": ((nan, nan), (0.0, inf), (-0.0, -inf), (inf, 0.0), (-inf, -0.0)),
    "round": (
        *((nan, nan), (inf, inf), (-inf, -inf), (0.0, 0.0), (-0.0, -0.0)),
        *((0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, -0.0), (-1.5, -2.0)),
    ),
    "sign": ((nan, nan), (0.0, 0.0), (inf, 1.0), (-inf, -1.0), (1e-40, 1.0)),
    "signbit": ((0.0, 0.0), (-0.0, 1.0), (inf, 0.0), (-inf, 1.0)),
    "sin": ((nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, nan), (-inf, nan)),
    "sinh": ((nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf)),
    "sqrt": ((nan, nan), (-1.0, nan), (0.0, 0.0), (-0.0, -0.0), (inf, inf)),
    "square": ((nan, nan), (-0.0, 0.0), (-inf, inf)),
    "tan": ((nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, nan), (-inf, nan)),
    "tanh": ((nan, nan), (0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0)),
    "trunc": ((nan, nan), (inf, inf), (-inf, -inf), (-0.0, -0.0), (-0.5, -0.0), (0.5, 0.0)),
}

#: A function of two arguments: both, and the result.
TWO: dict[str, tuple[tuple[float, float, float], ...]] = {
    "add": (
        *((nan, 1.0, nan), (inf, -inf, nan), (inf, inf, inf), (inf, 1.0, inf), (1.0, -inf, -inf)),
        *((-0.0, -0.0, -0.0), (-0.0, 0.0, 0.0), (2.0, -2.0, 0.0)),
    ),
    "atan2": (
        *((nan, 1.0, nan), (1.0, 0.0, pi / 2), (1.0, -0.0, pi / 2), (0.0, 1.0, 0.0)),
        *((0.0, 0.0, 0.0), (0.0, -0.0, pi), (0.0, -1.0, pi), (-0.0, 1.0, -0.0)),
        *((-0.0, 0.0, -0.0), (-0.0, -0.0, -pi), (-0.0, -1.0, -pi), (-1.0, 0.0, -pi / 2)),
        *((-1.0, -0.0, -pi / 2), (1.0, inf, 0.0), (1.0, -inf, pi), (-1.0, inf, -0.0)),
        *((-1.0, -inf, -pi), (inf, 1.0, pi / 2), (-inf, 1.0, -pi / 2), (inf, inf, pi / 4)),
        *((inf, -inf, 3 * pi / 4), (-inf, inf, -pi / 4), (-inf, -inf, -3 * pi / 4)),
    ),
    "copysign": ((3.0, -0.0, -3.0), (-3.0, 0.0, 3.0), (nan, 1.0, nan), (0.0, -inf, -0.0)),
    "divide": (
        *((nan, 1.0, nan), (inf, -inf, nan), (0.0, -0.0, nan), (0.0, 2.0, 0.0)),
        *((-0.0, 2.0, -0.0), (2.0, 0.0, inf), (2.0, -0.0, -inf), (-2.0, 0.0, -inf)),
        *((inf, 2.0, inf), (inf, -2.0, -inf), (2.0, inf, 0.0), (2.0, -inf, -0.0)),
    ),
    "equal": ((nan, nan, 0.0), (inf, inf, 1.0), (-0.0, 0.0, 1.0), (inf, -inf, 0.0)),
    "floor_divide": (
        *((nan, 1.0, nan), (inf, inf, nan), (0.0, 0.0, nan), (2.0, 0.0, inf), (-2.0, 0.0, -inf)),
        *((0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (-7.0, 2.0, -4.0), (1.0, inf, 0.0)),
        *((-1.0, inf, -1.0), (1.0, -inf, -1.0)),
    ),
    "greater": ((nan, 1.0, 0.0), (inf, 1.0, 1.0), (0.0, -0.0, 0.0)),
    "greater_equal": ((nan, nan, 0.0), (inf, inf, 1.0), (-0.0, 0.0, 1.0)),
    "hypot": (
        (inf, nan, inf),
        (nan, -inf, inf),
        (nan, 1.0, nan),
        (-0.0, 3.0, 3.0),
        (0.0, -0.0, 0.0),
    ),
    "less": ((nan, 1.0, 0.0), (-inf, 1.0, 1.0), (-0.0, 0.0, 0.0)),
    "less_equal": ((nan, nan, 0.0), (-inf, -inf, 1.0), (0.0, -0.0, 1.0)),
    "logaddexp": ((nan, 1.0, nan), (inf, 1.0, inf), (inf, -inf, inf), (-inf, -inf, -inf)),
    "maximum": ((nan, 1.0, nan), (1.0, nan, nan), (inf, 1.0, inf), (-inf, inf, inf)),
    "minimum": ((nan, 1.0, nan), (1.0, nan, nan), (-inf, 1.0, -inf), (-inf, inf, -inf)),
    "multiply": (
        *((nan, 1.0, nan), (inf, 0.0, nan), (-0.0, inf, nan), (inf, -inf, -inf)),
        *((-0.0, 3.0, -0.0), (-0.0, -3.0, 0.0), (inf, -2.0, -inf)),
    ),
    "nextafter": ((nan, 1.0, nan), (1.0, nan, nan), (0.0, -0.0, -0.0), (-0.0, 0.0, 0.0)),
    "not_equal": ((nan, nan, 1.0), (-0.0, 0.0, 0.0), (inf, -inf, 1.0)),
    "pow": (
        *((2.0, inf, inf), (0.5, inf, 0.0), (2.0, -inf, 0.0), (0.5, -inf, inf), (-1.0, inf, 1.0)),
        *((1.0, nan, 1.0), (nan, 0.0, 1.0), (nan, -0.0, 1.0), (nan, 2.0, nan), (2.0, nan, nan)),
        *((inf, 2.0, inf), (inf, -2.0, 0.0), (-inf, 3.0, -inf), (-inf, 2.0, inf)),
        *((-inf, -3.0, -0.0), (-inf, -2.0, 0.0), (0.0, 2.0, 0.0), (0.0, -2.0, inf)),
        *((-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (-0.0, -3.0, -inf), (-0.0, -2.0, inf)),
        *((-2.0, 0.5, nan), (-2.0, 3.0, -8.0)),
    ),
    "remainder": (
        *((nan, 1.0, nan), (inf, 2.0, nan), (1.0, 0.0, nan), (0.0, 2.0, 0.0), (-0.0, 2.0, 0.0)),
        *((0.0, -2.0, -0.0), (-0.0, -2.0, -0.0), (1.5, inf, 1.5), (1.5, -inf, -inf)),
        *((-1.5, inf, inf), (-1.5, -inf, -1.5), (5.0, -3.0, -1.0)),
    ),
    "subtract": ((nan, 1.0, nan), (inf, inf, nan), (0.0, -0.0, 0.0), (-0.0, 0.0, -0.0)),
}
