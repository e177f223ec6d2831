"""The table of kernels: those over the array namespace, and NumPy's own where they do better."""

from __future__ import annotations

import numpy as np

from isograd.backend import Kernel, xp_kernels
from isograd.backend.xp.recurrent import loop_kernels, recurrent_kernels
from isograd_numpy.activations import ACTIVATIONS
from isograd_numpy.contraction import CONTRACTION
from isograd_numpy.convolution import convolution_kernels
from isograd_numpy.elementwise import ELEMENTWISE
from isograd_numpy.indexing import INDEXING
from isograd_numpy.movement import MOVEMENT
from isograd_numpy.normalization import NORMALIZATION
from isograd_numpy.pooling import POOLING
from isograd_numpy.reductions import REDUCTIONS
from isograd_numpy.softmax import SOFTMAX
from isograd_numpy.sources import SOURCES
from isograd_numpy.updates import UPDATES

__all__ = ["numpy_kernels"]


def numpy_kernels() -> dict[str, Kernel]:
    """Return the kernel of every primitive, by name."""
    table: dict[str, Kernel] = {
        **xp_kernels(np),
        **ELEMENTWISE,
        **REDUCTIONS,
        **MOVEMENT,
        **INDEXING,
        **CONTRACTION,
        **convolution_kernels(CONTRACTION),
        **POOLING,
        **NORMALIZATION,
        **SOURCES,
        **ACTIVATIONS,
        **recurrent_kernels(np, ACTIVATIONS["sigmoid"]),
        **SOFTMAX,
        **UPDATES,
    }
    return {**table, **loop_kernels(np, table)}
