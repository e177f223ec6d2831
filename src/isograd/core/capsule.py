"""What is written in the capsules of DLPack, which NumPy neither shows nor lets anyone choose.

Capsules name a structure in C, laid out as in ``dlpack.h``.
"""

from __future__ import annotations

import ctypes
from typing import Any

__all__ = ["BFLOAT16", "CPU", "HOST_TYPES", "READ_ONLY", "UNSIGNED", "Capsule"]

#: Codes of device types; memory of the latter can be read by the host too.
CPU = 1
HOST_TYPES = (1, 3)
#: Codes of kinds of numbers.
UNSIGNED, BFLOAT16 = 1, 4
#: The flag of memory that must not be written.
READ_ONLY = 1


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


# Prototypes of our own: those of ctypes.pythonapi are shared by everyone in the process.
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)


class Capsule:
    """A capsule that nobody has taken over yet, with what is written in it.

    Attributes
    ----------
    capsule : object
        Keeps the memory alive.
    versioned : bool
        Whether it has flags, as capsules from version 1.0 on do.
    """

    __slots__ = ("_tensor", "_versioned", "capsule", "versioned")

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule
        self.versioned = bool(_is_valid(capsule, b"dltensor_versioned"))
        if self.versioned:
            address = _pointer(capsule, b"dltensor_versioned")
            self._versioned = _Versioned.from_address(address)
            self._tensor = self._versioned.tensor
        else:
            self._tensor = _Tensor.from_address(_pointer(capsule, b"dltensor"))

    @property
    def read_only(self) -> bool:
        """Whether the one who made it says that the memory is not written."""
        return self.versioned and bool(self._versioned.flags & READ_ONLY)

    def forbid_writing(self) -> None:
        """Say that the memory must not be written."""
        self._versioned.flags |= READ_ONLY

    @property
    def dtype(self) -> tuple[int, int]:
        """The kind of number and how many bits it has."""
        return self._tensor.code, self._tensor.bits

    @dtype.setter
    def dtype(self, value: tuple[int, int]) -> None:
        self._tensor.code, self._tensor.bits = value
