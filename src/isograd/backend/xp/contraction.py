"""Matrix products."""

from __future__ import annotations

from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import in_float32

__all__ = ["contraction_kernels"]


def contraction_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the contractions over an array namespace."""

    def matmul(x: Array, y: Array) -> Array:
        return xp.matmul(x, y)

    def linear(x: Array, w: Array, b: Array) -> Array:
        flat = xp.reshape(x, (-1, x.shape[-1])) if 0 not in x.shape else x
        out = xp.matmul(flat, xp.permute_dims(w, (1, 0))) + b
        return xp.reshape(out, (*x.shape[:-1], w.shape[0]))

    return {"matmul": in_float32(xp, matmul), "linear": in_float32(xp, linear)}
