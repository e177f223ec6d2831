"""Memory of CUDA devices as CuPy's arrays."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import cupy
import numpy as np

from isograd.backend import Device
from isograd_cupy._elementwise import contiguous

__all__ = ["CupyMemory"]


#: Bytes for which a copy through pinned memory pays; CUDA stages smaller ones itself.
_LEAST: Final = 1 << 16
_MOST: Final = 1 << 28


class _Pinned:
    """Copies to the GPU through pinned memory, without waiting: the GPU reads while Python goes on.

    Memory is kept until its copy is done, which an event on the stream tells.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: list[tuple[Any, Any]] = []

    def copy(self, out: Any, array: np.ndarray) -> None:
        memory = cupy.cuda.alloc_pinned_memory(array.nbytes)
        staged = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
        staged[...] = array
        stream = cupy.cuda.get_current_stream()
        out.data.copy_from_host_async(staged.ctypes.data, array.nbytes, stream)
        event = cupy.cuda.Event(disable_timing=True)
        event.record(stream)
        with self._lock:
            self._busy = [pair for pair in self._busy if not pair[0].done]
            self._busy.append((event, memory))


class CupyMemory:
    """Arrays are `cupy.ndarray`, from CuPy's memory pool; there is one device for each GPU."""

    device_type = "cuda"
    array_type: type = cupy.ndarray

    def __init__(self) -> None:
        count = cupy.cuda.runtime.getDeviceCount()
        self._devices = tuple([Device("cuda", i) for i in range(count)])
        self._pinned = _Pinned()

    def devices(self) -> Sequence[Device]:
        """Return a device for each GPU."""
        return self._devices

    def from_host(self, array: np.ndarray, device: Device, /) -> Any:
        """Copy to a new C-contiguous array in native byte order, through pinned memory if large."""
        native = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        with cupy.cuda.Device(device.index):
            out = cupy.ndarray(native.shape, native.dtype)
            if _LEAST <= native.nbytes <= _MOST:
                self._pinned.copy(out, native)
            else:
                out.set(native)
        return out

    def from_dlpack(self, x: Any, device: Device, /) -> Any:
        """Copy an array of another library on this device to a new C-contiguous one."""
        with cupy.cuda.Device(device.index):
            return cupy.array(cupy.from_dlpack(x), order="C", copy=True)

    def to_host(self, array: Any, /) -> np.ndarray:
        """Copy to a NumPy array; this waits for what computes ``array``."""
        with array.device:
            return contiguous(array).get()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any], device: Device, /) -> Any:
        """Return an array of unspecified values."""
        with cupy.cuda.Device(device.index):
            return cupy.ndarray(shape, dtype)

    def synchronize(self, device: Device, /) -> None:
        """Wait until all work on ``device`` is done."""
        with cupy.cuda.Device(device.index):
            cupy.cuda.runtime.deviceSynchronize()

    def as_array(self, value: Any, /) -> Any:
        """Turn a scalar that a kernel returned into a 0-d array; return an array unchanged."""
        return value if isinstance(value, cupy.ndarray) else cupy.asarray(value)
