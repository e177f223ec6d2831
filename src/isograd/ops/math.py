"""Elementwise functions in the array API's names.

Shapes broadcast, dtypes combine as `result_type` says.

Python numbers take the dtype of the tensor beside them. Functions of real numbers convert integers
to the default float. What each primitive's derivative is, `isograd.ops.derivatives` says, a line
each.
"""

from __future__ import annotations

from typing import Any

from isograd.core import dtypes
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, binary, cast, float_unary, operands, unary
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "tan",
    "tanh",
    "trunc",
    "where",
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
    return unary(p.abs, x)


def sign(x: TensorLike, /) -> Tensor:
    """Return -1, 0 or 1; NaN stays NaN.

    >>> sign(tensor([-3.0, 0.0, 5.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return unary(p.sign, x)


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

    >>> log10(tensor([100.0])).tolist()
    [2.0]
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


def _float_binary(prim: Any, x1: TensorLike, x2: TensorLike) -> Tensor:
    a, b = operands(prim.public, x1, x2)
    if a.aval.dtype.kind not in "fV":
        a, b = cast(a, dtypes.default_float()), cast(b, dtypes.default_float())
    return bind(prim, a, b)


def add(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 + x2.

    >>> add(tensor([1.0, 2.0]), 1).tolist()
    [2.0, 3.0]
    """
    return binary(p.add, x1, x2)


def subtract(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 - x2.

    >>> subtract(tensor([1.0, 2.0]), 1).tolist()
    [0.0, 1.0]
    """
    return binary(p.sub, x1, x2)


def multiply(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 * x2.

    >>> multiply(tensor([1.0, 2.0]), 3).tolist()
    [3.0, 6.0]
    """
    return binary(p.mul, x1, x2)


def divide(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 / x2; integers give floats.

    >>> divide(tensor([1.0, 3.0]), 2).tolist()
    [0.5, 1.5]
    """
    return _float_binary(p.div, x1, x2)


def pow(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 to the power x2; 0**0 is 1.

    >>> pow(tensor([2.0, 3.0]), 2).tolist()
    [4.0, 9.0]
    """
    return binary(p.pow, x1, x2)


def maximum(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the larger; NaN wins, and ties share the derivative evenly.

    >>> maximum(tensor([1.0, 5.0]), 3).tolist()
    [3.0, 5.0]
    """
    return binary(p.maximum, x1, x2)


def minimum(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the smaller; NaN wins, and ties share the derivative evenly.

    >>> minimum(tensor([1.0, 5.0]), 3).tolist()
    [1.0, 3.0]
    """
    return binary(p.minimum, x1, x2)


def floor_divide(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the floor of x1 / x2.

    >>> floor_divide(tensor([7, -7]), 2).tolist()
    [3, -4]
    """
    return binary(p.floor_divide, x1, x2)


def remainder(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 - floor(x1 / x2) * x2, with the sign of x2.

    >>> remainder(tensor([7, -7]), 2).tolist()
    [1, 1]
    """
    return binary(p.remainder, x1, x2)


def atan2(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the angle of the point (x2, x1), in radians.

    >>> atan2(tensor([0.0]), 1.0).tolist()
    [0.0]
    """
    return _float_binary(p.atan2, x1, x2)


def hypot(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return sqrt(x1**2 + x2**2) without overflow; its derivative at (0, 0) is 0.

    >>> hypot(tensor([3.0]), 4.0).tolist()
    [5.0]
    """
    return _float_binary(p.hypot, x1, x2)


def logaddexp(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return log(exp(x1) + exp(x2)) without overflow.

    >>> logaddexp(tensor([1000.0]), -1000.0).tolist()
    [1000.0]
    """
    return _float_binary(p.logaddexp, x1, x2)


def copysign(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 with the sign of x2.

    >>> copysign(tensor([3.0]), -0.0).tolist()
    [-3.0]
    """
    return _float_binary(p.copysign, x1, x2)


def nextafter(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the next number after x1 towards x2.

    >>> nextafter(tensor([0.0], dtype='float64'), 1.0).tolist()
    [5e-324]
    """
    return _float_binary(p.nextafter, x1, x2)


def equal(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return whether x1 == x2.

    >>> equal(tensor([1.0, 2.0]), 2).tolist()
    [False, True]
    """
    return binary(p.equal, x1, x2)


def not_equal(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return whether x1 != x2.

    >>> not_equal(tensor([1.0, 2.0]), 2).tolist()
    [True, False]
    """
    return binary(p.not_equal, x1, x2)


def less(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return whether x1 < x2.

    >>> less(tensor([1.0, 2.0]), 2).tolist()
    [True, False]
    """
    return binary(p.less, x1, x2)


def less_equal(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return whether x1 <= x2.

    >>> less_equal(tensor([1.0, 2.0]), 2).tolist()
    [True, True]
    """
    return binary(p.less_equal, x1, x2)


def greater(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return whether x1 > x2.

    >>> greater(tensor([1.0, 2.0]), 1).tolist()
    [False, True]
    """
    return binary(p.greater, x1, x2)


def greater_equal(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return whether x1 >= x2.

    >>> greater_equal(tensor([1.0, 2.0]), 1).tolist()
    [True, True]
    """
    return binary(p.greater_equal, x1, x2)


def bitwise_and(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 & x2.

    >>> bitwise_and(tensor([6, 3]), 2).tolist()
    [2, 2]
    """
    return binary(p.bitwise_and, x1, x2)


def bitwise_or(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 | x2.

    >>> bitwise_or(tensor([4, 1]), 2).tolist()
    [6, 3]
    """
    return binary(p.bitwise_or, x1, x2)


def bitwise_xor(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 ^ x2.

    >>> bitwise_xor(tensor([6, 3]), 2).tolist()
    [4, 1]
    """
    return binary(p.bitwise_xor, x1, x2)


def bitwise_left_shift(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 * 2**x2.

    >>> bitwise_left_shift(tensor([1, 2]), 3).tolist()
    [8, 16]
    """
    return binary(p.bitwise_left_shift, x1, x2)


def bitwise_right_shift(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the floor of x1 / 2**x2.

    >>> bitwise_right_shift(tensor([8, 16]), 3).tolist()
    [1, 2]
    """
    return binary(p.bitwise_right_shift, x1, x2)


def positive(x: TensorLike, /) -> Tensor:
    """Return x itself.

    >>> positive(tensor([1.0])).tolist()
    [1.0]
    """
    return as_tensor("positive", x)


def reciprocal(x: TensorLike, /) -> Tensor:
    """Return 1 / x.

    >>> reciprocal(tensor([4.0])).tolist()
    [0.25]
    """
    return divide(1.0, x)


def rsqrt(x: TensorLike, /) -> Tensor:
    """Return 1 / sqrt(x).

    >>> rsqrt(tensor([4.0])).tolist()
    [0.5]
    """
    return divide(1.0, sqrt(x))


def astype(x: TensorLike, dtype: Any, /, *, copy: bool = True) -> Tensor:
    """Return x converted to ``dtype``. Tensors are immutable, so ``copy`` never matters.

    >>> astype(tensor([1.9, -1.9]), "int64").tolist()
    [1, -1]
    """
    return cast(as_tensor("astype", x), dtypes.as_dtype(dtype))


def where(condition: TensorLike, x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return x1 where the condition holds, else x2.

    The derivative of the branch that was not chosen is 0 times its slope: NaN if that is infinite,
    unless under `nan_safe` (edge policy P5).

    >>> where(tensor([True, False]), 1.0, 0.0).tolist()
    [1.0, 0.0]
    """
    a, b = operands("where", x1, x2)
    chosen = as_tensor("where", condition, a.device)
    return bind(p.where, cast(chosen, dtypes.bool), a, b)


def clip(x: TensorLike, /, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """Return x limited to a closed interval; inside and at the bounds the slope is 1.

    >>> clip(tensor([-1.0, 0.5, 2.0]), 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    out = as_tensor("clip", x)
    dtype = out.dtype
    if min is not None:
        low = cast(as_tensor("clip", min, out.device), dtype)
        out = where(less(out, low), low, out)
    if max is not None:
        high = cast(as_tensor("clip", max, out.device), dtype)
        out = where(greater(out, high), high, out)
    return out


def logical_not(x: TensorLike, /) -> Tensor:
    """Return whether x is zero.

    >>> logical_not(tensor([0.0, 2.0])).tolist()
    [True, False]
    """
    return bitwise_invert(_truth(x))


def logical_and(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return whether both are nonzero.

    >>> logical_and(tensor([0, 2]), tensor([1, 1])).tolist()
    [False, True]
    """
    return bitwise_and(_truth(x1), _truth(x2))


def logical_or(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return whether at least one is nonzero.

    >>> logical_or(tensor([0, 2]), tensor([0, 1])).tolist()
    [False, True]
    """
    return bitwise_or(_truth(x1), _truth(x2))


def logical_xor(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return whether exactly one is nonzero.

    >>> logical_xor(tensor([0, 2]), tensor([1, 1])).tolist()
    [True, False]
    """
    return bitwise_xor(_truth(x1), _truth(x2))


def _truth(x: TensorLike) -> Tensor:
    return cast(as_tensor("logical", x), dtypes.bool)


arccos, arccosh, arcsin, arcsinh = acos, acosh, asin, asinh
arctan, arctanh, arctan2 = atan, atanh, atan2
