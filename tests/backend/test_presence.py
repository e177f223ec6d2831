"""Which backends this run has. A missing one is one skip, and a failure where it is required."""

from __future__ import annotations

import os

import pytest

import isograd as ig


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_backend_is_present(name: str) -> None:
    (record,) = [record for record in ig.backends() if record.name == name]
    required = os.environ.get("ISOGRAD_REQUIRE_BACKENDS", "").split(",")
    if not record.available and name not in required:
        pytest.skip(f"backend {name!r}: {record.reason}")
    assert record.available, record.reason
    assert record.version


def test_a_backend_that_cannot_run_says_why() -> None:
    (record,) = [record for record in ig.backends() if record.name == "cupy"]
    assert not record.available
    assert "CUDA" in record.reason
    assert "cpu" in record.reason
    with pytest.raises(ig.BackendUnavailableError, match="CUDA"):
        ig.use_backend("cupy")
