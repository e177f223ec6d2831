"""Linear algebra: LAPACK through the namespace's ``linalg`` extension, for batches of matrices.

Matrices with NaN or infinite elements have NaN results, without an error. A finite matrix for which
there is no result is named in the error, with its place in the batch. For libraries that report
nothing by themselves, such as JAX, infinities and NaN of finite matrices count as no result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import cast
from isograd.core.errors import LinAlgError

__all__ = ["PADE", "PADE_NORM", "linalg_kernels", "no_result"]

#: Side up to which a triangular system is solved at once; larger ones are split in two.
_SMALL: Final = 64

#: The share of the largest element from which another counts as large: seldom a ratio of elements,
#: so that rounding does not decide.
_LARGE: Final = 0.7

#: Numerator of the Pade approximant of exp of degree 13; the denominator has alternating signs.
#: N. J. Higham, The scaling and squaring method for the matrix exponential revisited (2005).
PADE: Final = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)
#: The 1-norm up to which that approximant is exact to double precision.
PADE_NORM: Final = 5.371920351148152

_FAULTS: Final = {
    "cholesky": "is not positive definite; add a small multiple of the identity",
    "solve": "is singular; use isograd.linalg.lstsq, or add a small multiple of the identity",
    "inv": "is singular; use isograd.linalg.pinv, or add a small multiple of the identity",
    "solve_triangular": "has a zero on its diagonal; solve with isograd.linalg.lstsq instead",
}
_NOT_CONVERGED: Final = "has singular values or eigenvalues that did not converge; rescale it"


def _refused(error: Exception) -> bool:
    """Tell whether a library says that there is no result: each has a class of its own for that."""
    return type(error).__name__.endswith("LinAlgError")


def named(
    xp: Any, name: str, kernel: Kernel, /, *, silent: Callable[[], bool] | None = None
) -> Kernel:
    """Make a kernel say which matrix of a batch is at fault, and return NaN for those with NaN.

    ``silent`` tells whether the library reports nothing, for kernels with one output.
    """

    def run(*arrays: Array, **static: Any) -> Any:
        try:
            out = kernel(*arrays, **static)
        except Exception as error:
            if not _refused(error):
                raise
            return _one_by_one(xp, name, kernel, arrays, static)
        if silent is None or not silent() or bool(xp.all(xp.isfinite(out))):
            return out
        return _one_by_one(xp, name, _loud(xp, kernel), arrays, static)

    return run


def _loud(xp: Any, kernel: Kernel) -> Kernel:
    """Make a kernel raise where finite arrays have a result that is not."""

    def run(*arrays: Array, **static: Any) -> Any:
        out = kernel(*arrays, **static)
        finite = [bool(xp.all(xp.isfinite(x))) for x in (*arrays, out)]
        if all(finite[:-1]) and not finite[-1]:
            raise LinAlgError("the result is not finite")
        return out

    return run


def _one_by_one(
    xp: Any, name: str, kernel: Kernel, arrays: tuple[Array, ...], static: dict[str, Any]
) -> Any:
    batch = np.broadcast_shapes(*[x.shape[:-2] for x in arrays if x.ndim >= 2])
    spread = [xp.broadcast_to(x, (*batch, *x.shape[-2:])) if x.ndim >= 2 else x for x in arrays]
    found: list[Any] = []
    for index in np.ndindex(batch):
        single = [x[index] if x.ndim >= 2 else x for x in spread]
        try:
            found.append(kernel(*single, **static))
        except Exception as error:
            if not _refused(error):
                raise
            if bool(xp.all(xp.isfinite(single[0]))):
                raise no_result(name, tuple(arrays[0].shape), index) from None
            found.append(_undefined(xp, kernel, single, static))
    several = isinstance(found[0], tuple)
    columns: list[tuple[Array, ...]] = list(zip(*found, strict=True)) if several else [tuple(found)]
    joined = [xp.reshape(xp.stack(parts), (*batch, *parts[0].shape)) for parts in columns]
    return tuple(joined) if several else joined[0]


def no_result(name: str, shape: tuple[int, ...], index: tuple[int, ...], /) -> LinAlgError:
    """Return the error about one matrix of a batch, which may have been broadcast to a larger one.

    Parameters
    ----------
    name
        The primitive's.
    shape
        That of the argument.
    index
        Where the matrix is in the batch.
    """
    place = shape[:-2]
    where = tuple(
        i if n > 1 else 0 for i, n in zip(index[len(index) - len(place) :], place, strict=True)
    )
    which = f"matrix {list(where)} of" if where else "the matrix of"
    fault = _FAULTS.get(name, _NOT_CONVERGED)
    return LinAlgError(f"{name}: {which} the argument of shape {shape} {fault}")


def _undefined(xp: Any, kernel: Kernel, single: list[Array], static: dict[str, Any]) -> Any:
    """Return NaN in the shapes that the kernel returns for the identity."""
    rows, columns = single[0].shape
    plain = xp.eye(rows, columns, dtype=single[0].dtype, device=single[0].device)
    out: Any = kernel(plain, *single[1:], **static)
    if isinstance(out, tuple):
        return tuple([xp.full_like(part, float("nan")) for part in out])  # pyright: ignore[reportUnknownVariableType]
    return xp.full_like(out, float("nan"))


def linalg_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of linear algebra over an array namespace with the extension."""
    la = xp.linalg
    cumulative_sum = getattr(xp, "cumulative_sum", None) or xp.cumsum

    def mt(x: Array) -> Array:
        return xp.permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))

    def column(s: Array) -> Array:
        return xp.expand_dims(s, axis=-1)

    def row(s: Array) -> Array:
        return xp.expand_dims(s, axis=-2)

    def identity(x: Array) -> Array:
        return xp.eye(x.shape[-1], dtype=x.dtype, device=x.device)

    def symmetric(x: Array) -> Array:
        return x + (mt(x) - x) * 0.5

    def cholesky(x: Array) -> Array:
        return la.cholesky(symmetric(x))

    def turns(v: Array) -> Array:
        """Return the signs by which the first large element of each column becomes positive."""
        if 0 in v.shape:
            return xp.ones((*v.shape[:-2], 1, v.shape[-1]), dtype=v.dtype, device=v.device)
        size = xp.abs(v)
        large = size > _LARGE * xp.max(size, axis=-2, keepdims=True)
        first = large & (cumulative_sum(cast(xp, large, xp.int64), axis=-2) == 1)
        leading = xp.sum(xp.where(first, v, xp.zeros_like(v)), axis=-2, keepdims=True)
        return sign_of(leading)

    def sign_of(x: Array) -> Array:
        return xp.where(x < 0, -xp.ones_like(x), xp.ones_like(x))

    def eigh(x: Array) -> tuple[Array, Array]:
        values, vectors = la.eigh(symmetric(x))
        return values, vectors * turns(vectors)

    def eigvalsh(x: Array) -> Array:
        return la.eigvalsh(symmetric(x))

    def qr(x: Array, *, mode: str) -> tuple[Array, Array]:
        q, r = la.qr(x, mode=mode)
        k = min(x.shape[-2:])
        signs = sign_of(xp.sum(r[..., :k, :k] * identity(r[..., :k, :k]), axis=-2, keepdims=True))
        if q.shape[-1] > k:  # columns that R does not fix
            signs = xp.concat([signs, turns(q[..., k:])], axis=-1)
        return q * signs, r * mt(signs)

    def svd(x: Array, *, full_matrices: bool) -> tuple[Array, Array, Array]:
        u, s, vh = la.svd(x, full_matrices=full_matrices)
        k = s.shape[-1]
        left, right = turns(u), mt(turns(mt(vh)))
        if k:  # a pair turns together
            right = xp.concat([mt(left[..., :k]), right[..., k:, :]], axis=-2)
        return u * left, s, vh * right

    def solve(a: Array, b: Array) -> Array:
        return la.solve(a, b)

    def upper(a: Array, b: Array) -> Array:
        """Solve by halves: LU of an upper triangle exchanges no rows, so it is substitution."""
        n = a.shape[-1]
        if n <= _SMALL:
            return la.solve(a, b)
        half = n // 2
        below = upper(a[..., half:, half:], b[..., half:, :])
        above = upper(
            a[..., :half, :half], b[..., :half, :] - xp.matmul(a[..., :half, half:], below)
        )
        return xp.concat(
            [xp.broadcast_to(above, (*below.shape[:-2], *above.shape[-2:])), below], axis=-2
        )

    def solve_triangular(a: Array, b: Array, *, lower: bool, unit_diagonal: bool) -> Array:
        if lower:
            a, b = xp.flip(a, axis=(-2, -1)), xp.flip(b, axis=-2)
        # What lies outside the triangle, and a diagonal of ones, may hold anything, NaN included.
        a = xp.triu(a, k=1) + identity(a) if unit_diagonal else xp.triu(a)
        out = upper(a, b)
        return xp.flip(out, axis=-2) if lower else out

    def slogdet(x: Array) -> tuple[Array, Array]:
        sign, value = la.slogdet(x)
        return sign, value

    def inv(x: Array) -> Array:
        return la.inv(x)

    def by_inverse(x: Array) -> Array:
        return column(column(la.det(x))) * mt(la.inv(x))

    def by_values(x: Array) -> Array:
        """Return the cofactors from the products of all other singular values."""
        u, s, vh = svd(x, full_matrices=False)
        n = s.shape[-1]
        others = xp.where(identity(x) == 1, xp.ones_like(x), row(s) + xp.zeros_like(x))
        turn = column(column(la.det(u) * la.det(vh)))
        return turn * xp.matmul(u * row(xp.prod(others, axis=-1)), vh) if n else x

    def cofactors(x: Array) -> Array:
        """Multiply the inverse by the determinant, whose errors are the same; the SVD for zero."""
        try:
            out = by_inverse(x)
        except Exception as error:
            if not _refused(error):
                raise
            return named(xp, "svd", by_values)(x)
        if bool(xp.all(xp.isfinite(out))) and not bool(xp.any(la.det(x) == 0)):
            return out
        return named(xp, "svd", by_values)(x)

    def inverted(s: Array, rtol: Array) -> Array:
        """Return 1 / s, and 0 for what counts as zero; NaN stays."""
        if s.shape[-1] == 0:
            return s
        cutoff = column(rtol) * xp.max(s, axis=-1, keepdims=True)
        small = s <= cutoff
        return xp.where(small, xp.zeros_like(s), 1.0 / xp.where(small, xp.ones_like(s), s))

    def pinv(x: Array, rtol: Array) -> Array:
        u, s, vh = safe_svd(x, full_matrices=False)
        return xp.matmul(mt(vh) * row(inverted(s, rtol)), mt(u))

    def lstsq(a: Array, b: Array, rtol: Array) -> Array:
        u, s, vh = safe_svd(a, full_matrices=False)
        return xp.matmul(mt(vh), column(inverted(s, rtol)) * xp.matmul(mt(u), b))

    def expm(x: Array) -> Array:
        """Scale by a power of two, approximate, and square back."""
        if 0 in x.shape:
            return x
        one = identity(x)
        size = xp.max(xp.sum(xp.abs(x), axis=-2), axis=-1)
        usable = xp.isfinite(size)
        ratio = xp.where(usable & (size > PADE_NORM), size / PADE_NORM, xp.ones_like(size))
        halvings = xp.ceil(xp.log2(ratio))
        a = x * column(column(2.0**-halvings))
        a2 = xp.matmul(a, a)
        a4 = xp.matmul(a2, a2)
        a6 = xp.matmul(a2, a4)
        c = PADE
        odd = xp.matmul(a6, c[13] * a6 + c[11] * a4 + c[9] * a2)
        odd = xp.matmul(a, odd + c[7] * a6 + c[5] * a4 + c[3] * a2 + c[1] * one)
        even = xp.matmul(a6, c[12] * a6 + c[10] * a4 + c[8] * a2)
        even = even + c[6] * a6 + c[4] * a4 + c[2] * a2 + c[0] * one
        out = named(xp, "solve", solve)(even - odd, even + odd)
        for step in range(int(xp.max(halvings))):
            out = xp.where(column(column(halvings > step)), xp.matmul(out, out), out)
        return out

    safe_svd: Callable[..., tuple[Array, Array, Array]] = named(xp, "svd", svd)

    @functools.cache
    def silent() -> bool:
        try:
            la.inv(xp.zeros((2, 2), dtype=xp.float32))
        except Exception as error:
            if not _refused(error):
                raise
            return False
        return True

    kernels: dict[str, Kernel] = {
        "cholesky": cholesky,
        "eigh": eigh,
        "eigvalsh": eigvalsh,
        "qr": qr,
        "svd": svd,
        "svdvals": la.svdvals,
        "solve": solve,
        "solve_triangular": solve_triangular,
        "inv": inv,
        "det": la.det,
        "slogdet": slogdet,
    }
    return {
        **{
            name: named(xp, name, kernel, silent=silent if name in _FAULTS else None)
            for name, kernel in kernels.items()
        },
        "cofactors": cofactors,
        "pinv": pinv,
        "lstsq": lstsq,
        "expm": expm,
    }
