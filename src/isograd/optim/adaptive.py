"""Adamax, NAdam and RAdam: relatives of Adam."""

from __future__ import annotations

from typing import Unpack

from isograd.core.dtypes import float64
from isograd.ops.convert import cast
from isograd.ops.elementwise import abs as absolute
from isograd.ops.elementwise import greater, maximum, sqrt, square, where
from isograd.optim.optimizer import Group, Hints, ParamsLike
from isograd.optim.rule import Numbers, RuleOptimizer, Slots, towards
from isograd.runtime.tensor import Tensor

__all__ = ["Adamax", "NAdam", "RAdam"]


class Adamax(RuleOptimizer):
    """Adam with the largest recent gradient in the place of its root mean square.

    At step ``t``, with gradient ``g`` (to which ``weight_decay * p`` is added), ``m = b1*m +
    (1-b1)*g``, ``u = max(b2*u, abs(g) + eps)`` and ``p = p - lr / (1-b1**t) * m / u``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate.
    betas : (float, float)
        ``b1`` and ``b2``, in [0, 1).
    eps, weight_decay : float
        As in the formula.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If an option is negative, or a beta is not in [0, 1).

    Notes
    -----
    D. P. Kingma, J. Ba: Adam: A method for stochastic optimization, 2015, section 7.1.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> optimizer = Adamax([p], lr=0.1)
    >>> (p * 0.1).backward()
    >>> optimizer.step()
    >>> round(p.item(), 6)
    0.9
    """

    _slots = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize),
            **hints,
        )

    def _numbers(self, t: Tensor, lr: Tensor, state: Slots, group: Group) -> Numbers:
        return {"rate": lr / (1 - group["betas"][0] ** t)}

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        beta1, beta2 = group["betas"]
        m = towards(state["exp_avg"], g, 1 - beta1)
        u = maximum(beta2 * state["exp_inf"], absolute(g) + group["eps"])
        return p - n["rate"] * (m / u), {"exp_avg": m, "exp_inf": u}


class NAdam(RuleOptimizer):
    """Adam with Nesterov's momentum.

    ``m`` and ``v`` are Adam's. With ``mu(t) = b1 * (1 - 0.96**(t * momentum_decay) / 2)`` and
    ``M(t)``, the product of ``mu(1)`` to ``mu(t)``, the step is ``lr * ((1 - mu(t)) / (1 - M(t)) *
    g + mu(t+1) / (1 - M(t+1)) * m) / (sqrt(v / (1-b2**t)) + eps)``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate.
    betas : (float, float)
        ``b1`` and ``b2``, in [0, 1).
    eps, momentum_decay : float
        As in the formula.
    weight_decay : float
        Added to the gradient as ``weight_decay * p``.
    decoupled_weight_decay : bool
        Shrink ``p`` by the factor ``1 - lr * weight_decay`` instead.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If an option is negative, or a beta is not in [0, 1).

    Notes
    -----
    T. Dozat: Incorporating Nesterov momentum into Adam, 2016.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> optimizer = NAdam([p], lr=0.1)
    >>> (p * 0.1).backward()
    >>> optimizer.step()
    >>> round(p.item(), 4)
    0.8944
    """

    _not_negative = (*RuleOptimizer._not_negative, "momentum_decay")
    _slots = ("exp_avg", "exp_avg_sq")
    _counters = ("step", "mu_product")

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                momentum_decay=momentum_decay,
                decoupled_weight_decay=decoupled_weight_decay,
                maximize=maximize,
            ),
            **hints,
        )

    def _numbers(self, t: Tensor, lr: Tensor, state: Slots, group: Group) -> Numbers:
        beta1, beta2 = group["betas"]
        mu, following = (
            beta1 * (1 - 0.5 * 0.96 ** (time * group["momentum_decay"])) for time in (t, t + 1)
        )
        product = mu * where(t == 1, 1.0, state["mu_product"])
        return {
            "mu_product": product,
            "of_gradient": lr * (1 - mu) / (1 - product),
            "of_mean": lr * following / (1 - product * following),
            "bias": 1 - beta2**t,
        }

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        beta1, beta2 = group["betas"]
        m = towards(state["exp_avg"], g, 1 - beta1)
        v = beta2 * state["exp_avg_sq"] + (1 - beta2) * square(g)
        width = sqrt(v / n["bias"]) + group["eps"]
        p = p - n["of_gradient"] * (g / width) - n["of_mean"] * (m / width)
        return p, {"exp_avg": m, "exp_avg_sq": v}


class RAdam(RuleOptimizer):
    """Adam whose step is rectified while its estimate of the variance is still poor.

    ``m`` and ``v`` are Adam's. With ``r = 2 / (1-b2) - 1`` and ``r(t) = r - 2*t*b2**t /
    (1-b2**t)``, the step is ``lr * m / (1-b1**t)``, and where ``r(t) > 5`` that times
    ``sqrt((r(t)-4)*(r(t)-2)*r / ((r-4)*(r-2)*r(t))) * sqrt(1-b2**t) / (sqrt(v) + eps)``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        What to update; dicts are groups with options of their own beside ``params``.
    lr : float
        Learning rate.
    betas : (float, float)
        ``b1`` and ``b2``, in [0, 1).
    eps : float
        As in the formula.
    weight_decay : float
        Added to the gradient as ``weight_decay * p``.
    decoupled_weight_decay : bool
        Shrink ``p`` by the factor ``1 - lr * weight_decay`` instead.
    maximize : bool
        Go uphill.

    Raises
    ------
    ValueError
        If an option is negative, or a beta is not in [0, 1).

    Notes
    -----
    L. Liu et al.: On the variance of the adaptive learning rate and beyond, 2020.

    Examples
    --------
    >>> import isograd as ig
    >>> p = ig.nn.Parameter(ig.tensor(1.0, dtype=ig.float64))
    >>> optimizer = RAdam([p], lr=0.1)
    >>> (p * 0.5).backward()
    >>> optimizer.step()
    >>> round(p.item(), 4)
    0.95
    """

    _slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: ParamsLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **hints: Unpack[Hints],
    ) -> None:
        super().__init__(
            params,
            Group(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                decoupled_weight_decay=decoupled_weight_decay,
                maximize=maximize,
            ),
            **hints,
        )

    def _numbers(self, t: Tensor, lr: Tensor, state: Slots, group: Group) -> Numbers:
        beta1, beta2 = group["betas"]
        bias = 1 - beta2**t
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * t * beta2**t / bias
        known = greater(length, 5.0)
        scale = limit / ((limit - 4) * (limit - 2)) if limit > 5 else 1.0
        safe = where(known, length, 5.0)
        return {
            "rate": lr / (1 - beta1**t),
            "known": cast(known, float64),
            "rectifier": sqrt(scale * (safe - 4) * (safe - 2) / safe) * sqrt(bias),
        }

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        beta1, beta2 = group["betas"]
        m = towards(state["exp_avg"], g, 1 - beta1)
        v = beta2 * state["exp_avg_sq"] + (1 - beta2) * square(g)
        factor = where(n["known"] > 0, n["rectifier"] / (sqrt(v) + group["eps"]), 1.0)
        return p - n["rate"] * m * factor, {"exp_avg": m, "exp_avg_sq": v}
