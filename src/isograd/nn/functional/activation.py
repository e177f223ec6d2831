"""Activations as functions. Names, arguments and defaults are torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from isograd.core.dtypes import finfo, float32, is_half
from isograd.core.errors import DTypeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import fused, random
from isograd.ops.convert import axis_of, cast, narrowed, promoted
from isograd.ops.fused import sigmoid
from isograd.ops.fused.common import as_float, widened
from isograd.ops.indexing import one_hot
from isograd.ops.math import tanh
from isograd.ops.movement import moveaxis, split
from isograd.ops.reductions import argmax
from isograd.runtime.tensor import Tensor

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
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


def relu(x: Tensor, /, inplace: bool = False) -> Tensor:
    """Return ``x`` where it is positive, else 0; NaN stays NaN, and the gradient at 0 is 0.

    ``inplace`` is accepted as torch does, and has no effect: tensors do not change.

    Examples
    --------
    >>> import isograd as ig
    >>> relu(ig.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return fused.relu(x)


def gelu(x: Tensor, /, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """Return ``x * Phi(x)``, where ``Phi`` is the normal distribution function.

    Parameters
    ----------
    x : Tensor
        Floating-point.
    approximate : {"none", "tanh"}
        Exact, or ``0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``.

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
    return fused.gelu(x, approximate=approximate)


def silu(x: Tensor, /, inplace: bool = False) -> Tensor:
    """Return ``x * sigmoid(x)``.

    ``inplace`` is accepted as torch does, and has no effect: tensors do not change.

    Examples
    --------
    >>> import isograd as ig
    >>> round(silu(ig.tensor(1.0)).item(), 4)
    0.7311
    """
    return fused.silu(x)


def softplus(x: Tensor, /, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return ``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x > threshold``.

    Examples
    --------
    >>> import isograd as ig
    >>> softplus(ig.tensor([-1000.0, 1000.0])).tolist()
    [0.0, 1000.0]
    """
    return fused.softplus(x, beta=beta, threshold=threshold)


def softmax(x: Tensor, /, dim: int, *, dtype: Any = None) -> Tensor:
    """Return ``exp(x)`` scaled so that it sums to 1 along axis ``dim``.

    Parameters
    ----------
    x : Tensor
        Floating-point.
    dim : int
        The axis.
    dtype : dtype, optional
        Convert ``x`` to this first.

    Examples
    --------
    >>> import isograd as ig
    >>> softmax(ig.tensor([1000.0, 1000.0]), dim=0).tolist()
    [0.5, 0.5]
    """
    return fused.softmax(promoted(x) if dtype is None else x.astype(dtype), axis=dim)


def log_softmax(x: Tensor, /, dim: int, *, dtype: Any = None) -> Tensor:
    """Return ``log(softmax(x))`` along axis ``dim``, without overflow.

    Parameters
    ----------
    x : Tensor
        Floating-point.
    dim : int
        The axis.
    dtype : dtype, optional
        Convert ``x`` to this first.

    Examples
    --------
    >>> import isograd as ig
    >>> log_softmax(ig.tensor([1000.0, 0.0]), dim=0).tolist()
    [0.0, -1000.0]
    """
    return fused.log_softmax(promoted(x) if dtype is None else x.astype(dtype), axis=dim)


def softmin(x: Tensor, /, dim: int, *, dtype: Any = None) -> Tensor:
    """Return `softmax` of ``-x`` along axis ``dim``.

    Examples
    --------
    >>> import isograd as ig
    >>> softmin(ig.tensor([-1000.0, 1000.0]), dim=0).tolist()
    [1.0, 0.0]
    """
    return softmax(-x, dim, dtype=dtype)


def threshold(x: Tensor, /, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Return ``x`` where it is above the threshold, else ``value``; NaN stays NaN.

    Examples
    --------
    >>> import isograd as ig
    >>> threshold(ig.tensor([0.5, 2.0]), 1.0, -1.0).tolist()
    [-1.0, 2.0]
    """
    x = as_float("threshold", x)
    return m.where(m.less_equal(x, threshold), value, x)


def relu6(x: Tensor, /, inplace: bool = False) -> Tensor:
    """Return ``min(relu(x), 6)``; the slope at 0 is 0 as that of `relu`, that at 6 is 1.

    Examples
    --------
    >>> import isograd as ig
    >>> relu6(ig.tensor([-1.0, 2.0, 7.0])).tolist()
    [0.0, 2.0, 6.0]
    """
    return m.clip(fused.relu(x), None, 6.0)


def hardtanh(
    x: Tensor, /, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Return ``x`` limited to ``[min_val, max_val]``; inside and at the bounds the slope is 1.

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
    return m.clip(as_float("hardtanh", x), min_val, max_val)


def hardsigmoid(x: Tensor, /, inplace: bool = False) -> Tensor:
    """Return ``min(max(x + 3, 0), 6) / 6``.

    Notes
    -----
    A. Howard et al.: Searching for MobileNetV3, 2019.

    Examples
    --------
    >>> import isograd as ig
    >>> hardsigmoid(ig.tensor([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return _hardsigmoid(as_float("hardsigmoid", x))


def hardswish(x: Tensor, /, inplace: bool = False) -> Tensor:
    """Return ``x * hardsigmoid(x)``.

    Notes
    -----
    A. Howard et al.: Searching for MobileNetV3, 2019.

    Examples
    --------
    >>> import isograd as ig
    >>> hardswish(ig.tensor([0.0, 4.0])).tolist()
    [0.0, 4.0]
    """
    return _hardswish(as_float("hardswish", x))


def elu(x: Tensor, /, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return ``x`` where it is positive, else ``alpha * (exp(x) - 1)``.

    Notes
    -----
    D.-A. Clevert et al.: Fast and accurate deep network learning by exponential linear units, 2016.

    Examples
    --------
    >>> import isograd as ig
    >>> elu(ig.tensor([-1000.0, 2.0]), alpha=0.5).tolist()
    [-0.5, 2.0]
    """
    return _elu(as_float("elu", x), alpha=alpha, rate=1.0, scale=1.0)


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def selu(x: Tensor, /, inplace: bool = False) -> Tensor:
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
    return _elu(as_float("selu", x), alpha=_SELU_ALPHA, rate=1.0, scale=_SELU_SCALE)


def celu(x: Tensor, /, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return ``x`` where it is positive, else ``alpha * (exp(x / alpha) - 1)``.

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
    return _elu(as_float("celu", x), alpha=alpha, rate=1.0 / alpha, scale=1.0)


def leaky_relu(x: Tensor, /, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return ``x`` where it is positive, else ``negative_slope * x``.

    Examples
    --------
    >>> import isograd as ig
    >>> leaky_relu(ig.tensor([-4.0, 2.0]), 0.25).tolist()
    [-1.0, 2.0]
    """
    return _negative_part(as_float("leaky_relu", x), lambda negative: negative_slope * negative)


def prelu(x: Tensor, weight: Tensor, /) -> Tensor:
    """Return ``x`` where it is positive, else ``weight * x``.

    Parameters
    ----------
    x : Tensor
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
    x, weight = narrowed(as_float("prelu", x), weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ShapeError(
            f"prelu: the weight has shape {weight.shape} for an input of shape {x.shape}; give it "
            f"shape (1,) or ({channels},)"
        )
    if weight.dtype != x.dtype:
        raise DTypeError(
            f"prelu: the weight has dtype {weight.dtype}, the input {x.dtype}; convert one of them"
        )
    if weight.size == 1:
        slopes = weight.reshape((1,) * x.ndim)
    else:
        slopes = weight.reshape((channels,) + (1,) * (x.ndim - 2))
    return _negative_part(x, lambda negative: slopes * negative)


def rrelu(
    x: Tensor,
    /,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Return ``x`` where it is positive, else ``x`` times a slope.

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
    x = as_float("rrelu", x)
    slopes: Any = (lower + upper) / 2
    if training:
        slopes = random.uniform(x.shape, low=lower, high=upper, dtype=x.dtype, device=x.device)
    return _negative_part(x, lambda negative: slopes * negative)


def glu(x: Tensor, /, dim: int = -1) -> Tensor:
    """Return ``a * sigmoid(b)`` for the halves ``a`` and ``b`` of ``x`` along axis ``dim``.

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
    x = as_float("glu", x)
    axis = axis_of("glu", dim, x.ndim)
    if x.shape[axis] % 2:
        raise ShapeError(
            f"glu: axis {dim} of shape {x.shape} has an odd length; give it an even one"
        )
    a, b = split(x, 2, axis=axis)
    return _glu(a, b)


def logsigmoid(x: Tensor, /) -> Tensor:
    """Return ``log(sigmoid(x))`` without overflow.

    Examples
    --------
    >>> import isograd as ig
    >>> logsigmoid(ig.tensor([-1000.0])).tolist()
    [-1000.0]
    """
    return -m.logaddexp(-as_float("logsigmoid", x), 0.0)


def mish(x: Tensor, /, inplace: bool = False) -> Tensor:
    """Return ``x * tanh(softplus(x))``.

    Notes
    -----
    D. Misra: Mish: A self regularized non-monotonic activation function, 2020.

    Examples
    --------
    >>> import isograd as ig
    >>> round(mish(ig.tensor(1.0)).item(), 4)
    0.8651
    """
    return _mish(as_float("mish", x))


def hardshrink(x: Tensor, /, lambd: float = 0.5) -> Tensor:
    """Return 0 where ``abs(x) <= lambd``, else ``x``.

    Examples
    --------
    >>> import isograd as ig
    >>> hardshrink(ig.tensor([-0.25, 2.0])).tolist()
    [0.0, 2.0]
    """
    x = as_float("hardshrink", x)
    return m.where(m.less_equal(m.abs(x), lambd), 0, x)


def softshrink(x: Tensor, /, lambd: float = 0.5) -> Tensor:
    """Return ``x`` moved towards 0 by ``lambd``, and 0 where it is nearer than that.

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
    x = as_float("softshrink", x)
    return x - m.clip(x, -lambd, lambd)


def softsign(x: Tensor, /) -> Tensor:
    """Return ``x / (1 + abs(x))``.

    Examples
    --------
    >>> import isograd as ig
    >>> softsign(ig.tensor([-1.0, 3.0])).tolist()
    [-0.5, 0.75]
    """
    return _softsign(as_float("softsign", x))


def tanhshrink(x: Tensor, /) -> Tensor:
    """Return ``x - tanh(x)``.

    Examples
    --------
    >>> import isograd as ig
    >>> round(tanhshrink(ig.tensor(1.0)).item(), 4)
    0.2384
    """
    return _tanhshrink(as_float("tanhshrink", x))


def gumbel_softmax(
    logits: Tensor, /, tau: float = 1.0, hard: bool = False, *, dim: int = -1
) -> Tensor:
    """Draw from the relaxed categorical distribution: `softmax` of logits plus Gumbel noise.

    Parameters
    ----------
    logits : Tensor
        Unnormalised log-probabilities.
    tau : float
        Temperature; the smaller, the nearer to one-hot.
    hard : bool
        Return one-hot vectors, with the derivative of the relaxed ones.
    dim : int
        The axis of the classes.

    Raises
    ------
    ValueError
        If ``tau`` is not positive.

    Notes
    -----
    E. Jang, S. Gu, B. Poole: Categorical reparameterization with Gumbel-softmax, 2017.

    Examples
    --------
    >>> import isograd as ig
    >>> gumbel_softmax(ig.zeros((2, 5)), hard=True).sum(axis=1).tolist()
    [1.0, 1.0]
    """
    if not tau > 0:
        raise ValueError(f"gumbel_softmax: tau={tau} is not positive; use a number > 0")
    x = as_float("gumbel_softmax", logits)
    axis = axis_of("gumbel_softmax", dim, x.ndim)
    wide = float32 if is_half(x.dtype) else x.dtype
    draws = random.uniform(x.shape, dtype=wide, device=x.device)
    draws = m.where(draws > 0, draws, float(finfo(wide).eps) / 4)  # half the least draw above 0
    noise = -m.log(-m.log(draws))
    soft = fused.softmax((x + cast(noise, x.dtype)) / tau, axis=axis)
    if not hard:
        return soft
    codes = one_hot(argmax(soft, axis=axis), x.shape[axis], dtype=x.dtype)
    return cast(moveaxis(codes, -1, axis), x.dtype) + (soft - soft.detach())
