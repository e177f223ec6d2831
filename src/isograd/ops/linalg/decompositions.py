"""Factors of matrices: Cholesky, QR, eigenvalues, singular values.

Signs that the definition leaves free are fixed, so that all backends return the same: the diagonal
of ``R`` is not negative, and of an eigenvector or a left singular vector the first element with
more than 0.7 of the largest magnitude is positive.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from isograd.ops.convert import TensorLike, cast
from isograd.ops.linalg import primitives as p
from isograd.ops.linalg.common import floats
from isograd.ops.movement import matrix_transpose
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "EighResult",
    "QRResult",
    "SVDResult",
    "cholesky",
    "eigh",
    "eigvalsh",
    "qr",
    "svd",
    "svdvals",
]


class EighResult(NamedTuple):
    """What `eigh` returns.

    Attributes
    ----------
    eigenvalues : Tensor
        Shape ``(..., n)``, ascending.
    eigenvectors : Tensor
        Shape ``(..., n, n)``, in columns.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """What `qr` returns: ``Q`` with orthonormal columns, and ``R``, an upper triangle."""

    Q: Tensor
    R: Tensor


class SVDResult(NamedTuple):
    """What `svd` returns.

    Attributes
    ----------
    U : Tensor
        The left singular vectors, in columns.
    S : Tensor
        The singular values, descending.
    Vh : Tensor
        The right singular vectors, in rows.
    """

    U: Tensor
    S: Tensor
    Vh: Tensor


def cholesky(x: TensorLike, /, *, upper: bool = False) -> Tensor:
    """Return the triangle ``L`` with ``L @ L.mT == x``, for symmetric positive definite matrices.

    Of a matrix that is not symmetric, the symmetric part is decomposed, so that values and
    derivatives agree in every direction; the gradient is symmetric.

    Parameters
    ----------
    x
        Shape ``(..., n, n)``.
    upper
        Return the transpose of ``L`` instead.

    Raises
    ------
    LinAlgError
        If a matrix is not positive definite.
    ShapeError
        If the matrices are not square.

    >>> cholesky(tensor([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    (t,), dtype = floats("cholesky", x)
    out = bind(p.cholesky, t)
    return cast(matrix_transpose(out) if upper else out, dtype)


def qr(x: TensorLike, /, *, mode: Literal["reduced", "complete"] = "reduced") -> QRResult:
    """Return ``Q`` and ``R`` with ``Q @ R == x``.

    The diagonal of ``R`` is not negative. The first ``min(n, m)`` columns must be linearly
    independent for a derivative to exist.

    Parameters
    ----------
    x
        Shape ``(..., n, m)``.
    mode
        With k = min(n, m), ``"reduced"`` returns shapes ``(..., n, k)`` and ``(..., k, m)``,
        ``"complete"`` shapes ``(..., n, n)`` and ``(..., n, m)``, which has no derivative for n >
        m.

    Raises
    ------
    NotDifferentiableError
        In the backward pass, for ``"complete"`` and n > m.
    ValueError
        If ``mode`` is none of these.

    >>> q, r = qr(tensor([[3.0], [4.0]]))
    >>> r.tolist()
    [[5.0]]
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode is {mode!r}; choose 'reduced' or 'complete'")
    (t,), dtype = floats("qr", x)
    return QRResult(*_rounded(bind(p.qr, t, mode=mode), dtype))


def _rounded(parts: tuple[Tensor, ...], dtype: Any) -> list[Tensor]:
    return [cast(part, dtype) for part in parts]


def eigh(x: TensorLike, /) -> EighResult:
    """Return eigenvalues and eigenvectors of symmetric matrices.

    Of a matrix that is not symmetric, the symmetric part is decomposed. The first large element of
    each vector is positive. The derivative of the vectors divides by the gaps between eigenvalues:
    it is NaN or infinite where two are equal. That of the values is finite.

    Parameters
    ----------
    x
        Shape ``(..., n, n)``.

    Returns
    -------
    EighResult
        ``eigenvalues``, ascending, and ``eigenvectors``, in columns.

    >>> eigh(tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
    [1.0, 2.0]
    """
    (t,), dtype = floats("eigh", x)
    return EighResult(*_rounded(bind(p.eigh, t), dtype))


def eigvalsh(x: TensorLike, /) -> Tensor:
    """Return the eigenvalues of symmetric matrices, ascending; see `eigh`.

    The vectors are computed in the backward pass only.

    >>> eigvalsh(tensor([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [1.0, 2.0]
    """
    (t,), dtype = floats("eigvalsh", x)
    return cast(bind(p.eigvalsh, t), dtype)


def svd(x: TensorLike, /, *, full_matrices: bool = True) -> SVDResult:
    """Return singular vectors and values: ``(U * S[..., None, :]) @ Vh == x``.

    The first large element of each column of ``U`` is positive. The derivative of the vectors
    divides by the gaps between the squares of singular values, and, for matrices that are not
    square, by the singular values: it is NaN or infinite where two are equal, or one is 0. That of
    the values is finite.

    Parameters
    ----------
    x
        Shape ``(..., n, m)``.
    full_matrices
        Return all vectors, of shapes ``(..., n, n)`` and ``(..., m, m)``, which have no derivative
        unless n = m. With False, and k = min(n, m), the shapes are ``(..., n, k)`` and
        ``(..., k, m)``.

    Raises
    ------
    NotDifferentiableError
        In the backward pass, for vectors with ``full_matrices=True`` and n != m.

    >>> svd(tensor([[0.0, 2.0], [1.0, 0.0]])).S.tolist()
    [2.0, 1.0]
    """
    (t,), dtype = floats("svd", x)
    return SVDResult(*_rounded(bind(p.svd, t, full_matrices=full_matrices), dtype))


def svdvals(x: TensorLike, /) -> Tensor:
    """Return the singular values, descending; see `svd`.

    The vectors are computed in the backward pass only.

    >>> svdvals(tensor([[0.0, 2.0], [1.0, 0.0]])).tolist()
    [2.0, 1.0]
    """
    (t,), dtype = floats("svdvals", x)
    return cast(bind(p.svdvals, t), dtype)
