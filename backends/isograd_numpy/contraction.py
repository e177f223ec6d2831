"""Matrix products through BLAS, and sliding windows."""

from __future__ import annotations

import math
from itertools import product
from typing import Final

import numpy as np

from isograd.backend import Kernel
from isograd_numpy.common import widened

__all__ = ["CONTRACTION"]

_FOLD = 1 << 17  # elements of a batch of windows that are folded together, to stay in cache


def _for_blas(x: np.ndarray) -> np.ndarray:
    """Copy a matrix whose strides BLAS cannot take; NumPy alone would be many times slower."""
    flags = x.flags
    if flags.c_contiguous or flags.f_contiguous:
        return x
    size = x.itemsize
    (rows, columns), (row, column) = x.shape[-2:], x.strides[-2:]
    if (column == size and row >= size * columns and row % size == 0) or (
        row == size and column >= size * rows and column % size == 0
    ):
        return x
    return np.ascontiguousarray(x)


def _matmul(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind != "f":
        return np.matmul(x, y)
    x, y = _for_blas(x), _for_blas(y)
    if x.ndim > 2 and y.ndim == 2 and x.flags.c_contiguous:  # one product instead of many
        out = np.dot(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), y)
        return out.reshape(*x.shape[:-1], y.shape[-1])
    # The same bits as from matmul, which takes up to five times as long for vectors.
    return np.dot(x, y) if x.ndim == 2 and y.ndim == 2 else np.matmul(x, y)


_wide_matmul = widened(_matmul)


def _any_matmul(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (_matmul if x.dtype.kind in "biu" else _wide_matmul)(x, y)


def _linear(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = _matmul(x if x.ndim == 2 else np.ascontiguousarray(x), w.T)
    out += b
    return out


def _unfold(
    x: np.ndarray, *, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> np.ndarray:
    k = len(kernel)
    sizes, strides = x.shape[x.ndim - k :], x.strides[x.ndim - k :]
    counts = tuple(
        [
            (n - gap * (width - 1) - 1) // step + 1
            for n, width, step, gap in zip(sizes, kernel, stride, dilation, strict=True)
        ]
    )
    outer = tuple([s * step for s, step in zip(strides, stride, strict=True)])
    inner = tuple([s * gap for s, gap in zip(strides, dilation, strict=True)])
    leading = x.ndim - k
    return np.lib.stride_tricks.as_strided(
        x,
        x.shape[:leading] + counts + kernel,
        x.strides[:leading] + outer + inner,
        writeable=False,
    )


def _fold_into(
    out: np.ndarray, y: np.ndarray, stride: tuple[int, ...], dilation: tuple[int, ...]
) -> None:
    k = len(stride)
    counts, kernel = y.shape[1 : 1 + k], y.shape[1 + k :]
    for position in product(*map(range, kernel)):
        cells = [
            slice(p * gap, p * gap + (count - 1) * step + 1, step)
            for p, gap, count, step in zip(position, dilation, counts, stride, strict=True)
        ]
        out[(slice(None), *cells)] += y[(..., *position)]


def _fold(
    y: np.ndarray, *, size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> np.ndarray:
    k = len(size)
    leading = y.shape[: y.ndim - 2 * k]
    out = np.zeros((math.prod(leading), *size), y.dtype)
    if y.size:
        flat = y.reshape(out.shape[0], *y.shape[y.ndim - 2 * k :])
        step = max(1, _FOLD // max(1, flat[0].size))
        for start in range(0, out.shape[0], step):
            _fold_into(out[start : start + step], flat[start : start + step], stride, dilation)
    return out.reshape(leading + size)


CONTRACTION: Final[dict[str, Kernel]] = {
    "matmul": _any_matmul,
    "linear": widened(_linear),
    "unfold": _unfold,
    "fold": widened(_fold),
}
