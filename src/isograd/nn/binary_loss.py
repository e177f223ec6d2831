"""Losses of yes-or-no targets, as modules."""

from __future__ import annotations

from isograd.nn import functional as F
from isograd.nn.functional.loss import Reduction, check_reduction
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = ["BCELoss", "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss", "SoftMarginLoss"]


class BCELoss(Module):
    """Binary cross-entropy of probabilities; see `functional.binary_cross_entropy`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each element, which broadcasts; a buffer of the module.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("BCELoss", reduction)
        self.register_buffer("weight", weight)
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.binary_cross_entropy` of the arguments."""
        return F.binary_cross_entropy(x, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Module):
    """Binary cross-entropy of logits; see `functional.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each element, which broadcasts; a buffer of the module.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.
    pos_weight : Tensor, optional
        A factor for positive targets, which broadcasts; a buffer of the module.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: Reduction = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_reduction("BCEWithLogitsLoss", reduction)
        self.register_buffer("weight", weight)
        self.reduction: Reduction = reduction
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.binary_cross_entropy_with_logits` of the arguments."""
        return F.binary_cross_entropy_with_logits(
            x, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class SoftMarginLoss(Module):
    """Logistic loss of targets 1 and -1; see `functional.soft_margin_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("SoftMarginLoss", reduction)
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.soft_margin_loss` of the arguments."""
        return F.soft_margin_loss(x, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(Module):
    """Binary cross-entropy, a mean over classes; see `functional.multilabel_soft_margin_loss`.

    Parameters
    ----------
    weight : Tensor, optional
        A factor for each class; a buffer of the module.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("MultiLabelSoftMarginLoss", reduction)
        self.register_buffer("weight", weight)
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.multilabel_soft_margin_loss` of the arguments."""
        return F.multilabel_soft_margin_loss(x, target, self.weight, reduction=self.reduction)
