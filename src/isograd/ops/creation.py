"""Making tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.config import modes
from isograd.core.devices import Device
from isograd.core.errors import ConcretizationError, DTypeError, ShapeError
from isograd.ir import Aval
from isograd.ops import primitives as p
from isograd.ops.convert import as_tensor, cast, is_numpy_scalar, is_traced, shape_of
from isograd.runtime.bind import bind
from isograd.runtime.registry import resolve_device, table_for
from isograd.runtime.tape import CustomNode
from isograd.runtime.tensor import Tensor

__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "tensor",
    "to",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]

DeviceLike = str | Device | None


def tensor(
    data: Any, /, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Make a tensor from numbers, nested sequences, a NumPy array or a tensor. Always copies.

    Parameters
    ----------
    data
        Python floats become the default float (float32), complex numbers complex64, integers int64;
        arrays keep their dtype.
    dtype, device
        Where other than that.
    requires_grad
        Make it a leaf that ``backward`` leaves a gradient on.

    Raises
    ------
    DTypeError
        If the data are not numbers, do not fit the dtype, or have no gradient though one is wanted.
    ShapeError
        If nested sequences are ragged.
    UnknownDeviceError
        If the device does not exist here.

    Examples
    --------
    >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    wanted = None if dtype is None else dtypes.as_dtype(dtype)
    if isinstance(data, Tensor):
        where = data.device if device is None else resolve_device(device)
        if where is data.device:
            # Values never change, so the new tensor may share the old one's array.
            made = cast(data.detach(), data.dtype if wanted is None else wanted)
            return _leaf(made) if requires_grad else made
        host = data.numpy()
    elif _is_foreign(data):
        from isograd.ops.exchange import from_foreign

        return tensor(from_foreign(data), dtype=wanted, device=device, requires_grad=requires_grad)
    else:
        where = resolve_device(device)
        host = _host_array("tensor", data, wanted)
    if wanted is not None and host.dtype != wanted:
        if host.dtype.kind == "c" and wanted.kind not in "cb":
            raise DTypeError(
                f"tensor: complex data do not become {wanted}, since the imaginary part would be "
                "lost; pass the real part"
            )
        host = _converted(host, wanted)
    array = table_for(where.type).memory.from_host(host, where)
    made = Tensor(array, Aval(tuple(host.shape), host.dtype), where)
    return _leaf(made) if requires_grad else made


def _is_foreign(data: Any) -> bool:
    """Tell whether data are an array of another library, which says where its memory is."""
    return not isinstance(data, np.ndarray) and (
        hasattr(data, "__dlpack_device__") or hasattr(data, "__cuda_array_interface__")
    )


def _leaf(made: Tensor) -> Tensor:
    if made.dtype.kind not in "fVc":
        raise DTypeError(
            f"tensor: data of dtype {made.dtype} have no gradient; pass dtype=isograd.float32"
        )
    return made.requires_grad_()


def _converted(host: np.ndarray[Any, Any], dtype: dtypes.DType) -> np.ndarray[Any, Any]:
    with np.errstate(all="ignore"):
        return host.astype(dtype)


def _host_array(function: str, data: Any, wanted: dtypes.DType | None) -> np.ndarray[Any, Any]:
    """Turn numbers, sequences and arrays into a NumPy array of a dtype that tensors can have."""
    if _holds_tensor(data):
        data = _without_tensors(data)
    try:
        host: np.ndarray[Any, Any] = np.asarray(data)
    except ValueError as error:
        raise ShapeError(
            f"{function}: the nested sequences are ragged ({error}); give rows of one length"
        ) from None
    except TypeError as error:
        raise DTypeError(
            f"{function}: NumPy cannot read the data ({error}); pass numbers, or make each array "
            "a tensor first and join them with isograd.stack"
        ) from None
    is_array = hasattr(data, "__array__") or _is_buffer(data)
    if host.dtype.kind not in "biufVc" or (
        host.dtype.kind == "V" and host.dtype.name != "bfloat16"
    ):
        raise DTypeError(
            f"{function}: the data have NumPy dtype {host.dtype}; pass booleans, integers, floats "
            "or complex numbers"
        )
    if is_array or wanted is not None:
        if wanted is None:
            return host.astype(dtypes.as_dtype(host.dtype), copy=False)
        if not is_array and dtypes.is_integer(host.dtype) and dtypes.is_integer(wanted):
            _check_range(function, host, wanted)
        return host
    if host.dtype.kind == "f":
        return _converted(host, dtypes.default_float())
    if host.dtype.kind == "c":
        return _converted(host, dtypes.default_complex())
    if host.dtype.kind == "u":
        return host  # beyond int64
    return host.astype(dtypes.default_int()) if host.dtype.kind == "i" else host


def _is_buffer(data: Any) -> bool:
    """Tell whether data say by the buffer protocol what they are: `array.array`, memoryviews."""
    try:
        memoryview(data)
    except TypeError:
        return False
    return True


def _check_range(function: str, host: np.ndarray[Any, Any], wanted: dtypes.DType) -> None:
    limits = np.iinfo(wanted)
    if host.size and (int(host.min()) < limits.min or int(host.max()) > limits.max):
        raise DTypeError(f"{function}: the integers do not fit into {wanted}; choose a wider dtype")


def _is_sequence(data: Any) -> bool:
    return isinstance(data, list | tuple)


def _holds_tensor(data: Any) -> bool:
    return isinstance(data, Tensor) or (
        _is_sequence(data) and any(_holds_tensor(item) for item in data)
    )


def _without_tensors(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.numpy()
    return [_without_tensors(item) for item in data] if _is_sequence(data) else data


def asarray(
    obj: Any, /, *, dtype: Any = None, device: DeviceLike = None, copy: bool | None = None
) -> Tensor:
    """Turn an object into a tensor; a tensor that fits already is returned as it is.

    Parameters
    ----------
    obj
        What `tensor` takes.
    dtype, device
        As in `tensor`.
    copy
        True: always copy. False: never; raises where that is impossible. None: copy where needed. A
        NumPy array that its owner can still write is always copied, so that gradients cannot go
        wrong behind the tape; one that is read-only is shared on the CPU. Arrays of other
        libraries are shared as `from_dlpack` does.

    Raises
    ------
    ValueError
        If ``copy=False`` and a copy is needed.

    Examples
    --------
    >>> asarray([1, 2]).dtype
    dtype('int64')
    """
    wanted = None if dtype is None else dtypes.as_dtype(dtype)
    if isinstance(obj, Tensor):
        same = (wanted is None or obj.dtype == wanted) and (
            device is None or resolve_device(device) is obj.device
        )
        if same and not copy:
            return obj
        if copy is False:
            raise ValueError("asarray: another dtype or device needs a copy; drop copy=False")
        out = obj if device is None else to(obj, device)
        if wanted is not None and out.dtype != wanted:
            return cast(out, wanted)
        if not same:
            return out
        # What requires gradients is copied by an operation, so that they find the way back.
        return bind(p.reshape, obj, shape=obj.shape) if obj.requires_grad else tensor(obj)
    if copy is False and _is_foreign(obj):
        from isograd.ops.exchange import from_foreign

        try:
            made = from_foreign(obj, copy=False)
        except BufferError as error:
            raise ValueError(f"asarray: {error}") from None
        return asarray(made, dtype=wanted, device=device, copy=False)
    if copy is False:
        where = resolve_device(device)
        if where.type != "cpu" or not is_shareable(obj) or wanted not in (None, obj.dtype):
            raise ValueError(
                "asarray: this needs a copy; drop copy=False, or pass a NumPy array of the wanted "
                "dtype with flags.writeable = False"
            )
        return Tensor(obj, Aval(obj.shape, obj.dtype), where)
    return tensor(obj, dtype=dtype, device=device)


def is_shareable(obj: Any) -> bool:
    """Tell whether an object is a NumPy array of a tensor dtype that nobody can write any more."""
    if not isinstance(obj, np.ndarray) or dtypes.as_dtype(obj.dtype) != obj.dtype:  # pyright: ignore[reportUnknownMemberType]
        return False
    base: Any = obj  # pyright: ignore[reportUnknownVariableType]
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return base is None


def from_numpy(array: np.ndarray[Any, Any], /) -> Tensor:
    """Make a CPU tensor with a copy of a NumPy array.

    >>> import numpy as np
    >>> from_numpy(np.ones(2, "f4")).dtype
    dtype('float32')
    """
    return tensor(array, device="cpu")


def to(x: Tensor, target: Any, /) -> Tensor:
    """Return x on another device or of another dtype; x itself where nothing changes.

    Derivatives go through both.

    Raises
    ------
    UnknownDeviceError
        If ``target`` is a device that does not exist here.
    DTypeError
        If it is neither a device nor a dtype.
    ConcretizationError
        Inside `isograd.compile` and `isograd.vmap`, which compute on one device.

    Examples
    --------
    >>> to(ones(2), "float64").dtype
    dtype('float64')
    """
    if isinstance(target, Device) or (isinstance(target, str) and not _names_dtype(target)):
        where = resolve_device(target)
        return x if where is x.device else _moved(x, where)
    return cast(x, dtypes.as_dtype(target))


def _moved(x: Tensor, where: Device) -> Tensor:
    if is_traced(x):
        raise ConcretizationError(
            f"to: functions are compiled and mapped for one device, {x.device}; move arguments "
            "before the call, and results after it"
        )
    made, home = tensor(x, device=where), x.device
    if x.edge is None or not modes.grad:
        return made
    node = CustomNode(
        "to", (x.edge,), [made], lambda cts: [None if ct is None else to(ct, home) for ct in cts]
    )
    return Tensor(made.array, made.aval, where, (node, 0))


def _names_dtype(text: str) -> bool:
    return any(text == dtype.name for dtype in dtypes.all_dtypes()) or text == "bfloat16"


def _dtype_of_number(value: Any) -> dtypes.DType:
    if isinstance(value, bool):
        return dtypes.bool
    if isinstance(value, complex):
        return dtypes.default_complex()
    return dtypes.default_int() if isinstance(value, int) else dtypes.default_float()


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Return a tensor in which every element is ``fill_value``.

    >>> full((2,), 7).tolist()
    [7, 7]
    """
    value = (
        fill_value.item()
        if isinstance(fill_value, Tensor) or is_numpy_scalar(fill_value)
        else fill_value
    )
    if not isinstance(value, int | float | complex):
        raise DTypeError(f"full: fill_value is {value!r}; pass a number")
    wanted = _dtype_of_number(value) if dtype is None else dtypes.as_dtype(dtype)
    return _full("full", shape, value, wanted, device)


def _full(function: str, shape: Any, value: Any, dtype: dtypes.DType, device: DeviceLike) -> Tensor:
    return bind(
        p.full,
        shape=shape_of(function, shape),
        value=value,
        dtype=dtype,
        device=resolve_device(device),
    )


def _float_dtype(dtype: Any) -> dtypes.DType:
    return dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)


def zeros(shape: Any, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Return a tensor of zeros, of the default float unless ``dtype`` says otherwise.

    >>> zeros((2, 3)).shape
    (2, 3)
    """
    return _full("zeros", shape, 0, _float_dtype(dtype), device)


def ones(shape: Any, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Return a tensor of ones, of the default float unless ``dtype`` says otherwise.

    >>> ones(2).tolist()
    [1.0, 1.0]
    """
    return _full("ones", shape, 1, _float_dtype(dtype), device)


def empty(shape: Any, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Return a tensor of unspecified values. Tensors are immutable, so they are zeros.

    >>> empty((2, 0)).size
    0
    """
    return _full("empty", shape, 0, _float_dtype(dtype), device)


def _like(x: Tensor, value: Any, dtype: Any, device: DeviceLike) -> Tensor:
    wanted = x.dtype if dtype is None else dtypes.as_dtype(dtype)
    where = x.device if device is None else resolve_device(device)
    return bind(p.full, shape=x.shape, value=value, dtype=wanted, device=where)


def zeros_like(x: Tensor, /, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Return zeros of the shape, dtype and device of x.

    >>> zeros_like(ones(2)).tolist()
    [0.0, 0.0]
    """
    return _like(x, 0, dtype, device)


def ones_like(x: Tensor, /, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Return ones of the shape, dtype and device of x.

    >>> ones_like(zeros(2)).tolist()
    [1.0, 1.0]
    """
    return _like(x, 1, dtype, device)


def empty_like(x: Tensor, /, *, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Return a tensor like x of unspecified values, which are zeros.

    >>> empty_like(ones(2)).shape
    (2,)
    """
    return _like(x, 0, dtype, device)


def full_like(
    x: Tensor, /, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None
) -> Tensor:
    """Return a tensor of the shape, dtype and device of x filled with one value.

    >>> full_like(ones(2), 3).tolist()
    [3.0, 3.0]
    """
    return _like(x, fill_value, dtype, device)


def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: DeviceLike = None
) -> Tensor:
    """Return numbers from ``start`` (0 if only one is given) up to, not including, ``stop``.

    >>> arange(3).tolist()
    [0, 1, 2]
    """
    first, last = (0, start) if stop is None else (start, stop)
    if not all(isinstance(n, int | float) for n in (first, last, step)):
        raise DTypeError(
            f"arange: start, stop and step are {first!r}, {last!r}, {step!r}; pass Python numbers"
        )
    whole = all(isinstance(n, int) for n in (first, last, step))
    wanted = (
        (dtypes.default_int() if whole else dtypes.default_float())
        if dtype is None
        else dtypes.as_dtype(dtype)
    )
    return bind(
        p.arange, start=first, stop=last, step=step, dtype=wanted, device=resolve_device(device)
    )


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: DeviceLike = None,
    endpoint: bool = True,
) -> Tensor:
    """Return ``num`` evenly spaced numbers, computed in float64 and rounded once.

    >>> linspace(0.0, 1.0, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if num < 0:
        raise ShapeError(f"linspace: num is {num}; pass at least 0")
    if dtype is None and (isinstance(start, complex) or isinstance(stop, complex)):
        dtype = dtypes.default_complex()
    return tensor(
        np.linspace(start, stop, num, endpoint=endpoint), dtype=_float_dtype(dtype), device=device
    )


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: DeviceLike = None,
) -> Tensor:
    """Return a matrix with ones on its k-th diagonal.

    >>> eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    shape = shape_of("eye", (n_rows, n_rows if n_cols is None else n_cols))
    return tensor(np.eye(*shape, k=k), dtype=_float_dtype(dtype), device=device)


def _triangle(function: str, x: Any, k: int, *, lower: bool) -> Tensor:
    from isograd.ops.elementwise import where

    t = as_tensor(function, x)
    if t.ndim < 2:
        raise ShapeError(
            f"{function}: the tensor has shape {t.shape}; pass a matrix or a batch of them"
        )
    inside = np.tri(*t.shape[-2:], k=k if lower else k - 1, dtype=bool)
    return where(tensor(inside if lower else ~inside, device=t.device), t, zeros_like(t))


def tril(x: Any, /, *, k: int = 0) -> Tensor:
    """Return the lower triangles of matrices: what lies above the k-th diagonal is 0.

    >>> tril(ones((2, 2))).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return _triangle("tril", x, k, lower=True)


def triu(x: Any, /, *, k: int = 0) -> Tensor:
    """Return the upper triangles of matrices: what lies below the k-th diagonal is 0.

    >>> triu(ones((2, 2))).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return _triangle("triu", x, k, lower=False)
