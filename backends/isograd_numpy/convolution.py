"""Convolution with channels last: windows copied in runs of channels, and one product by BLAS.

Results have channels first, in memory last, which elementwise functions keep.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np

from isograd.backend import Kernel
from isograd_numpy.common import widened

__all__ = ["CONVOLUTION"]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

_COLUMNS: Final = 1 << 20  # elements of the matrix of windows that is made at a time


def _last(x: np.ndarray) -> np.ndarray:
    """Return a view with the channels last."""
    return x.transpose(0, *range(2, x.ndim), 1)


def _first(x: np.ndarray) -> np.ndarray:
    """Return a view with the channels first."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def _padded(x: np.ndarray, padding: Pairs) -> np.ndarray:
    """Return the input with channels last and zeros around it."""
    moved = _last(x)
    if not any(map(any, padding)):
        return np.ascontiguousarray(moved)
    sizes = [n + low + high for n, (low, high) in zip(x.shape[2:], padding, strict=True)]
    out = np.zeros((x.shape[0], *sizes, x.shape[1]), x.dtype)
    inside = [slice(low, low + n) for n, (low, _) in zip(x.shape[2:], padding, strict=True)]
    out[(slice(None), *inside)] = moved
    return out


def _windows(x: np.ndarray, places: Shape, kernel: Shape, stride: Shape, gaps: Shape) -> np.ndarray:
    """Return a view (N, *places, *kernel, C) of an input with channels last."""
    steps = x.strides[1:-1]
    outer = tuple([s * step for s, step in zip(steps, stride, strict=True)])
    inner = tuple([s * gap for s, gap in zip(steps, gaps, strict=True)])
    return np.lib.stride_tricks.as_strided(
        x,
        (x.shape[0], *places, *kernel, x.shape[-1]),
        (x.strides[0], *outer, *inner, x.strides[-1]),
        writeable=False,
    )


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


def _places(size: Shape, kernel: Shape, stride: Shape, padding: Pairs, gaps: Shape) -> Shape:
    axes = zip(size, kernel, stride, padding, gaps, strict=True)
    return tuple([(n + sum(p) - (k - 1) * d - 1) // s + 1 for n, k, s, p, d in axes])


def _conv(
    x: np.ndarray, w: np.ndarray, *, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> np.ndarray:
    n, outputs, kernel = x.shape[0], w.shape[0], w.shape[2:]
    places = _places(x.shape[2:], kernel, stride, padding, dilation)
    out = np.zeros((n, *places, outputs), x.dtype)
    if not out.size or not w.size:
        return _first(out)
    windows = _windows(_padded(x, padding), places, kernel, stride, dilation)
    matrices = _weights(w, groups)
    inputs, results = _parts(x.shape[1], groups), _parts(outputs, groups)
    for batch in _batches(n, math.prod(windows.shape[1:])):
        for i, (source, target) in enumerate(zip(inputs, results, strict=True)):
            made = out[batch]
            found = _rows(windows[batch], source) @ matrices[i]
            made[..., target] = found.reshape(*made.shape[:-1], outputs // groups)
    return _first(out)


def _conv_input_grad(
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
        moved, matrices = _last(y), _weights(w, groups)
        inputs, results = _parts(y.shape[1], groups), _parts(groups * channels, groups)
        for batch in _batches(n, math.prod(places) * math.prod(kernel) * groups * channels):
            for i, (source, target) in enumerate(zip(inputs, results, strict=True)):
                part = moved[batch][..., source]
                rows = part.reshape(-1, part.shape[-1]) @ matrices[i].T
                columns = rows.reshape(*part.shape[:-1], *kernel, channels)
                _scatter(out[batch][..., target], columns, stride, dilation)
    inside = [slice(low, low + m) for m, (low, _) in zip(size, padding, strict=True)]
    return _first(out[(slice(None), *inside)])


def _scatter(out: np.ndarray, columns: np.ndarray, stride: Shape, dilation: Shape) -> None:
    """Add windows (N, *places, *kernel, C) to where they came from."""
    k = len(stride)
    places, kernel = columns.shape[1 : 1 + k], columns.shape[1 + k : -1]
    whole = (slice(None),) * (1 + k)
    for position in product(*map(range, kernel)):
        cells = [
            slice(p * gap, p * gap + (count - 1) * step + 1, step)
            for p, gap, count, step in zip(position, dilation, places, stride, strict=True)
        ]
        out[(slice(None), *cells)] += columns[(*whole, *position)]


def _conv_weight_grad(
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
        windows = _windows(_padded(x, padding), y.shape[2:], kernel, stride, dilation)
        moved = _last(y)
        sources, results = _parts(x.shape[1], groups), _parts(y.shape[1], groups)
        for batch in _batches(n, math.prod(windows.shape[1:])):
            for i, (source, target) in enumerate(zip(sources, results, strict=True)):
                part = moved[batch][..., target].reshape(-1, outputs)
                total[i] += _rows(windows[batch], source).T @ part
    split = total.reshape(groups, *kernel, inputs, outputs)
    last = split.ndim - 1
    moved = split.transpose(0, last, last - 1, *range(1, last - 1))
    return moved.reshape(groups * outputs, inputs, *kernel)


CONVOLUTION: Final[dict[str, Kernel]] = {
    "conv": widened(_conv),
    "conv_input_grad": widened(_conv_input_grad),
    "conv_weight_grad": widened(_conv_weight_grad),
}
