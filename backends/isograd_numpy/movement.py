"""Movement primitives: views where NumPy can, one copy where it cannot."""

from __future__ import annotations

from typing import Final

import numpy as np

from isograd.backend import Kernel

__all__ = ["MOVEMENT"]


def _reshape(x: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    return x.reshape(shape)


def _permute_dims(x: np.ndarray, *, axes: tuple[int, ...]) -> np.ndarray:
    return x.transpose(axes)


def _broadcast_to(x: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    if not x.flags.c_contiguous or x.dtype.kind == "V":  # not a buffer that ndarray takes
        return np.broadcast_to(x, shape)
    new = len(shape) - x.ndim
    pairs = zip(x.shape, x.strides, strict=True)
    strides = (0,) * new + tuple([0 if n == 1 else stride for n, stride in pairs])
    out = np.ndarray(shape, x.dtype, x, 0, strides)
    out.flags.writeable = False
    return out


def _slice(
    x: np.ndarray, *, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]
) -> np.ndarray:
    return x[tuple(map(slice, start, stop, step))]


def _flip(x: np.ndarray, *, axis: tuple[int, ...]) -> np.ndarray:
    back, whole = slice(None, None, -1), slice(None)
    return x[tuple([back if i in axis else whole for i in range(x.ndim)])]


def _pad(
    x: np.ndarray,
    *,
    low: tuple[int, ...],
    high: tuple[int, ...],
    interior: tuple[int, ...],
    value: float,
) -> np.ndarray:
    shape: list[int] = []
    inside: list[slice] = []
    for n, before, after, between in zip(x.shape, low, high, interior, strict=True):
        span = n + max(n - 1, 0) * between
        shape.append(before + span + after)
        inside.append(slice(before, before + span, between + 1))
    out = np.full(shape, value, x.dtype)
    out[tuple(inside)] = x
    return out


def _concat(*xs: np.ndarray, axis: int) -> np.ndarray:
    return np.concatenate(xs, axis=axis)


MOVEMENT: Final[dict[str, Kernel]] = {
    "reshape": _reshape,
    "permute_dims": _permute_dims,
    "broadcast_to": _broadcast_to,
    "slice": _slice,
    "flip": _flip,
    "pad": _pad,
    "concat": _concat,
}
