"""The Numba backend: hot kernels compiled for this CPU, NumPy kernels for the rest."""

from isograd_numba.backend import NumbaBackend

__all__ = ["NumbaBackend", "create"]


def create() -> NumbaBackend:
    """Return the backend; the entry point ``cpu.numba`` names this function.

    Numba itself is imported only when a kernel is compiled.

    Raises
    ------
    BackendUnavailableError
        If Numba is missing or does not fit this Python or NumPy.

    Examples
    --------
    >>> create().name
    'numba'
    """
    return NumbaBackend()
