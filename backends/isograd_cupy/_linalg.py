"""Linear algebra by LAPACK on the CPU: matrices are copied there, and results back.

Small and medium matrices, and batches of them, gain little on a GPU, and errors name the matrix
that has no result, which cuSOLVER does not.
"""

from __future__ import annotations

from typing import Any, Final

import cupy
import numpy as np

from isograd.backend import Kernel
from isograd.backend.xp.linalg import linalg_kernels
from isograd_cupy._elementwise import contiguous

__all__ = ["LINALG"]

_SEVERAL: Final = frozenset({"eigh", "qr", "slogdet", "svd"})


def _back(array: np.ndarray) -> Any:
    out = cupy.ndarray(array.shape, array.dtype)
    out.set(np.asarray(array, order="C"))
    return out


def _on_host(name: str, kernel: Kernel) -> Kernel:
    def run(*arrays: Any, **static: Any) -> Any:
        out: Any = kernel(*[contiguous(x).get() for x in arrays], **static)
        if name in _SEVERAL:
            return tuple([_back(np.asarray(part)) for part in out])
        return _back(np.asarray(out))

    return run


LINALG: Final[dict[str, Kernel]] = {
    name: _on_host(name, kernel) for name, kernel in linalg_kernels(np).items()
}
