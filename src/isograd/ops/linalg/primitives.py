"""The primitives of linear algebra: what they take and return, and what is refused.

All work on batches of matrices in the last two axes, in float32 and float64; the public functions
compute 16-bit floats in float32.
"""

from __future__ import annotations

from collections.abc import Callable

from isograd.core import dtypes
from isograd.core.errors import DTypeError, ShapeError
from isograd.ir import Aval
from isograd.ops import infer
from isograd.ops.primitives import enter

__all__ = [
    "cholesky",
    "cofactors",
    "det",
    "eigh",
    "eigvalsh",
    "expm",
    "inv",
    "lstsq",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
]

Shape = tuple[int, ...]


def check_matrix(function: str, x: Aval, argument: str = "the argument") -> None:
    """Raise unless ``x`` has the shape and dtype of matrices."""
    infer.require(function, x, "float", argument)
    if dtypes.is_half(x.dtype):
        raise DTypeError(
            f"{function}: {argument} is {x}, and there is no {x.dtype} kernel; convert it with "
            ".astype(isograd.float32)"
        )
    if len(x.shape) < 2:
        raise ShapeError(
            f"{function}: {argument} has shape {x.shape}; pass a matrix or a batch of them, (..., "
            "n, m)"
        )


def check_square(function: str, x: Aval, argument: str = "the argument") -> None:
    """Raise unless ``x`` has the shape and dtype of square matrices."""
    check_matrix(function, x, argument)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"{function}: {argument} has shape {x.shape}, which are {x.shape[-2]} rows and "
            f"{x.shape[-1]} columns; pass square matrices"
        )


def _square_to(function: str, shape: Callable[[Shape], Shape]) -> Callable[..., Aval]:
    """Make the inference of a function of square matrices with one output."""

    def infer_square(x: Aval) -> Aval:
        check_square(function, x)
        return Aval(shape(x.shape), x.dtype)

    return infer_square


def _same(shape: Shape) -> Shape:
    return shape


def _batch(shape: Shape) -> Shape:
    return shape[:-2]


def _values(shape: Shape) -> Shape:
    return shape[:-1]


def _infer_eigh(x: Aval) -> tuple[Aval, Aval]:
    check_square("eigh", x)
    return Aval(x.shape[:-1], x.dtype), x


def _infer_slogdet(x: Aval) -> tuple[Aval, Aval]:
    check_square("slogdet", x)
    one = Aval(x.shape[:-2], x.dtype)
    return one, one


def _infer_qr(x: Aval, *, mode: str) -> tuple[Aval, Aval]:
    check_matrix("qr", x)
    *batch, n, m = x.shape
    k = n if mode == "complete" else min(n, m)
    return Aval((*batch, n, k), x.dtype), Aval((*batch, k, m), x.dtype)


def _infer_svd(x: Aval, *, full_matrices: bool) -> tuple[Aval, Aval, Aval]:
    check_matrix("svd", x)
    *batch, n, m = x.shape
    k = min(n, m)
    left, right = (n, m) if full_matrices else (k, k)
    shapes: tuple[Shape, ...] = ((*batch, n, left), (*batch, k), (*batch, right, m))
    u, s, vh = [Aval(shape, x.dtype) for shape in shapes]
    return u, s, vh


def _infer_svdvals(x: Aval) -> Aval:
    check_matrix("svdvals", x)
    return Aval((*x.shape[:-2], min(x.shape[-2:])), x.dtype)


def _solved(function: str, a: Aval, b: Aval) -> Shape:
    """Return the batch axes of ``a`` with those of right-hand sides ``b``, or raise."""
    check_matrix(function, b, "the right-hand side")
    infer.same_dtype(function, a, b)
    if a.shape[-2] != b.shape[-2]:
        raise ShapeError(
            f"{function}: matrices of shape {a.shape} do not fit right-hand sides of shape "
            f"{b.shape}: {a.shape[-2]} rows meet {b.shape[-2]}; pass (..., {a.shape[-2]}, k)"
        )
    try:
        return infer.broadcast(function, a.shape[:-2], b.shape[:-2])
    except ShapeError:
        raise ShapeError(
            f"{function}: the leading axes of {a.shape} and {b.shape} do not broadcast; reshape or "
            "expand one of them"
        ) from None


def _infer_solve(a: Aval, b: Aval) -> Aval:
    check_square("solve", a)
    return Aval((*_solved("solve", a, b), *b.shape[-2:]), a.dtype)


def _infer_triangular(a: Aval, b: Aval, *, lower: bool, unit_diagonal: bool) -> Aval:
    check_square("solve_triangular", a)
    return Aval((*_solved("solve_triangular", a, b), *b.shape[-2:]), a.dtype)


def _cutoff(function: str, a: Aval, rtol: Aval) -> None:
    infer.same_dtype(function, a, rtol)
    if infer.broadcast(function, a.shape[:-2], rtol.shape) != a.shape[:-2]:
        raise ShapeError(
            f"{function}: rtol of shape {rtol.shape} does not broadcast to the batch "
            f"{a.shape[:-2]} of matrices of shape {a.shape}; pass one number, or one for each"
        )


def _infer_pinv(x: Aval, rtol: Aval) -> Aval:
    check_matrix("pinv", x)
    _cutoff("pinv", x, rtol)
    *batch, n, m = x.shape
    return Aval((*batch, m, n), x.dtype)


def _infer_lstsq(a: Aval, b: Aval, rtol: Aval) -> Aval:
    check_matrix("lstsq", a)
    _cutoff("lstsq", a, rtol)
    return Aval((*_solved("lstsq", a, b), a.shape[-1], b.shape[-1]), a.dtype)


cholesky = enter("cholesky", _square_to("cholesky", _same))
eigh = enter("eigh", _infer_eigh, multiple=True)
eigvalsh = enter("eigvalsh", _square_to("eigvalsh", _values))
qr = enter("qr", _infer_qr, multiple=True)
svd = enter("svd", _infer_svd, multiple=True)
svdvals = enter("svdvals", _infer_svdvals)
solve = enter("solve", _infer_solve)
solve_triangular = enter("solve_triangular", _infer_triangular)
inv = enter("inv", _square_to("inv", _same))
det = enter("det", _square_to("det", _batch))
cofactors = enter("cofactors", _square_to("cofactors", _same))
slogdet = enter("slogdet", _infer_slogdet, multiple=True)
pinv = enter("pinv", _infer_pinv)
lstsq = enter("lstsq", _infer_lstsq)
expm = enter("expm", _square_to("expm", _same))
