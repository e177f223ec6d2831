"""Convolution where each channel is a group: windows are summed where they are, channels last.

A product of matrices has nothing to share between channels. Weights are (O, 1, *kernel), and O is
a multiple of the number of channels.
"""

from __future__ import annotations

import math

import numpy as np

from isograd_numpy.channels_last import Shape, window_elements

__all__ = ["add_input_grad", "conv", "weight_grad"]


def conv(windows: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return (N, *places, O) of windows (N, *places, *kernel, C)."""
    k = w.ndim - 2
    places = windows.shape[: 1 + k]
    out = np.empty((*places, windows.shape[-1], w.shape[0] // windows.shape[-1]), windows.dtype)
    for i, weights in enumerate(_weights(w, windows.shape[-1])):
        axes, inside = list(range(windows.ndim)), list(range(1 + k, windows.ndim))
        kept = [*range(1 + k), windows.ndim - 1]
        out[..., i] = np.einsum(windows, axes, weights, inside, kept)
    return out.reshape(*places, w.shape[0])


def add_input_grad(
    out: np.ndarray, y: np.ndarray, w: np.ndarray, stride: Shape, dilation: Shape
) -> None:
    """Add to (N, *size, C) what cotangents (N, *places, O) send back to their windows."""
    channels, k = out.shape[-1], len(stride)
    parts = y.reshape(*y.shape[:-1], channels, w.shape[0] // channels)
    for i, weights in enumerate(_weights(w, channels)):
        windows = (*y.shape[1 : 1 + k], *w.shape[2:])
        for position, part in window_elements(out, windows, stride, dilation):
            part += parts[..., i] * weights[position]


def weight_grad(windows: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (O, 1, *kernel) for windows (N, *places, *kernel, C), cotangents (N, *places, O)."""
    k = (windows.ndim - 2) // 2
    kernel, channels = windows.shape[1 + k : -1], windows.shape[-1]
    parts = y.reshape(*y.shape[:-1], channels, y.shape[-1] // channels)
    out = np.empty((channels, parts.shape[-1], 1, *kernel), y.dtype)
    axes = list(range(windows.ndim))
    # A sum along one axis of places at a time has few terms that are added in sequence.
    kept = [*range(k), *range(1 + k, windows.ndim)]
    for i in range(parts.shape[-1]):
        rows = np.einsum(windows, axes, parts[..., i], [*range(1 + k), windows.ndim - 1], kept)
        total = rows.reshape(math.prod(rows.shape[:k]), *kernel, channels).sum(axis=0)
        out[:, i, 0] = np.moveaxis(total, -1, 0)
    return out.reshape(y.shape[-1], 1, *kernel)


def _weights(w: np.ndarray, channels: int) -> list[np.ndarray]:
    """Return for each output of a channel the weights (*kernel, C)."""
    split = w.reshape(channels, w.shape[0] // channels, *w.shape[2:])
    return [np.ascontiguousarray(np.moveaxis(split[:, i], 0, -1)) for i in range(split.shape[1])]
