"""What the kernels over an array namespace share: dtypes by name, and arithmetic in float32."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from isograd.backend.protocols import Array, Kernel

__all__ = [
    "HALVES",
    "cast",
    "dtype_name",
    "from_front",
    "in_float32",
    "native_dtype",
    "to_front",
    "widen",
]

HALVES: Final = frozenset({"float16", "bfloat16"})


def dtype_name(array: Array, /) -> str:
    """Return the plain name of an array's dtype, such as ``"float32"``, in any library."""
    return str(array.dtype).rpartition(".")[2]


def native_dtype(xp: Any, dtype: np.dtype[Any], /) -> Any:
    """Return what a namespace calls a dtype; the dtype itself where it has no name for it."""
    return getattr(xp, dtype.name, dtype)


def cast(xp: Any, array: Array, dtype: Any, /) -> Array:
    """Convert to a dtype of the namespace; the same array where nothing is to do."""
    if array.dtype == dtype:
        return array
    method = getattr(array, "astype", None)  # NumPy has the function since 2.1, torch no method
    return xp.astype(array, dtype) if method is None else method(dtype)


def widen(xp: Any, array: Array, /) -> Array:
    """Return float16 and bfloat16 arrays as float32, others unchanged."""
    return cast(xp, array, xp.float32) if dtype_name(array) in HALVES else array


def in_float32(xp: Any, kernel: Kernel, /) -> Kernel:
    """Make a kernel compute 16-bit floats in float32 and round each of its results once."""

    def run(*arrays: Array, **static: Any) -> Any:
        half = next((array.dtype for array in arrays if dtype_name(array) in HALVES), None)
        if half is None:
            return kernel(*arrays, **static)
        out: Any | tuple[Any, ...] = kernel(*(widen(xp, array) for array in arrays), **static)
        if isinstance(out, tuple):
            return tuple([cast(xp, part, half) for part in out])  # pyright: ignore[reportUnknownVariableType]
        return cast(xp, out, half)

    return run


def to_front(xp: Any, array: Array, axis: int, /) -> Array:
    """Move one axis to the front."""
    return xp.permute_dims(array, (axis, *(i for i in range(array.ndim) if i != axis)))


def from_front(xp: Any, array: Array, axis: int, /) -> Array:
    """Move the first axis to ``axis``."""
    rest = list(range(1, array.ndim))
    return xp.permute_dims(array, (*rest[:axis], 0, *rest[axis:]))
