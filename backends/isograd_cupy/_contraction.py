"""Matrix products by cuBLAS, without copies of transposed or repeated operands; windows."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel, numerics_mode
from isograd_cupy._cublas import gemm
from isograd_cupy._elementwise import contiguous, copy_into, elementwise_module, in_float32, run
from isograd_cupy._launch import kernels
from isograd_cupy._layout import broadcast, empty, view, windows_of
from isograd_cupy._movement import permuted
from isograd_cupy._sources import fill

__all__ = ["CONTRACTION", "matmul_into"]

#: cuBLAS's number of each dtype.
_TYPES: Final = {
    "float32": 0,
    "float64": 1,
    "float16": 2,
    "complex64": 4,
    "complex128": 5,
    "bfloat16": 14,
}
_COMPUTE_32F: Final = 68
_COMPUTE_64F: Final = 70
_COMPUTE_TF32: Final = 77


def _batch_stride(x: Any) -> int | None:
    """Return the one step, in elements, from each matrix to the next, or None."""
    step: int | None = None
    span = 0
    for n, stride in zip(x.shape[-3::-1], x.strides[-3::-1], strict=True):
        if n == 1:
            continue
        if step is None:
            step, span = stride, stride * n
        elif stride != span:
            return None
        else:
            span = stride * n
    return 0 if step is None else step // x.itemsize


def _operand(x: Any) -> tuple[Any, bool, int]:
    """Return a stack of matrices with one batch step, whether it is transposed, and its pitch."""
    size = x.itemsize
    (rows, columns), (down, across) = x.shape[-2:], x.strides[-2:]
    step = _batch_stride(x)
    if step is not None and step >= 0:
        if (across == size or columns == 1) and down >= size * max(columns, 1) and not down % size:
            return x, False, down // size
        if (down == size or rows == 1) and across >= size * max(rows, 1) and not across % size:
            return x, True, across // size
    return contiguous(x), False, max(columns, 1)


def _compute(dtype: np.dtype[Any]) -> int:
    """Return cuBLAS's number of how to add: 16-bit floats in float32; TF32 in ``fast`` only."""
    if dtype.name in ("float64", "complex128"):
        return _COMPUTE_64F
    fast = dtype.name in ("float32", "complex64") and numerics_mode() == "fast"
    return _COMPUTE_TF32 if fast else _COMPUTE_32F


def _float_product(x: Any, y: Any, out: Any) -> Any:
    (x, x_turned, x_pitch), (y, y_turned, y_pitch) = _operand(x), _operand(y)
    rows, inner = x.shape[-2:]
    columns = y.shape[-1]
    pitch = max(columns, 1)
    # cuBLAS thinks in columns: what it sees of row-major arrays is out' = y' x'.
    gemm(
        (y_turned, x_turned),
        (columns, rows, inner),
        (y.data.ptr, y_pitch, _batch_stride(y) or 0),
        (x.data.ptr, x_pitch, _batch_stride(x) or 0),
        (out.data.ptr, pitch, rows * columns),
        _TYPES[out.dtype.name],
        _compute(out.dtype),
        math.prod(out.shape[:-2]),
    )
    return out


def _integer_product(x: Any, y: Any, out: Any) -> Any:
    rows, inner = x.shape[-2:]
    arguments = (contiguous(x), contiguous(y), out, rows, inner, y.shape[-1], out.size)
    kernels("matmul", out.dtype).over("matmul", arguments, out.size)
    return out


def _matmul(x: Any, y: Any) -> Any:
    left, right = x.ndim == 1, y.ndim == 1
    if left:
        x = view(x, (1, *x.shape), (0, *x.strides))
    if right:
        y = view(y, (*y.shape, 1), (*y.strides, y.itemsize))
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    rows, columns = x.shape[-2], y.shape[-1]
    shape = (*batch, *(() if left else (rows,)), *(() if right else (columns,)))
    return _product(x, y, empty((*batch, rows, columns), x.dtype)).reshape(shape)


def _product(x: Any, y: Any, out: Any) -> Any:
    batch, columns = out.shape[:-2], out.shape[-1]
    if not out.size or not x.shape[-1]:
        return fill(out, 0)
    target = out
    if x.ndim > 2 and y.ndim == 2 and x.flags.c_contiguous:  # one product instead of many
        x, target = x.reshape((-1, x.shape[-1])), out.reshape((-1, columns))
    else:
        x, y = broadcast(x, (*batch, *x.shape[-2:])), broadcast(y, (*batch, *y.shape[-2:]))
    (_float_product if out.dtype.name in _TYPES else _integer_product)(x, y, target)
    return out


def matmul_into(out: Any, x: Any, y: Any, /) -> None:
    """Write the product of (stacks of) matrices to an array of any strides."""
    if out.flags.c_contiguous:
        _product(x, y, out)
    else:
        copy_into(out, _product(x, y, empty(out.shape, out.dtype)))


def _linear(x: Any, w: Any, b: Any) -> Any:
    out = _matmul(contiguous(x), permuted(w, (1, 0)))
    return run(elementwise_module(out.dtype), "add", out, (out, b))


def _unfold(
    x: Any, *, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Any:
    first = x.ndim - len(kernel)
    sizes, strides = x.shape[first:], x.strides[first:]
    counts = [
        (n - gap * (width - 1) - 1) // step + 1
        for n, width, step, gap in zip(sizes, kernel, stride, dilation, strict=True)
    ]
    outer = [s * step for s, step in zip(strides, stride, strict=True)]
    inner = [s * gap for s, gap in zip(strides, dilation, strict=True)]
    shape = (*x.shape[:first], *counts, *kernel)
    return view(x, shape, (*x.strides[:first], *outer, *inner))


def _fold(
    y: Any, *, size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Any:
    k = len(size)
    lead = y.shape[: y.ndim - 2 * k]
    out = empty((*lead, *size), y.dtype)
    counts, kernel = y.shape[len(lead) : len(lead) + k], y.shape[len(lead) + k :]
    windows = windows_of(size, counts, kernel, stride, dilation)
    if not y.size:
        return fill(out, 0)
    kernels("fold", y.dtype).over("fold", (contiguous(y), out, windows, out.size), out.size)
    return out


CONTRACTION: Final[dict[str, Kernel]] = {
    "matmul": _matmul,
    "linear": _linear,
    "unfold": _unfold,
    "fold": in_float32(_fold),
}
