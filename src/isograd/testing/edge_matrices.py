"""Rows of the edge policy about contractions and linear algebra."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.errors import LinAlgError, NotDifferentiableError, ShapeError
from isograd.testing.edge_claims import differs, first, raises, tensor
from isograd.testing.edge_spec import EdgeCase, EdgeRow

__all__ = ["MATRIX_ROWS"]


def _einsum(subscripts: str, times: int = 1) -> Callable[..., Any]:
    """Return a contraction of one tensor, or of several that are the same."""
    return lambda x: ig.einsum(subscripts, *[x] * times)


def _total(x: Any) -> Any:
    return ig.linalg.eigvalsh(x).sum()


def einsum_shapes(dtype: str) -> str:
    """Check the shapes of a batch of products, and of products that sum over nothing."""
    x, y = tensor(np.ones((2, 1, 3, 4)), dtype), tensor(np.ones((5, 4, 6)), dtype)
    out = ig.einsum("...ij,...jk", x, y)
    none = ig.einsum("ij,jk", tensor(np.ones((2, 0)), dtype), tensor(np.ones((0, 3)), dtype))
    return first(
        differs("the shape", out.shape, (2, 5, 3, 6)),
        differs("a product over nothing", none.tolist(), [[0.0] * 3] * 2),
        raises(lambda: ig.einsum("ii", tensor(np.ones((2, 3)), dtype)), ShapeError, "2 and 3"),
    )


def no_result(dtype: str) -> str:
    """Check that errors name the matrix of a batch that has no result."""
    la = ig.linalg
    x = tensor(np.stack([np.eye(2), np.zeros((2, 2))]), dtype)
    y = tensor(np.ones((2, 1)), dtype)
    said = "matrix [1]", "(2, 2, 2)"
    return first(
        raises(lambda: la.inv(x), LinAlgError, "inv", *said),
        raises(lambda: la.solve(x, y), LinAlgError, "solve", *said),
        raises(lambda: la.cholesky(x), LinAlgError, "cholesky", *said),
        raises(lambda: la.solve_triangular(x, y, upper=True), LinAlgError, "triangular", *said),
        raises(lambda: la.inv(x), np.linalg.LinAlgError),
    )


def singular_logarithm(dtype: str) -> str:
    """Check the logarithm of a determinant that is 0, and that it has no gradient."""
    x = tensor([[1.0, 2.0], [2.0, 4.0]], dtype)
    sign, value = ig.linalg.slogdet(x)
    gradient = ig.grad(lambda x: ig.linalg.slogdet(x)[1])
    return first(
        differs("the sign", sign.item(), 0.0),
        differs("the logarithm", value.item(), -math.inf),
        raises(lambda: gradient(x), LinAlgError, "singular"),
    )


def nan_in_a_batch(dtype: str) -> str:
    """Check that NaN stays in its matrix."""
    x = tensor(np.stack([np.eye(2), np.full((2, 2), np.nan), np.eye(2)]), dtype)
    for name in ("inv", "cholesky", "pinv", "det", "svdvals", "eigvalsh"):
        values = np.asarray(getattr(ig.linalg, name)(x).numpy())
        if not (np.isfinite(values[[0, 2]]).all() and np.isnan(values[1]).any()):
            return f"{name} returned {values.tolist()}"
    return ""


def arbitrary_vectors(dtype: str) -> str:
    """Check that vectors that are any basis of a space have no gradient."""
    x = tensor(np.ones((3, 1)), dtype)
    svd = ig.grad(lambda x: ig.linalg.svd(x).U.sum())
    qr = ig.grad(lambda x: ig.linalg.qr(x, mode="complete").Q.sum())
    return first(
        raises(lambda: svd(x), NotDifferentiableError, "svd", "full_matrices=False"),
        raises(lambda: qr(x), NotDifferentiableError, "qr", "reduced"),
    )


def equal_eigenvalues(dtype: str) -> str:
    """Check that equal eigenvalues make the derivative of the vectors NaN, not a number."""
    found = ig.grad(lambda x: ig.linalg.eigh(x)[1].sum())(tensor(np.eye(2), dtype))
    return "" if np.isnan(found.numpy()).any() else f"the gradient is {found.tolist()}"


MATRIX_ROWS: tuple[EdgeRow, ...] = (
    EdgeRow(
        "einsum ii->, ii->i, i,i-> of one tensor; ...ij,...jk",
        "as NumPy; gradients identity; diagonal; 2x",
        "",
        (
            EdgeCase(_einsum("ii->"), ([[1.0, 2.0], [3.0, 4.0]],), 5.0, (np.eye(2).tolist(),)),
            EdgeCase(
                _einsum("ii->i"), ([[1.0, 2.0], [3.0, 4.0]],), [1.0, 4.0], (np.eye(2).tolist(),)
            ),
            EdgeCase(_einsum("i,i->", 2), ([1.0, 2.0, 3.0],), 14.0, ([2.0, 4.0, 6.0],)),
        ),
        (einsum_shapes,),
    ),
    EdgeRow(
        "det of [[1, 2], [2, 4]] and of 0",
        "0; the gradient is [[4, -2], [-2, 1]]; 0",
        "",
        (
            EdgeCase(
                ig.linalg.det,
                ([[1.0, 2.0], [2.0, 4.0]],),
                0.0,
                ([[4.0, -2.0], [-2.0, 1.0]],),
                tolerance=1e-15,
            ),
            EdgeCase(ig.linalg.det, (np.zeros((3, 3)).tolist(),), 0.0, ([[0.0] * 3] * 3,)),
        ),
    ),
    EdgeRow(
        "slogdet of a singular matrix; its gradient",
        "(0, -inf); LinAlgError",
        claims=(singular_logarithm,),
    ),
    EdgeRow(
        "a matrix without inverse, solution or Cholesky factor",
        "LinAlgError: which one of the batch; also numpy.linalg.LinAlgError",
        claims=(no_result,),
    ),
    EdgeRow(
        "NaN in one matrix of a batch", "NaN there, and only there", "P6", (), (nan_in_a_batch,)
    ),
    EdgeRow(
        "eigh of the identity: the sum of the values; the vectors",
        "gradient the identity; NaN",
        "P6",
        (EdgeCase(_total, (np.eye(2).tolist(),), 2.0, (np.eye(2).tolist(),)),),
        (equal_eigenvalues,),
    ),
    EdgeRow(
        "gradients of svd with full_matrices, of qr with mode complete, for (3, 1)",
        "NotDifferentiableError",
        claims=(arbitrary_vectors,),
    ),
)
"""What happens to singular matrices, to NaN in batches, and where derivatives do not exist."""
