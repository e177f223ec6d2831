"""Where memory is. Who computes on it is a backend's business."""

from __future__ import annotations

import functools
from typing import Any

from isograd.core.errors import UnknownDeviceError

__all__ = ["Device", "device"]


class Device:
    """A place for memory, such as ``cpu`` or ``cuda:1``. Equal devices are one object."""

    __slots__ = ("index", "type")

    type: str
    index: int

    def __new__(cls, type: str, index: int = 0) -> Device:  # noqa: A002 - the field's word
        return _device(type, index)

    def __str__(self) -> str:
        return self.type if self.index == 0 else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Device, (self.type, self.index)


@functools.cache
def _device(type: str, index: int) -> Device:  # noqa: A002
    made = object.__new__(Device)
    made.type = type
    made.index = index
    return made


def device(spec: Any, /) -> Device:
    """Turn ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or a `Device` into a `Device`.

    Raises
    ------
    UnknownDeviceError
        If ``spec`` is not of that form. Whether a backend serves the device is seen where it is
        used.

    Examples
    --------
    >>> device("cuda:1").index
    1
    """
    if isinstance(spec, Device):
        return spec
    if isinstance(spec, str):
        name, colon, index = spec.partition(":")
        if name.isidentifier() and (index.isascii() and index.isdigit() if colon else True):
            return _device(name, int(index or 0))
    raise UnknownDeviceError(f"device: {spec!r} is not a device; write 'cpu', 'cuda' or 'cuda:1'")
