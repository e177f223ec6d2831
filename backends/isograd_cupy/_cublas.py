"""The calls of cuBLAS, by the library itself: CuPy refuses its own while a graph is recorded."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import cupy

from isograd_cupy._debug import launched

__all__ = ["gemm", "solve_triangles"]

_DEFAULT_ALGORITHM = -1
_LEFT, _PLAIN, _ANY_DIAGONAL = 0, 0, 0


@functools.cache
def _library() -> Any:
    """Return the cuBLAS that CuPy has loaded, with the types of its functions."""
    cupy.cuda.get_cublas_handle()
    major = cupy.cuda.runtime.runtimeGetVersion() // 1000
    library = ctypes.CDLL(f"libcublas.so.{major}")
    pointer, number, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
    operand = [pointer, number, number, long]
    library.cublasSetStream_v2.argtypes = [pointer, pointer]
    library.cublasGemmStridedBatchedEx.argtypes = [
        *(pointer, number, number, number, number, number, pointer, *operand, *operand),
        *(pointer, *operand, number, number, number),
    ]
    for solve in (library.cublasStrsm_v2, library.cublasDtrsm_v2):
        solve.argtypes = [pointer, *[number] * 6, pointer, pointer, number, pointer, number]
    return library


def gemm(
    turned: tuple[bool, bool],
    shape: tuple[int, int, int],
    a: tuple[int, int, int],
    b: tuple[int, int, int],
    c: tuple[int, int, int],
    kind: int,
    compute: int,
    batch: int,
) -> None:
    """Write ``op(a) @ op(b)`` to c, in cuBLAS's order of columns, on the current stream.

    Parameters
    ----------
    turned
        Whether a, and b, are transposed.
    shape
        Rows and columns of the result, and the number of terms.
    a, b, c
        Address, pitch, and step from one matrix of the batch to the next.
    kind, compute
        cuBLAS's numbers of the dtype, and of the one to add in.
    batch
        Number of matrices.
    """
    library, handle = _library(), cupy.cuda.get_cublas_handle()
    scalar = ctypes.c_double if compute == 70 else ctypes.c_float
    one, zero = (scalar * 2)(1.0, 0.0), (scalar * 2)(0.0, 0.0)  # a complex type reads both parts
    operands = [(address, kind, pitch, step) for address, pitch, step in (a, b, c)]
    status = library.cublasSetStream_v2(handle, cupy.cuda.get_current_stream().ptr)
    status = status or library.cublasGemmStridedBatchedEx(
        *(handle, int(turned[0]), int(turned[1]), *shape, one, *operands[0], *operands[1]),
        *(zero, *operands[2], batch, compute, _DEFAULT_ALGORITHM),
    )
    if status:
        raise RuntimeError(f"matmul: cuBLAS answers with status {status} for shape {shape}")
    launched(f"cuBLAS's product of shape {shape}")


def solve_triangles(a: Any, y: Any, /, *, lower: bool) -> None:
    """Solve for the columns of ``y``, where they are, on the current stream.

    Parameters
    ----------
    a
        Triangles in order of columns, shape ``(count, n, n)``.
    y
        Right-hand sides in order of columns, shape ``(count, columns, n)``.
    lower
        Whether the triangles are lower ones.
    """
    library, handle = _library(), cupy.cuda.get_cublas_handle()
    single = a.dtype.name == "float32"
    one = ctypes.byref((ctypes.c_float if single else ctypes.c_double)(1.0))
    solve = library.cublasStrsm_v2 if single else library.cublasDtrsm_v2
    columns, n = y.shape[1:]
    status = library.cublasSetStream_v2(handle, cupy.cuda.get_current_stream().ptr)
    for b in range(len(a)):
        status = status or solve(
            *(handle, _LEFT, 0 if lower else 1, _PLAIN, _ANY_DIAGONAL, n, columns, one),
            *(a.data.ptr + b * a.strides[0], n, y.data.ptr + b * y.strides[0], n),
        )
    if status:
        raise RuntimeError(f"solve_triangular: cuBLAS answers with status {status} for {a.shape}")
    launched(f"cuBLAS's substitution of shape {a.shape}")
