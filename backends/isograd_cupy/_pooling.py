"""Maxima and sums of windows and their adjoints, without atomic additions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_cupy._elementwise import contiguous
from isograd_cupy._launch import kernels
from isograd_cupy._layout import empty, result, windows_of
from isograd_cupy._sources import fill

__all__ = ["POOLING"]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

_INT64: Final = np.dtype(np.int64)


def _gather(name: str, arrays: tuple[Any, ...], out: Any, windows: Any, *more: int) -> Any:
    """Compute every element of ``out`` by one thread."""
    sources = [contiguous(a) for a in arrays]
    kernels("pool", arrays[0].dtype).over(name, (*sources, out, windows, *more, out.size), out.size)
    return out


def _counts(size: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Shape:
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple([(n + sum(pad) - (k - 1) * d - 1) // s + 1 for n, k, s, pad, d in axes])


def _windows(
    x: Any, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> tuple[Any, Shape]:
    """Return the windows over an array, and the shape with a place for each."""
    first = x.ndim - len(kernel)
    size = x.shape[first:]
    counts = _counts(size, kernel, stride, padding, dilation)
    windows = windows_of(size, counts, kernel, stride, dilation, padding)
    return windows, (*x.shape[:first], *counts)


def _max_pool(x: Any, *, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Any:
    windows, shape = _windows(x, kernel, stride, padding, dilation)
    return _gather("max_pool", (x,), result(0, shape, x.dtype), windows)


def _max_pool_indices(
    x: Any, out: Any, *, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Any:
    windows, _ = _windows(x, kernel, stride, padding, dilation)
    return _gather("max_pool_indices", (x, out), result(0, out.shape, _INT64), windows, 0)


def _max_pool_grad(
    g: Any, x: Any, out: Any, *, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Any:
    windows, _ = _windows(x, kernel, stride, padding, dilation)
    picks = _gather("max_pool_indices", (x, out), empty(out.shape, _INT64), windows, -1)
    return _gather("max_pool_grad", (g, picks), result(0, x.shape, x.dtype), windows)


def _window_sum(x: Any, *, kernel: Shape, stride: Shape, padding: Pairs) -> Any:
    windows, shape = _windows(x, kernel, stride, padding, (1,) * len(kernel))
    return _gather("window_sum", (x,), result(0, shape, x.dtype), windows)


def _window_spread(g: Any, *, size: Shape, kernel: Shape, stride: Shape, padding: Pairs) -> Any:
    first = g.ndim - len(size)
    out = result(0, (*g.shape[:first], *size), g.dtype)
    if not g.size:
        return fill(out, 0)
    ones = (1,) * len(size)
    windows = windows_of(size, g.shape[first:], kernel, stride, ones, padding)
    return _gather("window_spread", (g,), out, windows)


POOLING: Final[dict[str, Kernel]] = {
    "max_pool": _max_pool,
    "max_pool_indices": _max_pool_indices,
    "max_pool_grad": _max_pool_grad,
    "window_sum": _window_sum,
    "window_spread": _window_spread,
}
