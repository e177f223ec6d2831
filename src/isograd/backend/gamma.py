r"""The logarithm of the gamma function, and its derivatives, over any array namespace.

Everything is float64; the formulas are those of the Digital Library of Mathematical Functions
(DLMF, chapters 5 and 25), and of Abramowitz and Stegun (AMS 55):

- near 2, with ``|w| <= 1/2``: ``lgamma(2 + w)`` is ``(1 - gamma) * w`` plus the sum of ``(-1)**k *
  (zeta(k) - 1) * w**k / k`` over k from 2 (AMS 6.1.33); its derivative is digamma
- up to 10: ``lgamma(x + 1) = lgamma(x) + log(x)`` and ``digamma(x + 1) = digamma(x) + 1/x`` (DLMF
  5.5.1 and 5.5.2), as often as it takes to come near 2
- beyond: Stirling's series (DLMF 5.11.1 and 5.11.2)
- digamma near its root ``r``: its Taylor series there, with ``x - r`` in two parts
- polygamma: ``(-1)**(n + 1) * n! * zeta(n + 1, x)`` (DLMF 25.11.12), with Hurwitz's zeta function
  by the Euler-Maclaurin formula (DLMF 25.11.5)
- negative numbers: reflection (DLMF 5.5.3, 5.5.4 and 5.15.6)

`tests/backend/test_special.py` holds the error against 40 digits, for positive x, to 4 ulp of
lgamma and digamma, and 6 of polygamma. For negative x, where roots lie between the poles, it
is held to 8 times what rounding x and the result does.
"""

from __future__ import annotations

import math
from typing import Any, Final

from isograd.backend.horner import horner
from isograd.backend.protocols import Array

__all__ = ["digamma", "lgamma", "polygamma"]

#: From here on Stirling's series has all digits.
LARGE: Final = 10.0
HALF_LOG_TAU: Final = 0.9189385332046728
ONE_LESS_EULER: Final = 0.42278433509846713

#: (-1)**k * (zeta(k) - 1) / k for k from 2.
NEAR_TWO: Final = (
    0.3224670334241132,
    -0.0673523010531981,
    0.020580808427784546,
    -0.007385551028673986,
    0.0028905103307415234,
    -0.001192753911703261,
    0.0005096695247430425,
    -0.00022315475845357939,
    9.945751278180853e-05,
    -4.492623673813314e-05,
    2.050721277567069e-05,
    -9.439488275268397e-06,
    4.374866789907488e-06,
    -2.039215753801366e-06,
    9.55141213040742e-07,
    -4.492469198764566e-07,
    2.1207184805554665e-07,
    -1.0043224823968099e-07,
    4.7698101693639804e-08,
    -2.2711094608943164e-08,
    1.0838659214896955e-08,
    -5.183475041970047e-09,
    2.4836745438024785e-09,
    -1.1921401405860912e-09,
    5.731367241678862e-10,
    -2.7595228851242334e-10,
    1.330476437424449e-10,
)
#: (-1)**k * (zeta(k) - 1) for k from 2.
NEAR_TWO_SLOPE: Final = (
    0.6449340668482264,
    -0.2020569031595943,
    0.08232323371113819,
    -0.03692775514336993,
    0.01734306198444914,
    -0.008349277381922827,
    0.00407735619794434,
    -0.0020083928260822143,
    0.0009945751278180853,
    -0.0004941886041194645,
    0.0002460865533080483,
    -0.00012271334757848915,
    6.124813505870483e-05,
    -3.058823630702049e-05,
    1.528225940865187e-05,
    -7.637197637899763e-06,
    3.81729326499984e-06,
    -1.908212716553939e-06,
    9.539620338727962e-07,
    -4.769329867878064e-07,
    2.38450502727733e-07,
    -1.1921992596531106e-07,
    5.960818905125948e-08,
    -2.980350351465228e-08,
    1.4901554828365043e-08,
    -7.45071178983543e-09,
    3.725334024788457e-09,
)
#: B(2k) / (2k * (2k - 1)) for k from 1.
STIRLING: Final = (
    0.08333333333333333,
    -0.002777777777777778,
    0.0007936507936507937,
    -0.0005952380952380953,
    0.0008417508417508417,
    -0.0019175269175269176,
    0.00641025641025641,
    -0.029550653594771242,
)
#: B(2k) / 2k for k from 1.
STIRLING_SLOPE: Final = (
    0.08333333333333333,
    -0.008333333333333333,
    0.003968253968253968,
    -0.004166666666666667,
    0.007575757575757576,
    -0.021092796092796094,
    0.08333333333333333,
    -0.4432598039215686,
)
#: The root of digamma, as a float and what is missing of it.
ROOT: Final = (1.4616321449683622, 9.549995429965697e-17)
ROOT_FROM: Final = 1.2
ROOT_TO: Final = 1.7
#: The derivatives of digamma at its root, each over its factorial.
AT_ROOT: Final = (
    0.9676722454476212,
    -0.4427631689835921,
    0.258499760955651,
    -0.16394270544240652,
    0.10782405069126237,
    -0.07219956125645471,
    0.04880428816414311,
    -0.03316112647484736,
    0.022597648232218104,
    -0.01542476590494896,
    0.010538791616612175,
    -0.007204534386356869,
    0.004926781395729853,
    -0.003369801655439328,
    0.002305126326734928,
    -0.0015769367714301972,
    0.0010788252019162967,
    -0.0007380709389960052,
    0.000504953265834602,
    -0.0003454680251063077,
    0.00023635601564027053,
    -0.00016170622091974803,
)
#: B(2k) / (2k)! for k from 1.
EULER_MACLAURIN: Final = (
    0.08333333333333333,
    -0.001388888888888889,
    3.306878306878307e-05,
    -8.267195767195768e-07,
    2.08767569878681e-08,
    -5.284190138687493e-10,
    1.3382536530684679e-11,
    -3.3896802963225827e-13,
    8.586062056277845e-15,
    -2.174868698558062e-16,
)
#: Terms that are summed one by one before the formula takes over.
HEAD: Final = 12


def _near_two(xp: Any, x: Array) -> tuple[Array, Array, Array, Array]:
    """Return ``|x|``, how many steps lead from there down to [1.5, 2.5), and what is left over 2.

    The last array tells where ``|x| < 1/2``: there, and up to 1.5, the step leads upwards.
    """
    size = xp.abs(x)
    is_small = size < 0.5
    inside = xp.where(size < LARGE, size, xp.ones_like(size))
    steps = xp.floor(inside - 1.5)
    steps = xp.where(steps < 0.0, xp.zeros_like(steps), steps)
    rest = xp.where(inside < 1.5, inside - 1.0, inside - steps - 2.0)
    return size, steps, xp.where(is_small, x, rest), is_small


def _sin_pi(xp: Any, x: Array) -> tuple[Array, Array]:
    """Return sin and cos of ``pi * r`` with ``r = x - round(x)``: pi times x up to the sign."""
    r = (x - xp.round(x)) * math.pi
    return xp.sin(r), xp.cos(r)


def lgamma(xp: Any, x: Array, /) -> Array:
    """Return the logarithm of ``|gamma(x)|``.

    Parameters
    ----------
    xp
        Array-API namespace.
    x
        float64 array of any shape.

    Returns
    -------
    Array
        Of the same shape; inf at the poles 0, -1, -2... and at both infinities.

    Examples
    --------
    >>> import numpy as np
    >>> float(lgamma(np, np.asarray(5.0))) - float(np.log(24.0))
    0.0
    """
    size, steps, w, is_small = _near_two(xp, x)
    series = w * (ONE_LESS_EULER + w * horner(NEAR_TWO, w))
    one = xp.ones_like(size)
    product = one
    for j in range(1, int(LARGE)):
        product = xp.where(steps >= j, product * (size - j), product)
    # One step up divides by 1 + w, which is |x| itself unless |x| is small.
    up = xp.where(is_small, xp.log1p(xp.where(is_small, x, one)), xp.zeros_like(size))
    logarithm = xp.log(xp.where(size < 1.5, size, product))
    near = series + xp.where(size < 1.5, -logarithm, logarithm) - up
    far = xp.where(size < LARGE, one * LARGE, size)
    inverse = 1.0 / far
    tail = inverse * horner(STIRLING, inverse * inverse)
    far = (far - 0.5) * (xp.log(far) - 1.0) + (HALF_LOG_TAU - 0.5 + tail)
    out = xp.where(size < LARGE, near, far)
    below = (x < 0.0) & ~is_small
    sine = xp.where(below, xp.abs(_sin_pi(xp, x)[0]) * size, one)
    out = xp.where(below, xp.log(math.pi / sine) - out, out)
    infinite = (xp.isinf(x)) | ((x <= 0.0) & (xp.floor(x) == x))
    return xp.where(infinite, one * math.inf, out)


def digamma(xp: Any, x: Array, /) -> Array:
    """Return the derivative of `lgamma`.

    Parameters
    ----------
    xp
        Array-API namespace.
    x
        float64 array of any shape.

    Returns
    -------
    Array
        Of the same shape; -inf at 0.0, inf at -0.0, NaN at the other poles and at -inf.

    Examples
    --------
    >>> import numpy as np
    >>> float(digamma(np, np.asarray(1.0)))
    -0.5772156649015329
    """
    size, steps, w, is_small = _near_two(xp, x)
    one, zero = xp.ones_like(size), xp.zeros_like(size)
    total = zero
    for j in range(1, int(LARGE)):
        total = total + xp.where(steps >= j, 1.0 / xp.where(steps >= j, size - j, one), zero)
    near = ONE_LESS_EULER + w * horner(NEAR_TWO_SLOPE, w) + total
    up = xp.where(is_small, 1.0 + w, xp.where(size < 1.5, size, one))
    near = xp.where(size < 1.5, near - 1.0 / up, near)
    near = xp.where(is_small, near - 1.0 / xp.where(is_small, x, one), near)
    apart = (size - ROOT[0]) - ROOT[1]
    at_root = (size > ROOT_FROM) & (size < ROOT_TO)
    apart = xp.where(at_root, apart, zero)
    near = xp.where(at_root, apart * horner(AT_ROOT, apart), near)
    far = xp.where(size < LARGE, one * LARGE, size)
    inverse = 1.0 / far
    square = inverse * inverse
    far = xp.log(far) - 0.5 * inverse - square * horner(STIRLING_SLOPE, square)
    out = xp.where(size < LARGE, near, far)
    below = (x < 0.0) & ~is_small
    sine, cosine = _sin_pi(xp, x)
    cotangent = cosine / xp.where(below, sine, one)
    out = xp.where(below, out + 1.0 / xp.where(below, size, one) - math.pi * cotangent, out)
    pole = (x < 0.0) & (xp.floor(x) == x)
    out = xp.where(pole, one * math.nan, out)
    return xp.where(x == 0.0, -xp.copysign(one * math.inf, x), out)


def _zeta(s: float, a: Array) -> Array:
    """Return ``sum((a + k)**-s)`` over all k from 0, for ``a >= 0`` and ``s >= 2``."""
    total = a**-s
    for k in range(1, HEAD):
        total = total + (a + k) ** -s
    end = a + HEAD
    power = end**-s
    total = total + power * (end / (s - 1.0) + 0.5)
    inverse = 1.0 / (end * end)
    rising = s * (power / end)
    for k, coefficient in enumerate(EULER_MACLAURIN):
        total = total + coefficient * rising
        rising = rising * ((s + 2 * k + 1) * (s + 2 * k + 2)) * inverse
    return total


def cotangent_polynomial(n: int, /) -> tuple[float, ...]:
    """Return the coefficients, lowest first, of the n-th derivative of cot as a polynomial in cot.

    The derivative of ``c = cot(u)`` is ``-(1 + c**2)``.

    Examples
    --------
    >>> cotangent_polynomial(2)
    (0.0, 2.0, 0.0, 2.0)
    """
    out = [0.0, 1.0]
    for _ in range(n):
        slope = [-k * c for k, c in enumerate(out)][1:]
        out = [
            (slope[i] if i < len(slope) else 0.0) + (slope[i - 2] if i > 1 else 0.0)
            for i in range(len(slope) + 2)
        ]
    return tuple(c + 0.0 for c in out)


def polygamma(xp: Any, x: Array, /, n: int) -> Array:
    """Return the n-th derivative of `digamma`, for n of at least 1.

    Parameters
    ----------
    xp
        Array-API namespace.
    x
        float64 array of any shape.
    n
        The order.

    Returns
    -------
    Array
        Of the same shape. Odd orders are inf at the poles 0, -1, -2..., even ones -inf at 0.0, inf
        at -0.0 and NaN at the other poles; NaN at -inf.

    Examples
    --------
    >>> import numpy as np
    >>> abs(float(polygamma(np, np.asarray(1.0), 1)) - np.pi**2 / 6) < 1e-15
    True
    """
    sign = 1.0 if n % 2 else -1.0
    one = xp.ones_like(x)
    below = x < 0.0
    a = xp.where(below, 1.0 - x, x)
    out = _zeta(n + 1.0, a) * (sign * math.factorial(n))
    sine, cosine = _sin_pi(xp, xp.where(below, x, 0.25 * one))
    reflected = horner(cotangent_polynomial(n), cosine / sine) * -(math.pi ** (n + 1)) - sign * out
    out = xp.where(below, reflected, out)
    pole = below & (xp.floor(x) == x) & ~xp.isinf(x)
    if n % 2:
        out = xp.where(pole | (x == 0.0), one * math.inf, out)
    else:
        out = xp.where(pole, one * math.nan, out)
        out = xp.where(x == 0.0, -xp.copysign(one * math.inf, x), out)
    out = xp.where(x == math.inf, one * (sign * 0.0), out)
    return xp.where(x == -math.inf, one * math.nan, out)
