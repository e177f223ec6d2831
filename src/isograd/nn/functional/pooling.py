"""Pooling as functions, with torch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from isograd.core.errors import ShapeError
from isograd.nn.functional._windows import Ints, batched, each
from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops import reductions as r
from isograd.ops.creation import asarray, zeros
from isograd.ops.indexing import index_set, take, take_along_axis
from isograd.ops.movement import expand_dims, permute_dims, reshape, squeeze
from isograd.runtime.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]

Pairs = tuple[tuple[int, int], ...]
Sizes = int | None | Sequence[int | None]


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


# -- windows that adapt to the output --------------------------------------------------------------


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


# -- and back --------------------------------------------------------------------------------------


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
    >>> values, indices = max_pool1d(ig.tensor([[1.0, 3.0, 2.0, 5.0]]), 2, return_indices=True)
    >>> max_unpool1d(values, indices, 2).tolist()
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
    >>> max_unpool2d(*max_pool2d(x, 2, return_indices=True), 2).tolist()
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
    >>> pooled = max_pool3d(ig.ones((1, 4, 4, 4)), 2, return_indices=True)
    >>> max_unpool3d(*pooled, 2).shape
    (1, 4, 4, 4)
    """
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
