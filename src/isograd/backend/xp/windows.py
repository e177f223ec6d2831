"""Sliding windows over the last axes, and their adjoint. Convolution and pooling stand on these."""

from __future__ import annotations

from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import in_float32
from isograd.backend.xp.movement import pad_axis

__all__ = ["window_kernels"]


def window_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of unfold and fold over an array namespace: one axis after another."""

    def unfold(
        x: Array, *, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
    ) -> Array:
        first = x.ndim - len(kernel)
        for i, (width, step, gap) in enumerate(zip(kernel, stride, dilation, strict=True)):
            count = (x.shape[first + i] - gap * (width - 1) - 1) // step + 1
            before = (slice(None),) * (first + i)
            starts = range(0, gap * width, gap)
            x = xp.stack(
                [x[(*before, slice(s, s + (count - 1) * step + 1, step))] for s in starts], axis=-1
            )
        return x

    def fold(
        y: Array, *, size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
    ) -> Array:
        k = len(size)
        first = y.ndim - 2 * k
        for i in range(k - 1, -1, -1):
            axis, step = first + i, stride[i]
            span = (y.shape[axis] - 1) * step + 1
            width = y.shape[-1]
            if not width or not y.shape[axis]:
                shape = (*y.shape[:axis], size[i], *y.shape[axis + 1 : -1])
                y = xp.zeros(shape, dtype=y.dtype, device=y.device)
                continue
            total = None
            for j in range(width):
                low = j * dilation[i]
                part = pad_axis(xp, y[..., j], axis, low, size[i] - low - span, step - 1, 0)
                total = part if total is None else total + part
            y = total
        return y

    return {"unfold": unfold, "fold": in_float32(xp, fold)}
