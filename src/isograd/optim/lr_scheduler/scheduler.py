"""LRScheduler: the steps of a schedule, and its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isograd.core.errors import ConcretizationError, StateDictError
from isograd.ops.convert import is_traced
from isograd.optim.optimizer import Optimizer
from isograd.runtime.tensor import Tensor

__all__ = ["LRScheduler", "check_optimizer", "per_group"]

#: In torch's states, and of no use here.
_IGNORED = frozenset({"_get_lr_called_within_step"})


def check_optimizer(function: str, optimizer: Any) -> None:
    """Raise unless this is an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{function}: the optimizer is a {type(optimizer).__name__}; pass an isograd.optim."
            "Optimizer"
        )


def per_group(function: str, name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """Return a value for each parameter group."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    values: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]
    if len(values) != count:
        raise ValueError(
            f"{function}: {len(values)} values of {name} for {count} parameter groups; pass one "
            "for each, or one for all"
        )
    return values


class LRScheduler:
    """Base class of schedules: subclasses define ``get_lr``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    last_epoch : int
        The number of steps already done; -1 starts anew. To resume, load the optimizer's state and
        this one's.

    Raises
    ------
    TypeError
        If ``optimizer`` is none.
    ValueError
        If ``last_epoch`` is not -1 and a group has no ``initial_lr``.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        check_optimizer(name, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(
                    f"{name}: last_epoch={last_epoch}, but group {i} has no initial_lr; load the "
                    "optimizer's state first"
                )
        self.optimizer = optimizer
        self.base_lrs: list[Any] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """Return each group's rate at ``last_epoch``, from the present ones where it can be."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr; define it in the subclass")

    def _closed_form(self) -> list[Any]:
        """Return each group's rate at any ``last_epoch``, from ``base_lrs`` where it can be."""
        return self.get_lr()

    def get_last_lr(self) -> list[Any]:
        """Return the rates that were set last."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or to this one, and set the rates.

        Raises
        ------
        ConcretizationError
            In a compiled function.
        """
        self._step_count += 1
        self._go_to(epoch)

    def _go_to(self, epoch: int | None) -> None:
        if epoch is None:
            self.last_epoch += 1
            self._set(self.get_lr())
        else:
            self.last_epoch = epoch
            self._set(self._closed_form())

    def _set(self, rates: Sequence[Any]) -> None:
        groups = self.optimizer.param_groups
        if any(isinstance(rate, Tensor) and is_traced(rate) for rate in rates):
            raise ConcretizationError(
                f"{type(self).__name__}.step: a compiled function takes learning rates as inputs; "
                "call the scheduler's step outside of it"
            )
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._rates()

    def _rates(self) -> list[Any]:
        return [group["lr"] for group in self.optimizer.param_groups]

    # -- state -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all attributes but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Take over what `state_dict` returned, here or in torch, all or nothing.

        Raises
        ------
        StateDictError
            If entries are missing or unexpected; one message lists them.
        """
        self._check_keys(state_dict)
        self._load(state_dict)

    def _check_keys(self, state_dict: Mapping[str, Any]) -> None:
        own = self.state_dict().keys()
        problems = [f"missing: {key}" for key in own if key not in state_dict]
        problems += [
            f"unexpected: {key}" for key in state_dict if key not in own and key not in _IGNORED
        ]
        if problems:
            lines = "\n  ".join(problems)
            raise StateDictError(
                f"load_state_dict: the state does not fit {type(self).__name__}, nothing was "
                f"loaded:\n  {lines}\nMake the scheduler as it was saved"
            )

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        self.__dict__.update({k: v for k, v in state_dict.items() if k not in _IGNORED})
