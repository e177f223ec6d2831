"""The backend object: compiled kernels over the NumPy backend's."""

from __future__ import annotations

import re
import sys
from functools import partial
from importlib import metadata
from importlib.util import find_spec

import numpy as np

from isograd.backend import PROTOCOL_VERSION, BackendUnavailableError, Capabilities, Kernel, dtypes
from isograd.backend.xp.recurrent import loop_kernels
from isograd_numba import _cache, _link, _threads
from isograd_numba._depthwise import SUMS
from isograd_numba._elementwise import elementwise_kernels
from isograd_numba._indexing import indexing_kernels
from isograd_numba._jit import statistics
from isograd_numba._llvm import binding
from isograd_numba._matmul import matmul_kernels
from isograd_numba._random import random_kernels
from isograd_numba._recurrent import recurrent_kernels
from isograd_numba._reductions import reduction_kernels
from isograd_numba._softmax import softmax_kernels
from isograd_numba._tile import shape_for
from isograd_numba._updates import update_kernels
from isograd_numba.codegen.lowering import NumbaLowering
from isograd_numpy.convolution import convolution_kernels
from isograd_numpy.kernels import numpy_kernels
from isograd_numpy.memory import NumpyMemory
from isograd_numpy.threads import blas_facts, set_blas_threads

__all__ = ["FAMILIES", "NumbaBackend", "check_available"]

FAMILIES = (
    elementwise_kernels,
    reduction_kernels,
    indexing_kernels,
    matmul_kernels,
    partial(convolution_kernels, sums=SUMS),
    softmax_kernels,
    random_kernels,
    recurrent_kernels,
    update_kernels,
    partial(loop_kernels, np),
)
"""Each takes NumPy's kernels by name and returns those that it replaces."""

_FEATURES = ("sse4.2", "avx", "avx2", "fma", "avx512f", "neon", "sve")


def _newest_numpy(requirements: list[str]) -> tuple[int, ...] | None:
    """Return the first version of NumPy that a package's requirements exclude, if they name one."""
    for requirement in requirements:
        found = re.match(r"numpy\b[^;]*<\s*(\d+(?:\.\d+)*)", requirement)
        if found:
            return tuple(map(int, found[1].split(".")))
    return None


def check_available() -> None:
    """Check, without importing Numba, that kernels can be compiled here.

    Raises
    ------
    BackendUnavailableError
        If Numba is missing or does not fit this Python or NumPy.
    """
    if find_spec("numba") is None or find_spec("llvmlite") is None:
        raise BackendUnavailableError("numba is not installed; run `pip install isograd[numba]`")
    if sys.implementation.name != "cpython" or sys.maxsize < 2**32:
        raise BackendUnavailableError("numba needs 64-bit CPython; use the numpy backend")
    excluded = _newest_numpy(metadata.requires("numba") or [])
    present = tuple(int(part) for part in re.findall(r"\d+", np.__version__)[:2])
    if excluded is not None and present >= excluded:
        raise BackendUnavailableError(
            f"numba {metadata.version('numba')} does not support NumPy {np.__version__}; "
            "run `pip install --upgrade numba`"
        )
    if not _link.layout_is_known():
        raise BackendUnavailableError(
            f"arrays of NumPy {np.__version__} are laid out in an unknown way; "
            "run `pip install --upgrade isograd`"
        )


class NumbaBackend:
    """Kernels compiled for this CPU where that pays, NumPy's for the rest and for small arrays.

    Examples
    --------
    >>> NumbaBackend().name
    'numba'
    """

    name = "numba"
    protocol_version: int = PROTOCOL_VERSION

    def __init__(self) -> None:
        check_available()
        self.memory = NumpyMemory()
        self.version = metadata.version("numba")
        self.lowering = NumbaLowering()
        self._kernels = numpy_kernels()
        for family in FAMILIES:
            # A new dict each time: a family keeps the one that it falls back on.
            self._kernels = {**self._kernels, **family(self._kernels)}

    def kernel(self, name: str, /) -> Kernel | None:
        """Return the kernel of a primitive, or None if there is none of this name."""
        return self._kernels.get(name)

    def capabilities(self) -> Capabilities:
        """Return what this backend can do."""
        return Capabilities(
            dtypes=frozenset(dtypes.all_dtypes()),
            threads=_threads.available(),
            deterministic=True,
            notes=(
                "Large float32 and float64 arrays use compiled kernels, other arrays NumPy's.",
                "The bits of matmul depend on the CPU, never on the number of threads.",
            ),
        )

    def set_num_threads(self, count: int, /) -> None:
        """Let compiled kernels use at most ``count`` threads, and BLAS where it can be told."""
        _threads.set_num_threads(count)
        set_blas_threads(count)

    def get_num_threads(self) -> int:
        """Return how many threads compiled kernels may use."""
        return _threads.get_num_threads()

    def describe(self) -> dict[str, str]:
        """Return versions, threads, the CPU as compiled for, and the state of the kernel cache."""
        llvm = binding()
        features = llvm.get_host_cpu_features()
        tile = shape_for("float32")
        return {
            "numba": self.version,
            "llvmlite": metadata.version("llvmlite"),
            **_threads.describe(),
            "cpu": llvm.get_host_cpu_name(),
            "cpu features": " ".join(f for f in _FEATURES if features.get(f)) or "baseline",
            "matmul tile": f"{tile.rows[0]} x {tile.columns} float32",
            "kernel cache": _cache.open_store().describe(),
            "kernels": f"{statistics.loaded} loaded, {statistics.compiled} compiled",
            **blas_facts(),
        }
