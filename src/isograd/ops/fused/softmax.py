"""Softmax, its logarithm, and logsumexp."""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isograd.core.errors import ShapeError
from isograd.ir import Aval, Primitive
from isograd.ops import creation, infer
from isograd.ops import elementwise as m
from isograd.ops import reductions as r
from isograd.ops.convert import axis_of
from isograd.ops.fused.common import as_float, fused, widened
from isograd.ops.movement import squeeze
from isograd.runtime.bind import bind
from isograd.runtime.rules import General
from isograd.runtime.tensor import Tensor

__all__ = [
    "log_softmax",
    "logsumexp_p",
    "softmax",
]


def along_axis(name: str) -> Callable[..., Aval]:
    def infer_along(x: Aval, y: Aval | None = None, *, axis: int) -> Aval:
        infer.require(name, x, "float")
        if y is not None and x != y:
            raise ShapeError(
                f"{name}: the cotangent is {x}, the output {y}; they must be equal in shape and "
                "dtype"
            )
        return x

    return infer_along


def _peak(x: Tensor, axis: Any) -> Tensor:
    """Return the maximum along axes as a constant; 0 for empty axes."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    if 0 in [x.shape[i] for i in axes]:
        shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
        return creation.zeros(shape, dtype=x.dtype, device=x.device)
    return m.stop_gradient(r.max(x, axis=axis, keepdims=True))


@widened
def _softmax(x: Tensor, *, axis: int) -> Tensor:
    e = m.exp(x - _peak(x, axis))
    return e / r.sum(e, axis=axis, keepdims=True)


@widened
def _softmax_grad(g: Tensor, out: Tensor, *, axis: int) -> Tensor:
    return out * (g - r.sum(g * out, axis=axis, keepdims=True))


@widened
def _log_softmax(x: Tensor, *, axis: int) -> Tensor:
    shifted = x - _peak(x, axis)
    return shifted - m.log(r.sum(m.exp(shifted), axis=axis, keepdims=True))


@widened
def _log_softmax_grad(g: Tensor, out: Tensor, *, axis: int) -> Tensor:
    return g - m.exp(out) * r.sum(g, axis=axis, keepdims=True)


@widened
def _logsumexp(x: Tensor, *, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    peak = _peak(x, axis)
    safe = m.where(m.isfinite(peak), peak, 0)
    out = m.log(r.sum(m.exp(x - safe), axis=axis, keepdims=True)) + safe
    return out if keepdims else squeeze(out, axis)


def _logsumexp_rule(
    g: Tensor, out: Tensor, x: Tensor, *, axis: tuple[int, ...], keepdims: bool
) -> Tensor:
    total = r.restore(out, x.shape, axis, keepdims)
    same = m.equal(x, total)
    # An infinite sum has one term that made it, or none.
    weight = m.where(
        same, m.where(m.equal(x, -float("inf")), 0, 1), m.exp(m.where(same, 0, x - total))
    )
    return r.restore(g, x.shape, axis, keepdims) * weight


softmax_grad_p = fused("softmax_grad", along_axis("softmax_grad"), _softmax_grad)
log_softmax_grad_p = fused("log_softmax_grad", along_axis("log_softmax_grad"), _log_softmax_grad)
softmax_p = fused(
    "softmax",
    along_axis("softmax"),
    _softmax,
    General(lambda g, out, *, axis: bind(softmax_grad_p, g, out, axis=axis)),
)
log_softmax_p = fused(
    "log_softmax",
    along_axis("log_softmax"),
    _log_softmax,
    General(lambda g, out, *, axis: bind(log_softmax_grad_p, g, out, axis=axis)),
)
logsumexp_p = fused(
    "logsumexp", infer.reduction("logsumexp", "float"), _logsumexp, General(_logsumexp_rule)
)


def softmax(x: Any, /, *, axis: int = -1) -> Tensor:
    """Return exp(x) normalised to sum 1 along an axis, without overflow.

    >>> softmax(tensor([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    return _softmax_like(softmax_p, x, axis)


def log_softmax(x: Any, /, *, axis: int = -1) -> Tensor:
    """Return the logarithm of `softmax`, accurate where that is tiny.

    >>> log_softmax(tensor([0.0])).tolist()
    [0.0]
    """
    return _softmax_like(log_softmax_p, x, axis)


def _softmax_like(prim: Primitive, x: Any, axis: int) -> Tensor:
    t = as_float(prim.name, x)
    return bind(prim, t, axis=axis_of(prim.name, axis, t.ndim))
