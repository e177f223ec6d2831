"""What the array API standard lets a caller ask of a namespace, and how dtypes combine."""

from __future__ import annotations

from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.devices import Device
from isograd.core.errors import DTypeError
from isograd.ops.convert import is_numpy_scalar
from isograd.runtime import registry

__all__ = [
    "NamespaceInfo",
    "__array_namespace_info__",
    "can_cast",
    "result_type",
]

API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""The editions of the standard that the namespace follows; the last is the one it is checked by."""

_MAX_AXES = 64
"""The limit of NumPy, which is the reference."""


def check_api_version(version: str) -> None:
    """Raise unless the namespace follows an edition of the standard."""
    if version not in API_VERSIONS:
        raise ValueError(
            f"__array_namespace__: isograd does not follow version {version!r} of the array API; "
            f"ask for one of {', '.join(API_VERSIONS)}"
        )


class NamespaceInfo:
    """Answers about devices, dtypes and what else is possible, in the standard's form.

    Examples
    --------
    >>> __array_namespace_info__().default_device()
    device('cpu')
    """

    __slots__ = ()

    def capabilities(self) -> dict[str, Any]:
        """Return which optional features there are, outside compiled functions.

        >>> __array_namespace_info__().capabilities()["boolean indexing"]
        True
        """
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": _MAX_AXES,
        }

    def default_device(self) -> Device:
        """Return the device of newly created tensors."""
        return registry.default_device()

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """Return the dtypes that Python numbers, and indices, become.

        >>> __array_namespace_info__().default_dtypes()["real floating"]
        dtype('float32')
        """
        registry.resolve_device(device)
        return {
            "real floating": dtypes.default_float(),
            "complex floating": dtypes.default_complex(),
            "integral": dtypes.default_int(),
            "indexing": dtypes.int64,
        }

    def devices(self) -> list[Device]:
        """Return every device that a backend serves here."""
        found: dict[Device, None] = {}
        for record in registry.backends():
            if record.available:
                found |= dict.fromkeys(registry.table_for(record.device).memory.devices())
        return list(found)

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """Return the standard's dtypes by name, all of them or those of a kind.

        >>> list(__array_namespace_info__().dtypes(kind="real floating"))
        ['float32', 'float64']
        """
        registry.resolve_device(device)
        return {
            dtype.name: dtype
            for dtype in dtypes.all_dtypes()
            if not dtypes.is_half(dtype) and (kind is None or dtypes.isdtype(dtype, kind))
        }


def __array_namespace_info__() -> NamespaceInfo:  # noqa: N807 - the standard's name
    """Return what this namespace can do, as the array API standard asks.

    >>> __array_namespace_info__().default_dtypes()["integral"]
    dtype('int64')
    """
    return NamespaceInfo()


def result_type(*arrays_and_dtypes: Any) -> dtypes.DType:
    """Return the dtype that tensors, dtypes and Python numbers combine to.

    A number takes part as it does beside a tensor: it changes the dtype only where its kind is
    higher.

    Raises
    ------
    DTypeError
        If there is no tensor and no dtype, or two have no common dtype.

    >>> result_type(float16, tensor([1]), 2.5)
    dtype('float16')
    """
    numbers = [x.item() if is_numpy_scalar(x) else x for x in arrays_and_dtypes if _is_number(x)]
    rest = [_dtype_of(x) for x in arrays_and_dtypes if not _is_number(x)]
    if not rest:
        raise DTypeError("result_type: there is no tensor and no dtype; pass at least one")
    out = dtypes.result_type(*rest)
    for number in numbers:
        out = dtypes.beside_number(number, out)
    return out


def _is_number(x: Any) -> bool:
    return isinstance(x, bool | int | float | complex | np.generic)


def _dtype_of(x: Any) -> dtypes.DType:
    found = getattr(x, "dtype", None)
    return found if isinstance(found, np.dtype) else dtypes.as_dtype(x)  # pyright: ignore[reportUnknownVariableType]


def can_cast(from_: Any, to: Any, /) -> bool:
    """Tell whether a dtype, or a tensor's dtype, becomes ``to`` where the two meet.

    >>> can_cast(int8, int64), can_cast(float64, float32)
    (True, False)
    """
    wanted = dtypes.as_dtype(to)
    try:
        return dtypes.result_type(_dtype_of(from_), wanted) == wanted
    except DTypeError:
        return False
