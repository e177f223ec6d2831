"""Pooling in windows that adapt to the size of the output, with torch's names."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from isograd.core.errors import ShapeError
from isograd.nn.functional._windows import batched
from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops import reductions as r
from isograd.ops.creation import asarray
from isograd.ops.indexing import take, take_along_axis
from isograd.ops.movement import expand_dims, permute_dims, reshape, squeeze
from isograd.runtime.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]

Sizes = int | None | Sequence[int | None]


def _target(function: str, output_size: Sizes, size: Sequence[int]) -> tuple[int, ...]:
    values = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * len(size)
    if len(values) != len(size) or any(v is not None and v < 0 for v in values):
        raise ShapeError(
            f"{function}: output_size={output_size} does not give {len(size)} lengths; pass one "
            "number, or one (or None, to keep the length) for each axis"
        )
    if 0 in size:
        raise ShapeError(
            f"{function}: the input has axes of lengths {tuple(size)}; pass at least one element"
        )
    return tuple([n if v is None else v for v, n in zip(values, size, strict=True)])


def _bins(n: int, count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the elements of each bin (count, longest), and which of them are real."""
    start = np.arange(count) * n // max(count, 1)
    stop = -(-(np.arange(count) + 1) * n // max(count, 1))
    longest = int((stop - start).max()) if count else 1
    index = start[:, None] + np.arange(longest)
    return np.minimum(index, n - 1), index < stop[:, None]


def _gathered(x: Tensor, bins: Sequence[Any]) -> Tensor:
    """Return the elements of each bin: ``(N, C, *count, *longest)``."""
    count = len(bins)
    for i, (index, _) in enumerate(bins):
        axis = 2 + 2 * i
        x = take(x, asarray(index, device=x.device), axis=axis)
    order = (0, 1, *range(2, 2 + 2 * count, 2), *range(3, 3 + 2 * count, 2))
    return permute_dims(x, order)


def _real(bins: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return which of the gathered elements are real: ``(*count, *longest)``."""
    count = len(bins)
    total = np.ones((1,) * (2 * count), np.bool_)
    for i, (_, real) in enumerate(bins):
        shape = [1] * (2 * count)
        shape[i], shape[count + i] = real.shape
        total = total & real.reshape(shape)
    return total


def _adaptive_avg(function: str, count: int, x: Tensor, output_size: Sizes) -> Tensor:
    def run(x: Tensor) -> Tensor:
        size = x.shape[2:]
        target = _target(function, output_size, size)
        if all(o and n % o == 0 for n, o in zip(size, target, strict=True)):
            kernel = tuple([n // o for n, o in zip(size, target, strict=True)])
            none = ((0, 0),) * count
            return fused.window_sum(x, kernel, kernel, none) / float(np.prod(kernel))
        bins = [_bins(n, o) for n, o in zip(size, target, strict=True)]
        real = _real(bins)
        axes = tuple(range(2 + count, 2 + 2 * count))
        kept = m.where(asarray(real, device=x.device), _gathered(x, bins), 0)
        counts = real.sum(tuple(range(count, 2 * count)))
        return r.sum(kept, axis=axes) / asarray(counts, dtype=x.dtype, device=x.device)

    return batched(function, x, count, run)


def _adaptive_max(
    function: str, count: int, x: Tensor, output_size: Sizes, return_indices: bool
) -> Any:
    found: list[Tensor] = []

    def run(x: Tensor) -> Tensor:
        size = x.shape[2:]
        target = _target(function, output_size, size)
        bins = [_bins(n, o) for n, o in zip(size, target, strict=True)]
        real = asarray(_real(bins), device=x.device)
        longest = prod([index.shape[1] for index, _ in bins])
        shape = (*x.shape[:2], *target, longest)
        kept = reshape(m.where(real, _gathered(x, bins), -float("inf")), shape)
        chosen = expand_dims(r.argmax(kept.detach(), axis=-1), axis=-1)
        if return_indices:
            found.append(_sources(chosen, bins, size))
        return squeeze(take_along_axis(kept, chosen, axis=-1), -1)

    out = batched(function, x, count, run)
    if not return_indices:
        return out
    indices = found[0]
    return out, indices if x.ndim == count + 2 else reshape(indices, indices.shape[1:])


def _sources(chosen: Tensor, bins: Sequence[Any], size: Sequence[int]) -> Tensor:
    """Return the numbers in the input, in row-major order, of the chosen elements of the bins."""
    count = len(bins)
    flat = np.zeros((1,) * (2 * count), np.int64)
    for i, (index, _) in enumerate(bins):
        shape = [1] * (2 * count)
        shape[i], shape[count + i] = index.shape
        flat = flat * size[i] + index.reshape(shape)
    numbers = flat.reshape(*flat.shape[:count], -1)
    wide = np.broadcast_to(numbers, (*chosen.shape[:2], *numbers.shape))
    return squeeze(take_along_axis(asarray(wide, device=chosen.device), chosen, axis=-1), -1)


def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Tensor:
    """Average over one axis so that ``output_size`` values remain; see `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> adaptive_avg_pool1d(ig.tensor([[1.0, 2.0, 6.0]]), 2).tolist()
    [[1.5, 4.0]]
    """
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Sizes) -> Tensor:
    """Average over two axes so that ``output_size`` values remain.

    Bin ``i`` of ``O`` over ``n`` elements goes from ``floor(i n / O)`` to ``ceil((i + 1) n / O)``.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, H, W)`` or ``(C, H, W)``.
    output_size : int, or sequence of int or None
        The lengths that remain; None keeps a length.

    Raises
    ------
    ShapeError
        If the size does not fit the input.

    Examples
    --------
    >>> import isograd as ig
    >>> adaptive_avg_pool2d(ig.ones((1, 3, 7, 5)), (2, None)).shape
    (1, 3, 2, 5)
    """
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Sizes) -> Tensor:
    """Average over three axes so that ``output_size`` values remain; see `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> adaptive_avg_pool3d(ig.ones((1, 4, 5, 6)), 2).shape
    (1, 2, 2, 2)
    """
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """Return maxima over one axis so that ``output_size`` remain; see `adaptive_max_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> adaptive_max_pool1d(ig.tensor([[1.0, 2.0, 6.0]]), 2).tolist()
    [[2.0, 6.0]]
    """
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """Return maxima over two axes so that ``output_size`` remain, in bins as the averages'.

    With ``return_indices``, also where they are, as `max_pool2d` says it.

    Examples
    --------
    >>> import isograd as ig
    >>> adaptive_max_pool2d(ig.ones((1, 3, 7, 5)), (2, None)).shape
    (1, 3, 2, 5)
    """
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """Return maxima over three axes so that ``output_size`` remain; see `adaptive_max_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> adaptive_max_pool3d(ig.ones((1, 4, 5, 6)), 2).shape
    (1, 2, 2, 2)
    """
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)
