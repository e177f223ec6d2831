"""Parts of complex numbers, and Fourier transforms by cuFFT."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Sequence
from typing import Any, Final

import cupy
import numpy as np

from isograd.backend import BackendUnavailableError, Kernel
from isograd_cupy._checks import kept
from isograd_cupy._debug import launched
from isograd_cupy._elementwise import WHOLE, cast, contiguous, copy_into, elementwise_module, run
from isograd_cupy._failures import TO_FREE
from isograd_cupy._layout import empty, part_of
from isograd_cupy._movement import permuted
from isograd_cupy._sources import fill

__all__ = ["FOURIER"]

_FORWARD, _INVERSE = -1, 1
_MOST_AXES: Final = 3  # of one of cuFFT's plans
_MOST_PLANS: Final = 16  # that wait for the next transform of their shape; each has scratch memory
_lock = threading.Lock()

#: cuFFT's number of a transform, by the dtype before and after it.
_KINDS: Final = {
    ("complex64", "complex64"): 0x29,
    ("float32", "complex64"): 0x2A,
    ("complex64", "float32"): 0x2C,
    ("complex128", "complex128"): 0x69,
    ("float64", "complex128"): 0x6A,
    ("complex128", "float64"): 0x6C,
}


def _plan(kind: int, shape: tuple[int, ...], batch: int, *_: int) -> Any:
    try:
        return cupy.cuda.cufft.PlanNd(shape, None, 1, 0, None, 1, 0, kind, batch, "C", 0, None)
    except ImportError as error:
        raise BackendUnavailableError(
            f"fft: cuFFT is needed and cannot be loaded ({error}); pip install 'isograd[cuda13]', "
            "or 'isograd[cuda12]' for a driver of CUDA 12, or transform on device='cpu'"
        ) from error


_known_plan = functools.lru_cache(maxsize=_MOST_PLANS)(_plan)
TO_FREE.append(_known_plan.cache_clear)


def _transform(x: Any, out: Any, shape: tuple[int, ...], direction: int) -> Any:
    """Write transforms of the last axes of ``x``, where numbers have this shape, to ``out``.

    Both are contiguous; ``x`` is not the same afterwards where the result is real.
    """
    kind = _KINDS[x.dtype.name, out.dtype.name]
    key = kind, shape, max(x.size, out.size) // math.prod(shape)
    plans = kept()
    with _lock:  # a plan has one stream at a time
        if plans is None:
            # Scratch memory is a stream's own, or two streams would meet in it.
            stream = cupy.cuda.get_current_stream().ptr
            plan = _known_plan(*key, cupy.cuda.runtime.getDevice(), stream)
        else:
            plan = plans[key] = plans.get(key) or _plan(*key)
        plan.fft(x, out, direction)
    launched(f"cuFFT's transform of shape {shape}")
    return out


def _scaled(x: Any, count: int, inverse: bool, norm: str) -> Any:
    """Multiply by what ``norm`` says for transforms of so many numbers, in place."""
    if norm != "ortho" and (norm == "backward") != inverse:
        return x
    factor = 1.0 / (math.sqrt(count) if norm == "ortho" else count)
    return run(elementwise_module(x.dtype), "scale", x, (x,), factor)


def _to_end(ndim: int, axes: Sequence[int]) -> tuple[int, ...]:
    """Return all axes in an order in which these are last."""
    return (*[i for i in range(ndim) if i not in axes], *axes)


def _back(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(np.argsort(order).tolist())


def _fft(x: Any, *, axes: tuple[int, ...], inverse: bool, norm: str) -> Any:
    long = [i for i in axes if x.shape[i] > 1]
    if not x.size or not long:
        return x
    for start in range(0, len(long), _MOST_AXES):
        order = _to_end(x.ndim, long[start : start + _MOST_AXES])
        moved = contiguous(permuted(x, order))
        shape = moved.shape[-len(long[start : start + _MOST_AXES]) :]
        out = _transform(
            moved, empty(moved.shape, x.dtype), shape, _INVERSE if inverse else _FORWARD
        )
        x = permuted(out, _back(order))
    return _scaled(x, math.prod([x.shape[i] for i in long]), inverse, norm)


def _rfft(x: Any, *, axis: int, norm: str) -> Any:
    n, whole = x.shape[axis], np.dtype(WHOLE[x.dtype.name])
    if n == 1:
        return cast(x, whole)
    order = _to_end(x.ndim, (axis,))
    moved = contiguous(permuted(x, order))
    if moved.data.ptr % whole.itemsize:  # where cuFFT does not read real numbers
        moved = copy_into(empty(moved.shape, x.dtype), moved)
    out = empty((*moved.shape[:-1], n // 2 + 1), whole)
    if out.size:
        _scaled(_transform(moved, out, (n,), _FORWARD), n, False, norm)
    return permuted(out, _back(order))


def _irfft(x: Any, *, axis: int, n: int, norm: str) -> Any:
    if n == 1:
        return _real(x)
    order = _to_end(x.ndim, (axis,))
    view = permuted(x, order)
    # A copy always: cuFFT writes to what it reads. Bins that mirror themselves have real numbers,
    # whatever stands there; of others cuFFT does not say what it makes.
    moved = copy_into(empty(view.shape, x.dtype), view)
    out = empty((*view.shape[:-1], n), part_of(x, 0).dtype)
    if not out.size:
        return permuted(out, _back(order))
    for bin_ in (0, n // 2)[: 2 - n % 2]:
        fill(part_of(moved[..., bin_], 1), 0)
    _scaled(_transform(moved, out, (n,), _INVERSE), n, True, norm)
    return permuted(out, _back(order))


def _complex(x: Any, y: Any) -> Any:
    out = empty(np.broadcast_shapes(x.shape, y.shape), np.dtype(WHOLE[x.dtype.name]))
    return run(elementwise_module(x.dtype), "complex", out, (x, y))


def _real(z: Any) -> Any:
    return part_of(z, 0)


def _imag(z: Any) -> Any:
    return part_of(z, 1)


FOURIER: Final[dict[str, Kernel]] = {
    "real": _real,
    "imag": _imag,
    "complex": _complex,
    "fft": _fft,
    "rfft": _rfft,
    "irfft": _irfft,
}
