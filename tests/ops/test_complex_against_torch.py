"""Gradients of complex numbers and Fourier transforms against torch, whose convention is ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

pytestmark = pytest.mark.oracle

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
W = RNG.normal(size=(4, 3)) + 1j * RNG.normal(size=(4, 3))
X = RNG.normal(size=(3, 4))

SAME = (
    *("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "square"),
    *("negative", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh"),
    *("acosh", "atanh", "abs", "sign", "angle", "real", "imag", "conj", "sum", "prod", "mean"),
)


def _pairs(lib: Any, x: Any) -> Any:
    return lib.stack([x, x**2], **{"axis" if lib is ig else "dim": -1})


#: Functions of z, w, x, written alike in both libraries.
ALIKE: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "add": lambda lib, z, w, x: z + w.mT + 2.0 - 1.0j,
    "subtract": lambda lib, z, w, x: 3.0j - z - x,
    "multiply": lambda lib, z, w, x: z * w.mT * x,
    "divide": lambda lib, z, w, x: x / z + z / (w.mT * 2.0),
    "pow of complex": lambda lib, z, w, x: z ** (w.mT * 0.5),
    "pow of real": lambda lib, z, w, x: z**3 + z**0.5,
    "matmul": lambda lib, z, w, x: (z @ w) @ z,
    "mixed matmul": lambda lib, z, w, x: (x + 0.0j) @ lib.conj(w),
    "complex": lambda lib, z, w, x: lib.complex(x, x * x) * z,
    "view_as_real": lambda lib, z, w, x: lib.view_as_real(z * w.mT),
    "view_as_complex": lambda lib, z, w, x: lib.view_as_complex(_pairs(lib, x)) * z,
    "where": lambda lib, z, w, x: lib.where(x > 0, z, lib.conj(w.mT)),
    "indexing": lambda lib, z, w, x: z[[0, 0, 2], 1:] * w.mT[:, 1:],
    "norm": lambda lib, z, w, x: lib.linalg.vector_norm(z),
    "tensordot": lambda lib, z, w, x: (
        lib.tensordot(z, w, axes=1) if lib is ig else lib.tensordot(z, w, dims=1)
    ),
}

FOURIER: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    f"{name} {norm}": lambda lib, z, w, x, name=name, norm=norm: getattr(lib.fft, name)(
        x if name in ("rfft", "ihfft") else z, norm=norm
    )
    for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    for norm in ("backward", "ortho", "forward")
} | {
    "fft longer": lambda lib, z, w, x: lib.fft.fft(z, n=7),
    "ifft shorter": lambda lib, z, w, x: lib.fft.ifft(z, n=3),
    "rfft longer": lambda lib, z, w, x: lib.fft.rfft(x, n=7),
    "irfft odd": lambda lib, z, w, x: lib.fft.irfft(z, n=5),
    "irfft of more bins": lambda lib, z, w, x: lib.fft.irfft(z, n=10),
    "fft2": lambda lib, z, w, x: lib.fft.fft2(z),
    "ifft2": lambda lib, z, w, x: lib.fft.ifft2(z, s=(5, 2)),
    "rfft2": lambda lib, z, w, x: lib.fft.rfft2(x),
    "irfft2": lambda lib, z, w, x: lib.fft.irfft2(z, s=(2, 5)),
    "fftshift": lambda lib, z, w, x: lib.fft.fftshift(z) * lib.fft.ifftshift(z),
    "power": lambda lib, z, w, x: lib.abs(lib.fft.rfft(x)) ** 2,
    "real signals": lambda lib, z, w, x: lib.fft.fft(x) * lib.fft.ifft(x),
}


def _gradients_here(fn: Any, dtype: str, backend: str) -> list[np.ndarray]:
    real = "float64" if dtype == "complex128" else "float32"
    args = [ig.tensor(Z.astype(dtype)), ig.tensor(W.astype(dtype)), ig.tensor(X.astype(real))]

    def loss(z: Any, w: Any, x: Any) -> Any:
        return _weighted(ig, fn(ig, z, w, x))

    value, gradients = ig.value_and_grad(loss, argnums=(0, 1, 2))(*args)
    return [value.numpy(), *[g.numpy() for g in gradients]]


def _weighted(lib: Any, out: Any) -> Any:
    """Return a real loss that every part of every element has another share in."""
    weights = np.cos(np.arange(out.numel() if lib is torch else out.size)).reshape(tuple(out.shape))
    if lib is torch:
        factor = torch.tensor(weights, dtype=out.real.dtype)
        return (out.real * factor).sum() + (
            (out.imag * torch.sin(factor)).sum() if out.is_complex() else 0.0
        )
    factor = ig.tensor(weights, dtype=out.real.dtype)
    return (out.real * factor).sum() + (out.imag * ig.sin(factor)).sum()


def _gradients_there(fn: Any, dtype: str) -> list[np.ndarray]:
    real = "float64" if dtype == "complex128" else "float32"
    args = [
        torch.tensor(a.astype(kind), requires_grad=True)
        for a, kind in ((Z, dtype), (W, dtype), (X, real))
    ]
    value = _weighted(torch, fn(torch, *args))
    value.backward()
    return [
        value.detach().numpy(),
        *[(torch.zeros_like(a) if a.grad is None else a.grad).resolve_conj().numpy() for a in args],
    ]


def _compare(fn: Any, dtype: str, backend: str) -> None:
    tolerance = 1e-11 if dtype == "complex128" else 2e-4
    for found, right in zip(
        _gradients_here(fn, dtype, backend), _gradients_there(fn, dtype), strict=True
    ):
        assert found.dtype == right.dtype
        scale = np.abs(right).max() + 1.0
        np.testing.assert_allclose(found, right, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("name", SAME)
def test_functions(name: str, dtype: str, backend: str) -> None:
    other = {"sign": "sgn"}

    def fn(lib: Any, z: Any, w: Any, x: Any) -> Any:
        return getattr(lib, other.get(name, name) if lib is torch else name)(z)

    _compare(fn, dtype, backend)


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("name", [*ALIKE, *FOURIER])
def test_expressions(name: str, dtype: str, backend: str) -> None:
    _compare({**ALIKE, **FOURIER}[name], dtype, backend)
