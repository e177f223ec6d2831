"""Linear algebra: matrices have leading axes anyway; what stands beside them is aligned.

A matrix that all examples share is decomposed once, and the examples are more columns.
"""

from __future__ import annotations

from typing import Any

from isograd.ops.batching.general import aligned
from isograd.ops.movement import moveaxis, reshape
from isograd.runtime.level import Application
from isograd.runtime.tensor import Tensor

__all__ = ["pinv", "systems"]


def systems(call: Application) -> Any:
    """Solve: matrices, right-hand sides and, for `lstsq`, cutoffs."""
    a, b, *cutoff = call.operands
    ndims = len(call.shape(0)), len(call.shape(1))
    shared = not call.mapped[0] and not any(call.mapped[2:])
    if shared and ndims == (2, 2):
        size, rows, count = b.shape
        columns = reshape(moveaxis(b, 0, 1), (rows, size * count))
        out: Tensor = call.bind(a, columns, *cutoff)
        return moveaxis(reshape(out, (out.shape[0], size, count)), 1, 0)
    if not shared and cutoff:
        a = call.front(0)
    ndim = max(ndims)
    if a.ndim == ndims[0] + 1:
        a = reshape(a, (a.shape[0], *(1,) * (ndim - ndims[0]), *a.shape[1:]))
    rest = [aligned(call, 2, ndim - 2)] if cutoff else []
    return call.bind(a, aligned(call, 1, ndim), *rest)


def pinv(call: Application) -> Any:
    """Invert matrices, with cutoffs that broadcast to the batch."""
    return call.bind(call.front(0), aligned(call, 1, len(call.shape(0)) - 2))
