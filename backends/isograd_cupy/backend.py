"""The backend object."""

from __future__ import annotations

from typing import Any

import cupy

from isograd.backend import PROTOCOL_VERSION, Capabilities, Kernel, dtypes
from isograd_cupy._compile import cache_folder
from isograd_cupy._failures import FAILURES, described, explained
from isograd_cupy._program import CudaLowering
from isograd_cupy.kernels import cuda_kernels
from isograd_cupy.memory import CupyMemory

__all__ = ["CupyBackend"]


class CupyBackend:
    """Kernels in CUDA C for core primitives and the fused ones that gain most; cuBLAS for products.

    Fused primitives without a kernel run as their definition in core primitives.
    """

    name = "cupy"
    protocol_version: int = PROTOCOL_VERSION

    def __init__(self) -> None:
        self.memory = CupyMemory()
        self.version: str = cupy.__version__
        self.lowering = CudaLowering()
        self._kernels = {name: _guarded(name, kernel) for name, kernel in cuda_kernels().items()}

    def kernel(self, name: str, /) -> Kernel | None:
        """Return the kernel of a primitive, or None if there is none of this name."""
        return self._kernels.get(name)

    def capabilities(self) -> Capabilities:
        """Return what this backend can do."""
        return Capabilities(
            dtypes=frozenset(dtypes.all_dtypes()),
            notes=(
                "matmul is cuBLAS's, and transforms are cuFFT's: bits depend on GPU and version.",
                "Matrices with sides beyond 64 are cuSOLVER's, which no graph records.",
                "cholesky, solve, inv and solve_triangular wait once, to name what has no result.",
                "Indices and labels are checked on the device, which waits for it once a call.",
                "It has been verified on an emulator of CUDA, and not yet on a GPU.",
            ),
        )

    def set_num_threads(self, count: int, /) -> None:
        """Do nothing: threads of the CPU do not matter here."""

    def get_num_threads(self) -> int:
        """Return 1."""
        return 1

    def describe(self) -> dict[str, str]:
        """Return the GPUs, the versions of CUDA, and where compiled kernels are kept."""
        runtime = cupy.cuda.runtime
        facts = {"cupy": cupy.__version__, "CUDA runtime": str(runtime.runtimeGetVersion())}
        facts["CUDA driver"] = str(runtime.driverGetVersion())
        for device in self.memory.devices():
            found = runtime.getDeviceProperties(device.index)
            capability = cupy.cuda.Device(device.index).compute_capability
            memory = found["totalGlobalMem"] / 2**30
            facts[str(device)] = f"{found['name'].decode()}, sm_{capability}, {memory:.0f} GiB"
        return {**facts, "cache": str(cache_folder() or "none: kernels are compiled anew")}


def _guarded(name: str, kernel: Kernel) -> Kernel:
    """Run a kernel on the device of its arguments, and say what its failures mean."""
    runtime = cupy.cuda.runtime

    def run(*arrays: Any, **static: Any) -> Any:
        where = arrays[0].device.id if arrays else static["device"].index
        try:
            if where == runtime.getDevice():
                return kernel(*arrays, **static)
            with cupy.cuda.Device(where):
                return kernel(*arrays, **static)
        except FAILURES as error:
            arguments = [described(a) for a in arrays] or [str(static.get("shape"))]
            found = explained(error, name, where, arguments)
            if found is error:
                raise
            raise found from error

    return run
