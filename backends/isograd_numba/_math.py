r"""Functions of one number that LLVM can vectorise, for kernels and generated code.

Every function here is straight-line code: additions, multiplications, divisions, comparisons that
select, and reinterpreted bits; no branch, no table, no call into a math library, no fused
multiply-add. So a loop that calls one becomes a loop over whole vector registers, and its results
are the same bits on any hardware that follows IEEE 754. (The code of compiled programs rounds each
step of a polynomial once instead of twice where the CPU can, which is nearer still.) One text
serves float32 and float64; the arguments are numbers of the dtype ``T`` of the kernel, and so are
the constants.

The bounds in the docstrings are in units in the last place (ulp) of the correctly rounded result,
found by comparison with higher precision over dense samples; a test repeats it. Subnormal numbers
are kept, NaN propagates, and signs of zeros are right.

Polynomials are minimax fits (Remez exchange, 40 digits) on the interval that the comment names,
rounded coefficient by coefficient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isograd_numba._jit import by_dtype, inlined

__all__ = [
    "HALF",
    "INFINITY",
    "NEGATIVE_ZERO",
    "ONE",
    "TWO",
    "ZERO",
    "absolute",
    "copysign",
    "erf",
    "exp",
    "expm1",
    "from_ordered",
    "gauss",
    "gelu",
    "gelu_slope",
    "gelu_tanh",
    "gelu_tanh_slope",
    "log",
    "log1p",
    "logaddexp",
    "ordered",
    "real",
    "sigmoid",
    "sigmoids",
    "silu",
    "silu_slope",
    "softplus",
    "tanh",
]

Scalar = Any


def real(single: float, double: float | None = None) -> Any:
    """Return a constant of the kernel's dtype; ``double`` where float64 needs another value."""
    return by_dtype(
        float32=np.float32(single), float64=np.float64(single if double is None else double)
    )


def _coefficients(single: tuple[float, ...], double: tuple[float, ...]) -> Any:
    """Return the coefficients of a polynomial, the highest power first."""
    return by_dtype(
        float32=tuple(np.float32(c) for c in single), float64=tuple(np.float64(c) for c in double)
    )


ZERO, NEGATIVE_ZERO, HALF, ONE, TWO = (real(v) for v in (0.0, -0.0, 0.5, 1.0, 2.0))

# Adding and subtracting 1.5 * 2**23 (2**52) rounds to an integer, which the low bits then hold.
_ROUND = real(1.5 * 2.0**23, 1.5 * 2.0**52)
_ROUND_BITS = by_dtype(float32=0x4B400000, float64=0x4338000000000000)
_LOG2E = real(1.4426950408889634)
# ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
_LN2_HIGH = real(0.693145751953125, 6.93147180369123816490e-01)
_LN2_LOW = real(1.428606820309417e-06, 1.90821492927058770002e-10)


@inlined
def _bits32(x: Scalar) -> Scalar:
    return np.float32(x).view(np.int32)


@inlined
def _bits64(x: Scalar) -> Scalar:
    return np.float64(x).view(np.int64)


@inlined
def _number32(bits: Scalar) -> Scalar:
    return np.int32(bits).view(np.float32)


@inlined
def _number64(bits: Scalar) -> Scalar:
    return np.int64(bits).view(np.float64)


_bits = by_dtype(float32=_bits32, float64=_bits64)
_number = by_dtype(float32=_number32, float64=_number64)
_MANTISSA_BITS = by_dtype(float32=23, float64=52)
_EXPONENT_BIAS = by_dtype(float32=127, float64=1023)
_MAGNITUDE = by_dtype(float32=0x7FFFFFFF, float64=0x7FFFFFFFFFFFFFFF)
_SIGN = by_dtype(float32=-0x80000000, float64=-0x8000000000000000)


@inlined
def _power_of_two(k: Scalar) -> Scalar:
    return _number((k + _EXPONENT_BIAS) << _MANTISSA_BITS)


@inlined
def _horner(x: Scalar, c: Any) -> Scalar:
    out = c[0]
    for i in range(1, len(c)):
        out = out * x + c[i]
    return out


@inlined
def _horner_of_cubics(x: Scalar, c: Any) -> Scalar:
    """Evaluate with chains a quarter as long, for the long polynomials of float64."""
    square = x * x
    fourth = square * square
    first = (len(c) - 1) % 4 + 1
    out = c[0]
    for i in range(1, first):
        out = out * x + c[i]
    for i in range(first, len(c), 4):
        out = out * fourth + ((c[i] * x + c[i + 1]) * square + (c[i + 2] * x + c[i + 3]))
    return out


_polynomial = by_dtype(float32=_horner, float64=_horner_of_cubics)


@inlined
def absolute(x: Scalar) -> Scalar:
    """Return ``|x|``; exact."""
    return _number(_bits(x) & _MAGNITUDE)


@inlined
def copysign(x: Scalar, sign: Scalar) -> Scalar:
    """Return ``|x|`` with the sign of ``sign``; exact."""
    return _number((_bits(x) & _MAGNITUDE) | (_bits(sign) & _SIGN))


@inlined
def _integer32(bits: Scalar) -> Scalar:
    return np.int32(bits)


@inlined
def _integer64(bits: Scalar) -> Scalar:
    return np.int64(bits)


_integer = by_dtype(float32=_integer32, float64=_integer64)
_SIGN_SHIFT = by_dtype(float32=31, float64=63)


@inlined
def ordered(x: Scalar) -> Scalar:
    """Return an integer; integers are ordered as the numbers are, -0 before 0, NaN at the ends."""
    bits = _bits(x)
    return _integer(bits ^ ((bits >> _SIGN_SHIFT) & _MAGNITUDE))


@inlined
def from_ordered(key: Scalar) -> Scalar:
    """Return the number of an integer that `ordered` gave."""
    return _number(key ^ ((key >> _SIGN_SHIFT) & _MAGNITUDE))


# (exp(r) - 1 - r) / r**2 on |r| <= ln(2) / 2, by the relative error of expm1(r).
_EXP = _coefficients(
    (
        0.0013884780928492546,
        0.008366591297090054,
        0.04166716709733009,
        0.1666654348373413,
        0.4999999701976776,
    ),
    (
        2.5055229259342803e-08,
        2.7626071720493594e-07,
        2.755740351584203e-06,
        2.4801505375194345e-05,
        0.00019841269723155425,
        0.0013888888931266523,
        0.008333333333387635,
        0.04166666666657867,
        0.16666666666666594,
        0.5000000000000004,
    ),
)
# Beyond these exp is infinite or zero.
_EXP_HIGH = real(89.0, 710.0)
_EXP_LOW = real(-104.0, -746.0)


@inlined
def _exp_parts(x: Scalar, low: Scalar) -> Any:
    """Return ``k, e`` with ``exp(x + low) = 2**k * (1 + e)``; ``low`` is small, and so is ``e``."""
    t = (x + low) * _LOG2E + _ROUND
    n = t - _ROUND
    r = ((x - n * _LN2_HIGH) - n * _LN2_LOW) + low
    return _bits(t) - _ROUND_BITS, r + r * r * _polynomial(r, _EXP)


@inlined
def _exp_sum(x: Scalar, low: Scalar) -> Scalar:
    k, e = _exp_parts(x, low)
    half = k >> 1  # in two steps, so that a subnormal result is rounded once
    return (ONE + e) * _power_of_two(half) * _power_of_two(k - half)


@inlined
def exp(x: Scalar) -> Scalar:
    """Return the exponential, within 1.1 ulp."""
    x = _EXP_HIGH if x > _EXP_HIGH else x
    x = _EXP_LOW if x < _EXP_LOW else x
    return _exp_sum(x, ZERO)


_EXPM1_LOW = real(-20.0, -40.0)


@inlined
def expm1(x: Scalar) -> Scalar:
    """Return ``exp(x) - 1``, within 1.8 ulp, near zero too."""
    y = _EXP_HIGH if x > _EXP_HIGH else x
    y = _EXPM1_LOW if y < _EXPM1_LOW else y
    k, e = _exp_parts(y, ZERO)
    half = _power_of_two(k - 1)  # half of the power, which never overflows
    out = TWO * (half * e + (half - HALF))
    return x if absolute(x) < _TINY else out


_TINY = real(2.0**-26, 2.0**-55)
_TANH_HIGH = real(10.0, 20.0)


@inlined
def tanh(x: Scalar) -> Scalar:
    """Return the hyperbolic tangent, within 2.6 ulp, near zero too."""
    a = absolute(x)
    a = _TANH_HIGH if a > _TANH_HIGH else a
    k, e = _exp_parts(-TWO * a, ZERO)
    power = _power_of_two(k)
    e = power * e + (power - ONE)
    return copysign(e / (TWO + e), x)


@inlined
def sigmoids(x: Scalar) -> Any:
    """Return ``sigmoid(x), sigmoid(-x)``, within 2.8 ulp, where they are small too."""
    e = exp(-absolute(x))
    large = ONE / (ONE + e)
    small = e * large
    return (small if x < ZERO else large), (large if x < ZERO else small)


@inlined
def sigmoid(x: Scalar) -> Scalar:
    """Return ``1 / (1 + exp(-x))``, within 2.8 ulp, where it is small too."""
    return sigmoids(x)[0]


@inlined
def silu(x: Scalar) -> Scalar:
    """Return ``x * sigmoid(x)``, within 3.4 ulp where `sigmoid` is not subnormal."""
    return x * sigmoid(x)


@inlined
def silu_slope(x: Scalar) -> Scalar:
    """Return the derivative of `silu`; its error is in proportion to ``1 + |x|``."""
    s, rest = sigmoids(x)
    return s * (ONE + x * rest)


# (log((1 + s) / (1 - s)) - 2 s) / s**3 in z = s**2, on s <= 1/3 and on s <= 3 - 2 sqrt(2).
_LOG1P_UNIT = _coefficients(
    (
        0.24203504621982574,
        0.21455496549606323,
        0.28614091873168945,
        0.39998990297317505,
        0.6666667461395264,
    ),
    (
        0.16867746443065482,
        0.08426120200412494,
        0.1208516475758459,
        0.13303802508444537,
        0.15386327610842537,
        0.18181755802398286,
        0.22222223597571264,
        0.28571428554591555,
        0.4000000000009545,
        0.6666666666666651,
    ),
)
_LOG = _coefficients(
    (0.2982262670993805, 0.3997969627380371, 0.6666675209999084),
    (
        0.14735433398751827,
        0.15320428720472432,
        0.18183299680439804,
        0.22222204025710035,
        0.28571428684822764,
        0.39999999999699865,
        0.6666666666666686,
    ),
)


@inlined
def _log1p_unit(x: Scalar) -> Scalar:
    """Return ``log(1 + x)`` for ``0 <= x <= 1``, within 2 ulp."""
    s = x / (TWO + x)
    z = s * s
    return TWO * s + s * z * _polynomial(z, _LOG1P_UNIT)


@inlined
def softplus(x: Scalar) -> Scalar:
    """Return ``log(1 + exp(x))``, within 2.6 ulp."""
    return logaddexp(x, ZERO)


@inlined
def logaddexp(x: Scalar, y: Scalar) -> Scalar:
    """Return ``log(exp(x) + exp(y))``, within 2.6 ulp."""
    high = x if x > y else y
    apart = ZERO if x == y else x - y  # equal infinities have no difference
    return high + _log1p_unit(exp(-absolute(apart)))


_SQRT_HALF_BITS = by_dtype(float32=0x3F3504F3, float64=0x3FE6A09E667F3BCD)
_SMALLEST_NORMAL = real(2.0**-126, 2.0**-1022)
_SUBNORMAL_SHIFT = real(24.0, 54.0)
_SUBNORMAL_SCALE = real(2.0**24, 2.0**54)
INFINITY = real(np.inf)
_NAN = real(np.nan)


@inlined
def _log_sum(x: Scalar, low: Scalar, shift: Scalar) -> Scalar:
    """Return ``log(x) + low - shift * ln(2)`` for a normal ``x > 0`` and a small ``low``."""
    bits = _bits(x)
    k = (bits - _SQRT_HALF_BITS) >> _MANTISSA_BITS
    n = (_number(k + _ROUND_BITS) - _ROUND) - shift
    f = _number(bits - (k << _MANTISSA_BITS)) - ONE
    s = f / (TWO + f)
    z = s * s
    h = HALF * f * f
    r = s * (h + z * _polynomial(z, _LOG))
    return n * _LN2_HIGH - ((h - (r + (n * _LN2_LOW + low))) - f)


@inlined
def log(x: Scalar) -> Scalar:
    """Return the natural logarithm, within 0.9 ulp."""
    small = x < _SMALLEST_NORMAL
    out = _log_sum(x * _SUBNORMAL_SCALE if small else x, ZERO, _SUBNORMAL_SHIFT if small else ZERO)
    out = x if x == INFINITY else out
    out = -INFINITY if x == ZERO else out
    return out if x >= ZERO else _NAN


@inlined
def log1p(x: Scalar) -> Scalar:
    """Return ``log(1 + x)``, within 0.9 ulp, near zero too."""
    u = ONE + x
    lost = (ONE - (u - x)) if x > ONE else (x - (u - ONE))
    out = _log_sum(u, lost / u, ZERO)
    out = x if x == INFINITY or absolute(x) < _TINY else out
    out = -INFINITY if u == ZERO else out
    return out if u >= ZERO else _NAN


# erf(x) / x - 1 in x**2, on x <= 1.
_ERF = _coefficients(
    (
        7.853517308831215e-05,
        -0.0008010110468603671,
        0.005188320763409138,
        -0.026853809133172035,
        0.1128358542919159,
        -0.3761262595653534,
        0.12837916612625122,
    ),
    (
        -7.779109536406085e-10,
        1.3710802012778954e-08,
        -1.6206276240023495e-07,
        1.6447127238882299e-06,
        -1.4924712004825395e-05,
        0.00012055293564755278,
        -0.0008548325929041063,
        0.0052239776061160995,
        -0.02686617064311167,
        0.1128379167094419,
        -0.3761263890318352,
        0.12837916709551256,
    ),
)
# (a + K) * exp(a**2 / 2) * erfc(a / sqrt(2)) / 2 in t = (a - K) / (a + K), up to the largest a
# whose tail is not zero. The form is that of M. M. Shepherd and J. G. Laframboise, "Chebyshev
# approximation of (1 + 2x) exp(x**2) erfc(x) in 0 <= x < inf", Mathematics of Computation 36,
# 1981.
_MILLS_SHIFT = real(3.5, 5.0)
_MILLS = _coefficients(
    (
        0.00011028568405890837,
        0.00042116883560083807,
        -0.000494975654873997,
        -0.003174813464283943,
        0.00649324432015419,
        0.017406268045306206,
        -0.11605306714773178,
        0.3154250681400299,
        -0.5655617713928223,
        0.7444160580635071,
    ),
    (
        -2.9658204317881106e-10,
        1.4483510491421024e-09,
        7.93600744326645e-09,
        -8.34114222809061e-09,
        -6.602453640324146e-08,
        4.093606559815434e-08,
        4.329131225583045e-07,
        -3.355740530083317e-07,
        -2.768976918637345e-06,
        3.980399494832854e-06,
        1.6681052538625924e-05,
        -4.976265861172002e-05,
        -5.937567791548696e-05,
        0.0005448990339659754,
        -0.000797869407494611,
        -0.002993376766759534,
        0.02079506680078939,
        -0.06911863870656715,
        0.1650203661703397,
        -0.3135331566712963,
        0.49530561596997724,
        -0.6653825028900567,
        0.769193049750063,
    ),
)
_GAUSS_HIGH = real(14.6, 38.7)
_TOP_BITS = by_dtype(float32=-(1 << 12), float64=-(1 << 27))
_SQRT_TWO = real(1.4142135623730951)
_INV_SQRT_TWO_PI = real(0.3989422804014327)


@inlined
def gauss(x: Scalar) -> Scalar:
    """Return ``exp(-x**2 / 2)``, within 1.3 ulp."""
    a = absolute(x)
    a = _GAUSS_HIGH if a > _GAUSS_HIGH else a
    top = _number(_bits(a) & _TOP_BITS)  # its square is exact
    return _exp_sum(-HALF * top * top, -HALF * (a - top) * (a + top))


@inlined
def _tail(a: Scalar, density: Scalar) -> Scalar:
    """Return ``erfc(a / sqrt(2)) / 2`` for ``a >= 0``, given ``density = gauss(a)``."""
    a = _GAUSS_HIGH if a > _GAUSS_HIGH else a
    u = ONE / (a + _MILLS_SHIFT)
    return density * (u * _polynomial((a - _MILLS_SHIFT) * u, _MILLS))


@inlined
def erf(x: Scalar) -> Scalar:
    """Return the error function, within 1.5 ulp, near zero too."""
    a = absolute(x)
    b = a * _SQRT_TWO
    large = copysign(ONE - TWO * _tail(b, gauss(b)), x)
    return x + x * _polynomial(x * x, _ERF) if a < ONE else large


@inlined
def gelu(x: Scalar) -> Scalar:
    """Return ``x * (1 + erf(x / sqrt(2))) / 2``.

    Within 6.5 ulp, in the lower tail too, where `gauss` is not subnormal.
    """
    tail = _tail(absolute(x), gauss(x))
    return x * ((ONE - tail) if x > ZERO else tail)


@inlined
def gelu_slope(x: Scalar) -> Scalar:
    """Return the derivative of `gelu`; its error is in proportion to ``1 + |x|``."""
    density = gauss(x)
    tail = _tail(absolute(x), density)
    return ((ONE - tail) if x > ZERO else tail) + x * (density * _INV_SQRT_TWO_PI)


_GELU_LINEAR = real(2.0 * 0.7978845608028654)
_GELU_CUBIC = real(2.0 * 0.7978845608028654 * 0.044715)
_GELU_CUBIC_SLOPE = real(6.0 * 0.7978845608028654 * 0.044715)


@inlined
def gelu_tanh(x: Scalar) -> Scalar:
    """Return ``x * (1 + tanh(z)) / 2`` with ``z = sqrt(2 / pi) * (x + 0.044715 * x**3)``.

    Within 8 ulp for ``x >= -1``; in the lower tail the error grows like that of ``exp(2 z)``.
    """
    return x * sigmoid(x * (_GELU_LINEAR + _GELU_CUBIC * (x * x)))


_GELU_BOUND = real(100.0)


@inlined
def gelu_tanh_slope(x: Scalar) -> Scalar:
    """Return the derivative of `gelu_tanh`; its error is in proportion to ``1 + |x|``."""
    # Beyond the bound the sigmoids are exactly 0 and 1; powers of x could overflow.
    inside = _GELU_BOUND if x > _GELU_BOUND else x
    inside = -_GELU_BOUND if inside < -_GELU_BOUND else inside
    z = inside * inside
    s, rest = sigmoids(inside * (_GELU_LINEAR + _GELU_CUBIC * z))
    return s * (ONE + x * ((_GELU_LINEAR + _GELU_CUBIC_SLOPE * z) * rest))
