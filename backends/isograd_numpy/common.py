"""What the kernels share: 16-bit floats in float32, blocks that fit the cache, choice by bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

__all__ = ["BLOCK", "Fill", "elementwise", "flat", "keep_where", "widened"]

BLOCK: Final = 16384
"""Elements of a block: enough that calls cost little, few enough that temporaries stay in cache."""

Fill = Callable[..., None]
"""``fill(out, scratch, *arrays, **static)``, all of them 1-d, contiguous and of one length."""


def widened(kernel: Callable[..., Any], /) -> Callable[..., Any]:
    """Make a kernel whose first array is of floats compute 16-bit ones in float32."""

    def run(x: np.ndarray, *rest: Any, **static: Any) -> Any:
        dtype = x.dtype
        if dtype.itemsize != 2:
            return kernel(x, *rest, **static)
        wide = [a.astype(np.float32) if a.dtype == dtype else a for a in rest]
        return kernel(x.astype(np.float32), *wide, **static).astype(dtype)

    return run


def flat(array: np.ndarray, /) -> np.ndarray:
    """Return the elements in C order as a contiguous 1-d array, without a copy where possible."""
    return array.reshape(-1) if array.flags.c_contiguous else array.flatten()


def elementwise(fill: Fill, scratch: int, /) -> Callable[..., np.ndarray]:
    """Make a kernel of a function that computes one block of arrays of one shape.

    ``fill`` gets ``scratch`` uninitialised rows, of the dtype of the first array, for temporaries.
    """

    def kernel(*arrays: np.ndarray, **static: Any) -> np.ndarray:
        first = arrays[0]
        dtype = first.dtype
        out = np.empty(first.shape, dtype)
        count = out.size
        target = out.reshape(-1)
        sources = [flat(array) for array in arrays]
        if count <= BLOCK:
            fill(target, np.empty((scratch, count), dtype), *sources, **static)
            return out
        rows = np.empty((scratch, BLOCK), dtype)
        for start in range(0, count, BLOCK):
            stop = min(start + BLOCK, count)
            parts = [source[start:stop] for source in sources]
            fill(target[start:stop], rows[:, : stop - start], *parts, **static)
        return out

    return widened(kernel)


_SIGNED: Final = {2: np.int16, 4: np.int32, 8: np.int64}


def keep_where(keep: np.ndarray, x: np.ndarray, out: np.ndarray, /) -> None:
    """Write ``x`` where ``keep`` and +0 elsewhere, also where ``x`` is NaN or infinite.

    The bits are masked, which unlike `numpy.where` costs the same for any pattern of the mask.
    """
    integer = _SIGNED[x.dtype.itemsize]
    mask = np.negative(keep.view(np.int8))
    np.bitwise_and(x.view(integer), mask, out=out.view(integer))
