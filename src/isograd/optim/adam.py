"""Adam and AdamW."""

from __future__ import annotations

from typing import Any, Unpack

from isograd.core.dtypes import float64, int64
from isograd.ops.convert import cast, scalar
from isograd.ops.creation import zeros, zeros_like
from isograd.ops.elementwise import maximum, sqrt
from isograd.ops.fused import adam_update
from isograd.optim.optimizer import (
    Group,
    Hints,
    Optimizer,
    ParamsLike,
    Updates,
)
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    At step ``t``, with gradient ``g`` (to which ``weight_decay * p`` is added), ``m = b1*m +
    (1-b1)*g``, ``v = b2*v + (1-b2)*g**2`` and ``p = p - lr * (m / (1-b1**t)) / (sqrt(v / (1-b2**t))
    + eps)``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate.
    betas : (float, float)
        ``b1`` and ``b2``, in [0, 1).
    eps : float
        Added to the denominator.
    weight_decay : float
        As in the formula.
    amsgrad : bool
        Use the largest ``v`` so far in the denominator.
    maximize : bool
        Go uphill.
    decoupled_weight_decay : bool
        Shrink ``p`` by the factor ``1 - lr * weight_decay`` instead of changing the gradient:
        `AdamW`.
    **hints
        `Hints` of torch, without effect.

    Raises
    ------
    ValueError
        If an option is negative, or a beta is not in [0, 1).

    Notes
    -----
    D. P. Kingma, J. Ba: Adam: A method for stochastic optimization, 2015. The state's names are
    torch's; ``step`` is an int64 tensor that parameters with one history share.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> adam = Adam([p], lr=0.1)
    >>> (p * 0.1).backward()
    >>> adam.step()
    >>> round(p.item(), 8)
    0.90000001
    """

    _slot = "exp_avg"
    _counters = ("step",)

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                amsgrad=amsgrad,
                maximize=maximize,
                decoupled_weight_decay=decoupled_weight_decay,
            ),
            **hints,
        )

    def _new_state(self, param: Parameter, group: Group) -> dict[str, Any]:
        names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group["amsgrad"]
        step = zeros((), dtype=int64, device=param.device)
        return {"step": step, **{name: zeros_like(param.detach()) for name in names}}

    def _update(self, params: list[Parameter], grads: list[Tensor], group: Group) -> Updates:
        states = [self.state[p] for p in params]
        step = states[0]["step"] + 1
        if group["amsgrad"]:
            return [
                (p, *_amsgrad_update(p.detach(), g, state, step, group))
                for p, g, state in zip(params, grads, states, strict=True)
            ]
        values, firsts, seconds = adam_update(
            scalar(group["lr"], float64, params[0].device),
            step,
            params,
            grads,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            betas=tuple(group["betas"]),
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )
        return [
            (p, value, {"step": step, "exp_avg": m, "exp_avg_sq": v})
            for p, value, m, v in zip(params, values, firsts, seconds, strict=True)
        ]


class AdamW(Adam):
    """Adam with weight decay that is separate from the gradient.

    Each step first shrinks ``p`` by the factor ``1 - lr * weight_decay``, then does as `Adam`
    without decay.

    Parameters
    ----------
    params, lr, betas, eps, amsgrad, maximize
        As in `Adam`.
    weight_decay : float
        As in the formula.

    Raises
    ------
    ValueError
        If an option is negative, or a beta is not in [0, 1).

    Notes
    -----
    I. Loshchilov, F. Hutter: Decoupled weight decay regularization, 2019.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> adamw = AdamW([p], lr=0.1)
    >>> (p * 0.1).backward()
    >>> adamw.step()
    >>> round(p.item(), 8)
    0.89900001
    """

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
            **hints,
        )


def _amsgrad_update(
    p: Tensor, g: Tensor, state: dict[str, Tensor], step: Tensor, group: Group
) -> tuple[Tensor, dict[str, Tensor]]:
    lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
    if group["maximize"]:
        g = -g
    if decay and group["decoupled_weight_decay"]:
        p = p * (1 - lr * decay)
    elif decay:
        g = g + decay * p
    m = beta1 * state["exp_avg"] + (1 - beta1) * g
    v = beta2 * state["exp_avg_sq"] + (1 - beta2) * (g * g)
    largest = maximum(state["max_exp_avg_sq"], v)
    t = cast(step, float64)
    rate = cast(lr / (1 - beta1**t), p.dtype)
    root = cast(sqrt(1 - beta2**t), p.dtype)
    p = p - rate * (m / (sqrt(largest) / root + group["eps"]))
    return p, {"step": step, "exp_avg": m, "exp_avg_sq": v, "max_exp_avg_sq": largest}
