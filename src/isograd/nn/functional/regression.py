"""Losses of real-valued targets, and of distributions, as functions of torch's names."""

from __future__ import annotations

import math
from typing import Literal

from isograd.core.errors import ShapeError
from isograd.nn.functional.loss import Reduction, check_reduction, check_same_shape, reduce
from isograd.ops import elementwise as m
from isograd.ops.convert import is_traced, promoted
from isograd.ops.creation import full_like
from isograd.ops.movement import expand_dims
from isograd.runtime.tensor import Tensor

__all__ = ["gaussian_nll_loss", "huber_loss", "kl_div", "poisson_nll_loss", "smooth_l1_loss"]

KLReduction = Literal["mean", "sum", "none", "batchmean"]


def _huber(x: Tensor, target: Tensor, delta: float) -> Tensor:
    """Return ``d**2 / 2`` up to ``abs(d) = delta``, and its tangent from there on."""
    distance = m.abs(promoted(x) - promoted(target))
    inside = m.less(distance, delta)
    near = m.where(inside, distance, 0)
    return m.where(inside, 0.5 * m.square(near), delta * (distance - 0.5 * delta))


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: Reduction = "mean", beta: float = 1.0
) -> Tensor:
    """Return ``d**2 / (2 * beta)`` where the error ``d`` is below ``beta``, else ``d - beta / 2``.

    Parameters
    ----------
    input, target : Tensor
        Of one shape, floating-point.
    reduction : {"mean", "sum", "none"}
        What to do with the elements' losses.
    beta : float
        As in the formula; with 0 this is `l1_loss`.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If ``beta`` is negative, or there is no such reduction.

    Notes
    -----
    R. Girshick: Fast R-CNN, 2015.

    Examples
    --------
    >>> import isograd as ig
    >>> smooth_l1_loss(ig.tensor([0.5, 3.0]), ig.zeros(2), "none").tolist()
    [0.125, 2.5]
    """
    check_reduction("smooth_l1_loss", reduction)
    check_same_shape("smooth_l1_loss", input, target)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta={beta} is negative; use a number >= 0")
    if beta == 0:
        return reduce(m.abs(input - target), reduction)
    return reduce(_huber(input, target, beta) / beta, reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: Reduction = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Return ``d**2 / 2`` where the error ``d`` is below ``delta``, else its tangent from there.

    Parameters
    ----------
    input, target : Tensor
        Of one shape, floating-point.
    reduction : {"mean", "sum", "none"}
        What to do with the elements' losses; the mean is over the number of elements.
    delta : float
        As in the formula.
    weight : Tensor, optional
        A factor for each element.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If ``delta`` is not positive, or there is no such reduction.

    Notes
    -----
    P. J. Huber: Robust estimation of a location parameter, 1964.

    Examples
    --------
    >>> import isograd as ig
    >>> huber_loss(ig.tensor([0.5, 3.0]), ig.zeros(2), "none", delta=2.0).tolist()
    [0.125, 4.0]
    """
    check_reduction("huber_loss", reduction)
    check_same_shape("huber_loss", input, target)
    if not delta > 0:
        raise ValueError(f"huber_loss: delta={delta} is not positive; use a number > 0")
    losses = _huber(input, target, delta)
    if weight is not None:
        check_same_shape("huber_loss", input, weight, "weight")
        losses = losses * weight
    return reduce(losses, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    reduction: KLReduction = "mean",
    *,
    log_target: bool = False,
) -> Tensor:
    """Return the terms ``target * (log(target) - input)`` of the Kullback-Leibler divergence.

    Parameters
    ----------
    input : Tensor
        Log-probabilities.
    target : Tensor
        Probabilities, of the same shape; a term with probability 0 is 0.
    reduction : {"mean", "sum", "none", "batchmean"}
        ``"batchmean"`` divides the sum by the length of the first axis, which gives the mean of the
        divergences; ``"mean"`` divides it by the number of elements.
    log_target : bool
        The target holds log-probabilities as well.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.tensor([[0.5, 0.5]])
    >>> round(kl_div(ig.tensor([[0.25, 0.75]]).log(), p, "batchmean").item(), 4)
    0.1438
    """
    check_reduction("kl_div", reduction, ("mean", "sum", "none", "batchmean"))
    check_same_shape("kl_div", input, target)
    input = promoted(input)
    if log_target:
        losses = m.exp(target) * (target - input)
    else:
        positive = m.greater(target, 0)
        losses = target * m.log(m.where(positive, target, 1.0)) - target * input
    if reduction == "batchmean":
        return losses.sum() / input.shape[0] if input.ndim else losses
    return reduce(losses, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the negative log-likelihood of counts under Poisson distributions.

    Parameters
    ----------
    input : Tensor
        The logarithm of the rate, or with ``log_input=False`` the rate.
    target : Tensor
        Counts, of the same shape.
    log_input : bool
        Then the loss is ``exp(input) - target * input``, else ``input - target * log(input +
        eps)``.
    full : bool
        Add Stirling's approximation of ``log(target!)`` where the target is above 1.
    eps : float
        As above.
    reduction : {"mean", "sum", "none"}
        What to do with the elements' losses.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> poisson_nll_loss(ig.zeros(2), ig.tensor([1.0, 5.0])).item()
    1.0
    """
    check_reduction("poisson_nll_loss", reduction)
    check_same_shape("poisson_nll_loss", input, target)
    input = promoted(input)
    losses = m.exp(input) - target * input if log_input else input - target * m.log(input + eps)
    if full:
        large = m.greater(target, 1)
        count = m.where(large, target, 1.0)
        stirling = count * m.log(count) - count + 0.5 * m.log(2 * math.pi * count)
        losses = losses + m.where(large, stirling, 0.0)
    return reduce(losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the negative log-likelihood of targets under normal distributions.

    That is ``(log(var) + (input - target)**2 / var) / 2``.

    Parameters
    ----------
    input, target : Tensor
        Expected values and targets, of one shape.
    var : Tensor or float
        The variance: of the same shape, or with 1 for one axis, or without the last one.
    full : bool
        Add ``log(2 * pi) / 2``.
    eps : float
        The least variance; its derivative goes through where it is below.
    reduction : {"mean", "sum", "none"}
        What to do with the elements' losses.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ValueError
        If a variance is negative, ``eps`` is not positive, or there is no such reduction.

    Notes
    -----
    D. A. Nix, A. S. Weigend: Estimating the mean and variance of the target probability
    distribution, 1994.

    Examples
    --------
    >>> import isograd as ig
    >>> gaussian_nll_loss(ig.zeros(2), ig.tensor([0.0, 2.0]), ig.ones(2)).item()
    1.0
    """
    check_reduction("gaussian_nll_loss", reduction)
    check_same_shape("gaussian_nll_loss", input, target)
    input = promoted(input)
    if not eps > 0:
        raise ValueError(f"gaussian_nll_loss: eps={eps} is not positive; use a number > 0")
    variance = var if isinstance(var, Tensor) else full_like(input.detach(), var)
    if variance.shape == input.shape[:-1] and input.ndim:
        variance = expand_dims(variance, axis=-1)
    fits = variance.ndim == input.ndim and all(
        n in (1, wanted) for n, wanted in zip(variance.shape, input.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"gaussian_nll_loss: var has shape {variance.shape} for an input of shape "
            f"{input.shape}; give it the same shape, with 1 for axes that share a variance"
        )
    if not is_traced(variance) and bool((variance < 0).any()):
        raise ValueError("gaussian_nll_loss: var has negative entries; pass variances >= 0")
    raised = eps + (variance - variance.detach())
    variance = m.where(m.less(variance, eps), raised, variance)
    losses = 0.5 * (m.log(variance) + m.square(input - target) / variance)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduce(losses, reduction)
