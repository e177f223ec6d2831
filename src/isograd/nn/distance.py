"""Distances and similarities, and the losses made of them, as modules."""

from __future__ import annotations

from collections.abc import Callable

from isograd.nn import functional as F
from isograd.nn.functional.loss import Reduction, check_reduction
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = [
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "PairwiseDistance",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class PairwiseDistance(Module):
    """Norms of differences along the last axis; see `functional.pairwise_distance`.

    Parameters
    ----------
    p : float
        The order of the norm.
    eps : float
        Added to the differences.
    keepdim : bool
        Keep the last axis.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor, /) -> Tensor:
        """Return `functional.pairwise_distance` of the arguments."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """Cosines of the angles between vectors; see `functional.cosine_similarity`.

    Parameters
    ----------
    dim : int
        The axis of the vectors.
    eps : float
        The least norm.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor, /) -> Tensor:
        """Return `functional.cosine_similarity` of the arguments."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class CosineEmbeddingLoss(Module):
    """Hinge loss of cosines; see `functional.cosine_embedding_loss`.

    Parameters
    ----------
    margin : float
        The largest cosine of unlike pairs without loss.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(self, margin: float = 0.0, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("CosineEmbeddingLoss", reduction)
        self.margin = margin
        self.reduction: Reduction = reduction

    def forward(self, x1: Tensor, x2: Tensor, target: Tensor, /) -> Tensor:
        """Return `functional.cosine_embedding_loss` of the arguments."""
        return F.cosine_embedding_loss(x1, x2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(Module):
    """Hinge loss of a distance against another; see `functional.triplet_margin_loss`.

    Parameters
    ----------
    margin : float
        By how much the negative should be farther away.
    p : float
        The order of the norm.
    eps : float
        Added to the differences.
    swap : bool
        Take the negative's distance from the positive where that is less.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        *,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_reduction("TripletMarginLoss", reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap
        self.reduction: Reduction = reduction

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor, /) -> Tensor:
        """Return `functional.triplet_margin_loss` of the arguments."""
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            self.margin,
            self.p,
            self.eps,
            self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(Module):
    """Hinge loss of distances; see `functional.triplet_margin_with_distance_loss`.

    Parameters
    ----------
    distance_function : callable, optional
        Maps two tensors to their distances.
    margin : float
        By how much the negative should be farther away.
    swap : bool
        Take the negative's distance from the positive where that is less.
    reduction : {"mean", "sum", "none"}
        What to do with the losses.

    Raises
    ------
    ValueError
        If there is no such reduction.
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_reduction("TripletMarginWithDistanceLoss", reduction)
        self.distance_function = distance_function or PairwiseDistance()
        self.margin = margin
        self.swap = swap
        self.reduction: Reduction = reduction

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor, /) -> Tensor:
        """Return `functional.triplet_margin_with_distance_loss` of the arguments."""
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
