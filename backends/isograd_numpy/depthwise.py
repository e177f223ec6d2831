"""Convolution where each channel is a group: windows are summed where they are, channels last.

A product of matrices has nothing to share between channels. Weights are (O, 1, *kernel), and O is
a multiple of the number of channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from isograd_numpy.channels_last import Shape, window_elements, windows_of

__all__ = ["NUMPY_SUMS", "Depthwise", "weights_of"]


class Depthwise(NamedTuple):
    """Three functions of padded inputs (N, *size, C), cotangents (N, *places, O) and weights.

    ``conv(x, w, places, stride, dilation)``, ``add_input_grad(out, y, w, stride, dilation)`` and
    ``weight_grad(x, y, kernel, stride, dilation)``.
    """

    conv: Callable[..., np.ndarray]
    add_input_grad: Callable[..., None]
    weight_grad: Callable[..., np.ndarray]


def _conv(
    x: np.ndarray, w: np.ndarray, places: Shape, stride: Shape, dilation: Shape
) -> np.ndarray:
    k = w.ndim - 2
    windows = windows_of(x, places, w.shape[2:], stride, dilation)
    lead, channels = windows.shape[: 1 + k], x.shape[-1]
    out = np.empty((*lead, channels, w.shape[0] // channels), x.dtype)
    for i, weights in enumerate(weights_of(w, channels)):
        axes, inside = list(range(windows.ndim)), list(range(1 + k, windows.ndim))
        kept = [*range(1 + k), windows.ndim - 1]
        out[..., i] = np.einsum(windows, axes, weights, inside, kept)
    return out.reshape(*lead, w.shape[0])


def _add_input_grad(
    out: np.ndarray, y: np.ndarray, w: np.ndarray, stride: Shape, dilation: Shape
) -> None:
    channels, k = out.shape[-1], len(stride)
    parts = y.reshape(*y.shape[:-1], channels, w.shape[0] // channels)
    for i, weights in enumerate(weights_of(w, channels)):
        windows = (*y.shape[1 : 1 + k], *w.shape[2:])
        for position, part in window_elements(out, windows, stride, dilation):
            part += parts[..., i] * weights[position]


def _weight_grad(
    x: np.ndarray, y: np.ndarray, kernel: Shape, stride: Shape, dilation: Shape
) -> np.ndarray:
    k, channels = len(kernel), x.shape[-1]
    windows = windows_of(x, y.shape[1:-1], kernel, stride, dilation)
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


def weights_of(w: np.ndarray, channels: int) -> list[np.ndarray]:
    """Return for each output of a channel the weights (*kernel, C)."""
    split = w.reshape(channels, w.shape[0] // channels, *w.shape[2:])
    return [np.ascontiguousarray(np.moveaxis(split[:, i], 0, -1)) for i in range(split.shape[1])]


NUMPY_SUMS: Final = Depthwise(_conv, _add_input_grad, _weight_grad)
