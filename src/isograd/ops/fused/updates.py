"""Optimizer updates of many parameters at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from isograd.core import dtypes
from isograd.core.errors import ShapeError
from isograd.ir import Aval
from isograd.ops import elementwise as m
from isograd.ops import infer
from isograd.ops.convert import cast
from isograd.ops.fused.common import fused
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "adam_update",
    "sgd_update",
]


def _groups(tensors: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """Split a flat list into ``count`` groups of equal length."""
    n = len(tensors) // count
    return [tensors[i * n : (i + 1) * n] for i in range(count)]


def _check_groups(function: str, avals: Sequence[Aval], count: int) -> None:
    groups = _groups(avals, count)
    if len(avals) % count:
        raise ShapeError(
            f"{function}: {len(avals)} tensors do not make {count} groups; pass as many of each "
            "kind"
        )
    for row in zip(*groups, strict=True):
        infer.require(function, row[0], "float", "a parameter")
        if any(aval != row[0] for aval in row):
            raise ShapeError(
                f"{function}: a parameter is {row[0]}, but what belongs to it is "
                f"{', '.join(map(str, row[1:]))}; they must be equal in shape and dtype"
            )


def _infer_sgd(lr: Aval, *avals: Aval, momentum: float, **static: Any) -> tuple[Aval, ...]:
    kinds = 3 if momentum else 2
    _check_groups("sgd_update", avals, kinds)
    n = len(avals) // kinds
    return (*avals[:n], *avals[2 * n :])


def _sgd(
    lr: Tensor,
    *tensors: Tensor,
    momentum: float | Tensor,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    maximize: bool,
    first: bool,
) -> tuple[Tensor, ...]:
    moves = isinstance(momentum, Tensor) or momentum != 0.0
    params, grads, *rest = _groups(tensors, 3 if moves else 2)
    new_params: list[Tensor] = []
    new_momenta: list[Tensor] = []
    for i, (w, g) in enumerate(zip(params, grads, strict=True)):
        step = -g if maximize else g
        if weight_decay:
            step = step + weight_decay * w
        if moves:
            v = step if first else momentum * rest[0][i] + (1.0 - dampening) * step
            new_momenta.append(v)
            step = step + momentum * v if nesterov else v
        new_params.append(w - cast(lr, w.dtype) * step)
    return (*new_params, *new_momenta)


sgd_update_p = fused("sgd_update", _infer_sgd, _sgd, multiple=True)


def sgd_update(
    lr: Tensor,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    momenta: Sequence[Tensor],
    /,
    *,
    momentum: float | Tensor = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    maximize: bool = False,
    first: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return all parameters and momenta after a step of stochastic gradient descent.

    With ``first`` the momenta start as the gradients. ``momenta`` is empty where ``momentum`` is 0.
    A momentum that is a tensor is used by the definition, of which each operation is bound.
    """
    apply = _sgd if isinstance(momentum, Tensor) else partial(bind, sgd_update_p)
    out = apply(
        lr,
        *params,
        *grads,
        *momenta,
        momentum=momentum,
        dampening=dampening,
        nesterov=nesterov,
        weight_decay=weight_decay,
        maximize=maximize,
        first=first,
    )
    n = len(params)
    return list(out[:n]), list(out[n:])


def _infer_adam(lr: Aval, step: Aval, *avals: Aval, **static: Any) -> tuple[Aval, ...]:
    _check_groups("adam_update", avals, 4)
    n = len(avals) // 4
    return (*avals[:n], *avals[2 * n :])


def _adam(
    lr: Tensor,
    step: Tensor,
    *tensors: Tensor,
    betas: tuple[float | Tensor, float | Tensor],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    params, grads, means, squares = _groups(tensors, 4)
    beta1, beta2 = betas
    count = cast(step, dtypes.float64)
    rate = lr / (1.0 - m.pow(beta1, count))
    scale = m.sqrt(1.0 - m.pow(beta2, count))
    new: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for w, g, mean, square in zip(params, grads, means, squares, strict=True):
        direction = -g if maximize else g
        start = w
        if weight_decay and decoupled:
            start = w * cast(1.0 - lr * weight_decay, w.dtype)
        elif weight_decay:
            direction = direction + weight_decay * w
        mean = mean + (1.0 - beta1) * (direction - mean)
        square = beta2 * square + (1.0 - beta2) * m.square(direction)
        width = m.sqrt(square) / cast(scale, w.dtype) + eps
        new[0].append(start - cast(rate, w.dtype) * (mean / width))
        new[1].append(mean)
        new[2].append(square)
    return (*new[0], *new[1], *new[2])


adam_update_p = fused("adam_update", _infer_adam, _adam, multiple=True)


def adam_update(
    lr: Tensor,
    step: Tensor,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    /,
    *,
    betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return all parameters and moments after a step of Adam (Kingma and Ba, 2015).

    ``step`` is 1 at the first update. With ``decoupled``, weight decay is AdamW's (Loshchilov and
    Hutter, 2019). Betas that are tensors are used by the definition, as in `sgd_update`.
    """
    symbolic = any(isinstance(beta, Tensor) for beta in betas)
    apply = _adam if symbolic else partial(bind, adam_update_p)
    out = apply(
        lr,
        step,
        *params,
        *grads,
        *exp_avgs,
        *exp_avg_sqs,
        betas=betas,
        eps=eps,
        weight_decay=weight_decay,
        decoupled=decoupled,
        maximize=maximize,
    )
    n = len(params)
    return list(out[:n]), list(out[n : 2 * n]), list(out[2 * n :])
