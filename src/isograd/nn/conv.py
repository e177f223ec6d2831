"""Convolutions and transposed convolutions over one, two and three axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from isograd.core.errors import ShapeError
from isograd.nn import init
from isograd.nn.functional._windows import Ints, each, pairs
from isograd.nn.functional.conv import (
    PADDING_MODES,
    Padding,
    convolve,
    convolve_transposed,
    padding_of,
)
from isograd.nn.module import Module, Parameter
from isograd.ops.creation import empty
from isograd.runtime.tensor import Tensor

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]


class _Convolution(Module):
    """What all convolutions share: their numbers, weight and bias."""

    _axes: ClassVar[int]
    _transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        padding: Padding,
        dilation: Ints,
        groups: int,
        bias: bool,
        padding_mode: str,
        output_padding: Ints,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name, count = type(self).__name__, self._axes
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: groups={groups} does not divide in_channels={in_channels} and "
                f"out_channels={out_channels}; choose a common divisor"
            )
        if padding_mode not in PADDING_MODES or (self._transposed and padding_mode != "zeros"):
            known = "'zeros'" if self._transposed else ", ".join(map(repr, PADDING_MODES))
            raise ValueError(f"{name}: there is no padding_mode {padding_mode!r}; use {known}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = each(name, "kernel_size", kernel_size, count)
        self.stride = each(name, "stride", stride, count)
        self.dilation = each(name, "dilation", dilation, count)
        sides = padding_of(name, padding, self.kernel_size, self.stride, self.dilation)
        even = all(low == high for low, high in sides)
        self.padding: Any = (
            padding
            if isinstance(padding, str)
            else tuple([low for low, _ in sides])
            if even
            else sides
        )
        self.output_padding = each(name, "output_padding", output_padding, count, least=0)
        self.groups = groups
        self.padding_mode = padding_mode
        channels = (out_channels, in_channels // groups)
        if self._transposed:
            channels = (in_channels, out_channels // groups)
        self.weight = Parameter(empty((*channels, *self.kernel_size), dtype=dtype, device=device))
        self.bias = Parameter(empty((out_channels,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights and bias: uniform on ``[-k, k)`` with ``k = 1 / sqrt(fan_in)``."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        count = self._axes
        for name, value, default in (
            ("padding", self.padding, (0,) * count),
            ("dilation", self.dilation, (1,) * count),
            ("output_padding", self.output_padding, (0,) * count),
            ("groups", self.groups, 1),
            ("bias", self.bias is not None, True),
            ("padding_mode", self.padding_mode, "zeros"),
        ):
            if value != default:
                parts.append(f"{name}={value}")
        return ", ".join(parts)


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            0,
            device,
            dtype,
        )

    def forward(self, x: Tensor, /) -> Tensor:
        """Map ``(N, in_channels, *size)`` to ``(N, out_channels, *places)``; N may be absent."""
        return convolve(
            type(self).__name__,
            self._axes,
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.padding_mode,
        )


class Conv1d(_Conv):
    """Convolve over one axis; arguments are those of `Conv2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Conv1d(2, 4, 3)(ig.ones((5, 2, 10))).shape
    (5, 4, 8)
    """

    _axes = 1


class Conv2d(_Conv):
    """Convolve (strictly, cross-correlate) over two axes, and add a bias.

    Weights and bias start uniform on ``[-k, k)`` with ``k = 1 / sqrt(in_channels / groups * kH *
    kW)``.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    kernel_size : int or sequence of int
        Lengths of the window.
    stride, dilation : int or sequence of int
        The step from window to window, and from element to element within one.
    padding : int, sequence, "same" or "valid"
        What is put around the input: a number, one for each axis, or a pair (before, after) for
        each. "same" keeps the lengths, "valid" is 0.
    groups : int
        The channels of input and output are split into so many groups, each seeing its own.
    bias : bool
        Whether to add a bias.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding is made of.
    device, dtype : optional
        Where the parameters live, and their dtype.

    Attributes
    ----------
    weight : Parameter
        Shape ``(out_channels, in_channels / groups, *kernel_size)``.
    bias : Parameter or None
        Shape ``(out_channels,)``.

    Raises
    ------
    ValueError
        If ``groups`` does not divide both numbers of channels, a number is too small, or a mode is
        unknown.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.Conv2d(3, 8, 3, stride=2, padding=1)
    >>> layer(ig.ones((5, 3, 16, 16))).shape
    (5, 8, 8, 8)
    """

    _axes = 2


class Conv3d(_Conv):
    """Convolve over three axes; arguments are those of `Conv2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Conv3d(1, 2, 3, padding="same")(ig.ones((1, 1, 4, 5, 6))).shape
    (1, 2, 4, 5, 6)
    """

    _axes = 3


class _ConvTranspose(_Convolution):
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: int | Sequence[int | Sequence[int]] = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            output_padding,
            device,
            dtype,
        )

    def forward(self, x: Tensor, /, output_size: Sequence[int] | None = None) -> Tensor:
        """Map ``(N, in_channels, *places)`` to ``(N, out_channels, *size)``; N may be absent.

        ``output_size`` chooses among the lengths that a stride allows, instead of
        ``output_padding``.
        """
        extra = self.output_padding if output_size is None else self._extra(x, output_size)
        return convolve_transposed(
            type(self).__name__,
            self._axes,
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _extra(self, x: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        count = self._axes
        wanted = tuple(output_size)[-count:]
        sides = pairs(type(self).__name__, self.padding, count)
        least = [
            (n - 1) * s - sum(pair) + (k - 1) * d + 1
            for n, s, pair, k, d in zip(
                x.shape[-count:], self.stride, sides, self.kernel_size, self.dilation, strict=True
            )
        ]
        extra = tuple([a - b for a, b in zip(wanted, least, strict=False)])
        if len(extra) != count or any(
            not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)
        ):
            raise ShapeError(
                f"{type(self).__name__}: output_size={tuple(output_size)} cannot come from an "
                f"input of shape {x.shape}; each length must be at least {least} and less than "
                f"the stride {self.stride} above"
            )
        return extra


class ConvTranspose1d(_ConvTranspose):
    """Apply the adjoint of a convolution over one axis; arguments are those of `ConvTranspose2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.ConvTranspose1d(4, 2, 3, stride=2)(ig.ones((5, 4, 10))).shape
    (5, 2, 21)
    """

    _axes = 1


class ConvTranspose2d(_ConvTranspose):
    """Apply the adjoint of a convolution over two axes, and add a bias.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    kernel_size, stride, padding, dilation, groups
        Those of the convolution; see `Conv2d`.
    output_padding : int or sequence of int
        By how much the output is longer, since with a stride several lengths give one.
    bias : bool
        Whether to add a bias.
    padding_mode : {"zeros"}
        As torch has it.
    device, dtype : optional
        Where the parameters live, and their dtype.

    Attributes
    ----------
    weight : Parameter
        Shape ``(in_channels, out_channels / groups, *kernel_size)``.
    bias : Parameter or None
        Shape ``(out_channels,)``.

    Raises
    ------
    ValueError
        If ``groups`` does not divide both numbers of channels, or a number is too small.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.ConvTranspose2d(8, 3, 3, stride=2, padding=1)
    >>> layer(ig.ones((5, 8, 8, 8)), output_size=(16, 16)).shape
    (5, 3, 16, 16)
    """

    _axes = 2


class ConvTranspose3d(_ConvTranspose):
    """Apply the adjoint of a convolution over three axes; see `ConvTranspose2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.ConvTranspose3d(1, 2, 2, stride=2)(ig.ones((1, 1, 2, 2, 2))).shape
    (1, 2, 4, 4, 4)
    """

    _axes = 3
