"""Convolution where each channel is a group: runs of padded inputs with channels last.

A run is what a kernel's position takes from memory without a gap: a row of places where the last
stride is 1, else one place. Weights are repeated for each place of a run, so that one loop over the
run serves any number of channels.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from isograd_numba._arrays import FLOAT_DTYPES, contiguous
from isograd_numba._jit import FLOATS, compiled
from isograd_numpy.channels_last import Shape
from isograd_numpy.depthwise import NUMPY_SUMS, Depthwise, weights_of

__all__ = ["SUMS"]

Array = Any

_RUNS: Final = "T[::1], int64[::1], int64[::1], T[::1], int64, int64, T[::1]"


@compiled(_RUNS, T=FLOATS)
def _conv(
    start: int, stop: int, x: Array, starts: Array, offsets: Array, w: Array, width: int, runs: int,
    out: Array,
) -> None:  # fmt: skip
    """Images [start, stop) of ``out[run] = sum_k x[run + offset_k] * w_k``."""
    for run in range(start * runs, stop * runs):
        to, first = run * width, starts[run]
        for j in range(width):
            out[to + j] = x[first + offsets[0] + j] * w[j]
        for k in range(1, offsets.size):
            source, weights = first + offsets[k], k * width
            for j in range(width):
                out[to + j] += x[source + j] * w[weights + j]


@compiled(_RUNS, T=FLOATS)
def _input_grad(
    start: int, stop: int, y: Array, starts: Array, offsets: Array, w: Array, width: int, runs: int,
    out: Array,
) -> None:  # fmt: skip
    """Images [start, stop) of ``out[run + offset_k] += y[run] * w_k``."""
    for run in range(start * runs, stop * runs):
        for k in range(offsets.size):
            to, weights = starts[run] + offsets[k], k * width
            for j in range(width):
                out[to + j] += y[run * width + j] * w[weights + j]


@compiled(_RUNS, T=FLOATS)
def _weight_grad(
    start: int, stop: int, x: Array, starts: Array, offsets: Array, y: Array, width: int, runs: int,
    out: Array,
) -> None:  # fmt: skip
    """Images [start, stop) of ``out[image, k] = sum_run x[run + offset_k] * y[run]``."""
    for image in range(start, stop):
        for run in range(image * runs, (image + 1) * runs):
            for k in range(offsets.size):
                source, to = starts[run] + offsets[k], (image * offsets.size + k) * width
                for j in range(width):
                    out[to + j] += x[source + j] * y[run * width + j]


def _grid(x: Array, axes: tuple[int, ...], counts: Shape, steps: Shape) -> Array:
    """Return the offsets, in elements, of a grid along some axes of a C-contiguous array."""
    offsets = np.zeros(1, np.int64)
    for axis, count, step in zip(axes, counts, steps, strict=True):
        stride = step * x.strides[axis] // x.itemsize
        offsets = (offsets[:, None] + np.arange(count, dtype=np.int64) * stride).reshape(-1)
    return offsets


def _run(
    kernel: Any, x: Array, other: Array, out: Array, padded: Array, places: Shape, window: Shape,
    stride: Shape, dilation: Shape,
) -> None:  # fmt: skip
    """Call a kernel with the runs of a padded array."""
    n, k = padded.shape[0], len(places)
    whole = stride[-1] == 1
    axes, width = tuple(range(1 + k)), padded.shape[-1] * (places[-1] if whole else 1)
    counts = (n, *places[:-1]) if whole else (n, *places)
    starts = _grid(padded, axes[: len(counts)], counts, (1, *stride)[: len(counts)])
    offsets = _grid(padded, axes[1:], window, dilation)
    runs = starts.size // n
    kernel[x.dtype](
        n, x.reshape(-1), starts, offsets, other.reshape(-1), width, runs, out.reshape(-1)
    )


def _tiled(w: Array, places: Shape, stride: Shape) -> Array:
    """Repeat the weights (*kernel, C) for each place of a run."""
    rows = w.reshape(-1, w.shape[-1])
    return np.tile(rows, (1, places[-1])) if stride[-1] == 1 else rows


def _sums_conv(x: Array, w: Array, places: Shape, stride: Shape, dilation: Shape) -> Array:
    if x.dtype not in FLOAT_DTYPES:
        return NUMPY_SUMS.conv(x, w, places, stride, dilation)
    outs: list[Array] = []
    for part in weights_of(w, x.shape[-1]):
        outs.append(np.empty((x.shape[0], *places, x.shape[-1]), x.dtype))
        weights = _tiled(part, places, stride)
        _run(_conv, x, weights, outs[-1], x, places, w.shape[2:], stride, dilation)
    out = outs[0] if len(outs) == 1 else np.stack(outs, axis=-1)
    return out.reshape(*out.shape[: 1 + len(places)], w.shape[0])


def _sums_input_grad(out: Array, y: Array, w: Array, stride: Shape, dilation: Shape) -> None:
    if y.dtype not in FLOAT_DTYPES:
        return NUMPY_SUMS.add_input_grad(out, y, w, stride, dilation)
    channels, places = out.shape[-1], y.shape[1:-1]
    parts = y.reshape(*y.shape[:-1], channels, w.shape[0] // channels)
    for i, part in enumerate(weights_of(w, channels)):
        weights, ct = _tiled(part, places, stride), contiguous(parts[..., i])
        _run(_input_grad, ct, weights, out, out, places, w.shape[2:], stride, dilation)
    return None


def _sums_weight_grad(x: Array, y: Array, kernel: Shape, stride: Shape, dilation: Shape) -> Array:
    if x.dtype not in FLOAT_DTYPES:
        return NUMPY_SUMS.weight_grad(x, y, kernel, stride, dilation)
    channels, places = x.shape[-1], y.shape[1:-1]
    parts = y.reshape(*y.shape[:-1], channels, y.shape[-1] // channels)
    out = np.empty((channels, parts.shape[-1], math.prod(kernel)), y.dtype)
    for i in range(parts.shape[-1]):
        repeats = places[-1] if stride[-1] == 1 else 1
        made = np.zeros((x.shape[0], math.prod(kernel), repeats, channels), x.dtype)
        _run(_weight_grad, x, contiguous(parts[..., i]), made, x, places, kernel, stride, dilation)
        out[:, i] = made.sum(axis=(0, 2)).T
    return out.reshape(y.shape[-1], 1, *kernel)


SUMS: Final = Depthwise(_sums_conv, _sums_input_grad, _sums_weight_grad)
"""The sums of each channel's windows, for `isograd_numpy.convolution`."""
