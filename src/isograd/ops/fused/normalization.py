"""Standardising over axes: what layer, group, instance, batch and rms norm have in common."""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from math import prod
from typing import Any

from isograd.core.errors import ShapeError
from isograd.ir import Aval
from isograd.ops import elementwise as m
from isograd.ops import infer
from isograd.ops import reductions as r
from isograd.ops.fused.common import fused, widened
from isograd.runtime.bind import bind
from isograd.runtime.rules import General
from isograd.runtime.tensor import Tensor

__all__ = ["moments", "standardize"]


def _infer_standardize(x: Aval, **static: Any) -> Aval:
    infer.require("standardize", x, "float")
    return x


def _infer_standardize_grad(g: Aval, x: Aval, **static: Any) -> Aval:
    infer.require("standardize_grad", x, "float")
    if g != x:
        raise ShapeError(
            f"standardize_grad: the cotangent is {g}, the input {x}; they must be equal in shape "
            "and dtype"
        )
    return x


def _mean(x: Tensor, axis: tuple[int, ...]) -> Tensor:
    count = prod([x.shape[i] for i in axis])
    return r.sum(x, axis=axis, keepdims=True) / float(max(count, 1))


def moments(x: Tensor, /, axis: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the mean, and the mean squared deviation from it, over axes that stay with length 1.

    In a compiled function these are the sums that `standardize` takes too.

    >>> [t.tolist() for t in moments(tensor([1.0, 3.0]), axis=(0,))]
    [[2.0], [1.0]]
    """
    mean = _mean(x, axis)
    return mean, _mean(m.square(x - mean), axis)


def _parts(x: Tensor, axis: tuple[int, ...], eps: float, centred: bool) -> tuple[Tensor, Tensor]:
    """Return the deviations, and the root of their mean square."""
    deviation = x - _mean(x, axis) if centred else x
    return deviation, m.sqrt(_mean(m.square(deviation), axis) + eps)


@widened
def _standardize(x: Tensor, *, axis: tuple[int, ...], eps: float, centred: bool) -> Tensor:
    deviation, root = _parts(x, axis, eps, centred)
    return deviation / root


@widened
def _standardize_grad(
    g: Tensor, x: Tensor, *, axis: tuple[int, ...], eps: float, centred: bool
) -> Tensor:
    deviation, root = _parts(x, axis, eps, centred)
    out = deviation / root
    along = g - out * _mean(g * out, axis)
    return (along - _mean(g, axis) if centred else along) / root


_standardize_grad_p = fused("standardize_grad", _infer_standardize_grad, _standardize_grad)
_standardize_p = fused(
    "standardize",
    _infer_standardize,
    _standardize,
    General(
        lambda g, x, *, axis, eps, centred: bind(
            _standardize_grad_p, g, x, axis=axis, eps=eps, centred=centred
        )
    ),
)


def standardize(x: Tensor, /, axis: tuple[int, ...], eps: float, *, centred: bool = True) -> Tensor:
    """Return ``(x - mean) / sqrt(var + eps)`` over axes; without ``centred``, the mean counts as 0.

    Parameters
    ----------
    x
        Floating-point, any shape.
    axis
        The axes of each mean, not negative.
    eps
        What is added to the mean square.

    >>> standardize(tensor([1.0, 3.0]), (0,), 0.0).tolist()
    [-1.0, 1.0]
    """
    return bind(_standardize_p, x, axis=axis, eps=float(eps), centred=centred)
