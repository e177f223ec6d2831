"""Putting maxima back to where max pooling found them, with torch's names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isograd.core.errors import ShapeError
from isograd.nn.functional._windows import Ints, each
from isograd.ops import elementwise as m
from isograd.ops.creation import asarray, zeros
from isograd.ops.indexing import index_set
from isograd.ops.movement import expand_dims, reshape
from isograd.runtime.tensor import Tensor

__all__ = [
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def _max_unpool(
    function: str,
    count: int,
    x: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    output_size: Sequence[int] | None,
) -> Tensor:
    kernel = each(function, "kernel_size", kernel_size, count)
    strides = kernel if stride is None else each(function, "stride", stride, count)
    around = each(function, "padding", padding, count, least=0)
    if x.shape != indices.shape or x.ndim not in (count + 1, count + 2):
        raise ShapeError(
            f"{function}: values {x.shape} and indices {indices.shape} do not fit; pass what "
            "max_pool returned with return_indices=True"
        )
    usual = [
        (n - 1) * s - 2 * p + k
        for n, k, s, p in zip(x.shape[-count:], kernel, strides, around, strict=True)
    ]
    size = usual if output_size is None else list(output_size)[-count:]
    if len(size) != count or any(
        abs(a - b) >= s for a, b, s in zip(size, usual, strides, strict=True)
    ):
        raise ShapeError(
            f"{function}: output_size={output_size} cannot come from an input of shape {x.shape}; "
            f"each length must be less than the stride {strides} from {usual}"
        )
    total = int(np.prod(size))
    batch = x.shape[: x.ndim - count]
    rows = int(np.prod(batch))
    flat = reshape(indices, (rows, -1 if indices.size else 0))
    # An index out of its own image must not land in the next one.
    last = rows * total
    offsets = expand_dims(asarray(np.arange(rows) * total, device=x.device), axis=1)
    own = m.logical_and(flat >= 0, flat < total)
    places = reshape(m.where(own, flat + offsets, last), (-1 if indices.size else 0,))
    base = zeros((last,), dtype=x.dtype, device=x.device)
    out = index_set(base, places, reshape(x, places.shape), axis=0)
    return reshape(out, (*batch, *size))


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima back to where they were, with 0 elsewhere; see `max_unpool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([[1.0, 3.0, 2.0, 5.0]])
    >>> max_unpool1d(*ig.nn.functional.max_pool1d(x, 2, return_indices=True), 2).tolist()
    [[0.0, 3.0, 0.0, 5.0]]
    """
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima back to where they were, with 0 elsewhere.

    Parameters
    ----------
    input, indices : Tensor
        What `max_pool2d` returned with ``return_indices=True``.
    kernel_size, stride, padding
        As they were there.
    output_size : sequence of int, optional
        The shape before pooling, where a stride allows several.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    IndexOutOfRangeError
        If an index is not inside the output.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([[[1.0, 3.0], [2.0, 5.0]]])
    >>> max_unpool2d(*ig.nn.functional.max_pool2d(x, 2, return_indices=True), 2).tolist()
    [[[0.0, 0.0], [0.0, 5.0]]]
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima back to where they were, with 0 elsewhere; see `max_unpool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> pooled = ig.nn.functional.max_pool3d(ig.ones((1, 4, 4, 4)), 2, return_indices=True)
    >>> max_unpool3d(*pooled, 2).shape
    (1, 4, 4, 4)
    """
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
