r"""Standard normal numbers from random words, with the same bits on every backend.

The method is the inverse of the normal distribution function by rational approximations: algorithm
AS 241, routine PPND16 (M. J. Wichura, "The percentage points of the normal distribution", Applied
Statistics 37, 1988). Everything is float64, and only ``+ - * /``, `sqrt` and comparisons are used,
one correctly rounded operation at a time: no library function, no fused multiply-add. So the result
is a function of the word alone, on any hardware that follows IEEE 754.

The order of operations is part of the definition. For a word ``w`` (an unsigned 64-bit integer)::

    q = ((w >> 12) - (2**51 - 0.5)) * 2**-52      # exact, odd multiple of 2**-53, |q| < 1/2
    a = |q|
    if a <= CENTRAL_LIMIT:
        r = CENTRAL_SHIFT - q * q
        z = q * (horner(CENTRAL_NUMERATOR, r) / horner(CENTRAL_DENOMINATOR, r))
    else:
        t = 0.5 - a                               # exact; probability of the tail, 2**-53 or more
        u = sqrt(minus_log(t))
        if u <= TAIL_LIMIT:
            u = u - TAIL_SHIFT
            z = horner(TAIL_NUMERATOR, u) / horner(TAIL_DENOMINATOR, u)
        else:
            u = u - FAR_SHIFT
            z = horner(FAR_NUMERATOR, u) / horner(FAR_DENOMINATOR, u)
        z = -z if q < 0 else z

    horner((c0, c1, ..., cn), r) = (((cn * r) + c(n-1)) * r + ...) * r + c0

    minus_log(t):                                 # for 0 < t < 1, not subnormal
        t = m * 2**-e with sqrt(1/2) <= m < sqrt(2)   # exact: if m < SQRT_HALF, double m, e + 1
        s = (m - 1) / (m + 1)
        p = s * s
        return e * LN2 - 2 * (s + (s * p) * horner(LOG_SERIES, p))

where ``2 * x`` is exact. With ``frexp`` the scaling is: ``m, k = frexp(t)``; ``e = -k``; if
``m < SQRT_HALF``: ``m = m + m; e = e + 1``. Any other exact way to the same ``m`` and ``e`` will
do, and so will any exact way to ``q``.

float32 numbers are the float64 ones rounded; float16 and bfloat16 ones are the float32 ones rounded
again.

The largest magnitude is 8.21, for words whose top 52 bits are all zero or all one. Against the
exact inverse, computed with 50 digits at 2000 words with the extreme ones among them, the relative
error stayed below 6e-16.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from isograd.backend.horner import horner, horner_into
from isograd.backend.protocols import Array

__all__ = ["normal_from_uniform", "normal_from_words"]

CENTRAL_LIMIT: Final = 0.425
CENTRAL_SHIFT: Final = 0.180625
CENTRAL_NUMERATOR: Final = (
    3.3871328727963666080e0,
    1.3314166789178437745e2,
    1.9715909503065514427e3,
    1.3731693765509461125e4,
    4.5921953931549871457e4,
    6.7265770927008700853e4,
    3.3430575583588128105e4,
    2.5090809287301226727e3,
)
CENTRAL_DENOMINATOR: Final = (
    1.0,
    4.2313330701600911252e1,
    6.8718700749205790830e2,
    5.3941960214247511077e3,
    2.1213794301586595867e4,
    3.9307895800092710610e4,
    2.8729085735721942674e4,
    5.2264952788528545610e3,
)

TAIL_LIMIT: Final = 5.0
TAIL_SHIFT: Final = 1.6
TAIL_NUMERATOR: Final = (
    1.42343711074968357734e0,
    4.63033784615654529590e0,
    5.76949722146069140550e0,
    3.64784832476320460504e0,
    1.27045825245236838258e0,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
)
TAIL_DENOMINATOR: Final = (
    1.0,
    2.05319162663775882187e0,
    1.67638483018380384940e0,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
)

FAR_SHIFT: Final = 5.0
FAR_NUMERATOR: Final = (
    6.65790464350110377720e0,
    5.46378491116411436990e0,
    1.78482653991729133580e0,
    2.96560571828504891230e-1,
    2.65321895265761230930e-2,
    1.24266094738807843860e-3,
    2.71155556874348757815e-5,
    2.01033439929228813265e-7,
)
FAR_DENOMINATOR: Final = (
    1.0,
    5.99832206555887937690e-1,
    1.36929880922735805310e-1,
    1.48753612908506148525e-2,
    7.86869131145613259100e-4,
    1.84631831751005468180e-5,
    1.42151175831644588870e-7,
    2.04426310338993978564e-15,
)

LN2: Final = 0.6931471805599453
SQRT_HALF: Final = 0.7071067811865476
#: log(m) = 2 * (s + s**3 * (1/3 + s**2/5 + ...)) with s = (m - 1) / (m + 1), |s| < 0.1716.
LOG_SERIES: Final = tuple(1.0 / (2 * k + 3) for k in range(10))

_BLOCK = (
    16384  # words; enough that calls cost less than arithmetic, and still in the second-level cache
)


def normal_from_uniform(xp: Any, q: Array, /) -> Array:
    """Map float64 ``q`` in (-1/2, 1/2) to standard normal numbers, over an array namespace ``xp``.

    The branches of the definition become `where`; each element gets the bits of its own branch.
    """
    a = xp.abs(q)
    r = CENTRAL_SHIFT - q * q
    central = q * (horner(CENTRAL_NUMERATOR, r) / horner(CENTRAL_DENOMINATOR, r))
    is_tail = a > CENTRAL_LIMIT
    # Where the tail does not apply, any probability in its domain keeps the arithmetic quiet.
    m = xp.where(is_tail, 0.5 - a, xp.ones_like(a) * 0.05)
    e = xp.zeros_like(m)
    for k in (32, 16, 8, 4, 2, 1):
        small = m < 2.0**-k
        m = xp.where(small, m * 2.0**k, m)
        e = xp.where(small, e + float(k), e)
    low = m < SQRT_HALF
    m = xp.where(low, m + m, m)
    e = xp.where(low, e + 1.0, e)
    s = (m - 1.0) / (m + 1.0)
    p = s * s
    u = xp.sqrt(e * LN2 - 2.0 * (s + (s * p) * horner(LOG_SERIES, p)))
    near = u - TAIL_SHIFT
    far = u - FAR_SHIFT
    tail = xp.where(
        u <= TAIL_LIMIT,
        horner(TAIL_NUMERATOR, near) / horner(TAIL_DENOMINATOR, near),
        horner(FAR_NUMERATOR, far) / horner(FAR_DENOMINATOR, far),
    )
    return xp.where(is_tail, xp.where(q < 0.0, -tail, tail), central)


def _minus_log(t: np.ndarray) -> np.ndarray:
    m, k = np.frexp(t)
    e = np.negative(k, dtype=np.float64)
    low = m < SQRT_HALF
    np.add(m, m, out=m, where=low)
    np.add(e, 1.0, out=e, where=low)
    s = m - 1.0
    m += 1.0
    s /= m
    p = s * s
    series = horner_into(np.empty_like(p), LOG_SERIES, p)
    p *= s
    p *= series
    p += s
    p *= 2.0
    e *= LN2
    e -= p
    return e


def _tail(q: np.ndarray) -> np.ndarray:
    u = _minus_log(0.5 - np.abs(q))
    np.sqrt(u, out=u)
    far = np.flatnonzero(u > TAIL_LIMIT)
    v = u[far] - FAR_SHIFT
    u -= TAIL_SHIFT
    out = horner_into(np.empty_like(u), TAIL_NUMERATOR, u)
    out /= horner_into(np.empty_like(u), TAIL_DENOMINATOR, u)
    if far.size:
        out[far] = horner(FAR_NUMERATOR, v) / horner(FAR_DENOMINATOR, v)
    return np.copysign(out, q, out=out)


def normal_from_words(words: np.ndarray, out: np.ndarray, /) -> None:
    """Write the standard normal number of each word to ``out``, in blocks that fit the cache.

    Parameters
    ----------
    words
        uint64, shape ``(n,)``, contiguous.
    out
        float64 or float32, shape ``(n,)``.
    """
    block = min(words.size, _BLOCK)
    top = np.empty(block, np.uint64)
    scratch = np.empty((3, block))
    for start in range(0, words.size, _BLOCK):
        part = words[start : start + _BLOCK]
        bits = np.right_shift(part, np.uint64(12), out=top[: part.size])
        bits |= np.uint64(0x3FF0000000000000)
        q, r, numerator = scratch[:, : part.size]
        # The bits read as 1 + (w >> 12) * 2**-52, and both subtractions are exact.
        np.subtract(bits.view(np.float64), 1.5, out=q)
        q += 2.0**-53
        np.multiply(q, q, out=r)
        np.subtract(CENTRAL_SHIFT, r, out=r)
        horner_into(numerator, CENTRAL_NUMERATOR, r)
        denominator = horner_into(bits.view(np.float64), CENTRAL_DENOMINATOR, r)
        numerator /= denominator
        numerator *= q
        tail = np.flatnonzero(np.abs(q, out=r) > CENTRAL_LIMIT)
        numerator[tail] = _tail(q[tail])
        out[start : start + part.size] = numerator
