"""Elementwise functions of several arguments, in the array API's names.

Shapes broadcast, dtypes combine as `result_type` says.

Python numbers take the dtype of the tensor beside them. Functions of real numbers convert integers
to the default float. What each primitive's derivative is, `isograd.ops.derivatives` says, a line
each.
"""

from __future__ import annotations

from typing import Any, overload

from isograd.core import dtypes
from isograd.core.devices import Device
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, binary, cast, constant, operands
from isograd.ops.creation import to
from isograd.ops.infer import require
from isograd.ops.math import bitwise_invert, isnan, sqrt
from isograd.runtime.bind import bind
from isograd.runtime.library import library
from isograd.runtime.registry import resolve_device
from isograd.runtime.tensor import Tensor

__all__ = [
    "add",
    "arctan2",
    "astype",
    "atan2",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "clip",
    "copysign",
    "divide",
    "equal",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "less",
    "less_equal",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "reciprocal",
    "remainder",
    "rsqrt",
    "subtract",
    "where",
]


def _float_binary(prim: Any, x1: TensorLike, x2: TensorLike) -> Tensor:
    a, b = operands(prim.public, x1, x2)
    if a.aval.dtype.kind not in "fVc":
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


def astype(
    x: TensorLike, dtype: Any, /, *, copy: bool = True, device: str | Device | None = None
) -> Tensor:
    """Return x converted to ``dtype``, and on ``device`` where one is given.

    Tensors are immutable, so ``copy`` never matters.

    >>> astype(tensor([1.9, -1.9]), "int64").tolist()
    [1, -1]
    """
    out = cast(as_tensor("astype", x), dtypes.as_dtype(dtype))
    return out if device is None else to(out, resolve_device(device))


@overload
def where(condition: TensorLike, /) -> tuple[Tensor, ...]: ...
@overload
def where(condition: TensorLike, x1: TensorLike, x2: TensorLike, /) -> Tensor: ...
def where(condition: TensorLike, x1: Any = None, x2: Any = None, /) -> Any:
    """Return x1 where the condition holds, else x2; of a condition alone, its `nonzero`.

    The derivative of the branch that was not chosen is 0 times its slope: NaN if that is infinite,
    unless under `nan_safe` (edge policy P5).

    >>> where(tensor([True, False]), 1.0, 0.0).tolist()
    [1.0, 0.0]
    """
    if x1 is None and x2 is None:
        return library.nonzero(condition)
    given = condition.device if isinstance(condition, Tensor) else None
    a, b = operands("where", x1, x2, given)
    chosen = as_tensor("where", condition, a.device)
    return bind(p.where, cast(chosen, dtypes.bool), a, b)


def clip(x: TensorLike, /, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """Return x limited to a closed interval; inside and at the bounds the slope is 1.

    Parameters
    ----------
    min, max
        Numbers, or tensors that broadcast with x; None leaves that side open. The dtype is that of
        x, but integers with bounds of floats give the default float. A bound that is NaN gives NaN,
        and where the bounds have crossed the upper one wins.

    >>> clip(tensor([-1.0, 0.5, 2.0]), 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    out = as_tensor("clip", x)
    require("clip", out.aval, "any")
    bounds = [bound for bound in (min, max) if bound is not None]
    if not dtypes.is_floating(out.dtype) and any(_is_float(bound) for bound in bounds):
        out = cast(out, dtypes.default_float())
    if min is not None:
        low = _bound(min, out)
        out = where(_or_nan(less(out, low), min, low), low, out)
    if max is not None:
        high = _bound(max, out)
        out = where(_or_nan(greater(out, high), max, high), high, out)
    return out


def _is_float(bound: Any) -> bool:
    dtype = getattr(bound, "dtype", None)
    return isinstance(bound, float) if dtype is None else dtypes.is_floating(dtype)


def _bound(value: TensorLike, x: Tensor) -> Tensor:
    if isinstance(value, bool | int | float):
        return constant(value, x.dtype, x.device)
    return cast(as_tensor("clip", value, x.device), x.dtype)


def _or_nan(beyond: Tensor, given: Any, bound: Tensor) -> Tensor:
    """Let NaN in a bound count as beyond it."""
    if not dtypes.is_floating(bound.dtype) or (isinstance(given, int | float) and given == given):
        return beyond
    return bitwise_or(beyond, isnan(bound))


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


arctan2 = atan2
