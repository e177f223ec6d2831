"""References of linear algebra: textbook algorithms in float64, for one matrix at a time.

None of them calls LAPACK: elimination, Gram and Schmidt, Jacobi's rotations, series.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "adjugate",
    "batched",
    "cholesky",
    "determinant",
    "eigen",
    "exponential",
    "gram_schmidt",
    "inverse",
    "kept",
    "least_squares",
    "log_determinant",
    "pseudo_inverse",
    "response",
    "singular",
    "solution",
    "triangular",
]

Array = Any
Matrix = Callable[..., Any]

_SWEEPS = 30
_LARGE = 0.7


def batched(of: Matrix, /) -> Callable[..., Any]:
    """Make a function of single matrices one of batches whose leading axes broadcast."""

    def run(*xs: Array, **static: Any) -> Any:
        batch = np.broadcast_shapes(*[x.shape[:-2] for x in xs])
        wide = [np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in xs]
        if 0 in batch:
            parts = _parts(of(*[np.eye(*x.shape[-2:]) for x in xs], **static))
            out = [np.zeros((*batch, *np.shape(part))) for part in parts]
        else:
            found = [of(*[x[i] for x in wide], **static) for i in np.ndindex(batch)]
            columns: list[Any] = list(zip(*map(_parts, found), strict=True))
            out = [np.array(part).reshape((*batch, *np.shape(part[0]))) for part in columns]
        return tuple(out) if len(out) > 1 else out[0]

    return run


def kept(of: Callable[..., Any], /) -> Callable[..., Any]:
    """Remember recent results: checks ask for the same ones again and again."""

    @functools.lru_cache(maxsize=256)
    def cached(key: tuple[Any, ...], static: tuple[tuple[str, Any], ...]) -> Any:
        arrays = [np.frombuffer(data, dtype).reshape(shape) for data, dtype, shape in key]
        return of(*arrays, **dict(static))

    def run(*xs: Array, **static: Any) -> Any:
        key = tuple((np.ascontiguousarray(x).tobytes(), x.dtype.str, x.shape) for x in xs)
        return cached(key, tuple(sorted(static.items())))

    return run


def response(of: Callable[..., Any], /) -> Callable[..., Array]:
    """Return the scale of rounding: the largest output plus how far changed inputs move it.

    Inputs change by amounts in proportion to their largest element, as the errors of elimination
    and of rotations do.
    """
    change = 2.0**-20

    def scale(*xs: Array, **static: Any) -> Array:
        rng = np.random.default_rng(0)
        right = _parts(of(*xs, **static))
        largest = max([_largest(part) for part in right])
        moved = 0.0
        for _ in range(4):
            near = [x + change * _largest(x) * rng.choice((-1.0, 1.0), x.shape) for x in xs]
            for part, other in zip(right, _parts(of(*near, **static)), strict=True):
                moved = max(moved, _largest(other - part) / change)
        return np.asarray(largest + moved)

    return kept(scale)


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x)))


def _parts(found: Any) -> tuple[Array, ...]:
    return found if isinstance(found, tuple) else (found,)  # pyright: ignore[reportUnknownVariableType]


# -- elimination -----------------------------------------------------------------------------------


def _eliminated(a: Array, b: Array) -> tuple[Array, Array, float]:
    """Return an upper triangle, what became of ``b``, and the sign of the exchanges of rows."""
    a, b, sign = a.astype(np.float64), b.astype(np.float64), 1.0
    n = a.shape[0]
    for j in range(n):
        best = j + int(np.argmax(np.abs(a[j:, j])))
        if best != j:
            a[[j, best]], b[[j, best]], sign = a[[best, j]], b[[best, j]], -sign
        for i in range(j + 1, n) if a[j, j] != 0 else ():
            factor = a[i, j] / a[j, j]
            a[i, j:] -= factor * a[j, j:]
            b[i] -= factor * b[j]
    return a, b, sign


def triangular(a: Array, b: Array, *, lower: bool = False, unit_diagonal: bool = False) -> Array:
    """Return the solution of a triangular system, by substitution."""
    n = a.shape[0]
    out = np.zeros(b.shape)
    for i in range(n) if lower else reversed(range(n)):
        others = slice(0, i) if lower else slice(i + 1, n)
        left = b[i] - a[i, others] @ out[others]
        out[i] = left if unit_diagonal else left / a[i, i]
    return out


def solution(a: Array, b: Array) -> Array:
    """Return the solution of a system."""
    upper, right, _ = _eliminated(a, b)
    return triangular(upper, right)


def inverse(x: Array) -> Array:
    """Return the inverse."""
    return solution(x, np.eye(x.shape[0]))


def determinant(x: Array) -> Array:
    """Return the determinant."""
    upper, _, sign = _eliminated(x, np.zeros((x.shape[0], 0)))
    return sign * np.prod(np.diagonal(upper))


def log_determinant(x: Array) -> tuple[Array, Array]:
    """Return the sign of the determinant, and the logarithm of its absolute value."""
    upper, _, sign = _eliminated(x, np.zeros((x.shape[0], 0)))
    pivots = np.diagonal(upper)
    return sign * np.prod(np.sign(pivots)), np.sum(np.log(np.abs(pivots)))


def adjugate(x: Array) -> Array:
    """Return the cofactors: signed determinants of what is left without a row and a column."""
    n = x.shape[0]
    out = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        rest = np.delete(np.delete(x, i, 0), j, 1)
        out[i, j] = (-1) ** (i + j) * determinant(rest)
    return out


def cholesky(x: Array) -> Array:
    """Return the lower Cholesky factor of the symmetric part, an element at a time."""
    x = (x + x.T) / 2
    out = np.zeros(x.shape)
    for i in range(x.shape[0]):
        for j in range(i + 1):
            left = x[i, j] - out[i, :j] @ out[j, :j]
            out[i, j] = np.sqrt(left) if i == j else left / out[j, j]
    return out


# -- rotations -------------------------------------------------------------------------------------


def _facing(columns: Array) -> Array:
    """Return the signs that make the first large element of each column positive."""
    signs = np.ones(columns.shape[1])
    for j, column in enumerate(columns.T):
        if column.size:
            first = int(np.argmax(np.abs(column) > _LARGE * np.max(np.abs(column))))
            signs[j] = -1.0 if column[first] < 0 else 1.0
    return signs


def eigen(x: Array) -> tuple[Array, Array]:
    """Return eigenvalues and eigenvectors of the symmetric part, by Jacobi's rotations."""
    a = (x + x.T).astype(np.float64) / 2
    n = a.shape[0]
    v = np.eye(n)
    for _ in range(_SWEEPS):
        for i in range(n):
            for j in range(i + 1, n):
                if a[i, j] != 0:
                    turn = _rotation(a[i, i], a[j, j], a[i, j])
                    pair = [i, j]
                    a[:, pair] = a[:, pair] @ turn
                    a[pair] = turn.T @ a[pair]
                    v[:, pair] = v[:, pair] @ turn
    order = np.argsort(np.diagonal(a), kind="stable")
    v = v[:, order]
    return np.diagonal(a)[order], v * _facing(v)


def _rotation(p: float, q: float, r: float) -> Array:
    """Return the rotation that makes [[p, r], [r, q]] diagonal."""
    theta = (q - p) / (2 * r)
    t = (1.0 if theta >= 0 else -1.0) / (abs(theta) + np.hypot(1.0, theta))
    c = 1.0 / np.hypot(1.0, t)
    return np.array([[c, t * c], [-t * c, c]])


def singular(x: Array, *, full_matrices: bool = False) -> tuple[Array, Array, Array]:
    """Return singular vectors and values, by rotating columns until they are orthogonal."""
    if x.shape[0] < x.shape[1]:
        u, s, vh = _one_sided(x.T, full_matrices)
        u, vh = vh.T, u.T
    else:
        u, s, vh = _one_sided(x, full_matrices)
    k = s.size
    left, right = _facing(u), _facing(vh.T)
    right[:k] = left[:k]
    return u * left, s, vh * right[:, None]


def _one_sided(x: Array, full: bool) -> tuple[Array, Array, Array]:
    a = x.astype(np.float64)
    m = a.shape[1]
    v = np.eye(m)
    for _ in range(_SWEEPS):
        for i in range(m):
            for j in range(i + 1, m):
                r = a[:, i] @ a[:, j]
                if abs(r) > 1e-17 * np.linalg.norm(a[:, i]) * np.linalg.norm(a[:, j]):
                    turn = _rotation(a[:, i] @ a[:, i], a[:, j] @ a[:, j], r)
                    a[:, [i, j]] = a[:, [i, j]] @ turn
                    v[:, [i, j]] = v[:, [i, j]] @ turn
    s = np.sqrt(np.sum(a**2, axis=0))
    order = np.argsort(-s, kind="stable")
    a, s, v = a[:, order], s[order], v[:, order]
    u = a / np.where(s == 0, 1.0, s)
    return (_completed(u) if full else u), s, v.T


def _completed(u: Array) -> Array:
    """Add orthonormal columns until the matrix is square."""
    n = u.shape[0]
    columns = list(u.T)
    for axis in np.eye(n):
        rest = axis
        for _ in range(2):
            for column in columns:
                rest = rest - column * (column @ rest)
        if len(columns) < n and np.linalg.norm(rest) > 0.3 / n:
            columns.append(rest / np.linalg.norm(rest))
    return np.array(columns).reshape(n, n).T


def gram_schmidt(x: Array, *, mode: str) -> tuple[Array, Array]:
    """Return Q and R, with a diagonal of R that is not negative."""
    n, m = x.shape
    k = min(n, m)
    q = np.zeros((n, k))
    for j in range(k):
        rest = x[:, j].astype(np.float64)
        for _ in range(2):
            for i in range(j):
                rest = rest - q[:, i] * (q[:, i] @ rest)
        q[:, j] = rest / np.sqrt(rest @ rest)
    if mode == "complete":
        more = _completed(q)[:, k:]
        q = np.concatenate([q, more * _facing(more)], axis=1)
    return q, np.triu(q.T @ x)


def pseudo_inverse(x: Array) -> Array:
    """Return the pseudo-inverse; what is below 1e-6 of the largest singular value counts as 0."""
    u, s, vh = singular(x)
    counts = s > 1e-6 * np.max(s, initial=0.0)
    return (vh.T * np.where(counts, 1.0 / np.where(counts, s, 1.0), 0.0)) @ u.T


def least_squares(a: Array, b: Array) -> Array:
    """Return the shortest of the vectors that come nearest to a solution."""
    return pseudo_inverse(a) @ b


def exponential(x: Array) -> Array:
    """Return the exponential: the series of a small part of it, squared."""
    halvings = max(0, int(np.frexp(np.max(np.abs(x), initial=0.0) * x.shape[0])[1]))
    small = x / 2.0**halvings
    term = total = np.eye(x.shape[0])
    for i in range(1, 24):
        term = term @ small / i
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total
