"""Sampling images at places that a grid gives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

from isograd.core.dtypes import int64
from isograd.core.errors import DTypeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops.convert import cast
from isograd.ops.creation import arange, ones
from isograd.ops.indexing import take_along_axis
from isograd.ops.movement import broadcast_to, expand_dims, matrix_transpose, stack
from isograd.runtime.tensor import Tensor

__all__ = ["affine_grid", "grid_sample"]

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Return the grid of an affine map, for `grid_sample`.

    Parameters
    ----------
    theta : Tensor
        The maps, ``(N, 2, 3)`` for images or ``(N, 3, 4)`` for volumes.
    size : sequence of int
        The size of what will be sampled, ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the outermost elements, instead of their outer edges.

    Returns
    -------
    Tensor
        ``(N, H, W, 2)`` or ``(N, D, H, W, 3)``, x first.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Notes
    -----
    M. Jaderberg et al.: Spatial transformer networks, 2015.

    Examples
    --------
    >>> import isograd as ig
    >>> theta = ig.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> affine_grid(theta, (1, 1, 1, 2)).tolist()
    [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """
    count = len(size) - 2
    if count not in (2, 3) or theta.shape != (size[0], count, count + 1):
        raise ShapeError(
            f"affine_grid: theta has shape {theta.shape} for size {tuple(size)}; pass (N, 2, 3) "
            "for (N, C, H, W), or (N, 3, 4) for (N, C, D, H, W)"
        )
    places = tuple(size[2:])
    columns: list[Tensor] = []
    for axis, n in reversed(list(enumerate(places))):
        line = (2.0 * cast(arange(n, device=theta.device), theta.dtype) + 1.0 - n) / (
            max(n - 1, 1) if align_corners else n
        )
        shape = tuple(n if i == axis else 1 for i in range(count))
        columns.append(broadcast_to(line.reshape(shape), places))
    columns.append(ones(places, dtype=theta.dtype, device=theta.device))
    base = stack(columns, axis=-1).reshape(1, prod(places), count + 1)
    return (base @ matrix_transpose(theta)).reshape(size[0], *places, count)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Return images sampled at the places of a grid.

    Parameters
    ----------
    input : Tensor
        ``(N, C, H, W)`` or ``(N, C, D, H, W)``, floating-point.
    grid : Tensor
        Places between -1 and 1, ``(N, H_out, W_out, 2)`` or ``(N, D_out, H_out, W_out, 3)``, x
        first, of the same dtype.
    mode : {"bilinear", "nearest", "bicubic"}
        How to interpolate; ``"bicubic"`` for images only.
    padding_mode : {"zeros", "border", "reflection"}
        What is outside: zeros, the nearest element, or the image mirrored.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the outermost elements, instead of their outer edges.

    Returns
    -------
    Tensor
        ``(N, C, H_out, W_out)`` or ``(N, C, D_out, H_out, W_out)``.

    Raises
    ------
    ShapeError, DTypeError
        If the two do not fit.
    ValueError
        If there is no such mode.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([[[[1.0, 3.0]]]])
    >>> grid_sample(x, ig.tensor([[[[0.0, 0.0], [0.5, 0.0]]]])).tolist()
    [[[[2.0, 3.0]]]]
    """
    count = input.ndim - 2
    name = "grid_sample"
    if mode not in _MODES or padding_mode not in _PADDINGS:
        raise ValueError(
            f"{name}: mode={mode!r}, padding_mode={padding_mode!r}; use one of "
            f"{', '.join(_MODES)} and one of {', '.join(_PADDINGS)}"
        )
    if (
        count not in ((2,) if mode == "bicubic" else (2, 3))
        or grid.ndim != input.ndim
        or (grid.shape[0], grid.shape[-1]) != (input.shape[0], count)
    ):
        raise ShapeError(
            f"{name}: the input has shape {input.shape}, the grid {grid.shape}; pass (N, C, H, W) "
            "and (N, H, W, 2), or (N, C, D, H, W) and (N, D, H, W, 3), and not for mode 'bicubic'"
        )
    if grid.dtype != input.dtype:
        raise DTypeError(
            f"{name}: the input has dtype {input.dtype}, the grid {grid.dtype}; convert one of them"
        )
    if 0 in input.shape[2:]:
        raise ShapeError(f"{name}: the input has shape {input.shape}; there is nothing to sample")
    align = bool(align_corners)
    points = grid.reshape(input.shape[0], -1, count)
    taps: list[list[tuple[Tensor, Tensor]]] = []
    for axis, n in enumerate(input.shape[2:]):
        place = points[:, :, count - 1 - axis]
        at = (place + 1.0) / 2.0 * (n - 1) if align else ((place + 1.0) * n - 1.0) / 2.0
        taps.append(_taps(at, n, mode, padding_mode, align))
    flat = input.reshape(input.shape[0], input.shape[1], prod(input.shape[2:]))
    total: Tensor | None = None
    for corner in itertools.product(*taps):
        index, weight = corner[0]
        for (other, share), n in zip(corner[1:], input.shape[3:], strict=True):
            index, weight = index * n + other, weight * share
        wide = broadcast_to(expand_dims(index, axis=1), (*flat.shape[:2], index.shape[1]))
        part = take_along_axis(flat, wide, axis=2) * expand_dims(weight, axis=1)
        total = part if total is None else total + part
    assert total is not None
    return total.reshape(*input.shape[:2], *grid.shape[1:-1])


def _taps(at: Tensor, n: int, mode: str, padding: str, align: bool) -> list[tuple[Tensor, Tensor]]:
    """Return the elements of one axis that count at places, and their weights."""
    if mode == "bicubic":
        low = m.floor(at)
        share = at - low
        return [
            _tap(_inside(low + k, n, padding, align), _cubic(share - k), n) for k in range(-1, 3)
        ]
    at = _inside(at, n, padding, align)
    if mode == "nearest":
        weight = at * 0.0 + 1.0  # the grid has a derivative, which is 0
        return [_tap(m.round(at), weight, n)]
    low = m.floor(at)
    share = at - low
    return [_tap(low, 1.0 - share, n), _tap(low + 1.0, share, n)]


def _tap(place: Tensor, weight: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return a place as an index, and its weight, 0 where there is nothing."""
    there = m.logical_and(m.greater_equal(place, 0.0), m.less_equal(place, n - 1.0))
    index = cast(m.where(there, place, 0.0).detach(), int64)
    return index, m.where(there, weight, 0.0)


def _inside(at: Tensor, n: int, padding: str, align: bool) -> Tensor:
    """Return places brought inside, as the padding says."""
    if padding == "zeros":
        return at
    if padding == "reflection":
        low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
        if high == low:
            return at * 0.0
        span = high - low
        distance = m.abs(at - low)
        turns = m.floor(distance / span)
        rest = distance - turns.detach() * span
        odd = m.not_equal(m.remainder(turns, 2.0), 0.0)
        at = m.where(odd, span - rest, rest) + low
    return m.clip(at, 0.0, n - 1.0)


def _cubic(distance: Tensor) -> Tensor:
    """Return Keys' cubic with -0.75, for distances below 2."""
    x = m.abs(distance)
    near = (1.25 * x - 2.25) * x * x + 1.0
    far = ((-0.75 * x + 3.75) * x - 6.0) * x + 3.0
    return m.where(m.less_equal(x, 1.0), near, far)
