"""Softmax and its relatives, with torch's names and arguments."""

from __future__ import annotations

from typing import Any

from isograd.core.dtypes import finfo, float32, is_half
from isograd.ops import elementwise as m
from isograd.ops import fused, random
from isograd.ops.convert import axis_of, cast, promoted
from isograd.ops.fused.common import as_float
from isograd.ops.indexing import one_hot
from isograd.ops.movement import moveaxis
from isograd.ops.reductions import argmax
from isograd.runtime.tensor import Tensor

__all__ = ["gumbel_softmax", "log_softmax", "softmax", "softmin"]


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Return ``exp(input)`` scaled so that it sums to 1 along axis ``dim``.

    Parameters
    ----------
    input : Tensor
        Floating-point.
    dim : int
        The axis.
    dtype : dtype, optional
        Convert ``input`` to this first.

    Examples
    --------
    >>> import isograd as ig
    >>> softmax(ig.tensor([1000.0, 1000.0]), dim=0).tolist()
    [0.5, 0.5]
    """
    return fused.softmax(promoted(input) if dtype is None else input.astype(dtype), axis=dim)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Return ``log(softmax(input))`` along axis ``dim``, without overflow.

    Parameters
    ----------
    input : Tensor
        Floating-point.
    dim : int
        The axis.
    dtype : dtype, optional
        Convert ``input`` to this first.

    Examples
    --------
    >>> import isograd as ig
    >>> log_softmax(ig.tensor([1000.0, 0.0]), dim=0).tolist()
    [0.0, -1000.0]
    """
    return fused.log_softmax(promoted(input) if dtype is None else input.astype(dtype), axis=dim)


def softmin(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Return `softmax` of ``-input`` along axis ``dim``.

    Examples
    --------
    >>> import isograd as ig
    >>> softmin(ig.tensor([-1000.0, 1000.0]), dim=0).tolist()
    [1.0, 0.0]
    """
    return softmax(-input, dim, dtype=dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, *, dim: int = -1
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
