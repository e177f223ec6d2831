"""The table of kernels: those over the array namespace, and NumPy's own where they do better."""

from __future__ import annotations

import numpy as np

from isograd.backend import Kernel, xp_kernels

__all__ = ["numpy_kernels"]


def numpy_kernels() -> dict[str, Kernel]:
    """Return the kernel of every primitive."""
    return xp_kernels(np)
