"""The softmax family: every length of rows, axes, layouts, edges, labels, any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd.backend import IndexOutOfRangeError
from isograd.testing.tolerances import TABLE, compare
from isograd_numba._lanes import LANES, SHORT
from isograd_numba._softmax import SMALLEST, TILE, softmax_kernels
from isograd_numpy.kernels import numpy_kernels

Array = Any

REFERENCE = numpy_kernels()
KERNELS = softmax_kernels(REFERENCE)
DTYPES = ["float32", "float64"]
LENGTHS = [1, 2, 10, SHORT - 1, SHORT, SHORT + 1, LANES - 1, LANES, LANES + 1, 5 * LANES + 3]
LENGTHS += [TILE - 1, TILE, TILE + 1, 2 * TILE + 5]


def _exact(name: str, *arrays: Array, axis: int) -> Array:
    """Compute in extended precision what the functions of one axis are."""
    *rest, x = (a.astype(np.longdouble) for a in arrays)
    if name == "softmax_grad":
        return x * (rest[0] - np.sum(rest[0] * x, axis, keepdims=True))
    if name == "log_softmax_grad":
        return rest[0] - np.exp(x) * np.sum(rest[0], axis, keepdims=True)
    z = x - np.max(x, axis, keepdims=True)
    total = np.sum(np.exp(z), axis, keepdims=True)
    return np.exp(z) / total if name == "softmax" else z - np.log(total)


def _check(name: str, out: Array, plain: Array, exact: Array, scale: Array, terms: int) -> None:
    exact = np.asarray(exact, np.float64)
    rule = TABLE["gradient"]
    baseline = compare(plain, exact, tolerance=rule, scale=scale).units
    result = compare(out, exact, tolerance=rule, scale=scale, terms=terms, baseline=baseline)
    assert result.ok, (name, out.shape, result)
    assert out.dtype == plain.dtype


def check(name: str, *arrays: Array, axis: int) -> Array:
    out = KERNELS[name](*arrays, axis=axis)
    exact = _exact(name, *arrays, axis=axis)
    scale = np.abs(exact).astype(np.float64)
    if name != "softmax":
        scale += np.max(np.abs(arrays[0]), axis, keepdims=True)
    _check(name, out, REFERENCE[name](*arrays, axis=axis), exact, scale, out.shape[axis])
    return out


def arguments(name: str, shape: Any, axis: int, dtype: Any, rng: np.random.Generator) -> Any:
    x = (rng.standard_normal(shape) * 4).astype(dtype)
    if not name.endswith("_grad"):
        return (x,)
    out = REFERENCE[name.removesuffix("_grad")](x, axis=axis)
    return rng.standard_normal(shape).astype(dtype), out


NAMES = ["softmax", "log_softmax", "softmax_grad", "log_softmax_grad"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_length_of_rows(name: str, dtype: str, rng: np.random.Generator) -> None:
    for n in LENGTHS:
        for rows in (-(-SMALLEST // n), -(-SMALLEST // n) + 1, TILE // n + 3):
            check(name, *arguments(name, (rows, n), 1, dtype, rng), axis=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_axis_and_layout(
    name: str, dtype: str, rng: np.random.Generator, layouts: Callable[[Array], list[Array]]
) -> None:
    for axis in (0, 1, 2):
        arrays = arguments(name, (9, 14, 33), axis, dtype, rng)
        out = check(name, *arrays, axis=axis)
        for views in zip(*(layouts(a) for a in arrays), strict=True):
            again = check(name, *views, axis=axis)
            if all(np.array_equal(a, v) for a, v in zip(arrays, views, strict=True)):
                np.testing.assert_array_equal(again, out)


@pytest.mark.parametrize("name", NAMES)
def test_small_empty_and_half_arrays(name: str, rng: np.random.Generator) -> None:
    for shape in ((2, 3), (0, 300), (300, 0)):
        arrays = [rng.standard_normal(shape)] * (2 if name.endswith("_grad") else 1)
        assert KERNELS[name](*arrays, axis=1).shape == shape
    half = [np.ones((20, 20), np.float16)] * len(arrays)
    assert KERNELS[name](*half, axis=1).dtype == np.float16


@pytest.mark.parametrize("dtype", DTYPES)
def test_edge_rows(dtype: str) -> None:
    inf, nan = np.inf, np.nan
    rows = [[1000, 1000, -inf], [-inf, -inf, -inf], [inf, 1, 2], [nan, 1, 2], [1, 2, nan]]
    x = np.zeros((5, 60), dtype) - inf
    x[:, :3] = rows
    out = KERNELS["softmax"](x, axis=1)
    np.testing.assert_array_equal(out[0, :3], [0.5, 0.5, 0])
    assert np.all(np.isnan(out[1:]))
    expected = REFERENCE["log_softmax"](x, axis=1)
    np.testing.assert_allclose(KERNELS["log_softmax"](x, axis=1), expected, rtol=1e-6)
    total = KERNELS["logsumexp"](x, axis=(1,), keepdims=False)
    np.testing.assert_allclose(total, [1000 + np.log(2), -inf, inf, nan, nan], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [(2,), (1, 2), (0, 1, 2), (0,), (1,), (0, 2)])
def test_logsumexp(
    axis: tuple[int, ...],
    dtype: str,
    rng: np.random.Generator,
    layouts: Callable[[Array], list[Array]],
) -> None:
    for shape in ((5, 8, 40), (3, 50, 50), (2, 1, 2 * TILE + 7)):
        x = (rng.standard_normal(shape) * 4).astype(dtype)
        for view in (x, *layouts(x)):
            out = KERNELS["logsumexp"](view, axis=axis, keepdims=False)
            wide = view.astype(np.longdouble)
            peak = np.max(wide, axis, keepdims=True)
            exact = np.log(np.sum(np.exp(wide - peak), axis)) + np.squeeze(peak, axis)
            plain = REFERENCE["logsumexp"](view, axis=axis, keepdims=False)
            scale = np.abs(exact).astype(np.float64) + 4.0
            _check("logsumexp", out, plain, exact, scale, x.size)
            kept = KERNELS["logsumexp"](view, axis=axis, keepdims=True)
            assert kept.shape == np.sum(x, axis, keepdims=True).shape
            np.testing.assert_array_equal(kept.reshape(out.shape), out)


LOSSES = [(-100, 0.0), (-100, 0.1), (3, 0.0), (0, 0.5)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("ignore_index", "label_smoothing"), LOSSES)
def test_cross_entropy(
    ignore_index: int, label_smoothing: float, dtype: str, rng: np.random.Generator
) -> None:
    static = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
    for n in [max(n, 4) for n in LENGTHS]:
        rows = -(-SMALLEST // n) + TILE // n + 3
        x = (rng.standard_normal((rows, n)) * 4).astype(dtype)
        g = rng.standard_normal(rows).astype(dtype)
        labels = rng.integers(0, n, rows)
        labels[::3] = ignore_index
        log_p = _exact("log_softmax", x, axis=1)
        chosen = (np.arange(n) == labels[:, None]) * (1 - label_smoothing) + label_smoothing / n
        counts = labels != ignore_index
        exact = np.where(counts, -np.sum(log_p * chosen, axis=1), 0)
        out = KERNELS["cross_entropy"](x, labels, **static)
        plain = REFERENCE["cross_entropy"](x, labels, **static)
        _check("cross_entropy", out, plain, exact, np.abs(exact).astype(np.float64) + 4.0, n)
        assert not np.any(out[~counts])
        exact = np.where(counts[:, None], g[:, None] * (np.exp(log_p) - chosen), 0)
        out = KERNELS["cross_entropy_grad"](g, x, labels, **static)
        plain = REFERENCE["cross_entropy_grad"](g, x, labels, **static)
        _check("cross_entropy_grad", out, plain, exact, np.abs(g)[:, None].astype("f8"), n)
        assert not np.any(out[~counts])


@pytest.mark.parametrize("integer", ["int32", "int64", "uint8", "int16"])
def test_labels_of_any_integer_and_layout(
    integer: str, rng: np.random.Generator, layouts: Callable[[Array], list[Array]]
) -> None:
    x = rng.standard_normal((40, 9))
    labels = rng.integers(0, 9, 40).astype(integer)
    g = rng.standard_normal(40)
    static = {"ignore_index": 4, "label_smoothing": 0.1}
    expected = KERNELS["cross_entropy"](x, labels, **static)
    gradient = KERNELS["cross_entropy_grad"](g, x, labels, **static)
    reversed_ = labels[::-1].copy()[::-1]
    np.testing.assert_array_equal(KERNELS["cross_entropy"](x, reversed_, **static), expected)
    for view in layouts(x):
        if np.array_equal(view, x):
            again = KERNELS["cross_entropy_grad"](g[::-1].copy()[::-1], view, reversed_, **static)
            np.testing.assert_array_equal(again, gradient)


def test_losses_with_infinite_logits_are_those_of_the_reference() -> None:
    inf = np.inf
    x = np.zeros((50, 5))
    x[:4, :3] = [[-inf, 0, 1], [inf, 0, 1], [-inf, -inf, 0], [np.nan, 0, 0]]
    x[4] = -inf
    for label in (0, 1):
        labels = np.full(50, label)
        for smoothing in (0.0, 0.1):
            static = {"ignore_index": -100, "label_smoothing": smoothing}
            np.testing.assert_allclose(
                KERNELS["cross_entropy"](x, labels, **static),
                REFERENCE["cross_entropy"](x, labels, **static),
                rtol=1e-12,
            )
            g = np.ones(50)
            np.testing.assert_allclose(
                KERNELS["cross_entropy_grad"](g, x, labels, **static),
                REFERENCE["cross_entropy_grad"](g, x, labels, **static),
                rtol=1e-12,
                atol=1e-15,
            )


@pytest.mark.parametrize("label", [7, 50, -1, 2**40])
def test_labels_out_of_range(label: int) -> None:
    x = np.zeros((50, 7), np.float32)
    labels = np.zeros(50, np.int64)
    labels[31] = label
    static = {"ignore_index": -100, "label_smoothing": 0.0}
    with pytest.raises(IndexOutOfRangeError, match=rf"^cross_entropy: label {label} is out"):
        KERNELS["cross_entropy"](x, labels, **static)
    with pytest.raises(IndexOutOfRangeError, match=rf"^cross_entropy_grad: label {label} is out"):
        KERNELS["cross_entropy_grad"](np.ones(50, np.float32), x, labels, **static)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(40_000, 3), (300, 700), (40, 3 * TILE)])
def test_threads_do_not_change_bits(
    shape: tuple[int, int],
    dtype: str,
    rng: np.random.Generator,
    for_any_threads: Callable[[Callable[[], Any]], Any],
) -> None:
    labels = rng.integers(0, shape[1], shape[0])
    static = {"ignore_index": 1, "label_smoothing": 0.1}
    for name in NAMES:
        arrays = arguments(name, shape, 1, dtype, rng)
        out = for_any_threads(lambda: KERNELS[name](*arrays, axis=1))  # noqa: B023
        # A row's result is a function of the row.
        rows = -(-SMALLEST // shape[1])
        head = KERNELS[name](*(a[:rows] for a in arrays), axis=1)
        np.testing.assert_array_equal(out[:rows], head)
    (x,) = arguments("softmax", shape, 1, dtype, rng)
    g = rng.standard_normal(shape[0]).astype(dtype)
    for_any_threads(lambda: KERNELS["logsumexp"](x, axis=(1,), keepdims=False))
    for_any_threads(lambda: KERNELS["cross_entropy"](x, labels, **static))
    for_any_threads(lambda: KERNELS["cross_entropy_grad"](g, x, labels, **static))
