"""NumPy's own kernels against the generic ones, at sizes on both sides of their thresholds."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest

from isograd.backend import IndexOutOfRangeError, xp_kernels
from isograd_numpy.common import BLOCK, keep_where

F16, F32, F64 = np.float16, np.float32, np.float64
SIZES = [1, 1024, 1025, BLOCK, BLOCK + 1, 2 * BLOCK + 7]
ULPS = 8


def random(shape: Any, dtype: Any = F32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    ("relu", {}),
    ("sigmoid", {}),
    ("silu", {}),
    ("gelu", {"approximate": "none"}),
    ("gelu", {"approximate": "tanh"}),
    ("softplus", {"beta": 1.0, "threshold": 20.0}),
    ("softplus", {"beta": 3.0, "threshold": 2.0}),
    ("erf", {}),
    ("relu_grad", {}),
    ("sigmoid_grad", {}),
    ("tanh_grad", {}),
    ("silu_grad", {}),
    ("gelu_grad", {"approximate": "none"}),
    ("gelu_grad", {"approximate": "tanh"}),
]


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(("name", "static"), ACTIVATIONS)
def test_activations(
    kernels: Any, generic: Any, name: str, static: dict[str, Any], dtype: Any
) -> None:
    for size in SIZES:
        x = 3 * random((2, size), dtype)[::-1]
        arrays = (random((2, size), dtype, 1), x) if "grad" in name else (x,)
        out = kernels[name](*arrays, **static)
        wide = [array.astype(F64) for array in arrays]
        expected = generic[name](*wide, **static)
        assert (out.shape, out.dtype) == (expected.shape, dtype)
        eps = float(np.finfo(dtype).eps)
        scale = 4 if "grad" in name else 1
        np.testing.assert_allclose(out, expected, rtol=ULPS * eps, atol=ULPS * eps * scale)


@pytest.mark.parametrize("dtype", [F16, F32, F64])
def test_keep_where_keeps_and_clears_any_bits(dtype: Any) -> None:
    x = np.array([1.5, np.nan, np.inf, -np.inf, -0.0, -2.0] * 2, dtype)
    keep = np.arange(12) < 6
    out = np.full(12, 9, dtype)
    keep_where(keep, x, out)
    np.testing.assert_array_equal(out[:6], x[:6])
    assert np.signbit(out[4])
    np.testing.assert_array_equal(out[6:], np.zeros(6, dtype))
    assert not np.signbit(out[6:]).any()


STRIDES: list[Any] = [
    lambda a: a,
    lambda a: np.asfortranarray(a),
    lambda a: a[::-1, ::-1],
    lambda a: np.broadcast_to(a[:1], a.shape),
    lambda a: np.broadcast_to(a[:1, :1], a.shape),
    lambda a: a.repeat(2, axis=1)[:, ::2],
    lambda a: a.repeat(3, axis=0)[::3],
    lambda a: np.pad(a, 1)[1:-1, 1:-1],
]


@pytest.mark.parametrize("left", STRIDES)
@pytest.mark.parametrize("right", STRIDES)
def test_matmul_of_any_strides(kernels: Any, left: Any, right: Any) -> None:
    x, y = left(random((20, 33))), right(random((33, 17), seed=1))
    expected = x.astype(F64) @ y.astype(F64)
    np.testing.assert_allclose(kernels["matmul"](x, y), expected, rtol=1e-5, atol=1e-4)
    batch = np.broadcast_to(x, (3, 20, 33))
    out = kernels["matmul"](batch, y)
    np.testing.assert_allclose(out, np.broadcast_to(expected, out.shape), rtol=1e-5, atol=1e-4)


def test_matmul_of_a_transposed_batch(kernels: Any) -> None:
    x, y = random((4, 6, 5)).transpose(0, 2, 1), random((4, 6, 3), seed=1)
    np.testing.assert_allclose(kernels["matmul"](x, y), x @ y, rtol=1e-5, atol=1e-6)
    b = random(7)
    w = random((7, 6), seed=2)
    turned = random((6, 5, 4)).T
    expected = turned.astype(F64) @ w.T.astype(F64) + b
    np.testing.assert_allclose(kernels["linear"](turned, w, b), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "count", "axis"),
    [((50, 3000), 70, 0), ((9, 5, 2000), 40, 1), ((4000, 3), 9, 1), ((70000,), 90000, 0)],
)
def test_scatter_add_in_pieces(kernels: Any, shape: Any, count: int, axis: int) -> None:
    """The flat positions are made in blocks, cut across the leading axes or across the indices."""
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, shape).astype(F32)
    indices = rng.integers(-shape[axis], shape[axis], count)
    updates = rng.integers(-9, 9, (*shape[:axis], count, *shape[axis + 1 :])).astype(F32)
    expected = x.copy()
    np.add.at(np.moveaxis(expected, axis, 0), indices, np.moveaxis(updates, axis, 0))
    out = kernels["scatter_add"](x, indices, updates, axis=axis)
    np.testing.assert_array_equal(out, expected)  # sums of small integers are exact
    turned = kernels["scatter_add"](np.asfortranarray(x), indices, updates[::-1][::-1], axis=axis)
    np.testing.assert_array_equal(turned, expected)


def test_the_last_duplicate_wins(kernels: Any) -> None:
    n = 5000
    indices = np.random.default_rng(0).integers(0, 7, n)
    updates = np.arange(2.0 * n).reshape(2, n)[:, ::-1]
    out = kernels["index_set"](np.full((2, 7), -1.0), indices, updates, axis=1)
    last = {int(i): position for position, i in enumerate(indices)}
    expected = updates[:, [last[i] for i in range(7)]]
    np.testing.assert_array_equal(out, expected)


def test_take_from_arrays_that_are_not_contiguous(kernels: Any) -> None:
    x = random((6, 5, 4)).transpose(2, 0, 1)
    indices = np.array([[5, -6], [0, 3]])
    np.testing.assert_array_equal(kernels["take"](x, indices, axis=1), np.take(x, indices, axis=1))
    with pytest.raises(IndexOutOfRangeError, match="take: index 6 is out of range for axis 1"):
        kernels["take"](x, np.array([0, 6]), axis=1)


WRITERS = ["scatter_add", "index_set", "scatter_add_along_axis"]


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_written_when_an_index_is_wrong(kernels: Any, name: str) -> None:
    x = np.zeros((3, 2))
    indices = np.array([[0, 1], [2, 3]]) if "along" in name else np.array([0, 1, 3])
    updates = np.ones((2, 2)) if "along" in name else np.ones((3, 2))
    with pytest.raises(IndexOutOfRangeError, match=f"{name}: index 3 is out of range"):
        kernels[name](x, indices, updates, axis=0)
    assert not x.any()


def test_views_are_views_and_cannot_be_written(kernels: Any) -> None:
    x = random((4, 6))
    for name, static in (
        ("broadcast_to", {"shape": (3, 4, 6)}),
        ("unfold", {"kernel": (2, 2), "stride": (1, 1), "dilation": (1, 1)}),
    ):
        for array in (x, x.T.copy().T):
            out = kernels[name](array, **static)
            assert np.shares_memory(out, array)
            assert not out.flags.writeable
    for name, static in (("reshape", {"shape": (24,)}), ("permute_dims", {"axes": (1, 0)})):
        assert np.shares_memory(kernels[name](x, **static), x)


def test_fold_in_batches(kernels: Any) -> None:
    y = random((40, 3, 12, 12, 3, 3))
    static = {"size": (14, 14), "stride": (1, 1), "dilation": (1, 1)}
    whole = kernels["fold"](y, **static)
    one = kernels["fold"](y[17:18], **static)
    np.testing.assert_array_equal(whole[17:18], one)
    x = random((40, 3, 14, 14), seed=1)
    windows = kernels["unfold"](x, kernel=(3, 3), stride=(1, 1), dilation=(1, 1))
    left = np.vdot(windows.astype(F64), y)
    assert left == pytest.approx(np.vdot(x.astype(F64), whole), rel=1e-5)  # it is the adjoint


def test_threads_draw_independently(kernels: Any) -> None:
    """Each thread has its own generator; streams do not mix."""
    shape, results = (50000,), {}

    def draw(stream: int) -> None:
        key = np.array([1, stream], np.uint64)
        for _ in range(3):
            results[stream] = kernels["random_normal"](key, shape=shape, dtype=np.dtype(F64))

    workers = [threading.Thread(target=draw, args=(stream,)) for stream in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for stream in range(4):
        key = np.array([1, stream], np.uint64)
        expected = kernels["random_normal"](key, shape=shape, dtype=np.dtype(F64))
        np.testing.assert_array_equal(results[stream], expected)


def test_softplus_is_linear_beyond_its_threshold(kernels: Any) -> None:
    x = np.array([0.7, 1.0, 1.1])
    out = kernels["softplus"](x, beta=2.0, threshold=2.0)
    assert out[2] == 1.1
    assert out[1] == pytest.approx(math.log1p(math.exp(2.0)) / 2)


def test_bfloat16() -> None:
    """Every kernel of floats runs in bfloat16, with the dtype kept, and computes in float32."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    import isograd_numpy

    half = np.dtype(ml_dtypes.bfloat16)
    kernel: Any = isograd_numpy.create().kernel
    x = random((40, 30)).astype(half)
    wide = x.astype(F32)
    generic: Any = xp_kernels(np).get
    calls: list[tuple[str, int, dict[str, Any]]] = [
        ("add", 2, {}),
        ("exp", 1, {}),
        ("maximum", 2, {}),
        ("relu", 1, {}),
        ("relu_grad", 2, {}),
        ("sigmoid", 1, {}),
        ("gelu", 1, {"approximate": "none"}),
        ("gelu_grad", 2, {"approximate": "tanh"}),
        ("erf", 1, {}),
        ("sum", 1, {"axis": (0,), "keepdims": False}),
        ("prod", 1, {"axis": (0, 1), "keepdims": True}),
        ("max", 1, {"axis": (1,), "keepdims": False}),
        ("cumsum", 1, {"axis": 0}),
        ("softmax", 1, {"axis": 1}),
        ("logsumexp", 1, {"axis": (0, 1), "keepdims": False}),
        ("round", 1, {}),
        ("flip", 1, {"axis": (0,)}),
        ("broadcast_to", 1, {"shape": (2, 40, 30)}),
        ("pad", 1, {"low": (1, 0), "high": (0, 0), "interior": (0, 1), "value": 1.0}),
        ("unfold", 1, {"kernel": (2,), "stride": (1,), "dilation": (1,)}),
    ]
    for name, count, static in calls:
        for table in (kernel, generic):
            out = np.asarray(table(name)(*[x] * count, **static))
            expected = np.asarray(kernel(name)(*[wide] * count, **static)).astype(half)
            assert out.dtype == half, name
            np.testing.assert_allclose(
                out.astype(F32), expected.astype(F32), rtol=2**-7, atol=1e-30, err_msg=name
            )
    product = kernel("matmul")(x, x.T)
    np.testing.assert_array_equal(product, (wide @ wide.T).astype(half))
    lonely = np.array([2.0, np.nan, 1.0, 3.0], half)
    assert kernel("argsort")(lonely, axis=0, descending=True).tolist() == [3, 0, 2, 1]
    assert kernel("argmax")(lonely, axis=0, keepdims=False).item() == 1
    added = kernel("scatter_add")(lonely, np.array([0, 0, 3]), np.ones(3, half), axis=0)
    assert added.dtype == half
    assert added[[0, 2, 3]].astype(F32).tolist() == [4.0, 1.0, 4.0]
