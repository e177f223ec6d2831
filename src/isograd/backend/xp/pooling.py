"""Maxima and sums of windows, and their adjoints, one position in the window at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import in_float32
from isograd.backend.xp.movement import pad_axis

__all__ = ["pooling_kernels"]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def pooling_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of pooling over an array namespace."""

    def around(x: Array, padding: Pairs, value: Any) -> Array:
        for axis, (low, high) in enumerate(padding, start=x.ndim - len(padding)):
            x = pad_axis(xp, x, axis, low, high, 0, value)
        return x

    def inside(x: Array, size: Shape, padding: Pairs) -> Array:
        return x[(..., *(slice(low, low + n) for n, (low, _) in zip(size, padding, strict=True)))]

    def counts(size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
        axes = zip(size, kernel, stride, dilation, strict=True)
        return tuple([(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in axes])

    def elements(
        x: Array, places: Shape, kernel: Shape, stride: Shape, dilation: Shape
    ) -> Iterator[tuple[Shape, Array]]:
        """Yield each position in the window with that element of every window."""
        for position in product(*map(range, kernel)):
            axes = zip(position, places, stride, dilation, strict=True)
            yield position, x[(..., *(slice(p * d, p * d + n * s, s) for p, n, s, d in axes))]

    def size_of(x: Array, kernel: Shape) -> Shape:
        return tuple(x.shape[x.ndim - len(kernel) :])

    def cut(
        x: Array, places: Shape, kernel: Shape, stride: Shape, dilation: Shape
    ) -> Iterator[tuple[Shape, Array]]:
        """Yield elements, where the last slices are cut to the number of windows."""
        for position, part in elements(x, places, kernel, stride, dilation):
            yield position, part[(..., *(slice(0, n) for n in places))]

    def max_pool(
        x: Array, *, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
    ) -> Array:
        wide = around(x, padding, -math.inf)
        places = counts(size_of(wide, kernel), kernel, stride, dilation)
        out = None
        for _, part in cut(wide, places, kernel, stride, dilation):
            out = part if out is None else xp.maximum(out, part)
        return out

    def hits(
        x: Array, out: Array, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
    ) -> Iterator[tuple[Shape, Array]]:
        """Yield each position with whether it is the first that has the maximum."""
        places = size_of(out, kernel)
        wide = around(x, padding, -math.inf)
        real = around(xp.ones(x.shape, dtype=xp.bool, device=x.device), padding, False)
        free = xp.ones(out.shape, dtype=xp.bool, device=x.device)
        masks = cut(real, places, kernel, stride, dilation)
        for position, part in cut(wide, places, kernel, stride, dilation):
            _, mask = next(masks)
            hit = ((part == out) | xp.isnan(part)) & free & mask
            yield position, hit
            free = free & ~hit

    def max_pool_indices(
        x: Array, out: Array, *, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
    ) -> Array:
        size, places = size_of(x, kernel), size_of(out, kernel)
        total = xp.zeros(out.shape, dtype=xp.int64, device=x.device)
        for position, hit in hits(x, out, kernel, stride, padding, dilation):
            flat = xp.zeros((), dtype=xp.int64, device=x.device)
            for i, count in enumerate(places):
                step = math.prod(size[i + 1 :])
                along = xp.arange(count, dtype=xp.int64, device=x.device) * (stride[i] * step)
                along = along + (position[i] * dilation[i] - padding[i][0]) * step
                flat = flat + xp.reshape(along, (count, *(1,) * (len(places) - i - 1)))
            total = xp.where(hit, flat, total)
        return total

    def placed(part: Array, wide: Shape, low: Shape, stride: Shape) -> Array:
        """Put elements into zeros of lengths ``wide``, ``stride`` apart from ``low`` on."""
        first = part.ndim - len(wide)
        for i, n in enumerate(wide):
            axis = first + i
            span = (part.shape[axis] - 1) * stride[i] + 1 if part.shape[axis] else 0
            part = pad_axis(xp, part, axis, low[i], n - low[i] - span, stride[i] - 1, 0)
        return part

    def max_pool_grad(
        g: Array,
        x: Array,
        out: Array,
        *,
        kernel: Shape,
        stride: Shape,
        padding: Pairs,
        dilation: Shape,
    ) -> Array:
        size = size_of(x, kernel)
        wide = tuple([n + a + b for n, (a, b) in zip(size, padding, strict=True)])
        total = None
        for position, hit in hits(x, out, kernel, stride, padding, dilation):
            low = tuple([p * d for p, d in zip(position, dilation, strict=True)])
            part = placed(xp.where(hit, g, xp.zeros_like(g)), wide, low, stride)
            total = part if total is None else total + part
        return inside(total, size, padding)

    def window_sum(x: Array, *, kernel: Shape, stride: Shape, padding: Pairs) -> Array:
        wide, ones = around(x, padding, 0), (1,) * len(kernel)
        places = counts(size_of(wide, kernel), kernel, stride, ones)
        total = None
        for _, part in cut(wide, places, kernel, stride, ones):
            total = part if total is None else total + part
        return total

    def window_spread(
        g: Array, *, size: Shape, kernel: Shape, stride: Shape, padding: Pairs
    ) -> Array:
        wide = tuple([n + a + b for n, (a, b) in zip(size, padding, strict=True)])
        total = None
        for position in product(*map(range, kernel)):
            part = placed(g, wide, position, stride)
            total = part if total is None else total + part
        return inside(total, size, padding)

    return {
        "max_pool": max_pool,
        "max_pool_indices": max_pool_indices,
        "max_pool_grad": in_float32(xp, max_pool_grad),
        "window_sum": in_float32(xp, window_sum),
        "window_spread": in_float32(xp, window_spread),
    }
