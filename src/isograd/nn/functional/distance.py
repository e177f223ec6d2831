"""Distances and similarities of vectors, and the losses made of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isograd.core.errors import ShapeError
from isograd.nn.functional.loss import Reduction, check_reduction, reduce
from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops.convert import axis_of
from isograd.ops.creation import from_numpy
from isograd.ops.indexing import take
from isograd.ops.movement import broadcast_arrays
from isograd.ops.reductions import sum as total
from isograd.ops.reductions import vector_norm
from isograd.runtime.tensor import Tensor

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "pairwise_distance",
    "pdist",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """Return the norms of ``x1 - x2 + eps`` along the last axis.

    Parameters
    ----------
    x1, x2 : Tensor
        ``(..., D)``, shapes that broadcast.
    p : float
        The order of the norm, as in `isograd.linalg.vector_norm`.
    eps : float
        Keeps the derivative finite where the two are equal.
    keepdim : bool
        Keep the last axis, with length 1.

    Examples
    --------
    >>> import isograd as ig
    >>> round(pairwise_distance(ig.tensor([[3.0, 4.0]]), ig.zeros((1, 2))).item(), 4)
    5.0
    """
    return vector_norm(x1 - x2 + eps, axis=-1, keepdims=keepdim, ord=p)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Return the distances of all pairs of rows: 0 and 1, 0 and 2, and so on.

    Parameters
    ----------
    input : Tensor
        ``(N, D)``.
    p : float
        The order of the norm, at least 0.

    Returns
    -------
    Tensor
        ``(N * (N - 1) / 2,)``.

    Raises
    ------
    ShapeError
        If ``input`` has not two axes.
    ValueError
        If ``p`` is negative.

    Examples
    --------
    >>> import isograd as ig
    >>> pdist(ig.tensor([[0.0], [1.0], [5.0]])).tolist()
    [1.0, 5.0, 4.0]
    """
    if input.ndim != 2:
        raise ShapeError(f"pdist: the input has shape {input.shape}; give it shape (N, D)")
    if not p >= 0:
        raise ValueError(f"pdist: p={p} is negative; use a number >= 0")
    first, second = np.triu_indices(input.shape[0], 1)
    rows = [
        take(input, from_numpy(i.astype(np.int64)).to(input.device), axis=0)
        for i in (first, second)
    ]
    return vector_norm(rows[0] - rows[1], axis=1, ord=p)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Return the cosine of the angle between vectors: their product over that of their norms.

    Parameters
    ----------
    x1, x2 : Tensor
        Shapes that broadcast.
    dim : int
        The axis of the vectors.
    eps : float
        Each norm counts as at least this.

    Examples
    --------
    >>> import isograd as ig
    >>> cosine_similarity(ig.tensor([1.0, 0.0]), ig.tensor([2.0, 0.0]), dim=0).item()
    1.0
    """
    a, b = (
        x / m.clip(vector_norm(x, axis=dim, keepdims=True), eps) for x in broadcast_arrays(x1, x2)
    )
    return total(a * b, axis=axis_of("cosine_similarity", dim, a.ndim))


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return ``1 - cos`` of pairs with target 1, and ``max(0, cos - margin)`` of those with -1.

    Parameters
    ----------
    input1, input2 : Tensor
        ``(N, D)`` or ``(D,)``.
    target : Tensor
        1 or -1, ``(N,)`` or ``()``.
    margin : float
        As in the formula.
    reduction : {"mean", "sum", "none"}
        What to do with the pairs' losses.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ValueError
        If there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([[1.0, 0.0]])
    >>> round(cosine_embedding_loss(x, x, ig.tensor([-1.0]), margin=0.25).item(), 4)
    0.75
    """
    check_reduction("cosine_embedding_loss", reduction)
    if (
        input1.shape != input2.shape
        or input1.ndim not in (1, 2)
        or target.shape != input1.shape[:-1]
    ):
        raise ShapeError(
            f"cosine_embedding_loss: inputs have shapes {input1.shape} and {input2.shape}, the "
            f"target {target.shape}; pass (N, D), (N, D) and (N,), or none of them with N"
        )
    least = 1e-12
    product, square1, square2 = (
        total(a * b, axis=-1) for a, b in ((input1, input2), (input1, input1), (input2, input2))
    )
    cosine = product / m.sqrt((square1 + least) * (square2 + least))
    apart = m.where(target == -1, fused.relu(cosine - margin), 0.0)
    return reduce(m.where(target == 1, 1.0 - cosine, apart), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return ``max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        ``(N, D)`` or ``(D,)``.
    margin : float
        As in the formula, positive.
    p, eps : float
        The distance, as in `pairwise_distance`.
    swap : bool
        Take the negative's distance from the positive where it is nearer to that.
    reduction : {"mean", "sum", "none"}
        What to do with the triplets' losses.

    Raises
    ------
    ShapeError
        If the numbers of axes differ.
    ValueError
        If the margin is not positive, or there is no such reduction.

    Notes
    -----
    V. Balntas et al.: Learning local feature descriptors with triplets and shallow convolutional
    neural networks, 2016.

    Examples
    --------
    >>> import isograd as ig
    >>> a, b = ig.tensor([[0.0, 0.0]]), ig.tensor([[3.0, 4.0]])
    >>> round(triplet_margin_loss(a, b, a).item(), 4)
    6.0
    """
    return _triplet(
        "triplet_margin_loss",
        (anchor, positive, negative),
        lambda x1, x2: pairwise_distance(x1, x2, p, eps),
        margin,
        swap,
        reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return `triplet_margin_loss` with any distance.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        What ``distance_function`` takes.
    distance_function : callable, optional
        Maps two tensors to their distances; by default `pairwise_distance`.
    margin, swap, reduction
        As in `triplet_margin_loss`.

    Raises
    ------
    ShapeError
        If the numbers of axes differ.
    ValueError
        If the margin is not positive, or there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> a, b = ig.tensor([0.0]), ig.tensor([3.0])
    >>> triplet_margin_with_distance_loss(a, b, a, distance_function=lambda x, y: abs(x - y)).item()
    4.0
    """
    return _triplet(
        "triplet_margin_with_distance_loss",
        (anchor, positive, negative),
        distance_function or pairwise_distance,
        margin,
        swap,
        reduction,
    )


def _triplet(
    function: str,
    triplet: tuple[Tensor, Tensor, Tensor],
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: Reduction,
) -> Tensor:
    check_reduction(function, reduction)
    anchor, positive, negative = triplet
    if len({x.ndim for x in triplet}) > 1:
        raise ShapeError(
            f"{function}: the inputs have shapes {', '.join(str(x.shape) for x in triplet)}; give "
            "them the same number of axes"
        )
    if not margin > 0:
        raise ValueError(f"{function}: margin={margin} is not positive; use a number > 0")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = m.minimum(far, distance(positive, negative))
    return reduce(fused.relu(margin + near - far), reduction)
