"""Taking over what other libraries hold, through DLPack or ``__cuda_array_interface__``."""

from __future__ import annotations

from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.capsule import BFLOAT16, HOST_TYPES, UNSIGNED, Capsule
from isograd.core.devices import Device
from isograd.core.errors import DTypeError
from isograd.ir import Aval
from isograd.ops.creation import asarray, is_shareable, tensor
from isograd.runtime.registry import resolve_device, table_for
from isograd.runtime.tensor import Tensor

__all__ = ["from_dlpack"]

_NAMES = {2: "CUDA", 7: "Vulkan", 8: "Metal", 10: "ROCm", 13: "managed CUDA"}
_CUDA_TYPES = (2, 13)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """Make a tensor of an array of another library: NumPy, torch, JAX, CuPy...

    Parameters
    ----------
    x
        Anything with ``__dlpack__`` and ``__dlpack_device__``, with any strides.
    device
        Where the tensor should be; where the array is, by default.
    copy
        None, True: copy, since whoever has the array may write it, and a tensor never changes.
        False: share memory. On the CPU it must be marked as read-only, or this raises; on a GPU,
        where libraries mark nothing, this is your word that nobody writes it.

    Raises
    ------
    BufferError
        If ``copy=False`` and a copy is needed, or the memory cannot be reached.
    DTypeError
        If tensors cannot have the dtype.

    >>> import numpy as np
    >>> from_dlpack(np.arange(3.0)[::-1]).tolist()
    [2.0, 1.0, 0.0]
    """
    if isinstance(x, Tensor):
        return _of_tensor(x, device, copy)
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise DTypeError(
            f"from_dlpack: {type(x).__name__} has no __dlpack__; pass an array, or use asarray"
        )
    kind, number = x.__dlpack_device__()
    if kind in HOST_TYPES:
        return _of_host(x, device, copy)
    if kind not in _CUDA_TYPES:
        name = _NAMES.get(int(kind), f"type {int(kind)}")
        raise BufferError(
            f"from_dlpack: the array is on a {name} device, which no backend serves; bring it to "
            "the CPU first"
        )
    resolve_device(Device("cuda", int(number)))
    return _on_device(x, device, copy)


def from_foreign(x: Any, /, *, copy: bool | None = None) -> Tensor:
    """Make a tensor, where the array is, of one with DLPack or ``__cuda_array_interface__``.

    Raises
    ------
    BufferError
        As `from_dlpack`.
    DTypeError
        If the array has a mask, or no numbers that tensors have.
    """
    if hasattr(x, "__dlpack_device__"):
        return from_dlpack(x, copy=copy)
    _check_interface(x.__cuda_array_interface__)
    return _on_device(x, None, copy)


def _check_interface(facts: dict[str, Any]) -> None:
    """Refuse what kernels cannot read: they take whole elements where these are aligned."""
    if facts.get("mask") is not None:
        raise DTypeError(
            "__cuda_array_interface__: the array has a mask, and tensors have none; fill its gaps, "
            "and pass the mask as a tensor of its own"
        )
    dtype = np.dtype(facts["typestr"])
    if not dtype.isnative or dtype.kind not in "biufc":
        raise DTypeError(
            f"__cuda_array_interface__: the numbers are {facts['typestr']!r}, which tensors do not "
            "have; convert them to native numbers first"
        )
    steps = (facts["data"][0], *(facts.get("strides") or ()))
    if any(step % dtype.itemsize for step in steps):
        raise BufferError(
            f"__cuda_array_interface__: address and strides are {steps}, not multiples of the "
            f"{dtype.itemsize} bytes of {dtype}; make a contiguous copy first"
        )


def _of_tensor(x: Tensor, device: Any, copy: bool | None) -> Tensor:
    if x.requires_grad:
        raise BufferError(
            "from_dlpack: the tensor requires gradients, which do not go through DLPack; pass "
            ".detach() of it, or use asarray"
        )
    try:
        return asarray(x, device=device, copy=copy)
    except ValueError as error:
        raise BufferError(f"from_dlpack: {error}") from None


def _of_host(x: Any, device: Any, copy: bool | None) -> Tensor:
    host, is_read_only = _host_view(x)
    found = dtypes.as_dtype(host.dtype)
    if copy is not False:
        return tensor(host, device="cpu" if device is None else device)
    where = resolve_device("cpu" if device is None else device)
    if where.type != "cpu" or not is_read_only or not host.flags.aligned:
        raise BufferError(
            "from_dlpack: this needs a copy, since memory is shared on the CPU only, and only if "
            "it is marked as read-only; drop copy=False"
        )
    host.flags.writeable = False
    return Tensor(host, Aval(tuple(host.shape), found), where)


class _Held:
    """A capsule as NumPy takes it."""

    def __init__(self, capsule: Any, device: tuple[int, int]) -> None:
        self._capsule = capsule
        self._device = device

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


def _host_view(x: Any) -> tuple[np.ndarray[Any, Any], bool]:
    """Return a view of an array in the host's memory, and whether it is marked as read-only."""
    if isinstance(x, np.ndarray):
        # A read-only view may be of what its owner can write.
        return x, is_shareable(x)  # pyright: ignore[reportUnknownVariableType]
    try:
        given = x.__dlpack__(max_version=(1, 0))
    except TypeError:  # from before there were versions
        given = x.__dlpack__()
    made = Capsule(given)
    is_half = made.dtype == (BFLOAT16, 16)
    if is_half:
        made.dtype = UNSIGNED, 16
    try:
        host = np.from_dlpack(_Held(made.capsule, tuple(x.__dlpack_device__())))
    except (RuntimeError, BufferError) as error:
        code, bits = made.dtype
        raise DTypeError(
            f"from_dlpack: NumPy cannot read numbers of DLPack's kind {code} with {bits} bits "
            f"({error}); convert them first"
        ) from None
    return (host.view(dtypes.as_dtype("bfloat16")) if is_half else host), made.read_only


def _on_device(x: Any, device: Any, copy: bool | None) -> Tensor:
    memory: Any = table_for("cuda").memory
    array = memory.shared(x)
    source = resolve_device(Device("cuda", int(array.__dlpack_device__()[1])))
    if copy is not False:
        array = memory.copied(array)
        if not isinstance(x, memory.array_type):
            # Its owner may use the memory again on a stream that does not wait for the copy.
            memory.synchronize(source)
    made = Tensor(array, Aval(tuple(array.shape), dtypes.as_dtype(array.dtype)), source)
    return made if device is None else _of_tensor(made, device, copy)
