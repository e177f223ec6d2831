"""Losses as modules: each applies a function of `isograd.nn.functional`."""

from __future__ import annotations

from isograd.nn import functional as F
from isograd.nn.functional.loss import MSEReduction, Reduction, check_reduction
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = ["CrossEntropyLoss", "L1Loss", "MSELoss", "NLLLoss"]


class MSELoss(Module):
    """Squared error; see `functional.mse_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "half_sum"}
        ``"half_sum"`` is the textbook convention ``0.5 * sum``.

    Raises
    ------
    ValueError
        If there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.MSELoss(reduction="half_sum")(ig.ones(4), ig.zeros(4)).item()
    2.0
    """

    def __init__(self, *, reduction: MSEReduction = "mean") -> None:
        super().__init__()
        check_reduction("MSELoss", reduction, ("mean", "sum", "none", "half_sum"))
        self.reduction: MSEReduction = reduction

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return the loss of ``x`` against ``target``."""
        return F.mse_loss(x, target, self.reduction)


class L1Loss(Module):
    """Absolute error; see `functional.l1_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        What to do with the elements' losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("L1Loss", reduction)
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return the loss of ``x`` against ``target``."""
        return F.l1_loss(x, target, self.reduction)


class CrossEntropyLoss(Module):
    """Cross-entropy of logits against labels or probabilities; see `functional.cross_entropy`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class; a buffer of the module, as in torch.
    ignore_index : int
        The label of targets that do not count.
    reduction : {"mean", "sum", "none"}
        What to do with the targets' losses.
    label_smoothing : float
        Mix each target with this much of the uniform distribution.

    Raises
    ------
    ValueError
        If there is no such reduction, or ``label_smoothing`` is not in [0, 1].

    Examples
    --------
    >>> import isograd as ig
    >>> loss = ig.nn.CrossEntropyLoss(reduction="sum")
    >>> round(loss(ig.zeros((2, 4)), ig.tensor([0, 3])).item(), 4)
    2.7726
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check_reduction("CrossEntropyLoss", reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"CrossEntropyLoss: label_smoothing={label_smoothing} is not in [0, 1]; use a "
                "value that is"
            )
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor, /) -> Tensor:
        """Return the loss of ``logits`` against ``target``."""
        return F.cross_entropy(
            logits,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Module):
    """Negative log-likelihood of log-probabilities; see `functional.nll_loss`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class; a buffer of the module, as in torch.
    ignore_index : int
        The label of targets that do not count.
    reduction : {"mean", "sum", "none"}
        What to do with the targets' losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_reduction("NLLLoss", reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction: Reduction = reduction

    def forward(self, log_probabilities: Tensor, target: Tensor, /) -> Tensor:
        """Return the loss of ``log_probabilities`` against ``target``."""
        return F.nll_loss(
            log_probabilities,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )
