"""Memory of CUDA devices as CuPy's arrays."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import cupy
import numpy as np

from isograd.backend import Device
from isograd_cupy._elementwise import contiguous, copy_into
from isograd_cupy._failures import described, translate

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
        try:
            memory = cupy.cuda.alloc_pinned_memory(array.nbytes)
        except cupy.cuda.runtime.CUDARuntimeError:  # the system pins no more; CUDA stages it then
            out.set(array)
            return
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
        with translate("copying from the CPU", device.index, described(native)):
            out = cupy.ndarray(native.shape, native.dtype)
            if _LEAST <= native.nbytes <= _MOST:
                self._pinned.copy(out, native)
            else:
                out.set(native)
        return out

    def shared(self, x: Any, /) -> Any:
        """Return an array over the memory of another library's, which stays alive as long.

        What has computed it is waited for by the current stream, and with
        ``__cuda_array_interface__`` by the host.
        """
        if hasattr(x, "__dlpack_device__"):
            with translate("from_dlpack", int(x.__dlpack_device__()[1])):
                return cupy.from_dlpack(x)
        address = x.__cuda_array_interface__["data"][0]
        if not address:  # of arrays without elements
            return cupy.asarray(x)
        where = cupy.cuda.runtime.pointerGetAttributes(address).device
        if where < 0:
            raise BufferError(
                f"__cuda_array_interface__: {address:#x} is no memory of a GPU; copy it there first"
            )
        with translate("asarray", where):  # elsewhere CuPy would copy it
            return cupy.asarray(x)

    def copied(self, array: Any, /) -> Any:
        """Return a new C-contiguous array of the same values on the same device."""
        with translate("copying", array.device.id, described(array)):
            return copy_into(cupy.ndarray(array.shape, array.dtype), array)

    def to_host(self, array: Any, /) -> np.ndarray:
        """Copy to a NumPy array; this waits for what computes ``array``."""
        with translate("copying to the CPU", array.device.id, described(array)):
            return contiguous(array).get()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any], device: Device, /) -> Any:
        """Return an array of unspecified values."""
        with translate("empty", device.index, f"{dtype.name}{list(shape)}"):
            return cupy.ndarray(shape, dtype)

    def synchronize(self, device: Device, /) -> None:
        """Wait until all work on ``device`` is done."""
        with translate("synchronize", device.index):
            cupy.cuda.runtime.deviceSynchronize()

    def as_array(self, value: Any, /) -> Any:
        """Turn a scalar that a kernel returned into a 0-d array; return an array unchanged."""
        return value if isinstance(value, cupy.ndarray) else cupy.asarray(value)
