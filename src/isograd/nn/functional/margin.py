"""Losses of the hinge family, as functions of torch's names."""

from __future__ import annotations

from isograd.core.dtypes import int64, is_integer
from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.nn.functional.loss import Reduction, check_reduction, check_same_shape, reduce
from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops.convert import cast, is_traced
from isograd.ops.creation import arange
from isograd.ops.indexing import take, take_along_axis
from isograd.ops.movement import expand_dims
from isograd.ops.reductions import cumulative_sum
from isograd.ops.reductions import sum as total
from isograd.runtime.tensor import Tensor

__all__ = [
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
]


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return ``max(0, -target * (input1 - input2) + margin)``.

    With target 1, ``input1`` should be larger.

    Parameters
    ----------
    input1, input2, target : Tensor
        Of one shape; targets are 1 or -1.
    margin : float
        As in the formula.
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
    >>> margin_ranking_loss(ig.tensor([1.0]), ig.tensor([3.0]), ig.tensor([1.0])).item()
    2.0
    """
    check_reduction("margin_ranking_loss", reduction)
    check_same_shape("margin_ranking_loss", input1, input2, "other input")
    check_same_shape("margin_ranking_loss", input1, target)
    return reduce(fused.relu(margin - target * (input1 - input2)), reduction)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: Reduction = "mean"
) -> Tensor:
    """Return ``input`` where the target is 1, and ``max(0, margin - input)`` where it is -1.

    Parameters
    ----------
    input, target : Tensor
        Of one shape.
    margin : float
        As in the formula.
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
    >>> x, target = ig.tensor([0.25, 0.25]), ig.tensor([1.0, -1.0])
    >>> hinge_embedding_loss(x, target, reduction="none").tolist()
    [0.25, 0.75]
    """
    check_reduction("hinge_embedding_loss", reduction)
    check_same_shape("hinge_embedding_loss", input, target)
    apart = m.where(target == 1, 0.0, fused.relu(margin - input))
    return reduce(m.where(target == -1, 0.0, input) + apart, reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the sum of ``max(0, margin - input[y] + input[i])**p / C`` over classes ``i != y``.

    Parameters
    ----------
    input : Tensor
        Scores, ``(N, C)`` or ``(C,)``.
    target : Tensor
        Labels, ``(N,)`` or ``()``.
    p : {1, 2}
        The exponent.
    margin : float
        As in the formula.
    weight : Tensor, optional
        A factor for each target class, ``(C,)``.
    reduction : {"mean", "sum", "none"}
        What to do with the rows' losses.

    Raises
    ------
    IndexOutOfRangeError
        If a label is not in ``[0, C - 1]``.
    ShapeError, DTypeError
        If target or weight do not fit.
    ValueError
        If ``p`` is not 1 or 2, or there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> multi_margin_loss(ig.tensor([[0.0, 2.0]]), ig.tensor([0])).item()
    1.5
    """
    name = "multi_margin_loss"
    check_reduction(name, reduction)
    if p not in (1, 2):
        raise ValueError(f"{name}: p={p}; use 1 or 2")
    _check_labels(name, input, target, input.shape[:-1])
    classes = input.shape[-1]
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(
            f"{name}: the weight has shape {weight.shape} for an input of shape "
            f"{input.shape}; give it shape ({classes},)"
        )
    labels = expand_dims(cast(target, int64), axis=-1)
    # Negative labels are sent out of range, for kernels take them for counted from the end.
    labels = m.where(labels < 0, classes, labels)
    right = take_along_axis(input, labels, axis=-1)
    terms = fused.relu(margin - right + input)
    if p == 2:
        terms = m.square(terms)
    if weight is not None:
        terms = terms * take(weight, labels.reshape((-1,)), axis=0).reshape(labels.shape)
    others = m.not_equal(arange(classes, device=input.device), labels)
    return reduce(total(m.where(others, terms, 0.0), axis=-1) / classes, reduction)


def multilabel_margin_loss(
    input: Tensor, target: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """Return the sum of ``max(0, 1 - input[y] + input[i]) / C`` over labels ``y`` and others ``i``.

    Parameters
    ----------
    input : Tensor
        Scores, ``(N, C)`` or ``(C,)``.
    target : Tensor
        Of the same shape: in each row labels, then -1; what follows that does not count.
    reduction : {"mean", "sum", "none"}
        What to do with the rows' losses.

    Raises
    ------
    IndexOutOfRangeError
        If a label is not in ``[-1, C - 1]``.
    ShapeError, DTypeError
        If the target does not fit.
    ValueError
        If there is no such reduction.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([[0.1, 0.2, 0.4, 0.8]])
    >>> round(multilabel_margin_loss(x, ig.tensor([[3, 0, -1, 1]])).item(), 4)
    0.85
    """
    name = "multilabel_margin_loss"
    check_reduction(name, reduction)
    _check_labels(name, input, target, input.shape, least=-1)
    classes = input.shape[-1]
    labels = cast(target, int64)
    counts = m.equal(cumulative_sum(cast(labels < 0, int64), axis=-1), 0)
    labels = m.where(counts, labels, 0)
    right = expand_dims(take_along_axis(input, labels, axis=-1), axis=-1)
    codes = m.logical_and(
        expand_dims(counts, axis=-1),
        m.equal(expand_dims(labels, axis=-1), arange(classes, device=input.device)),
    )
    others = expand_dims(m.logical_not(codes.any(axis=-2)), axis=-2)
    used = m.logical_and(expand_dims(counts, axis=-1), others)
    terms = m.where(used, fused.relu(1.0 - right + expand_dims(input, axis=-2)), 0.0)
    return reduce(total(terms, axis=(-2, -1)) / classes, reduction)


def _check_labels(
    function: str, x: Tensor, target: Tensor, wanted: tuple[int, ...], least: int = 0
) -> None:
    if x.ndim not in (1, 2):
        raise ShapeError(f"{function}: the input has shape {x.shape}; give it shape (N, C) or (C,)")
    if not is_integer(target.dtype):
        raise DTypeError(f"{function}: the target has dtype {target.dtype}; pass integer labels")
    if target.shape != wanted:
        raise ShapeError(
            f"{function}: labels have shape {target.shape} for an input of shape {x.shape}; give "
            f"them shape {wanted}"
        )
    if is_traced(target):
        return  # the kernel that picks by label checks it
    host, classes = target.numpy(), x.shape[-1]
    wrong = host[(host < least) | (host >= classes)]
    if wrong.size:
        raise IndexOutOfRangeError(
            f"{function}: label {wrong[0]} is out of range for {classes} classes; use labels in "
            f"[{least}, {classes - 1}]"
        )
