"""Indexing where each example has indices of its own: one gather over the examples' rows."""

from __future__ import annotations

from typing import Any

from isograd.backend.indices import check_indices
from isograd.core import dtypes
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops.convert import cast, is_traced
from isograd.ops.creation import arange
from isograd.ops.movement import moveaxis, permute_dims, reshape
from isograd.runtime.bind import bind
from isograd.runtime.level import Application
from isograd.runtime.tensor import Tensor

__all__ = ["put", "take"]


def _joined(x: Tensor, axis: int) -> Tensor:
    """Bring an axis behind that of the examples, and make one of both."""
    moved = moveaxis(x, axis + 1, 1) if axis else x
    return reshape(moved, (moved.shape[0] * moved.shape[1], *moved.shape[2:]))


def _flat(function: str, indices: Tensor, n: int, axis: int) -> Tensor:
    """Return indices of each example as indices into the rows of all."""
    wide = cast(indices, dtypes.int64)
    size = indices.shape[0]
    if not is_traced(wide):
        check_indices(function, wide.numpy(), n, axis)
    wrapped = m.where(m.less(wide, 0), wide + n, wide)
    first = reshape(arange(size, device=wide.device) * n, (size, *(1,) * (wide.ndim - 1)))
    if not is_traced(wide):
        return wrapped + first
    # What cannot be seen yet is sent out of range as a whole, for the kernel.
    inside = m.logical_and(m.greater_equal(wrapped, 0), m.less(wrapped, n))
    return m.where(inside, wrapped + first, size * n)


def _rows_in_front(axis: int, indexed: int, ndim: int) -> tuple[int, ...]:
    """Return the order of axes that moves ``indexed`` ones from behind ``axis`` to the front."""
    here = range(axis + 1, axis + 1 + indexed)
    return (0, *here, *[i for i in range(1, ndim) if i not in here])


def take(call: Application) -> Any:
    """Gather; from one tensor for all, with the same indices for all, or with own ones of each."""
    x, indices = call.operands
    axis: int = call.static["axis"]
    if not call.mapped[1]:
        return call.bind(x, indices, axis=axis + 1)
    if not call.mapped[0]:
        out = call.bind(x, indices)
        return moveaxis(out, axis, 0) if axis else out
    flat = _flat("take", indices, x.shape[axis + 1], axis)
    out = call.bind(_joined(x, axis), flat, axis=0)
    order = _rows_in_front(axis, indices.ndim - 1, out.ndim)
    return permute_dims(out, sorted(range(out.ndim), key=order.__getitem__))


def put(call: Application) -> Any:
    """Scatter, with the same indices for all examples, or with own ones of each."""
    axis: int = call.static["axis"]
    x, updates = call.front(0), call.front(2)
    if not call.mapped[1]:
        return call.bind(x, call.operands[1], updates, axis=axis + 1)
    indices = call.operands[1]
    flat = _flat(call.prim.name, indices, x.shape[axis + 1], axis)
    rows = permute_dims(updates, _rows_in_front(axis, indices.ndim - 1, updates.ndim))
    joined = _joined(x, axis)
    out = bind(p.PRIMITIVES[call.prim.name], joined, flat, rows, axis=0)
    apart = reshape(out, (call.size, x.shape[axis + 1], *joined.shape[1:]))
    return moveaxis(apart, 1, axis + 1) if axis else apart
