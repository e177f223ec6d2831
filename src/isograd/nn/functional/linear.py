"""Linear and bilinear maps and one-hot codes as functions, with torch's names and arguments."""

from __future__ import annotations

from math import prod

from isograd.core.dtypes import int64
from isograd.core.errors import ShapeError
from isograd.ops import indexing
from isograd.ops.fused import linear
from isograd.ops.linear import matmul
from isograd.ops.movement import expand_dims, permute_dims, reshape, squeeze
from isograd.runtime.tensor import Tensor

__all__ = ["bilinear", "linear", "one_hot"]


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``input1 @ A[k] @ input2 + b[k]`` for each matrix ``A[k]`` of the weight.

    Parameters
    ----------
    input1, input2 : Tensor
        Shapes ``(..., in1)`` and ``(..., in2)``, equal but for their last axis.
    weight : Tensor
        Shape ``(out, in1, in2)``.
    bias : Tensor, optional
        Shape ``(out,)``.

    Returns
    -------
    Tensor
        Shape ``(..., out)``.

    Raises
    ------
    ShapeError
        If shapes do not fit.

    Examples
    --------
    >>> import isograd as ig
    >>> bilinear(ig.tensor([2.0]), ig.tensor([3.0]), ig.tensor([[[5.0]]])).tolist()
    [30.0]
    """
    if (
        weight.ndim != 3
        or min(input1.ndim, input2.ndim) < 1
        or input1.shape[:-1] != input2.shape[:-1]
        or (input1.shape[-1], input2.shape[-1]) != weight.shape[1:]
    ):
        raise ShapeError(
            f"bilinear: inputs {input1.shape} and {input2.shape} and weight {weight.shape} do not "
            "fit; pass (..., in1), (..., in2) and (out, in1, in2)"
        )
    outputs, first, second = weight.shape
    columns = reshape(permute_dims(weight, (1, 0, 2)), (first, outputs * second))
    rows = reshape(input1, (prod(input1.shape[:-1]), first))
    left = reshape(matmul(rows, columns), (*input1.shape[:-1], outputs, second))
    out = squeeze(matmul(left, expand_dims(input2, axis=-1)), -1)
    return out if bias is None else out + bias


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return vectors that are 1 at the label and 0 elsewhere.

    Parameters
    ----------
    tensor : Tensor
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
        if tensor.size == 0:
            raise ValueError(
                "one_hot: there are no labels to tell the number of classes from; pass num_classes"
            )
        num_classes = int(tensor.max().item()) + 1
    return indexing.one_hot(tensor, num_classes, dtype=int64)
