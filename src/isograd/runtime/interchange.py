"""What tensors are to other libraries and to Python: memory, copies, pickles, numbers, text.

A tensor never changes, so nobody else may write its memory: whoever takes it gets a copy, or a view
that says it is read-only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isograd.core import capsule
from isograd.core.errors import AutodiffError, DeviceMismatchError, DTypeError, ShapeError
from isograd.core.pytree import tree_map
from isograd.ir.graph import Var
from isograd.runtime.batched import Batched
from isograd.runtime.library import library as lib
from isograd.runtime.registry import table_for

if TYPE_CHECKING:
    from isograd.runtime.tensor import Tensor

__all__ = ["Interchange"]

#: Before NumPy 2.1, its arrays make capsules without flags only.
_FLAGGED = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


class Interchange:
    """The special methods of `Tensor` that are for others than isograd."""

    __slots__ = ()

    # -- memory ------------------------------------------------------------------------------------

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.device.type != "cpu":
            raise DeviceMismatchError(
                f"__array__: the tensor is on {self.device}; bring it over with .to('cpu')"
            )
        host = self.numpy()
        if dtype is not None and host.dtype != dtype:
            if copy is False:
                raise ValueError(
                    f"__array__: {host.dtype} becomes {dtype} only by copying; drop copy=False"
                )
            return host.astype(dtype)
        return host.copy() if copy else host

    def __array_function__(
        self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        # Else NumPy calls methods of the same name, such as `mean`, with arguments of its own.
        def host(x: Any) -> Any:
            return np.asarray(x) if isinstance(x, Interchange) else x

        args, kwargs = tree_map(host, (args, kwargs))
        return func(*args, **kwargs)

    def __buffer__(self: Any, flags: int, /) -> memoryview:
        return memoryview(self.__array__())

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        _refuse_symbols(self)
        kind, number = self.array.__dlpack_device__()
        return int(kind), int(number)

    def __dlpack__(
        self: Any,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        here = self.__dlpack_device__()
        if self.requires_grad:
            raise BufferError(
                "__dlpack__: the tensor requires gradients, which other libraries would not pass "
                "on; export .detach() of it"
            )
        array: Any = self.array
        copied = copy is not False
        if dl_device is not None and tuple(dl_device) != here:
            if dl_device[0] != capsule.CPU or not copied:
                raise BufferError(
                    f"__dlpack__: the tensor is on {self.device}, and device {dl_device} is asked "
                    f"for{'' if copied else ' without a copy'}; move it with .to first"
                )
            array, stream = table_for(self.device.type).memory.to_host(array), None
        elif copied and self.device.type == "cuda":
            memory: Any = table_for("cuda").memory
            array, copied = memory.copied(array), False  # CuPy's arrays do not copy themselves
        flagged = max_version is not None and max_version[0] >= 1
        if copy is False and not (flagged and _FLAGGED):
            raise BufferError(
                "__dlpack__: without a copy the memory must be marked as read-only, which needs "
                "max_version=(1, 0) and NumPy 2.1; allow a copy"
            )
        is_half = self.dtype.name == "bfloat16" and isinstance(array, np.ndarray)
        made = capsule.Capsule(
            _exported(array.view(np.uint16) if is_half else array, stream, max_version, copied)
        )
        if is_half:
            made.dtype = capsule.BFLOAT16, 16
        if copy is False:
            made.forbid_writing()
        return made.capsule

    @property
    def __cuda_array_interface__(self: Any) -> dict[str, Any]:
        interface: dict[str, Any] | None = getattr(self.array, "__cuda_array_interface__", None)
        if interface is None:
            raise AttributeError  # `Tensor.__getattr__` says what to write instead
        if self.dtype.name == "bfloat16":
            raise DTypeError(
                "__cuda_array_interface__: it has no word for bfloat16; exchange the tensor "
                "through DLPack, as in cupy.from_dlpack(x, copy=False)"
            )
        if self.requires_grad:
            raise AutodiffError(
                "__cuda_array_interface__: the tensor requires gradients, which other libraries "
                "would not pass on; export .detach() of it"
            )
        return {**interface, "data": (interface["data"][0], True)}

    # -- copies ------------------------------------------------------------------------------------

    def __copy__(self: Any) -> Any:
        if self.is_leaf:
            return _remade(self.__class__, self.detach(), self.requires_grad)
        made: Tensor = self.detach()
        made.edge = self.edge
        return made

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        _check_leaf("deepcopy", self)
        made = memo[id(self)] = _remade(self.__class__, self.detach(), self.requires_grad)
        if self.grad is not None:
            made.grad = self.grad.detach()
        return made

    def __reduce__(self: Any) -> tuple[Any, ...]:
        _check_leaf("pickle", self)
        return _rebuild, (self.__class__, self.numpy(), str(self.device), self.requires_grad)

    # -- numbers -----------------------------------------------------------------------------------

    def __bool__(self: Any) -> bool:
        return bool(_one("bool", self))

    def __int__(self: Any) -> int:
        return int(_one("int", self, real=True))

    def __float__(self: Any) -> float:
        return float(_one("float", self, real=True))

    def __complex__(self: Any) -> complex:
        return complex(_one("complex", self))

    def __index__(self: Any) -> int:
        number = _one("index", self)
        if self.dtype.kind not in "iu":
            raise DTypeError(
                f"index: the tensor has dtype {self.dtype}; only an integer tensor can be an index"
            )
        return int(number)

    def __len__(self: Any) -> int:
        if not self.aval.shape:
            raise TypeError("len: the tensor has no axes, so it has no length; use .size")
        return self.aval.shape[0]

    def __iter__(self: Any) -> Iterator[Tensor]:
        if not self.aval.shape:
            raise TypeError("iter: the tensor has no axes to go along; use .item() for its number")
        return iter([self[i] for i in range(self.aval.shape[0])])

    def __contains__(self: Any, value: Any, /) -> bool:
        return bool(lib.any(lib.equal(self, value)))

    # -- text --------------------------------------------------------------------------------------

    def __repr__(self: Any) -> str:
        if self.array.__class__ is Var:
            return f"tensor({self.aval}, made at {self.array.line})"
        if self.array.__class__ is Batched:
            return f"tensor({self.aval}, {self.array!r})"
        host = self.numpy()
        if self.dtype.name == "bfloat16":
            host = host.astype(np.float32)  # NumPy aligns and truncates only its own dtypes
        body = np.array2string(host, separator=", ", threshold=100, edgeitems=3, prefix="tensor(")
        notes = [f"dtype={self.dtype.name}"]
        if (self.size == 0 and self.ndim > 1) or self.size > 100:
            notes.insert(0, f"shape={self.shape}")
        if self.device.type != "cpu":
            notes.append(f"device='{self.device}'")
        if self.edge is not None:
            notes.append(
                "requires_grad=True" if self.is_leaf else f"made_by={self.edge[0].describe()!r}"
            )
        return f"tensor({body}, {', '.join(notes)})"

    def __format__(self: Any, spec: str, /) -> str:
        if not spec:
            return repr(self)
        if self.size != 1:
            raise ShapeError(
                f"format: {spec!r} is for one number, and the tensor has shape {self.shape}; index "
                "or reduce it to one element, or leave the format out"
            )
        return format(self.item(), spec)


def _exported(array: Any, stream: Any, max_version: tuple[int, int] | None, copied: bool) -> Any:
    """Return a capsule of a backend's array."""
    if isinstance(array, np.ndarray):
        if stream is not None:
            raise BufferError(
                f"__dlpack__: stream is {stream!r}, and the tensor is on the CPU; pass None"
            )
        if not _FLAGGED:
            return array.copy().__dlpack__()
    return array.__dlpack__(stream=stream, max_version=max_version, copy=copied)


def _refuse_symbols(t: Tensor) -> None:
    """Raise for a tensor that holds no array: inside `compile` and `vmap`."""
    if t.array.__class__ in (Var, Batched):
        t.array.refuse()


def _check_leaf(what: str, t: Tensor) -> None:
    _refuse_symbols(t)
    if not t.is_leaf:
        raise AutodiffError(
            f"{what}: an operation made this tensor, and its history stays behind; use .detach() "
            "of it instead"
        )


def _rebuild(kind: type[Tensor], host: np.ndarray[Any, Any], where: str, grad: bool) -> Tensor:
    """Undo `Interchange.__reduce__`; the name is in pickles."""
    return _remade(kind, lib.tensor(host, device=where), grad)


def _remade(kind: Any, value: Tensor, requires_grad: bool) -> Tensor:
    """Return a leaf of a class: a tensor, or a parameter."""
    if kind is type(value):
        return value.requires_grad_(requires_grad)
    return kind(value, requires_grad)


def _one(what: str, t: Tensor, *, real: bool = False) -> Any:
    """Return the one number that a tensor holds."""
    if t.size != 1:
        raise ShapeError(
            f"{what}: the truth or number of a tensor of shape {t.shape} is ambiguous; reduce it "
            "to one element, for example with .all(), .any() or .sum()"
        )
    if real and t.dtype.kind == "c":
        raise DTypeError(
            f"{what}: the tensor has dtype {t.dtype}; take its .real or .imag first, or complex(x)"
        )
    return t.item()
