"""Reductions. A floating-point sum has the same bits for every memory layout of its argument.

NumPy adds in pairs (blocks of 128 with eight running sums each, combined as a binary tree) only
along an axis that is last in memory; along others it keeps one running sum, whose error grows with
the number of terms. Here every sum is that tree over the reduced axes, flattened in C order. It is
a function of the shape alone, and its error grows with the logarithm of the number of terms.
"""

from __future__ import annotations

import math
import sys
from typing import Final

import numpy as np

from isograd.backend import Kernel
from isograd_numpy.common import widened

__all__ = ["REDUCTIONS", "sum_last", "total"]

_LEAF = 128  # NumPy's pairwise block; rows up to it are added without recursion
_WIDE = 64  # columns from which adding whole rows beats a transposing copy
_SMALL = 4096  # elements up to which a copy costs less than the calls that avoid it
_BATCH = 1 << 16  # elements of a transposing copy, to stay in cache


def _longest() -> int:
    """Return how many terms NumPy adds as one tree: early versions of 2 begin anew after 8192."""
    x = np.zeros(8200, np.float32)
    x[0], x[4096], x[8199] = 2**24, 1, 1
    return sys.maxsize if np.add.reduce(x) == 2**24 + 2 else 8192


_LONGEST = _longest()


def sum_last(x: np.ndarray, /, *, keepdims: bool = False) -> np.ndarray:
    """Sum a C-contiguous ``(..., n)`` array over its last axis by NumPy's pairwise tree."""
    n = x.shape[-1]
    # Below eight terms the tree is a running sum, and NumPy's loop over rows is slow.
    if 1 < n < 8 and x.size > _SMALL:
        out = x[..., 0] + x[..., 1]
        for i in range(2, n):
            out += x[..., i]
        return out[..., None] if keepdims else out
    if n > _LONGEST:
        half = _half(n)
        first = sum_last(x[..., :half], keepdims=keepdims)
        return first + sum_last(x[..., half:], keepdims=keepdims)
    return np.add.reduce(x, axis=-1, keepdims=keepdims)


def _sum_rows(x: np.ndarray) -> np.ndarray:
    """Sum ``(a, k, m)`` over k by the same tree as `sum_last`, adding rows of m elements."""
    a, k, m = x.shape
    if k < 8:
        return np.add.reduce(x, axis=1)
    if k > _LEAF:
        half = _half(k)
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


def _half(count: int) -> int:
    """Return where NumPy's tree divides ``count`` terms."""
    half = count // 2
    return half - half % 8


def _sum_all(x: np.ndarray) -> np.ndarray:
    """Sum all elements in C order, copying no more than one branch of the tree at a time."""
    row = x.size // x.shape[0]
    leaf = max(_BATCH, row)
    buffer = np.empty((leaf // row + 2, *x.shape[1:]), x.dtype)

    def branch(start: int, stop: int) -> np.ndarray:
        if stop - start > leaf:
            middle = start + _half(stop - start)
            return branch(start, middle) + branch(middle, stop)
        first, end = start // row, -(-stop // row)
        part = buffer[: end - first]
        np.copyto(part, x[first:end])
        return sum_last(part.reshape(-1)[start - first * row : stop - first * row])

    return branch(0, x.size)


def _sum_kept_first(x: np.ndarray, kept: int) -> np.ndarray:
    """Sum over the axes from ``kept`` on, of an array of any strides."""
    shape = x.shape[:kept]
    if x.size <= _BATCH or (x.flags.c_contiguous and kept):
        return sum_last(np.ascontiguousarray(x).reshape(*shape, -1))
    if kept == 0:
        return _sum_all(x)
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
    if len(axis) == x.ndim and x.size <= _SMALL and x.flags.c_contiguous:
        out = np.add.reduce(x.reshape(-1))
        return out.reshape((1,) * x.ndim) if keepdims else out
    if x.ndim == 2 and len(axis) == 1:
        return _matrix_total(x, axis[0], keepdims)
    ndim, size = x.ndim, x.size
    first, after = min(axis), max(axis) + 1
    adjacent = after - first == len(axis)
    in_order = x.flags.c_contiguous
    columns = math.prod(x.shape[after:])
    if size == 0:
        return np.add.reduce(x, axis=axis, keepdims=keepdims)
    if adjacent and in_order and after == ndim:
        # As one axis: NumPy does not promise to add several in the order of one.
        out = sum_last(x.reshape(*x.shape[:first], -1))
    elif adjacent and in_order and columns >= _WIDE and size > _SMALL:
        out = _sum_rows(x.reshape(math.prod(x.shape[:first]), -1, columns))
    else:
        kept = [i for i in range(ndim) if i not in axis]
        out = _sum_kept_first(x.transpose(*kept, *sorted(axis)), len(kept))
    shape = [1 if i in axis else n for i, n in enumerate(x.shape) if keepdims or i not in axis]
    return out.reshape(shape)


def _matrix_total(x: np.ndarray, axis: int, keepdims: bool) -> np.ndarray:
    """Sum a matrix over one axis: the same tree with fewer questions on the way."""
    terms = x.T if axis == 0 else x  # what is added lies along the last axis
    if x.size <= _SMALL:
        out = np.add.reduce(np.ascontiguousarray(terms), axis=1)
    elif terms.flags.f_contiguous and len(terms) >= _WIDE:
        out = _sum_rows(terms.T[None])[0]
    else:
        out = _sum_kept_first(terms, 1)
    if keepdims:
        return out[None] if axis == 0 else out[:, None]
    return out


_float_sum = widened(total)


def _sum(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    dtype = x.dtype
    if dtype.kind == "f" and dtype.itemsize > 2:
        return total(x, axis=axis, keepdims=keepdims)
    if dtype.kind in "biu":
        return np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=dtype)
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
