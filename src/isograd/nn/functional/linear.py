"""Linear maps, dropout and one-hot codes as functions, with torch's names and arguments."""

from __future__ import annotations

from isograd.core.dtypes import int64
from isograd.ops import fused, indexing
from isograd.ops.fused import linear
from isograd.ops.random import default_generator
from isograd.runtime.tensor import Tensor

__all__ = ["dropout", "linear", "one_hot"]


def dropout(x: Tensor, /, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Set each value to 0 with probability ``p``, and scale the others by ``1 / (1 - p)``.

    Which ones is drawn from `isograd.random`; the backward pass draws the same ones again.

    Parameters
    ----------
    x : Tensor
        Floating-point.
    p : float
        Probability of 0. With 1 the result and the gradient are 0.
    training : bool
        With False, return ``x``.
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.

    Raises
    ------
    ValueError
        If ``p`` is not in [0, 1].

    Examples
    --------
    >>> import isograd as ig
    >>> dropout(ig.ones(3), p=1.0).tolist()
    [0.0, 0.0, 0.0]
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p={p} is not a probability; use a value in [0, 1]")
    if not training or p == 0:
        return x
    return fused.dropout(x, default_generator.key(x.device), p=p)


def one_hot(labels: Tensor, /, num_classes: int = -1) -> Tensor:
    """Return vectors that are 1 at the label and 0 elsewhere.

    Parameters
    ----------
    labels : Tensor
        Integers ``(...)``, at least 0.
    num_classes : int
        The vectors' length; -1 for the largest label plus one.

    Returns
    -------
    Tensor
        int64, ``(..., num_classes)``.

    Raises
    ------
    IndexOutOfRangeError
        If a label is negative, or not below ``num_classes``.
    ValueError
        If there are no labels to tell ``num_classes`` from.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.functional.one_hot(ig.tensor([1, 0])).tolist()
    [[0, 1], [1, 0]]
    """
    if num_classes == -1:
        if labels.size == 0:
            raise ValueError(
                "one_hot: there are no labels to tell the number of classes from; pass num_classes"
            )
        num_classes = int(labels.max().item()) + 1
    return indexing.one_hot(labels, num_classes, dtype=int64)
