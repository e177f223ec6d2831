"""Which backends this run has. A missing one is one skip, and a failure where it is required."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import isograd as ig
import isograd_cupy


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_backend_is_present(name: str) -> None:
    (record,) = [record for record in ig.backends() if record.name == name]
    required = os.environ.get("ISOGRAD_REQUIRE_BACKENDS", "").split(",")
    if not record.available and name not in required:
        pytest.skip(f"backend {name!r}: {record.reason}")
    assert record.available, record.reason
    assert record.version


def _cupy(version: str, devices: int | None) -> SimpleNamespace:
    """Return something that looks like CuPy, with a driver that sees so many GPUs, or without."""

    def count() -> int:
        if devices is None:
            raise OSError("cudaErrorNoDevice")
        return devices

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=OSError)
    return SimpleNamespace(__version__=version, cuda=SimpleNamespace(runtime=runtime))


@pytest.mark.parametrize(
    ("cupy", "message"),
    [
        (None, r"CuPy is needed .* pip install 'isograd\[cuda13\]'"),
        (_cupy("13.4.0", 1), r"CuPy 13.4.0 is too old .* pip install"),
        (_cupy("14.2.0", None), r"no working CUDA driver \(cudaErrorNoDevice\); install NVIDIA's"),
        (_cupy("14.2.0", 0), "there is no CUDA device here; use device='cpu'"),
    ],
)
def test_what_is_missing_for_cuda_is_said(
    monkeypatch: pytest.MonkeyPatch, cupy: SimpleNamespace | None, message: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(ig.BackendUnavailableError, match=message):
        isograd_cupy.create()


def test_a_device_that_cannot_be_used_is_one_clear_error() -> None:
    (record,) = [record for record in ig.backends() if record.name == "cupy"]
    if record.available:
        pytest.skip("CUDA works here")
    with pytest.raises(ig.BackendUnavailableError, match=r"cupy: .*use device='cpu'"):
        ig.ones(2, device="cuda")
    with pytest.raises(ig.BackendUnavailableError, match="CUDA"):
        ig.use_backend("cupy")


def test_the_cpu_alone_never_imports_cupy() -> None:
    code = "import sys, isograd as ig; (ig.ones(2) * 2).tolist(); sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
