"""cuSOLVER for large matrices, one after another, through CuPy.

Matrices lie in order of columns, and ``info`` has a number for each: 0, or what LAPACK would say.
CuPy refuses these calls while a graph is recorded, for NVIDIA does not say that they may be.
"""

from __future__ import annotations

from typing import Any, Final

import cupy
import numpy as np

from isograd_cupy._debug import launched
from isograd_cupy._layout import empty

__all__ = ["CALLS", "cholesky", "eigen", "factor", "reflect", "singular", "solve_factored"]

#: The functions that are called, each for float32 with an s before its name, for float64 with a d.
CALLS: Final = (
    *("potrf", "potrf_bufferSize", "getrf", "getrf_bufferSize", "getrs", "geqrf"),
    *("geqrf_bufferSize", "orgqr", "orgqr_bufferSize", "syevd", "syevd_bufferSize"),
    *("gesvd", "gesvd_bufferSize"),
)
_UPPER: Final = 1
_PLAIN: Final = 0


def _function(name: str, dtype: np.dtype[Any]) -> Any:
    return getattr(cupy.cuda.cusolver, ("s" if dtype == np.float32 else "d") + name)


def _call(name: str, x: Any, *arguments: Any) -> None:
    handle = cupy.cuda.device.get_cusolver_handle()
    _function(name, x.dtype)(handle, *arguments)
    launched(f"cuSOLVER's {name} of shape {x.shape}")


def _room(name: str, x: Any, *arguments: Any) -> tuple[Any, int]:
    """Return memory for a function to work in, and how many elements that is."""
    handle = cupy.cuda.device.get_cusolver_handle()
    size: int = _function(f"{name}_bufferSize", x.dtype)(handle, *arguments)
    return empty((max(size, 1),), x.dtype), size


def _at(array: Any, b: int) -> int:
    """Return the address of one matrix of a batch, or of what belongs to it."""
    return array.data.ptr + b * array.strides[0]


def cholesky(a: Any, info: Any, /) -> None:
    """Put the factor U of symmetric ``a`` into its upper triangle."""
    n = a.shape[-1]
    work, size = _room("potrf", a, _UPPER, n, _at(a, 0), n)
    for b in range(len(a)):
        _call("potrf", a, _UPPER, n, _at(a, b), n, work.data.ptr, size, _at(info, b))


def factor(a: Any, pivots: Any, info: Any, /) -> None:
    """Put L and U into ``a``, and the exchanges of rows into ``pivots``."""
    n = a.shape[-1]
    work, _ = _room("getrf", a, n, n, _at(a, 0), n)
    for b in range(len(a)):
        _call("getrf", a, n, n, _at(a, b), n, work.data.ptr, _at(pivots, b), _at(info, b))


def solve_factored(a: Any, pivots: Any, y: Any, /) -> None:
    """Solve for the columns of ``y``, where they are."""
    columns, n = y.shape[1:]
    unused = empty((1,), np.dtype(np.int32))
    for b in range(len(a)):
        places = _at(a, b), n, _at(pivots, b), _at(y, b), n, unused.data.ptr
        _call("getrs", a, _PLAIN, n, columns, *places)


def reflect(x: Any, tau: Any, q: Any, /) -> None:
    """Put R into ``x``, and Q into ``q``, of which the first columns are those of ``x`` by then.

    As many columns of Q are made as ``q`` has.
    """
    (n, m), width, k = x.shape[1:], q.shape[1], min(x.shape[1:])
    work, size = _room("geqrf", x, m, n, _at(x, 0), m)
    room, most = _room("orgqr", x, m, width, k, _at(q, 0), m, _at(tau, 0))
    unused = empty((1,), np.dtype(np.int32))
    for b in range(len(x)):
        places = _at(tau, b), work.data.ptr, size, unused.data.ptr
        _call("geqrf", x, m, n, _at(x, b), m, *places)
        q[b, :k].data.copy_from_device_async(x[b].data, k * m * x.itemsize)
        places = _at(tau, b), room.data.ptr, most, unused.data.ptr
        _call("orgqr", x, m, width, k, _at(q, b), m, *places)


def eigen(a: Any, values: Any, info: Any, /, *, wanted: bool) -> None:
    """Write the eigenvalues of symmetric ``a``, and put the vectors into its columns if wanted."""
    n = a.shape[-1]
    head = int(wanted), _UPPER, n
    work, size = _room("syevd", a, *head, _at(a, 0), n, _at(values, 0))
    for b in range(len(a)):
        places = _at(values, b), work.data.ptr, size, _at(info, b)
        _call("syevd", a, *head, _at(a, b), n, *places)


def singular(x: Any, values: Any, left: Any, right: Any, info: Any, /) -> None:
    """Write singular values and vectors; no vectors where ``left`` is None.

    ``left`` has as many columns as are wanted; ``right`` is in order of rows, its columns being
    the vectors.
    """
    n, m = x.shape[1:]
    job = "N" if left is None else "S" if left.shape[1] == n else "A"
    work, size = _room("gesvd", x, m, n)
    for b in range(len(x)):
        vectors = (0, m, 0, n) if left is None else (_at(left, b), m, _at(right, b), n)
        places = _at(x, b), m, _at(values, b), *vectors, work.data.ptr, size, 0, _at(info, b)
        _call("gesvd", x, ord(job), ord("N" if left is None else "S"), m, n, *places)
