"""Sums over any axes: every size near a block, layouts, accuracy, any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd.testing.tolerances import TABLE, compare
from isograd_numba import _reductions
from isograd_numba._lanes import LANES, SHORT
from isograd_numba._reductions import BLOCK, HEIGHT, WIDTH, reduction_kernels
from isograd_numpy.kernels import numpy_kernels

Array = Any

REFERENCE = numpy_kernels()
SUM = reduction_kernels(REFERENCE)["sum"]
DTYPES = ["float32", "float64"]


@pytest.fixture
def _always_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reductions, "SMALLEST", 1)
    monkeypatch.setattr(_reductions, "SMALLEST_ALONG", 1)


def check(x: Array, axis: tuple[int, ...]) -> Array:
    out = SUM(x, axis=axis, keepdims=False)
    wide = x.astype(np.longdouble)
    exact = np.asarray(np.sum(wide, axis), np.float64)
    scale = np.asarray(np.sum(np.abs(wide), axis), np.float64)
    terms = max(x.size // max(exact.size, 1), 1)
    plain = REFERENCE["sum"](x, axis=axis, keepdims=False)
    rule = TABLE["sum"]
    baseline = compare(plain, exact, tolerance=rule, scale=scale, terms=terms).units
    got = compare(out, exact, tolerance=rule, scale=scale, terms=terms, baseline=baseline)
    assert got.ok, (x.shape, axis, got)
    assert out.dtype == x.dtype
    return out


@pytest.mark.usefixtures("_always_compiled")
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_length_of_rows(dtype: str, rng: np.random.Generator) -> None:
    lengths = [*range(1, 20), SHORT - 1, SHORT, SHORT + 1, LANES - 1, LANES, LANES + 1]
    lengths += [1000, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77]
    for n in lengths:
        for rows in (1, 3):
            x = rng.standard_normal((rows, n)).astype(dtype)
            check(x, (1,))
            check(x, (0, 1))


@pytest.mark.usefixtures("_always_compiled")
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_of_rows(dtype: str, rng: np.random.Generator) -> None:
    for n in (1, 2, 3, 4, 5, 6, HEIGHT - 1, HEIGHT, HEIGHT + 1, 3 * HEIGHT + 5, HEIGHT**2 + 1):
        for columns in (2, 3, 17):
            check(rng.standard_normal((n, columns)).astype(dtype), (0,))
    for columns in (WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH + 3):
        check(rng.standard_normal((2, HEIGHT + 2, columns)).astype(dtype), (1,))


@pytest.mark.usefixtures("_always_compiled")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "axis", [(0,), (1,), (3,), (0, 1), (1, 2), (2, 3), (0, 2), (0, 2, 3), (1, 3), (0, 1, 2, 3), ()]
)
def test_any_axes_and_layouts(
    axis: tuple[int, ...],
    dtype: str,
    rng: np.random.Generator,
    layouts: Callable[[Array], list[Array]],
) -> None:
    x = rng.standard_normal((5, 70, 1, 9)).astype(dtype)
    out = check(x, axis)
    assert SUM(x, axis=axis, keepdims=True).shape == np.sum(x, axis, keepdims=True).shape
    for view in layouts(x):
        again = check(view, axis)
        if np.array_equal(view, x):  # a sum is a function of the values and the shape
            np.testing.assert_array_equal(again, out)


@pytest.mark.usefixtures("_always_compiled")
def test_empty_arrays(rng: np.random.Generator) -> None:
    assert SUM(np.ones((0, 3)), axis=(0,), keepdims=False).tolist() == [0, 0, 0]
    assert SUM(np.ones((3, 0)), axis=(0,), keepdims=False).shape == (0,)
    assert SUM(np.ones((3, 0)), axis=(1,), keepdims=True).tolist() == [[0], [0], [0]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity(dtype: str) -> None:
    x = np.ones((4, 30_000), dtype)
    x[0, 7], x[1, 8], x[2, 9], x[2, 20_000] = np.nan, np.inf, np.inf, -np.inf
    out = SUM(x, axis=(1,), keepdims=False)
    np.testing.assert_array_equal(out, [np.nan, np.inf, np.nan, 30_000])
    np.testing.assert_array_equal(SUM(x.T.copy(), axis=(0,), keepdims=False), out)
    assert np.signbit(SUM(np.full(20_000, -0.0, dtype), axis=(0,), keepdims=False))


def test_ten_million_tenths() -> None:
    x = np.broadcast_to(np.float32(0.1), (10_000_000,))
    out = SUM(x, axis=(0,), keepdims=False)
    exact = 1e7 * float(np.float32(0.1))
    assert abs(float(out) - exact) <= 4e-7 * exact
    across = SUM(x.reshape(-1, 10), axis=(0,), keepdims=False)
    np.testing.assert_allclose(across, exact / 10, rtol=4e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(300_001,), (30_000, 10), (10, 30_000), (3, 300, 400)])
def test_threads_do_not_change_bits(
    shape: tuple[int, ...],
    dtype: str,
    rng: np.random.Generator,
    for_any_threads: Callable[[Callable[[], Any]], Any],
) -> None:
    x = rng.standard_normal(shape).astype(dtype)
    for axis in {(0,), (x.ndim - 1,), tuple(range(x.ndim))}:
        for_any_threads(lambda: SUM(x, axis=axis, keepdims=False))  # noqa: B023


def test_other_dtypes_go_to_the_reference() -> None:
    x = np.ones((200, 200))
    for dtype in ("int8", "uint64", "float16", "bool", ">f4"):
        out = SUM(x.astype(dtype), axis=(0,), keepdims=False)
        np.testing.assert_array_equal(
            out, REFERENCE["sum"](x.astype(dtype), axis=(0,), keepdims=False)
        )
