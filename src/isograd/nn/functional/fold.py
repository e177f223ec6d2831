"""Windows of images as columns, and back, with torch's names and arguments."""

from __future__ import annotations

from math import prod

from isograd.core.errors import ShapeError
from isograd.nn.functional._windows import Ints, batched, each
from isograd.ops import infer, movement
from isograd.ops.movement import pad, permute_dims, reshape
from isograd.runtime.tensor import Tensor

__all__ = ["fold", "unfold"]


def unfold(
    input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """Return the windows of images as columns.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, H, W)`` or ``(C, H, W)``.
    kernel_size, dilation, stride : int or sequence of int
        Lengths of the window, the step within one, and from one to the next.
    padding : int or sequence of int
        Zeros on both sides.

    Returns
    -------
    Tensor
        Shape ``(N, C * kH * kW, windows)``.

    Raises
    ------
    ShapeError
        If shapes or numbers do not fit.

    Examples
    --------
    >>> import isograd as ig
    >>> unfold(ig.ones((1, 3, 4, 4)), 2).shape
    (1, 12, 9)
    """
    kernel = each("unfold", "kernel_size", kernel_size, 2)
    gaps = each("unfold", "dilation", dilation, 2)
    strides = each("unfold", "stride", stride, 2)
    around = each("unfold", "padding", padding, 2, least=0)

    def run(input: Tensor) -> Tensor:
        wide = pad(input, [(0, 0), (0, 0), *[(p, p) for p in around]]) if any(around) else input
        windows = movement.unfold(wide, kernel, stride=strides, dilation=gaps)
        n, channels, rows, columns = windows.shape[:4]
        columns_last = permute_dims(windows, (0, 1, 4, 5, 2, 3))
        return reshape(columns_last, (n, channels * prod(kernel), rows * columns))

    return batched("unfold", input, 2, run)


def fold(
    input: Tensor,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """Add columns up to images again: the adjoint of `unfold`.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C * kH * kW, windows)`` or without N.
    output_size : int or sequence of int
        The images' ``(H, W)``.
    kernel_size, dilation, padding, stride
        As for `unfold`.

    Returns
    -------
    Tensor
        Shape ``(N, C, H, W)``.

    Raises
    ------
    ShapeError
        If the columns do not come from such images.

    Examples
    --------
    >>> import isograd as ig
    >>> fold(unfold(ig.ones((1, 1, 2, 2)), 1), 2, 1).tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]
    """
    size = each("fold", "output_size", output_size, 2)
    kernel = each("fold", "kernel_size", kernel_size, 2)
    gaps = each("fold", "dilation", dilation, 2)
    strides = each("fold", "stride", stride, 2)
    around = each("fold", "padding", padding, 2, least=0)
    wide = tuple([n + 2 * p for n, p in zip(size, around, strict=True)])
    places = infer.window_counts("fold", wide, kernel, strides, gaps)
    if (
        input.ndim not in (2, 3)
        or input.shape[-2] % prod(kernel)
        or input.shape[-1] != prod(places)
    ):
        raise ShapeError(
            f"fold: columns of shape {input.shape} do not come from images of {size}, which have "
            f"{prod(places)} windows of {prod(kernel)} elements a channel; pass (N, channels * "
            f"{prod(kernel)}, {prod(places)})"
        )
    batch, channels = input.shape[:-2], input.shape[-2] // prod(kernel)
    lead = len(batch) + 1
    split = reshape(input, (*batch, channels, *kernel, *places))
    order = (*range(lead), lead + 2, lead + 3, lead, lead + 1)
    out = movement.fold(permute_dims(split, order), wide, stride=strides, dilation=gaps)
    (low, n), (left, m) = zip(around, size, strict=True)
    return out[..., low : low + n, left : left + m]
