"""Convolution with channels last: windows copied in runs of channels, and one matrix product.

Results have channels first, in memory last, which elementwise functions keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_numpy import grouped
from isograd_numpy.channels_last import (
    Pairs,
    Shape,
    channels_first,
    channels_last,
    padded,
    window_elements,
    windows_of,
)
from isograd_numpy.common import widened
from isograd_numpy.depthwise import NUMPY_SUMS, Depthwise

__all__ = ["convolution_kernels"]

Kernels = Mapping[str, Callable[..., Any]]

_COLUMNS: Final = 1 << 20  # elements of the matrix of windows that is made at a time


def _batches(count: int, elements: int) -> Iterator[slice]:
    """Split a batch so that the windows of a part stay in cache."""
    step = max(1, _COLUMNS // max(1, elements))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _matrix(w: np.ndarray) -> np.ndarray:
    """Return the windows of the weights as columns (kernel * C, O)."""
    moved = w.transpose(*range(2, w.ndim), 1, 0)
    return np.ascontiguousarray(moved).reshape(math.prod(w.shape[1:]), w.shape[0])


def _rows(windows: np.ndarray) -> np.ndarray:
    """Copy windows (N, *places, *kernel, C) into a matrix."""
    k = (windows.ndim - 2) // 2
    return windows.reshape(math.prod(windows.shape[: 1 + k]), math.prod(windows.shape[1 + k :]))


def _scatter(out: np.ndarray, columns: np.ndarray, stride: Shape, dilation: Shape) -> None:
    """Add windows (N, *places, *kernel, C) to where they came from."""
    k = len(stride)
    whole = (slice(None),) * (1 + k)
    for position, part in window_elements(out, columns.shape[1:-1], stride, dilation):
        part += columns[(*whole, *position)]


class _Convolution:
    """The kernels over those of products and windows, and over sums of each channel's windows."""

    def __init__(self, kernels: Kernels, sums: Depthwise) -> None:
        self._kernels = kernels
        self._multiply = kernels["matmul"]
        self._sums = sums

    def conv(
        self,
        x: np.ndarray,
        w: np.ndarray,
        *,
        stride: Shape,
        padding: Pairs,
        dilation: Shape,
        groups: int,
    ) -> np.ndarray:
        n, outputs, kernel = x.shape[0], w.shape[0], w.shape[2:]
        axes = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
        places = tuple([(m + sum(p) - (k - 1) * d - 1) // s + 1 for m, k, s, p, d in axes])
        elements = math.prod(places) * math.prod(kernel) * x.shape[1]
        static: Any = {"stride": stride, "dilation": dilation}
        if not (w.size and x.size and elements):
            return channels_first(np.zeros((n, *places, outputs), x.dtype))
        if w.shape[1] == 1 and groups > 1:
            return channels_first(self._sums.conv(padded(x, padding), w, places, **static))
        if groups > 1:
            out = np.empty((n, outputs, *places), x.dtype)
            for part in _batches(n, elements):
                grouped.conv(
                    self._kernels, x[part], w, out[part], padding=padding, groups=groups, **static
                )
            return out
        out = np.empty((n, *places, outputs), x.dtype)
        windows = windows_of(padded(x, padding), places, kernel, stride, dilation)
        matrix = _matrix(w)
        for part in _batches(n, elements):
            out[part] = self._multiply(_rows(windows[part]), matrix).reshape(out[part].shape)
        return channels_first(out)

    def conv_input_grad(
        self,
        y: np.ndarray,
        w: np.ndarray,
        *,
        size: Shape,
        stride: Shape,
        padding: Pairs,
        dilation: Shape,
        groups: int,
    ) -> np.ndarray:
        n, places, kernel, channels = y.shape[0], y.shape[2:], w.shape[2:], w.shape[1]
        wide = tuple([m + low + high for m, (low, high) in zip(size, padding, strict=True)])
        inside = [slice(low, low + m) for m, (low, _) in zip(size, padding, strict=True)]
        elements = math.prod(places) * math.prod(kernel) * groups * channels
        if groups > 1 and channels > 1 and y.size and w.size:
            static: Any = {"stride": stride, "dilation": dilation, "groups": groups}
            made = np.empty((n, groups * channels, *size), y.dtype)
            for part in _batches(n, elements):
                found = grouped.input_grad(self._kernels, y[part], w, wide, **static)
                made[part] = found[(slice(None), slice(None), *inside)]
            return made
        out = np.zeros((n, *wide, groups * channels), y.dtype)
        if out.size and y.size and w.size:
            moved = channels_last(y)
            if groups > 1:
                self._sums.add_input_grad(out, moved, w, stride, dilation)
            else:
                matrix = _matrix(w).T
                for part in _batches(n, elements):
                    rows = self._multiply(moved[part].reshape(-1, w.shape[0]), matrix)
                    columns = rows.reshape(*moved[part].shape[:-1], *kernel, channels)
                    _scatter(out[part], columns, stride, dilation)
        return channels_first(out[(slice(None), *inside)])

    def conv_weight_grad(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        kernel: Shape,
        stride: Shape,
        padding: Pairs,
        dilation: Shape,
        groups: int,
    ) -> np.ndarray:
        n, inputs, outputs, places = x.shape[0], x.shape[1], y.shape[1], y.shape[2:]
        elements = math.prod(places) * math.prod(kernel) * inputs
        static: Any = {"stride": stride, "dilation": dilation}
        if not (x.size and y.size and math.prod(kernel)):
            return np.zeros((outputs, inputs // groups, *kernel), x.dtype)
        if groups > 1 and inputs > groups:
            static |= {"padding": padding, "groups": groups}
            parts = _batches(n, elements)
            made = [grouped.weight_grad(self._kernels, x[b], y[b], kernel, **static) for b in parts]
            return sum(made[1:], made[0])
        wide, moved = padded(x, padding), channels_last(y)
        if groups > 1:
            return self._sums.weight_grad(wide, moved, kernel, **static)
        windows = windows_of(wide, places, kernel, stride, dilation)
        total = np.zeros((math.prod(kernel) * inputs, outputs), x.dtype)
        for part in _batches(n, elements):
            total += self._multiply(_rows(windows[part]).T, moved[part].reshape(-1, outputs))
        split = total.reshape(*kernel, inputs, outputs)
        return split.transpose(split.ndim - 1, split.ndim - 2, *range(split.ndim - 2))


def convolution_kernels(
    reference: Mapping[str, Kernel], /, sums: Depthwise = NUMPY_SUMS
) -> dict[str, Kernel]:
    """Return the kernels of convolution; products and sums of windows are those given."""
    made = _Convolution(reference, sums)
    kernels = (made.conv, made.conv_input_grad, made.conv_weight_grad)
    return {kernel.__name__: widened(kernel) for kernel in kernels}
