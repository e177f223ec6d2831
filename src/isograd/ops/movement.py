"""Reshaping, reordering, joining and splitting. None of these does arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.errors import ShapeError
from isograd.ops import infer
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, axes_of, axis_of, cast, concrete, shape_of
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flatten",
    "flip",
    "fold",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "slice_axis",
    "split",
    "squeeze",
    "stack",
    "strided_slice",
    "tile",
    "transpose",
    "unfold",
    "unstack",
]

Ints = int | Sequence[int]


def reshape(x: TensorLike, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """Return the elements, in row-major order, in another shape; one length may be -1.

    Tensors are immutable, so ``copy`` never matters.

    Raises
    ------
    ShapeError
        If the shape has another number of elements.

    >>> reshape(arange(6), (2, -1)).shape
    (2, 3)
    """
    t = as_tensor("reshape", x)
    wanted = _resolved(t, shape)
    return t if wanted == t.aval.shape else bind(p.reshape, t, shape=wanted)


def _resolved(t: Tensor, shape: Any) -> tuple[int, ...]:
    items: list[int] = [shape] if isinstance(shape, int) else list(shape)
    unknown = [i for i, n in enumerate(items) if n == -1]
    if len(unknown) > 1:
        raise ShapeError(
            f"reshape: shape {tuple(items)} leaves several lengths open; use -1 for one of them"
        )
    if len(unknown) == 1:
        rest = prod([n for n in items if n != -1])
        if rest == 0 or t.size % rest:
            raise ShapeError(
                f"reshape: {t.size} elements of shape {t.shape} do not fill {tuple(items)}; choose "
                "lengths whose product divides the number of elements"
            )
        items[unknown[0]] = t.size // rest
    return shape_of("reshape", items)


def flatten(x: TensorLike, start: int = 0, end: int = -1, /) -> Tensor:
    """Return the tensor with axes ``start`` to ``end`` made one.

    >>> flatten(zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    t = as_tensor("flatten", x)
    if t.ndim == 0:
        return reshape(t, (1,))
    first, last = axis_of("flatten", start, t.ndim), axis_of("flatten", end, t.ndim)
    return reshape(t, (*t.shape[:first], prod(t.shape[first : last + 1]), *t.shape[last + 1 :]))


def permute_dims(x: TensorLike, /, axes: Sequence[int]) -> Tensor:
    """Return the tensor with its axes in another order.

    >>> permute_dims(zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    t = as_tensor("permute_dims", x)
    order = tuple([axis_of("permute_dims", axis, t.ndim) for axis in axes])
    return bind(p.permute_dims, t, axes=order)


def transpose(x: TensorLike, axes: Sequence[int] | None = None, /) -> Tensor:
    """Return the tensor with its axes reversed, or in the order ``axes``.

    >>> transpose(zeros((2, 3))).shape
    (3, 2)
    """
    t = as_tensor("transpose", x)
    return permute_dims(t, tuple(range(t.ndim))[::-1] if axes is None else axes)


def matrix_transpose(x: TensorLike, /) -> Tensor:
    """Return the tensor with its last two axes exchanged.

    >>> matrix_transpose(zeros((5, 2, 3))).shape
    (5, 3, 2)
    """
    t = as_tensor("matrix_transpose", x)
    if t.ndim < 2:
        raise ShapeError(
            f"matrix_transpose: the tensor has shape {t.shape}; pass a matrix or a batch of them"
        )
    axes = tuple(range(t.ndim))
    return bind(p.permute_dims, t, axes=(*axes[:-2], axes[-1], axes[-2]))


def moveaxis(x: TensorLike, source: Ints, destination: Ints, /) -> Tensor:
    """Return the tensor with some axes moved to other places.

    >>> moveaxis(zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    t = as_tensor("moveaxis", x)
    origins = [
        axis_of("moveaxis", a, t.ndim) for a in ([source] if isinstance(source, int) else source)
    ]
    targets = [
        axis_of("moveaxis", a, t.ndim)
        for a in ([destination] if isinstance(destination, int) else destination)
    ]
    if (
        len(origins) != len(targets)
        or len(set(origins)) != len(origins)
        or len(set(targets)) != len(targets)
    ):
        raise ShapeError(
            f"moveaxis: cannot move axes {source} to {destination}; name as many places, each once"
        )
    order = [axis for axis in range(t.ndim) if axis not in origins]
    for target, origin in sorted(zip(targets, origins, strict=True)):
        order.insert(target, origin)
    return permute_dims(t, order)


def expand_dims(x: TensorLike, /, axis: Ints = 0) -> Tensor:
    """Return the tensor with new axes of length 1, at places of the result.

    >>> expand_dims(zeros((2, 3)), axis=1).shape
    (2, 1, 3)
    """
    t = as_tensor("expand_dims", x)
    count = len(axis) if isinstance(axis, tuple | list) else 1
    axes = axes_of("expand_dims", axis, t.ndim + count)
    rest = iter(t.shape)
    return reshape(t, tuple([1 if i in axes else next(rest) for i in range(t.ndim + count)]))


def squeeze(x: TensorLike, /, axis: Any) -> Tensor:
    """Return the tensor without the given axes, which must have length 1.

    >>> squeeze(zeros((2, 1, 3)), 1).shape
    (2, 3)
    """
    t = as_tensor("squeeze", x)
    axes = axes_of("squeeze", axis, t.ndim)
    long = [i for i in axes if t.shape[i] != 1]
    if long:
        raise ShapeError(
            f"squeeze: axis {long[0]} of shape {t.shape} does not have length 1; leave it out"
        )
    return reshape(t, tuple([n for i, n in enumerate(t.shape) if i not in axes]))


def broadcast_to(x: TensorLike, /, shape: Any) -> Tensor:
    """Return the tensor repeated along new axes and axes of length 1 to reach ``shape``.

    >>> broadcast_to(tensor([1, 2]), (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    t = as_tensor("broadcast_to", x)
    wanted = shape_of("broadcast_to", shape)
    return t if wanted == t.aval.shape else bind(p.broadcast_to, t, shape=wanted)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that shapes broadcast to.

    >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    return infer.broadcast("broadcast_shapes", *shapes) if shapes else ()


def broadcast_arrays(*arrays: TensorLike) -> tuple[Tensor, ...]:
    """Return the tensors broadcast to one shape.

    >>> [t.shape for t in broadcast_arrays(zeros((3, 1)), zeros(4))]
    [(3, 4), (3, 4)]
    """
    tensors = [as_tensor("broadcast_arrays", x) for x in arrays]
    shape = broadcast_shapes(*[t.shape for t in tensors])
    return tuple([broadcast_to(t, shape) for t in tensors])


def flip(x: TensorLike, /, *, axis: Any = None) -> Tensor:
    """Return the tensor with the order along some axes reversed; all axes for None.

    >>> flip(tensor([1, 2, 3])).tolist()
    [3, 2, 1]
    """
    t = as_tensor("flip", x)
    return bind(p.flip, t, axis=axes_of("flip", axis, t.ndim))


def roll(x: TensorLike, /, shift: Ints, *, axis: Any = None) -> Tensor:
    """Return the tensor with elements moved along axes, re-entering at the other end.

    >>> roll(tensor([1, 2, 3]), 1).tolist()
    [3, 1, 2]
    """
    t = as_tensor("roll", x)
    if axis is None:
        if not isinstance(shift, int):
            raise ShapeError(f"roll: shift is {shift} without axes; name an axis for each shift")
        return reshape(roll(flatten(t), shift, axis=0), t.shape)
    axes: list[Any] = [axis] if isinstance(axis, int) else list(axis)
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    if len(shifts) != len(axes):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes; give one for each axis")
    for by, number in zip(shifts, axes, strict=True):
        i = axis_of("roll", number, t.ndim)
        n = t.shape[i]
        if n and by % n:
            t = concat([slice_axis(t, i, n - by % n, n), slice_axis(t, i, 0, n - by % n)], axis=i)
    return t


def concat(arrays: Sequence[TensorLike], /, *, axis: int | None = 0) -> Tensor:
    """Join tensors along an axis; None joins them flattened.

    >>> concat([tensor([1, 2]), tensor([3])]).tolist()
    [1, 2, 3]
    """
    if not arrays:
        raise ShapeError("concat: there are no tensors; pass at least one")
    tensors = [as_tensor("concat", x) for x in arrays]
    if axis is None:
        tensors, axis = [flatten(t) for t in tensors], 0
    number = axis_of("concat", axis, tensors[0].ndim)
    dtype = dtypes.result_type(*[t.dtype for t in tensors])
    return bind(p.concat, *[cast(t, dtype) for t in tensors], axis=number)


def stack(arrays: Sequence[TensorLike], /, *, axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis.

    >>> stack([tensor([1, 2]), tensor([3, 4])]).tolist()
    [[1, 2], [3, 4]]
    """
    tensors = [as_tensor("stack", x) for x in arrays]
    shapes = {t.shape for t in tensors}
    if len(shapes) != 1:
        raise ShapeError(
            f"stack: the tensors have shapes {sorted(shapes)}; pass at least one, all of one shape"
        )
    number = axis_of("stack", axis, tensors[0].ndim + 1)
    return concat([expand_dims(t, axis=number) for t in tensors], axis=number)


def unstack(x: TensorLike, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Split a tensor along an axis into tensors without it.

    >>> [t.item() for t in unstack(tensor([1, 2]))]
    [1, 2]
    """
    t = as_tensor("unstack", x)
    number = axis_of("unstack", axis, t.ndim)
    return tuple([squeeze(slice_axis(t, number, i, i + 1), number) for i in range(t.shape[number])])


def split(x: TensorLike, sections: Ints, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Split a tensor along an axis into equal parts, or at the given indices.

    >>> [t.tolist() for t in split(arange(5), (2, 3))]
    [[0, 1], [2], [3, 4]]
    """
    t = as_tensor("split", x)
    number = axis_of("split", axis, t.ndim)
    n = t.shape[number]
    if isinstance(sections, int):
        if sections < 1 or n % sections:
            raise ShapeError(
                f"split: axis {number} of length {n} does not split into {sections} equal parts"
            )
        width = n // sections
        cuts = [width * i for i in range(sections + 1)]
    else:
        cuts = [0, *[min(max(c, 0), n) for c in sections], n]
    return tuple([slice_axis(t, number, a, max(a, b)) for a, b in pairwise(cuts)])


def tile(x: TensorLike, repetitions: Ints, /) -> Tensor:
    """Return the tensor laid side by side along each axis.

    >>> tile(tensor([1, 2]), 2).tolist()
    [1, 2, 1, 2]
    """
    t = as_tensor("tile", x)
    counts = shape_of("tile", repetitions)
    ndim = max(t.ndim, len(counts))
    shape = (1,) * (ndim - t.ndim) + t.shape
    counts = (1,) * (ndim - len(counts)) + counts
    apart = reshape(t, tuple([n for length in shape for n in (1, length)]))
    spread = broadcast_to(
        apart, tuple([n for pair in zip(counts, shape, strict=True) for n in pair])
    )
    return reshape(spread, tuple([a * b for a, b in zip(counts, shape, strict=True)]))


def repeat(x: TensorLike, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Return the tensor with each element repeated along an axis; flattened for None.

    Parameters
    ----------
    repeats
        How often: one number, or one for each element along the axis, as a tensor of integers. The
        shape then depends on the data.

    >>> repeat(tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    >>> repeat(tensor([1, 2]), tensor([1, 3])).tolist()
    [1, 2, 2, 2]
    """
    t = as_tensor("repeat", x)
    if axis is None:
        t, axis = flatten(t), 0
    i = axis_of("repeat", axis, t.ndim)
    counts = _counts(repeats, t.shape[i])
    if len(counts) != 1:
        rows = np.repeat(np.arange(t.shape[i]), counts)
        return bind(p.take, t, as_tensor("repeat", rows, t.device), axis=i)
    n = counts[0]
    wide = broadcast_to(expand_dims(t, axis=i + 1), (*t.shape[: i + 1], n, *t.shape[i + 1 :]))
    return reshape(wide, (*t.shape[:i], t.shape[i] * n, *t.shape[i + 1 :]))


def _counts(repeats: Any, n: int) -> tuple[int, ...]:
    """Return how often each of n elements is repeated; one number where it is all the same."""
    if isinstance(repeats, Tensor):
        repeats = concrete("repeat", repeats, "pass repeats as a number or a tuple")
    given = repeats.tolist() if isinstance(repeats, np.ndarray) else repeats  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    try:
        found = shape_of("repeat", given)
    except ShapeError:
        raise ShapeError(f"repeat: repeats is {given}; pass at least 0") from None
    if len(found) not in (1, n):
        raise ShapeError(
            f"repeat: {len(found)} repeats for {n} elements; give one number, or one for each"
        )
    return found


def pad(x: TensorLike, widths: Any, /, *, value: float = 0.0) -> Tensor:
    """Return the tensor with ``value`` added around it.

    Parameters
    ----------
    widths
        One number for all sides, or a pair ``(before, after)`` for each axis.

    >>> pad(tensor([1, 2]), 1).tolist()
    [0, 1, 2, 0]
    """
    t = as_tensor("pad", x)
    pairs: list[tuple[int, int]] = (
        [(widths, widths)] * t.ndim if isinstance(widths, int) else [tuple(w) for w in widths]
    )
    if len(pairs) != t.ndim:
        raise ShapeError(
            f"pad: {len(pairs)} pairs of widths for a tensor of shape {t.shape}; give one for each "
            "axis"
        )
    low, high = tuple([a for a, _ in pairs]), tuple([b for _, b in pairs])
    return bind(p.pad, t, low=low, high=high, interior=(0,) * t.ndim, value=value)


def slice_axis(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """Return the part of a tensor from ``start`` to ``stop`` along one axis."""
    first = [0] * x.ndim
    last = list(x.shape)
    first[axis], last[axis] = start, stop
    return strided_slice(x, tuple(first), tuple(last), (1,) * x.ndim)


def strided_slice(
    x: Tensor, start: tuple[int, ...], stop: tuple[int, ...], step: tuple[int, ...]
) -> Tensor:
    """Return every ``step``-th element from ``start`` to ``stop`` along each axis."""
    return bind(p.slice, x, start=start, stop=stop, step=step)


def _for_each(function: str, value: Ints, count: int) -> tuple[int, ...]:
    values = (value,) * count if isinstance(value, int) else tuple(value)
    if len(values) != count:
        raise ShapeError(
            f"{function}: {values} has {len(values)} numbers for {count} window axes; give one for "
            "each"
        )
    return values


def unfold(x: TensorLike, /, kernel: Ints, *, stride: Ints = 1, dilation: Ints = 1) -> Tensor:
    """Return all windows over the last axes: ``(..., s1..sk)`` becomes ``(..., o1..ok, k1..kk)``.

    Parameters
    ----------
    kernel, stride, dilation
        Numbers for each window axis; ``kernel`` says how many there are.

    >>> unfold(tensor([1, 2, 3]), 2).tolist()
    [[1, 2], [2, 3]]
    """
    widths = (kernel,) if isinstance(kernel, int) else tuple(kernel)
    k = len(widths)
    strides, dilations = _for_each("unfold", stride, k), _for_each("unfold", dilation, k)
    return bind(p.unfold, as_tensor("unfold", x), kernel=widths, stride=strides, dilation=dilations)


def fold(x: TensorLike, /, size: Ints, *, stride: Ints = 1, dilation: Ints = 1) -> Tensor:
    """Sum windows back into axes of lengths ``size``: the transpose of `unfold`.

    >>> fold(tensor([[1, 2], [2, 3]]), 3).tolist()
    [1, 4, 3]
    """
    sizes = (size,) if isinstance(size, int) else tuple(size)
    k = len(sizes)
    strides, dilations = _for_each("fold", stride, k), _for_each("fold", dilation, k)
    return bind(p.fold, as_tensor("fold", x), size=sizes, stride=strides, dilation=dilations)
