"""Schedules of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from isograd.core.errors import StateDictError
from isograd.optim.lr_scheduler.plateau import ReduceLROnPlateau
from isograd.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer
from isograd.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Combined(LRScheduler):
    """What both have in common: their parts, which must be of one optimizer."""

    _schedulers: list[LRScheduler]

    def _take(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        name = type(self).__name__
        check_optimizer(name, optimizer)
        for i, scheduler in enumerate(schedulers):
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name}: scheduler {i} is a ReduceLROnPlateau, whose step takes a metric; "
                    "step it by itself"
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name}: scheduler {i}, a {type(scheduler).__name__}, is of another "
                    "optimizer; make all of them with one"
                )
        self.optimizer = optimizer
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """Return all attributes but the optimizer, and the states of the parts."""
        return {
            **super().state_dict(),
            "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
        }

    def _check_keys(self, state_dict: Mapping[str, Any]) -> None:
        super()._check_keys(state_dict)
        parts = state_dict["_schedulers"]
        if len(parts) != len(self._schedulers):
            raise StateDictError(
                f"load_state_dict: {len(parts)} schedulers in the state, {len(self._schedulers)} "
                "here, nothing was loaded; make the scheduler as it was saved"
            )
        for scheduler, part in zip(self._schedulers, parts, strict=True):
            scheduler._check_keys(part)

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        super()._load({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, part in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler._load(part)


class SequentialLR(_Combined):
    """One schedule after the other.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    schedulers : list of LRScheduler
        The schedules, all made with this optimizer.
    milestones : list of int
        The epochs at which the next one takes over, starting from its own epoch 0.
    last_epoch : int
        As in `LRScheduler`.

    Raises
    ------
    ValueError
        If there is not one milestone less than schedules, or they are of different optimizers.

    Examples
    --------
    >>> import isograd as ig
    >>> from isograd.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> sgd = ig.optim.SGD([ig.nn.Parameter(ig.ones(1))], lr=1.0)
    >>> warm, cool = ConstantLR(sgd, factor=0.5, total_iters=9), ExponentialLR(sgd, gamma=0.5)
    >>> scheduler = SequentialLR(sgd, [warm, cool], milestones=[1])
    >>> rates = []
    >>> for _ in range(3):
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> rates
    [0.5, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers and {len(milestones)} milestones; "
                "pass one milestone less than schedulers"
            )
        self._take(optimizer, schedulers)
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo_first_steps(self)
        first = self._schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch.

        Raises
        ------
        ValueError
            If an epoch is given.
        """
        if epoch is not None:
            raise ValueError("SequentialLR.step: it goes through its epochs in order; pass none")
        self.last_epoch += 1
        part = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[part]
        if part > 0 and self._milestones[part - 1] == self.last_epoch:
            scheduler._go_to(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def _go_to(self, epoch: int | None) -> None:
        assert epoch == 0  # as a part of another, when its turn comes
        self.last_epoch = 0
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._go_to(0)
        self._last_lr = first.get_last_lr()


def _undo_first_steps(scheduler: LRScheduler) -> None:
    parts: list[LRScheduler] | None = getattr(scheduler, "_schedulers", None)
    if parts is None:
        scheduler.last_epoch -= 1
    for part in parts or ():
        _undo_first_steps(part)


class ChainedScheduler(_Combined):
    """All schedules at once, each of which changes the rate that the one before has set.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
        The schedules, in order.
    optimizer : Optimizer, optional
        The one that they were made with.

    Raises
    ------
    ValueError
        If there are none, or they are of different optimizers.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if not schedulers:
            raise ValueError("ChainedScheduler: there are no schedulers; pass at least one")
        self._take(optimizer or schedulers[0].optimizer, schedulers)
        self._last_lr = self._rates()

    def step(self, epoch: int | None = None) -> None:
        """Step all of them."""
        for scheduler in self._schedulers:
            scheduler.step(epoch)
        self._last_lr = self._rates()
