"""ASGD: stochastic gradient descent that keeps the average of its iterates."""

from __future__ import annotations

from typing import Unpack

from isograd.ops.elementwise import maximum, where
from isograd.optim.optimizer import Group, Hints, ParamsLike
from isograd.optim.rule import Numbers, RuleOptimizer, Slots, towards
from isograd.runtime.tensor import Tensor

__all__ = ["ASGD"]


class ASGD(RuleOptimizer):
    """Averaged stochastic gradient descent.

    At step ``t``, with gradient ``g`` (to which ``weight_decay * p`` is added), ``p = (1 - lambd *
    eta) * p - eta * g``, where ``eta`` is ``lr`` first and then ``lr / (1 + lambd * lr *
    t)**alpha``. The slot ``ax`` is ``p`` up to step ``t0`` and the mean of its values from then on.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate.
    lambd, alpha, t0, weight_decay : float
        As in the formula.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If ``lr`` or ``weight_decay`` is negative.

    Notes
    -----
    B. T. Polyak, A. B. Juditsky: Acceleration of stochastic approximation by averaging, 1992.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> optimizer = ASGD([p], lr=0.5, lambd=0)
    >>> (p * p).backward()
    >>> optimizer.step()
    >>> p.item(), optimizer.state[p]["ax"].item()
    (0.0, 0.0)
    """

    _slots = ("ax",)
    _counters = ("step", "eta", "mu")

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(
                lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, maximize=maximize
            ),
            **hints,
        )

    def _numbers(self, t: Tensor, lr: Tensor, state: Slots, group: Group) -> Numbers:
        first = t == 1
        return {
            "eta": lr / (1 + group["lambd"] * lr * t) ** group["alpha"],
            "mu": 1 / maximum(t - group["t0"], 1.0),
            "rate": where(first, lr, state["eta"]),
            "share": where(first, 1.0, state["mu"]),
        }

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        p = p * (1 - group["lambd"] * n["rate"]) - n["rate"] * g
        mean = where(n["share"] == 1, p, towards(state["ax"], p, n["share"]))
        return p, {"ax": mean}
