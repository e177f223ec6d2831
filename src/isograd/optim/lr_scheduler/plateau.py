"""ReduceLROnPlateau: a schedule that looks at a metric."""

from __future__ import annotations

import math
from typing import Any, Literal, SupportsFloat

from isograd.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer, per_group
from isograd.optim.optimizer import Optimizer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by ``factor`` when a metric has stopped getting better.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    mode : {"min", "max"}
        Which way is better.
    factor : float
        The factor, below 1.
    patience : int
        The number of epochs without improvement that are let pass.
    threshold : float
        How much counts as improvement.
    threshold_mode : {"rel", "abs"}
        As a share of the best metric, or absolutely.
    cooldown : int
        The number of epochs after a reduction in which nothing is counted.
    min_lr : float, or list of float
        The least rate; for all groups, or for each.
    eps : float
        Smaller reductions are left out.

    Raises
    ------
    ValueError
        If the factor is not below 1, or there is no such mode.

    Examples
    --------
    >>> import isograd as ig
    >>> sgd = ig.optim.SGD([ig.nn.Parameter(ig.ones(1))], lr=1.0)
    >>> scheduler = ReduceLROnPlateau(sgd, patience=1, factor=0.5)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer("ReduceLROnPlateau", optimizer)
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor={factor}; use one below 1")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode={mode!r}; use 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"ReduceLROnPlateau: threshold_mode={threshold_mode!r}; use 'rel' or 'abs'"
            )
        self.optimizer = optimizer
        self.factor = factor
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.min_lrs = per_group("ReduceLROnPlateau", "min_lr", optimizer, min_lr)
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = self._rates()
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    @property
    def in_cooldown(self) -> bool:
        """Whether a reduction is too recent for another."""
        return self.cooldown_counter > 0

    def _is_better(self, metric: float) -> bool:
        way = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 + way * self.threshold)
        else:
            bound = self.best + way * self.threshold
        return metric > bound if self.mode == "max" else metric < bound

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - torch's
        """Take the metric of an epoch, and reduce the rates where it is time."""
        metric = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._set(self.get_lr())
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._rates()

    def get_lr(self) -> list[Any]:
        """Return each group's rate after a reduction."""
        rates = self._rates()
        if len(rates) > len(self.min_lrs):  # a group that came later
            rest = len(rates) - len(self.min_lrs)
            self.min_lrs += [self.default_min_lr or 0.0] * rest
        reduced = [
            max(rate * self.factor, low) for rate, low in zip(rates, self.min_lrs, strict=True)
        ]
        pairs = zip(rates, reduced, strict=True)
        return [new if rate - new > self.eps else rate for rate, new in pairs]
