"""The softmax family and cross-entropy, with the maximum subtracted."""

from __future__ import annotations

from typing import Any

from isograd.backend.indices import check_labels
from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import cast, in_float32

__all__ = ["softmax_kernels"]


def softmax_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the softmax family over an array namespace."""

    def total(x: Array, axis: Any) -> Array:
        return xp.sum(x, axis=axis, keepdims=True)

    def shifted(x: Array, axis: int) -> Array:
        return x - xp.max(x, axis=axis, keepdims=True) if 0 not in x.shape else x

    def softmax(x: Array, *, axis: int) -> Array:
        weights = xp.exp(shifted(x, axis))
        return weights / total(weights, axis)

    def softmax_grad(g: Array, out: Array, *, axis: int) -> Array:
        return out * (g - total(g * out, axis))

    def log_softmax(x: Array, *, axis: int) -> Array:
        z = shifted(x, axis)
        return z - xp.log(total(xp.exp(z), axis))

    def log_softmax_grad(g: Array, out: Array, *, axis: int) -> Array:
        return g - xp.exp(out) * total(g, axis)

    def logsumexp(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        if not axis:
            return x
        if 0 in x.shape:
            zeros = xp.sum(x, axis=axis, keepdims=keepdims)
            return xp.log(zeros)
        top = xp.max(x, axis=axis, keepdims=True)
        # Rows of -inf, or with +inf, have their maximum as the answer; x - top would be NaN there.
        top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
        out = xp.log(total(xp.exp(x - top), axis)) + top
        if keepdims:
            return out
        return xp.reshape(out, tuple(n for i, n in enumerate(x.shape) if i not in axis))

    def targets(logits: Array, labels: Array, ignore_index: int) -> tuple[Array, Array]:
        """Return which rows count, and where each row's class is."""
        counts = labels != ignore_index
        safe = xp.where(counts, labels, xp.zeros_like(labels))
        classes = xp.arange(logits.shape[1], dtype=labels.dtype, device=labels.device)
        return counts, xp.expand_dims(classes, axis=0) == xp.expand_dims(safe, axis=1)

    def cross_entropy(
        logits: Array, labels: Array, *, ignore_index: int, label_smoothing: float
    ) -> Array:
        check_labels("cross_entropy", labels, logits.shape[1], ignore_index, xp=xp)
        counts, chosen = targets(logits, labels, ignore_index)
        log_p = log_softmax(logits, axis=1)
        zeros = xp.zeros_like(log_p)
        # Selected by where, so that -inf at another class does not turn into NaN.
        loss = -xp.sum(xp.where(chosen, log_p, zeros), axis=1)
        if label_smoothing:
            even = -(xp.sum(log_p, axis=1) / logits.shape[1])
            loss = (1.0 - label_smoothing) * loss + label_smoothing * even
        return xp.where(counts, loss, xp.zeros_like(loss))

    def cross_entropy_grad(
        g: Array, logits: Array, labels: Array, *, ignore_index: int, label_smoothing: float
    ) -> Array:
        check_labels("cross_entropy_grad", labels, logits.shape[1], ignore_index, xp=xp)
        counts, chosen = targets(logits, labels, ignore_index)
        out = softmax(logits, axis=1) - (1.0 - label_smoothing) * cast(xp, chosen, logits.dtype)
        if label_smoothing:
            out = out - label_smoothing / logits.shape[1]
        out = xp.expand_dims(g, axis=1) * out
        return xp.where(xp.expand_dims(counts, axis=1), out, xp.zeros_like(out))

    kernels: dict[str, Kernel] = {
        "softmax": softmax,
        "softmax_grad": softmax_grad,
        "log_softmax": log_softmax,
        "log_softmax_grad": log_softmax_grad,
        "logsumexp": logsumexp,
        "cross_entropy": cross_entropy,
        "cross_entropy_grad": cross_entropy_grad,
    }
    return {name: in_float32(xp, kernel) for name, kernel in kernels.items()}
