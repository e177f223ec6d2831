"""Adagrad, Adadelta and RMSprop: steps scaled by accumulated squares of the gradient."""

from __future__ import annotations

from typing import Any, Unpack

from isograd.ops.creation import full_like
from isograd.ops.elementwise import sqrt, square
from isograd.optim.optimizer import Group, Hints, ParamsLike, is_on
from isograd.optim.rule import Numbers, RuleOptimizer, Slots, towards
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(RuleOptimizer):
    """Steps scaled by the root of the sum of all squared gradients so far.

    At step ``t``, with gradient ``g`` (to which ``weight_decay * p`` is added), ``s = s + g**2``
    and ``p = p - lr / (1 + (t-1) * lr_decay) * g / (sqrt(s) + eps)``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate.
    lr_decay, weight_decay, eps : float
        As in the formula.
    initial_accumulator_value : float
        What ``s`` starts from.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If an option is negative.

    Notes
    -----
    J. Duchi, E. Hazan, Y. Singer: Adaptive subgradient methods for online learning and stochastic
    optimization, 2011.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> optimizer = Adagrad([p], lr=0.1)
    >>> (p * 0.1).backward()
    >>> optimizer.step()
    >>> round(p.item(), 6)
    0.9
    """

    _not_negative = (*RuleOptimizer._not_negative, "lr_decay", "initial_accumulator_value")
    _slots = ("sum",)

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(
                lr=lr,
                lr_decay=lr_decay,
                eps=eps,
                weight_decay=weight_decay,
                initial_accumulator_value=initial_accumulator_value,
                maximize=maximize,
            ),
            **hints,
        )

    def _new_state(self, param: Parameter, group: Group) -> dict[str, Any]:
        start = full_like(param.detach(), group["initial_accumulator_value"])
        return {**super()._new_state(param, group), "sum": start}

    def _export_state(self, param: Parameter) -> dict[str, Any]:
        return dict(self.state[param])

    def _numbers(self, t: Tensor, lr: Tensor, state: Slots, group: Group) -> Numbers:
        return {"rate": lr / (1 + (t - 1) * group["lr_decay"])}

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        total = state["sum"] + square(g)
        return p - n["rate"] * (g / (sqrt(total) + group["eps"])), {"sum": total}


class Adadelta(RuleOptimizer):
    """Steps in the units of the parameter: scaled by past steps over past gradients.

    With gradient ``g`` (to which ``weight_decay * p`` is added), ``s = rho*s + (1-rho)*g**2``,
    ``d = sqrt(a + eps) / sqrt(s + eps) * g``, ``a = rho*a + (1-rho)*d**2`` and ``p = p - lr * d``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate.
    rho : float
        As in the formula, in [0, 1].
    eps, weight_decay : float
        As in the formula.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If an option is negative, or ``rho`` is above 1.

    Notes
    -----
    M. D. Zeiler: ADADELTA: An adaptive learning rate method, 2012.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> optimizer = Adadelta([p])
    >>> (p * 0.1).backward()
    >>> optimizer.step()
    >>> round(p.item(), 6)
    0.996839
    """

    _slots = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize),
            **hints,
        )

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"{self._name}: rho={group['rho']}; use a number in [0, 1]")

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        rho, eps = group["rho"], group["eps"]
        s = rho * state["square_avg"] + (1 - rho) * square(g)
        delta = sqrt(state["acc_delta"] + eps) / sqrt(s + eps) * g
        moved = rho * state["acc_delta"] + (1 - rho) * square(delta)
        return p - n["lr"] * delta, {"square_avg": s, "acc_delta": moved}


class RMSprop(RuleOptimizer):
    """Steps scaled by the root of the running mean of the squared gradient.

    With gradient ``g`` (to which ``weight_decay * p`` is added), ``s = alpha*s + (1-alpha)*g**2``
    and ``p = p - lr * g / (sqrt(s) + eps)``. If ``centered``, ``s`` there is less the square of the
    running mean of ``g``; with ``momentum``, ``b = momentum * b + g / (sqrt(s) + eps)`` and
    ``p = p - lr * b``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate.
    alpha, eps, weight_decay, momentum : float
        As in the formula.
    centered : bool
        As in the formula.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If an option is negative.

    Notes
    -----
    T. Tieleman, G. Hinton: Neural networks for machine learning, lecture 6.5, 2012.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> optimizer = RMSprop([p], lr=0.01)
    >>> (p * 0.1).backward()
    >>> optimizer.step()
    >>> round(p.item(), 4)
    0.9
    """

    _not_negative = (*RuleOptimizer._not_negative, "momentum", "alpha")

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(
                lr=lr,
                momentum=momentum,
                alpha=alpha,
                eps=eps,
                centered=centered,
                weight_decay=weight_decay,
                maximize=maximize,
            ),
            **hints,
        )

    def _slot_names(self, group: Group) -> tuple[str, ...]:
        return (
            "square_avg",
            *["momentum_buffer"] * is_on(group["momentum"]),
            *["grad_avg"] * bool(group["centered"]),
        )

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        missing = [name for name in self._slot_names(group) if name not in state]
        if missing:
            raise ValueError(
                f"RMSprop.step: momentum or centered was switched on after the optimizer was made, "
                f"so there is no {missing[0]}; make the optimizer with these options"
            )
        alpha = group["alpha"]
        spread = alpha * state["square_avg"] + (1 - alpha) * square(g)
        slots = {"square_avg": spread}
        if group["centered"]:
            slots["grad_avg"] = towards(state["grad_avg"], g, 1 - alpha)
            spread = spread - square(slots["grad_avg"])
        step = g / (sqrt(spread) + group["eps"])
        if is_on(group["momentum"]):
            step = slots["momentum_buffer"] = group["momentum"] * state["momentum_buffer"] + step
        return p - n["lr"] * step, slots
