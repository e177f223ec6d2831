"""Shapes and dtypes of results, by family. What does not fit is refused here, before it runs.

Static parameters arrive normalised by the public functions: axes are non-negative and sorted,
shapes are tuples of integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, prod
from typing import Any

from isograd.core import dtypes
from isograd.core.devices import Device
from isograd.core.errors import DTypeError, ShapeError
from isograd.ir import Aval

__all__ = ["broadcast", "elementwise", "require"]

Shape = tuple[int, ...]

#: What a primitive takes. Complex numbers only where the kind says so.
_KINDS: dict[str, tuple[str, str]] = {
    "numeric": ("iufV", "a real numeric dtype"),
    "numeric or complex": ("iufVc", "a numeric dtype"),
    "float": ("fV", "a real floating-point dtype"),
    "float or complex": ("fVc", "a floating-point dtype"),
    "complex": ("c", "a complex dtype"),
    "integer": ("iu", "an integer dtype"),
    "bits": ("biu", "an integer dtype or bool"),
    "bool": ("b", "dtype bool"),
    "any": ("biufV", "any real dtype"),
    "any or complex": ("biufVc", "any dtype"),
}


def require(function: str, aval: Aval, kind: str, argument: str = "the argument") -> None:
    """Raise unless the dtype is of a kind: numeric, float, integer, bits, bool, any, complex..."""
    letters, words = _KINDS[kind]
    if aval.dtype.kind not in letters:
        if aval.dtype.kind == "c":
            raise DTypeError(
                f"{function}: {argument} is {aval}, but this needs {words}; take isograd.real, "
                "isograd.imag or isograd.abs of it"
            )
        raise DTypeError(
            f"{function}: {argument} is {aval}, but this needs {words}; convert it with .astype"
        )


def same_dtype(function: str, *avals: Aval) -> None:
    """Raise unless all arguments have one dtype."""
    if any(aval.dtype != avals[0].dtype for aval in avals):
        listed = ", ".join(map(str, avals))
        raise DTypeError(
            f"{function}: the arguments are {listed}; bring them to one dtype with .astype"
        )


# -- elementwise -----------------------------------------------------------------------------------


def broadcast(function: str, *shapes: Shape) -> Shape:
    """Return the shape that ``shapes`` broadcast to, or raise."""
    ndim = max(map(len, shapes))
    out: list[int] = []
    for i in range(-ndim, 0):
        lengths = {shape[i] for shape in shapes if -i <= len(shape)} - {1}
        if len(lengths) > 1:
            listed = ", ".join(map(str, shapes))
            raise ShapeError(
                f"{function}: shapes {listed} do not broadcast: axis {i} has lengths "
                f"{sorted(lengths)}; reshape or expand one of them"
            )
        out.append(lengths.pop() if lengths else 1)
    return tuple(out)


def polygamma(x: Aval, *, n: int) -> Aval:
    """``polygamma(x, n)``."""
    require("polygamma", x, "float")
    return x


def elementwise(name: str, kind: str, *, to_bool: bool = False) -> Callable[..., Aval]:
    """Make the inference of an elementwise primitive whose arguments have one dtype."""
    letters = _KINDS[kind][0]

    def infer(x: Aval, y: Aval | None = None) -> Aval:
        if x.dtype.kind not in letters:
            require(name, x, kind)
        if y is not None and x != y:
            if x.dtype != y.dtype:
                same_dtype(name, x, y)
            shape = x.shape if x.shape == y.shape else broadcast(name, x.shape, y.shape)
            return Aval(shape, dtypes.bool if to_bool else x.dtype)
        return Aval(x.shape, dtypes.bool) if to_bool else x

    return infer


def where(condition: Aval, x: Aval, y: Aval) -> Aval:
    """``where(condition, x, y)``."""
    require("where", condition, "bool", "the condition")
    same_dtype("where", x, y)
    return Aval(broadcast("where", condition.shape, x.shape, y.shape), x.dtype)


def astype(x: Aval, *, dtype: dtypes.DType) -> Aval:
    """``astype(x, dtype)``: never from complex to real numbers, which are only a part of them."""
    if x.dtype.kind == "c" and dtype.kind not in "cb":
        raise DTypeError(
            f"astype: {x} does not become {dtype}, since the imaginary part would be lost; take "
            "isograd.real, isograd.imag or isograd.abs of it"
        )
    return Aval(x.shape, dtype)


def parts(name: str) -> Callable[[Aval], Aval]:
    """Make the inference of ``real`` and ``imag``."""

    def infer(x: Aval) -> Aval:
        require(name, x, "complex")
        return Aval(x.shape, dtypes.component(x.dtype))

    return infer


def complex_(x: Aval, y: Aval) -> Aval:
    """``complex(x, y)``: from float32 or float64 parts."""
    same_dtype("complex", x, y)
    if x.dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError(
            f"complex: the parts are {x}; convert them with .astype to float32 or float64"
        )
    whole = dtypes.complex64 if x.dtype == dtypes.float32 else dtypes.complex128
    return Aval(broadcast("complex", x.shape, y.shape), whole)


# -- reductions ------------------------------------------------------------------------------------


def reduced_shape(shape: Shape, axis: Sequence[int], keepdims: bool) -> Shape:
    """Return ``shape`` with ``axis`` reduced away, or to length 1."""
    if keepdims:
        return tuple([1 if i in axis else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in axis])


def reduction(name: str, kind: str, *, identity: bool = True) -> Callable[..., Aval]:
    """Make the inference of a reduction over a tuple of axes."""

    def infer(x: Aval, *, axis: Shape, keepdims: bool) -> Aval:
        require(name, x, kind)
        if not identity:
            _not_empty(name, x, axis)
        return Aval(reduced_shape(x.shape, axis, keepdims), x.dtype)

    return infer


def _not_empty(name: str, x: Aval, axis: Sequence[int]) -> None:
    empty = [i for i in axis if x.shape[i] == 0]
    if empty:
        raise ShapeError(
            f"{name}: the tensor has shape {x.shape}, so axis {empty[0]} is empty and has no "
            f"{name}; check for empty input first"
        )


def arg_reduction(name: str) -> Callable[..., Aval]:
    """Make the inference of argmax and argmin."""

    def infer(x: Aval, *, axis: int, keepdims: bool) -> Aval:
        require(name, x, "numeric")
        _not_empty(name, x, (axis,))
        return Aval(reduced_shape(x.shape, (axis,), keepdims), dtypes.int64)

    return infer


def scan(name: str) -> Callable[..., Aval]:
    """Make the inference of a cumulative operation along one axis."""

    def infer(x: Aval, *, axis: int) -> Aval:
        require(name, x, "numeric or complex")
        return x

    return infer


def argsort(x: Aval, *, axis: int, descending: bool) -> Aval:
    """``argsort(x, axis, descending)``."""
    require("argsort", x, "any")
    return Aval(x.shape, dtypes.int64)


# -- movement --------------------------------------------------------------------------------------


def reshape(x: Aval, *, shape: Shape) -> Aval:
    """``reshape(x, shape)``."""
    if prod(shape) != prod(x.shape):
        raise ShapeError(
            f"reshape: a tensor of shape {x.shape} has {prod(x.shape)} elements, shape {shape} has "
            f"{prod(shape)}; choose a shape with as many elements"
        )
    return Aval(shape, x.dtype)


def permute_dims(x: Aval, *, axes: Shape) -> Aval:
    """``permute_dims(x, axes)``."""
    if sorted(axes) != list(range(len(x.shape))):
        raise ShapeError(
            f"permute_dims: axes {axes} is not a permutation of the {len(x.shape)} axes of shape "
            f"{x.shape}; name every axis once"
        )
    return Aval(tuple([x.shape[i] for i in axes]), x.dtype)


def broadcast_to(x: Aval, *, shape: Shape) -> Aval:
    """``broadcast_to(x, shape)``."""
    if len(x.shape) > len(shape) or broadcast("broadcast_to", x.shape, shape) != shape:
        raise ShapeError(
            f"broadcast_to: shape {x.shape} does not broadcast to {shape}; axes must match or have "
            "length 1"
        )
    return Aval(shape, x.dtype)


def slice_(x: Aval, *, start: Shape, stop: Shape, step: Shape) -> Aval:
    """``slice(x, start, stop, step)``: bounds are within the axis, steps positive."""
    _fitting("slice", x, start=start, stop=stop, step=step)
    for n, first, last, by in zip(x.shape, start, stop, step, strict=True):
        if not (0 <= first <= last <= n and by >= 1):
            raise ShapeError(
                f"slice: [{first}:{last}:{by}] does not lie in an axis of length {n}; keep 0 <= "
                "start <= stop <= length and step >= 1"
            )
    return Aval(
        tuple(
            [-(-(last - first) // by) for first, last, by in zip(start, stop, step, strict=True)]
        ),
        x.dtype,
    )


def flip(x: Aval, *, axis: Shape) -> Aval:
    """``flip(x, axis)``."""
    return x


def pad(x: Aval, *, low: Shape, high: Shape, interior: Shape, value: float) -> Aval:
    """``pad(x, low, high, interior, value)``."""
    _fitting("pad", x, low=low, high=high, interior=interior)
    _fits("pad", value, x.dtype)
    if min((*low, *high, *interior), default=0) < 0:
        raise ShapeError(
            f"pad: widths {low}, {high}, {interior} must not be negative; slice to make a tensor "
            "smaller"
        )
    parts = zip(x.shape, low, high, interior, strict=True)
    return Aval(tuple([a + n + max(n - 1, 0) * i + b for n, a, b, i in parts]), x.dtype)


def _fitting(name: str, x: Aval, **parameters: Shape) -> None:
    for parameter, values in parameters.items():
        if len(values) != len(x.shape):
            raise ShapeError(
                f"{name}: {parameter} is {values} for a tensor of shape {x.shape}; give one number "
                "for each axis"
            )


def concat(*xs: Aval, axis: int) -> Aval:
    """``concat(xs, axis)``."""
    same_dtype("concat", *xs)
    rest = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in xs}
    if len(rest) != 1 or any(len(x.shape) != len(xs[0].shape) for x in xs):
        listed = ", ".join(str(x.shape) for x in xs)
        raise ShapeError(
            f"concat: shapes {listed} differ beside axis {axis}; make the other axes equal"
        )
    first = xs[0].shape
    return Aval((*first[:axis], sum(x.shape[axis] for x in xs), *first[axis + 1 :]), xs[0].dtype)


# -- indexing --------------------------------------------------------------------------------------


def _indices(name: str, indices: Aval) -> None:
    if indices.dtype not in (dtypes.int32, dtypes.int64):
        raise DTypeError(f"{name}: indices are {indices}; convert them with .astype(isograd.int64)")


def _taken(x: Aval, indices: Aval, axis: int) -> Shape:
    return (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def take(x: Aval, indices: Aval, *, axis: int) -> Aval:
    """``take(x, indices, axis)``: the axis is replaced by the shape of the indices."""
    _indices("take", indices)
    return Aval(_taken(x, indices, axis), x.dtype)


def put(name: str) -> Callable[..., Aval]:
    """Make the inference of scatter_add and index_set: updates have the shape that take returns."""

    def infer(x: Aval, indices: Aval, updates: Aval, *, axis: int) -> Aval:
        _indices(name, indices)
        same_dtype(name, x, updates)
        wanted = _taken(x, indices, axis)
        if updates.shape != wanted:
            raise ShapeError(
                f"{name}: updates have shape {updates.shape}, but indices of shape {indices.shape} "
                f"on axis {axis} of {x.shape} need {wanted}; reshape or broadcast the updates"
            )
        return x

    return infer


def _along(name: str, x: Aval, indices: Aval, axis: int) -> None:
    _indices(name, indices)
    fits = len(indices.shape) == len(x.shape) and all(
        i == axis or n == m for i, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True))
    )
    if not fits:
        raise ShapeError(
            f"{name}: indices of shape {indices.shape} do not fit a tensor of shape {x.shape} "
            f"along axis {axis}; all other axes must be equal"
        )


def take_along_axis(x: Aval, indices: Aval, *, axis: int) -> Aval:
    """``take_along_axis(x, indices, axis)``."""
    _along("take_along_axis", x, indices, axis)
    return Aval(indices.shape, x.dtype)


def scatter_add_along_axis(x: Aval, indices: Aval, updates: Aval, *, axis: int) -> Aval:
    """``scatter_add_along_axis(x, indices, updates, axis)``."""
    _along("scatter_add_along_axis", x, indices, axis)
    same_dtype("scatter_add_along_axis", x, updates)
    if updates.shape != indices.shape:
        raise ShapeError(
            f"scatter_add_along_axis: updates have shape {updates.shape}, indices {indices.shape}; "
            "make them equal"
        )
    return x


# -- contraction and windows -----------------------------------------------------------------------


def matmul(x: Aval, y: Aval) -> Aval:
    """``matmul(x, y)`` of matrices, with batch axes that broadcast."""
    require("matmul", x, "numeric or complex")
    same_dtype("matmul", x, y)
    if len(x.shape) < 2 or len(y.shape) < 2 or x.shape[-1] != y.shape[-2]:
        raise ShapeError(
            f"matmul: shapes {x.shape} and {y.shape} do not multiply: the last axis of the first "
            "must equal the second-last of the second; transpose or reshape one of them"
        )
    try:
        batch = broadcast("matmul", x.shape[:-2], y.shape[:-2])
    except ShapeError:
        raise ShapeError(
            f"matmul: the leading axes of {x.shape} and {y.shape} do not broadcast; reshape or "
            "expand one of them"
        ) from None
    return Aval((*batch, x.shape[-2], y.shape[-1]), x.dtype)


def window_counts(
    function: str, size: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> Shape:
    """Return how many windows fit along each axis, or raise."""
    for what, values in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        if len(values) != len(size) or min(values, default=1) < 1:
            raise ShapeError(
                f"{function}: {what} is {values} for window axes of lengths {size}; give one "
                "number of at least 1 for each"
            )
    counts: list[int] = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        if reach > n:
            raise ShapeError(
                f"{function}: a kernel of {k} with dilation {d} reaches over {reach} elements, but "
                f"the axis has {n}; pad the tensor or use a smaller kernel"
            )
        counts.append((n - reach) // s + 1)
    return tuple(counts)


def unfold(x: Aval, *, kernel: Shape, stride: Shape, dilation: Shape) -> Aval:
    """``unfold(x, kernel, stride, dilation)``: windows over the last axes."""
    k = len(kernel)
    if not 1 <= k <= len(x.shape):
        raise ShapeError(
            f"unfold: a kernel of {k} axes does not fit a tensor of shape {x.shape}; use fewer axes"
        )
    counts = window_counts("unfold", x.shape[-k:], kernel, stride, dilation)
    return Aval((*x.shape[:-k], *counts, *kernel), x.dtype)


def fold(x: Aval, *, size: Shape, stride: Shape, dilation: Shape) -> Aval:
    """``fold(x, size, stride, dilation)``: the transpose of unfold."""
    require("fold", x, "numeric or complex")
    k = len(size)
    counts, kernel = x.shape[len(x.shape) - 2 * k : len(x.shape) - k], x.shape[len(x.shape) - k :]
    if len(x.shape) < 2 * k or counts != window_counts("fold", size, kernel, stride, dilation):
        raise ShapeError(
            f"fold: windows of shape {x.shape} do not come from axes of lengths {size} with stride "
            f"{stride} and dilation {dilation}; pass what unfold was given"
        )
    return Aval((*x.shape[: len(x.shape) - 2 * k], *size), x.dtype)


# -- Fourier transforms ----------------------------------------------------------------------------


def fft(x: Aval, *, axes: Shape, inverse: bool, norm: str) -> Aval:
    """``fft(x, axes, inverse, norm)``: of the lengths that the axes have."""
    require("fft", x, "complex")
    _transformable("fft", x, axes)
    return x


def rfft(x: Aval, *, axis: int, norm: str) -> Aval:
    """``rfft(x, axis, norm)``: real numbers to the first half of their spectrum."""
    if x.dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError(
            f"rfft: the argument is {x}, but this needs float32 or float64; convert it with "
            ".astype, or use isograd.fft.fft for complex numbers"
        )
    _transformable("rfft", x, (axis,))
    whole = dtypes.complex64 if x.dtype == dtypes.float32 else dtypes.complex128
    return Aval((*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :]), whole)


def irfft(x: Aval, *, axis: int, n: int, norm: str) -> Aval:
    """``irfft(x, axis, n, norm)``: half a spectrum, of ``n // 2 + 1`` bins, to real numbers."""
    require("irfft", x, "complex")
    if n < 1 or x.shape[axis] != n // 2 + 1:
        raise ShapeError(
            f"irfft: axis {axis} of shape {x.shape} has {x.shape[axis]} bins, but {n} numbers have "
            f"{n // 2 + 1}; pad or slice it"
        )
    return Aval((*x.shape[:axis], n, *x.shape[axis + 1 :]), dtypes.component(x.dtype))


def _transformable(function: str, x: Aval, axes: Shape) -> None:
    for axis in axes:
        if x.shape[axis] == 0:
            raise ShapeError(
                f"{function}: axis {axis} of shape {x.shape} is empty, so it has no spectrum; pad "
                "it to a length of at least 1"
            )


# -- sources ---------------------------------------------------------------------------------------


def full(*, shape: Shape, value: Any, dtype: dtypes.DType, device: Device) -> Aval:
    """``full(shape, value, dtype, device)``."""
    _fits("full", value, dtype)
    return Aval(shape, dtype)


def _fits(function: str, value: Any, dtype: dtypes.DType) -> None:
    if isinstance(value, complex) and dtype.kind != "c":
        raise DTypeError(
            f"{function}: the complex number {value} does not fit into {dtype}; pass a real one"
        )


def arange(*, start: Any, stop: Any, step: Any, dtype: dtypes.DType, device: Device) -> Aval:
    """``arange(start, stop, step, dtype, device)``."""
    if step == 0:
        raise ShapeError("arange: step is 0; pass a step that leads from start to stop")
    span = stop - start
    # Exact for integers of any size; for floats the rounded quotient, as in NumPy.
    count = (
        -(-span // step) if isinstance(span, int) and isinstance(step, int) else ceil(span / step)
    )
    return Aval((max(0, int(count)),), dtype)


def random_bits(key: Aval, *, shape: Shape, bits: int) -> Aval:
    """``random_bits(key, shape, bits)``."""
    check_key("random_bits", key)
    return Aval(shape, dtypes.uint32 if bits == 32 else dtypes.uint64)


def check_key(function: str, key: Aval) -> None:
    """Raise unless ``key`` is a random key."""
    if key != Aval((2,), dtypes.uint64):
        raise DTypeError(f"{function}: the key is {key}; pass one that a Generator made, uint64[2]")
