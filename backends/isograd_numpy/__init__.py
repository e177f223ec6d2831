"""The reference backend of isograd, on NumPy."""

from isograd_numpy.backend import NumpyBackend

__all__ = ["NumpyBackend", "create"]


def create() -> NumpyBackend:
    """Return the backend; the entry point ``cpu.numpy`` names this function.

    Examples
    --------
    >>> create().name
    'numpy'
    """
    return NumpyBackend()
