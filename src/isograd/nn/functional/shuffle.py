"""Moving elements between channels and places."""

from __future__ import annotations

from isograd.core.errors import ShapeError
from isograd.ops.movement import permute_dims
from isograd.runtime.tensor import Tensor

__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Move channels to places: ``(..., C * r * r, H, W)`` to ``(..., C, H * r, W * r)``.

    Raises
    ------
    ShapeError
        If the channels are no multiple of ``r * r``.
    ValueError
        If ``upscale_factor``, which is ``r``, is not positive.

    Notes
    -----
    W. Shi et al.: Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network, 2016.

    Examples
    --------
    >>> import isograd as ig
    >>> pixel_shuffle(ig.tensor([[[1]], [[2]], [[3]], [[4]]]), 2).tolist()
    [[[1, 2], [3, 4]]]
    """
    r = _factor("pixel_shuffle", "upscale_factor", upscale_factor)
    if input.ndim < 3 or input.shape[-3] % (r * r):
        raise ShapeError(
            f"pixel_shuffle: the input has shape {input.shape}; give it shape "
            f"(..., C * {r * r}, H, W)"
        )
    *batch, channels, height, width = input.shape
    first = len(batch)
    parts = input.reshape(*batch, channels // (r * r), r, r, height, width)
    order = [first, first + 3, first + 1, first + 4, first + 2]
    moved = permute_dims(parts, (*range(first), *order))
    return moved.reshape(*batch, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Undo `pixel_shuffle`: ``(..., C, H * r, W * r)`` to ``(..., C * r * r, H, W)``.

    Raises
    ------
    ShapeError
        If height or width are no multiple of ``r``.
    ValueError
        If ``downscale_factor``, which is ``r``, is not positive.

    Examples
    --------
    >>> import isograd as ig
    >>> pixel_unshuffle(ig.tensor([[[1, 2], [3, 4]]]), 2).tolist()
    [[[1]], [[2]], [[3]], [[4]]]
    """
    r = _factor("pixel_unshuffle", "downscale_factor", downscale_factor)
    if input.ndim < 3 or input.shape[-2] % r or input.shape[-1] % r:
        raise ShapeError(
            f"pixel_unshuffle: the input has shape {input.shape}; give it shape (..., C, H * {r}, "
            f"W * {r})"
        )
    *batch, channels, height, width = input.shape
    first = len(batch)
    parts = input.reshape(*batch, channels, height // r, r, width // r, r)
    order = [first, first + 2, first + 4, first + 1, first + 3]
    moved = permute_dims(parts, (*range(first), *order))
    return moved.reshape(*batch, channels * r * r, height // r, width // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Take channels from the groups in turn: ``(N, g * k, ...)`` as ``(N, k * g, ...)``.

    Raises
    ------
    ShapeError
        If the channels are no multiple of ``groups``.
    ValueError
        If ``groups`` is not positive.

    Notes
    -----
    X. Zhang et al.: ShuffleNet, 2018.

    Examples
    --------
    >>> import isograd as ig
    >>> channel_shuffle(ig.arange(6).reshape(1, 6, 1), 2).flatten().tolist()
    [0, 3, 1, 4, 2, 5]
    """
    groups = _factor("channel_shuffle", "groups", groups)
    if input.ndim < 3 or input.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: the input has shape {input.shape}; give it shape (N, C, ...) with "
            f"channels that are a multiple of {groups}"
        )
    count, channels, *places = input.shape
    parts = input.reshape(count, groups, channels // groups, *places)
    moved = permute_dims(parts, (0, 2, 1, *range(3, parts.ndim)))
    return moved.reshape(count, channels, *places)


def _factor(function: str, name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{function}: {name}={value}; use an integer >= 1")
    return value
