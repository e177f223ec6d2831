"""The CUDA backend of isograd, on CuPy. It has been verified on an emulator, not yet on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isograd.backend import BackendUnavailableError

if TYPE_CHECKING:
    from isograd_cupy.backend import CupyBackend

__all__ = ["create"]


def create() -> CupyBackend:
    """Return the backend; the entry point ``cuda.cupy`` names this function.

    Raises
    ------
    BackendUnavailableError
        If CuPy, a driver or a GPU is missing; the message says which, and what to install.
    """
    try:
        import cupy
    except ImportError as error:
        raise BackendUnavailableError(
            f"CuPy is needed for CUDA and cannot be imported ({error}); pip install "
            "'isograd[cuda13]', or 'isograd[cuda12]' for a driver of CUDA 12, or use device='cpu'"
        ) from error
    if int(cupy.__version__.partition(".")[0]) < 14:
        raise BackendUnavailableError(
            f"CuPy {cupy.__version__} is too old for CUDA here; pip install 'cupy-cuda13x>=14'"
        )
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendUnavailableError(
            f"CuPy {cupy.__version__} finds no working CUDA driver ({error}); install NVIDIA's "
            "driver and see that nvidia-smi lists a GPU, or use device='cpu'"
        ) from error
    if not count:
        raise BackendUnavailableError("there is no CUDA device here; use device='cpu'")
    from isograd_cupy.backend import CupyBackend

    return CupyBackend()
