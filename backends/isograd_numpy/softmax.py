"""The softmax family and cross-entropy, with temporaries written in place."""

from __future__ import annotations

from typing import Final

import numpy as np

from isograd.backend import Kernel, check_labels
from isograd_numpy.common import widened
from isograd_numpy.reductions import sum_last, total

__all__ = ["SOFTMAX"]


def _total(x: np.ndarray, axis: int) -> np.ndarray:
    if axis == x.ndim - 1 and x.flags.c_contiguous and x.size:
        return sum_last(x, keepdims=True)
    return total(x, axis=(axis,), keepdims=True)


def _shifted(x: np.ndarray, axis: int) -> np.ndarray:
    """Return ``x`` minus its maximum, as a new C-contiguous array."""
    if not x.size:
        return x.copy()
    out = np.empty(x.shape, x.dtype)
    return np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True), out=out)


def _softmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    out = _shifted(x, axis)
    np.exp(out, out=out)
    out /= _total(out, axis)
    return out


def _softmax_grad(g: np.ndarray, out: np.ndarray, *, axis: int) -> np.ndarray:
    product = np.multiply(g, out, order="C")
    np.subtract(g, _total(product, axis), out=product)
    product *= out
    return product


def _log_softmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    out = _shifted(x, axis)
    out -= np.log(_total(np.exp(out), axis))
    return out


def _log_softmax_grad(g: np.ndarray, out: np.ndarray, *, axis: int) -> np.ndarray:
    result = np.exp(out)
    result *= _total(g, axis)
    return np.subtract(g, result, out=result)


def _logsumexp(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    if not axis:
        return x
    top = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    # Rows of -inf, or with +inf, have their maximum as the answer; x - top would be NaN there.
    top = np.where(np.isfinite(top), top, np.zeros((), x.dtype))
    weights = np.subtract(x, top, order="C")
    out = np.log(total(np.exp(weights, out=weights), axis=axis, keepdims=True))
    out += top
    if keepdims:
        return out
    return out.reshape([n for i, n in enumerate(x.shape) if i not in axis])


def _cross_entropy(
    logits: np.ndarray, labels: np.ndarray, *, ignore_index: int, label_smoothing: float
) -> np.ndarray:
    rows, classes = logits.shape
    check_labels("cross_entropy", labels, classes, ignore_index)
    ignored = labels == ignore_index
    log_p = _log_softmax(logits, axis=1)
    loss = -log_p[np.arange(rows), np.where(ignored, 0, labels)]
    if label_smoothing:
        loss *= 1.0 - label_smoothing
        loss -= sum_last(log_p) * (label_smoothing / classes)
    loss[ignored] = 0
    return loss


def _cross_entropy_grad(
    g: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    ignore_index: int,
    label_smoothing: float,
) -> np.ndarray:
    rows, classes = logits.shape
    check_labels("cross_entropy_grad", labels, classes, ignore_index)
    ignored = labels == ignore_index
    out = _softmax(logits, axis=1)
    out[np.arange(rows), np.where(ignored, 0, labels)] -= 1.0 - label_smoothing
    if label_smoothing:
        out -= label_smoothing / classes
    out *= g[:, None]
    out[ignored] = 0
    return out


SOFTMAX: Final[dict[str, Kernel]] = {
    "softmax": widened(_softmax),
    "softmax_grad": widened(_softmax_grad),
    "log_softmax": widened(_log_softmax),
    "log_softmax_grad": widened(_log_softmax_grad),
    "logsumexp": widened(_logsumexp),
    "cross_entropy": widened(_cross_entropy),
    "cross_entropy_grad": widened(_cross_entropy_grad),
}
