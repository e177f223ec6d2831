"""Losses of real-valued targets and of distributions, as modules."""

from __future__ import annotations

from isograd.nn import functional as F
from isograd.nn.functional.loss import Reduction, check_reduction
from isograd.nn.functional.regression import KLReduction
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = ["GaussianNLLLoss", "HuberLoss", "KLDivLoss", "PoissonNLLLoss", "SmoothL1Loss"]


class SmoothL1Loss(Module):
    """Squared error near 0, absolute error farther away; see `functional.smooth_l1_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        What to do with the losses.
    beta : float
        Where it changes.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(self, *, reduction: Reduction = "mean", beta: float = 1.0) -> None:
        super().__init__()
        check_reduction("SmoothL1Loss", reduction)
        self.reduction: Reduction = reduction
        self.beta = beta

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.smooth_l1_loss` of the arguments."""
        return F.smooth_l1_loss(x, target, self.reduction, self.beta)


class HuberLoss(Module):
    """Squared error near 0, absolute error farther away; see `functional.huber_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        What to do with the losses.
    delta : float
        Where it changes.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__()
        check_reduction("HuberLoss", reduction)
        self.reduction: Reduction = reduction
        self.delta = delta

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.huber_loss` of the arguments."""
        return F.huber_loss(x, target, self.reduction, self.delta)


class KLDivLoss(Module):
    """Kullback-Leibler divergence from a target; see `functional.kl_div`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "batchmean"}
        What to do with the terms.
    log_target : bool
        The target holds log-probabilities as well.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(self, *, reduction: KLReduction = "mean", log_target: bool = False) -> None:
        super().__init__()
        check_reduction("KLDivLoss", reduction, ("mean", "sum", "none", "batchmean"))
        self.reduction: KLReduction = reduction
        self.log_target = log_target

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.kl_div` of the arguments."""
        return F.kl_div(x, target, self.reduction, log_target=self.log_target)


class PoissonNLLLoss(Module):
    """Negative log-likelihood of counts; see `functional.poisson_nll_loss`.

    Parameters
    ----------
    log_input : bool
        The input is the logarithm of the rate.
    full : bool
        Add Stirling's term.
    eps : float
        Added to rates before their logarithm is taken.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        *,
        eps: float = 1e-8,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_reduction("PoissonNLLLoss", reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.poisson_nll_loss` of the arguments."""
        return F.poisson_nll_loss(
            x, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(Module):
    """Negative log-likelihood under normal distributions; see `functional.gaussian_nll_loss`.

    Parameters
    ----------
    full : bool
        Add the constant term.
    eps : float
        The least variance.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(
        self, *, full: bool = False, eps: float = 1e-6, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        check_reduction("GaussianNLLLoss", reduction)
        self.full = full
        self.eps = eps
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor, var: Tensor, /) -> Tensor:
        """Return `functional.gaussian_nll_loss` of the arguments."""
        return F.gaussian_nll_loss(x, target, var, self.full, self.eps, self.reduction)
