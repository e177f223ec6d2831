"""Which namespaces the kernels are checked over, and that none of the primitives is missing."""

from __future__ import annotations

import numpy as np
import pytest

import isograd_numpy
from isograd.backend import xp_kernels
from isograd.ops import PRIMITIVES


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["torch", "array_api_compat"])
def test_oracle_is_installed(name: str) -> None:
    """The one visible skip for a namespace that the other tests leave out."""
    pytest.importorskip(name)


def test_every_primitive_has_a_kernel() -> None:
    assert set(xp_kernels(np)) == set(PRIMITIVES)


def test_numpy_backend_has_every_kernel() -> None:
    backend = isograd_numpy.create()
    assert [name for name in PRIMITIVES if backend.kernel(name) is None] == []
    assert backend.kernel("no such primitive") is None
