"""Parts of complex numbers, and Fourier transforms."""

from __future__ import annotations

from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import dtype_name

__all__ = ["fourier_kernels"]


def fourier_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels over a namespace with the standard's complex numbers and ``fft``."""

    # Not x + 1j * y: the product of an infinite y with the 0 in 1j is NaN.
    def complex_(x: Array, y: Array) -> Array:
        own = getattr(xp, "complex", None)
        if own is not None:
            return own(*xp.broadcast_arrays(x, y))
        whole = xp.complex64 if dtype_name(x) == "float32" else xp.complex128
        return xp.stack(xp.broadcast_arrays(x, y), axis=-1).view(whole)[..., 0]

    def fft(x: Array, *, axes: tuple[int, ...], inverse: bool, norm: str) -> Array:
        return (xp.fft.ifftn if inverse else xp.fft.fftn)(x, axes=axes, norm=norm)

    def rfft(x: Array, *, axis: int, norm: str) -> Array:
        return xp.fft.rfft(x, axis=axis, norm=norm)

    def irfft(x: Array, *, axis: int, n: int, norm: str) -> Array:
        return xp.fft.irfft(x, n=n, axis=axis, norm=norm)

    return {
        "real": xp.real,
        "imag": xp.imag,
        "conj": xp.conj,
        "complex": complex_,
        "fft": fft,
        "rfft": rfft,
        "irfft": irfft,
    }
