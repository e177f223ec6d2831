"""Diagonals of matrices: reading, summing and making them. All are views or padding."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

from isograd.core import dtypes
from isograd.core.errors import ShapeError
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, axis_of, cast
from isograd.ops.creation import zeros
from isograd.ops.movement import concat, moveaxis, pad, reshape, strided_slice
from isograd.ops.reductions import sum
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = ["block_diag", "diag", "diagonal", "trace"]


def diagonal(x: TensorLike, /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """Return the diagonals of matrices.

    Parameters
    ----------
    x
        Shape ``(..., n, m)``.
    offset
        How far above the main diagonal; below where negative.
    axis1, axis2
        The axes of rows and columns: the last two, as in the array API, not the first two, as in
        NumPy's own default.

    Returns
    -------
    Tensor
        Shape ``(..., k)``: the diagonal becomes the last axis.

    Raises
    ------
    ShapeError
        If there are less than two axes, or both are the same.

    >>> diagonal(tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]
    >>> diagonal(tensor([[1, 2], [3, 4]]), offset=1).tolist()
    [2]
    """
    t = _matrices("diagonal", x, axis1, axis2)
    *batch, n, m = t.shape
    first = offset if offset >= 0 else -offset * m
    count = max(0, min(n + min(offset, 0), m - max(offset, 0)))
    if count == 0:
        return zeros((*batch, 0), dtype=t.dtype, device=t.device)
    flat = reshape(t, (*batch, n * m))
    start = (*(0,) * len(batch), first)
    stop = (*batch, first + (count - 1) * (m + 1) + 1)
    return strided_slice(flat, start, stop, (*(1,) * len(batch), m + 1))


def _matrices(function: str, x: TensorLike, axis1: int, axis2: int) -> Tensor:
    t = as_tensor(function, x)
    if t.ndim < 2:
        raise ShapeError(
            f"{function}: the tensor has shape {t.shape}; pass a matrix or a batch of them"
        )
    rows, columns = axis_of(function, axis1, t.ndim), axis_of(function, axis2, t.ndim)
    if rows == columns:
        raise ShapeError(
            f"{function}: axes {axis1} and {axis2} of shape {t.shape} are the same; name two"
        )
    if (rows, columns) == (t.ndim - 2, t.ndim - 1):
        return t
    return moveaxis(t, (rows, columns), (-2, -1))


def trace(
    x: TensorLike,
    /,
    *,
    offset: int = 0,
    axis1: int = -2,
    axis2: int = -1,
    dtype: Any = None,
) -> Tensor:
    """Return the sums of diagonals; the parameters are those of `diagonal`.

    Parameters
    ----------
    dtype
        Of the result; None keeps floats and widens integers to 64 bits.

    >>> trace(tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    t = _matrices("trace", x, axis1, axis2)
    return sum(diagonal(t, offset=offset), axis=-1, dtype=dtype)


def diag(x: TensorLike, /, *, k: int = 0) -> Tensor:
    """Return the matrix with a vector on its k-th diagonal, or the k-th diagonal of a matrix.

    Leading axes are not allowed, as in NumPy; for those there is `diagonal`.

    >>> diag(tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]
    >>> diag(tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """
    t = as_tensor("diag", x)
    if t.ndim == 2:
        return diagonal(t, offset=k)
    if t.ndim != 1:
        raise ShapeError(f"diag: the tensor has shape {t.shape}; pass a vector or a matrix")
    n = t.shape[0] + abs(k)
    if t.shape[0] == 0:
        return zeros((n, n), dtype=t.dtype, device=t.device)
    low = k if k >= 0 else -k * n
    width = (t.shape[0] - 1) * (n + 1) + 1
    spread = bind(p.pad, t, low=(low,), high=(n * n - low - width,), interior=(n,), value=0.0)
    return reshape(spread, (n, n))


def block_diag(*xs: TensorLike) -> Tensor:
    """Return the matrix with the given ones along its diagonal, and 0 elsewhere.

    Numbers and vectors count as matrices of one row.

    >>> block_diag(tensor([[1, 2]]), tensor([[3], [4]])).tolist()
    [[1, 2, 0], [0, 0, 3], [0, 0, 4]]
    """
    tensors = [as_tensor("block_diag", x) for x in xs]
    if not tensors or any(t.ndim > 2 for t in tensors):
        shapes = ", ".join(str(t.shape) for t in tensors)
        raise ShapeError(f"block_diag: shapes ({shapes}); pass matrices, at least one")
    dtype = dtypes.result_type(*[t.dtype for t in tensors])
    blocks = [cast(t if t.ndim == 2 else reshape(t, (1, t.size)), dtype) for t in tensors]
    width = 0
    total = reduce(add, [block.shape[1] for block in blocks])
    rows: list[Tensor] = []
    for block in blocks:
        n = block.shape[1]
        rows.append(pad(block, [(0, 0), (width, total - width - n)]))
        width += n
    return concat(rows, axis=0)
