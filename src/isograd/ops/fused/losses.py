"""Cross-entropy with integer labels."""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from typing import Any

from isograd.core import dtypes
from isograd.core.errors import DTypeError, ShapeError
from isograd.ir import Aval
from isograd.ops import creation, infer
from isograd.ops import elementwise as m
from isograd.ops import reductions as r
from isograd.ops.convert import cast
from isograd.ops.fused.common import fused, widened
from isograd.ops.fused.softmax import log_softmax, softmax
from isograd.ops.indexing import take_along_axis
from isograd.ops.movement import expand_dims, squeeze
from isograd.runtime.bind import bind
from isograd.runtime.rules import General
from isograd.runtime.tensor import Tensor

__all__ = [
    "cross_entropy",
]


def _check_rows(function: str, logits: Aval, labels: Aval) -> None:
    infer.require(function, logits, "float", "the argument logits")
    if len(logits.shape) != 2 or labels.shape != logits.shape[:1]:
        raise ShapeError(
            f"{function}: logits have shape {logits.shape} and labels {labels.shape}; pass (N, C) "
            "and (N,)"
        )
    if labels.dtype not in (dtypes.int32, dtypes.int64):
        raise DTypeError(
            f"{function}: labels are {labels}; convert them with .astype(isograd.int64)"
        )


def _infer_cross_entropy(logits: Aval, labels: Aval, **static: Any) -> Aval:
    _check_rows("cross_entropy", logits, labels)
    return Aval(labels.shape, logits.dtype)


def _infer_cross_entropy_grad(g: Aval, logits: Aval, labels: Aval, **static: Any) -> Aval:
    _check_rows("cross_entropy_grad", logits, labels)
    if g != Aval(labels.shape, logits.dtype):
        raise ShapeError(
            f"cross_entropy_grad: the cotangent is {g}; pass one number for each row of {logits}"
        )
    return logits


def _labels_in_range(labels: Tensor, valid: Tensor, classes: int) -> Tensor:
    """Return labels with 0 where ignored; negative ones are sent out of range, not wrapped."""
    wrapped = m.where(m.less(labels, 0), classes, labels)
    return m.where(valid, wrapped, 0)


@widened
def _cross_entropy(
    logits: Tensor, labels: Tensor, *, ignore_index: int, label_smoothing: float
) -> Tensor:
    valid = m.not_equal(labels, ignore_index)
    if logits.shape[0] == 0:
        return r.sum(logits, axis=1)
    log_p = log_softmax(logits, axis=1)
    at = expand_dims(_labels_in_range(labels, valid, logits.shape[1]), axis=1)
    loss = -(1.0 - label_smoothing) * squeeze(take_along_axis(log_p, at, axis=1), 1)
    if label_smoothing:
        loss = loss - label_smoothing * r.mean(log_p, axis=1)
    return m.where(valid, loss, 0)


@widened
def _cross_entropy_grad(
    g: Tensor, logits: Tensor, labels: Tensor, *, ignore_index: int, label_smoothing: float
) -> Tensor:
    classes = logits.shape[1]
    valid = m.not_equal(labels, ignore_index)
    hot = m.equal(
        expand_dims(labels, axis=1),
        creation.arange(classes, dtype=labels.dtype, device=labels.device),
    )
    target = (1.0 - label_smoothing) * cast(hot, logits.dtype) + label_smoothing / max(classes, 1)
    ct = expand_dims(g, axis=1) * (softmax(logits, axis=1) - target)
    return m.where(expand_dims(valid, axis=1), ct, 0)


cross_entropy_grad_p = fused("cross_entropy_grad", _infer_cross_entropy_grad, _cross_entropy_grad)
cross_entropy_p = fused(
    "cross_entropy",
    _infer_cross_entropy,
    _cross_entropy,
    General(
        lambda g, logits, labels, *, ignore_index, label_smoothing: bind(
            cross_entropy_grad_p,
            g,
            logits,
            labels,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        ),
        None,
        names=("logits", "labels"),
    ),
)


def cross_entropy(
    logits: Tensor, labels: Tensor, /, *, ignore_index: int = -100, label_smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy of each row of logits with its label.

    Parameters
    ----------
    logits
        Shape ``(N, C)``, floating-point, not normalised.
    labels
        Shape ``(N,)``, integers in ``[0, C - 1]``, or ``ignore_index`` for rows whose loss is
        exactly 0.
    label_smoothing
        The share, from 0 to 1, of the target that is spread evenly over all classes.

    Raises
    ------
    IndexOutOfRangeError
        If a label is no class.

    >>> cross_entropy(tensor([[0.0, 0.0]]), tensor([1])).tolist()
    [0.6931471824645996]
    """
    integers = (
        labels
        if labels.dtype in (dtypes.int32, dtypes.int64)
        else _integers("cross_entropy", labels)
    )
    return bind(
        cross_entropy_p,
        logits,
        integers,
        ignore_index=int(ignore_index),
        label_smoothing=float(label_smoothing),
    )


def _integers(function: str, labels: Tensor) -> Tensor:
    if not dtypes.is_integer(labels.dtype):
        raise DTypeError(f"{function}: labels are {labels.aval}; pass integer class numbers")
    return cast(labels, dtypes.int64)
