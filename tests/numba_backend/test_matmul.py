"""The compiled matrix product: every shape, stride and batch, within the bound of its error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd_numba import _matmul, _threads
from isograd_numba._tile import Shape, shape_for
from isograd_numpy.kernels import numpy_kernels

DTYPES = ["float32", "float64"]


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.longdouble if x.dtype == np.float64 else np.float64)


def check(out: np.ndarray, x: np.ndarray, y: np.ndarray, bias: Any = 0.0) -> None:
    """Compare errors: at most 4 times NumPy's, and 4 sqrt(k) eps of the sum of magnitudes."""
    reference = _wide(x) @ _wide(y) + bias
    assert out.shape == reference.shape
    assert out.dtype == x.dtype
    numpys = np.abs(np.matmul(x, y) + bias - reference)
    eps = np.finfo(x.dtype).eps
    scale = np.abs(_wide(x)) @ np.abs(_wide(y)) + np.abs(bias)
    bound = 4 * numpys + 4 * np.sqrt(max(1, x.shape[-1])) * eps * scale
    assert np.all(np.abs(out - reference) <= bound)


def _layouts(x: np.ndarray) -> list[np.ndarray]:
    """Return the same values with C, Fortran, strided, reversed and padded layouts."""
    *_, m, n = x.shape
    strided = np.zeros((*x.shape[:-2], 2 * m, 3 * n), x.dtype)[..., ::2, ::3]
    strided[...] = x
    reversed_ = np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1]
    padded = np.zeros((*x.shape[:-2], m, n + 3), x.dtype)[..., :n]
    padded[...] = x
    return [x, np.ascontiguousarray(x.mT).mT, strided, reversed_, padded]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_small_size(dtype: str, rng: np.random.Generator) -> None:
    sizes = [*range(1, 20), 23, 31, 32, 33, 47, 48, 64, 65, 70]
    for size in sizes:
        for m, n, k in ((size, 17, 9), (7, size, 9), (7, 17, size), (size, size, size)):
            x = rng.standard_normal((m, k)).astype(dtype)
            y = rng.standard_normal((k, n)).astype(dtype)
            check(_matmul.multiply(x, y), x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 300, 7), (43, 70, 50), (13, 257, 130)])
def test_every_layout(dtype: str, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    m, k, n = shape
    x, y = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n)))
    for a in _layouts(x):
        for b in _layouts(y):
            check(_matmul.multiply(a, b), x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(200, 520, 210), (401, 64, 33), (33, 65, 400), (1, 300, 150), (90, 270, 1)]
)
def test_blocks_of_rows_and_of_k(
    dtype: str, shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    m, k, n = shape
    x, y = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n)))
    check(_matmul.multiply(x, y), x, y)
    check(_matmul.multiply(np.asfortranarray(x), np.asfortranarray(y)), x, y)
    bias = rng.standard_normal(n).astype(dtype)
    check(_matmul.multiply(x, y, bias), x, y, bias)
    check(_matmul.multiply(x, y, bias[::-1]), x, y, bias[::-1])


BATCHES = [
    ((3, 5, 7), (3, 7, 4)),
    ((2, 3, 5, 7), (3, 7, 4)),
    ((5, 7), (2, 3, 7, 4)),
    ((2, 1, 5, 7), (3, 7, 4)),
    ((2, 3, 5, 7), (7, 4)),
    ((1, 1, 5, 7), (7, 4)),
    ((0, 5, 7), (7, 4)),
    ((4, 0, 7), (4, 7, 3)),
]


@pytest.mark.parametrize(("x_shape", "y_shape"), BATCHES)
def test_batches(x_shape: Any, y_shape: Any, rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal(s).astype(np.float32) for s in (x_shape, y_shape))
    for a in _layouts(x):
        for b in _layouts(y):
            check(_matmul.multiply(a, b), x, y)
    swapped = np.ascontiguousarray(np.moveaxis(x, -2, 0))
    check(_matmul.multiply(np.moveaxis(swapped, 0, -2), y), x, y)
    expanded = np.broadcast_to(x[..., :1, :], x.shape)
    check(_matmul.multiply(expanded, y), expanded, y)


def test_an_empty_sum_is_zero() -> None:
    x, y = np.empty((3, 4, 0), np.float32), np.empty((0, 5), np.float32)
    np.testing.assert_array_equal(_matmul.multiply(x, y), np.zeros((3, 4, 5)))
    bias = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(_matmul.multiply(x, y, bias)[1], np.tile(bias, (4, 1)))


def test_nan_and_inf_stay_in_their_row_and_column(rng: np.random.Generator) -> None:
    x, y = rng.random((20, 300), np.float32), rng.random((300, 21), np.float32)
    x[3, 5], y[7, 20] = np.nan, np.inf
    bad = ~np.isfinite(_matmul.multiply(x, y))
    expected = np.zeros((20, 21), bool)
    expected[3] = expected[:, 20] = True
    np.testing.assert_array_equal(bad, expected)


def test_unaligned_and_read_only_arrays(rng: np.random.Generator) -> None:
    x = rng.random((9, 8), np.float32)
    unaligned = np.zeros(9 * 8 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(9, 8)
    unaligned[...] = x
    x.flags.writeable = False
    check(_matmul.multiply(unaligned, x.T), x, x.T)


@pytest.mark.parametrize(
    ("x_shape", "y_shape"),
    [((150, 400), (400, 90)), ((30, 300), (300, 500)), ((9, 60, 64), (9, 64, 70))],
)
def test_threads_do_not_change_a_bit(x_shape: Any, y_shape: Any, rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal(s).astype(np.float32) for s in (x_shape, y_shape))
    before = _threads.get_num_threads()
    try:
        _threads.set_num_threads(1)
        expected = _matmul.multiply(x, y)
        for n in (2, 3, 5):
            _threads.set_num_threads(n)
            np.testing.assert_array_equal(_matmul.multiply(x, y), expected)
    finally:
        _threads.set_num_threads(before)


def test_an_element_does_not_depend_on_its_place(rng: np.random.Generator) -> None:
    """The sum over k has one order, in whichever tile an element falls."""
    x, y = rng.standard_normal((40, 600)), rng.standard_normal((600, 45))
    whole = _matmul.multiply(x, y)
    np.testing.assert_array_equal(_matmul.multiply(x[11:30], y[:, 7:30]), whole[11:30, 7:30])
    np.testing.assert_array_equal(_matmul.multiply(x[39:], y[:, 44:]), whole[39:, 44:])


#: The tiles of other CPUs; LLVM makes what this CPU can run of their vectors.
SHAPES = [
    Shape("float32", 16, 2, (14, 8, 4, 2, 1), fma=True),
    Shape("float32", 4, 4, (6, 4, 3, 2, 1), fma=True),
    Shape("float64", 2, 2, (4, 3, 2, 1), fma=False),
]


@pytest.mark.parametrize("shape", SHAPES, ids=["avx512", "neon", "baseline"])
def test_the_tiles_of_other_cpus(
    shape: Shape, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = _matmul.product_kernel(shape)[np.dtype(shape.dtype)]
    monkeypatch.setattr(_matmul, "_product", lambda dtype: kernel)
    monkeypatch.setattr(_matmul, "shape_for", lambda dtype: shape)
    _matmul._local.__dict__.clear()
    for m, k, n in ((1, 1, 1), (29, 5, 31), (17, 300, 70), (100, 70, 33), (45, 40, 3)):
        x, y = (rng.standard_normal(s).astype(shape.dtype) for s in ((m, k), (k, n)))
        for a, b in ((x, y), (np.asfortranarray(x), np.asfortranarray(y))):
            check(_matmul.multiply(a, b), x, y)
    _matmul._local.__dict__.clear()


def test_a_tile_fits_the_vector_registers() -> None:
    for dtype in DTYPES:
        shape = shape_for(dtype)
        registers = 16 if shape.lanes * shape.itemsize == 32 else 32
        assert shape.rows[0] * shape.vectors + shape.vectors < registers
        assert shape.rows[-1] == 1
        assert list(shape.rows) == sorted(shape.rows, reverse=True)


def _kernels() -> Any:
    return _matmul.matmul_kernels(numpy_kernels())


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", ">f4"]
)
@pytest.mark.parametrize("shape", [(3, 4, 5), (70, 80, 90)])
def test_the_kernel_takes_every_dtype_and_size(
    dtype: str, shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    m, k, n = shape
    x, y = (rng.integers(0, 2, s).astype(dtype) for s in ((m, k), (k, n)))
    out = _kernels()["matmul"](x, y)
    np.testing.assert_array_equal(out, np.matmul(x, y))
    assert out.dtype == np.matmul(x, y).dtype


@pytest.mark.parametrize("lead", [(5,), (100,), (4, 50), ()])
def test_linear(lead: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.standard_normal((*lead, 70)).astype(np.float32)
    w, b = (rng.standard_normal(s).astype(np.float32) for s in ((80, 70), (80,)))
    out = _kernels()["linear"](x, w, b)
    check(out.reshape(-1, 80), x.reshape(-1, 70), w.T, b)
    assert out.shape == (*lead, 80)


def test_a_large_float_product_does_not_wake_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting threads of a second pool would compete with ours for the CPUs."""
    x = np.ones((128, 128), np.float32)
    kernel = _kernels()["matmul"]

    def never(*args: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(np, "matmul", never)
    assert kernel(x, x)[0, 0] == 128
