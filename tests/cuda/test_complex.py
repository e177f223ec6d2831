"""Complex numbers and Fourier transforms: beside the op table, their limits and cuFFT's plans."""

from __future__ import annotations

import itertools
from typing import Any

import cupy
import numpy as np
import pytest

import isograd as ig
from isograd.runtime.bind import bind
from isograd_cupy import _fourier

#: NumPy's names of functions that the array API calls otherwise.
NUMPY = {name: f"arc{name[1:]}" for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")}
FUNCTIONS = ("exp", "log", "log2", "log10", "sqrt", "sin", "cos", "sinh", "cosh", "tanh", *NUMPY)
PARTS = (0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 20.0, -800.0, 1e-300, 1e160, np.inf, -np.inf, np.nan)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_limits_and_sides_of_branch_cuts_are_those_of_numpy(name: str, cuda: Any) -> None:
    """Parts are compared where C's standard says what they are: zeros by their signs, too."""
    z = np.array([complex(x, y) for x, y in itertools.product(PARTS, PARTS)])
    found = getattr(ig, name)(ig.tensor(z)).numpy()
    with np.errstate(all="ignore"):
        right = getattr(np, NUMPY.get(name, name))(z)
    # Beside a NaN, C leaves the sign of an infinity or a zero open.
    known, finite = ~np.isnan(right), np.isfinite(right)
    for ours, theirs in ((found.real, right.real), (found.imag, right.imag)):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        np.testing.assert_array_equal(np.isinf(ours), np.isinf(theirs))
        np.testing.assert_array_equal(np.signbit(ours)[known], np.signbit(theirs)[known])
        error = np.abs(ours[finite] - theirs[finite])
        assert (error <= 4 * np.spacing(np.abs(right[finite]))).all()


def test_products_and_quotients_neither_overflow_nor_lose_infinities(cuda: Any) -> None:
    z = ig.tensor([1e300 + 1e300j, 1e-300 - 2e-300j, complex(np.inf, 0.0), 3.0 + 0.0j])
    y = ig.tensor([2e300 - 1e300j, 4e-300 + 1e-300j, 2.0 + 0.0j, 0.0j], dtype="complex128")
    found = (ig.astype(z, ig.complex128) / y).numpy()
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found, z.numpy() / y.numpy(), rtol=1e-15)


def test_whole_powers_are_products(cuda: Any) -> None:
    z = np.array([1.0 + 2.0j, -0.5j, 3.0 + 0.0j, 0j])
    for n in (0, 1, 2, 7, 64):
        y = np.full(4, n, complex)
        np.testing.assert_allclose((ig.tensor(z) ** ig.tensor(y)).numpy(), z**n, rtol=1e-14)
    found = (ig.tensor(z[:3]) ** ig.tensor(np.full(3, -2 + 0j))).numpy()
    np.testing.assert_allclose(found, z[:3] ** -2, rtol=1e-14)


def test_fast_products_of_complex_numbers_are_tf32(cuda: Any) -> None:
    z = ig.full((1, 1), complex(1.0 + 2.0**-12, 0.0), dtype="complex64")
    one = ig.ones((1, 1), dtype="complex64")
    with ig.numerics("fast"):
        assert (z @ one).item() == 1.0
    assert (z @ one).item() == 1.0 + 2.0**-12


@pytest.mark.parametrize("n", [1, 2, 3, 8, 30, 97, 128, 1009])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_transforms_of_any_length(n: int, dtype: str, cuda: Any) -> None:
    rng = np.random.default_rng(n)
    z = (rng.standard_normal((3, n)) + 1j * rng.standard_normal((3, n))).astype(dtype)
    there = ig.fft.fft(ig.tensor(z))
    assert there.dtype == dtype
    bound = {"complex64": 2e-5, "complex128": 1e-13}[dtype] * np.sqrt(n)
    np.testing.assert_allclose(there.numpy(), np.fft.fft(z), rtol=0, atol=bound * 10)
    np.testing.assert_allclose(ig.fft.ifft(there).numpy(), z, rtol=0, atol=bound)
    half = ig.fft.rfft(ig.tensor(z.real.copy()))
    np.testing.assert_allclose(half.numpy(), np.fft.rfft(z.real), rtol=0, atol=bound * 10)
    np.testing.assert_allclose(ig.fft.irfft(half, n=n).numpy(), z.real, rtol=0, atol=bound)


def test_more_axes_than_a_plan_has(cuda: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 1, 4, 5, 2))
    np.testing.assert_allclose(ig.fft.fftn(ig.tensor(x)).numpy(), np.fft.fftn(x), atol=1e-11)


def test_a_transform_leaves_its_argument_as_it_is(cuda: Any) -> None:
    """Unlike cuFFT, which writes to the spectra of real numbers."""
    z = ig.tensor(np.arange(5) + 1j * np.arange(5) ** 2)
    before = z.numpy()
    right = np.fft.irfft(before, n=8)  # imaginary parts of bins that mirror themselves have no say
    np.testing.assert_allclose(ig.fft.irfft(z, n=8).numpy(), right, atol=1e-14)
    np.testing.assert_array_equal(z.numpy(), before)


def test_real_numbers_at_odd_places(cuda: Any) -> None:
    """The parts of a complex number lie where cuFFT does not read real numbers."""
    x = ig.tensor(np.arange(8.0, dtype=np.float32))
    np.testing.assert_allclose(
        ig.fft.rfft(x[1:]).numpy(), np.fft.rfft(np.arange(1.0, 8)), atol=1e-5
    )


def test_programs_keep_their_plans(cuda: Any, emulator: Any) -> None:
    """A graph runs plans that nobody else uses, however many others are made meanwhile."""
    compiled = ig.compile(lambda z: ig.fft.ifft(ig.fft.fftn(z) * 2.0, axis=0))
    z = ig.tensor(np.arange(12.0).reshape(3, 4) * 1j)
    first = compiled(z).numpy()
    assert compiled.programs[0].native.captured
    for n in range(2, 40):
        ig.fft.fft(ig.ones(n))
    assert _fourier._known_plan.cache_info().currsize == _fourier._known_plan.cache_info().maxsize
    before = emulator.counts()
    np.testing.assert_array_equal(compiled(z).numpy(), first)
    after = emulator.counts()
    assert after.graph_launches == before.graph_launches + 1
    assert (after.transforms, after.allocations) == (before.transforms, before.allocations)


def test_streams_share_no_plan(cuda: Any) -> None:
    z = ig.ones((2, 6), dtype="complex64")
    _fourier._known_plan.cache_clear()
    for _ in range(2):
        ig.fft.fft(z)
        with cupy.cuda.Stream(non_blocking=True) as stream:
            found = ig.fft.fft(z)
            stream.synchronize()
        np.testing.assert_allclose(found.numpy(), [[6.0, 0.0, 0.0, 0.0, 0.0, 0.0]] * 2, atol=1e-6)
    assert _fourier._known_plan.cache_info().hits >= 1


def test_plans_are_gone_where_memory_is_full(cuda: Any, emulator: Any) -> None:
    pool = cupy.get_default_memory_pool()
    ig.fft.fft(ig.ones(1000, dtype="complex64"))
    pool.set_limit(size=pool.used_bytes() + (1 << 16))
    try:
        with pytest.raises(MemoryError, match=r"^fft: .*complex64\[1000, 1000\]"):
            ig.fft.fft(ig.broadcast_to(ig.ones((), dtype="complex64"), (1000, 1000)))
        assert _fourier._known_plan.cache_info().currsize == 0
    finally:
        pool.set_limit(size=0)


def test_without_cufft_the_error_says_what_to_install(cuda: Any, monkeypatch: Any) -> None:
    def missing(name: str) -> Any:
        raise ImportError("libcufft.so.12 not found")

    _fourier._known_plan.cache_clear()
    monkeypatch.delattr(cupy.cuda, "cufft", raising=False)
    monkeypatch.setattr(cupy.cuda, "__getattr__", missing)
    with pytest.raises(ig.backend.BackendUnavailableError, match=r"cuFFT.*isograd\[cuda13\]"):
        ig.fft.fft(ig.ones(3))


def test_a_gradient_through_spectra_is_that_of_the_cpu(cuda: Any) -> None:
    def loss(x: Any) -> Any:
        spectrum = ig.fft.rfft(x) * (2.0 - 1j)
        return ig.sum(ig.square(ig.fft.irfft(spectrum, n=6))) + ig.abs(ig.fft.fft(x)).sum()

    values = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)
    found = ig.grad(loss)(ig.tensor(values)).numpy()
    right = ig.grad(loss)(ig.tensor(values, device="cpu"))
    np.testing.assert_allclose(found, right.numpy(), rtol=1e-5, atol=1e-5)


def test_refusals_are_those_of_the_cpu(cuda: Any) -> None:
    with pytest.raises(ig.DTypeError, match=r"^max: .*complex64"):
        ig.max(ig.ones(2, dtype="complex64"))
    with pytest.raises(ig.DTypeError, match="astype"):
        bind(ig.ops.PRIMITIVES["astype"], ig.ones(2, dtype="complex64"), dtype=np.dtype("f4"))
