"""Matrix products of float32 and float64: compiled kernels for large ones, NumPy's for the rest.

The rule, measured against OpenBLAS: products of at most 2**18 multiplications go to NumPy, because
BLAS runs those on one thread and is called faster. Larger ones run here: as fast on one thread
(half as fast for a vector times rows), faster with few rows or batches, without copies of
transposed operands, and without waking the pool of BLAS, whose waiting threads would compete with
this backend's for the CPUs. For a vector OpenBLAS takes threads from 9216 multiplications on.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np

from isograd import backend
from isograd_numba import _threads
from isograd_numba._jit import Kernel, compiled, emitted
from isograd_numba._tile import Shape, emit_pack, emit_row, emit_strip, shape_for

__all__ = [
    "DEPTH",
    "DIRECT",
    "PADDING",
    "REREAD",
    "block_rows",
    "matmul_kernels",
    "multiply",
    "product_kernel",
]

Array = Any

_SMALL: Final = 1 << 18  # multiplications that BLAS does on one thread
_SMALL_VECTOR: Final = 9216  # and where one operand is a vector
_PER_THREAD: Final = 1 << 20  # multiplications that are worth a thread
DEPTH: Final = 256  # k is summed in blocks of this length: a panel of B stays in the L1 cache
PADDING: Final = 16  # elements between packed rows, which spreads them over cache sets
DIRECT: Final = 6  # B is read in place for at most this many tiles of rows
REREAD: Final = 4  # A is packed where it is read for this many panels, and lies in rows
_FLOATS: Final = (np.dtype(np.float32), np.dtype(np.float64))
_NO_BIAS: Final = {dtype: np.empty(0, dtype) for dtype in _FLOATS}
_ONE_BATCH: Final = np.zeros(1, np.int64)
_local = threading.local()


@functools.cache
def block_rows(itemsize: int, /) -> int:
    """Return how many rows of A are done together: packed, they fill most of the L2 cache.

    B is packed anew for each such block, so few of them are best.
    """
    try:
        size = os.sysconf("SC_LEVEL2_CACHE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this system
        size = 0
    return min(max(5 * max(size, 1 << 18) // (8 * (DEPTH + PADDING) * itemsize), 96), 768)


@functools.cache
def _product(dtype: np.dtype[Any]) -> Callable[..., None]:
    """Return the kernel ``out[i] = x[i] @ y[i] + bias``, built for the tile of this CPU."""
    return product_kernel(shape_for(dtype.name))[dtype]


def product_kernel(shape: Shape, /) -> Kernel:
    """Return the kernel of products for one shape of register tiles."""
    strip = emitted(emit_strip, shape, parameters=12)
    pack = emitted(emit_pack, shape, parameters=7)
    multiply_row = emitted(emit_row, shape, parameters=10)
    columns, item, block, reread = shape.columns, shape.itemsize, DEPTH, REREAD
    direct_rows = DIRECT * shape.rows[0]
    panel_step, row_step = columns * item, (DEPTH + PADDING) * item

    @compiled(
        "T[:, :], int64[::1], T[:, :], int64[::1], T[::1], T[:, :, ::1], T[:, ::1], "
        "int64, int64, int64",
        T=(shape.dtype,),
    )
    def product(
        start: int, stop: int, x: Array, x_offsets: Array, y: Array, y_offsets: Array, bias: Array,
        out: Array, scratch: Array, shares: int, row_parts: int, column_parts: int,
    ) -> None:  # fmt: skip
        """Run shares [start, stop) of the parts: (matrix of the batch, rows, panels of columns)."""
        rows, depth, width = x.shape[0], x.shape[1], y.shape[1]
        panels = (width + columns - 1) // columns
        parts = out.shape[0] * row_parts * column_parts
        x_row, x_column, y_row, y_column = x.strides[0], x.strides[1], y.strides[0], y.strides[1]
        packed_y = scratch.ctypes.data + start * scratch.shape[1] * item
        packed_x = packed_y + block * panel_step
        for part in range(parts * start // shares, parts * stop // shares):
            matrix = part // (row_parts * column_parts)
            row_part = part // column_parts % row_parts
            column_part = part % column_parts
            first, last = rows * row_part // row_parts, rows * (row_part + 1) // row_parts
            first_panel = panels * column_part // column_parts
            last_panel = panels * (column_part + 1) // column_parts
            count = last_panel - first_panel
            direct = y_column == item and last - first <= direct_rows
            packs_x = x_row != item and last - first > 1 and count >= reread
            a_start = x.ctypes.data + x_offsets[matrix] + first * x_row
            b_start = y.ctypes.data + y_offsets[matrix]
            c_start = out.ctypes.data + (matrix * rows + first) * width * item
            for k in range(0, depth, block):
                length = min(block, depth - k)
                ends = k + block >= depth and bias.size > 0
                a, a_row, a_column = a_start + k * x_column, x_row, x_column
                if packs_x:
                    pack(a, x_row, x_column, packed_x, row_step, last - first, length)
                    a, a_row, a_column = packed_x, row_step, item
                first_column, last_column = first_panel * columns, min(width, last_panel * columns)
                if last - first == 1:
                    first_column += multiply_row(
                        a, a_column, b_start + k * y_row + first_column * y_column, y_row, y_column,
                        c_start + first_column * item, length, k,
                        bias.ctypes.data + first_column * item if ends else 0,
                        last_column - first_column,
                    )  # fmt: skip
                for n in range(first_column, last_column, columns):
                    wide = min(columns, width - n)
                    b, b_row = b_start + k * y_row + n * y_column, y_row
                    if not direct or wide < columns:
                        pack(b, y_row, y_column, packed_y, panel_step, length, wide)
                        b, b_row = packed_y, panel_step
                    strip(
                        a, a_row, a_column, b, b_row, c_start + n * item, width * item,
                        length, k, wide, bias.ctypes.data + n * item if ends else 0, last - first,
                    )  # fmt: skip

    return product


def _scratch(dtype: np.dtype[Any], shares: int) -> Array:
    """Return this Python thread's scratch: a row for each share, kept from call to call."""
    kept: dict[Any, Array] | None = getattr(_local, "scratch", None)
    if kept is None:
        kept = _local.scratch = {}
    scratch = kept.get(dtype)
    if scratch is None or scratch.shape[0] < shares:
        rows = block_rows(dtype.itemsize)
        size = DEPTH * shape_for(dtype.name).columns + rows * (DEPTH + PADDING)
        scratch = kept[dtype] = np.empty((shares, size), dtype)
    return scratch


def _offsets(x: Array, batch: tuple[int, ...]) -> Array:
    """Return the byte offset of each matrix of a batch that ``x`` is broadcast to."""
    offsets = _ONE_BATCH
    missing = len(batch) - (x.ndim - 2)
    for axis, count in enumerate(batch):
        own = axis - missing
        stride = x.strides[own] if own >= 0 and x.shape[own] == count else 0
        offsets = (offsets[:, None] + np.arange(count, dtype=np.int64) * stride).reshape(-1)
    return offsets


def _rows_as_one(x: Array) -> Array | None:
    """Return a batch of matrices as one matrix of all their rows, where strides allow a view."""
    if x.ndim == 2:
        return x
    if x.flags.c_contiguous:
        return x.reshape(-1, x.shape[-1])
    axes = [axis for axis in range(x.ndim - 1) if x.shape[axis] != 1]
    if any(x.strides[i] != x.strides[j] * x.shape[j] for i, j in pairwise(axes)):
        return None
    stride = x.strides[axes[-1]] if axes else 0
    shape = (math.prod(x.shape[:-1]), x.shape[-1])
    return np.lib.stride_tricks.as_strided(x, shape, (stride, x.strides[-1]), writeable=False)


def _parts(rows: int, width: int, matrices: int, work: int, itemsize: int) -> tuple[int, int, int]:
    """Return how many shares, parts of the rows and parts of the columns a product is cut into.

    A share is what one thread does. No result depends on this: an element of the output is always
    the sum over k in the same order.
    """
    shares = min(_threads.get_num_threads(), max(1, work // _PER_THREAD))
    row_parts = -(-rows // block_rows(itemsize))
    if matrices * row_parts >= 4 * shares:
        return shares, row_parts, 1
    if matrices * row_parts % shares == 0:
        return shares, row_parts, 1
    if rows >= width:
        return shares, shares * -(-row_parts // shares), 1
    return shares, row_parts, shares


def multiply(x: Array, y: Array, bias: Array | None = None, /) -> Array:
    """Return ``x @ y + bias`` from the compiled kernel, whatever the size.

    Parameters
    ----------
    x, y
        Float arrays ``(..., m, k)`` and ``(..., k, n)`` of one dtype, any strides; the leading axes
        broadcast.
    bias
        None, or an array ``(n,)`` of the same dtype.

    Returns
    -------
    Array
        A new C-contiguous array ``(..., m, n)``.
    """
    if y.shape[-1] == 1 and x.shape[-2] > 1:  # a row is done faster
        out = multiply(y.mT, x.mT).mT
        return out if bias is None else np.add(out, bias, out=out)
    dtype = x.dtype
    if not (x.flags.aligned and y.flags.aligned):
        x, y = x.copy(), y.copy()
    batch: tuple[int, ...] = ()
    if x.ndim > 2 or y.ndim > 2:
        batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    out = np.empty((*batch, x.shape[-2], y.shape[-1]), dtype)
    if not out.size:
        return out
    if x.shape[-1] == 0:
        out[...] = 0 if bias is None else bias
        return out
    x_offsets = y_offsets = _ONE_BATCH
    if batch:
        joined = _rows_as_one(x) if y.ndim == 2 else None
        if joined is not None:
            x, batch = joined, ()
        else:
            x_offsets, y_offsets = _offsets(x, batch), _offsets(y, batch)
            x, y = (a if a.ndim == 2 else a[(0,) * (a.ndim - 2)] for a in (x, y))
    bias = _NO_BIAS[dtype] if bias is None else np.ascontiguousarray(bias)
    (rows, depth), width, matrices = x.shape, y.shape[1], math.prod(batch)
    shares, row_parts, column_parts = _parts(
        rows, width, matrices, out.size * depth, dtype.itemsize
    )
    _product(dtype)(
        shares, x, x_offsets, y, y_offsets, bias, out.reshape(matrices, rows, width),
        _scratch(dtype, shares), shares, row_parts, column_parts,
    )  # fmt: skip
    return out


def _is_small(rows: int, width: int, work: int) -> bool:
    """Say whether BLAS does a product on one thread."""
    return work <= (_SMALL_VECTOR if rows == 1 or width == 1 else _SMALL)


def matmul_kernels(fallback: Mapping[str, backend.Kernel], /) -> dict[str, backend.Kernel]:
    """Return the kernels ``matmul`` and ``linear``; small and other products go to ``fallback``."""
    numpy_matmul, numpy_linear = fallback["matmul"], fallback["linear"]

    def matmul(x: Array, y: Array) -> Array:
        work = math.prod(x.shape) * y.shape[-1]
        for count in y.shape[: y.ndim - 2] if y.ndim > x.ndim else ():
            work *= count
        if x.dtype not in _FLOATS or _is_small(x.shape[-2], y.shape[-1], work):
            return numpy_matmul(x, y)
        return multiply(x, y)

    def linear(x: Array, w: Array, b: Array) -> Array:
        rows, (width, depth) = math.prod(x.shape[:-1]), w.shape
        if x.ndim < 2 or x.dtype not in _FLOATS or _is_small(rows, width, rows * width * depth):
            return numpy_linear(x, w, b)
        return multiply(x, w.T, b)

    return {"matmul": matmul, "linear": linear}
