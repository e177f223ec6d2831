"""Philox4x64-10 over any array namespace: random words as a function of key and position alone.

J. K. Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", 2011. Word ``i`` is the one
that ``numpy.random.Philox(key=[seed, stream]).random_raw()`` yields as its ``i``-th: lane ``i % 4``
of the block whose counter is ``i // 4 + 1``.

A 64-bit word is held as two int64 arrays of its 32-bit halves, so that nothing beyond signed 64-bit
arithmetic is needed. Products of halves wrap; shift and mask recover their bits.
"""

from __future__ import annotations

from typing import Any, Final

from isograd.backend.protocols import Array
from isograd.backend.xp.common import cast

__all__ = ["philox_halves"]

MULTIPLIERS: Final = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL: Final = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
ROUNDS: Final = 10

_LOW: Final = 0xFFFFFFFF

Word = tuple[Array, Array]
"""High and low 32 bits, each an int64 array of values in [0, 2**32)."""


def _high(product: Array) -> Array:
    return (product >> 32) & _LOW


def _multiply(constant: int, word: Word) -> tuple[Word, Word]:
    """Return the high and the low word of the 128-bit product."""
    high, low = word
    c_high, c_low = constant >> 32, constant & _LOW
    low_low, low_high = low * c_low, high * c_low
    high_low, high_high = low * c_high, high * c_high
    middle = _high(low_low) + (low_high & _LOW) + (high_low & _LOW)
    upper = (middle >> 32) + _high(low_high) + _high(high_low) + (high_high & _LOW)
    return (
        ((upper >> 32) + _high(high_high), upper & _LOW),
        (middle & _LOW, low_low & _LOW),
    )


def _add(word: Word, constant: int) -> Word:
    low = word[1] + (constant & _LOW)
    return (word[0] + (constant >> 32) + (low >> 32)) & _LOW, low & _LOW


def _xor(a: Word, b: Word, c: Word) -> Word:
    return a[0] ^ b[0] ^ c[0], a[1] ^ b[1] ^ c[1]


def philox_halves(xp: Any, key: Array, count: int, /) -> Word:
    """Return the first ``count`` words of a stream, as their halves.

    Parameters
    ----------
    xp
        Array-API namespace with int64.
    key
        uint64, shape ``(2,)``: seed and stream.
    count
        Number of words.

    Returns
    -------
    tuple of Array
        High and low 32 bits, int64 of shape ``(count,)`` each.

    Examples
    --------
    >>> import numpy as np
    >>> high, low = philox_halves(np, np.array([3, 5], np.uint64), 2)
    >>> words = np.random.Philox(key=[3, 5]).random_raw(2)
    >>> [int(h) << 32 | int(l) for h, l in zip(high, low)] == words.tolist()
    True
    """
    signed = cast(xp, key, xp.int64)
    halves = (_high(signed), signed & _LOW)
    keys = [(halves[0][i : i + 1], halves[1][i : i + 1]) for i in range(2)]
    counter = xp.arange(1, -(-count // 4) + 1, dtype=xp.int64, device=key.device)
    zero = xp.zeros_like(counter)
    lanes: list[Word] = [(_high(counter), counter & _LOW), (zero, zero), (zero, zero), (zero, zero)]
    for step in range(ROUNDS):
        if step:
            keys = [_add(keys[i], WEYL[i]) for i in range(2)]
        high_0, low_0 = _multiply(MULTIPLIERS[0], lanes[0])
        high_1, low_1 = _multiply(MULTIPLIERS[1], lanes[2])
        lanes = [
            _xor(high_1, lanes[1], keys[0]),
            low_1,
            _xor(high_0, lanes[3], keys[1]),
            low_0,
        ]
    high, low = (xp.reshape(xp.stack([lane[i] for lane in lanes], axis=1), (-1,)) for i in range(2))
    return high[:count], low[:count]
