"""Primitives that move elements and compute nothing."""

from __future__ import annotations

from typing import Any

from isograd.backend.protocols import Array, Kernel

__all__ = ["movement_kernels", "pad_axis"]


def pad_axis(
    xp: Any, x: Array, axis: int, low: int, high: int, interior: int, value: float, /
) -> Array:
    """Put ``low`` values before an axis, ``high`` after, ``interior`` between neighbours."""
    count = x.shape[axis]
    before, after = x.shape[:axis], x.shape[axis + 1 :]

    def fill(*middle: int) -> Array:
        return xp.full((*before, *middle, *after), value, dtype=x.dtype, device=x.device)

    if interior and count > 1:
        groups = xp.concat([xp.expand_dims(x, axis=axis + 1), fill(count, interior)], axis=axis + 1)
        spread = xp.reshape(groups, (*before, count * (1 + interior), *after))
        x = spread[(slice(None),) * axis + (slice(0, -interior),)]
    parts = [*([fill(low)] if low else []), x, *([fill(high)] if high else [])]
    return xp.concat(parts, axis=axis) if len(parts) > 1 else x


def movement_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the movement primitives over an array namespace."""

    def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
        return xp.reshape(x, shape)

    def permute_dims(x: Array, *, axes: tuple[int, ...]) -> Array:
        return xp.permute_dims(x, axes)

    def broadcast_to(x: Array, *, shape: tuple[int, ...]) -> Array:
        return xp.broadcast_to(x, shape)

    def slice_(
        x: Array, *, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]
    ) -> Array:
        return x[tuple(map(slice, start, stop, step))]

    def flip(x: Array, *, axis: tuple[int, ...]) -> Array:
        return xp.flip(x, axis=axis) if axis else x

    def pad(
        x: Array,
        *,
        low: tuple[int, ...],
        high: tuple[int, ...],
        interior: tuple[int, ...],
        value: float,
    ) -> Array:
        for axis, (before, after, between) in enumerate(zip(low, high, interior, strict=True)):
            x = pad_axis(xp, x, axis, before, after, between, value)
        return x

    def concat(*xs: Array, axis: int) -> Array:
        return xp.concat(xs, axis=axis)

    return {
        "reshape": reshape,
        "permute_dims": permute_dims,
        "broadcast_to": broadcast_to,
        "slice": slice_,
        "flip": flip,
        "pad": pad,
        "concat": concat,
    }
