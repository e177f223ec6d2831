"""Convolutions with one input channel in each group, as sums over windows, without a product.

A channel has O / C outputs, whose weights are ``w``: (O, 1, *kernel). The groups are the channels.
"""

from __future__ import annotations

from isograd.ops import primitives as p
from isograd.ops import reductions
from isograd.ops.movement import flip, pad, reshape, unfold
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = ["conv", "input_grad", "is_gathered", "padded", "weight_grad"]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def padded(x: Tensor, padding: Pairs) -> Tensor:
    """Return ``x`` with zeros around its window axes."""
    return pad(x, [(0, 0), (0, 0), *padding]) if any(map(any, padding)) else x


def conv(x: Tensor, w: Tensor, *, stride: Shape, padding: Pairs, dilation: Shape) -> Tensor:
    """Return (N, O, *places)."""
    k = len(stride)
    windows = _windows(padded(x, padding), w.shape[2:], stride, dilation)
    terms = windows * _weights(w, x.shape[1])
    out = reductions.sum(terms, axis=tuple(range(3 + k, 3 + 2 * k)))
    return reshape(out, (x.shape[0], w.shape[0], *out.shape[3:]))


def is_gathered(kernel: Shape, padding: Pairs, dilation: Shape) -> bool:
    """Tell whether an input's gradient is a sum over windows: the padding is within their reach."""
    pairs = zip(padding, _reach(kernel, dilation), strict=True)
    return all(max(pair) <= reach for pair, reach in pairs)


def input_grad(
    y: Tensor,
    w: Tensor,
    channels: int,
    *,
    size: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
) -> Tensor:
    """Return (N, C, *size): windows of the cotangent, spread by the stride, with w turned around.

    The padding must be that of `is_gathered`.
    """
    k, (n, outputs) = len(stride), y.shape[:2]
    low, high = [0, 0], [0, 0]
    reach = _reach(w.shape[2:], dilation)
    for width, m, s, r, (before, _) in zip(size, y.shape[2:], stride, reach, padding, strict=True):
        low.append(r - before)
        high.append(width + before - ((m - 1) * s + 1))
    interior = (0, 0, *[s - 1 for s in stride])
    spread = bind(p.pad, y, low=tuple(low), high=tuple(high), interior=interior, value=0.0)
    windows = unfold(spread, w.shape[2:], dilation=dilation)
    windows = reshape(windows, (n, channels, outputs // channels, *windows.shape[2:]))
    terms = windows * _weights(flip(w, axis=tuple(range(2, 2 + k))), channels)
    return reductions.sum(terms, axis=(2, *range(3 + k, 3 + 2 * k)))


def weight_grad(
    x: Tensor, y: Tensor, *, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Tensor:
    """Return (O, 1, *kernel)."""
    k, (n, outputs), channels = len(kernel), y.shape[:2], x.shape[1]
    windows = _windows(padded(x, padding), kernel, stride, dilation)
    cotangents = reshape(y, (n, channels, outputs // channels, *y.shape[2:], *(1,) * k))
    out = reductions.sum(windows * cotangents, axis=(0, *range(3, 3 + k)))
    return reshape(out, (outputs, 1, *kernel))


def _reach(kernel: Shape, dilation: Shape) -> list[int]:
    return [(width - 1) * d for width, d in zip(kernel, dilation, strict=True)]


def _windows(x: Tensor, kernel: Shape, stride: Shape, dilation: Shape) -> Tensor:
    """Return the windows of a padded input: (N, C, 1, *places, *kernel)."""
    windows = unfold(x, kernel, stride=stride, dilation=dilation)
    return reshape(windows, (*x.shape[:2], 1, *windows.shape[2:]))


def _weights(w: Tensor, channels: int) -> Tensor:
    """Return the weight as (C, O / C, 1 for each place, *kernel)."""
    kernel = w.shape[2:]
    return reshape(w, (channels, w.shape[0] // channels, *(1,) * len(kernel), *kernel))
