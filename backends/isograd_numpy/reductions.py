"""Reductions. A floating-point sum has the same bits for every memory layout of its argument.

NumPy adds in pairs (blocks of 128 with eight running sums each, combined as a binary tree) only
along an axis that is last in memory; along others it keeps one running sum, whose error grows with
the number of terms. Here every sum is that tree over the reduced axes, flattened in C order. It is
a function of the shape alone, and its error grows with the logarithm of the number of terms.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from isograd.backend import Kernel
from isograd_numpy.common import widened

__all__ = ["REDUCTIONS", "sum_last", "total"]

_LEAF = 128  # NumPy's pairwise block; rows up to it are added without recursion
_WIDE = 64  # columns from which adding whole rows beats a transposing copy
_BATCH = 1 << 18  # elements of a transposing copy, to stay in cache


def sum_last(x: np.ndarray, /) -> np.ndarray:
    """Sum a C-contiguous ``(..., n)`` array over its last axis by NumPy's pairwise tree."""
    n = x.shape[-1]
    # Below eight terms the tree is a running sum, and NumPy's loop over rows is slow.
    if 1 < n < 8 and x.size > 1024:
        out = x[..., 0] + x[..., 1]
        for i in range(2, n):
            out += x[..., i]
        return out
    return np.add.reduce(x, axis=-1)


def _sum_rows(x: np.ndarray) -> np.ndarray:
    """Sum ``(a, k, m)`` over k by the same tree as `sum_last`, adding rows of m elements."""
    a, k, m = x.shape
    if k < 8:
        return np.add.reduce(x, axis=1)
    if k > _LEAF:
        half = k // 2
        half -= half % 8
        out = _sum_rows(x[:, :half])
        out += _sum_rows(x[:, half:])
        return out
    whole = k - k % 8
    lanes = np.add.reduce(x[:, :whole].reshape(a, whole // 8, 8, m), axis=1)
    while lanes.shape[1] > 1:
        lanes = lanes[:, 0::2] + lanes[:, 1::2]
    out = lanes[:, 0]
    for i in range(whole, k):
        out += x[:, i]
    return out


def _sum_kept_first(x: np.ndarray, kept: int) -> np.ndarray:
    """Sum over the axes from ``kept`` on, of an array of any strides."""
    shape = x.shape[:kept]
    if kept == 0 or x.size <= _BATCH:
        return sum_last(np.ascontiguousarray(x).reshape(*shape, -1))
    rows = max(1, _BATCH * shape[0] // x.size)
    out = np.empty(shape, x.dtype)
    for start in range(0, shape[0], rows):
        part = np.ascontiguousarray(x[start : start + rows])
        out[start : start + rows] = sum_last(part.reshape(*part.shape[:kept], -1))
    return out


def total(x: np.ndarray, /, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """Sum a float32 or float64 array over some axes, by the tree that the module describes."""
    if not axis:
        return x
    ndim = x.ndim
    kept = tuple([i for i in range(ndim) if i not in axis])
    first, last = min(axis), max(axis)
    if x.size == 0:
        out = np.add.reduce(x, axis=axis)
    elif x.flags.c_contiguous and last - first + 1 == len(axis):
        before, after = x.shape[:first], x.shape[last + 1 :]
        columns = math.prod(after)
        if columns == 1:
            out = sum_last(x.reshape(*before, -1))
        elif columns >= _WIDE:
            out = _sum_rows(x.reshape(math.prod(before), -1, columns))
        else:
            out = _sum_kept_first(x.transpose(*kept, *sorted(axis)), len(kept))
        out = out.reshape(before + after)
    else:
        out = _sum_kept_first(x.transpose(*kept, *sorted(axis)), len(kept))
    if keepdims:
        return out.reshape([1 if i in axis else n for i, n in enumerate(x.shape)])
    return out


_float_sum = widened(total)


def _sum(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    if x.dtype.kind in "biu":
        return np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=x.dtype)
    return _float_sum(x, axis=axis, keepdims=keepdims)


def _prod(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    # Every order of multiplications has the same error bound, so NumPy's will do.
    wide = x.astype(np.float32) if x.dtype.kind not in "biu" and x.dtype.itemsize == 2 else x
    out = np.multiply.reduce(wide, axis=axis, keepdims=keepdims, dtype=wide.dtype)
    return out.astype(x.dtype, copy=False)


def _max(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return np.maximum.reduce(x, axis=axis, keepdims=keepdims)


def _min(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return np.minimum.reduce(x, axis=axis, keepdims=keepdims)


def _any(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return np.logical_or.reduce(x, axis=axis, keepdims=keepdims, dtype=np.bool_)


def _all(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return np.logical_and.reduce(x, axis=axis, keepdims=keepdims, dtype=np.bool_)


def _argmax(x: np.ndarray, *, axis: int, keepdims: bool) -> np.ndarray:
    return np.asarray(x.argmax(axis=axis, keepdims=keepdims), dtype=np.int64)


def _argmin(x: np.ndarray, *, axis: int, keepdims: bool) -> np.ndarray:
    return np.asarray(x.argmin(axis=axis, keepdims=keepdims), dtype=np.int64)


def _accumulating(ufunc: np.ufunc) -> Kernel:
    def kernel(x: np.ndarray, *, axis: int) -> np.ndarray:
        return ufunc.accumulate(x, axis=axis, dtype=x.dtype)

    wide = widened(kernel)

    def run(x: np.ndarray, *, axis: int) -> np.ndarray:
        return (kernel if x.dtype.kind in "biu" else wide)(x, axis=axis)

    return run


REDUCTIONS: Final[dict[str, Kernel]] = {
    "sum": _sum,
    "prod": _prod,
    "max": _max,
    "min": _min,
    "any": _any,
    "all": _all,
    "argmax": _argmax,
    "argmin": _argmin,
    "cumsum": _accumulating(np.add),
    "cumprod": _accumulating(np.multiply),
}
