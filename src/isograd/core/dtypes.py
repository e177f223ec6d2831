"""Data types: plain NumPy dtype objects, and the rules by which they combine.

A dtype of isograd *is* the ``numpy.dtype``, on every backend, so dtypes compare, print and travel
as NumPy users expect. ``bfloat16`` exists where the ml-dtypes package is installed.
"""

from __future__ import annotations

import dataclasses
import functools
from builtins import bool as type_bool
from typing import Any, Final, cast

import numpy as np

from isograd.core.errors import DTypeError

__all__ = [
    "DType",
    "FloatInfo",
    "IntInfo",
    "all_dtypes",
    "as_dtype",
    "beside_number",
    "bfloat16",
    "bool",
    "complex64",
    "complex128",
    "component",
    "default_complex",
    "default_float",
    "default_int",
    "finfo",
    "float16",
    "float32",
    "float64",
    "iinfo",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_complex",
    "is_floating",
    "is_half",
    "is_inexact",
    "is_integer",
    "isdtype",
    "real_dtypes",
    "result_type",
    "set_default_dtype",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]

DType = np.dtype[Any]

bool: Final[DType] = np.dtype(np.bool_)  # noqa: A001 - the array API's name
int8: Final[DType] = np.dtype(np.int8)
int16: Final[DType] = np.dtype(np.int16)
int32: Final[DType] = np.dtype(np.int32)
int64: Final[DType] = np.dtype(np.int64)
uint8: Final[DType] = np.dtype(np.uint8)
uint16: Final[DType] = np.dtype(np.uint16)
uint32: Final[DType] = np.dtype(np.uint32)
uint64: Final[DType] = np.dtype(np.uint64)
float16: Final[DType] = np.dtype(np.float16)
float32: Final[DType] = np.dtype(np.float32)
float64: Final[DType] = np.dtype(np.float64)
complex64: Final[DType] = np.dtype(np.complex64)
complex128: Final[DType] = np.dtype(np.complex128)

_SIGNED = (int8, int16, int32, int64)
_UNSIGNED = (uint8, uint16, uint32, uint64)


@functools.cache
def bfloat16() -> DType | None:
    """Return the bfloat16 dtype of ml-dtypes, or None where that package is missing."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)


def _is_bfloat16(dtype: DType) -> type_bool:
    # kind first: NumPy computes the name anew each time.
    return dtype.kind == "V" and dtype.name == "bfloat16"


def is_floating(dtype: DType) -> type_bool:
    """Tell whether ``dtype`` is a real floating-point type, bfloat16 included."""
    return dtype.kind == "f" or _is_bfloat16(dtype)


def is_complex(dtype: DType) -> type_bool:
    """Tell whether ``dtype`` is a complex type."""
    return dtype.kind == "c"


def is_inexact(dtype: DType) -> type_bool:
    """Tell whether ``dtype`` is a real or complex floating-point type: whether it is rounded."""
    return dtype.kind in "fc" or _is_bfloat16(dtype)


def component(dtype: DType) -> DType:
    """Return the dtype of the real and imaginary parts of a complex dtype; real ones as they are.

    Examples
    --------
    >>> component(complex64)
    dtype('float32')
    """
    if dtype.kind != "c":
        return dtype
    return float32 if dtype == complex64 else float64


def is_half(dtype: DType) -> type_bool:
    """Tell whether ``dtype`` is a 16-bit float, whose sums are accumulated in float32."""
    return dtype == float16 or _is_bfloat16(dtype)


def is_integer(dtype: DType) -> type_bool:
    """Tell whether ``dtype`` is a signed or unsigned integer type (bool is not)."""
    return dtype.kind in "iu"


def _is_supported(dtype: DType) -> type_bool:
    return dtype.isnative and (
        dtype == bool
        or is_integer(dtype)
        or dtype in (float16, float32, float64, complex64, complex128)
        or _is_bfloat16(dtype)
    )


def all_dtypes() -> tuple[DType, ...]:
    """Return every dtype that tensors can have here."""
    return (*real_dtypes(), complex64, complex128)


def real_dtypes() -> tuple[DType, ...]:
    """Return every dtype that tensors can have here, complex ones left out."""
    extra = bfloat16()
    halves = (float16,) if extra is None else (float16, extra)
    return (bool, *_SIGNED, *_UNSIGNED, *halves, float32, float64)


def as_dtype(dtype: Any, /) -> DType:
    """Turn a dtype, its name, or Python's ``bool``, ``int``, ``float``, ``complex`` into a dtype.

    Raises
    ------
    DTypeError
        If there is no such dtype, or tensors cannot have it.

    Examples
    --------
    >>> as_dtype("float32")
    dtype('float32')
    >>> as_dtype(float)
    dtype('float32')
    """
    if dtype is float:
        return default_float()
    if dtype is int:
        return default_int()
    if dtype is complex:
        return default_complex()
    if dtype == "bfloat16":
        found = bfloat16()
        if found is None:
            raise DTypeError(
                "dtype 'bfloat16' needs the ml-dtypes package; run: pip install ml-dtypes"
            )
        return found
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise DTypeError(f"there is no dtype {dtype!r}; use one of {_names()}") from None
    if not _is_supported(found):
        found = found.newbyteorder("=")
        if not _is_supported(found):
            raise DTypeError(f"tensors cannot have dtype {found}; use one of {_names()}")
    return found


def _names() -> str:
    return ", ".join(dtype.name for dtype in all_dtypes())


_default: list[DType] = [float32]


def default_float() -> DType:
    """Return the dtype of Python floats: float32 unless `set_default_dtype` changed it."""
    return _default[0]


def default_complex() -> DType:
    """Return the dtype of Python complex numbers, whose parts have the default float."""
    return complex64 if _default[0].itemsize <= 4 else complex128


def default_int() -> DType:
    """Return the dtype of Python integers: int64."""
    return int64


def set_default_dtype(dtype: Any, /) -> None:
    """Choose the dtype that Python floats and creation functions get.

    Raises
    ------
    DTypeError
        If ``dtype`` is not a floating-point type.

    Examples
    --------
    >>> set_default_dtype("float32")
    """
    found = as_dtype(dtype)
    if not is_floating(found):
        raise DTypeError(
            f"set_default_dtype: {found} is not a floating-point dtype; use float32 or float64"
        )
    _default[0] = found


@functools.cache
def _promote(a: DType, b: DType) -> DType:
    if a == b:
        return a
    if a == bool:
        return b
    if b == bool:
        return a
    if a.kind == "c" or b.kind == "c":
        wide = complex128 if a.itemsize == 16 or b.itemsize == 16 else complex64
        return complex128 if float64 in (a, b) else wide
    if is_floating(a) != is_floating(b):
        return a if is_floating(a) else b
    if is_floating(a):
        return float32 if is_half(a) and is_half(b) else np.promote_types(a, b)
    joined = np.promote_types(a, b)
    if not is_integer(joined):
        raise DTypeError(
            f"{a} and {b} have no common integer dtype; convert one of them with astype"
        )
    return joined


def result_type(first: DType, /, *others: DType) -> DType:
    """Return the dtype that operands of these dtypes combine to.

    Integers with floats give the float, and with complex numbers the complex dtype; float16 with
    bfloat16 gives float32; otherwise the smallest dtype that holds both.

    Raises
    ------
    DTypeError
        If uint64 meets a signed integer.

    Examples
    --------
    >>> result_type(int64, float32)
    dtype('float32')
    """
    out = first
    for other in others:
        out = _promote(out, other)
    return out


def beside_number(value: type_bool | int | float | complex, other: DType, /) -> DType:
    """Return a Python number's dtype beside a tensor: the tensor's, unless its kind is lower.

    Examples
    --------
    >>> beside_number(2.5, int64)
    dtype('float32')
    """
    if isinstance(value, type_bool):
        return other
    if isinstance(value, int):
        return default_int() if other == bool else other
    if isinstance(value, complex):
        return result_type(other, complex64) if is_inexact(other) else default_complex()
    return other if is_inexact(other) else default_float()


def isdtype(dtype: Any, kind: Any) -> type_bool:
    """Tell whether ``dtype`` is of a kind: a dtype, an array-API kind, or a tuple of those.

    Examples
    --------
    >>> isdtype(float32, "real floating")
    True
    """
    dtype = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(dtype, item) for item in kind)  # pyright: ignore[reportUnknownVariableType]
    match kind:
        case "bool":
            return dtype == bool
        case "signed integer":
            return dtype.kind == "i"
        case "unsigned integer":
            return dtype.kind == "u"
        case "integral":
            return is_integer(dtype)
        case "real floating":
            return is_floating(dtype)
        case "complex floating":
            return is_complex(dtype)
        case "numeric":
            return dtype != bool
        case _:
            return dtype == as_dtype(kind)


@dataclasses.dataclass(frozen=True)
class FloatInfo:
    """The limits of a floating-point dtype, as Python numbers.

    Attributes
    ----------
    bits : int
        Its size.
    eps : float
        The distance from 1 to the next larger number.
    max, min : float
        The largest finite number, and the negative of it.
    smallest_normal, smallest_subnormal : float
        The smallest positive number with all its digits, and without.
    dtype : DType
        The dtype itself.
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    smallest_subnormal: float
    dtype: DType

    @property
    def tiny(self) -> float:
        """`smallest_normal` under NumPy's older name."""
        return self.smallest_normal


@dataclasses.dataclass(frozen=True)
class IntInfo:
    """The limits of an integer dtype.

    Attributes
    ----------
    bits : int
        Its size.
    max, min : int
        The largest and the smallest number.
    dtype : DType
        The dtype itself.
    """

    bits: int
    max: int
    min: int
    dtype: DType


def _limits(dtype: DType) -> Any:
    if _is_bfloat16(dtype):
        import ml_dtypes

        return cast("Any", ml_dtypes.finfo(dtype))
    return np.finfo(dtype)


@functools.cache
def _float_info(dtype: DType) -> FloatInfo:
    limits = _limits(dtype)
    return FloatInfo(
        bits=int(limits.bits),
        eps=float(limits.eps),
        max=float(limits.max),
        min=float(limits.min),
        smallest_normal=float(limits.smallest_normal),
        smallest_subnormal=float(limits.smallest_subnormal),
        dtype=dtype,
    )


def finfo(type: Any, /) -> FloatInfo:  # noqa: A002 - the array API's name
    """Return the limits of a floating-point dtype, or of a tensor's dtype.

    Those of a complex dtype are those of its parts.

    Raises
    ------
    DTypeError
        If it is no floating-point dtype.

    Examples
    --------
    >>> finfo(float32).eps
    1.1920928955078125e-07
    """
    found = component(as_dtype(getattr(type, "dtype", type)))
    if not is_floating(found):
        raise DTypeError(f"finfo: {found} is not a floating-point dtype; use iinfo for integers")
    return _float_info(found)


def iinfo(type: Any, /) -> IntInfo:  # noqa: A002 - the array API's name
    """Return the limits of an integer dtype, or of a tensor's dtype.

    Raises
    ------
    DTypeError
        If it is no integer dtype.

    Examples
    --------
    >>> iinfo(int8).max
    127
    """
    found = as_dtype(getattr(type, "dtype", type))
    if not is_integer(found):
        raise DTypeError(f"iinfo: {found} is not an integer dtype; use finfo for floats")
    limits = np.iinfo(found)
    return IntInfo(int(limits.bits), int(limits.max), int(limits.min), found)
