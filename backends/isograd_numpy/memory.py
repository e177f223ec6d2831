"""Memory of the host as NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isograd.backend import Device

__all__ = ["NumpyMemory"]


class NumpyMemory:
    """Arrays are `numpy.ndarray`; there is one device, ``cpu``. Other CPU backends may share it."""

    device_type = "cpu"
    array_type: type = np.ndarray

    def devices(self) -> Sequence[Device]:
        """Return the one device."""
        return (Device("cpu"),)

    def from_host(self, array: np.ndarray, device: Device, /) -> np.ndarray:
        """Copy to a new C-contiguous, aligned array in native byte order."""
        native = array.dtype.newbyteorder("=")
        return np.array(array, dtype=native, order="C", copy=True, subok=False)

    def to_host(self, array: np.ndarray, /) -> np.ndarray:
        """Return the array itself."""
        return array

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any], device: Device, /) -> np.ndarray:
        """Return an array of unspecified values."""
        return np.empty(shape, dtype)

    def synchronize(self, device: Device, /) -> None:
        """Return at once: work is done when a kernel returns."""

    def as_array(self, value: Any, /) -> np.ndarray:
        """Turn a NumPy scalar into a 0-d array; return an array unchanged."""
        return np.asarray(value)
