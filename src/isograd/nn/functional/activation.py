"""Activations as functions. Names, arguments and defaults are torch's."""

from __future__ import annotations

from typing import Any, Literal

from isograd.ops import fused
from isograd.ops.fused import sigmoid
from isograd.ops.math import tanh
from isograd.runtime.tensor import Tensor

__all__ = ["gelu", "log_softmax", "relu", "sigmoid", "silu", "softmax", "softplus", "tanh"]


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
    return fused.softmax(x if dtype is None else x.astype(dtype), axis=dim)


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
    return fused.log_softmax(x if dtype is None else x.astype(dtype), axis=dim)
