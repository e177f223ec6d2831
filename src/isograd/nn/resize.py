"""Layers that resize images, and that move elements between channels and places."""

from __future__ import annotations

from collections.abc import Sequence

from isograd.nn import functional as F
from isograd.nn.applied import Applied
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = [
    "ChannelShuffle",
    "PixelShuffle",
    "PixelUnshuffle",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
]

Size = int | Sequence[int] | None
Factor = float | Sequence[float] | None


class Upsample(Module):
    """Resize images, signals or volumes; see `functional.interpolate`.

    Parameters
    ----------
    size : int or sequence of int, optional
        The size wanted; this or ``scale_factor``.
    scale_factor : float or sequence of float, optional
        The factor by which the size grows.
    mode : str
        How to interpolate.
    align_corners : bool, optional
        Whether the centres of the outermost elements stay where they are.
    recompute_scale_factor : bool, optional
        Whether positions follow from the sizes, instead of from ``scale_factor``.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Upsample(scale_factor=2, mode="bilinear")(ig.ones((1, 1, 2, 3))).shape
    (1, 1, 4, 6)
    """

    def __init__(
        self,
        size: Size = None,
        scale_factor: Factor = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = tuple(size) if isinstance(size, Sequence) else size
        self.scale_factor = (
            tuple(float(f) for f in scale_factor)
            if isinstance(scale_factor, Sequence)
            else None
            if scale_factor is None
            else float(scale_factor)
        )
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.interpolate` of ``x``."""
        return F.interpolate(
            x,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        size = f"size={self.size}"
        by = size if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{by}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Resize images in mode ``"nearest"``.

    Parameters
    ----------
    size : int or sequence of int, optional
        The size wanted; this or ``scale_factor``.
    scale_factor : float or sequence of float, optional
        The factor by which the size grows.
    """

    def __init__(self, size: Size = None, scale_factor: Factor = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Resize images in mode ``"bilinear"`` with ``align_corners``.

    Parameters
    ----------
    size : int or sequence of int, optional
        The size wanted; this or ``scale_factor``.
    scale_factor : float or sequence of float, optional
        The factor by which the size grows.
    """

    def __init__(self, size: Size = None, scale_factor: Factor = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Applied):
    """Move channels to places; see `functional.pixel_shuffle`.

    Parameters
    ----------
    upscale_factor : int
        By how much height and width grow.
    """

    _function = F.pixel_shuffle
    _options = ("upscale_factor",)

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor


class PixelUnshuffle(Applied):
    """Move places to channels; see `functional.pixel_unshuffle`.

    Parameters
    ----------
    downscale_factor : int
        By how much height and width shrink.
    """

    _function = F.pixel_unshuffle
    _options = ("downscale_factor",)

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor


class ChannelShuffle(Applied):
    """Take channels from groups in turn; see `functional.channel_shuffle`.

    Parameters
    ----------
    groups : int
        The number of groups.
    """

    _function = F.channel_shuffle
    _options = ("groups",)

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups
