"""Activations as functions. Names, arguments and defaults are torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from isograd.core.errors import DTypeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import fused, random
from isograd.ops.convert import axis_of, narrowed
from isograd.ops.fused import sigmoid
from isograd.ops.fused.common import as_float, widened
from isograd.ops.math import tanh
from isograd.ops.movement import split
from isograd.runtime.tensor import Tensor

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]


def _negative_part(x: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``x`` where it is positive, and a function of it elsewhere, NaN included."""
    positive = m.greater(x, 0)
    # The function sees 0 where it does not count, so that it cannot send back NaN from there.
    return m.where(positive, x, of(m.where(positive, 0, x)))


@widened
def _elu(x: Tensor, *, alpha: float, rate: float, scale: float) -> Tensor:
    out = _negative_part(x, lambda negative: alpha * m.expm1(negative * rate))
    return out if scale == 1 else scale * out


@widened
def _mish(x: Tensor) -> Tensor:
    return x * m.tanh(m.logaddexp(x, 0.0))


@widened
def _softsign(x: Tensor) -> Tensor:
    return x / (1.0 + m.abs(x))


@widened
def _tanhshrink(x: Tensor) -> Tensor:
    return x - m.tanh(x)


@widened
def _hardsigmoid(x: Tensor) -> Tensor:
    return m.clip(x + 3.0, 0.0, 6.0) / 6.0


@widened
def _hardswish(x: Tensor) -> Tensor:
    return x * (m.clip(x + 3.0, 0.0, 6.0) / 6.0)


@widened
def _glu(a: Tensor, b: Tensor) -> Tensor:
    return a * sigmoid(b)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``input`` where it is positive, else 0; NaN stays NaN, and the gradient at 0 is 0.

    ``inplace`` is accepted as torch does, and has no effect: tensors do not change.

    Examples
    --------
    >>> import isograd as ig
    >>> relu(ig.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return fused.relu(input)


def gelu(input: Tensor, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """Return ``input * Phi(input)``, where ``Phi`` is the normal distribution function.

    Parameters
    ----------
    input : Tensor
        Floating-point.
    approximate : {"none", "tanh"}
        Exact, or ``0.5 * input * (1 + tanh(sqrt(2 / pi) * (input + 0.044715 * input**3)))``.

    Raises
    ------
    ValueError
        If there is no such approximation.

    Notes
    -----
    D. Hendrycks, K. Gimpel: Gaussian error linear units, 2016.

    Examples
    --------
    >>> import isograd as ig
    >>> round(gelu(ig.tensor(1.0)).item(), 4)
    0.8413
    """
    return fused.gelu(input, approximate=approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``input * sigmoid(input)``.

    ``inplace`` is accepted as torch does, and has no effect: tensors do not change.

    Examples
    --------
    >>> import isograd as ig
    >>> round(silu(ig.tensor(1.0)).item(), 4)
    0.7311
    """
    return fused.silu(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return ``log(1 + exp(beta * input)) / beta``.

    Where ``beta * input > threshold``, it is ``input`` itself.

    Examples
    --------
    >>> import isograd as ig
    >>> softplus(ig.tensor([-1000.0, 1000.0])).tolist()
    [0.0, 1000.0]
    """
    return fused.softplus(input, beta=beta, threshold=threshold)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Return ``input`` where it is above the threshold, else ``value``; NaN stays NaN.

    Examples
    --------
    >>> import isograd as ig
    >>> threshold(ig.tensor([0.5, 2.0]), 1.0, -1.0).tolist()
    [-1.0, 2.0]
    """
    input = as_float("threshold", input)
    return m.where(m.less_equal(input, threshold), value, input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``min(relu(input), 6)``; the slope at 0 is 0 as that of `relu`, that at 6 is 1.

    Examples
    --------
    >>> import isograd as ig
    >>> relu6(ig.tensor([-1.0, 2.0, 7.0])).tolist()
    [0.0, 2.0, 6.0]
    """
    return m.clip(fused.relu(input), None, 6.0)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Return ``input`` limited to ``[min_val, max_val]``; inside and at the bounds the slope is 1.

    Raises
    ------
    ValueError
        If ``min_val`` is above ``max_val``.

    Examples
    --------
    >>> import isograd as ig
    >>> hardtanh(ig.tensor([-3.0, 0.5])).tolist()
    [-1.0, 0.5]
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val={min_val} is above max_val={max_val}; exchange them")
    return m.clip(as_float("hardtanh", input), min_val, max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``min(max(input + 3, 0), 6) / 6``.

    Notes
    -----
    A. Howard et al.: Searching for MobileNetV3, 2019.

    Examples
    --------
    >>> import isograd as ig
    >>> hardsigmoid(ig.tensor([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return _hardsigmoid(as_float("hardsigmoid", input))


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``input * hardsigmoid(input)``.

    Notes
    -----
    A. Howard et al.: Searching for MobileNetV3, 2019.

    Examples
    --------
    >>> import isograd as ig
    >>> hardswish(ig.tensor([0.0, 4.0])).tolist()
    [0.0, 4.0]
    """
    return _hardswish(as_float("hardswish", input))


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return ``input`` where it is positive, else ``alpha * (exp(input) - 1)``.

    Notes
    -----
    D.-A. Clevert et al.: Fast and accurate deep network learning by exponential linear units, 2016.

    Examples
    --------
    >>> import isograd as ig
    >>> elu(ig.tensor([-1000.0, 2.0]), alpha=0.5).tolist()
    [-0.5, 2.0]
    """
    return _elu(as_float("elu", input), alpha=alpha, rate=1.0, scale=1.0)


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return `elu` scaled such that layers keep mean 0 and variance 1.

    Notes
    -----
    G. Klambauer et al.: Self-normalizing neural networks, 2017, whose constants these are.

    Examples
    --------
    >>> import isograd as ig
    >>> round(selu(ig.tensor(1.0)).item(), 4)
    1.0507
    """
    return _elu(as_float("selu", input), alpha=_SELU_ALPHA, rate=1.0, scale=_SELU_SCALE)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return ``input`` where it is positive, else ``alpha * (exp(input / alpha) - 1)``.

    Raises
    ------
    ValueError
        If ``alpha`` is 0.

    Notes
    -----
    J. T. Barron: Continuously differentiable exponential linear units, 2017.

    Examples
    --------
    >>> import isograd as ig
    >>> celu(ig.tensor([-1000.0, 2.0]), alpha=0.5).tolist()
    [-0.5, 2.0]
    """
    if alpha == 0:
        raise ValueError("celu: alpha=0; use another number")
    return _elu(as_float("celu", input), alpha=alpha, rate=1.0 / alpha, scale=1.0)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return ``input`` where it is positive, else ``negative_slope * input``.

    Examples
    --------
    >>> import isograd as ig
    >>> leaky_relu(ig.tensor([-4.0, 2.0]), 0.25).tolist()
    [-1.0, 2.0]
    """
    return _negative_part(as_float("leaky_relu", input), lambda negative: negative_slope * negative)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return ``input`` where it is positive, else ``weight * input``.

    Parameters
    ----------
    input : Tensor
        Floating-point, ``(N, C, ...)``.
    weight : Tensor
        One slope, or one for each channel: ``(1,)`` or ``(C,)``.

    Raises
    ------
    ShapeError, DTypeError
        If the weight does not fit.

    Notes
    -----
    K. He et al.: Delving deep into rectifiers, 2015.

    Examples
    --------
    >>> import isograd as ig
    >>> prelu(ig.tensor([[-4.0, -4.0]]), ig.tensor([0.25, 0.5])).tolist()
    [[-1.0, -2.0]]
    """
    input, weight = narrowed(as_float("prelu", input), weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ShapeError(
            f"prelu: the weight has shape {weight.shape} for an input of shape {input.shape}; give "
            f"it shape (1,) or ({channels},)"
        )
    if weight.dtype != input.dtype:
        raise DTypeError(
            f"prelu: the weight has dtype {weight.dtype}, the input {input.dtype}; convert "
            "one of them"
        )
    if weight.size == 1:
        slopes = weight.reshape((1,) * input.ndim)
    else:
        slopes = weight.reshape((channels,) + (1,) * (input.ndim - 2))
    return _negative_part(input, lambda negative: slopes * negative)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Return ``input`` where it is positive, else ``input`` times a slope.

    The slope is uniform in ``[lower, upper)`` for each element in training, and ``(lower + upper) /
    2`` otherwise.

    Raises
    ------
    ValueError
        If ``lower`` is above ``upper``.

    Notes
    -----
    B. Xu et al.: Empirical evaluation of rectified activations in convolutional network, 2015.

    Examples
    --------
    >>> import isograd as ig
    >>> rrelu(ig.tensor([-4.0, 2.0]), 0.0, 0.5).tolist()
    [-1.0, 2.0]
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower={lower} is above upper={upper}; exchange them")
    input = as_float("rrelu", input)
    slopes: Any = (lower + upper) / 2
    if training:
        slopes = random.uniform(
            input.shape, low=lower, high=upper, dtype=input.dtype, device=input.device
        )
    return _negative_part(input, lambda negative: slopes * negative)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return ``a * sigmoid(b)`` for the halves ``a`` and ``b`` of ``input`` along axis ``dim``.

    Raises
    ------
    ShapeError
        If the axis has an odd length.

    Notes
    -----
    Y. N. Dauphin et al.: Language modeling with gated convolutional networks, 2017.

    Examples
    --------
    >>> import isograd as ig
    >>> glu(ig.tensor([4.0, 6.0, 0.0, 0.0])).tolist()
    [2.0, 3.0]
    """
    input = as_float("glu", input)
    axis = axis_of("glu", dim, input.ndim)
    if input.shape[axis] % 2:
        raise ShapeError(
            f"glu: axis {dim} of shape {input.shape} has an odd length; give it an even one"
        )
    a, b = split(input, 2, axis=axis)
    return _glu(a, b)


def logsigmoid(input: Tensor) -> Tensor:
    """Return ``log(sigmoid(input))`` without overflow.

    Examples
    --------
    >>> import isograd as ig
    >>> logsigmoid(ig.tensor([-1000.0])).tolist()
    [-1000.0]
    """
    return -m.logaddexp(-as_float("logsigmoid", input), 0.0)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``input * tanh(softplus(input))``.

    Notes
    -----
    D. Misra: Mish: A self regularized non-monotonic activation function, 2020.

    Examples
    --------
    >>> import isograd as ig
    >>> round(mish(ig.tensor(1.0)).item(), 4)
    0.8651
    """
    return _mish(as_float("mish", input))


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return 0 where ``abs(input) <= lambd``, else ``input``.

    Examples
    --------
    >>> import isograd as ig
    >>> hardshrink(ig.tensor([-0.25, 2.0])).tolist()
    [0.0, 2.0]
    """
    input = as_float("hardshrink", input)
    return m.where(m.less_equal(m.abs(input), lambd), 0, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return ``input`` moved towards 0 by ``lambd``, and 0 where it is nearer than that.

    Raises
    ------
    ValueError
        If ``lambd`` is negative.

    Examples
    --------
    >>> import isograd as ig
    >>> softshrink(ig.tensor([-0.25, 2.0])).tolist()
    [0.0, 1.5]
    """
    if lambd < 0:
        raise ValueError(f"softshrink: lambd={lambd} is negative; use a number >= 0")
    input = as_float("softshrink", input)
    return input - m.clip(input, -lambd, lambd)


def softsign(input: Tensor) -> Tensor:
    """Return ``input / (1 + abs(input))``.

    Examples
    --------
    >>> import isograd as ig
    >>> softsign(ig.tensor([-1.0, 3.0])).tolist()
    [-0.5, 0.75]
    """
    return _softsign(as_float("softsign", input))


def tanhshrink(input: Tensor) -> Tensor:
    """Return ``input - tanh(input)``.

    Examples
    --------
    >>> import isograd as ig
    >>> round(tanhshrink(ig.tensor(1.0)).item(), 4)
    0.2384
    """
    return _tanhshrink(as_float("tanhshrink", input))
