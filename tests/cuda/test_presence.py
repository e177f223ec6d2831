"""What these tests run on."""

from __future__ import annotations

import os

import pytest

import isograd as ig


def test_the_cuda_backend_runs_here() -> None:
    if not (os.environ.get("ISOGRAD_CUDA_EMULATOR") or os.environ.get("ISOGRAD_CUDA") == "gpu"):
        pytest.skip("CUDA: run these with nox -s cuda_emulated, or on a GPU with nox -s gpu")
    (record,) = [record for record in ig.backends() if record.name == "cupy"]
    assert record.available, record.reason
    assert ig.ones(2, device="cuda").tolist() == [1.0, 1.0]
