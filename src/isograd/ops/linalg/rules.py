"""The derivatives of linear algebra, a row each, in the library's own functions.

Tangents come from the same rows, by transposing them. The formulas are those of M. B. Giles,
Collected matrix derivative results for forward and reverse mode (2008), J. Townsend,
Differentiating the singular value decomposition (2016), and G. H. Golub and V. Pereyra, The
differentiation of pseudo-inverses (1973).
"""

# Rows are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from typing import Any

import numpy as np

from isograd.core.errors import NotDifferentiableError
from isograd.ops import reductions as r
from isograd.ops.creation import tensor, tril, triu, zeros, zeros_like
from isograd.ops.elementwise import where
from isograd.ops.linalg import primitives as p
from isograd.ops.linear import matmul
from isograd.ops.movement import concat, expand_dims, matrix_transpose, slice_axis
from isograd.runtime.bind import bind
from isograd.runtime.rules import General, Several, Shared
from isograd.runtime.tensor import Tensor

__all__ = ["RULES"]

Cotangents = tuple[Tensor | None, ...]


def _product(*factors: Tensor) -> Tensor:
    out = factors[0]
    for factor in factors[1:]:
        out = matmul(out, factor)
    return out


def _t(x: Tensor) -> Tensor:
    return matrix_transpose(x)


def _symmetric(x: Tensor) -> Tensor:
    return (x + _t(x)) * 0.5


def _row(s: Tensor) -> Tensor:
    return expand_dims(s, axis=-2)


def _column(s: Tensor) -> Tensor:
    return expand_dims(s, axis=-1)


def _on_diagonal(x: Tensor, inside: Any, outside: Any) -> Tensor:
    """Return ``inside`` on the diagonal of matrices in the shape of ``x``, else ``outside``."""
    mask = tensor(np.eye(*x.shape[-2:], dtype=bool), device=x.device)
    return where(mask, inside, outside)


def _skew(x: Tensor) -> Tensor:
    return x - _t(x)


def _filled(g: Tensor | None, like: Tensor) -> Tensor:
    return zeros_like(like) if g is None else g


# -- Cholesky, QR ----------------------------------------------------------------------------------


def _cholesky(g: Tensor, out: Tensor) -> Tensor:
    """Return sym(L^-T phi(L^T g) L^-1), phi the lower triangle with half of the diagonal."""
    inner = matmul(_t(out), g)
    inner = _on_diagonal(inner, inner * 0.5, tril(inner))
    left = _triangular(_t(out), inner, lower=False)
    return _symmetric(_t(_triangular(_t(out), _t(left), lower=False)))


def _triangular(a: Tensor, b: Tensor, *, lower: bool, unit_diagonal: bool = False) -> Tensor:
    return bind(p.solve_triangular, a, b, lower=lower, unit_diagonal=unit_diagonal)


def _qr(g: Cotangents, out: tuple[Tensor, Tensor], x: Tensor, *, mode: str) -> Tensor:
    q, r_ = out
    rows, columns = x.shape[-2:]
    if mode == "complete" and rows > columns:
        raise NotDifferentiableError(
            f"qr: with mode='complete' and matrices of shape {x.shape}, the last "
            f"{rows - columns} columns of Q are any basis of a space, and have no derivative; use "
            "mode='reduced'"
        )
    gq, gr = _filled(g[0], q), _filled(g[1], r_)
    if rows >= columns:
        return _tall_qr(gq, gr, q, r_)
    # The first columns alone make Q; the others are Q^T x.
    last = x.ndim - 1
    rest, gr_rest = [slice_axis(y, last, rows, columns) for y in (x, gr)]
    r_square, gr_square = [slice_axis(y, last, 0, rows) for y in (r_, gr)]
    gq = gq + matmul(rest, _t(gr_rest))
    return concat([_tall_qr(gq, gr_square, q, r_square), matmul(q, gr_rest)], axis=last)


def _tall_qr(gq: Tensor, gr: Tensor, q: Tensor, r_: Tensor) -> Tensor:
    """Return (gq + Q copy(R gr^T - gq^T Q)) R^-T; copy mirrors the lower triangle."""
    inner = matmul(r_, _t(gr)) - matmul(_t(gq), q)
    mirrored = tril(inner) + _t(tril(inner, k=-1))
    wide = gq + matmul(q, mirrored)
    return _t(_triangular(r_, _t(wide), lower=False))


# -- eigenvalues and singular values ---------------------------------------------------------------


def _eigh(g: Cotangents, out: tuple[Tensor, Tensor]) -> Tensor:
    """Return V (diag(g_values) + skew(V^T g_vectors) / (2 gaps)) V^T."""
    (values, vectors), (g_values, g_vectors) = out, g
    inner = zeros_like(vectors)
    if g_values is not None:
        inner = _on_diagonal(inner, _row(g_values), inner)
    if g_vectors is not None:
        gaps = _row(values) - _column(values)
        turned = _skew(matmul(_t(vectors), g_vectors)) * 0.5
        inner = inner + _on_diagonal(gaps, 0.0, turned / _on_diagonal(gaps, 1.0, gaps))
    return _product(vectors, inner, _t(vectors))


def _eigvalsh(g: Tensor, x: Tensor) -> Tensor:
    _, vectors = bind(p.eigh, x)
    return matmul(vectors * _row(g), _t(vectors))


def _svd(
    g: Cotangents, out: tuple[Tensor, Tensor, Tensor], x: Tensor, *, full_matrices: bool
) -> Tensor:
    """Return U (skew(U^T gu) / gaps S + S skew(V^T gv) / gaps + diag(gs)) V^T, and what leaves.

    The gaps are the differences of squares, by their factors. What leaves the spaces of U and of V
    is divided by the singular values.
    """
    (u, s, vh), (gu, gs, gvh) = out, g
    rows, columns = x.shape[-2:]
    if full_matrices and rows != columns and (gu is not None or gvh is not None):
        raise NotDifferentiableError(
            f"svd: with full_matrices=True and matrices of shape {x.shape}, the last vectors are "
            "any basis of a space, and have no derivative; use full_matrices=False"
        )
    k = s.shape[-1]
    u, vh = slice_axis(u, u.ndim - 1, 0, k), slice_axis(vh, vh.ndim - 2, 0, k)
    v = _t(vh)
    square = zeros((*s.shape, k), dtype=s.dtype, device=s.device)
    inner = square if gs is None else _on_diagonal(square, _row(gs), square)
    away: list[Tensor] = []
    gaps = (_row(s) - _column(s)) * (_row(s) + _column(s))
    gaps = _on_diagonal(gaps, 1.0, gaps)
    if gu is not None:
        along = matmul(_t(u), gu)
        inner = inner + _on_diagonal(square, 0.0, _skew(along) / gaps) * _row(s)
        if rows > k:
            away.append(matmul((gu - matmul(u, along)) / _row(s), vh))
    if gvh is not None:
        gv = _t(gvh)
        along = matmul(vh, gv)
        inner = inner + _column(s) * _on_diagonal(square, 0.0, _skew(along) / gaps)
        if columns > k:
            away.append(matmul(u, _t((gv - matmul(v, along)) / _row(s))))
    total = _product(u, inner, vh)
    for part in away:
        total = total + part
    return total


def _svdvals(g: Tensor, x: Tensor) -> Tensor:
    u, _, vh = bind(p.svd, x, full_matrices=False)
    return matmul(u * _row(g), vh)


# -- solving and inverting -------------------------------------------------------------------------


def _solve(g: Tensor, out: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    ct = bind(p.solve, _t(a), g)
    return -matmul(ct, _t(out)), ct


def _solve_triangular(
    g: Tensor, out: Tensor, a: Tensor, *, lower: bool, unit_diagonal: bool
) -> tuple[Tensor, Tensor]:
    ct = _triangular(_t(a), g, lower=not lower, unit_diagonal=unit_diagonal)
    inner = -matmul(ct, _t(out))
    skipped = 1 if unit_diagonal else 0
    return tril(inner, k=-skipped) if lower else triu(inner, k=skipped), ct


def _cofactors(g: Tensor, out: Tensor, x: Tensor) -> Tensor:
    """Return (<g, C> C - C g^T C) / det."""
    along = r.sum(g * out, axis=(-2, -1), keepdims=True)
    return (along * out - _product(out, _t(g), out)) / _column(_column(bind(p.det, x)))


def _pinv(g: Tensor, out: Tensor, x: Tensor) -> Tensor:
    """Return the transpose of -P dx P + P P^T dx^T (1 - x P) + (1 - P x) dx^T P^T P."""
    p_t, g_t = _t(out), _t(g)
    left = g_t - _product(x, out, g_t)
    right = g_t - _product(g_t, out, x)
    return _product(left, out, p_t) + _product(p_t, out, right) - _product(p_t, g, p_t)


def _lstsq(g: Tensor, out: Tensor, a: Tensor, b: Tensor, rtol: Tensor) -> tuple[Any, ...]:
    """Return the cotangents of P b with P the pseudo-inverse: `_pinv` with g b^T, by vectors."""
    inverse = bind(p.pinv, a, rtol)
    ct = matmul(_t(inverse), g)
    residual = b - matmul(a, out)
    g_away = g - _product(inverse, a, g)
    ga = (
        matmul(residual, _t(matmul(inverse, ct)))
        + matmul(matmul(_t(inverse), out), _t(g_away))
        - matmul(ct, _t(out))
    )
    return ga, ct, None


# -- the exponential -------------------------------------------------------------------------------


def _expm(g: Tensor, x: Tensor) -> Tensor:
    """Return the upper right block of exp([[x^T, g], [0, x^T]])."""
    n, last = x.shape[-1], x.ndim - 1
    x_t = _t(x)
    upper = concat([x_t, g], axis=last)
    lower = concat([zeros_like(x), x_t], axis=last)
    out = bind(p.expm, concat([upper, lower], axis=last - 1))
    return slice_axis(slice_axis(out, last - 1, 0, n), last, n, 2 * n)


def _unsigned(g: Cotangents, x: Tensor) -> Tensor | None:
    """Pass on the cotangent of the logarithm; the sign is piecewise constant."""
    return None if g[1] is None else _t(bind(p.inv, x)) * _column(_column(g[1]))


RULES: dict[str, Any] = {
    "cholesky": General(_cholesky),
    "eigh": Several(_eigh),
    "eigvalsh": General(_eigvalsh),
    "qr": Several(_qr),
    "svd": Several(_svd),
    "svdvals": General(_svdvals),
    "solve": Shared(_solve, names=("a", "b")),
    "solve_triangular": Shared(_solve_triangular, names=("a", "b")),
    "inv": General(lambda g, out: -_product(_t(out), g, _t(out))),
    "det": General(lambda g, x: bind(p.cofactors, x) * _column(_column(g))),
    "cofactors": General(_cofactors),
    "slogdet": Several(_unsigned),
    "pinv": General(_pinv, None),
    "lstsq": Shared(_lstsq, names=("a", "b", "rtol")),
    "expm": General(_expm),
}


def install() -> None:
    """Give each primitive its rule."""
    for name, rule in RULES.items():
        getattr(p, name).rule = rule
