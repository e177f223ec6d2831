"""Convolutions as products: windows are views of a padded array whose channels come last.

The products have two more axes to sum over than the channels. Where rows of windows are too short
to be worth a product each, the windows are written out first. All three primitives are products of
windows with a matrix:

- ``conv``: windows of x with w
- ``conv_input_grad``: windows of the cotangent, spread by the stride, with w turned around
- ``conv_weight_grad``: windows of x, transposed, with the cotangent
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from isograd.backend.schedule import CONVOLUTIONS, Place
from isograd.compiler.groups import Group, Map
from isograd.ir.graph import Equation, Var

if TYPE_CHECKING:
    from isograd.compiler.lower import Lowering

__all__ = ["CONVOLUTIONS", "group_of", "is_product", "operands"]


_SHORTEST = 16  # elements of a row of windows, below which windows are written out


class Operands(NamedTuple):
    """What is multiplied: see `isograd.backend.schedule.Product`."""

    x: Place
    y: Place
    blocks: int


def is_product(equation: Equation) -> bool:
    """Tell whether a convolution is done here; others stay calls of kernels."""
    static = equation.static
    windows = len(equation.outputs[0].aval.shape) - 2
    if static["groups"] != 1 or not 1 <= windows <= 2:
        return False
    if equation.prim.name != "conv_input_grad":
        return True
    kernel = equation.inputs[1].aval.shape[2:]
    reach = [(k - 1) * d for k, d in zip(kernel, static["dilation"], strict=True)]
    return all(max(pair) <= r for pair, r in zip(static["padding"], reach, strict=True))


def group_of(number: int, equation: Equation) -> tuple[Group, Map]:
    """Return a group for a convolution, and the map of its result."""
    shape = equation.outputs[0].aval.shape
    k = len(shape) - 2
    if equation.prim.name == "conv_weight_grad":  # (O, C, *kernel): rows are windows and channels
        order = (*range(2, 2 + k), 1, 0)
        batch, rows = range(2, 2 + k), (1,)
    else:  # (N, O, *places): rows are places along the last axis
        order = (0, *range(2, 2 + k), 1)
        batch, rows = (0, *range(2, 1 + k)), (1 + k,)
    group = Group(number, "product", shape, order)
    own = group.whole(shape)
    columns = 0 if equation.prim.name == "conv_weight_grad" else 1
    group.maps["parts"] = (
        tuple([a for axis in batch for a in own[axis]]),
        tuple([a for axis in rows for a in own[axis]]),
        own[columns],
    )
    return group, own


def operands(lowering: Lowering, equation: Equation) -> Operands:
    """Write steps that prepare the operands of a convolution, and return these."""
    return _FORMS[equation.prim.name](lowering, equation)


def _conv(lowering: Lowering, equation: Equation) -> Operands:
    x, w = equation.inputs
    static = equation.static
    wide = _channels_last(lowering, x, static["padding"], equation)
    counts, kernel = equation.outputs[0].aval.shape[2:], w.aval.shape[2:]
    windows = _windows(wide, counts, kernel, static["stride"], static["dilation"])
    order = (*range(2, 2 + len(kernel)), 1, 0)
    weights = lowering.reordered(w, order, equation)
    return _product(lowering, windows, weights, len(kernel), equation)


def _input_grad(lowering: Lowering, equation: Equation) -> Operands:
    y, w = equation.inputs
    static = equation.static
    kernel, counts = w.aval.shape[2:], equation.outputs[0].aval.shape[2:]
    pads: list[tuple[int, int]] = []
    for n, m, k, s, d, (low, _) in zip(
        counts,
        y.aval.shape[2:],
        kernel,
        static["stride"],
        static["dilation"],
        static["padding"],
        strict=True,
    ):
        reach = (k - 1) * d
        before = reach - low
        pads.append((before, n + reach - before - ((m - 1) * s + 1)))
    wide = _channels_last(lowering, y, pads, equation, static["stride"])
    ones = (1,) * len(kernel)
    windows = _windows(wide, counts, kernel, ones, static["dilation"])
    order = (*range(2, 2 + len(kernel)), 0, 1)
    weights = lowering.reordered(w, order, equation, flipped=range(len(kernel)))
    return _product(lowering, windows, weights, len(kernel), equation)


def _weight_grad(lowering: Lowering, equation: Equation) -> Operands:
    x, y = equation.inputs
    static = equation.static
    kernel, counts = equation.outputs[0].aval.shape[2:], y.aval.shape[2:]
    k = len(kernel)
    wide = _channels_last(lowering, x, static["padding"], equation)
    windows = _windows(wide, counts, kernel, static["stride"], static["dilation"])
    cotangent = _channels_last(lowering, y, [(0, 0)] * k, equation)
    # (N, *counts, *kernel, C) as (*kernel, C; N, *counts), and (N, *counts; O).
    x_axes = (*range(1 + k, 1 + 2 * k), 1 + 2 * k, *range(1 + k))
    return Operands(_permuted(windows, x_axes), cotangent, k)


_FORMS: dict[str, Any] = {
    "conv": _conv,
    "conv_input_grad": _input_grad,
    "conv_weight_grad": _weight_grad,
}


def _channels_last(
    lowering: Lowering,
    var: Var,
    pads: Sequence[tuple[int, int]],
    equation: Equation,
    spread: Sequence[int] | None = None,
) -> Place:
    """Return (N, *size, C) of (N, C, *size), with zeros around, and between where it is spread."""
    n, channels, *size = var.aval.shape
    steps = tuple(spread or [1] * len(size))
    full = [
        (m - 1) * s + 1 + low + high for m, s, (low, high) in zip(size, steps, pads, strict=True)
    ]
    order = (0, *range(2, 2 + len(size)), 1)
    shape = (n, *full, channels)
    if list(full) == list(size):
        place = _permuted(lowering.place(var), order)
        if place.strides[-1] == 1 or channels == 1:
            return place
        return lowering.reordered(var, order, equation)
    key = (var, tuple(pads), steps)
    if key not in lowering.padded:
        lowering.padded[key] = lowering.zeros_around(
            var, order, shape, [low for low, _ in pads], steps, equation
        )
    return lowering.padded[key]


def _windows(
    wide: Place,
    counts: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Place:
    """Return a view (N, *counts, *kernel, C)."""
    first, *steps, last = wide.strides
    places = [s * k for s, k in zip(steps, stride, strict=True)]
    inside = [s * d for s, d in zip(steps, dilation, strict=True)]
    return Place(
        wide.buffer,
        wide.offset,
        (wide.shape[0], *counts, *kernel, wide.shape[-1]),
        (first, *places, *inside, last),
        wide.dtype,
    )


def _product(
    lowering: Lowering, windows: Place, weights: Place, k: int, equation: Equation
) -> Operands:
    """Return (N, *counts; *kernel, C) and (*kernel, C; O) as operands."""
    kernel, channels = windows.shape[1 + k : -1], windows.shape[-1]
    joined = windows.strides[-2] == channels and weights.strides[-3] == channels * weights.shape[-1]
    row = channels * (kernel[-1] if joined else 1)
    if row < _SHORTEST:
        windows = lowering.written_out(windows, equation)
        depth = prod(kernel) * channels
        flat = Place(
            windows.buffer, 0, (*windows.shape[: 1 + k], depth),
            (*windows.strides[: 1 + k], 1), windows.dtype,
        )  # fmt: skip
        matrix = Place(
            weights.buffer, weights.offset, (depth, weights.shape[-1]), weights.strides[-2:],
            weights.dtype,
        )  # fmt: skip
        return Operands(flat, matrix, 0)
    return Operands(windows, weights, k)


def _permuted(place: Place, axes: Sequence[int]) -> Place:
    return Place(
        place.buffer,
        place.offset,
        tuple([place.shape[a] for a in axes]),
        tuple([place.strides[a] for a in axes]),
        place.dtype,
    )
