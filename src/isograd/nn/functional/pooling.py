"""Pooling as functions, with torch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isograd.core.errors import ShapeError
from isograd.nn.functional._windows import Ints, batched, each
from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops.creation import asarray
from isograd.runtime.tensor import Tensor

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

Pairs = tuple[tuple[int, int], ...]


def _padding(
    function: str,
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Pairs:
    """Return padding before and after, with what ``ceil_mode`` adds for a last, partial window."""
    found: list[tuple[int, int]] = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        if p > k // 2:
            raise ShapeError(
                f"{function}: padding {tuple(padding)} is more than half of the kernel "
                f"{tuple(kernel)}; use less padding"
            )
        reach = (k - 1) * d + 1
        if reach > n + 2 * p and (not ceil_mode or n == 0):
            raise ShapeError(
                f"{function}: a kernel of {tuple(kernel)} with dilation {tuple(dilation)} is "
                f"larger than the input {tuple(size)} with padding {tuple(padding)}; use a smaller "
                "kernel"
            )
        behind = p
        if ceil_mode:
            count = max(-((reach - n - 2 * p) // s), 0) + 1
            # The last window must begin in the input or the padding before it.
            count -= (count - 1) * s >= n + p
            behind = max((count - 1) * s + reach - n - p, 0)
        found.append((p, behind))
    return tuple(found)


def _max_pool(
    function: str,
    count: int,
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    kernel = each(function, "kernel_size", kernel_size, count)
    strides = kernel if stride is None else each(function, "stride", stride, count)
    gaps = each(function, "dilation", dilation, count)
    around = each(function, "padding", padding, count, least=0)

    def window(x: Tensor) -> tuple[Any, ...]:
        sides = _padding(function, x.shape[2:], kernel, strides, around, gaps, ceil_mode)
        return kernel, strides, sides, gaps

    out = batched(function, x, count, lambda x: fused.max_pool(x, *window(x)))
    if not return_indices:
        return out

    def indices(x: Tensor) -> Tensor:
        value = x.detach()
        return fused.max_pool_indices(value, fused.max_pool(value, *window(x)), *window(x))

    return out, batched(function, x, count, indices)


def max_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the maximum of each window over one axis; see `max_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> max_pool1d(ig.tensor([[1.0, 3.0, 2.0, 5.0]]), 2).tolist()
    [[3.0, 5.0]]
    """
    return _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the maximum of each window over two axes; the gradient goes to the first maximum.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, H, W)`` or ``(C, H, W)``.
    kernel_size, stride, dilation : int or sequence of int
        Lengths of the window, the step from one to the next (the kernel unless given), and the
        step within one.
    padding : int or sequence of int
        What is added on both sides, at most half of the kernel; it never is the maximum.
    ceil_mode : bool
        Whether a window that reaches over the end counts.
    return_indices : bool
        Whether to return also where the maxima are: numbers in row-major order of ``(H, W)``, as
        `max_unpool2d` takes them.

    Returns
    -------
    Tensor, or Tensor and Tensor
        Shape ``(N, C, H', W')`` with
        ``H' = floor or ceil((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1``.

    Raises
    ------
    ShapeError
        If shapes or numbers do not fit; the message names the argument.

    Examples
    --------
    >>> import isograd as ig
    >>> max_pool2d(ig.tensor([[[1.0, 3.0], [2.0, 5.0]]]), 2).tolist()
    [[[5.0]]]
    """
    return _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool3d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the maximum of each window over three axes; see `max_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> max_pool3d(ig.ones((1, 4, 4, 4)), 2).shape
    (1, 2, 2, 2)
    """
    return _max_pool(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


# -- averages --------------------------------------------------------------------------------------


def _divisors(
    size: Sequence[int],
    places: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    count_include_pad: bool,
) -> np.ndarray[Any, Any]:
    """Return how many elements each window averages, broadcasting to the windows."""
    total = np.ones((1,) * len(size), np.int64)
    for i, (n, o, k, s, p) in enumerate(zip(size, places, kernel, stride, padding, strict=True)):
        start = np.arange(o) * s - p
        stop = np.minimum(start + k, n + p)
        if not count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        shape = [1] * len(size)
        shape[i] = o
        total = total * (stop - start).reshape(shape)
    return total


def _avg_pool(
    function: str,
    count: int,
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    kernel = each(function, "kernel_size", kernel_size, count)
    strides = kernel if stride is None else each(function, "stride", stride, count)
    around = each(function, "padding", padding, count, least=0)
    if divisor_override == 0:
        raise ValueError(f"{function}: divisor_override is 0; pass another number or None")

    def run(x: Tensor) -> Tensor:
        size = x.shape[2:]
        sides = _padding(function, size, kernel, strides, around, (1,) * count, ceil_mode)
        total = fused.window_sum(x, kernel, strides, sides)
        if divisor_override is not None:
            return total / float(divisor_override)
        counts = _divisors(size, total.shape[2:], kernel, strides, around, count_include_pad)
        if counts.size and counts.min() == counts.max():
            return total / float(counts.flat[0])
        return total / asarray(counts, dtype=x.dtype, device=x.device)

    return batched(function, x, count, run)


def avg_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window over one axis; see `avg_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> avg_pool1d(ig.tensor([[1.0, 3.0, 2.0, 6.0]]), 2).tolist()
    [[2.0, 4.0]]
    """
    return _avg_pool(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of each window over two axes.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, H, W)`` or ``(C, H, W)``.
    kernel_size, stride : int or sequence of int
        Lengths of the window, and the step from one to the next (the kernel unless given).
    padding : int or sequence of int
        Zeros on both sides, at most half of the kernel.
    ceil_mode : bool
        Whether a window that reaches over the end counts.
    count_include_pad : bool
        Whether padding counts as elements of the mean; what ``ceil_mode`` adds never does.
    divisor_override : int, optional
        What sums are divided by instead.

    Raises
    ------
    ShapeError
        If shapes or numbers do not fit; the message names the argument.
    ValueError
        If ``divisor_override`` is 0.

    Examples
    --------
    >>> import isograd as ig
    >>> avg_pool2d(ig.tensor([[[1.0, 3.0], [2.0, 6.0]]]), 2).tolist()
    [[[3.0]]]
    """
    return _avg_pool(
        "avg_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of each window over three axes; see `avg_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> avg_pool3d(ig.ones((1, 4, 4, 4)), 2).shape
    (1, 2, 2, 2)
    """
    return _avg_pool(
        "avg_pool3d",
        3,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def _lp_pool(
    function: str,
    count: int,
    x: Tensor,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None,
    ceil_mode: bool,
) -> Tensor:
    kernel = each(function, "kernel_size", kernel_size, count)
    mean = _avg_pool(function, count, m.pow(x, norm_type), kernel, stride, 0, ceil_mode, True, None)
    # As torch has it, a partial window is scaled up to a whole one.
    total = mean * float(np.prod(kernel))
    nothing = m.equal(total, 0.0)
    return m.where(nothing, 0.0, m.pow(m.where(nothing, 1.0, total), 1.0 / norm_type))


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return ``sum(input**p) ** (1/p)`` of each window over one axis; see `lp_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> lp_pool1d(ig.tensor([[3.0, 4.0]]), 2.0, 2).tolist()
    [[5.0]]
    """
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return ``sum(input**p) ** (1/p)`` of each window over two axes, with ``p = norm_type``.

    Where the sum is 0, the result and its gradient are 0.

    Examples
    --------
    >>> import isograd as ig
    >>> lp_pool2d(ig.ones((1, 2, 2)), 2.0, 2).tolist()
    [[[2.0]]]
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """Return ``sum(input**p) ** (1/p)`` of each window over three axes; see `lp_pool2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> lp_pool3d(ig.ones((1, 2, 2, 2)), 3.0, 2).tolist()
    [[[[2.0]]]]
    """
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)
