"""Random words, normal numbers and dropout: the bits of NumPy's Philox and of the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd.backend import xp_kernels
from isograd.backend.normal import normal_from_words
from isograd_numba import _random
from isograd_numba._jit import compiled
from isograd_numba._random import TILE, _tail, random_kernels
from isograd_numpy.kernels import numpy_kernels

Array = Any

REFERENCE = numpy_kernels()
KERNELS = random_kernels(REFERENCE)
DTYPES = ["float32", "float64"]
KEYS = [(0, 0), (3, 5), (2**64 - 1, 2**63), (2**32, 2**33 + 1)]
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 127, 128, 129, TILE - 1, TILE, TILE + 1, TILE + 9, 5 * TILE + 3]


@pytest.fixture(autouse=True)
def _always_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_random, "SMALLEST", 1)


def words(key: tuple[int, int], count: int) -> Array:
    return np.random.Philox(key=list(key)).random_raw(count)


@pytest.mark.parametrize("key", KEYS)
def test_words_are_numpys(key: tuple[int, int]) -> None:
    array = np.array(key, np.uint64)
    for size in SIZES:
        out = KERNELS["random_bits"](array, shape=(size,), bits=64)
        np.testing.assert_array_equal(out, words(key, size))
        halves = KERNELS["random_bits"](array, shape=(size,), bits=32)
        expected = words(key, -(-size // 2)).astype("<u8").view("<u4")[:size]
        np.testing.assert_array_equal(halves, expected)
        assert (out.dtype, halves.dtype) == (np.uint64, np.uint32)
    assert KERNELS["random_bits"](array, shape=(3, 0), bits=32).shape == (3, 0)
    shaped = KERNELS["random_bits"](array, shape=(4, 5), bits=32)
    np.testing.assert_array_equal(shaped.ravel(), expected[:20])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("key", KEYS)
def test_normal_numbers_have_the_bits_of_the_definition(key: tuple[int, int], dtype: str) -> None:
    array = np.array(key, np.uint64)
    for size in SIZES:
        static = {"shape": (size,), "dtype": np.dtype(dtype)}
        out = KERNELS["random_normal"](array, **static)
        np.testing.assert_array_equal(out, REFERENCE["random_normal"](array, **static))
        assert out.dtype == dtype


def test_far_tails_have_the_bits_of_the_definition() -> None:
    # A million words reach beyond five standard deviations, where the third approximation holds.
    static = {"shape": (1000, 1000), "dtype": np.dtype("float64")}
    key = np.array([1, 2], np.uint64)
    out = KERNELS["random_normal"](key, **static)
    np.testing.assert_array_equal(out, REFERENCE["random_normal"](key, **static))
    assert np.max(np.abs(out)) > 4.5
    assert abs(np.mean(out)) < 4e-3
    assert abs(np.std(out) - 1) < 4e-3
    head = xp_kernels(np)["random_normal"](key, shape=(50_000,), dtype=np.dtype("float64"))
    np.testing.assert_array_equal(out.reshape(-1)[:50_000], head)


@compiled("float64[::1], float64[::1]", grain=1 << 20)
def _tails(start: int, stop: int, t: Array, out: Array) -> None:
    for i in range(start, stop):
        out[i] = _tail(t[i])


def test_rarest_words() -> None:
    words_ = np.array([0, 1, 2**12, 3 * 2**12, 2**13, 2**30, 2**45, 2**52, 2**60], np.uint64)
    q = ((words_ >> np.uint64(12)).astype(np.float64) - (2.0**51 - 0.5)) * 2.0**-52
    out, expected = np.empty(words_.size), np.empty(words_.size)
    _tails[()](words_.size, 0.5 - np.abs(q), out)
    normal_from_words(words_, expected)
    np.testing.assert_array_equal(-out, expected)
    assert expected[0] < -8.2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.0, 1e-12, 0.1, 0.5, 1 - 2.0**-32, 1 - 2.0**-40, 1.0])
def test_dropout_keeps_by_the_halves_of_words(
    p: float, dtype: str, rng: np.random.Generator
) -> None:
    key = (3, 5)
    for size in SIZES:
        x = rng.standard_normal(size).astype(dtype)
        out = KERNELS["dropout"](x, np.array(key, np.uint64), p=p)
        halves = words(key, -(-size // 2)).astype("<u8").view("<u4")[:size]
        if p == 1.0:
            expected = np.zeros_like(x)
        else:
            scaled = x * np.asarray(1 / (1 - p), dtype)
            expected = np.where(halves >= np.ceil(p * 2.0**32), scaled, np.zeros_like(x))
        np.testing.assert_array_equal(out, expected)
        assert out.dtype == dtype


def test_dropout_of_any_layout(
    rng: np.random.Generator, layouts: Callable[[Array], list[Array]]
) -> None:
    x = rng.standard_normal((20, 30, 11)).astype(np.float32)
    key = np.array([7, 8], np.uint64)
    mask = KERNELS["dropout"](np.ones_like(x), key, p=0.5)
    for view in (x, *layouts(x)):
        np.testing.assert_array_equal(KERNELS["dropout"](view, key, p=0.5), view * mask)


def test_dropped_infinities_and_nan_are_zero() -> None:
    x = np.full(1000, np.nan)
    x[::2] = np.inf
    key = np.array([7, 8], np.uint64)
    dropped = KERNELS["dropout"](np.ones(1000), key, p=0.5) == 0
    out = KERNELS["dropout"](x, key, p=0.5)
    assert not np.any(out[dropped])
    assert not np.any(np.isfinite(out[~dropped]))


def test_small_arrays_and_other_dtypes_go_to_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_random, "SMALLEST", 1000)
    key = np.array([1, 2], np.uint64)
    half = np.ones(2000, np.float16)
    out = KERNELS["dropout"](half, key, p=0.5)
    assert out.dtype == np.float16
    np.testing.assert_array_equal(out, REFERENCE["dropout"](half, key, p=0.5))
    normal = KERNELS["random_normal"](key, shape=(2000,), dtype=np.dtype("float16"))
    assert normal.dtype == np.float16
    small = KERNELS["random_bits"](key, shape=(999,), bits=64)
    np.testing.assert_array_equal(small, words((1, 2), 999))


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_change_bits(
    dtype: str,
    rng: np.random.Generator,
    for_any_threads: Callable[[Callable[[], Any]], Any],
) -> None:
    key = np.array([9, 10], np.uint64)
    x = rng.standard_normal(100_003).astype(dtype)
    for_any_threads(lambda: KERNELS["dropout"](x, key, p=0.3))
    static = {"shape": (100_003,), "dtype": np.dtype(dtype)}
    for_any_threads(lambda: KERNELS["random_normal"](key, **static))
    for_any_threads(lambda: KERNELS["random_bits"](key, shape=(100_003,), bits=32))
