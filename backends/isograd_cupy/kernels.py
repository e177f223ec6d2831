"""The table of kernels."""

from __future__ import annotations

from isograd.backend import Kernel
from isograd_cupy._attention import ATTENTION
from isograd_cupy._contraction import CONTRACTION
from isograd_cupy._convolution import CONVOLUTION
from isograd_cupy._elementwise import ELEMENTWISE
from isograd_cupy._fourier import FOURIER
from isograd_cupy._indexing import INDEXING
from isograd_cupy._linalg import LINALG
from isograd_cupy._movement import MOVEMENT
from isograd_cupy._normalization import NORMALIZATION
from isograd_cupy._pooling import POOLING
from isograd_cupy._reductions import REDUCTIONS
from isograd_cupy._softmax import SOFTMAX
from isograd_cupy._sources import SOURCES
from isograd_cupy._special import SPECIAL
from isograd_cupy._updates import UPDATES

__all__ = ["cuda_kernels"]


def cuda_kernels() -> dict[str, Kernel]:
    """Return the kernels by primitive name; what is missing runs as its definition."""
    return {
        **ELEMENTWISE,
        **REDUCTIONS,
        **MOVEMENT,
        **INDEXING,
        **CONTRACTION,
        **FOURIER,
        **LINALG,
        **CONVOLUTION,
        **POOLING,
        **NORMALIZATION,
        **ATTENTION,
        **SOURCES,
        **SPECIAL,
        **SOFTMAX,
        **UPDATES,
    }
