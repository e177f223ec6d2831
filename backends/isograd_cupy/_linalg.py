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


def _back(array: np.ndarray) -> Any:
    out = cupy.ndarray(array.shape, array.dtype)
    out.set(np.ascontiguousarray(array))
    return out


def _on_host(kernel: Kernel) -> Kernel:
    def run(*arrays: Any, **static: Any) -> Any:
        out = kernel(*[contiguous(x).get() for x in arrays], **static)
        if isinstance(out, tuple):
            parts: tuple[Any, ...] = out
            return tuple([_back(np.asarray(part)) for part in parts])
        return _back(np.asarray(out))

    return run


LINALG: Final[dict[str, Kernel]] = {
    name: _on_host(kernel) for name, kernel in linalg_kernels(np).items()
}
