"""Rprop and Lion: steps along the signs of a gradient or of its mean."""

from __future__ import annotations

from typing import Unpack

from isograd.ops.elementwise import clip, sign, where
from isograd.optim.optimizer import Group, Hints, ParamsLike
from isograd.optim.rule import Numbers, RuleOptimizer, Slots, towards
from isograd.runtime.tensor import Tensor

__all__ = ["Lion", "Rprop"]


class Rprop(RuleOptimizer):
    """Resilient propagation: only the gradient's sign counts, and each element has its step.

    Where the gradient has the sign that it had before, the step grows by the factor ``etas[1]``;
    where it has changed, the step shrinks by ``etas[0]`` and the element stays where it is. Meant
    for whole data sets, not for batches.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        The first step.
    etas : (float, float)
        A factor below 1, and one above.
    step_sizes : (float, float)
        The smallest and the largest step.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If ``lr`` is negative, or ``etas`` are not on both sides of 1.

    Notes
    -----
    M. Riedmiller, H. Braun: A direct adaptive method for faster backpropagation learning: The RPROP
    algorithm, 1993.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> optimizer = Rprop([p], lr=0.25)
    >>> (p * 0.001).backward()
    >>> optimizer.step()
    >>> p.item()
    0.75
    """

    _slots = ("prev", "step_size")

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params, Group(lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize), **hints
        )

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        if not 0 < group["etas"][0] < 1 < group["etas"][1]:
            raise ValueError(
                f"{self._name}: etas={group['etas']}; use one factor in (0, 1) and one above 1"
            )

    def _numbers(self, t: Tensor, lr: Tensor, state: Slots, group: Group) -> Numbers:
        return {"t": t}

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        shrink, grow = group["etas"]
        agreement = sign(g * state["prev"])
        size = where(n["t"] == 1, n["lr"], state["step_size"])
        size = where(agreement > 0, grow * size, where(agreement < 0, shrink * size, size))
        size = clip(size, *group["step_sizes"])
        g = where(agreement < 0, 0.0, g)
        return p - sign(g) * size, {"prev": g, "step_size": size}


class Lion(RuleOptimizer):
    """Steps of one size along the sign of a mean of the gradient.

    ``p`` shrinks by the factor ``1 - lr * weight_decay``; then ``p = p - lr * sign(b1*m +
    (1-b1)*g)`` and ``m = b2*m + (1-b2)*g``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate; a third to a tenth of what suits AdamW.
    betas : (float, float)
        ``b1`` and ``b2``, in [0, 1).
    weight_decay : float
        As in the formula.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If an option is negative, or a beta is not in [0, 1).

    Notes
    -----
    X. Chen et al.: Symbolic discovery of optimization algorithms, 2023. torch has no Lion; names
    and defaults are the paper's.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> optimizer = Lion([p], lr=0.25)
    >>> (p * 0.001).backward()
    >>> optimizer.step()
    >>> p.item()
    0.75
    """

    _slots = ("exp_avg",)

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, Group(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize)
        )

    def _decayed(self, p: Tensor, g: Tensor, lr: Tensor, group: Group) -> tuple[Tensor, Tensor]:
        return (p * (1 - lr * group["weight_decay"]) if group["weight_decay"] else p), g

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        beta1, beta2 = group["betas"]
        direction = sign(towards(state["exp_avg"], g, 1 - beta1))
        return p - n["lr"] * direction, {"exp_avg": towards(state["exp_avg"], g, 1 - beta2)}
