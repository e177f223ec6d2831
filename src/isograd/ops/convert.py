"""From what users pass to what primitives take: tensors of one dtype on one device."""

from __future__ import annotations

from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.config import modes
from isograd.core.devices import Device
from isograd.core.errors import ConcretizationError, DTypeError, ShapeError
from isograd.core.frames import user_line
from isograd.ir import Aval, Primitive
from isograd.ops import primitives
from isograd.runtime.batched import Batched, is_symbol
from isograd.runtime.bind import bind
from isograd.runtime.registry import table_for
from isograd.runtime.tensor import Tensor

__all__ = [
    "TensorLike",
    "as_tensor",
    "axes_of",
    "axis_of",
    "binary",
    "cast",
    "concrete",
    "constant",
    "float_unary",
    "is_numpy_scalar",
    "is_traced",
    "narrowed",
    "operands",
    "promoted",
    "scalar",
    "shape_of",
    "unary",
]

TensorLike = Tensor | bool | int | float | complex | np.ndarray[Any, Any]

_CONSTANTS: dict[tuple[Any, ...], Tensor] = {}
_MAX_CONSTANTS = 2048


def is_traced(x: Tensor) -> bool:
    """Tell whether a tensor has no numbers that could be looked at.

    It is then a symbol of a function that is being compiled, or has other numbers for each example
    of a `isograd.vmap`.
    """
    return is_symbol(x)


def concrete(function: str, x: Tensor, instead: str) -> np.ndarray[Any, Any]:
    """Return the numbers of a tensor that the shape of a result depends on, or raise."""
    if x.array.__class__ is Batched and is_traced(x):
        raise ConcretizationError(
            f"{function}: the shape of its result depends on numbers that differ between the "
            f"{x.array.level.size} examples of vmap (called at {user_line()}); {instead}"
        )
    if is_traced(x):
        raise ConcretizationError(
            f"{function}: the shape of its result depends on numbers that are not known while a "
            f"function is compiled (called at {user_line()}, with what was made at "
            f"{x.array.line}); {instead}"
        )
    return x.numpy()


def constant(value: bool | int | float | complex, dtype: dtypes.DType, device: Device) -> Tensor:
    """Return a 0-d tensor of a Python number; recent ones are kept."""
    # Equal numbers that differ: 1, True and 1.0 by class, 0.0 and -0.0 by spelling.
    plain = value and value.__class__ is not complex
    key = (value if plain else repr(value), value.__class__, dtype.num, device)
    found = _CONSTANTS.get(key)
    if found is None:
        memory = table_for(device.type).memory
        try:
            host = np.array(value, dtype)
        except OverflowError:
            raise DTypeError(
                f"the number {value} does not fit into {dtype}; convert the tensor with .astype "
                "first"
            ) from None
        if len(_CONSTANTS) >= _MAX_CONSTANTS:
            _CONSTANTS.clear()
        found = _CONSTANTS[key] = Tensor(memory.from_host(host, device), Aval((), dtype), device)
    return found


def scalar(value: Any, dtype: dtypes.DType, device: Device) -> Tensor:
    """Return a 0-d tensor of a number that may be a tensor already, as in a compiled function."""
    if isinstance(value, Tensor):
        return cast(value, dtype)
    return constant(float(value), dtype, device)


def as_tensor(function: str, x: Any, device: Device | None = None) -> Tensor:
    """Turn an argument into a tensor; NumPy arrays and numbers become constants."""
    if isinstance(x, Tensor):
        return x
    from isograd.ops.creation import tensor

    if isinstance(x, bool | int | float | complex | np.ndarray | np.generic | list | tuple):
        return tensor(x, device=device)
    raise DTypeError(
        f"{function}: cannot take {_class_of(x)}; pass a tensor, a NumPy array or a number; "
        "isograd.asarray makes tensors of other libraries' arrays"
    )


def _class_of(x: object) -> str:
    """Return the name of an object's class, with its module's unless it is built in."""
    kind = type(x)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def is_numpy_scalar(value: Any) -> bool:
    """Tell whether a value is a NumPy scalar, which counts as the Python number it holds."""
    return isinstance(value, np.generic)


def operands(
    function: str, x1: Any, x2: Any, device: Device | None = None
) -> tuple[Tensor, Tensor]:
    """Return two operands as tensors of one dtype; without a tensor among them, on a device."""
    first, second = isinstance(x1, Tensor), isinstance(x2, Tensor)
    if first and second:
        a: Tensor = x1
        b: Tensor = x2
    elif first:
        a, b = _beside(function, x1, x2)
    elif second:
        b, a = _beside(function, x2, x1)
    else:
        a, b = as_tensor(function, x1, device), as_tensor(function, x2, device)
    if a.aval.dtype != b.aval.dtype:
        if _is_weak(a):
            return cast(a, dtypes.beside_number(1.0, b.aval.dtype)), _cast_beside(b)
        if _is_weak(b):
            return _cast_beside(a), cast(b, dtypes.beside_number(1.0, a.aval.dtype))
        dtype = dtypes.result_type(a.aval.dtype, b.aval.dtype)
        a, b = cast(a, dtype), cast(b, dtype)
    return a, b


def _is_weak(x: Tensor) -> bool:
    """Tell whether a symbol stands for a Python number."""
    return is_traced(x) and x.array.weak


def _cast_beside(x: Tensor) -> Tensor:
    """Convert to what a tensor becomes beside a Python float."""
    return cast(x, dtypes.beside_number(1.0, x.aval.dtype))


def _beside(function: str, x: Tensor, other: Any) -> tuple[Tensor, Tensor]:
    """Return a tensor and what stands beside it, a number or an array, as tensors."""
    if is_numpy_scalar(other):
        other = other.item()
    if isinstance(other, bool | int | float | complex):
        dtype = dtypes.beside_number(other, x.aval.dtype)
        return cast(x, dtype), constant(other, dtype, x.device)
    return x, as_tensor(function, other, x.device)


def cast(x: Tensor, dtype: dtypes.DType) -> Tensor:
    """Convert to ``dtype`` if the tensor is not of it already."""
    return x if x.aval.dtype == dtype else bind(primitives.astype, x, dtype=dtype)


def unary(prim: Primitive, x: Any) -> Tensor:
    """Apply an elementwise primitive of one argument."""
    return bind(prim, x if isinstance(x, Tensor) else as_tensor(prim.public, x))


def float_unary(prim: Primitive, x: Any) -> Tensor:
    """Apply a primitive that takes floats only; integers are converted to the default float."""
    t = as_tensor(prim.public, x)
    if t.aval.dtype.kind in "fVc":
        return bind(prim, t)
    return bind(prim, cast(t, dtypes.default_float()))


def binary(prim: Primitive, x1: Any, x2: Any) -> Tensor:
    """Apply an elementwise primitive of two arguments after bringing them to one dtype."""
    # The usual case on a path of its own: it is most of what lies between ``x + y`` and bind.
    if x1.__class__ is Tensor and x2.__class__ is Tensor and x1.aval.dtype is x2.aval.dtype:
        return bind(prim, x1, x2)
    a, b = operands(prim.public, x1, x2)
    return bind(prim, a, b)


def narrowed(*tensors: Any) -> tuple[Any, ...]:
    """Return the operands of a product in the dtype of autocast, where that is on.

    float64 stays as it is, as in torch.
    """
    narrow = modes.autocast
    if narrow is None:
        return tensors
    return tuple(
        [
            cast(x, narrow)
            if isinstance(x, Tensor)
            and dtypes.is_floating(x.aval.dtype)
            and x.aval.dtype != dtypes.float64
            else x
            for x in tensors
        ]
    )


def promoted(x: Tensor) -> Tensor:
    """Return what loses too much in 16 bits in float32, where autocast is on."""
    if modes.autocast is not None and dtypes.is_half(x.aval.dtype):
        return cast(x, dtypes.float32)
    return x


def axis_of(function: str, axis: Any, ndim: int) -> int:
    """Return a non-negative axis, or raise."""
    try:
        number = axis.__index__()
    except (AttributeError, TypeError):
        raise DTypeError(f"{function}: axis is {axis!r}; pass an integer") from None
    if not -ndim <= number < ndim:
        have = f"use an axis in [{-ndim}, {ndim - 1}]" if ndim else "it has no axes to choose from"
        raise ShapeError(
            f"{function}: axis {number} is out of range for a tensor of {ndim} axes; {have}"
        )
    return number % ndim


def axes_of(function: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Return sorted non-negative axes; None means all."""
    if axis is None:
        return tuple(range(ndim))
    items = _several(axis)
    found = tuple(sorted(axis_of(function, item, ndim) for item in items))
    if len(set(found)) != len(found):
        raise ShapeError(f"{function}: axis {items} names an axis twice; name each once")
    return found


def shape_of(function: str, shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple of non-negative integers, or raise."""
    try:
        found = tuple([int(item.__index__()) for item in _several(shape)])
    except (AttributeError, TypeError):
        raise DTypeError(f"{function}: shape is {shape!r}; pass integers") from None
    if any(n < 0 for n in found):
        raise ShapeError(
            f"{function}: shape {found} has a negative length; pass lengths of at least 0"
        )
    return found


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
