"""What CUDA's failures mean to users: memory that is full, and devices that are lost."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

import cupy

from isograd.backend import DeviceLostError

__all__ = ["FAILURES", "TO_FREE", "described", "explained", "translate"]

#: What CuPy raises, and what `explained` looks at.
FAILURES: Final = (RuntimeError, cupy.cuda.memory.OutOfMemoryError)

#: Errors after which every later call of the process fails on the device: those of which CUDA says
#: so, and devices and contexts that are gone, uncorrectable memory, and what has no other name.
_STICKY: Final = frozenset(
    {226, 700, 702, 710, *range(714, 720), 721, 810, 911, 46, 100, 709, 214, 220, 999}
)

#: What is called where memory is full, because it frees what may be made again.
TO_FREE: Final[list[Callable[[], None]]] = []

#: Arrays that an error about full memory names.
_SHOWN: Final = 3


def explained(error: Exception, what: str, where: int, arguments: Sequence[str]) -> Exception:
    """Return the error that says what a failure means; the failure itself where it says it.

    Parameters
    ----------
    error
        One of `FAILURES`.
    what
        What was being done, such as the name of a primitive.
    where
        Number of the device.
    arguments
        Of what was being done, in words.
    """
    if isinstance(error, cupy.cuda.memory.OutOfMemoryError):
        return _out_of_memory(error, what, where, arguments)
    if isinstance(error, DeviceLostError) or not _is_lost(error, where):
        return error
    return DeviceLostError(
        f"{what}: the GPU cuda:{where} is lost: {error}. CUDA tells late, so an operation before "
        "may be the cause: run with ISOGRAD_CUDA_DEBUG=1, which names it. Until the process is "
        "started anew every call on this GPU fails so; tensors on the CPU go on"
    )


@contextlib.contextmanager
def translate(what: str, where: int, *arguments: str) -> Generator[None]:
    """Raise what `explained` makes of a failure inside, with the device as the current one."""
    try:
        with cupy.cuda.Device(where):
            yield
    except FAILURES as error:
        found = explained(error, what, where, arguments)
        if found is error:
            raise
        raise found from error


def described(array: Any, /) -> str:
    """Return the dtype and shape of an array."""
    return f"{array.dtype.name}{list(array.shape)}"


def _is_lost(error: Any, where: int) -> bool:
    status = getattr(error, "status", None)
    if isinstance(error, cupy.cuda.runtime.CUDARuntimeError | cupy.cuda.driver.CUDADriverError):
        return status in _STICKY
    # The libraries have numbers of their own, so the device is asked, unless that ends a recording.
    try:
        with cupy.cuda.Device(where):
            if not cupy.cuda.get_current_stream().is_capturing():
                cupy.cuda.runtime.deviceSynchronize()
    except cupy.cuda.runtime.CUDARuntimeError as found:
        return found.status in _STICKY
    return False


def _out_of_memory(
    error: Exception, what: str, where: int, arguments: Sequence[str]
) -> MemoryError:
    pool = cupy.get_default_memory_pool()
    for free in TO_FREE:
        free()
    with cupy.cuda.Device(where):
        used = pool.used_bytes()
        pool.free_all_blocks()
    largest = ", ".join(_largest(where)) or "none"
    return MemoryError(
        f"{what}: the memory of cuda:{where} is full: {error} Arguments: {', '.join(arguments)}; "
        f"{used:,} bytes are in use by arrays, the largest of them: {largest}. "
        "Use a smaller batch, or delete what is not needed"
    )


def _largest(where: int) -> list[str]:
    """Describe the largest pieces of memory of a device that arrays hold, each by one of these."""
    holders: dict[int, Any] = {}
    for found in gc.get_objects():
        if isinstance(found, cupy.ndarray) and found.device.id == where and found.nbytes:
            start = found.data.mem.ptr
            if start not in holders or holders[start].nbytes < found.nbytes:
                holders[start] = found
    ranked = sorted(holders.values(), key=lambda array: -array.data.mem.size)[:_SHOWN]
    return [f"{described(array)} ({array.data.mem.size:,} bytes)" for array in ranked]
