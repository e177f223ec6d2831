"""Convolution over any number of axes, and its two gradients: each is a derivative of the others.

All three come from one trilinear form, ``sum(y * conv(x, w))``: `conv` gives the factor of ``y``,
`conv_input_grad` that of ``x`` (which is transposed convolution), `conv_weight_grad` that of ``w``.
"""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from isograd.core.errors import ShapeError
from isograd.ir import Aval
from isograd.ops import infer
from isograd.ops.fused import depthwise
from isograd.ops.fused.common import fused, widened
from isograd.ops.fused.depthwise import padded
from isograd.ops.linear import matmul
from isograd.ops.movement import (
    concat,
    fold,
    matrix_transpose,
    permute_dims,
    reshape,
    slice_axis,
    split,
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


# -- in core primitives: windows as the rows of a matrix ------------------------------------------
#
# With groups, each of them is a convolution of its own; with one channel in each, see `depthwise`.


def _columns(x: Tensor, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Tensor:
    """Return the windows of the input: (N * places, C * kernel)."""
    k, (n, channels) = len(kernel), x.shape[:2]
    windows = unfold(padded(x, padding), kernel, stride=stride, dilation=dilation)
    order = (0, *range(2, 2 + k), 1, *range(2 + k, 2 + 2 * k))
    shape = (n * prod(windows.shape[2 : 2 + k]), channels * prod(kernel))
    return reshape(permute_dims(windows, order), shape)


def _rows(y: Tensor) -> Tensor:
    """Return the output as a matrix: (N * places, O)."""
    n, channels, *places = y.shape
    moved = permute_dims(y, (0, *range(2, y.ndim), 1))
    return reshape(moved, (n * prod(places), channels))


def _matrix(w: Tensor) -> Tensor:
    """Return the weight as a matrix: (O, C * kernel)."""
    return reshape(w, (w.shape[0], prod(w.shape[1:])))


def _by_groups(
    function: Callable[..., Tensor], x: Tensor, y: Tensor, axes: Shape, groups: int, **static: Any
) -> Tensor:
    """Apply a convolution to each group of two operands' axes, and join the results."""
    parts = zip(split(x, groups, axis=axes[0]), split(y, groups, axis=axes[1]), strict=True)
    return concat([function(a, b, groups=1, **static) for a, b in parts], axis=axes[2])


@widened
def _conv(
    x: Tensor, w: Tensor, *, stride: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Tensor:
    static: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    if groups > 1:
        if w.shape[1] == 1:
            return depthwise.conv(x, w, **static)
        return _by_groups(conv, x, w, (1, 0, 1), groups, **static)
    places = _counts("conv", x.shape, w.shape, groups=1, **static)
    out = matmul(_columns(x, w.shape[2:], **static), matrix_transpose(_matrix(w)))
    last = len(places) + 1
    return permute_dims(reshape(out, (x.shape[0], *places, w.shape[0])), (0, last, *range(1, last)))


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
    static: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    if groups > 1:
        if w.shape[1] == 1 and depthwise.is_gathered(w.shape[2:], padding, dilation):
            return depthwise.input_grad(y, w, groups, size=size, **static)
        return _by_groups(conv_input_grad, y, w, (1, 0, 1), groups, size=size, **static)
    k = len(size)
    columns = reshape(
        matmul(_rows(y), _matrix(w)), (y.shape[0], *y.shape[2:], w.shape[1], *w.shape[2:])
    )
    windows = permute_dims(columns, (0, 1 + k, *range(1, 1 + k), *range(2 + k, 2 + 2 * k)))
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
    static: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    if groups > 1:
        if x.shape[1] == groups:
            return depthwise.weight_grad(x, y, kernel=kernel, **static)
        return _by_groups(conv_weight_grad, x, y, (1, 1, 0), groups, kernel=kernel, **static)
    out = matmul(matrix_transpose(_rows(y)), _columns(x, kernel, **static))
    return reshape(out, (y.shape[1], x.shape[1], *kernel))


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
