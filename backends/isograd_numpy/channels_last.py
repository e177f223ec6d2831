"""Views with channels last, and windows of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

__all__ = [
    "Pairs",
    "Shape",
    "channels_first",
    "channels_last",
    "padded",
    "window_elements",
    "windows_of",
]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def channels_last(x: np.ndarray) -> np.ndarray:
    """Return a view with the channels last."""
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first(x: np.ndarray) -> np.ndarray:
    """Return a view with the channels first."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def padded(x: np.ndarray, padding: Pairs) -> np.ndarray:
    """Return the input with channels last and zeros around it."""
    moved = channels_last(x)
    if not any(map(any, padding)):
        return np.ascontiguousarray(moved)
    sizes = [n + low + high for n, (low, high) in zip(x.shape[2:], padding, strict=True)]
    out = np.zeros((x.shape[0], *sizes, x.shape[1]), x.dtype)
    inside = [slice(low, low + n) for n, (low, _) in zip(x.shape[2:], padding, strict=True)]
    out[(slice(None), *inside)] = moved
    return out


def windows_of(
    x: np.ndarray, places: Shape, kernel: Shape, stride: Shape, gaps: Shape
) -> np.ndarray:
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


def window_elements(
    x: np.ndarray, windows: Shape, stride: Shape, gaps: Shape
) -> Iterator[tuple[Shape, np.ndarray]]:
    """Yield each position in the windows (*places, *kernel) with a view of that element of all."""
    k = len(stride)
    places, kernel = windows[:k], windows[k:]
    for position in product(*map(range, kernel)):
        cells = [
            slice(p * gap, p * gap + (count - 1) * step + 1, step)
            for p, gap, count, step in zip(position, gaps, places, stride, strict=True)
        ]
        yield position, x[(slice(None), *cells)]
