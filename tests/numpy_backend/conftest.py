"""The NumPy backend's kernels, and the generic ones that they must agree with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import isograd_numpy
from isograd.backend import Kernel, xp_kernels


@pytest.fixture(scope="session")
def kernels() -> dict[str, Kernel]:
    backend = isograd_numpy.create()
    made = {name: backend.kernel(name) for name in xp_kernels(np)}
    return {name: kernel for name, kernel in made.items() if kernel is not None}


@pytest.fixture(scope="session")
def generic() -> dict[str, Kernel]:
    return xp_kernels(np)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Run as the engine runs kernels: without NumPy's floating-point warnings."""
    with np.errstate(all="ignore"):
        yield
