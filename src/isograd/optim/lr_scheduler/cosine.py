"""Schedules along a cosine."""

from __future__ import annotations

import math
from typing import Any

from isograd.optim.lr_scheduler.scheduler import LRScheduler
from isograd.optim.optimizer import Optimizer

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


class CosineAnnealingLR(LRScheduler):
    """Go from the initial rate to ``eta_min`` along half a cosine, and back.

    At epoch ``e`` the rate is ``eta_min + (lr - eta_min) * (1 + cos(pi * e / T_max)) / 2``, as
    long as nothing else changes it; each step starts from the present rate.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    T_max : int
        The epoch at which the rate is least.
    eta_min : float
        The least rate.
    last_epoch : int
        As in `LRScheduler`.

    Notes
    -----
    I. Loshchilov, F. Hutter: SGDR: Stochastic gradient descent with warm restarts, 2017.

    Examples
    --------
    >>> import isograd as ig
    >>> sgd = ig.optim.SGD([ig.nn.Parameter(ig.ones(1))], lr=1.0)
    >>> scheduler = CosineAnnealingLR(sgd, T_max=2)
    >>> scheduler.step()
    >>> round(scheduler.get_last_lr()[0], 6)
    0.5
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _height(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def get_lr(self) -> list[Any]:
        rates, epoch, low = self._rates(), self.last_epoch, self.eta_min
        if self._is_initial:
            return rates
        if self._step_count == 1 and epoch > 0:
            return self._closed_form()
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the lowest point
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            pairs = zip(rates, self.base_lrs, strict=True)
            return [rate + (base - low) * rise for rate, base in pairs]
        ratio = self._height(epoch) / self._height(epoch - 1)
        return [low + ratio * (rate - low) for rate in rates]

    def _closed_form(self) -> list[Any]:
        low, height = self.eta_min, self._height(self.last_epoch)
        return [low + (base - low) * height / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Go to ``eta_min`` along half a cosine, start again, and take ``T_mult`` times as long.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    T_0 : int
        The number of epochs to the first restart.
    T_mult : int
        The factor by which that grows.
    eta_min : float
        The least rate.
    last_epoch : int
        As in `LRScheduler`.

    Raises
    ------
    ValueError
        If ``T_0`` or ``T_mult`` is not an integer of at least 1.

    Notes
    -----
    I. Loshchilov, F. Hutter: SGDR: Stochastic gradient descent with warm restarts, 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if value.__class__ is not int or value < 1:
                raise ValueError(
                    f"CosineAnnealingWarmRestarts: {name}={value!r}; use an integer >= 1"
                )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to this one, which may be a fraction, and set the rates.

        Raises
        ------
        ValueError
            If the epoch is negative.
        """
        self._go_to(epoch)

    def _go_to(self, epoch: float | None) -> None:
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts.step: epoch={epoch}; use one >= 0")
        else:
            self.T_cur, self.T_i = epoch, self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())
