"""Random words against `numpy.random.Philox`, normal numbers against their exact inverse."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from isograd.backend import normal
from isograd.backend.normal import normal_from_uniform, normal_from_words

mpmath = pytest.importorskip("mpmath", reason="the reference with more digits")

F32, F64 = np.float32, np.float64
KEYS = [(0, 0), (3, 5), (2**64 - 1, 2**63 + 12345), (1, 2**32)]


def key_of(seed: int, stream: int) -> np.ndarray:
    return np.array([seed, stream], np.uint64)


def words_of(key: tuple[int, int], count: int) -> np.ndarray:
    return np.random.Philox(key=np.array(key, np.uint64)).random_raw(count)


def run(lib: Any, name: str, *arrays: np.ndarray, **static: Any) -> np.ndarray:
    return lib.host(lib.kernel(name)(*map(lib.array, arrays), **static))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (0, 2), (20000,)])
def test_words_are_those_of_numpy(lib: Any, key: tuple[int, int], shape: Any) -> None:
    count = math.prod(shape)
    words = words_of(key, count)
    out = run(lib, "random_bits", key_of(*key), shape=shape, bits=64)
    assert (out.dtype, out.shape) == (np.uint64, shape)
    np.testing.assert_array_equal(out.ravel(), words)
    out = run(lib, "random_bits", key_of(*key), shape=shape, bits=32)
    assert (out.dtype, out.shape) == (np.uint32, shape)
    halves = np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=1)
    np.testing.assert_array_equal(out.ravel(), halves.ravel()[:count])


def test_a_stream_does_not_depend_on_what_was_drawn_before(lib: Any) -> None:
    draw = {"shape": (5,), "bits": 32}
    first = run(lib, "random_bits", key_of(9, 1), **draw)
    run(lib, "random_normal", key_of(9, 2), shape=(3,), dtype=np.dtype(F64))
    np.testing.assert_array_equal(run(lib, "random_bits", key_of(9, 1), **draw), first)


def scalar_normal(word: int) -> float:
    """Follow the definition in `isograd.backend.normal` one operation at a time."""

    def horner(coefficients: tuple[float, ...], r: float) -> float:
        out = coefficients[-1]
        for coefficient in coefficients[-2::-1]:
            out = out * r
            out = out + coefficient
        return out

    q = ((word >> 12) - (2**51 - 0.5)) * 2.0**-52
    a = abs(q)
    if a <= normal.CENTRAL_LIMIT:
        r = normal.CENTRAL_SHIFT - q * q
        ratio = horner(normal.CENTRAL_NUMERATOR, r) / horner(normal.CENTRAL_DENOMINATOR, r)
        return q * ratio
    m, k = math.frexp(0.5 - a)
    e = -k
    if m < normal.SQRT_HALF:
        m, e = m + m, e + 1
    s = (m - 1) / (m + 1)
    p = s * s
    u = math.sqrt(e * normal.LN2 - 2 * (s + (s * p) * horner(normal.LOG_SERIES, p)))
    if u <= normal.TAIL_LIMIT:
        u = u - normal.TAIL_SHIFT
        z = horner(normal.TAIL_NUMERATOR, u) / horner(normal.TAIL_DENOMINATOR, u)
    else:
        u = u - normal.FAR_SHIFT
        z = horner(normal.FAR_NUMERATOR, u) / horner(normal.FAR_DENOMINATOR, u)
    return -z if q < 0 else z


def some_words() -> np.ndarray:
    """Return random words, and those with extreme top bits, where the tails are."""
    powers = np.uint64(1) << np.arange(64, dtype=np.uint64)
    low = np.arange(100, dtype=np.uint64) << np.uint64(12)
    return np.concatenate([words_of((1, 2), 3000), powers, ~powers, low, ~low])


def test_normals_have_the_bits_of_the_definition() -> None:
    words = some_words()
    expected = np.array([scalar_normal(int(word)) for word in words])
    out = np.empty(words.size)
    normal_from_words(words, out)
    np.testing.assert_array_equal(out, expected)
    q = ((words >> np.uint64(12)).astype(F64) - (2.0**51 - 0.5)) * 2.0**-52
    np.testing.assert_array_equal(normal_from_uniform(np, q), expected)
    assert np.abs(out).max() == pytest.approx(8.2095, abs=1e-4)


def test_normals_are_symmetric() -> None:
    words = some_words()
    out, mirrored = np.empty(words.size), np.empty(words.size)
    normal_from_words(words, out)
    normal_from_words(~words, mirrored)
    np.testing.assert_array_equal(out, -mirrored)


def test_normals_are_the_inverse_of_the_distribution_function() -> None:
    words = np.concatenate([some_words()[:150], some_words()[-330:]])
    out = np.empty(words.size)
    normal_from_words(words, out)
    with mpmath.workdps(40):
        for word, z in zip(words.tolist(), out.tolist(), strict=True):
            q = (mpmath.mpf(word >> 12) - (mpmath.mpf(2) ** 51 - 0.5)) * mpmath.mpf(2) ** -52
            magnitude = mpmath.mpf(abs(z))
            # One step of Newton's method from z shows how far it is from the exact inverse.
            excess = mpmath.ncdf(-magnitude) - (0.5 - abs(q))
            assert abs(excess / mpmath.npdf(magnitude)) <= 1e-15 * magnitude
            assert (z > 0) == (q > 0)


def test_normals_agree_with_the_standard_library() -> None:
    words = words_of((4, 4), 500)
    out = np.empty(words.size)
    normal_from_words(words, out)
    inverse = NormalDist().inv_cdf
    expected = [inverse(((int(word) >> 12) + 0.5) * 2.0**-52) for word in words]
    np.testing.assert_allclose(out, expected, rtol=2e-15)


def test_moments_of_normals() -> None:
    n = 1_000_000
    z = np.empty(n)
    normal_from_words(words_of((2026, 11), n), z)
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - expected) < 4 * math.sqrt(variance / n)


@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (2, 20001)])
def test_normal_kernels_round_the_float64_numbers(lib: Any, shape: Any) -> None:
    expected = np.empty(math.prod(shape))
    normal_from_words(words_of((7, 8), expected.size), expected)
    key = key_of(7, 8)
    out = run(lib, "random_normal", key, shape=shape, dtype=np.dtype(F64))
    assert (out.dtype, out.shape) == (F64, shape)
    if lib.name == "torch":  # its square root is not always the correctly rounded one
        np.testing.assert_allclose(out.ravel(), expected, rtol=1e-15)
        return
    np.testing.assert_array_equal(out.ravel(), expected)
    single = run(lib, "random_normal", key, shape=shape, dtype=np.dtype(F32))
    np.testing.assert_array_equal(single.ravel(), expected.astype(F32))
    half = run(lib, "random_normal", key, shape=shape, dtype=np.dtype(np.float16))
    np.testing.assert_array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("p", [0.1, 0.5, 1 - 2.0**-20])
@pytest.mark.parametrize("shape", [(), (3, 7), (2, 20001)])
def test_dropout_is_a_function_of_key_and_position(lib: Any, p: float, shape: Any) -> None:
    x = np.random.default_rng(1).standard_normal(shape).astype(F32)
    halves = words_of((5, 6), x.size).view(np.uint32)[: x.size].reshape(shape)
    expected = np.where(halves >= p * 2.0**32, x * F32(1 / (1 - p)), F32(0))
    out = run(lib, "dropout", x, key_of(5, 6), p=p)
    assert out.dtype == F32
    np.testing.assert_allclose(out, expected, rtol=3e-7)
    np.testing.assert_array_equal(out == 0, expected == 0)
    turned = np.asarray(np.asfortranarray(x))
    np.testing.assert_array_equal(run(lib, "dropout", turned, key_of(5, 6), p=p), out)


def test_dropout_at_its_bounds(lib: Any) -> None:
    x = np.array([1.0, math.nan, math.inf], F32)
    np.testing.assert_array_equal(run(lib, "dropout", x, key_of(1, 1), p=0.0), x)
    np.testing.assert_array_equal(run(lib, "dropout", x, key_of(1, 1), p=1.0), np.zeros(3, F32))
    bad = np.full(1000, math.nan, F32)
    out = run(lib, "dropout", bad, key_of(1, 1), p=0.5)
    assert set(out[~np.isnan(out)].tolist()) == {0.0}  # what is dropped is 0, whatever it was
    half = run(lib, "dropout", np.ones(8, np.float16), key_of(1, 1), p=0.25)
    assert half.dtype == np.float16
    assert set(half.tolist()) <= {0.0, float(np.float16(4 / 3))}
