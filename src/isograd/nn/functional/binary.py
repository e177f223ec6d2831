"""Losses of yes-or-no targets, as functions of torch's names."""

from __future__ import annotations

from isograd.core.errors import ShapeError
from isograd.nn.functional.loss import Reduction, check_reduction, check_same_shape, reduce
from isograd.ops import elementwise as m
from isograd.ops.convert import is_traced, promoted
from isograd.ops.movement import broadcast_shapes
from isograd.ops.reductions import mean
from isograd.runtime.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
]


def _check_broadcasts(function: str, name: str, factor: Tensor, x: Tensor) -> None:
    try:
        fits = broadcast_shapes(factor.shape, x.shape) == x.shape
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{function}: {name} has shape {factor.shape} for an input of shape {x.shape}; give it "
            "one that broadcasts to that"
        )


def _clamped_log(x: Tensor) -> Tensor:
    """Return ``log(x)``, at least -100, with derivative 0 where that is more."""
    low = m.less(x, 3.720075976020836e-44)  # exp(-100)
    return m.where(low, -100.0, m.log(m.where(low, 1.0, x)))


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return ``-(target * log(input) + (1 - target) * log(1 - input))``.

    Logarithms count as -100 at least.

    `binary_cross_entropy_with_logits` is more accurate where the input comes from a sigmoid.

    Parameters
    ----------
    input : Tensor
        Probabilities.
    target : Tensor
        Of the same shape, in [0, 1].
    weight : Tensor, optional
        A factor for each element; may broadcast.
    reduction : {"mean", "sum", "none"}
        What to do with the elements' losses.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ValueError
        If an input is not in [0, 1], or there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> round(binary_cross_entropy(ig.tensor([0.5, 0.5]), ig.tensor([0.0, 1.0])).item(), 4)
    0.6931
    """
    name = "binary_cross_entropy"
    check_reduction(name, reduction)
    check_same_shape(name, input, target)
    input = promoted(input)
    if not is_traced(input) and not bool(((input >= 0) & (input <= 1)).all()):
        raise ValueError(
            f"{name}: the input has values that are not in [0, 1]; apply a sigmoid, or use "
            "binary_cross_entropy_with_logits"
        )
    losses = -(target * _clamped_log(input) + (1.0 - target) * _clamped_log(1.0 - input))
    if weight is not None:
        _check_broadcasts(name, "weight", weight, input)
        losses = losses * weight
    return reduce(losses, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Return the binary cross-entropy of ``sigmoid(input)``, without overflow.

    That is ``(1 - target) * input + (1 + (pos_weight - 1) * target) * log(1 + exp(-input))``.

    Parameters
    ----------
    input : Tensor
        Logits.
    target : Tensor
        Of the same shape, in [0, 1].
    weight : Tensor, optional
        A factor for each element; may broadcast.
    reduction : {"mean", "sum", "none"}
        What to do with the elements' losses.
    pos_weight : Tensor, optional
        A factor for positive targets; may broadcast.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ValueError
        If there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> x, target = ig.tensor([1000.0, -1000.0]), ig.tensor([0.0, 0.0])
    >>> binary_cross_entropy_with_logits(x, target, reduction="none").tolist()
    [1000.0, 0.0]
    """
    name = "binary_cross_entropy_with_logits"
    check_reduction(name, reduction)
    check_same_shape(name, input, target)
    input = promoted(input)
    tail = m.logaddexp(-input, 0.0)
    if pos_weight is not None:
        _check_broadcasts(name, "pos_weight", pos_weight, input)
        tail = (1.0 + (pos_weight - 1.0) * target) * tail
    losses = (1.0 - target) * input + tail
    if weight is not None:
        _check_broadcasts(name, "weight", weight, input)
        losses = losses * weight
    return reduce(losses, reduction)


def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Return ``log(1 + exp(-target * input))`` for targets that are 1 or -1.

    Parameters
    ----------
    input, target : Tensor
        Of one shape.
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
    >>> soft_margin_loss(ig.tensor([-1000.0]), ig.tensor([1.0])).item()
    1000.0
    """
    check_reduction("soft_margin_loss", reduction)
    check_same_shape("soft_margin_loss", input, target)
    return reduce(m.logaddexp(-target * promoted(input), 0.0), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the binary cross-entropy of logits, as a mean over the classes in the last axis.

    Parameters
    ----------
    input, target : Tensor
        Logits and 0 or 1, ``(..., C)``.
    weight : Tensor, optional
        A factor for each class; may broadcast.
    reduction : {"mean", "sum", "none"}
        What to do with the rows' losses.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ValueError
        If there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> loss = multilabel_soft_margin_loss(ig.zeros((2, 3)), ig.ones((2, 3)))
    >>> round(loss.item(), 4)
    0.6931
    """
    check_reduction("multilabel_soft_margin_loss", reduction)
    losses = binary_cross_entropy_with_logits(input, target, weight, reduction="none")
    return reduce(mean(losses, axis=-1), reduction)
