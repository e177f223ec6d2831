"""Convolution and its gradients: products of matrices that are read as windows, never written."""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_cupy._elementwise import cast, contiguous
from isograd_cupy._launch import Kernels, kernels
from isograd_cupy._layout import compute_type, empty, result, windows_of
from isograd_cupy._reductions import REDUCTIONS
from isograd_cupy._sources import fill

__all__ = ["CONVOLUTION", "conv_module"]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

_TILE: Final = 64
_PART: Final = 2048  # terms of a weight's gradient that one block adds, at least
_PARTS: Final = 64
_MOST: Final = 65535


def conv_module(dtype: np.dtype[Any], rank: int, /) -> Kernels:
    """Return the kernels of convolution over so many axes."""
    return kernels("conv", dtype, RANK=str(rank))


def _tiles(rows: int, columns: int, layers: int) -> tuple[int, int, int]:
    return -(-rows // _TILE), -(-columns // _TILE), min(layers, _MOST)


def _conv(x: Any, w: Any, *, stride: Shape, padding: Pairs, dilation: Shape, groups: int) -> Any:
    size, kernel, batch = x.shape[2:], w.shape[2:], x.shape[0]
    places = tuple(
        [
            (n + sum(pad) - gap * (width - 1) - 1) // step + 1
            for n, pad, width, step, gap in zip(
                size, padding, kernel, stride, dilation, strict=True
            )
        ]
    )
    out = result(0, (batch, w.shape[0], *places), x.dtype)
    if not out.size or not w.size:
        return fill(out, 0)
    windows = windows_of(size, places, kernel, stride, dilation, padding)
    inputs, outputs = w.shape[1], w.shape[0] // groups
    arguments = (contiguous(x), contiguous(w), out, windows, batch, groups, inputs, outputs)
    grid = _tiles(batch * prod(places), outputs, groups)
    conv_module(x.dtype, len(size)).launch("conv", arguments, grid)
    return out


def _input_grad(
    y: Any,
    w: Any,
    *,
    size: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> Any:
    batch, inputs, outputs = y.shape[0], w.shape[1], w.shape[0] // groups
    out = result(0, (batch, inputs * groups, *size), y.dtype)
    if not y.size or not w.size:
        return fill(out, 0)
    windows = windows_of(size, y.shape[2:], w.shape[2:], stride, dilation, padding)
    arguments = (contiguous(y), contiguous(w), out, windows, batch, groups, inputs, outputs)
    grid = _tiles(batch * prod(size), inputs, groups)
    conv_module(y.dtype, len(size)).launch("conv_input_grad", arguments, grid)
    return out


def _weight_grad(
    x: Any,
    y: Any,
    *,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> Any:
    """Sum over the places in parts, whose number depends on the sizes alone."""
    batch, inputs, outputs = x.shape[0], x.shape[1] // groups, y.shape[1] // groups
    shape = (y.shape[1], inputs, *kernel)
    terms = batch * prod(y.shape[2:])
    if not y.size or not x.size:
        return fill(empty(shape, x.dtype), 0)
    parts = min(-(-terms // _PART), _PARTS)
    part = -(-terms // parts)
    sums = empty((parts, *shape), np.dtype(_WIDE[compute_type(x.dtype)]))
    windows = windows_of(x.shape[2:], y.shape[2:], kernel, stride, dilation, padding)
    arguments = (contiguous(x), contiguous(y), sums, windows, batch, groups, inputs, outputs)
    grid = _tiles(outputs, inputs * prod(kernel), groups * parts)
    module = conv_module(x.dtype, len(kernel))
    module.launch("conv_weight_grad", (*arguments, part, parts), grid)
    return cast(REDUCTIONS["sum"](sums, axis=(0,), keepdims=False), x.dtype)


_WIDE: Final = {"float": np.float32, "double": np.float64}

CONVOLUTION: Final[dict[str, Kernel]] = {
    "conv": _conv,
    "conv_input_grad": _input_grad,
    "conv_weight_grad": _weight_grad,
}
