"""Products and convolutions: the axis of examples is merged into one that is there.

Where all examples share the weights, they are more rows of one product; where they share the input,
more columns. Convolutions whose weights differ are one convolution in groups.
"""

from __future__ import annotations

from math import prod
from typing import Any

from isograd.ops import primitives as p
from isograd.ops.batching.general import aligned
from isograd.ops.movement import matrix_transpose, moveaxis, reshape
from isograd.runtime.bind import bind
from isograd.runtime.level import Application
from isograd.runtime.tensor import Tensor

__all__ = ["attention", "conv", "conv_input_grad", "conv_weight_grad", "linear", "matmul"]


def matmul(call: Application) -> Any:
    """Multiply."""
    x, y = call.operands
    ndim_x, ndim_y = len(call.shape(0)), len(call.shape(1))
    if not call.mapped[1] and ndim_y == 2:
        rows = reshape(x, (prod(x.shape[:-1]), x.shape[-1]))
        return reshape(bind(p.matmul, rows, y), (*x.shape[:-1], y.shape[-1]))
    if not call.mapped[0] and ndim_x == ndim_y == 2:
        columns = reshape(matrix_transpose(y), (y.shape[0] * y.shape[2], y.shape[1]))
        out = bind(p.matmul, x, matrix_transpose(columns))
        return moveaxis(reshape(out, (x.shape[0], y.shape[0], y.shape[2])), 1, 0)
    ndim = max(ndim_x, ndim_y)
    a, b = aligned(call, 0, ndim), aligned(call, 1, ndim)
    # Outer products: no sum is needed, and a product of every pair is faster than many small ones.
    return bind(p.mul if a.shape[-1] == 1 and a.dtype.kind == "f" else p.matmul, a, b)


def linear(call: Application) -> Any:
    """Apply an affine map that all examples share to more rows."""
    if any(call.mapped[1:]):
        return NotImplemented
    return call.bind(*call.operands)


def attention(call: Application) -> Any:
    """Attend; a mask broadcasts, and all else has the same leading axes."""
    gradient = call.prim.name == "attention_grad"
    dense = 4 if gradient else 3
    operands = [call.front(i) for i in range(dense)]
    if len(call.operands) > dense:
        operands.append(aligned(call, dense, operands[0].ndim - 1))
    return call.bind(*operands)


# -- convolution -----------------------------------------------------------------------------------
#
# Arrays are (N, channels, *size) and (O, C / groups, *kernel). The axis of examples, in front, is
# moved to stand beside the channels of a group, or beside the groups, and made one with them.


def _merged(x: Tensor, axis: int) -> Tensor:
    """Move the axis in front to ``axis``, and make one of it and the next."""
    moved = moveaxis(x, 0, axis) if axis else x
    shape = moved.shape
    return reshape(moved, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def _apart(x: Tensor, axis: int, count: int) -> Tensor:
    """Undo `_merged`."""
    shape = x.shape
    apart = reshape(x, (*shape[:axis], count, shape[axis] // max(count, 1), *shape[axis + 1 :]))
    return moveaxis(apart, axis, 0) if axis else apart


def _by_group(x: Tensor, axis: int, groups: int) -> Tensor:
    """Split channels into groups: an axis of groups, then one of a group's channels."""
    shape = x.shape
    return reshape(x, (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]))


def _beside_channels(x: Tensor, axis: int, groups: int) -> Tensor:
    """Bring the axis in front beside the channels of each group, all in one axis."""
    if groups == 1:
        return _merged(x, axis)
    split = _merged(_by_group(x, axis + 1, groups), axis + 1)
    shape = split.shape
    return reshape(split, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def _from_channels(x: Tensor, axis: int, groups: int, count: int) -> Tensor:
    """Undo `_beside_channels`."""
    if groups == 1:
        return _apart(x, axis, count)
    split = _apart(_by_group(x, axis, groups), axis + 1, count)
    shape = split.shape
    at = axis + 1
    return reshape(split, (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :]))


def conv(call: Application) -> Any:
    """Convolve: examples are more of the batch, more output channels, or groups."""
    x, w = call.operands
    groups: int = call.static["groups"]
    if not call.mapped[1]:
        return _apart(call.bind(_merged(x, 0), w), 0, call.size)
    if not call.mapped[0]:
        out = call.bind(x, _beside_channels(w, 0, groups))
        return _from_channels(out, 1, groups, call.size)
    out = call.bind(_merged(x, 1), _merged(w, 0), groups=groups * call.size)
    return _apart(out, 1, call.size)


def conv_input_grad(call: Application) -> Any:
    """Convolve the other way: examples are more of the batch, more channels, or groups."""
    y, w = call.operands
    groups: int = call.static["groups"]
    if not call.mapped[1]:
        return _apart(call.bind(_merged(y, 0), w), 0, call.size)
    if not call.mapped[0]:
        # Each group's channels of the input are the weight's second axis.
        out = call.bind(y, _merged(w, 1))
        return _from_channels(out, 1, groups, call.size)
    out = call.bind(_merged(y, 1), _merged(w, 0), groups=groups * call.size)
    return _apart(out, 1, call.size)


def conv_weight_grad(call: Application) -> Any:
    """Correlate: examples are more channels of the input or of the output, or groups."""
    x, y = call.operands
    groups: int = call.static["groups"]
    if not call.mapped[1]:
        out = call.bind(_beside_channels(x, 1, groups), y)
        return _apart(out, 1, call.size)
    if not call.mapped[0]:
        out = call.bind(x, _beside_channels(y, 1, groups))
        return _from_channels(out, 0, groups, call.size)
    out = call.bind(_merged(x, 1), _merged(y, 1), groups=groups * call.size)
    return _apart(out, 0, call.size)
