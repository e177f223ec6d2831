"""Losses as functions. Names, arguments and defaults are torch's."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np

from isograd.core.dtypes import float32, int64, is_floating, is_half, is_integer
from isograd.core.errors import DTypeError, IndexOutOfRangeError, NumericsWarning, ShapeError
from isograd.core.frames import warn_user
from isograd.ops import creation, elementwise, fused, indexing, movement, reductions
from isograd.ops.convert import cast, is_traced, promoted
from isograd.runtime.tensor import Tensor

__all__ = ["cross_entropy", "l1_loss", "mse_loss", "nll_loss"]

Reduction = Literal["mean", "sum", "none"]
MSEReduction = Literal["mean", "sum", "none", "half_sum"]
_REDUCTIONS = ("mean", "sum", "none")


def check_reduction(function: str, reduction: str, allowed: tuple[str, ...] = _REDUCTIONS) -> None:
    """Raise unless ``reduction`` is one that the loss has."""
    if reduction not in allowed:
        raise ValueError(
            f"{function}: there is no reduction {reduction!r}; use one of "
            f"{', '.join(map(repr, allowed))}"
        )


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """Return the mean or the sum of losses, or these."""
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def check_same_shape(function: str, x: Tensor, target: Tensor, kind: str = "target") -> None:
    """Raise unless input and target have one shape."""
    if x.shape != target.shape:
        raise ShapeError(
            f"{function}: the input has shape {x.shape}, the {kind} {target.shape}; reshape one "
            "of them, since broadcasting here is nearly always a mistake"
        )


def mse_loss(
    input: Tensor,
    target: Tensor,
    reduction: MSEReduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Return the squared error ``(input - target)**2``.

    Parameters
    ----------
    input, target : Tensor
        Of one shape, floating-point.
    reduction : {"mean", "sum", "none", "half_sum"}
        ``"half_sum"`` is the textbook convention ``0.5 * sum``, whose gradient is ``input -
        target``.
    weight : Tensor, optional
        A factor for each element; the mean is then divided by their sum.

    Returns
    -------
    Tensor
        0-d, or of the shape of ``input`` for ``"none"``.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> x, target = ig.tensor([1.0, 2.0]), ig.tensor([0.0, 4.0])
    >>> [mse_loss(x, target, kind).item() for kind in ("mean", "sum", "half_sum")]
    [2.5, 5.0, 2.5]
    """
    check_reduction("mse_loss", reduction, (*_REDUCTIONS, "half_sum"))
    check_same_shape("mse_loss", input, target)
    losses = elementwise.square(promoted(input) - promoted(target))
    if weight is not None:
        check_same_shape("mse_loss", input, weight, "weight")
        losses = losses * weight
        if reduction == "mean":
            return losses.sum() / weight.sum()
    return 0.5 * losses.sum() if reduction == "half_sum" else reduce(losses, reduction)


def l1_loss(
    input: Tensor, target: Tensor, reduction: Reduction = "mean", weight: Tensor | None = None
) -> Tensor:
    """Return the absolute error ``abs(input - target)``; its gradient is 0 where they are equal.

    Parameters
    ----------
    input, target : Tensor
        Of one shape, floating-point.
    reduction : {"mean", "sum", "none"}
        What to do with the elements' losses.
    weight : Tensor, optional
        A factor for each element; the mean is then divided by their sum.

    Returns
    -------
    Tensor
        0-d, or of the shape of ``input`` for ``"none"``.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ValueError
        If there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> l1_loss(ig.tensor([1.0, 2.0]), ig.tensor([0.0, 4.0])).item()
    1.5
    """
    check_reduction("l1_loss", reduction)
    check_same_shape("l1_loss", input, target)
    losses = elementwise.abs(promoted(input) - promoted(target))
    if weight is not None:
        check_same_shape("l1_loss", input, weight, "weight")
        losses = losses * weight
        if reduction == "mean":
            return losses.sum() / weight.sum()
    return reduce(losses, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return ``-log softmax(input)`` at the target class, or its mean under target probabilities.

    Parameters
    ----------
    input : Tensor
        Floating-point, ``(C,)``, ``(N, C)`` or ``(N, C, d1, ...)``: classes are axis 1, or axis 0
        of one.
    target : Tensor
        Integer labels of the shape without the class axis, or floating-point probabilities of the
        same shape and dtype as the logits.
    weight : Tensor, optional
        A factor for each class, ``(C,)``, of the logits' dtype.
    ignore_index : int
        Targets with this label have loss and gradient exactly 0, and do not count in the mean.
    reduction : {"mean", "sum", "none"}
        ``"mean"`` divides by the number of targets that count, or by the sum of their weights; for
        probabilities by the number of rows.
    label_smoothing : float
        Mix each target with this much of the uniform distribution.

    Returns
    -------
    Tensor
        0-d, or of the shape without the class axis for ``"none"``.

    Raises
    ------
    IndexOutOfRangeError
        If a label is not in ``[0, C - 1]`` and is not ``ignore_index``.
    ShapeError, DTypeError
        If target or weight do not fit the logits.
    ValueError
        If ``label_smoothing`` is not in [0, 1], or there is no such reduction.

    Warns
    -----
    NumericsWarning
        If every target is ignored and the reduction is ``"mean"``; the loss is then 0.

    Examples
    --------
    >>> import isograd as ig
    >>> logits = ig.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 0.0]])
    >>> round(cross_entropy(logits, ig.tensor([2, -100]), label_smoothing=0.1).item(), 6)
    0.507606
    """
    name = "cross_entropy"
    input = promoted(input)
    check_reduction(name, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"{name}: label_smoothing={label_smoothing} is not in [0, 1]; use a value that is"
        )
    _check_scores(name, input, weight)
    if is_floating(target.dtype):
        if ignore_index >= 0:
            raise ValueError(
                f"{name}: ignore_index={ignore_index} needs integer labels, the targets have dtype "
                f"{target.dtype}; leave it out"
            )
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    rows, labels = _rows_and_labels(name, input, target)
    if weight is None:
        losses = fused.cross_entropy(
            rows, labels, ignore_index=ignore_index, label_smoothing=label_smoothing
        )
        return _reduce_counted(name, losses.reshape(target.shape), target, ignore_index, reduction)
    # Ignored rows are made harmless before the logarithm, so that they cannot send NaN back.
    valid = labels != ignore_index
    log_p = fused.log_softmax(
        elementwise.where(movement.expand_dims(valid, axis=1), rows, creation.zeros_like(rows)),
        axis=1,
    )
    losses, weights = _weighted_nll(name, log_p, labels, weight, ignore_index)
    if label_smoothing:
        smooth = elementwise.where(
            valid, -reductions.sum(log_p * weight, axis=1), creation.zeros_like(losses)
        )
        losses = (1 - label_smoothing) * losses + (label_smoothing / rows.shape[1]) * smooth
    return _reduce_counted(
        name, losses.reshape(target.shape), target, ignore_index, reduction, weights
    )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return minus the input at the target class: `cross_entropy` of what `log_softmax` returns.

    Parameters
    ----------
    input : Tensor
        Floating-point, ``(C,)``, ``(N, C)`` or ``(N, C, d1, ...)``.
    target : Tensor
        Integer labels of the shape without the class axis.
    weight, ignore_index, reduction
        As in `cross_entropy`.

    Returns
    -------
    Tensor
        0-d, or of the shape without the class axis for ``"none"``.

    Raises
    ------
    IndexOutOfRangeError
        If a label is not in ``[0, C - 1]`` and is not ``ignore_index``.
    ShapeError, DTypeError
        If target or weight do not fit.
    ValueError
        If there is no such reduction.

    Warns
    -----
    NumericsWarning
        If every target is ignored and the reduction is ``"mean"``; the loss is then 0.

    Examples
    --------
    >>> import isograd as ig
    >>> nll_loss(ig.tensor([[-1.0, -2.0]]), ig.tensor([1])).item()
    2.0
    """
    name = "nll_loss"
    input = promoted(input)
    check_reduction(name, reduction)
    _check_scores(name, input, weight)
    rows, labels = _rows_and_labels(name, input, target)
    losses, weights = _weighted_nll(name, rows, labels, weight, ignore_index)
    return _reduce_counted(
        name, losses.reshape(target.shape), target, ignore_index, reduction, weights
    )


def _class_axis(scores: Tensor) -> int:
    return 0 if scores.ndim == 1 else 1


def _check_scores(function: str, scores: Tensor, weight: Tensor | None) -> None:
    if not is_floating(scores.dtype):
        raise DTypeError(
            f"{function}: the input has dtype {scores.dtype}; convert it with .astype first"
        )
    if scores.ndim == 0:
        raise ShapeError(
            f"{function}: the input has no axes; give it shape (C,), (N, C) or (N, C, ...)"
        )
    classes = scores.shape[_class_axis(scores)]
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(
            f"{function}: the weight has shape {weight.shape} for an input of shape "
            f"{scores.shape}; give it shape ({classes},)"
        )
    if weight is not None and weight.dtype != scores.dtype:
        raise DTypeError(
            f"{function}: the weight has dtype {weight.dtype}, the input {scores.dtype}; convert "
            "the weight"
        )


def _rows_and_labels(function: str, scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores as ``(rows, C)`` and labels as int64 ``(rows,)``."""
    if not is_integer(target.dtype):
        raise DTypeError(f"{function}: the target has dtype {target.dtype}; pass integer labels")
    axis = _class_axis(scores)
    wanted = scores.shape[:axis] + scores.shape[axis + 1 :]
    if target.shape != wanted:
        raise ShapeError(
            f"{function}: labels have shape {target.shape} for an input of shape {scores.shape}; "
            f"give them shape {wanted}"
        )
    count = prod(wanted)
    if scores.ndim != 2:
        scores = movement.moveaxis(scores, axis, -1).reshape((count, scores.shape[axis]))
        target = target.reshape((count,))
    return scores, target if target.dtype == int64 else cast(target, int64)


def _check_labels(function: str, labels: Tensor, classes: int, ignore_index: int) -> None:
    if is_traced(labels):
        return  # the kernel that picks by label checks it
    host = labels.numpy()
    wrong = host[((host < 0) | (host >= classes)) & (host != ignore_index)]
    if wrong.size:
        raise IndexOutOfRangeError(
            f"{function}: label {wrong[0]} is out of range for {classes} classes; "
            f"use labels in [0, {classes - 1}], or ignore_index={ignore_index}"
        )


def _weighted_nll(
    function: str, log_p: Tensor, labels: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor | None]:
    """Return the losses of rows of log-probabilities, and the rows' weights; 0 where ignored."""
    _check_labels(function, labels, log_p.shape[1], ignore_index)
    valid = labels != ignore_index
    # Negative labels are sent out of range, for kernels take them for counted from the end.
    classes = elementwise.where(labels < 0, log_p.shape[1], labels)
    labels = elementwise.where(valid, classes, creation.zeros_like(labels))
    picked = indexing.take_along_axis(log_p, movement.expand_dims(labels, axis=1), axis=1).reshape(
        labels.shape
    )
    losses = elementwise.where(valid, -picked, creation.zeros_like(picked))
    if weight is None:
        return losses, None
    weights = elementwise.where(
        valid, indexing.take(weight, labels, axis=0), creation.zeros_like(picked)
    )
    return losses * weights, weights


def _reduce_counted(
    function: str,
    losses: Tensor,
    target: Tensor,
    ignore_index: int,
    reduction: str,
    weights: Tensor | None = None,
) -> Tensor:
    """Reduce losses of labels; the mean is over those not ignored, by their weights."""
    if reduction != "mean":
        return reduce(losses, reduction)
    wide = float32 if is_half(losses.dtype) else losses.dtype
    total = reductions.sum(cast(losses, wide))
    if is_traced(target):
        counts = cast(target != ignore_index, wide) if weights is None else cast(weights, wide)
        divisor = reductions.sum(counts)
        none = elementwise.equal(divisor, 0)
        return cast(total / elementwise.where(none, 1, divisor), losses.dtype)
    count = np.count_nonzero(target.numpy() != ignore_index)
    if not count:
        warn_user(
            f"{function}: none of the {target.size} targets counts (ignore_index={ignore_index}), "
            "so the mean is given as 0; check the targets, or use reduction='sum'",
            NumericsWarning,
        )
    if weights is None or not count:
        return cast(total / max(count, 1), losses.dtype)
    return cast(total / reductions.sum(cast(weights, wide)), losses.dtype)


def _soft_cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    if target.shape != logits.shape:
        raise ShapeError(
            f"cross_entropy: a target of dtype {target.dtype} holds probabilities of the input's "
            f"shape {logits.shape}, this one has shape {target.shape}; reshape it, or "
            "convert labels with .astype(isograd.int64)"
        )
    if target.dtype != logits.dtype:
        raise DTypeError(
            f"cross_entropy: target probabilities have dtype {target.dtype}, the logits "
            f"{logits.dtype}; convert one of them with .astype"
        )
    axis = _class_axis(logits)
    classes = logits.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    terms = target * fused.log_softmax(logits, axis=axis)
    if weight is not None:
        terms = terms * weight.reshape((classes,) + (1,) * (logits.ndim - axis - 1))
    return reduce(-reductions.sum(terms, axis=axis), reduction)
