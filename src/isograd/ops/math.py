"""Elementwise functions of one argument, in the array API's names.

Shapes broadcast, dtypes combine as `result_type` says.

Python numbers take the dtype of the tensor beside them. Functions of real numbers convert integers
to the default float. What each primitive's derivative is, `isograd.ops.derivatives` says, a line
each.
"""

from __future__ import annotations

from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, float_unary, unary
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "abs",
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "bitwise_invert",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "exp",
    "expm1",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "log2",
    "log10",
    "negative",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "stop_gradient",
    "tan",
    "tanh",
    "trunc",
]


def negative(x: TensorLike, /) -> Tensor:
    """Return -x.

    >>> negative(tensor([1.0, -2.0])).tolist()
    [-1.0, 2.0]
    """
    return unary(p.neg, x)


def abs(x: TensorLike, /) -> Tensor:
    """Return the absolute value; its derivative at 0 is 0.

    >>> abs(tensor([-1.5, 2.0])).tolist()
    [1.5, 2.0]
    """
    t = as_tensor("abs", x)
    if t.aval.dtype.kind == "c":
        from isograd.ops.complexes import magnitude

        return magnitude(t)
    return bind(p.abs, t)


def sign(x: TensorLike, /) -> Tensor:
    """Return -1, 0 or 1; NaN stays NaN. Complex numbers are divided by their absolute value.

    >>> sign(tensor([-3.0, 0.0, 5.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    t = as_tensor("sign", x)
    if t.aval.dtype.kind == "c":
        from isograd.ops.complexes import direction

        return direction(t)
    return bind(p.sign, t)


def square(x: TensorLike, /) -> Tensor:
    """Return x * x.

    >>> square(tensor([3.0, -2.0])).tolist()
    [9.0, 4.0]
    """
    return unary(p.square, x)


def floor(x: TensorLike, /) -> Tensor:
    """Return the largest integer not above x.

    >>> floor(tensor([1.7, -1.2])).tolist()
    [1.0, -2.0]
    """
    return unary(p.floor, x)


def ceil(x: TensorLike, /) -> Tensor:
    """Return the smallest integer not below x.

    >>> ceil(tensor([1.2, -1.7])).tolist()
    [2.0, -1.0]
    """
    return unary(p.ceil, x)


def trunc(x: TensorLike, /) -> Tensor:
    """Return x without its fraction.

    >>> trunc(tensor([1.7, -1.7])).tolist()
    [1.0, -1.0]
    """
    return unary(p.trunc, x)


def round(x: TensorLike, /) -> Tensor:
    """Return the nearest integer, halves to the even one.

    >>> round(tensor([0.5, 1.5])).tolist()
    [0.0, 2.0]
    """
    return unary(p.round, x)


def exp(x: TensorLike, /) -> Tensor:
    """Return e to the power x.

    >>> exp(tensor([0.0])).tolist()
    [1.0]
    """
    return float_unary(p.exp, x)


def expm1(x: TensorLike, /) -> Tensor:
    """Return exp(x) - 1, accurate near 0.

    >>> expm1(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.expm1, x)


def log(x: TensorLike, /) -> Tensor:
    """Return the natural logarithm.

    >>> log(tensor([1.0])).tolist()
    [0.0]
    """
    return float_unary(p.log, x)


def log1p(x: TensorLike, /) -> Tensor:
    """Return log(1 + x), accurate near 0.

    >>> log1p(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.log1p, x)


def log2(x: TensorLike, /) -> Tensor:
    """Return the logarithm to base 2.

    >>> log2(tensor([8.0])).tolist()
    [3.0]
    """
    return float_unary(p.log2, x)


def log10(x: TensorLike, /) -> Tensor:
    """Return the logarithm to base 10.

    >>> f"{log10(tensor(100.0)):.3f}"
    '2.000'
    """
    return float_unary(p.log10, x)


def sqrt(x: TensorLike, /) -> Tensor:
    """Return the square root; its derivative at 0 is +inf.

    >>> sqrt(tensor([9.0])).tolist()
    [3.0]
    """
    return float_unary(p.sqrt, x)


def sin(x: TensorLike, /) -> Tensor:
    """Return the sine of x in radians.

    >>> sin(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.sin, x)


def cos(x: TensorLike, /) -> Tensor:
    """Return the cosine of x in radians.

    >>> cos(tensor([0.0])).tolist()
    [1.0]
    """
    return float_unary(p.cos, x)


def tan(x: TensorLike, /) -> Tensor:
    """Return the tangent of x in radians.

    >>> tan(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.tan, x)


def asin(x: TensorLike, /) -> Tensor:
    """Return the inverse sine, in radians.

    >>> asin(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.asin, x)


def acos(x: TensorLike, /) -> Tensor:
    """Return the inverse cosine, in radians; its derivative at 1 is -inf.

    >>> acos(tensor([1.0])).tolist()
    [0.0]
    """
    return float_unary(p.acos, x)


def atan(x: TensorLike, /) -> Tensor:
    """Return the inverse tangent, in radians.

    >>> atan(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.atan, x)


def sinh(x: TensorLike, /) -> Tensor:
    """Return the hyperbolic sine.

    >>> sinh(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.sinh, x)


def cosh(x: TensorLike, /) -> Tensor:
    """Return the hyperbolic cosine.

    >>> cosh(tensor([0.0])).tolist()
    [1.0]
    """
    return float_unary(p.cosh, x)


def tanh(x: TensorLike, /) -> Tensor:
    """Return the hyperbolic tangent.

    >>> tanh(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.tanh, x)


def asinh(x: TensorLike, /) -> Tensor:
    """Return the inverse hyperbolic sine.

    >>> asinh(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.asinh, x)


def acosh(x: TensorLike, /) -> Tensor:
    """Return the inverse hyperbolic cosine.

    >>> acosh(tensor([1.0])).tolist()
    [0.0]
    """
    return float_unary(p.acosh, x)


def atanh(x: TensorLike, /) -> Tensor:
    """Return the inverse hyperbolic tangent.

    >>> atanh(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.atanh, x)


def erf(x: TensorLike, /) -> Tensor:
    """Return the error function (DLMF 7.2.1).

    >>> erf(tensor([0.0])).tolist()
    [0.0]
    """
    return float_unary(p.erf, x)


def isnan(x: TensorLike, /) -> Tensor:
    """Return whether x is NaN.

    >>> isnan(tensor([float('nan'), 1.0])).tolist()
    [True, False]
    """
    return unary(p.isnan, x)


def isinf(x: TensorLike, /) -> Tensor:
    """Return whether x is infinite.

    >>> isinf(tensor([float('inf'), 1.0])).tolist()
    [True, False]
    """
    return unary(p.isinf, x)


def isfinite(x: TensorLike, /) -> Tensor:
    """Return whether x is neither infinite nor NaN.

    >>> isfinite(tensor([float('inf'), 1.0])).tolist()
    [False, True]
    """
    return unary(p.isfinite, x)


def signbit(x: TensorLike, /) -> Tensor:
    """Return whether the sign bit is set, as in -0.0.

    >>> signbit(tensor([-0.0, 0.0])).tolist()
    [True, False]
    """
    return unary(p.signbit, x)


def bitwise_invert(x: TensorLike, /) -> Tensor:
    """Return every bit inverted; not, for bool.

    >>> bitwise_invert(tensor([True, False])).tolist()
    [False, True]
    """
    return unary(p.bitwise_invert, x)


def stop_gradient(x: TensorLike, /) -> Tensor:
    """Return x, through which no derivative passes.

    >>> stop_gradient(tensor([1.0])).tolist()
    [1.0]
    """
    return unary(p.stop_gradient, x)


arccos, arccosh, arcsin, arcsinh = acos, acosh, asin, asinh
arctan, arctanh = atan, atanh
