"""Systems of equations, inverses and determinants."""

from __future__ import annotations

from typing import Any, NamedTuple

from isograd.core import dtypes
from isograd.core.errors import ShapeError
from isograd.ops import reductions as r
from isograd.ops.arithmetic import greater
from isograd.ops.convert import TensorLike, as_tensor, cast, constant
from isograd.ops.linalg import primitives as p
from isograd.ops.linalg.common import check_matrices, floats
from isograd.ops.linear import matmul
from isograd.ops.math import square
from isograd.ops.movement import expand_dims, matrix_transpose, squeeze
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "LstsqResult",
    "SlogdetResult",
    "cholesky_solve",
    "det",
    "inv",
    "lstsq",
    "matrix_rank",
    "pinv",
    "slogdet",
    "solve",
    "solve_triangular",
]


class SlogdetResult(NamedTuple):
    """What `slogdet` returns: ``sign * exp(logabsdet)`` is the determinant."""

    sign: Tensor
    logabsdet: Tensor


class LstsqResult(NamedTuple):
    """What `lstsq` returns.

    Attributes
    ----------
    solution : Tensor
        Shape ``(..., m, k)``, or ``(..., m)`` for a vector on the right.
    residuals : Tensor
        The sums of squares that are left, shape ``(..., k)`` or ``(...)``.
    rank : Tensor
        The number of singular values that count, shape ``(...)``, int64.
    singular_values : Tensor
        Shape ``(..., min(n, m))``, descending.
    """

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def _with_columns(function: str, a: Tensor, b: Tensor) -> tuple[Tensor, bool]:
    """Return right-hand sides as columns, and whether that was one vector for all matrices."""
    check_matrices(function, a)
    if b.ndim == 0:
        raise ShapeError(
            f"{function}: the right-hand side is a number; pass a vector ({a.shape[-2]},), or "
            f"columns (..., {a.shape[-2]}, k)"
        )
    return (expand_dims(b, axis=1), True) if b.ndim == 1 else (b, False)


def solve(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the solution ``x`` of ``x1 @ x == x2``.

    Parameters
    ----------
    x1
        Square matrices, shape ``(..., n, n)``.
    x2
        One vector ``(n,)``, or columns ``(..., n, k)``; leading axes broadcast.

    Raises
    ------
    LinAlgError
        If a matrix is singular.
    ShapeError
        If the shapes do not fit.

    >>> solve(tensor([[2.0, 0.0], [0.0, 4.0]]), tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    (a, b), dtype = floats("solve", x1, x2)
    columns, vector = _with_columns("solve", a, b)
    out = bind(p.solve, a, columns)
    return cast(squeeze(out, -1) if vector else out, dtype)


def solve_triangular(
    x1: TensorLike, x2: TensorLike, /, *, upper: bool, unitriangular: bool = False
) -> Tensor:
    """Return the solution ``x`` of ``x1 @ x == x2`` for triangular matrices, by substitution.

    Parameters
    ----------
    x1
        Shape ``(..., n, n)``. What lies outside the triangle is not read.
    x2
        One vector ``(n,)``, or columns ``(..., n, k)``; leading axes broadcast.
    upper
        Whether the triangle is the upper one.
    unitriangular
        Take the diagonal for ones, without reading it.

    Raises
    ------
    LinAlgError
        If there is a zero on a diagonal.

    >>> solve_triangular(tensor([[2.0, 9.0], [1.0, 1.0]]), tensor([2.0, 3.0]), upper=False).tolist()
    [1.0, 2.0]
    """
    (a, b), dtype = floats("solve_triangular", x1, x2)
    columns, vector = _with_columns("solve_triangular", a, b)
    out = bind(p.solve_triangular, a, columns, lower=not upper, unit_diagonal=unitriangular)
    return cast(squeeze(out, -1) if vector else out, dtype)


def cholesky_solve(x1: TensorLike, x2: TensorLike, /, *, upper: bool = False) -> Tensor:
    """Return the solution ``x`` of ``A @ x == x1``, given the Cholesky factor ``x2`` of ``A``.

    Parameters
    ----------
    x1
        The right-hand sides, in the order of torch: one vector ``(n,)``, or columns ``(..., n,
        k)``.
    x2
        What `cholesky` returns, shape ``(..., n, n)``.
    upper
        Whether that is the upper factor.

    >>> cholesky_solve(tensor([8.0, 4.0]), tensor([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [2.0, 4.0]
    """
    (b, factor), dtype = floats("cholesky_solve", x1, x2)
    columns, vector = _with_columns("cholesky_solve", factor, b)
    lower = matrix_transpose(factor) if upper else factor
    half = solve_triangular(lower, columns, upper=False)
    out = solve_triangular(matrix_transpose(lower), half, upper=True)
    return cast(squeeze(out, -1) if vector else out, dtype)


def inv(x: TensorLike, /) -> Tensor:
    """Return the inverses of square matrices; `solve` is faster and more accurate than a product.

    Raises
    ------
    LinAlgError
        If a matrix is singular.

    >>> inv(tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    (t,), dtype = floats("inv", x)
    return cast(bind(p.inv, t), dtype)


def det(x: TensorLike, /) -> Tensor:
    """Return the determinants of square matrices.

    The gradient is the matrix of cofactors, also where the determinant is 0. Second derivatives
    divide by the determinant.

    >>> det(tensor([[2.0, 0.0], [0.0, 4.0]])).item()
    8.0
    """
    (t,), dtype = floats("det", x)
    return cast(bind(p.det, t), dtype)


def slogdet(x: TensorLike, /) -> SlogdetResult:
    """Return the sign and the logarithm of the absolute value of determinants.

    They are 0 and -inf for a singular matrix, where the backward pass raises `LinAlgError`.

    >>> sign, value = slogdet(tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> sign.item(), value.item()
    (-1.0, 0.0)
    """
    (t,), dtype = floats("slogdet", x)
    sign, value = bind(p.slogdet, t)
    return SlogdetResult(cast(sign, dtype), cast(value, dtype))


def _tolerance(function: str, rtol: Any, t: Tensor) -> Tensor:
    """Return a relative cutoff as a tensor: max(n, m) * eps by default."""
    if rtol is None:
        rtol = max(t.shape[-2:]) * float(dtypes.finfo(t.dtype).eps)
    if isinstance(rtol, int | float):
        return constant(float(rtol), t.dtype, t.device)
    return cast(as_tensor(function, rtol, t.device), t.dtype)


def pinv(x: TensorLike, /, *, rtol: Any = None) -> Tensor:
    """Return the Moore-Penrose pseudo-inverses.

    The derivative is that for matrices of constant rank.

    Parameters
    ----------
    x
        Shape ``(..., n, m)``.
    rtol
        Singular values up to ``rtol`` times the largest count as 0: a number, or one for each
        matrix; max(n, m) times the precision of the dtype by default.

    Returns
    -------
    Tensor
        Shape ``(..., m, n)``.

    >>> pinv(tensor([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    (t,), dtype = floats("pinv", x)
    check_matrices("pinv", t)
    return cast(bind(p.pinv, t, _tolerance("pinv", rtol, t)), dtype)


def lstsq(x1: TensorLike, x2: TensorLike, /, *, rtol: Any = None) -> LstsqResult:
    """Return the vectors ``x`` that make ``x1 @ x - x2`` smallest; the shortest of several.

    Unlike NumPy's, it takes batches, and the residuals always have the same shape.

    Parameters
    ----------
    x1
        Shape ``(..., n, m)``.
    x2
        One vector ``(n,)``, or columns ``(..., n, k)``; leading axes broadcast.
    rtol
        As in `pinv`.

    >>> lstsq(tensor([[1.0], [0.0]]), tensor([2.0, 3.0])).residuals.tolist()
    9.0
    """
    (a, b), dtype = floats("lstsq", x1, x2)
    columns, vector = _with_columns("lstsq", a, b)
    cutoff = _tolerance("lstsq", rtol, a)
    out = bind(p.lstsq, a, columns, cutoff)
    left = r.sum(square(matmul(a, out) - columns), axis=-2)
    if vector:
        out, left = squeeze(out, -1), squeeze(left, -1)
    values = bind(p.svdvals, a)
    return LstsqResult(
        cast(out, dtype), cast(left, dtype), _rank(values, cutoff), cast(values, dtype)
    )


def _rank(values: Tensor, cutoff: Tensor) -> Tensor:
    if values.shape[-1] == 0:
        return r.count_nonzero(values, axis=-1)
    largest = r.max(values, axis=-1, keepdims=True)
    return r.count_nonzero(greater(values, expand_dims(cutoff, axis=-1) * largest), axis=-1)


def matrix_rank(x: TensorLike, /, *, rtol: Any = None) -> Tensor:
    """Return how many singular values are more than ``rtol`` times the largest (int64).

    Parameters
    ----------
    x
        Shape ``(..., n, m)``.
    rtol
        As in `pinv`.

    >>> matrix_rank(tensor([[1.0, 2.0], [2.0, 4.0]])).item()
    1
    """
    (t,), _ = floats("matrix_rank", x)
    check_matrices("matrix_rank", t)
    return _rank(bind(p.svdvals, t), _tolerance("matrix_rank", rtol, t))
