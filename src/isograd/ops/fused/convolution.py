"""Convolution over any number of axes, and its two gradients: each is a derivative of the others.

All three come from one trilinear form, ``sum(y * conv(x, w))``: `conv` gives the factor of ``y``,
`conv_input_grad` that of ``x`` (which is transposed convolution), `conv_weight_grad` that of ``w``.
"""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from math import prod
from typing import Any

from isograd.core.errors import ShapeError
from isograd.ir import Aval
from isograd.ops import infer
from isograd.ops.fused.common import fused, widened
from isograd.ops.linear import matmul
from isograd.ops.movement import (
    fold,
    matrix_transpose,
    pad,
    permute_dims,
    reshape,
    slice_axis,
    unfold,
)
from isograd.runtime.bind import bind
from isograd.runtime.rules import Linear
from isograd.runtime.tensor import Tensor

__all__ = ["conv", "conv_input_grad", "conv_weight_grad"]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def _counts(
    function: str, x: Shape, w: Shape, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Shape:
    """Return the lengths of the output's window axes, or raise."""
    k = len(x) - 2
    if k < 1 or len(w) != len(x):
        raise ShapeError(
            f"{function}: input {x} and weight {w} do not fit; pass (N, C, *size) and "
            "(O, C / groups, *kernel) with as many axes"
        )
    if groups < 1 or x[1] % groups or w[0] % groups:
        raise ShapeError(
            f"{function}: groups={groups} does not divide the {x[1]} input channels and {w[0]} "
            "output channels; choose a common divisor"
        )
    if w[1] * groups != x[1]:
        raise ShapeError(
            f"{function}: weight {w} takes {w[1]} * groups={groups} channels, but the input {x} "
            f"has {x[1]}; make them equal"
        )
    if len(padding) != k or min([n for pair in padding for n in pair], default=0) < 0:
        raise ShapeError(
            f"{function}: padding is {padding} for window axes of lengths {x[2:]}; give a pair of "
            "numbers of at least 0 for each"
        )
    size = tuple([n + low + high for n, (low, high) in zip(x[2:], padding, strict=True)])
    return infer.window_counts(function, size, w[2:], stride, dilation)


def _infer_conv(x: Aval, w: Aval, **static: Any) -> Aval:
    infer.require("conv", x, "float")
    infer.same_dtype("conv", x, w)
    counts = _counts("conv", x.shape, w.shape, **static)
    return Aval((x.shape[0], w.shape[0], *counts), x.dtype)


def _check_output(function: str, y: Aval, wanted: Shape) -> None:
    if y.shape != wanted:
        raise ShapeError(
            f"{function}: the cotangent has shape {y.shape}, but the convolution returns {wanted}; "
            "pass what fits its output"
        )


def _infer_input_grad(y: Aval, w: Aval, *, size: Shape, groups: int, **static: Any) -> Aval:
    infer.require("conv_input_grad", y, "float")
    infer.same_dtype("conv_input_grad", y, w)
    if len(w.shape) < 3 or len(size) != len(w.shape) - 2:
        raise ShapeError(
            f"conv_input_grad: size {size} and weight {w.shape} do not fit; pass a length for each "
            "window axis"
        )
    x = (y.shape[0] if y.shape else 0, w.shape[1] * groups, *size)
    counts = _counts("conv_input_grad", x, w.shape, groups=groups, **static)
    _check_output("conv_input_grad", y, (x[0], w.shape[0], *counts))
    return Aval(x, y.dtype)


def _infer_weight_grad(x: Aval, y: Aval, *, kernel: Shape, groups: int, **static: Any) -> Aval:
    infer.require("conv_weight_grad", x, "float")
    infer.same_dtype("conv_weight_grad", x, y)
    if len(x.shape) < 3 or len(y.shape) != len(x.shape) or groups < 1:
        raise ShapeError(
            f"conv_weight_grad: input {x.shape} and cotangent {y.shape} do not fit; pass arrays "
            "(N, channels, *size) with as many axes"
        )
    w = (y.shape[1], x.shape[1] // groups, *kernel)
    counts = _counts("conv_weight_grad", x.shape, w, groups=groups, **static)
    _check_output("conv_weight_grad", y, (x.shape[0], w[0], *counts))
    return Aval(w, x.dtype)


# -- in core primitives: windows as the rows of a matrix, for each group ---------------------------


def _padded(x: Tensor, padding: Pairs) -> Tensor:
    return pad(x, [(0, 0), (0, 0), *padding]) if any(map(any, padding)) else x


def _columns(
    x: Tensor, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Tensor:
    """Return the windows of the input: (groups, N * places, C / groups * kernel)."""
    k, (n, channels) = len(kernel), x.shape[:2]
    windows = unfold(_padded(x, padding), kernel, stride=stride, dilation=dilation)
    places = windows.shape[2 : 2 + k]
    split = reshape(windows, (n, groups, channels // groups, *places, *kernel))
    order = (1, 0, *range(3, 3 + k), 2, *range(3 + k, 3 + 2 * k))
    return reshape(
        permute_dims(split, order),
        (groups, n * prod(places), channels // groups * prod(kernel)),
    )


def _by_group(y: Tensor, groups: int) -> Tensor:
    """Return the output as matrices: (groups, N * places, O / groups)."""
    n, channels, *places = y.shape
    split = reshape(y, (n, groups, channels // groups, *places))
    order = (1, 0, *range(3, 3 + len(places)), 2)
    return reshape(permute_dims(split, order), (groups, n * prod(places), channels // groups))


def _weights(w: Tensor, groups: int) -> Tensor:
    """Return the weight as matrices: (groups, O / groups, C / groups * kernel)."""
    return reshape(w, (groups, w.shape[0] // groups, prod(w.shape[1:])))


@widened
def _conv(
    x: Tensor, w: Tensor, *, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Tensor:
    kernel, n = w.shape[2:], x.shape[0]
    places = _counts("conv", x.shape, w.shape, stride, padding, dilation, groups)
    columns = _columns(x, kernel, stride, padding, dilation, groups)
    out = matmul(columns, matrix_transpose(_weights(w, groups)))
    split = reshape(out, (groups, n, *places, w.shape[0] // groups))
    last = len(places) + 2
    return reshape(permute_dims(split, (1, 0, last, *range(2, last))), (n, w.shape[0], *places))


@widened
def _input_grad(
    y: Tensor,
    w: Tensor,
    *,
    size: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> Tensor:
    n, places, kernel, channels = y.shape[0], y.shape[2:], w.shape[2:], w.shape[1]
    k = len(size)
    columns = matmul(_by_group(y, groups), _weights(w, groups))
    split = reshape(columns, (groups, n, *places, channels, *kernel))
    order = (1, 0, 2 + k, *range(2, 2 + k), *range(3 + k, 3 + 2 * k))
    windows = reshape(permute_dims(split, order), (n, groups * channels, *places, *kernel))
    wide = [m + low + high for m, (low, high) in zip(size, padding, strict=True)]
    out = fold(windows, wide, stride=stride, dilation=dilation)
    for axis, (m, (low, _)) in enumerate(zip(size, padding, strict=True), start=2):
        out = slice_axis(out, axis, low, low + m)
    return out


@widened
def _weight_grad(
    x: Tensor,
    y: Tensor,
    *,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> Tensor:
    columns = _columns(x, kernel, stride, padding, dilation, groups)
    out = matmul(matrix_transpose(_by_group(y, groups)), columns)
    return reshape(out, (y.shape[1], x.shape[1] // groups, *kernel))


# -- the primitives --------------------------------------------------------------------------------

_conv_p = fused(
    "conv",
    _infer_conv,
    _conv,
    Linear(
        lambda g, w, x_shape, *, stride, padding, dilation, groups: conv_input_grad(
            g, w, x_shape[2:], stride, padding, dilation, groups
        ),
        lambda g, x, w_shape, *, stride, padding, dilation, groups: conv_weight_grad(
            x, g, w_shape[2:], stride, padding, dilation, groups
        ),
        names=("x", "w"),
    ),
)
_input_grad_p = fused(
    "conv_input_grad",
    _infer_input_grad,
    _input_grad,
    Linear(
        lambda g, w, *, stride, padding, dilation, groups: conv(
            g, w, stride, padding, dilation, groups
        ),
        lambda g, y, w_shape, *, stride, padding, dilation, groups: conv_weight_grad(
            g, y, w_shape[2:], stride, padding, dilation, groups
        ),
        names=("y", "w"),
    ),
)
_weight_grad_p = fused(
    "conv_weight_grad",
    _infer_weight_grad,
    _weight_grad,
    Linear(
        lambda g, y, x_shape, *, stride, padding, dilation, groups: conv_input_grad(
            y, g, x_shape[2:], stride, padding, dilation, groups
        ),
        lambda g, x, *, stride, padding, dilation, groups: conv(
            x, g, stride, padding, dilation, groups
        ),
        names=("x", "y"),
    ),
)


def conv(
    x: Tensor,
    w: Tensor,
    /,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> Tensor:
    """Return the cross-correlation of ``x`` with the windows ``w``.

    Parameters
    ----------
    x, w
        Shapes ``(N, C, *size)`` and ``(O, C / groups, *kernel)``, floating-point.
    stride, padding, dilation
        For each window axis a number, a pair of numbers of zeros before and after, a number.
    groups
        The channels of input and output are split into so many groups, each seeing its own.

    Returns
    -------
    Tensor
        Shape ``(N, O, *places)``.

    >>> x, w = tensor([[[1.0, 2.0, 3.0]]]), tensor([[[1.0, 10.0]]])
    >>> conv(x, w, (1,), ((0, 1),), (1,), 1).tolist()
    [[[21.0, 32.0, 3.0]]]
    """
    return bind(_conv_p, x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv_input_grad(
    y: Tensor,
    w: Tensor,
    /,
    size: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> Tensor:
    """Return the adjoint of `conv` with respect to its input of lengths ``size``.

    >>> y, w = tensor([[[1.0, 2.0]]]), tensor([[[1.0, 10.0]]])
    >>> conv_input_grad(y, w, (3,), (1,), ((0, 0),), (1,), 1).tolist()
    [[[1.0, 12.0, 20.0]]]
    """
    return bind(
        _input_grad_p,
        y,
        w,
        size=size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def conv_weight_grad(
    x: Tensor,
    y: Tensor,
    /,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
    groups: int,
) -> Tensor:
    """Return the adjoint of `conv` with respect to its windows of lengths ``kernel``.

    >>> x, y = tensor([[[1.0, 2.0, 3.0]]]), tensor([[[1.0, 10.0]]])
    >>> conv_weight_grad(x, y, (2,), (1,), ((0, 0),), (1,), 1).tolist()
    [[[21.0, 32.0]]]
    """
    return bind(
        _weight_grad_p,
        x,
        y,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
