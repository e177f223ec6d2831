"""Convolution and transposed convolution as functions, with torch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isograd.core.errors import ShapeError
from isograd.nn.functional._windows import Ints, batched, each, pairs
from isograd.ops import fused
from isograd.ops.convert import narrowed
from isograd.ops.creation import asarray
from isograd.ops.indexing import take
from isograd.ops.movement import pad, reshape
from isograd.runtime.tensor import Tensor

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

Padding = str | int | Sequence[int | Sequence[int]]
PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""Padding modes, and what NumPy calls them."""


def padding_of(
    function: str, padding: Padding, kernel: Sequence[int], stride: Ints, dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Return padding before and after for each axis, where it may be "same" or "valid"."""
    count = len(kernel)
    if not isinstance(padding, str):
        return pairs(function, padding, count)
    if padding == "valid":
        return ((0, 0),) * count
    if padding != "same":
        raise ValueError(
            f"{function}: there is no padding {padding!r}; use 'same', 'valid' or numbers"
        )
    if max(each(function, "stride", stride, count)) > 1:
        raise ValueError(
            f"{function}: padding='same' keeps the length only with stride 1, got {stride}; pass "
            "numbers instead"
        )
    # An odd total goes behind.
    totals = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    return tuple([(total // 2, total - total // 2) for total in totals])


def pad_by_index(function: str, x: Tensor, padding: Sequence[tuple[int, int]], mode: str) -> Tensor:
    """Pad the last axes with elements of the tensor: reflected, replicated or circular."""
    first = x.ndim - len(padding)
    for axis, (low, high) in enumerate(padding, start=first):
        n = x.shape[axis]
        most = {"reflect": n - 1, "circular": n}.get(mode, low + high)
        if max(low, high) > most or (n == 0 and low + high):
            raise ShapeError(
                f"{function}: padding_mode={mode!r} cannot add {(low, high)} elements to an axis "
                f"of {n}; pad by at most {max(most, 0)}"
            )
        if low or high:
            index = np.pad(np.arange(n), (low, high), mode=PADDING_MODES[mode])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
            x = take(x, asarray(index, device=x.device), axis=axis)
    return x


def convolve(
    function: str,
    count: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    padding_mode: str = "zeros",
) -> Tensor:
    """Return the convolution of any rank, under the name of the function that the user called."""
    x, weight, bias = narrowed(x, weight, bias)
    kernel = _kernel(function, weight, bias, count)
    strides = each(function, "stride", stride, count)
    gaps = each(function, "dilation", dilation, count)
    around = padding_of(function, padding, kernel, stride, gaps)
    _check_channels(function, x, count, weight.shape[1] * groups, groups, weight.shape)

    def run(x: Tensor) -> Tensor:
        sides = around
        if padding_mode != "zeros":
            x, sides = pad_by_index(function, x, around, padding_mode), ((0, 0),) * count
        _check_reach(function, x.shape[2:], kernel, gaps, sides)
        return fused.conv(x, weight, strides, sides, gaps, groups)

    return _with_bias(batched(function, x, count, run), bias, count)


def _kernel(function: str, weight: Tensor, bias: Tensor | None, count: int) -> tuple[int, ...]:
    if weight.ndim != count + 2:
        raise ShapeError(
            f"{function}: the weight has shape {weight.shape}; pass one of {count + 2} axes"
        )
    if bias is not None and bias.ndim != 1:
        raise ShapeError(f"{function}: the bias has shape {bias.shape}; pass one of one axis")
    return weight.shape[2:]


def _check_channels(
    function: str, x: Tensor, count: int, channels: int, groups: int, weight: tuple[int, ...]
) -> None:
    if groups < 1 or weight[0] % groups:
        raise ShapeError(
            f"{function}: groups={groups} does not divide the {weight[0]} channels of a weight of "
            f"shape {weight}; choose a divisor"
        )
    if x.ndim in (count + 1, count + 2) and x.shape[-count - 1] != channels:
        raise ShapeError(
            f"{function}: the input has shape {x.shape}, but a weight of shape {weight} with "
            f"groups={groups} takes {channels} channels; make them equal"
        )


def _check_reach(
    function: str,
    size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[tuple[int, int]],
) -> None:
    for n, k, d, (low, high) in zip(size, kernel, dilation, padding, strict=True):
        if (k - 1) * d + 1 > n + low + high:
            raise ShapeError(
                f"{function}: a kernel of {tuple(kernel)} with dilation {tuple(dilation)} is "
                f"larger than the input {tuple(size)} with padding {tuple(padding)}; use a smaller "
                "kernel or more padding"
            )


def _with_bias(out: Tensor, bias: Tensor | None, count: int) -> Tensor:
    return out if bias is None else out + reshape(bias, (bias.shape[0], *(1,) * count))


def convolve_transposed(
    function: str,
    count: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: int | Sequence[int | Sequence[int]],
    output_padding: Ints,
    groups: int,
    dilation: Ints,
) -> Tensor:
    """Return the transposed convolution of any rank: the adjoint of `convolve`."""
    x, weight, bias = narrowed(x, weight, bias)
    kernel = _kernel(function, weight, bias, count)
    strides = each(function, "stride", stride, count)
    gaps = each(function, "dilation", dilation, count)
    extra = each(function, "output_padding", output_padding, count, least=0)
    around = pairs(function, padding, count)
    _check_channels(function, x, count, weight.shape[0], groups, weight.shape)
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, gaps, strict=True)):
        raise ValueError(
            f"{function}: output_padding={output_padding} must be smaller than stride or dilation; "
            f"these are {strides} and {gaps}"
        )

    def run(x: Tensor) -> Tensor:
        sides: list[tuple[int, int]] = []
        size: list[int] = []
        beyond: list[tuple[int, int]] = []
        for n, k, s, d, e, (low, high) in zip(
            x.shape[2:], kernel, strides, gaps, extra, around, strict=True
        ):
            # What is added behind first takes back the padding; no window reaches the rest.
            full, rest = (n - 1) * s + (k - 1) * d + 1 if n else 0, max(e - high, 0)
            sides.append((low, max(high - e, 0)))
            size.append(full - low - sides[-1][1] + min(rest, s - 1))
            beyond.append((0, rest - min(rest, s - 1)))
        if min(size, default=0) < 0 or 0 in x.shape[2:]:
            raise ShapeError(
                f"{function}: padding={padding} leaves nothing of the output of an input of shape "
                f"{x.shape}; use less padding"
            )
        out = fused.conv_input_grad(x, weight, tuple(size), strides, tuple(sides), gaps, groups)
        return pad(out, [(0, 0), (0, 0), *beyond]) if any(map(any, beyond)) else out

    return _with_bias(batched(function, x, count, run), bias, count)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve (strictly, cross-correlate) over one axis; see `conv2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> conv1d(ig.tensor([[1.0, 2.0, 3.0]]), ig.tensor([[[1.0, 10.0]]])).tolist()
    [[21.0, 32.0]]
    """
    return convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve (strictly, cross-correlate) over two axes.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, H, W)`` or ``(C, H, W)``, floating-point.
    weight : Tensor
        Shape ``(O, C / groups, kH, kW)``.
    bias : Tensor, optional
        Shape ``(O,)``.
    stride, dilation : int or sequence of int
        The step from window to window, and from element to element within one.
    padding : int, sequence, "same" or "valid"
        Zeros around the input: one number, one for each axis, or a pair (before, after) for each.
        "same" keeps the lengths, "valid" is 0.
    groups : int
        The channels of input and output are split into so many groups, each seeing its own.

    Returns
    -------
    Tensor
        Shape ``(N, O, H', W')`` with ``H' = (H + padding - dilation (kH - 1) - 1) // stride + 1``.

    Raises
    ------
    ShapeError
        If shapes or numbers do not fit; the message names the argument.

    Examples
    --------
    >>> import isograd as ig
    >>> conv2d(ig.ones((1, 3, 8, 8)), ig.ones((4, 3, 3, 3)), padding="same").shape
    (1, 4, 8, 8)
    """
    return convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve (strictly, cross-correlate) over three axes; see `conv2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> conv3d(ig.ones((1, 1, 3, 3, 3)), ig.ones((2, 1, 2, 2, 2)), stride=2).shape
    (1, 2, 1, 1, 1)
    """
    return convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: int | Sequence[int | Sequence[int]] = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """Apply the adjoint of `conv1d`; see `conv_transpose2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> conv_transpose1d(ig.tensor([[1.0, 2.0]]), ig.tensor([[[1.0, 10.0]]])).tolist()
    [[1.0, 12.0, 20.0]]
    """
    return convolve_transposed(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: int | Sequence[int | Sequence[int]] = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """Apply the adjoint of `conv2d` with the same weight.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, H, W)`` or ``(C, H, W)``: what `conv2d` returns.
    weight : Tensor
        Shape ``(C, O / groups, kH, kW)``.
    bias : Tensor, optional
        Shape ``(O,)``.
    stride, padding, dilation, groups
        Those of the convolution.
    output_padding : int or sequence of int
        By how much the output is longer, since with a stride several lengths give one.

    Returns
    -------
    Tensor
        Shape ``(N, O, H', W')`` with
        ``H' = (H - 1) stride - padding + dilation (kH - 1) + output_padding + 1``.

    Raises
    ------
    ShapeError
        If shapes or numbers do not fit; the message names the argument.
    ValueError
        If ``output_padding`` is neither below the stride nor the dilation.

    Examples
    --------
    >>> import isograd as ig
    >>> conv_transpose2d(ig.ones((1, 4, 4, 4)), ig.ones((4, 3, 2, 2)), stride=2).shape
    (1, 3, 8, 8)
    """
    return convolve_transposed(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: int | Sequence[int | Sequence[int]] = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """Apply the adjoint of `conv3d`; see `conv_transpose2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> conv_transpose3d(ig.ones((1, 1, 2, 2, 2)), ig.ones((1, 1, 2, 2, 2)), stride=2).shape
    (1, 1, 4, 4, 4)
    """
    return convolve_transposed(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )
