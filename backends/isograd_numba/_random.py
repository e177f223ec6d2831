"""Random words, normal numbers and dropout from a key, computed where they are needed.

Philox4x64-10 gives four words from a counter, so any thread can begin anywhere. The words are those
of `numpy.random.Philox`; normal numbers have the bits that `isograd.backend.normal` defines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd.backend import normal as definition
from isograd_numba._arrays import FLOAT_DTYPES, contiguous, flat
from isograd_numba._jit import FLOATS, compiled, inlined
from isograd_numba._math import ZERO

__all__ = ["SMALLEST", "TILE", "random_kernels"]

Array = Any
Scalar = Any

SMALLEST: Final = 128
"""Elements from which the compiled kernels are used."""
TILE: Final = 2048
_PARTS: Final = 64

_MULTIPLIER_0: Final = np.uint64(0xD2E7470EE14C6C93)
_MULTIPLIER_1: Final = np.uint64(0xCA5A826395121157)
_WEYL_0: Final = np.uint64(0x9E3779B97F4A7C15)
_WEYL_1: Final = np.uint64(0xBB67AE8584CAA73B)
_LOW: Final = np.uint64(0xFFFFFFFF)
_32: Final = np.uint64(32)


@inlined
def _high_product(a: Scalar, b: Scalar) -> Scalar:
    """Return the upper half of the 128-bit product of two words."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _32, b & _LOW, b >> _32
    low_high, high_low = a_low * b_high, a_high * b_low
    middle = ((a_low * b_low) >> _32) + (low_high & _LOW) + (high_low & _LOW)
    return a_high * b_high + (low_high >> _32) + (high_low >> _32) + (middle >> _32)


@inlined
def _block(index: int, seed: Scalar, stream: Scalar) -> Any:
    """Return words ``4 * index`` to ``4 * index + 3`` of a stream."""
    a, b, c, d = np.uint64(index + 1), np.uint64(0), np.uint64(0), np.uint64(0)
    for _ in range(10):
        high_a, high_c = _high_product(_MULTIPLIER_0, a), _high_product(_MULTIPLIER_1, c)
        a, b, c, d = high_c ^ b ^ seed, _MULTIPLIER_1 * c, high_a ^ d ^ stream, _MULTIPLIER_0 * a
        seed += _WEYL_0
        stream += _WEYL_1
    return a, b, c, d


@compiled("uint64, uint64, uint64[::1]", grain=1 << 10)
def _words(start: int, stop: int, seed: Scalar, stream: Scalar, out: Array) -> None:
    for i in range(start, stop):
        a, b, c, d = _block(i, seed, stream)
        if 4 * i + 3 < out.size:
            out[4 * i] = a
            out[4 * i + 1] = b
            out[4 * i + 2] = c
            out[4 * i + 3] = d
        else:
            out[4 * i] = a
            if 4 * i + 1 < out.size:
                out[4 * i + 1] = b
            if 4 * i + 2 < out.size:
                out[4 * i + 2] = c


_CENTRAL_LIMIT: Final = definition.CENTRAL_LIMIT
_CENTRAL_SHIFT: Final = definition.CENTRAL_SHIFT
_CENTRAL_NUMERATOR: Final = definition.CENTRAL_NUMERATOR
_CENTRAL_DENOMINATOR: Final = definition.CENTRAL_DENOMINATOR
_TAIL_LIMIT: Final = definition.TAIL_LIMIT
_TAIL_SHIFT: Final = definition.TAIL_SHIFT
_TAIL_NUMERATOR: Final = definition.TAIL_NUMERATOR
_TAIL_DENOMINATOR: Final = definition.TAIL_DENOMINATOR
_FAR_SHIFT: Final = definition.FAR_SHIFT
_FAR_NUMERATOR: Final = definition.FAR_NUMERATOR
_FAR_DENOMINATOR: Final = definition.FAR_DENOMINATOR
_SQRT_HALF_BITS: Final = int(np.float64(definition.SQRT_HALF).view(np.int64))
_LN2: Final = definition.LN2
_LOG_SERIES: Final = definition.LOG_SERIES
_ONE_BITS: Final = np.uint64(0x3FF0000000000000)
_12: Final = np.uint64(12)


@inlined
def _horner(c: Any, x: Scalar) -> Scalar:
    out = c[len(c) - 1]
    for i in range(len(c) - 2, -1, -1):
        out = out * x + c[i]
    return out


@inlined
def _tail(t: Scalar) -> Scalar:
    """Return the magnitude beyond which a normal number lies with probability ``t``."""
    bits = np.float64(t).view(np.int64)
    k = (bits - _SQRT_HALF_BITS) >> 52
    m, e = np.int64(bits - (k << 52)).view(np.float64), float(-k)
    s = (m - 1.0) / (m + 1.0)
    p = s * s
    u = math.sqrt(e * _LN2 - 2.0 * (s + (s * p) * _horner(_LOG_SERIES, p)))
    if u <= _TAIL_LIMIT:
        u -= _TAIL_SHIFT
        return _horner(_TAIL_NUMERATOR, u) / _horner(_TAIL_DENOMINATOR, u)
    u -= _FAR_SHIFT
    return _horner(_FAR_NUMERATOR, u) / _horner(_FAR_DENOMINATOR, u)


@inlined
def _uniform(word: Scalar) -> Scalar:
    """Return the definition's ``q``; both subtractions are exact."""
    return (np.uint64((word >> _12) | _ONE_BITS).view(np.float64) - 1.5) + 2.0**-53


@compiled("uint64, uint64, int64, float64[::1], T[::1]", T=FLOATS, grain=2)
def _normals(
    start: int, stop: int, seed: Scalar, stream: Scalar, parts: int, scratch: Array, out: Array
) -> None:
    tiles = (out.size + TILE - 1) // TILE
    for part in range(start, stop):
        space = part * TILE
        for tile in range(part * tiles // parts, (part + 1) * tiles // parts):
            first = tile * TILE
            width = min(TILE, out.size - first)
            for i in range(TILE // 4 if width == TILE else (width + 3) // 4):
                a, b, c, d = _block(first // 4 + i, seed, stream)
                scratch[space + 4 * i] = _uniform(a)
                scratch[space + 4 * i + 1] = _uniform(b)
                scratch[space + 4 * i + 2] = _uniform(c)
                scratch[space + 4 * i + 3] = _uniform(d)
            for i in range(width):
                q = scratch[space + i]
                r = _CENTRAL_SHIFT - q * q
                ratio = _horner(_CENTRAL_NUMERATOR, r) / _horner(_CENTRAL_DENOMINATOR, r)
                out[first + i] = q * ratio
            for i in range(width):
                q = scratch[space + i]
                if abs(q) > _CENTRAL_LIMIT:
                    z = _tail(0.5 - abs(q))
                    out[first + i] = -z if q < 0.0 else z


@compiled("T[::1], uint64, uint64, uint32, T, int64, uint32[::1], T[::1]", T=FLOATS, grain=2)
def _dropout(
    start: int,
    stop: int,
    x: Array,
    seed: Scalar,
    stream: Scalar,
    limit: Scalar,
    scale: Scalar,
    parts: int,
    scratch: Array,
    out: Array,
) -> None:
    tiles = (x.size + TILE - 1) // TILE
    for part in range(start, stop):
        space = part * TILE
        for tile in range(part * tiles // parts, (part + 1) * tiles // parts):
            first = tile * TILE
            width = min(TILE, x.size - first)
            for i in range(TILE // 8 if width == TILE else (width + 7) // 8):
                a, b, c, d = _block(first // 8 + i, seed, stream)
                scratch[space + 8 * i] = a
                scratch[space + 8 * i + 1] = a >> _32
                scratch[space + 8 * i + 2] = b
                scratch[space + 8 * i + 3] = b >> _32
                scratch[space + 8 * i + 4] = c
                scratch[space + 8 * i + 5] = c >> _32
                scratch[space + 8 * i + 6] = d
                scratch[space + 8 * i + 7] = d >> _32
            for i in range(width):
                kept = x[first + i] * scale
                out[first + i] = kept if scratch[space + i] >= limit else ZERO


def _parts(size: int) -> int:
    return min(-(-size // TILE), _PARTS)


def random_kernels(reference: Mapping[str, Kernel], /) -> dict[str, Kernel]:
    """Return the compiled kernels of these primitives.

    Parameters
    ----------
    reference
        Kernels by primitive that take what the compiled ones leave: small arrays, other dtypes.

    Returns
    -------
    dict
        From the primitive's name to its kernel.
    """

    def random_bits(key: Array, *, shape: tuple[int, ...], bits: int) -> Array:
        count = math.prod(shape)
        if count < SMALLEST:
            return reference["random_bits"](key, shape=shape, bits=bits)
        out = np.empty(count if bits == 64 else (count + 1) // 2, np.uint64)
        _words[()](-(-out.size // 4), int(key[0]), int(key[1]), out)
        if bits == 32:  # the low half is the first, whatever the order of bytes
            out = out.astype("<u8", copy=False).view("<u4").astype(np.uint32, copy=False)[:count]
        return out.reshape(shape)

    def random_normal(key: Array, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if math.prod(shape) < SMALLEST or dtype not in FLOAT_DTYPES:
            return reference["random_normal"](key, shape=shape, dtype=dtype)
        out = np.empty(shape, dtype)
        parts = _parts(out.size)
        numbers = (int(key[0]), int(key[1]), parts, np.empty(parts * TILE))
        _normals[dtype](parts, *numbers, out.ravel())
        return out

    def dropout(x: Array, key: Array, *, p: float) -> Array:
        limit = math.ceil(p * 2.0**32)
        if x.size < SMALLEST or x.dtype not in FLOAT_DTYPES or p == 0 or limit >= 2**32:
            return reference["dropout"](x, key, p=p)
        out, flat_out, flat_x = flat(contiguous(x))
        parts = _parts(x.size)
        numbers = (int(key[0]), int(key[1]), limit, 1.0 / (1.0 - p), parts)
        _dropout[x.dtype](parts, flat_x, *numbers, np.empty(parts * TILE, np.uint32), flat_out)
        return out

    return {"random_bits": random_bits, "random_normal": random_normal, "dropout": dropout}
