"""Pooling without padded copies: each window position meets the windows that reach the input."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_numpy.common import keep_where, widened

__all__ = ["POOLING"]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Range = tuple[int, int, int]  # first and last window, and the input's element at the first


def _ranges(n: int, count: int, k: int, s: int, low: int, d: int) -> list[Range]:
    """Return for each position in the window which windows have an element of the input there."""
    found: list[Range] = []
    for offset in [j * d - low for j in range(k)]:
        first = max(0, -(offset // s)) if offset < 0 else 0
        last = min(count, max((n - 1 - offset) // s + 1, 0))
        found.append((first, max(last, first), first * s + offset))
    return found


def _counts(size: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Shape:
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple([(n + sum(p) - (k - 1) * d - 1) // s + 1 for n, k, s, p, d in axes])


def _cells(ranges: tuple[Range, ...], stride: Shape) -> tuple[Any, Any]:
    """Return indices of windows and of the input for one position."""
    windows = [slice(first, last) for first, last, _ in ranges]
    axes = zip(ranges, stride, strict=True)
    inputs = [slice(at, at + (last - first) * s, s) for (first, last, at), s in axes]
    return (..., *windows), (..., *inputs)


def _positions(
    size: Shape, places: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Iterator[tuple[Shape, Any, Any]]:
    """Yield each position in the window with indices of windows and of the input."""
    axes = zip(size, places, kernel, stride, padding, dilation, strict=True)
    ranges = [_ranges(n, c, k, s, p[0], d) for n, c, k, s, p, d in axes]
    for position in product(*map(range, kernel)):
        windows, inputs = _cells(
            tuple([r[i] for r, i in zip(ranges, position, strict=True)]), stride
        )
        yield position, windows, inputs


def _along(x: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(x, axis, -1)


def _max_pool(
    x: np.ndarray, *, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> np.ndarray:
    # One axis after the other: maxima of maxima.
    first = x.ndim - len(kernel)
    for i in range(len(kernel) - 1, -1, -1):
        moved = _along(x, first + i)
        k, s, p, d = kernel[i : i + 1], stride[i : i + 1], padding[i : i + 1], dilation[i : i + 1]
        places = _counts(moved.shape[-1:], k, s, p, d)
        shape = (*x.shape[: first + i], *places, *x.shape[first + i + 1 :])
        out = np.full_like(x, -math.inf, shape=shape)  # with the axes of x in memory
        target = _along(out, first + i)
        for _, windows, inputs in _positions(moved.shape[-1:], places, k, s, p, d):
            np.maximum(target[windows], moved[inputs], out=target[windows])
        x = out
    return x


def _hits(
    x: np.ndarray, out: np.ndarray, places: Shape, positions: tuple[Any, ...]
) -> Iterator[tuple[Shape, Any, Any, np.ndarray]]:
    """Yield each position with whether it is the first that has the maximum."""
    free = np.ones_like(out, np.bool_)
    with_nan = bool(np.isnan(out).any())
    size, kernel = x.shape[x.ndim - len(places) :], positions[0]
    for position, windows, inputs in _positions(size, places, kernel, *positions[1:]):
        part = x[inputs]
        hit = part == out[windows]
        if with_nan:
            hit |= np.isnan(part)
        hit &= free[windows]
        yield position, windows, inputs, hit
        free[windows] ^= hit


def _max_pool_indices(
    x: np.ndarray,
    out: np.ndarray,
    *,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
) -> np.ndarray:
    k = len(kernel)
    size, places = x.shape[x.ndim - k :], out.shape[out.ndim - k :]
    total = np.zeros(out.shape, np.int64)
    numbers = np.arange(math.prod(size)).reshape(size)
    for _, windows, inputs, hit in _hits(x, out, places, (kernel, stride, padding, dilation)):
        np.copyto(total[windows], numbers[inputs], where=hit)
    return total


def _max_pool_grad(
    g: np.ndarray,
    x: np.ndarray,
    out: np.ndarray,
    *,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
) -> np.ndarray:
    total = np.zeros_like(x)
    places = out.shape[out.ndim - len(kernel) :]
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    apart = all(r < s for r, s in zip(reach, stride, strict=True))  # no element is in two windows
    for _, windows, inputs, hit in _hits(x, out, places, (kernel, stride, padding, dilation)):
        if apart:
            keep_where(hit, g[windows], total[inputs])
        else:
            part = np.empty_like(hit, g.dtype)
            keep_where(hit, g[windows], part)
            total[inputs] += part
    return total


def _window_sum(x: np.ndarray, *, kernel: Shape, stride: Shape, padding: Pairs) -> np.ndarray:
    first = x.ndim - len(kernel)
    for i in range(len(kernel) - 1, -1, -1):
        moved = _along(x, first + i)
        k, s, p = kernel[i : i + 1], stride[i : i + 1], padding[i : i + 1]
        if k == moved.shape[-1:] and not any(p[0]):  # one window, of the whole axis
            x = x.sum(axis=first + i, keepdims=True, dtype=x.dtype)
            continue
        places = _counts(moved.shape[-1:], k, s, p, (1,))
        out = np.zeros_like(x, shape=(*x.shape[: first + i], *places, *x.shape[first + i + 1 :]))
        target = _along(out, first + i)
        for _, windows, inputs in _positions(moved.shape[-1:], places, k, s, p, (1,)):
            target[windows] += moved[inputs]
        x = out
    return x


def _window_spread(
    g: np.ndarray, *, size: Shape, kernel: Shape, stride: Shape, padding: Pairs
) -> np.ndarray:
    first = g.ndim - len(kernel)
    for i in range(len(kernel)):
        moved = _along(g, first + i)
        k, s, p = kernel[i : i + 1], stride[i : i + 1], padding[i : i + 1]
        shape = (*g.shape[: first + i], size[i], *g.shape[first + i + 1 :])
        if k == size[i : i + 1] and not any(p[0]):
            g = np.broadcast_to(g, shape)
            continue
        out = np.zeros_like(g, shape=shape)
        target = _along(out, first + i)
        for _, windows, inputs in _positions(size[i : i + 1], moved.shape[-1:], k, s, p, (1,)):
            target[inputs] += moved[windows]
        g = out
    return g


POOLING: Final[dict[str, Kernel]] = {
    "max_pool": _max_pool,
    "max_pool_indices": _max_pool_indices,
    "max_pool_grad": widened(_max_pool_grad),
    "window_sum": widened(_window_sum),
    "window_spread": widened(_window_spread),
}
