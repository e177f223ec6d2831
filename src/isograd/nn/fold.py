"""Layers between images and the columns of their windows."""

from __future__ import annotations

from isograd.nn import functional as F
from isograd.nn.functional._windows import Ints
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = ["Fold", "Unfold"]


class Unfold(Module):
    """Apply `functional.unfold`, which says what the arguments are.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Unfold(2)(ig.ones((1, 3, 4, 4))).shape
    (1, 12, 9)
    """

    def __init__(
        self, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, x: Tensor, /) -> Tensor:
        """Return windows of ``(N, C, H, W)`` as columns."""
        return F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Module):
    """Apply `functional.fold`, which says what the arguments are.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Fold((4, 4), 2)(ig.ones((1, 12, 9))).shape
    (1, 3, 4, 4)
    """

    def __init__(
        self,
        output_size: Ints,
        kernel_size: Ints,
        dilation: Ints = 1,
        padding: Ints = 0,
        stride: Ints = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, x: Tensor, /) -> Tensor:
        """Add columns up to images."""
        return F.fold(
            x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )
