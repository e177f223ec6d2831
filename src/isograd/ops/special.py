"""Special functions, and elementwise ones in NumPy's and SciPy's names beyond the array API.

Each is accurate to a few units in the last place: `isograd.backend.erf` and `isograd.backend.gamma`
name the approximations, and say what was measured.
"""

from __future__ import annotations

from math import inf, log, pi
from typing import Any

from isograd.core import dtypes
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops.complexes import complex
from isograd.ops.convert import TensorLike, as_tensor, cast, float_unary, operands
from isograd.ops.infer import require
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "deg2rad",
    "digamma",
    "erfc",
    "erfinv",
    "exp2",
    "lgamma",
    "logaddexp2",
    "nan_to_num",
    "polygamma",
    "rad2deg",
    "sinc",
    "xlog1py",
    "xlogy",
]


def erfc(x: TensorLike, /) -> Tensor:
    """Return ``1 - erf(x)``, accurate also where that is tiny (DLMF 7.2.2).

    >>> erfc(tensor([0.0])).tolist()
    [1.0]
    """
    return float_unary(p.erfc, x)


def erfinv(x: TensorLike, /) -> Tensor:
    """Return the number whose error function is x: infinite at -1 and 1, NaN beyond.

    >>> erfinv(tensor([0.0, 1.0])).tolist()
    [0.0, inf]
    """
    return float_unary(p.erfinv, x)


def lgamma(x: TensorLike, /) -> Tensor:
    """Return the logarithm of ``|gamma(x)|`` (DLMF 5.2.1); infinite at 0, -1, -2...

    >>> lgamma(tensor([1.0, 2.0, 0.0])).tolist()
    [0.0, 0.0, inf]
    """
    return float_unary(p.lgamma, x)


def digamma(x: TensorLike, /) -> Tensor:
    """Return the derivative of `lgamma` (DLMF 5.2.2).

    Its poles are 0, where the sign of zero decides between -inf and inf, and -1, -2..., where it is
    NaN.

    >>> f"{digamma(tensor(1.0)):.4f}"
    '-0.5772'
    """
    return float_unary(p.digamma, x)


def polygamma(n: int, x: TensorLike, /) -> Tensor:
    """Return the n-th derivative of `digamma` (DLMF 5.15); `digamma` itself for 0.

    >>> f"{polygamma(1, tensor(1.0)):.4f}"
    '1.6449'
    """
    if not isinstance(n, int) or n < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"polygamma: n is {n!r}; pass an integer of at least 0")
    return digamma(x) if n == 0 else bind(p.polygamma, _floating("polygamma", x), n=n)


def _floating(function: str, x: TensorLike) -> Tensor:
    t = as_tensor(function, x)
    require(function, t.aval, "any")
    return t if dtypes.is_floating(t.dtype) else cast(t, dtypes.default_float())


def _floats(function: str, x: TensorLike, y: TensorLike) -> tuple[Tensor, Tensor]:
    a, b = operands(function, x, y)
    return _floating(function, a), _floating(function, b)


def xlogy(x: TensorLike, y: TensorLike, /) -> Tensor:
    """Return ``x * log(y)``, and 0 where x is 0 and y is no NaN.

    The derivatives are 0 where that rule decides: at x of 0 with y of 0, negative or infinite.

    >>> xlogy(tensor([0.0, 2.0]), tensor([0.0, 1.0])).tolist()
    [0.0, 0.0]
    """
    a, b = _floats("xlogy", x, y)
    inside = m.logical_and(m.greater(b, 0.0), m.less(b, inf))
    return _times(a, b, inside, 1.0, m.log)


def xlog1py(x: TensorLike, y: TensorLike, /) -> Tensor:
    """Return ``x * log1p(y)``, and 0 where x is 0 and y is no NaN.

    The derivatives are 0 where that rule decides: at x of 0 with y of -1, less or infinite.

    >>> xlog1py(tensor([0.0, 2.0]), tensor([-1.0, 0.0])).tolist()
    [0.0, 0.0]
    """
    a, b = _floats("xlog1py", x, y)
    inside = m.logical_and(m.greater(b, -1.0), m.less(b, inf))
    return _times(a, b, inside, 0.0, m.log1p)


def _times(x: Tensor, y: Tensor, inside: Tensor, quiet: float, logarithm: Any) -> Tensor:
    """Return x times the logarithm of y, of a quiet number where x is 0 and y not inside."""
    decided = m.logical_and(m.equal(x, 0.0), m.logical_not(m.logical_or(inside, m.isnan(y))))
    # Adding 0 makes 0 of the -0 that 0 has with a negative logarithm.
    return m.add(m.multiply(x, logarithm(m.where(decided, quiet, y))), 0.0)


#: (-1)**k / (2k + 1)!: sin(u) / u in u**2, to all digits for |u| <= pi/2.
_SINE = (
    1.0,
    -0.16666666666666666,
    0.008333333333333333,
    -0.0001984126984126984,
    2.7557319223985893e-06,
    -2.505210838544172e-08,
    1.6059043836821613e-10,
    -7.647163731819816e-13,
    2.8114572543455206e-15,
    -8.22063524662433e-18,
    1.9572941063391263e-20,
)


def sinc(x: TensorLike, /) -> Tensor:
    """Return ``sin(pi * x) / (pi * x)``, and 1 at 0; exactly 0 at the other integers.

    >>> sinc(tensor([0.0, 2.0])).tolist()
    [1.0, 0.0]
    """
    t = _floating("sinc", x)
    wide = cast(t, dtypes.float32) if dtypes.is_half(t.dtype) else t
    near = m.less_equal(m.abs(wide), 0.5)
    square = m.square(m.multiply(m.where(near, wide, 0.0), pi))
    series = m.add(m.multiply(square, _SINE[-1]), _SINE[-2])
    for coefficient in _SINE[-3::-1]:
        series = m.add(m.multiply(series, square), coefficient)
    far = m.where(near, 1.0, wide)
    turns = m.round(far)
    sine = m.sin(m.multiply(m.subtract(far, turns), pi))
    odd = m.not_equal(m.remainder(turns, 2.0), 0.0)
    ratio = m.divide(m.where(odd, m.negative(sine), sine), m.multiply(far, pi))
    return cast(m.where(near, series, ratio), t.dtype)


def exp2(x: TensorLike, /) -> Tensor:
    """Return 2 to the power x.

    >>> exp2(tensor([3.0, -1.0])).tolist()
    [8.0, 0.5]
    """
    return m.pow(2.0, _floating("exp2", x))


def logaddexp2(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return ``log2(2**x1 + 2**x2)`` without overflow.

    >>> logaddexp2(tensor([1000.0]), -1000.0).tolist()
    [1000.0]
    """
    a, b = _floats("logaddexp2", x1, x2)
    wide = dtypes.float32 if dtypes.is_half(a.dtype) else a.dtype
    x, y = cast(a, wide), cast(b, wide)
    # Less the larger, so that what it outweighs leaves it as it is; a constant to derivatives.
    top = m.stop_gradient(m.maximum(x, y))
    top = m.where(m.isfinite(top), top, 0.0)
    scaled = [m.multiply(m.subtract(t, top), log(2.0)) for t in (x, y)]
    return cast(m.add(top, m.divide(m.logaddexp(*scaled), log(2.0))), a.dtype)


def deg2rad(x: TensorLike, /) -> Tensor:
    """Return an angle of degrees in radians.

    >>> f"{deg2rad(tensor(180.0)):.4f}"
    '3.1416'
    """
    return m.multiply(_floating("deg2rad", x), pi / 180.0)


def rad2deg(x: TensorLike, /) -> Tensor:
    """Return an angle of radians in degrees.

    >>> f"{rad2deg(tensor(3.14159265)):.1f}"
    '180.0'
    """
    return m.multiply(_floating("rad2deg", x), 180.0 / pi)


def nan_to_num(
    x: TensorLike, /, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Return x with numbers for NaN and infinities; the derivative is 0 where it did so.

    Parameters
    ----------
    nan
        What stands for NaN.
    posinf, neginf
        What stands for the infinities; None takes the largest and the smallest number of the dtype.
        The parts of complex numbers are looked at one by one.

    >>> nan_to_num(tensor([float("nan"), 2.0])).tolist()
    [0.0, 2.0]
    """
    t = as_tensor("nan_to_num", x)
    if dtypes.is_complex(t.dtype):
        parts = [
            nan_to_num(part, nan=nan, posinf=posinf, neginf=neginf) for part in (t.real, t.imag)
        ]
        return complex(*parts)
    if not dtypes.is_floating(t.dtype):
        return t
    limits = dtypes.finfo(t.dtype)
    t = m.where(m.isnan(t), nan, t)
    t = m.where(m.equal(t, inf), limits.max if posinf is None else posinf, t)
    return m.where(m.equal(t, -inf), limits.min if neginf is None else neginf, t)
