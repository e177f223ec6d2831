"""Convolution with channels last: windows copied in runs of channels, and one matrix product.

Results have channels first, in memory last, which elementwise functions keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final, cast

import numpy as np

from isograd.backend import Kernel
from isograd_numpy import depthwise
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

__all__ = ["convolution_kernels"]

Multiply = Callable[[np.ndarray, np.ndarray], np.ndarray]

_COLUMNS: Final = 1 << 20  # elements of the matrix of windows that is made at a time


def _batches(count: int, elements: int) -> Iterator[slice]:
    """Split a batch so that the windows of a part stay in cache."""
    step = max(1, _COLUMNS // max(1, elements))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _weights(w: np.ndarray, groups: int) -> np.ndarray:
    """Return the windows of each group as matrices (groups, kernel * C / groups, O / groups)."""
    split = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    moved = split.transpose(0, *range(3, split.ndim), 2, 1)
    return np.ascontiguousarray(moved).reshape(groups, math.prod(w.shape[1:]), -1)


def _rows(windows: np.ndarray, group: slice) -> np.ndarray:
    """Copy the windows of one group into a matrix."""
    part = windows[..., group]
    k = (windows.ndim - 2) // 2
    return part.reshape(math.prod(part.shape[: 1 + k]), math.prod(part.shape[1 + k :]))


def _parts(channels: int, groups: int) -> list[slice]:
    width = channels // groups
    return [slice(i * width, (i + 1) * width) for i in range(groups)]


def _conv(
    multiply: Multiply,
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
    places = [(m + sum(p) - (k - 1) * d - 1) // s + 1 for m, k, s, p, d in axes]
    out = np.zeros((n, *places, outputs), x.dtype)
    if not out.size or not w.size:
        return channels_first(out)
    windows = windows_of(padded(x, padding), tuple(places), kernel, stride, dilation)
    if w.shape[1] == 1 and groups > 1:
        return channels_first(depthwise.conv(windows, w))
    matrices = _weights(w, groups)
    inputs, results = _parts(x.shape[1], groups), _parts(outputs, groups)
    for batch in _batches(n, math.prod(windows.shape[1:])):
        for i, (source, target) in enumerate(zip(inputs, results, strict=True)):
            made = out[batch]
            found = multiply(_rows(windows[batch], source), matrices[i])
            made[..., target] = found.reshape(*made.shape[:-1], outputs // groups)
    return channels_first(out)


def _conv_input_grad(
    multiply: Multiply,
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
    wide = [m + low + high for m, (low, high) in zip(size, padding, strict=True)]
    out = np.zeros((n, *wide, groups * channels), y.dtype)
    if out.size and y.size and w.size:
        moved = channels_last(y)
        if channels == 1 and groups > 1:
            depthwise.add_input_grad(out, moved, w, stride, dilation)
        else:
            matrices = _weights(w, groups)
            inputs, results = _parts(y.shape[1], groups), _parts(groups * channels, groups)
            for batch in _batches(n, math.prod(places) * math.prod(kernel) * groups * channels):
                for i, (source, target) in enumerate(zip(inputs, results, strict=True)):
                    part = moved[batch][..., source]
                    rows = multiply(part.reshape(-1, part.shape[-1]), matrices[i].T)
                    columns = rows.reshape(*part.shape[:-1], *kernel, channels)
                    _scatter(out[batch][..., target], columns, stride, dilation)
    inside = [slice(low, low + m) for m, (low, _) in zip(size, padding, strict=True)]
    return channels_first(out[(slice(None), *inside)])


def _scatter(out: np.ndarray, columns: np.ndarray, stride: Shape, dilation: Shape) -> None:
    """Add windows (N, *places, *kernel, C) to where they came from."""
    k = len(stride)
    whole = (slice(None),) * (1 + k)
    for position, part in window_elements(out, columns.shape[1:-1], stride, dilation):
        part += columns[(*whole, *position)]


def _conv_weight_grad(
    multiply: Multiply,
    x: np.ndarray,
    y: np.ndarray,
    *,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> np.ndarray:
    n, inputs, outputs = x.shape[0], x.shape[1] // groups, y.shape[1] // groups
    total = np.zeros((groups, math.prod(kernel) * inputs, outputs), x.dtype)
    if total.size and x.size and y.size:
        windows = windows_of(padded(x, padding), y.shape[2:], kernel, stride, dilation)
        moved = channels_last(y)
        if inputs == 1 and groups > 1:
            return depthwise.weight_grad(windows, moved)
        sources, results = _parts(x.shape[1], groups), _parts(y.shape[1], groups)
        for batch in _batches(n, math.prod(windows.shape[1:])):
            for i, (source, target) in enumerate(zip(sources, results, strict=True)):
                part = moved[batch][..., target].reshape(-1, outputs)
                total[i] += multiply(_rows(windows[batch], source).T, part)
    split = total.reshape(groups, *kernel, inputs, outputs)
    last = split.ndim - 1
    moved = split.transpose(0, last, last - 1, *range(1, last - 1))
    return moved.reshape(groups * outputs, inputs, *kernel)


def convolution_kernels(reference: Mapping[str, Kernel], /) -> dict[str, Kernel]:
    """Return the kernels of convolution; products are those of the kernels given."""
    multiply = cast(Multiply, reference["matmul"])
    table = {
        "conv": _conv,
        "conv_input_grad": _conv_input_grad,
        "conv_weight_grad": _conv_weight_grad,
    }
    return {name: widened(partial(kernel, multiply)) for name, kernel in table.items()}
