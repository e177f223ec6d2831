"""Maxima of windows at random distances, with torch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from isograd.core.dtypes import int64
from isograd.core.errors import ShapeError
from isograd.nn.functional._windows import Ints, each
from isograd.ops import elementwise as m
from isograd.ops import random
from isograd.ops import reductions as r
from isograd.ops.convert import cast
from isograd.ops.creation import asarray
from isograd.ops.indexing import take_along_axis
from isograd.ops.movement import broadcast_to, concat, reshape
from isograd.runtime.tensor import Tensor

__all__ = ["fractional_max_pool2d", "fractional_max_pool3d"]

Ratios = float | Sequence[float] | None


def _starts(sample: Tensor, n: int, count: int, kernel: int) -> Tensor:
    """Return where windows begin along an axis, ``(N, C, count)``, for a number of each channel."""
    shape = (*sample.shape, 1)
    last = broadcast_to(asarray([n - kernel], device=sample.device), shape)
    if count == 1:
        return last
    step = (n - kernel) / (count - 1)
    drawn = reshape(sample, shape)
    place = asarray(np.arange(count - 1), dtype=sample.dtype, device=sample.device)
    before = m.floor((place + drawn) * step) - m.floor(drawn * step)
    return concat([cast(before, int64), last], axis=-1)


def _fractional(
    function: str,
    axes: int,
    x: Tensor,
    kernel_size: Ints,
    output_size: Ints | None,
    output_ratio: Ratios,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{function}: pass either output_size or output_ratio")
    if x.ndim not in (axes + 1, axes + 2):
        raise ShapeError(f"{function}: the input has shape {x.shape}; pass (N, C, *size)")
    if x.ndim == axes + 1:
        found = _fractional(
            function, axes, x[None], kernel_size, output_size, output_ratio, True, samples
        )
        out, indices = [reshape(t, t.shape[1:]) for t in found]
        return (out, indices) if return_indices else out
    kernel = each(function, "kernel_size", kernel_size, axes)
    batch, size = x.shape[:2], x.shape[2:]
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, Sequence) else (output_ratio,) * axes
        output_size = [int(n * (ratio or 0)) for n, ratio in zip(size, ratios, strict=True)]
    counts = each(function, "output_size", output_size, axes)
    if any(o + k - 1 > n for o, k, n in zip(counts, kernel, size, strict=True)):
        raise ShapeError(
            f"{function}: {counts} windows of {kernel} do not fit the input {size}; use fewer or "
            "smaller ones"
        )
    if samples is None:
        samples = random.uniform((*batch, axes), dtype=x.dtype, device=x.device)
    flat: Any = 0
    for i, (n, o, k) in enumerate(zip(size, counts, kernel, strict=True)):
        # torch takes the first number for the last of two axes, but for the first of three.
        start = _starts(samples[..., 1 - i if axes == 2 else i], n, o, k)
        shape = [1] * (2 * axes)
        shape[i] = o
        inside = [1] * (2 * axes)
        inside[axes + i] = k
        offset = reshape(asarray(np.arange(k), device=x.device), inside)
        flat = flat * n + (reshape(start, (*batch, *shape)) + offset)
    places = reshape(flat, (*batch, prod(counts) * prod(kernel)))
    members = take_along_axis(reshape(x, (*batch, prod(size))), places, axis=2)
    windows = reshape(members, (*batch, prod(counts), prod(kernel)))
    chosen = r.argmax(windows.detach(), axis=-1, keepdims=True)
    out = reshape(take_along_axis(windows, chosen, axis=-1), (*batch, *counts))
    if not return_indices:
        return out
    sources = reshape(places, windows.shape)
    return out, reshape(take_along_axis(sources, chosen, axis=-1), (*batch, *counts))


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    output_size: Ints | None = None,
    output_ratio: Ratios = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Return maxima of windows that begin at random distances, ``output_size`` of them an axis.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, H, W)`` or ``(C, H, W)``.
    kernel_size : int or sequence of int
        Lengths of the windows.
    output_size : int or sequence of int, optional
        How many windows along each axis.
    output_ratio : float or sequence of float, optional
        The same as a share of the input's lengths, below 1. One of both is needed.
    return_indices : bool
        Whether to return also where the maxima are.

    Raises
    ------
    ShapeError
        If the windows do not fit.
    ValueError
        If not exactly one of ``output_size`` and ``output_ratio`` is given.

    Notes
    -----
    B. Graham: Fractional max-pooling, 2014.

    Examples
    --------
    >>> import isograd as ig
    >>> fractional_max_pool2d(ig.ones((1, 3, 9, 9)), 2, output_ratio=0.6).shape
    (1, 3, 5, 5)
    """
    return _fractional(
        "fractional_max_pool2d",
        2,
        input,
        kernel_size,
        output_size,
        output_ratio,
        return_indices,
        _random_samples,
    )


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Ints,
    output_size: Ints | None = None,
    output_ratio: Ratios = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Return maxima of windows at random distances over three axes; see `fractional_max_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> fractional_max_pool3d(ig.ones((1, 6, 6, 6)), 2, 3).shape
    (1, 3, 3, 3)
    """
    return _fractional(
        "fractional_max_pool3d",
        3,
        input,
        kernel_size,
        output_size,
        output_ratio,
        return_indices,
        _random_samples,
    )
