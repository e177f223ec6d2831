"""What the functions of linear algebra share: floats of at least 32 bits in, the caller's out."""

from __future__ import annotations

from typing import Any

from isograd.core import dtypes
from isograd.core.errors import DTypeError, ShapeError
from isograd.ops.convert import as_tensor, cast
from isograd.runtime.tensor import Tensor

__all__ = ["check_matrices", "floats", "widened"]


def floats(function: str, *xs: Any) -> tuple[list[Tensor], dtypes.DType]:
    """Return arguments as tensors of one float dtype, and that of the result.

    Integers become the default float. 16-bit floats become float32, with the result to be rounded
    once, so derivatives too are computed in float32.
    """
    tensors = [as_tensor(function, x) for x in xs]
    dtype = dtypes.result_type(*[t.dtype for t in tensors])
    if dtypes.is_complex(dtype):
        raise DTypeError(
            f"{function}: an argument is {dtype}, and this takes matrices of real numbers; pass "
            "isograd.real and isograd.imag as blocks [[a, -b], [b, a]]"
        )
    if not dtypes.is_floating(dtype):
        dtype = dtypes.default_float()
    return [cast(t, widened(dtype)) for t in tensors], dtype


def widened(dtype: dtypes.DType) -> dtypes.DType:
    """Return the dtype that a float dtype is computed in."""
    return dtypes.float32 if dtypes.is_half(dtype) else dtype


def check_matrices(function: str, x: Tensor) -> None:
    """Raise unless there are two axes."""
    if x.ndim < 2:
        raise ShapeError(
            f"{function}: the argument has shape {x.shape}; pass a matrix or a batch of them, "
            "(..., n, m)"
        )
