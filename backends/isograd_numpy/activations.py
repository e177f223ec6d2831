"""Activations and the error function, in blocks that fit the cache and without branches by element.

float64 uses the rational approximations of `isograd.backend.erf`; float32 one ratio for the whole
range, so that no element waits for the formula of another.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd.backend import erf as reference
from isograd.backend.horner import horner_into
from isograd.backend.xp.activations import (
    GELU_BOUND,
    GELU_CUBIC,
    GELU_SCALE,
    INVERSE_SQRT_2PI,
)
from isograd_numpy.common import BLOCK, elementwise, keep_where

__all__ = ["ACTIVATIONS", "erf"]

#: exp(x**2 / 2) * P(X < -x) for 0 <= x <= 15: relative error 6.3e-9, by least squares with weights
#: that were adapted until the extrema were equal.
_TAIL_NUMERATOR: Final = (
    0.5000000031505667,
    0.4392830694471986,
    0.18396887780309876,
    0.040881041942999914,
    0.004153217669083184,
)
_TAIL_DENOMINATOR: Final = (
    1.0,
    1.6764511459323783,
    1.2055471831113302,
    0.4714080115209894,
    0.10247969228542997,
    0.010410461171935625,
)
_TAIL_BOUND: Final = 15.0

#: Taylor series of erf(x) / x in x**2; the next term is below 1.1e-8 for x <= ERF_SMALL.
_ERF_SERIES: Final = tuple(
    2.0 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(7)
)
_ERF_SMALL: Final = 0.6

_HIGH_BITS: Final = np.int32(-4096)  # sign, exponent and 11 bits: the square is exact in float32


#: Elements below which a call costs more than the arithmetic.
_FEW: Final = 1024


@functools.cache
def _constant(value: float, dtype: np.dtype[Any]) -> np.ndarray:
    # NumPy's maximum and minimum are several times faster with two arrays than with a scalar.
    out = np.full(BLOCK, value, dtype)
    out.flags.writeable = False
    return out


def _lower_bound(x: np.ndarray, bound: float, out: np.ndarray) -> None:
    np.maximum(x, _constant(bound, x.dtype)[: x.size], out=out)


def _upper_bound(x: np.ndarray, bound: float, out: np.ndarray) -> None:
    np.minimum(x, _constant(bound, x.dtype)[: x.size], out=out)


def _relu(out: np.ndarray, scratch: np.ndarray, x: np.ndarray) -> None:
    _lower_bound(x, 0, out)
    np.add(out, 0, out=out)  # -0 + 0 is +0


def _relu_grad(out: np.ndarray, scratch: np.ndarray, g: np.ndarray, x: np.ndarray) -> None:
    dropped = np.less_equal(x, 0)
    keep_where(np.logical_not(dropped, out=dropped), g, out)


def _decay(x: np.ndarray, out: np.ndarray) -> None:
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)


def _sigmoid(out: np.ndarray, scratch: np.ndarray, x: np.ndarray) -> None:
    decay = scratch[0]
    _decay(x, decay)
    # decay <= 1, so this chooses 1 for x >= 0 and decay, or NaN, elsewhere.
    np.maximum(decay, np.greater_equal(x, 0), out=out)
    decay += 1
    out /= decay


def _both_sigmoids(out: np.ndarray, rest: np.ndarray, decay: np.ndarray, x: np.ndarray) -> None:
    _decay(x, decay)
    np.maximum(decay, np.greater_equal(x, 0), out=out)
    np.maximum(decay, np.less(x, 0), out=rest)
    decay += 1
    out /= decay
    rest /= decay


def _sigmoid_grad(out: np.ndarray, scratch: np.ndarray, g: np.ndarray, s: np.ndarray) -> None:
    np.subtract(1, s, out=out)
    out *= s
    out *= g


def _tanh_grad(out: np.ndarray, scratch: np.ndarray, g: np.ndarray, t: np.ndarray) -> None:
    np.subtract(1, t, out=out)
    out *= np.add(t, 1, out=scratch[0])
    out *= g


def _silu(out: np.ndarray, scratch: np.ndarray, x: np.ndarray) -> None:
    _sigmoid(out, scratch, x)
    out *= x


def _silu_grad(out: np.ndarray, scratch: np.ndarray, g: np.ndarray, x: np.ndarray) -> None:
    rest = scratch[1]
    _both_sigmoids(out, rest, scratch[0], x)
    rest *= x
    rest += 1
    out *= rest
    out *= g


def _softplus(
    out: np.ndarray, scratch: np.ndarray, x: np.ndarray, *, beta: float, threshold: float
) -> None:
    z, decay, one = scratch
    np.multiply(x, beta, out=z)
    _decay(z, decay)
    # log1p(t) = log(u) + (t - (u - 1)) / u with u = 1 + t; NumPy's own takes four times as long.
    np.add(decay, 1, out=one)
    np.log(one, out=out)
    decay -= np.subtract(one, 1)
    decay /= one
    out += decay
    _lower_bound(z, 0, decay)
    out += decay
    out /= beta
    linear = np.greater(z, threshold)
    if linear.any():
        np.copyto(out, x, where=linear)


def _cubic(x: np.ndarray, out: np.ndarray) -> None:
    """Write ``2 * GELU_SCALE * (x + GELU_CUBIC * x**3)``."""
    np.multiply(x, x, out=out)
    out *= 2 * GELU_SCALE * GELU_CUBIC
    out += 2 * GELU_SCALE
    out *= x


def _gelu_tanh(out: np.ndarray, scratch: np.ndarray, x: np.ndarray) -> None:
    _cubic(x, scratch[1])
    _sigmoid(out, scratch, scratch[1])
    out *= x


def _gelu_tanh_grad(out: np.ndarray, scratch: np.ndarray, g: np.ndarray, x: np.ndarray) -> None:
    decay, inside, rest, z = scratch
    _lower_bound(x, -GELU_BOUND, inside)
    _upper_bound(inside, GELU_BOUND, inside)
    _cubic(inside, z)
    _both_sigmoids(out, rest, decay, z)
    inside *= inside
    inside *= 6 * GELU_SCALE * GELU_CUBIC
    inside += 2 * GELU_SCALE
    rest *= inside
    rest *= x
    rest += 1
    out *= rest
    out *= g


def _tail(out: np.ndarray, scratch: np.ndarray, y: np.ndarray) -> None:
    """Write P(X < -y) to ``out`` and exp(-y**2 / 2) to ``scratch[0]``, for float32 y in [0, 15]."""
    power, rest, high = scratch[0], scratch[1], scratch[2]
    # The exponent is split into the rounded square and what rounding lost: exp(a + b) = e + e * b.
    np.multiply(y, y, out=power)
    np.bitwise_and(y.view(np.int32), _HIGH_BITS, out=high.view(np.int32))
    np.subtract(y, high, out=rest)
    np.add(y, high, out=out)
    rest *= out
    high *= high
    high -= power
    rest += high
    power *= -0.5
    np.exp(power, out=power)
    rest *= -0.5
    rest *= power
    power += rest
    horner_into(out, _TAIL_NUMERATOR, y)
    out /= horner_into(rest, _TAIL_DENOMINATOR, y)
    out *= power


def _cdf(out: np.ndarray, scratch: np.ndarray, x: np.ndarray) -> None:
    """Write P(X < x) to ``out`` and, in float32, exp(-x**2 / 2) to ``scratch[0]``."""
    if x.dtype == np.float64:
        out[...] = reference.normal_cdf(np, x)
        return
    y = scratch[3]
    np.abs(x, out=y)
    _upper_bound(y, _TAIL_BOUND, y)
    _tail(out, scratch, y)
    np.subtract(out, np.greater_equal(x, 0), out=out)
    np.abs(out, out=out)


def _gelu(out: np.ndarray, scratch: np.ndarray, x: np.ndarray, *, approximate: str) -> None:
    if approximate == "tanh":
        _gelu_tanh(out, scratch, x)
    else:
        _cdf(out, scratch, x)
        out *= x


def _gelu_grad(
    out: np.ndarray, scratch: np.ndarray, g: np.ndarray, x: np.ndarray, *, approximate: str
) -> None:
    if approximate == "tanh":
        _gelu_tanh_grad(out, scratch, g, x)
        return
    _cdf(out, scratch, x)
    density = scratch[0]
    if x.dtype == np.float64:
        magnitude = np.abs(x, out=density)
        _upper_bound(magnitude, reference.HUGE_NORMAL, magnitude)
        density[...] = reference.gauss(np, magnitude, 0.5)
    density *= INVERSE_SQRT_2PI
    density *= x
    out += density
    out *= g


def _erf(out: np.ndarray, scratch: np.ndarray, x: np.ndarray) -> None:
    if x.dtype == np.float64:
        out[...] = reference.erf(np, x)
        return
    y, small = scratch[3], scratch[1]
    np.abs(x, out=y)
    is_small = np.less(y, _ERF_SMALL)
    y *= math.sqrt(2.0)
    _upper_bound(y, _TAIL_BOUND, y)
    _tail(out, scratch, y)
    out *= -2
    out += 1
    np.copysign(out, x, out=out)
    np.multiply(x, x, out=y)
    horner_into(small, _ERF_SERIES, y)
    small *= x
    # A choice by bits: out ^ ((out ^ small) & mask).
    bits, other = out.view(np.int32), small.view(np.int32)
    other ^= bits
    other &= np.negative(is_small.view(np.int8))
    bits ^= other


_relu_blocks = elementwise(_relu, 0)


def _relu_kernel(x: np.ndarray) -> np.ndarray:
    if x.size > _FEW:
        return _relu_blocks(x)
    out = np.maximum(x, 0)
    out += 0
    return out


erf: Final[Kernel] = elementwise(_erf, 4)

ACTIVATIONS: Final[dict[str, Kernel]] = {
    "relu": _relu_kernel,
    "relu_grad": elementwise(_relu_grad, 0),
    "sigmoid": elementwise(_sigmoid, 1),
    "sigmoid_grad": elementwise(_sigmoid_grad, 0),
    "tanh_grad": elementwise(_tanh_grad, 1),
    "silu": elementwise(_silu, 1),
    "silu_grad": elementwise(_silu_grad, 2),
    "gelu": elementwise(_gelu, 4),
    "gelu_grad": elementwise(_gelu_grad, 4),
    "softplus": elementwise(_softplus, 3),
}
