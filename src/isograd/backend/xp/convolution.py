"""Convolution and its gradients: windows as the rows of a matrix, for each group."""

from __future__ import annotations

import math
from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import in_float32
from isograd.backend.xp.movement import pad_axis
from isograd.backend.xp.windows import window_kernels

__all__ = ["convolution_kernels"]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def convolution_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of convolution over an array namespace."""
    windows = window_kernels(xp)

    def columns(
        x: Array, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, groups: int
    ) -> tuple[Array, Shape]:
        """Return the windows as (groups, N * places, C / groups * kernel), and the places."""
        wide = x
        for axis, (low, high) in enumerate(padding, start=2):
            wide = pad_axis(xp, wide, axis, low, high, 0, 0)
        k, n, channels = len(kernel), x.shape[0], x.shape[1] // groups
        found: Array = windows["unfold"](wide, kernel=kernel, stride=stride, dilation=dilation)
        places = tuple(found.shape[2 : 2 + k])
        split = xp.reshape(found, (n, groups, channels, *places, *kernel))
        order = (1, 0, *range(3, 3 + k), 2, *range(3 + k, 3 + 2 * k))
        shape = (groups, n * math.prod(places), channels * math.prod(kernel))
        return xp.reshape(xp.permute_dims(split, order), shape), places

    def by_group(y: Array, groups: int) -> Array:
        """Return the output as (groups, N * places, O / groups)."""
        n, channels, *places = y.shape
        split = xp.reshape(y, (n, groups, channels // groups, *places))
        order = (1, 0, *range(3, 3 + len(places)), 2)
        shape = (groups, n * math.prod(places), channels // groups)
        return xp.reshape(xp.permute_dims(split, order), shape)

    def weights(w: Array, groups: int) -> Array:
        return xp.reshape(w, (groups, w.shape[0] // groups, math.prod(w.shape[1:])))

    def conv(
        x: Array, w: Array, *, stride: Shape, padding: Pairs, dilation: Shape, groups: int
    ) -> Array:
        n, outputs = x.shape[0], w.shape[0]
        rows, places = columns(x, tuple(w.shape[2:]), stride, padding, dilation, groups)
        out = xp.matmul(rows, xp.permute_dims(weights(w, groups), (0, 2, 1)))
        split = xp.reshape(out, (groups, n, *places, outputs // groups))
        last = len(places) + 2
        moved = xp.permute_dims(split, (1, 0, last, *range(2, last)))
        return xp.reshape(moved, (n, outputs, *places))

    def conv_input_grad(
        y: Array,
        w: Array,
        *,
        size: Shape,
        stride: Shape,
        padding: Pairs,
        dilation: Shape,
        groups: int,
    ) -> Array:
        n, places, kernel, channels = y.shape[0], y.shape[2:], w.shape[2:], w.shape[1]
        k = len(size)
        rows = xp.matmul(by_group(y, groups), weights(w, groups))
        split = xp.reshape(rows, (groups, n, *places, channels, *kernel))
        order = (1, 0, 2 + k, *range(2, 2 + k), *range(3 + k, 3 + 2 * k))
        moved = xp.reshape(xp.permute_dims(split, order), (n, groups * channels, *places, *kernel))
        wide = tuple([m + low + high for m, (low, high) in zip(size, padding, strict=True)])
        out: Array = windows["fold"](moved, size=wide, stride=stride, dilation=dilation)
        inside = [slice(low, low + m) for m, (low, _) in zip(size, padding, strict=True)]
        return out[(slice(None), slice(None), *inside)]

    def conv_weight_grad(
        x: Array,
        y: Array,
        *,
        kernel: Shape,
        stride: Shape,
        padding: Pairs,
        dilation: Shape,
        groups: int,
    ) -> Array:
        rows, _ = columns(x, kernel, stride, padding, dilation, groups)
        out = xp.matmul(xp.permute_dims(by_group(y, groups), (0, 2, 1)), rows)
        return xp.reshape(out, (y.shape[1], x.shape[1] // groups, *kernel))

    kernels: dict[str, Kernel] = {
        "conv": conv,
        "conv_input_grad": conv_input_grad,
        "conv_weight_grad": conv_weight_grad,
    }
    return {name: in_float32(xp, kernel) for name, kernel in kernels.items()}
