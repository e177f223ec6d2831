"""Losses of the hinge family, and CTC, as modules."""

from __future__ import annotations

from collections.abc import Sequence

from isograd.nn import functional as F
from isograd.nn.functional.loss import Reduction, check_reduction
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = [
    "CTCLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiMarginLoss",
]


class MarginRankingLoss(Module):
    """Hinge loss of the order of two scores; see `functional.margin_ranking_loss`.

    Parameters
    ----------
    margin : float
        By how much one should be larger.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(self, margin: float = 0.0, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("MarginRankingLoss", reduction)
        self.margin = margin
        self.reduction: Reduction = reduction

    def forward(self, x1: Tensor, x2: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.margin_ranking_loss` of the arguments."""
        return F.margin_ranking_loss(x1, x2, target, self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(Module):
    """Hinge loss of distances of unlike pairs; see `functional.hinge_embedding_loss`.

    Parameters
    ----------
    margin : float
        How far apart unlike pairs should be.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(self, margin: float = 1.0, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("HingeEmbeddingLoss", reduction)
        self.margin = margin
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.hinge_embedding_loss` of the arguments."""
        return F.hinge_embedding_loss(x, target, self.margin, reduction=self.reduction)


class MultiMarginLoss(Module):
    """Hinge loss of the target's score against the others; see `functional.multi_margin_loss`.

    Parameters
    ----------
    p : {1, 2}
        The exponent, 1 or 2.
    margin : float
        By how much the target's should be larger.
    weight : Tensor, optional
        A factor for each target class; a buffer of the module.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    weight: Tensor | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        *,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_reduction("MultiMarginLoss", reduction)
        self.p = p
        self.margin = margin
        self.register_buffer("weight", weight)
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.multi_margin_loss` of the arguments."""
        return F.multi_margin_loss(
            x, target, self.p, self.margin, self.weight, reduction=self.reduction
        )


class MultiLabelMarginLoss(Module):
    """Hinge loss of several targets' scores; see `functional.multilabel_margin_loss`.

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
        check_reduction("MultiLabelMarginLoss", reduction)
        self.reduction: Reduction = reduction

    def forward(self, x: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.multilabel_margin_loss` of the arguments."""
        return F.multilabel_margin_loss(x, target, reduction=self.reduction)


class CTCLoss(Module):
    """Connectionist temporal classification; see `functional.ctc_loss`.

    Parameters
    ----------
    blank : int
        The class that stands for no label.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.
    zero_infinity : bool
        Count targets that are too long as loss 0.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(
        self, blank: int = 0, reduction: Reduction = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__()
        check_reduction("CTCLoss", reduction)
        self.blank = blank
        self.reduction: Reduction = reduction
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Tensor | Sequence[int],
        target_lengths: Tensor | Sequence[int],
        /,
    ) -> Tensor:
        """Return `functional.ctc_loss` of the arguments."""
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
