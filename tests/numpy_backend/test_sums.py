"""Sums: one fixed tree, whatever the memory layout, with an error that hardly grows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

F32, F64 = np.float32, np.float64


def pairwise(terms: np.ndarray) -> Any:
    """Add as the tree is defined: halves, blocks of 128 with eight running sums, pairs of those."""
    n = len(terms)
    if n < 8:
        out = terms.dtype.type(-0.0)
        for term in terms:
            out = out + term
        return out
    if n > 128:
        half = n // 2 - n // 2 % 8
        return pairwise(terms[:half]) + pairwise(terms[half:])
    lanes = terms[:8].copy()
    for start in range(8, n - n % 8, 8):
        lanes += terms[start : start + 8]
    out = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + (
        (lanes[4] + lanes[5]) + (lanes[6] + lanes[7])
    )
    for term in terms[n - n % 8 :]:
        out = out + term
    return out


def layouts(x: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the same values with other strides."""
    yield x
    yield np.asfortranarray(x)
    turn = (slice(None, None, -1),) * x.ndim
    yield x[turn].copy()[turn]
    wide = np.zeros([2 * n for n in x.shape], x.dtype)
    wide[(slice(None, None, 2),) * x.ndim] = x
    yield wide[(slice(None, None, 2),) * x.ndim]
    yield np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0)


# Beside each other: few and many terms, few and many sums, on both sides of every threshold.
SHAPES: list[tuple[int, ...]] = [
    (1000,),
    (70, 300),
    (64, 64),
    (65, 64),
    (129, 100),
    (2000, 7),
    (7, 2000),
    (2000, 3),
    (40000, 2),
    (700, 200),
    (5, 300, 64),
    (4, 300, 3),
    (7, 9, 11, 13),
    (1, 5000),
    (0, 3),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_do_not_depend_on_the_layout(kernels: Any, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(F32)
    for count in range(1, len(shape) + 1):
        for axis in itertools.combinations(range(len(shape)), count):
            expected = np.sum(x, axis=axis, dtype=F64, keepdims=True)
            results = [kernels["sum"](a, axis=axis, keepdims=True) for a in layouts(x)]
            np.testing.assert_allclose(results[0], expected, rtol=1e-5, atol=1e-4)
            assert results[0].dtype == F32
            for result in results[1:]:
                np.testing.assert_array_equal(result, results[0], str(axis))
            flat = kernels["sum"](x, axis=axis, keepdims=False)
            np.testing.assert_array_equal(flat, results[0].reshape(flat.shape))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 127, 128, 129, 136, 1000, 5003, 20007])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_the_tree_is_the_one_described(kernels: Any, n: int, dtype: Any) -> None:
    x = np.random.default_rng(n).standard_normal((n, 70)).astype(dtype)
    rows = kernels["sum"](x, axis=(0,), keepdims=False)
    columns = kernels["sum"](x.T.copy(), axis=(1,), keepdims=False)
    for i in (0, 33, 69):
        expected = pairwise(x[:, i])
        assert rows[i] == expected
        assert columns[i] == expected
        assert kernels["sum"](x[:, i], axis=(0,), keepdims=False) == expected


@pytest.mark.parametrize(("shape", "axis"), [((2**17, 80), 0), ((2, 2**20), 1)])
def test_the_error_hardly_grows(kernels: Any, shape: tuple[int, int], axis: int) -> None:
    exact = shape[axis] * float(F32(0.1))
    out = kernels["sum"](np.full(shape, 0.1, F32), axis=(axis,), keepdims=False)
    assert np.abs(out / exact - 1).max() < 1e-6  # a running sum is wrong by 1e-3 and more


def test_half_sums_are_rounded_once(kernels: Any) -> None:
    x = np.full((60000, 1), 0.1, np.float16)
    out = kernels["sum"](x, axis=(0,), keepdims=False)
    assert out[0] == np.float16(60000 * float(np.float16(0.1)))


def test_softmax_and_logsumexp_use_the_same_tree(kernels: Any) -> None:
    x = np.random.default_rng(0).standard_normal((300, 200)).astype(F32)
    for name in ("softmax", "log_softmax"):
        by_rows = kernels[name](x, axis=1)
        np.testing.assert_array_equal(kernels[name](x.T.copy(), axis=0).T, by_rows)
        np.testing.assert_array_equal(kernels[name](np.asfortranarray(x), axis=1), by_rows)
    by_rows = kernels["logsumexp"](x, axis=(1,), keepdims=False)
    np.testing.assert_array_equal(
        kernels["logsumexp"](x.T.copy(), axis=(0,), keepdims=False), by_rows
    )


def test_integers_keep_their_dtype(kernels: Any) -> None:
    x = np.full((3, 100), 100, np.int8)
    out = kernels["sum"](x, axis=(1,), keepdims=False)
    assert out.dtype == np.int8
    assert out.tolist() == [np.array(10000).astype(np.int8)] * 3
    out = kernels["prod"](np.full(40, 2, np.int32), axis=(0,), keepdims=False)
    assert (np.asarray(out).dtype, int(out)) == (np.int32, 0)
