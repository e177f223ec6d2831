"""Movement primitives: views where possible, one copy where not."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_cupy._elementwise import contiguous, copy_into
from isograd_cupy._layout import broadcast, empty, view
from isograd_cupy._sources import fill

__all__ = ["MOVEMENT", "permuted", "reshaped"]


def reshaped(x: Any, shape: tuple[int, ...], /) -> Any:
    """Return the elements in C order in another shape."""
    return contiguous(x).reshape(shape)


def permuted(x: Any, axes: tuple[int, ...], /) -> Any:
    """Return a view with its axes in another order."""
    return view(x, [x.shape[i] for i in axes], [x.strides[i] for i in axes])


def _reshape(x: Any, *, shape: tuple[int, ...]) -> Any:
    return reshaped(x, shape)


def _permute_dims(x: Any, *, axes: tuple[int, ...]) -> Any:
    return permuted(x, axes)


def _broadcast_to(x: Any, *, shape: tuple[int, ...]) -> Any:
    return broadcast(x, shape)


def _slice(x: Any, *, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]) -> Any:
    return x[tuple(map(slice, start, stop, step))]


def _flip(x: Any, *, axis: tuple[int, ...]) -> Any:
    back, whole = slice(None, None, -1), slice(None)
    return x[tuple([back if i in axis else whole for i in range(x.ndim)])]


def _pad(
    x: Any,
    *,
    low: tuple[int, ...],
    high: tuple[int, ...],
    interior: tuple[int, ...],
    value: float,
) -> Any:
    shape: list[int] = []
    inside: list[slice] = []
    for n, before, after, between in zip(x.shape, low, high, interior, strict=True):
        span = n + max(n - 1, 0) * between
        shape.append(before + span + after)
        inside.append(slice(before, before + span, between + 1))
    out = fill(empty(shape, x.dtype), value)
    copy_into(out[tuple(inside)], x)
    return out


def _concat(*xs: Any, axis: int) -> Any:
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    out = empty(shape, xs[0].dtype)
    ends = np.cumsum([x.shape[axis] for x in xs]).tolist()
    for x, end in zip(xs, ends, strict=True):
        copy_into(out[(slice(None),) * axis + (slice(end - x.shape[axis], end),)], x)
    return out


MOVEMENT: Final[dict[str, Kernel]] = {
    "reshape": _reshape,
    "permute_dims": _permute_dims,
    "broadcast_to": _broadcast_to,
    "slice": _slice,
    "flip": _flip,
    "pad": _pad,
    "concat": _concat,
}
