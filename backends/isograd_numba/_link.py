"""Link object code into this process and make Python functions of it, with llvmlite alone.

Loading a kernel from the disk cache goes through here without importing Numba, which takes longer
than everything else that a second process does. A symbol that cannot be bound is an exception.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isograd_numba import _threads
from isograd_numba._llvm import binding

__all__ = ["addresses", "layout_is_known", "link", "slot_offset", "symbols"]

_METH_FASTCALL = 0x80
_C_API = (
    "PyLong_AsLongLong",
    "PyLong_FromLongLong",
    "PyLong_AsUnsignedLongLongMask",
    "PyFloat_AsDouble",
    "PyErr_Occurred",
    "PyErr_SetString",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "Py_IncRef",
)


class _MethodDef(ctypes.Structure):
    """PyMethodDef of Python's C API."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_numbers = itertools.count()  # the name of a library that failed to link stays taken
_keep: list[Any] = []  # linked code and method definitions live as long as the process


@functools.cache
def _linker() -> Any:
    llvm = binding()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.create_lljit_compiler()


def symbols() -> dict[str, int]:
    """Return the address of each symbol that object code of this backend may refer to."""
    api = {name: getattr(ctypes.pythonapi, name) for name in _C_API}
    found = {name: ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in api.items()}
    found["isograd_none"] = id(None)
    found["isograd_type_error"] = id(TypeError)
    found["isograd_ndarray"] = id(np.ndarray)
    return found | _threads.symbols()


def link(code: bytes, symbol: str, name: str, /) -> Callable[..., None]:
    """Link object code and return its function ``symbol``, for Python to call as ``name``.

    Raises
    ------
    RuntimeError
        If this is no object code, or it names a symbol that does not exist.
    """
    (address,) = addresses(code, [symbol])
    method = _MethodDef(name.encode(), address, _METH_FASTCALL, None)
    _keep.append(method)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    make.restype = ctypes.py_object
    return make(ctypes.addressof(method), None, None)


def addresses(code: bytes, exported: Sequence[str], /) -> list[int]:
    """Link object code and return where some of its functions are. They stay for good.

    Raises
    ------
    RuntimeError
        If this is no object code, or it names a symbol that does not exist.
    """
    builder = binding().JITLibraryBuilder().add_object_img(code).add_current_process()
    for external, address in symbols().items():
        builder.import_symbol(external, address)
    for symbol in exported:
        builder.export_symbol(symbol)
    library = builder.link(_linker(), f"{exported[0]}-{next(_numbers)}")
    _keep.append(library)
    return [library[symbol] for symbol in exported]


@functools.cache
def slot_offset(cls: Any, name: str, /) -> int:
    """Return where in its objects a class with ``__slots__`` keeps an attribute, in bytes."""
    probe, mark = cls.__new__(cls), object()
    setattr(probe, name, mark)
    words = (ctypes.c_int64 * (cls.__basicsize__ // 8)).from_address(id(probe))
    found = [i for i, word in enumerate(words) if word == id(mark)]
    if len(found) != 1:
        raise RuntimeError(f"the slot {name!r} of {cls.__name__} cannot be found in memory")
    return 8 * found[0]


def layout_is_known() -> bool:
    """Say whether arrays of this NumPy lie in memory as the entries of kernels read them."""
    probe = np.empty((3, 5), dtype=np.float32)
    head = id(probe) + object.__basicsize__

    def word(address: int) -> int:
        return ctypes.c_int64.from_address(address).value

    def half(address: int) -> int:
        return ctypes.c_int32.from_address(address).value

    shape, strides, descriptor = word(head + 16), word(head + 24), word(head + 40)
    return (
        word(head - 8) == id(np.ndarray)
        and word(head) == probe.ctypes.data
        and half(head + 8) == 2
        and (word(shape), word(shape + 8)) == probe.shape
        and (word(strides), word(strides + 8)) == probe.strides
        and descriptor == id(probe.dtype)
        and half(head + 48) & 0x501 == 0x501
        and half(descriptor + object.__basicsize__ + 12) == probe.dtype.num
    )
