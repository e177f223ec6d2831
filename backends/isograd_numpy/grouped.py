"""Convolution in groups: windows in runs of places, and one product for all groups of a batch.

With few channels in a group, runs of channels would be short.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from isograd_numpy.channels_last import Pairs, Shape

__all__ = ["conv", "input_grad", "weight_grad"]

Kernels = Mapping[str, Callable[..., Any]]


def _windows_first(x: np.ndarray) -> np.ndarray:
    """Exchange the first half of the axes behind (N, C) with the second: places with windows."""
    middle = x.ndim // 2 + 1
    return x.transpose(0, 1, *range(middle, x.ndim), *range(2, middle))


def _columns(
    kernels: Kernels,
    x: np.ndarray,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> np.ndarray:
    """Return the windows (N, groups, C / groups * kernel, places)."""
    sizes = [n + low + high for n, (low, high) in zip(x.shape[2:], padding, strict=True)]
    wide = np.zeros((*x.shape[:2], *sizes), x.dtype)
    inside = [slice(low, low + n) for n, (low, _) in zip(x.shape[2:], padding, strict=True)]
    wide[(slice(None), slice(None), *inside)] = x
    windows = kernels["unfold"](wide, kernel=kernel, stride=stride, dilation=dilation)
    rows = x.shape[1] // groups * math.prod(kernel)
    return np.ascontiguousarray(_windows_first(windows)).reshape(x.shape[0], groups, rows, -1)


def conv(kernels: Kernels, x: np.ndarray, w: np.ndarray, out: np.ndarray, **static: Any) -> None:
    """Write (N, O, *places)."""
    columns = _columns(kernels, x, w.shape[2:], **static)
    groups = columns.shape[1]
    matrices = w.reshape(groups, w.shape[0] // groups, columns.shape[2])
    out[...] = kernels["matmul"](matrices, columns).reshape(out.shape)


def input_grad(
    kernels: Kernels,
    y: np.ndarray,
    w: np.ndarray,
    sizes: Shape,
    stride: Shape,
    dilation: Shape,
    groups: int,
) -> np.ndarray:
    """Return (N, C, *sizes), of the padded input."""
    matrices = w.reshape(groups, w.shape[0] // groups, -1)
    parts = y.reshape(y.shape[0], groups, matrices.shape[1], -1)
    columns = kernels["matmul"](matrices.mT, parts)
    channels = groups * w.shape[1]
    windows = columns.reshape(y.shape[0], channels, *w.shape[2:], *y.shape[2:])
    return kernels["fold"](_windows_first(windows), size=sizes, stride=stride, dilation=dilation)


def weight_grad(
    kernels: Kernels, x: np.ndarray, y: np.ndarray, kernel: Shape, **static: Any
) -> np.ndarray:
    """Return (O, C / groups, *kernel)."""
    columns = _columns(kernels, x, kernel, **static)
    n, groups = columns.shape[:2]
    parts = y.reshape(n, groups, y.shape[1] // groups, columns.shape[3])
    total = kernels["matmul"](parts, columns.mT).sum(axis=0)
    return total.reshape(y.shape[1], x.shape[1] // groups, *kernel)
