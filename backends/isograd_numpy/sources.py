"""Sources, random numbers by `numpy.random.Philox`, and dropout."""

from __future__ import annotations

import math
import threading
from typing import Any, Final

import numpy as np

from isograd.backend import Device, Kernel
from isograd.backend.normal import normal_from_words
from isograd_numpy.common import BLOCK, flat, keep_where, widened

__all__ = ["SOURCES", "word_stream"]


class _Generators(threading.local):
    """A generator for each thread: setting its state is ten times faster than making one."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(key=0)


_generators = _Generators()


def word_stream(key: np.ndarray, /) -> np.random.Philox:
    """Return a generator at the start of a stream, valid until this thread's next call."""
    philox = _generators.philox
    philox.state = {
        "bit_generator": "Philox",
        "state": {"counter": np.zeros(4, np.uint64), "key": key},
        "buffer": np.zeros(4, np.uint64),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return philox


def _halves(words: np.ndarray) -> np.ndarray:
    """Return the 32-bit halves of words, low half first on any machine."""
    return words.astype("<u8", copy=False).view("<u4").astype(np.uint32, copy=False)


def _full(
    *, shape: tuple[int, ...], value: Any, dtype: np.dtype[Any], device: Device
) -> np.ndarray:
    return np.full(shape, value, dtype)


def _random_bits(key: np.ndarray, *, shape: tuple[int, ...], bits: int) -> np.ndarray:
    count = math.prod(shape)
    if bits == 32:
        return _halves(word_stream(key).random_raw((count + 1) // 2))[:count].reshape(shape)
    return word_stream(key).random_raw(count).reshape(shape)


def _random_normal(key: np.ndarray, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    single = dtype.itemsize < 8
    out = np.empty(shape, np.float32 if single else np.float64)
    target = out.reshape(-1)
    stream = word_stream(key)
    for start in range(0, target.size, BLOCK):
        part = target[start : start + BLOCK]
        normal_from_words(stream.random_raw(part.size), part)
    return out.astype(dtype, copy=False)


def _dropout(x: np.ndarray, key: np.ndarray, *, p: float) -> np.ndarray:
    if p == 0:
        return x
    out = np.zeros(x.shape, x.dtype)
    limit = math.ceil(p * 2.0**32)
    if limit >= 2**32:
        return out
    source, target = flat(x), out.reshape(-1)
    scale = 1.0 / (1.0 - p)
    stream = word_stream(key)
    for start in range(0, target.size, BLOCK):  # BLOCK is even, so every block starts with a word
        part = target[start : start + BLOCK]
        halves = _halves(stream.random_raw((part.size + 1) // 2))[: part.size]
        np.multiply(source[start : start + BLOCK], scale, out=part)
        keep_where(halves >= np.uint32(limit), part, part)
    return out


SOURCES: Final[dict[str, Kernel]] = {
    "full": _full,
    "random_bits": _random_bits,
    "random_normal": _random_normal,
    "dropout": widened(_dropout),
}
