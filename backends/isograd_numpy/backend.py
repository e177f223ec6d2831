"""The backend object."""

from __future__ import annotations

import numpy as np

from isograd.backend import PROTOCOL_VERSION, Capabilities, Kernel, dtypes
from isograd_numpy.kernels import numpy_kernels
from isograd_numpy.memory import NumpyMemory
from isograd_numpy.threads import blas_facts, get_blas_threads, has_control, set_blas_threads

__all__ = ["NumpyBackend"]


class NumpyBackend:
    """The reference backend: NumPy's own functions, and fused kernels that save temporaries.

    Examples
    --------
    >>> NumpyBackend().kernel("add") is np.add
    True
    """

    name = "numpy"
    protocol_version: int = PROTOCOL_VERSION

    def __init__(self) -> None:
        self.memory = NumpyMemory()
        self.version = np.__version__
        self._kernels = numpy_kernels()

    def kernel(self, name: str, /) -> Kernel | None:
        """Return the kernel of a primitive, or None if there is none of this name."""
        return self._kernels.get(name)

    def capabilities(self) -> Capabilities:
        """Return what NumPy can do here."""
        notes = ("matmul uses BLAS, whose bits depend on the machine.",)
        if not has_control():
            notes += ("The number of threads is fixed; pip install threadpoolctl to change it.",)
        return Capabilities(
            dtypes=frozenset(dtypes.all_dtypes()),
            threads=has_control(),
            deterministic=True,
            notes=notes,
        )

    def set_num_threads(self, count: int, /) -> None:
        """Let BLAS use at most ``count`` threads; without threadpoolctl this does nothing."""
        set_blas_threads(count)

    def get_num_threads(self) -> int:
        """Return how many threads BLAS may use."""
        return get_blas_threads()

    def describe(self) -> dict[str, str]:
        """Return the version of NumPy and the BLAS that it uses."""
        return {"numpy": np.__version__, **blas_facts()}
