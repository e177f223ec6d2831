"""Optimizers that are one rule for one parameter, written in the library's functions."""

from __future__ import annotations

from typing import Any

from isograd.core.dtypes import float64, int64
from isograd.ops.convert import cast, scalar
from isograd.ops.creation import zeros, zeros_like
from isograd.optim.optimizer import Group, Optimizer, Updates
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["Numbers", "RuleOptimizer", "Slots", "towards"]

Slots = dict[str, Tensor]
Numbers = dict[str, Tensor]


def towards(average: Tensor, value: Tensor, share: Any) -> Tensor:
    """Return ``(1 - share) * average + share * value``."""
    return average + share * (value - average)


class RuleOptimizer(Optimizer):
    """Base class of optimizers whose subclasses define ``_rule``, and what it needs.

    Attributes
    ----------
    _slots : tuple of str
        The names of the state's tensors of the parameter's shape, which start as zeros.
    """

    _slots: tuple[str, ...] = ()
    _counters = ("step",)

    # -- what subclasses define --------------------------------------------------------------------

    def _slot_names(self, group: Group) -> tuple[str, ...]:
        """Return the names of the slots under these options."""
        return self._slots

    def _numbers(self, t: Tensor, lr: Tensor, state: Slots, group: Group) -> Numbers:
        """Return what the rule takes beside tensors, from the step ``t``; all are 0-d and float64.

        Names that are among `_counters` become the state's; all reach the rule in the parameter's
        dtype.
        """
        return {}

    def _decayed(self, p: Tensor, g: Tensor, lr: Tensor, group: Group) -> tuple[Tensor, Tensor]:
        """Return a parameter and its gradient after weight decay, which acts on one of them."""
        decay = group.get("weight_decay")
        if not decay:
            return p, g
        if group.get("decoupled_weight_decay"):
            return p * (1 - lr * decay), g
        return p, g + decay * p

    def _rule(
        self, p: Tensor, g: Tensor, state: Slots, n: Numbers, group: Group
    ) -> tuple[Tensor, Slots]:
        """Return the new value of a parameter and its new slots; ``n`` has ``lr`` as well."""
        raise NotImplementedError(f"{self._name} has no _rule; define it in the subclass")

    # -- what follows from it ----------------------------------------------------------------------

    def _witness(self, param: Parameter) -> Tensor | None:
        slots = [value for key, value in self.state[param].items() if key not in self._counters]
        return slots[0] if slots else None

    def _new_state(self, param: Parameter, group: Group) -> dict[str, Any]:
        return {
            "step": zeros((), dtype=int64, device=param.device),
            **{name: zeros((), dtype=float64, device=param.device) for name in self._counters[1:]},
            **{name: zeros_like(param.detach()) for name in self._slot_names(group)},
        }

    def _export_state(self, param: Parameter) -> dict[str, Any]:
        state = self.state[param]
        return dict(state) if state["step"].item() else {}

    def _update(self, params: list[Parameter], grads: list[Tensor], group: Group) -> Updates:
        dtype, first = params[0].dtype, self.state[params[0]]
        step = first["step"] + 1
        lr = scalar(group["lr"], float64, params[0].device)
        numbers = self._numbers(cast(step, float64), lr, first, group)
        counters = {"step": step, **{k: v for k, v in numbers.items() if k in self._counters}}
        narrow = {k: cast(v, dtype) for k, v in {**numbers, "lr": lr}.items()}
        updates: Updates = []
        for param, g in zip(params, grads, strict=True):
            p, g = self._decayed(
                param.detach(), -g if group["maximize"] else g, narrow["lr"], group
            )
            value, slots = self._rule(p, g, self.state[param], narrow, group)
            updates.append((param, value, {**counters, **slots}))
        return updates
