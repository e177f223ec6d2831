"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from isograd.core.dtypes import float64
from isograd.ops.convert import scalar
from isograd.ops.creation import zeros_like
from isograd.ops.fused import sgd_update
from isograd.optim.optimizer import Group, Hints, Optimizer, ParamsLike, Updates, is_on
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and weight decay as torch has them.

    For a gradient ``g`` (to which ``weight_decay * p`` is added), ``b = momentum * b + (1 -
    dampening) * g`` and ``p = p - lr * b``; with ``nesterov``, ``p = p - lr * (g + momentum * b)``.
    At the first step ``b = g``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate.
    momentum, dampening, weight_decay : float
        As in the formula.
    nesterov : bool
        Look ahead; needs momentum and no dampening.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If an option is negative, or ``nesterov`` lacks what it needs.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor([1.0, 2.0]))
    >>> sgd = SGD([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> sgd.step()
    >>> p.tolist()
    [0.0, 0.0]
    """

    _not_negative = (*Optimizer._not_negative, "momentum")
    _slot = "momentum_buffer"

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(
                lr=lr,
                momentum=momentum,
                dampening=dampening,
                weight_decay=weight_decay,
                nesterov=nesterov,
                maximize=maximize,
            ),
            **hints,
        )

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                f"SGD: nesterov with momentum={group['momentum']}, dampening={group['dampening']}; "
                "use a momentum > 0 and dampening=0"
            )

    def _new_state(self, param: Parameter, group: Group) -> dict[str, Any]:
        # "fresh": the first step, which sets the buffer to the gradient, is still to come.
        return (
            {"momentum_buffer": zeros_like(param.detach()), "fresh": True}
            if is_on(group["momentum"])
            else {}
        )

    def _key(self, param: Parameter, group: Group) -> Any:
        # A buffer of zeros makes the first step like any other, unless there is dampening.
        return bool(group["dampening"]) and self.state[param].get("fresh", True)

    def _update(self, params: list[Parameter], grads: list[Tensor], group: Group) -> Updates:
        momentum = group["momentum"]
        states = [self.state[p] or self._new_state(p, group) for p in params]
        states = states if is_on(momentum) else []
        values, buffers = sgd_update(
            scalar(group["lr"], float64, params[0].device),
            params,
            grads,
            [state["momentum_buffer"] for state in states],
            momentum=momentum,
            dampening=group["dampening"],
            nesterov=group["nesterov"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
            first=self._key(params[0], group),
        )
        new_states: list[dict[str, Any]] = [{"momentum_buffer": b, "fresh": False} for b in buffers]
        return list(zip(params, values, new_states or [{} for _ in params], strict=True))

    def _export_state(self, param: Parameter) -> dict[str, Any]:
        state = self.state[param]
        return {} if state.get("fresh", True) else {"momentum_buffer": state["momentum_buffer"]}

    def _import_state(
        self,
        param: Parameter,
        group: Group,
        stored: Mapping[str, Any],
        where: str,
        problems: list[str],
    ) -> dict[str, Any]:
        if not group["momentum"]:
            return {}
        state = super()._import_state(param, group, stored, where, problems)
        return {**state, "fresh": stored.get("momentum_buffer") is None}
