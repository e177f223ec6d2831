"""Linear algebra on the GPU: kernels of our own for small matrices, cuSOLVER for large ones.

Small matrices have a block each, so batches are quick, nothing waits, and programs record them as
parts of their graphs. For large matrices CuPy calls cuSOLVER, which is not recorded.

Matrices lie in order of columns while they are worked on, and their batch is one axis. Those with
NaN or infinite elements have NaN results. Where a finite matrix has no result, the error names it:
that is read from the GPU once a call, or once a program, as for indices. The kernels that cannot
fail do not wait: `det`, `slogdet`, `qr`, `cofactors`, and of small matrices `eigh` and `svd`, with
what is made of them.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from isograd.backend import Kernel
from isograd.backend.xp.linalg import PADE, PADE_NORM, no_result
from isograd_cupy import _cusolver
from isograd_cupy._checks import settle
from isograd_cupy._contraction import CONTRACTION
from isograd_cupy._cublas import solve_triangles
from isograd_cupy._elementwise import ELEMENTWISE, contiguous, copy_into
from isograd_cupy._launch import Kernels, kernels
from isograd_cupy._layout import broadcast, empty
from isograd_cupy._movement import permuted
from isograd_cupy._sources import fill

__all__ = ["LINALG"]

#: Sides up to which a matrix is small; the kernels have room for no more.
SMALL = 64
#: Threads of a block for a matrix, and those for tiny ones.
_BLOCK, _TINY = (128,), (32,)
_MOST_BLOCKS: Final = 1 << 20
_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)

#: Parts of matrices, by matrices.cu's numbers.
_WHOLE, _SYMMETRIC, _LOWER, _UPPER = range(4)


class _Packed(NamedTuple):
    """Matrices in order of columns, ``(count, columns, rows)``; and what is the matter with each.

    ``bad`` tells which have elements that are not finite, ``info`` which have no result.
    """

    array: Any
    bad: Any
    info: Any

    @property
    def module(self) -> Kernels:
        return kernels("matrices", self.array.dtype)

    @property
    def is_small(self) -> bool:
        return max(self.array.shape[1:]) <= SMALL or not self.array.size

    def each(self, name: str, *arguments: Any) -> None:
        """Launch a kernel that has a block for each matrix; their count is its last argument."""
        count, *sides = self.array.shape
        if count:
            block = _TINY if max(sides) <= 16 else _BLOCK
            self.module.launch(name, (*arguments, count), (min(count, _MOST_BLOCKS),), block)

    def over(self, name: str, count: int, *arguments: Any) -> None:
        """Launch a kernel over so many elements; their count is its last argument."""
        self.module.over(name, (*arguments, count), count)

    def spoil(self, *arrays: Any) -> None:
        """Make the results of matrices that were not finite NaN."""
        for x in arrays:
            self.over("spoil", x.size, x, self.bad, x.size // max(len(self.bad), 1))

    def report(self, name: str, shape: tuple[int, ...], batch: tuple[int, ...]) -> None:
        """Raise for the first finite matrix without a result, now or when the program has run."""
        count = len(self.info)
        if not count:
            return
        wrong = fill(empty((1,), _INT64), count)
        self.over("first_fault", count, self.info, self.bad, wrong)

        def explain() -> None:
            first = int(wrong.get()[0])
            if first < count:
                place = tuple(int(i) for i in np.unravel_index(first, batch))
                raise no_result(name, shape, place)

        settle(wrong, count, explain)


def _packed(x: Any, part: int = _WHOLE, *, unit: bool = False, turned: bool = False) -> _Packed:
    """Copy a part of matrices, or of their transposes where ``turned``, in order of columns."""
    rows, columns = x.shape[-2:][:: -1 if turned else 1]
    count = math.prod(x.shape[:-2])
    flags = fill(empty((2, count), _INT32), 0)
    made = _Packed(empty((count, columns, rows), x.dtype), flags[0], flags[1])
    down, across = (1, rows) if turned else (columns, 1)
    out, size = made.array, rows * columns
    places = out, made.bad, made.info, rows, size, down, across
    made.over("pack", out.size, contiguous(x), *places, part, int(unit))
    made.over("mend", out.size, out, made.bad, rows, size)
    return made


def _mt(x: Any) -> Any:
    return permuted(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _batched(x: Any, batch: tuple[int, ...]) -> Any:
    """Give a result back the axes of the batch."""
    return x.reshape((*batch, *x.shape[1:]))


def _columns(b: Any, batch: tuple[int, ...]) -> Any:
    """Return a copy of right-hand sides, spread over a batch, as ``(count, columns, rows)``."""
    spread = _mt(broadcast(b, (*batch, *b.shape[-2:])))
    out = copy_into(empty(spread.shape, b.dtype), spread)
    return out.reshape((math.prod(batch), *out.shape[-2:]))


def _spread(a: Any, b: Any) -> tuple[Any, tuple[int, ...]]:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return broadcast(a, (*batch, *a.shape[-2:])), batch


# -- Cholesky, elimination -------------------------------------------------------------------------


def _cholesky(x: Any) -> Any:
    made = _packed(x, _SYMMETRIC)
    a, n = made.array, x.shape[-1]
    if made.is_small:
        made.each("cholesky", a, made.info, n)
    else:
        _cusolver.cholesky(a, made.info)
    made.spoil(a)
    made.over("keep_upper", a.size, a, n, n * n)
    made.report("cholesky", x.shape, x.shape[:-2])
    return _batched(a, x.shape[:-2])  # U in order of columns is L in order of rows


def _factored(x: Any) -> tuple[_Packed, Any]:
    """Return L and U, and the exchanges of rows."""
    made = _packed(x)
    pivots = empty(made.array.shape[:2], _INT32)
    if made.is_small:
        made.each("factor", made.array, pivots, made.info, x.shape[-1])
    else:
        _cusolver.factor(made.array, pivots, made.info)
    return made, pivots


def _substituted(made: _Packed, pivots: Any, y: Any) -> Any:
    """Solve for the columns of ``y``, where they are."""
    if not y.size:
        return y
    if made.is_small:
        made.each("solve_factored", made.array, pivots, y, y.shape[2], y.shape[1])
    else:
        _cusolver.solve_factored(made.array, pivots, y)
    made.spoil(y)
    return y


def _solve(a: Any, b: Any) -> Any:
    spread, batch = _spread(a, b)
    made, pivots = _factored(spread)
    out = _substituted(made, pivots, _columns(b, batch))
    made.report("solve", a.shape, batch)
    return _mt(_batched(out, batch))


def _inv(x: Any) -> Any:
    made, pivots = _factored(x)
    n = x.shape[-1]
    y = empty(made.array.shape, x.dtype)
    made.over("identities", y.size, y, n, n * n)
    _substituted(made, pivots, y)
    made.report("inv", x.shape, x.shape[:-2])
    return _mt(_batched(y, x.shape[:-2]))


def _solve_triangular(a: Any, b: Any, *, lower: bool, unit_diagonal: bool) -> Any:
    spread, batch = _spread(a, b)
    made = _packed(spread, _LOWER if lower else _UPPER, unit=unit_diagonal)
    y = _columns(b, batch)
    if not y.size:
        pass
    elif made.is_small:
        made.each("solve_triangles", made.array, y, y.shape[2], y.shape[1], int(lower))
    else:
        solve_triangles(made.array, y, lower=lower)
    made.spoil(y)
    made.report("solve_triangular", a.shape, batch)
    return _mt(_batched(y, batch))


def _determinant(x: Any, logarithm: bool) -> tuple[Any, Any]:
    made, pivots = _factored(x)
    parts = empty(made.bad.shape, x.dtype), empty(made.bad.shape, x.dtype)
    where = made.array, pivots, *parts, x.shape[-1], int(logarithm)
    made.over("determinant", len(made.bad), *where)
    made.spoil(*parts)
    return parts[0].reshape(x.shape[:-2]), parts[1].reshape(x.shape[:-2])


def _slogdet(x: Any) -> tuple[Any, Any]:
    return _determinant(x, True)


def _det(x: Any) -> Any:
    return _determinant(x, False)[1]


# -- reflections and rotations ---------------------------------------------------------------------


def _reflected(made: _Packed, width: int) -> Any:
    """Return columns of Q; R, and what is below it, are left in the array."""
    x = made.array
    count, n, m = x.shape
    q = empty((count, width, m), x.dtype)
    tau = empty((count, max(min(n, m), 1)), x.dtype)
    if made.is_small:
        made.each("reflect", x, tau, q, m, n, width)
    else:
        _cusolver.reflect(x, tau, q)
    made.over("turn_reflected", count * width, q, x, m, n, width)
    return q


def _qr(x: Any, *, mode: str) -> tuple[Any, Any]:
    rows, columns = x.shape[-2:]
    width = rows if mode == "complete" else min(rows, columns)
    made = _packed(x)
    q = _reflected(made, width)
    r = empty((len(q), width, columns), x.dtype)
    made.over("triangle", r.size, made.array, r, rows, columns, width)
    made.spoil(q, r)
    return _mt(_batched(q, x.shape[:-2])), _batched(r, x.shape[:-2])


def _eigen(name: str, x: Any, wanted: bool) -> tuple[Any, Any]:
    made = _packed(x, _SYMMETRIC)
    a, n = made.array, x.shape[-1]
    values, vectors = empty(a.shape[:2], x.dtype), a
    if made.is_small:
        vectors = empty(a.shape, x.dtype)
        made.each("eigen", a, empty(a.shape, x.dtype), values, vectors, n, int(wanted))
    else:
        _cusolver.eigen(a, values, made.info, wanted=wanted)
    if wanted:
        made.over("turn", values.size, vectors, vectors, n, n, 0, 0)
    made.spoil(values, *[vectors] * wanted)
    if not made.is_small:
        made.report(name, x.shape, x.shape[:-2])
    return _batched(values, x.shape[:-2]), _mt(_batched(vectors, x.shape[:-2]))


def _eigh(x: Any) -> tuple[Any, Any]:
    return _eigen("eigh", x, True)


def _eigvalsh(x: Any) -> Any:
    return _eigen("eigvalsh", x, False)[0]


def _singular(name: str, x: Any, wanted: bool, full: bool = False) -> tuple[Any, Any, Any]:
    """Return U, S and Vh; U and Vh of no meaning unless wanted."""
    wide = x.shape[-2] < x.shape[-1]
    made = _packed(x, turned=wide)
    a = made.array
    count, n, m = a.shape
    width = m if full else n
    values, right = empty((count, n), x.dtype), empty((count, n, n), x.dtype)
    if made.is_small:
        left, work = empty(a.shape, x.dtype), empty(right.shape, x.dtype)
        made.each("singular", a, work, values, left, right, m, n, int(wanted))
        if wanted:  # orthonormal also where values are 0, and beyond
            left = _reflected(_Packed(left, made.bad, made.info), width)
    else:
        left = empty((count, width, m), x.dtype)
        _cusolver.singular(a, values, left if wanted else None, right, made.info)
    if wanted:
        made.over("turn", count * width, left, right, m, width, n, int(wide))
        made.spoil(left, right)
    made.spoil(values)
    if not made.is_small:
        made.report(name, x.shape, x.shape[:-2])
    left, right = _batched(left, x.shape[:-2]), _batched(right, x.shape[:-2])
    u, vh = (right, left) if wide else (_mt(left), _mt(right))
    return u, _batched(values, x.shape[:-2]), vh


def _svd(x: Any, *, full_matrices: bool) -> tuple[Any, Any, Any]:
    return _singular("svd", x, True, full_matrices)


def _svdvals(x: Any) -> Any:
    return _singular("svdvals", x, False)[1]


# -- what is made of them --------------------------------------------------------------------------

_matmul: Any = CONTRACTION["matmul"]
_times: Any = ELEMENTWISE["mul"]
_where: Any = ELEMENTWISE["where"]
_greater: Any = ELEMENTWISE["greater"]


def _row(s: Any) -> Any:
    return s.reshape((*s.shape[:-1], 1, s.shape[-1]))


def _scaled_by_values(kernel: str, x: Any, *more: Any) -> tuple[Any, Any, Any]:
    """Return U, what a kernel makes of the singular values, and Vh."""
    u, s, vh = _singular("svd", x, True)
    out = empty(s.shape, s.dtype)
    arguments = s, *more, out, s.shape[-1], s.size
    kernels("matrices", s.dtype).over(kernel, arguments, s.size)
    return u, out, vh


def _inverted(x: Any, rtol: Any) -> tuple[Any, Any, Any]:
    cutoff = contiguous(broadcast(rtol, x.shape[:-2]))
    return _scaled_by_values("invert_values", x, cutoff)


def _pinv(x: Any, rtol: Any) -> Any:
    u, inverse, vh = _inverted(x, rtol)
    return _matmul(_times(_mt(vh), _row(inverse)), _mt(u))


def _lstsq(a: Any, b: Any, rtol: Any) -> Any:
    u, inverse, vh = _inverted(a, rtol)
    return _matmul(_times(_mt(vh), _row(inverse)), _matmul(_mt(u), b))


def _cofactors(x: Any) -> Any:
    """Return the cofactors from the products of all other singular values.

    This needs no inverse, so no matrix has to be looked at to see if there is one.
    """
    u, products, vh = _scaled_by_values("others", x)
    turn = _times(_determinant(u, False)[0], _determinant(vh, False)[0])
    scaled = _times(_times(u, _row(products)), turn.reshape((*turn.shape, 1, 1)))
    return _matmul(scaled, vh)


def _expm(x: Any) -> Any:
    """Scale by a power of two, approximate, and square back; large matrices are waited for."""
    n, batch = x.shape[-1], x.shape[:-2]
    a, count = empty((math.prod(batch), n, n), x.dtype), math.prod(batch)
    halvings = empty((count,), _INT32)
    if not a.size:
        return x
    module, grid = kernels("matrices", x.dtype), (min(count, _MOST_BLOCKS),)
    module.launch("halve", (contiguous(x), a, halvings, PADE_NORM, n, count), grid, _BLOCK)
    powers = [_matmul(a, a)]
    powers.append(_matmul(powers[0], powers[0]))
    powers.append(_matmul(powers[0], powers[1]))

    def series(first: int) -> Any:
        """Return the terms of odd powers, less one power, or of even ones."""
        c, out = PADE, empty(a.shape, a.dtype)
        reversed_powers = powers[::-1]
        high = [c[first + k] for k in (12, 10, 8)]
        low = [c[first + k] for k in (6, 4, 2, 0)]
        module.over("combine", (*reversed_powers, out, *high, 0.0, 0, n, a.size), a.size)
        out = _matmul(powers[2], out)
        module.over("combine", (*reversed_powers, out, *low, 1, n, a.size), a.size)
        return out

    odd, even = _matmul(a, series(1)), series(0)
    made, pivots = _factored(ELEMENTWISE["sub"](even, odd))
    right = _columns(ELEMENTWISE["add"](even, odd), (count,))
    out = contiguous(_mt(_substituted(made, pivots, right)))
    if made.is_small:
        made.each("square_up", out, empty(a.shape, a.dtype), halvings, n)
        return _batched(out, batch)
    for step in range(int(halvings.get().max())):
        more = _greater(halvings, fill(empty((1,), _INT32), step))
        out = _where(more.reshape((count, 1, 1)), _matmul(out, out), out)
    return _batched(out, batch)


LINALG: Final[dict[str, Kernel]] = {
    "cholesky": _cholesky,
    "eigh": _eigh,
    "eigvalsh": _eigvalsh,
    "qr": _qr,
    "svd": _svd,
    "svdvals": _svdvals,
    "solve": _solve,
    "solve_triangular": _solve_triangular,
    "inv": _inv,
    "det": _det,
    "slogdet": _slogdet,
    "cofactors": _cofactors,
    "pinv": _pinv,
    "lstsq": _lstsq,
    "expm": _expm,
}
