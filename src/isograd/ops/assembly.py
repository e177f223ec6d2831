"""Padding by rule, and joining tensors in NumPy's further names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isograd.core.errors import ShapeError
from isograd.ops import movement
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, axis_of
from isograd.ops.movement import concat, expand_dims, permute_dims, reshape
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "column_stack",
    "dstack",
    "hstack",
    "pad",
    "swapaxes",
    "vstack",
]

_MODES = ("edge", "reflect", "symmetric", "wrap")


def pad(
    x: TensorLike, pad_width: Any, /, mode: str = "constant", *, constant_values: float = 0.0
) -> Tensor:
    """Return the tensor with elements added around it.

    Parameters
    ----------
    pad_width
        One number for all sides, a pair ``(before, after)`` for all axes, or such a pair for each.
    mode
        Add ``constant_values`` ("constant"), the first and last element ("edge"), the elements
        mirrored at these two ("reflect") or just outside them ("symmetric"), or those of the other
        end ("wrap").

    Raises
    ------
    ShapeError
        If the widths do not fit the axes, or an axis of length 0 has nothing to add.
    ValueError
        If there is no such mode.

    >>> pad(tensor([1, 2, 3]), 1).tolist()
    [0, 1, 2, 3, 0]
    >>> pad(tensor([1, 2, 3]), (2, 1), mode="reflect").tolist()
    [3, 2, 1, 2, 3, 2]
    """
    t = as_tensor("pad", x)
    widths = _widths(pad_width, t)
    if mode == "constant":
        return movement.pad(t, widths, value=constant_values)
    if mode not in _MODES:
        known = ", ".join(map(repr, ("constant", *_MODES)))
        raise ValueError(f"pad: there is no mode {mode!r}; use one of {known}")
    for axis, width in enumerate(widths):
        n = t.shape[axis]
        if width == (0, 0):
            continue
        if n == 0:
            raise ShapeError(
                f"pad: mode {mode!r} has nothing to add to axis {axis} of shape {t.shape}; use "
                "mode='constant'"
            )
        rows = np.pad(np.arange(n), width, mode=mode)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        t = bind(p.take, t, as_tensor("pad", rows, t.device), axis=axis)
    return t


def _widths(pad_width: Any, t: Tensor) -> list[tuple[int, int]]:
    if not t.ndim:
        return []
    pairs: Any
    try:
        pairs = np.broadcast_to(np.asarray(pad_width), (t.ndim, 2))
    except ValueError:
        pairs = np.zeros(0)
    if pairs.dtype.kind not in "iu" or (pairs.size and pairs.min() < 0):
        raise ShapeError(
            f"pad: pad_width is {pad_width} for shape {t.shape}; give one number of at least 0, a "
            "pair, or a pair for each axis"
        )
    return [(int(low), int(high)) for low, high in pairs]


def atleast_1d(x: TensorLike, /) -> Tensor:
    """Return the tensor with at least one axis.

    >>> atleast_1d(3.0).shape
    (1,)
    """
    t = as_tensor("atleast_1d", x)
    return t if t.ndim else reshape(t, (1,))


def atleast_2d(x: TensorLike, /) -> Tensor:
    """Return the tensor with at least two axes, new ones first.

    >>> atleast_2d(ones(3)).shape
    (1, 3)
    """
    t = as_tensor("atleast_2d", x)
    return t if t.ndim >= 2 else reshape(t, (1,) * (2 - t.ndim) + t.shape)


def atleast_3d(x: TensorLike, /) -> Tensor:
    """Return the tensor with at least three axes: ``(n,)`` becomes ``(1, n, 1)``.

    >>> atleast_3d(ones((2, 3))).shape
    (2, 3, 1)
    """
    t = as_tensor("atleast_3d", x)
    return t if t.ndim >= 3 else expand_dims(atleast_2d(t), axis=2)


def hstack(arrays: Sequence[TensorLike], /) -> Tensor:
    """Join along the second axis, vectors along their only one.

    >>> hstack([tensor([1, 2]), tensor([3])]).tolist()
    [1, 2, 3]
    """
    tensors = [atleast_1d(x) for x in _some("hstack", arrays)]
    return concat(tensors, axis=0 if tensors[0].ndim == 1 else 1)


def vstack(arrays: Sequence[TensorLike], /) -> Tensor:
    """Join along the first axis; vectors become rows.

    >>> vstack([tensor([1, 2]), tensor([3, 4])]).tolist()
    [[1, 2], [3, 4]]
    """
    return concat([atleast_2d(x) for x in _some("vstack", arrays)], axis=0)


def dstack(arrays: Sequence[TensorLike], /) -> Tensor:
    """Join along the third axis, which matrices and vectors get as `atleast_3d` says.

    >>> dstack([tensor([1, 2]), tensor([3, 4])]).tolist()
    [[[1, 3], [2, 4]]]
    """
    return concat([atleast_3d(x) for x in _some("dstack", arrays)], axis=2)


def column_stack(arrays: Sequence[TensorLike], /) -> Tensor:
    """Join along the second axis; vectors become columns.

    >>> column_stack([tensor([1, 2]), tensor([3, 4])]).tolist()
    [[1, 3], [2, 4]]
    """
    tensors = [atleast_1d(x) for x in _some("column_stack", arrays)]
    return concat([expand_dims(t, axis=1) if t.ndim == 1 else t for t in tensors], axis=1)


def _some(function: str, arrays: Sequence[TensorLike]) -> Sequence[TensorLike]:
    if len(arrays) == 0:
        raise ShapeError(f"{function}: there are no tensors; pass at least one")
    return arrays


def swapaxes(x: TensorLike, axis1: int, axis2: int, /) -> Tensor:
    """Return the tensor with two axes exchanged.

    >>> swapaxes(ones((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    t = as_tensor("swapaxes", x)
    first, second = axis_of("swapaxes", axis1, t.ndim), axis_of("swapaxes", axis2, t.ndim)
    order = list(range(t.ndim))
    order[first], order[second] = second, first
    return permute_dims(t, order)
