"""Schedules that multiply the learning rate by a factor."""

from __future__ import annotations

import types
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from isograd.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer, per_group
from isograd.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]

Factor = Callable[[int], float]


class _Lambdas(LRScheduler):
    """Schedules given by functions, one for each group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1
    ) -> None:
        name = type(self).__name__
        check_optimizer(name, optimizer)
        self.lr_lambdas: list[Factor] = per_group(name, "lr_lambda", optimizer, lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(
                    f"{name}: lr_lambda is a {type(function).__name__}; pass a function of the "
                    "epoch"
                )
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return all attributes but the optimizer; of callable objects, their attributes."""
        saved = [
            None if isinstance(fn, types.FunctionType) else dict(vars(fn)) for fn in self.lr_lambdas
        ]
        return {**super().state_dict(), "lr_lambdas": saved}

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        super()._load({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if saved is not None:
                vars(function).update(saved)


class LambdaLR(_Lambdas):
    """The initial rate times a function of the epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    lr_lambda : callable, or list of callable
        Maps the epoch to a factor; one for all groups, or one for each.
    last_epoch : int
        As in `LRScheduler`.

    Examples
    --------
    >>> import isograd as ig
    >>> sgd = ig.optim.SGD([ig.nn.Parameter(ig.ones(1))], lr=1.0)
    >>> scheduler = LambdaLR(sgd, lambda epoch: 0.5**epoch)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def get_lr(self) -> list[Any]:
        pairs = zip(self.lr_lambdas, self.base_lrs, strict=True)
        return [base * function(self.last_epoch) for function, base in pairs]


class MultiplicativeLR(_Lambdas):
    """The present rate times a function of the epoch, from epoch 1 on.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    lr_lambda : callable, or list of callable
        Maps the epoch to a factor; one for all groups, or one for each.
    last_epoch : int
        As in `LRScheduler`.

    Examples
    --------
    >>> import isograd as ig
    >>> sgd = ig.optim.SGD([ig.nn.Parameter(ig.ones(1))], lr=1.0)
    >>> scheduler = MultiplicativeLR(sgd, lambda epoch: 0.5)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def get_lr(self) -> list[Any]:
        if self._is_initial:
            return self._rates()
        pairs = zip(self.lr_lambdas, self._rates(), strict=True)
        return [rate * function(self.last_epoch) for function, rate in pairs]


class _Factors(LRScheduler):
    """Schedules that multiply every rate by one factor a step, which has a closed form."""

    def _factor(self) -> float:
        """Return what the present rates are multiplied by."""
        raise NotImplementedError

    def _total(self) -> float:
        """Return what the initial rates are multiplied by."""
        raise NotImplementedError

    def get_lr(self) -> list[Any]:
        factor = self._factor()
        return [rate if factor == 1 else rate * factor for rate in self._rates()]

    def _closed_form(self) -> list[Any]:
        total = self._total()
        return [base * total for base in self.base_lrs]


class StepLR(_Factors):
    """Multiply by ``gamma`` every ``step_size`` epochs.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    step_size : int
        Epochs between changes.
    gamma : float
        The factor.
    last_epoch : int
        As in `LRScheduler`.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size={step_size}; use a number of epochs >= 1")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        changes = self.last_epoch != 0 and self.last_epoch % self.step_size == 0
        return self.gamma if changes else 1

    def _total(self) -> float:
        return self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(_Factors):
    """Multiply by ``gamma`` at each of the epochs ``milestones``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    milestones : iterable of int
        The epochs; one that is there twice counts twice.
    gamma : float
        The factor.
    last_epoch : int
        As in `LRScheduler`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return self.gamma ** self.milestones[self.last_epoch]

    def _total(self) -> float:
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)


class ConstantLR(_Factors):
    """Multiply by ``factor`` until epoch ``total_iters``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    factor : float
        The factor, in (0, 1].
    total_iters : int
        When the rates return to what they were.
    last_epoch : int
        As in `LRScheduler`.

    Raises
    ------
    ValueError
        If the factor is not in (0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < factor <= 1:
            raise ValueError(f"ConstantLR: factor={factor}; use a number in (0, 1]")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self.last_epoch == 0:
            return self.factor
        return 1.0 / self.factor if self.last_epoch == self.total_iters else 1

    def _total(self) -> float:
        return 1.0 if self.last_epoch >= self.total_iters else self.factor


class LinearLR(_Factors):
    """Multiply by a factor that goes from ``start_factor`` to ``end_factor`` linearly.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    start_factor : float
        The first factor, in (0, 1].
    end_factor : float
        The last one, in [0, 1].
    total_iters : int
        The number of epochs that it takes.
    last_epoch : int
        As in `LRScheduler`.

    Raises
    ------
    ValueError
        If a factor is out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor={start_factor}; use a number in (0, 1]")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor={end_factor}; use a number in [0, 1]")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self.last_epoch == 0:
            return self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)

    def _total(self) -> float:
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ExponentialLR(_Factors):
    """Multiply by ``gamma`` every epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    gamma : float
        The factor.
    last_epoch : int
        As in `LRScheduler`.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return 1 if self._is_initial else self.gamma

    def _total(self) -> float:
        return self.gamma**self.last_epoch


class PolynomialLR(_Factors):
    """Multiply by ``(1 - epoch / total_iters)**power``, 0 from ``total_iters`` on.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    total_iters : int
        The number of epochs to 0.
    power : float
        The exponent.
    last_epoch : int
        As in `LRScheduler`.
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1
        left, before = (
            1.0 - epoch / self.total_iters for epoch in (self.last_epoch, self.last_epoch - 1)
        )
        return (left / before) ** self.power

    def _total(self) -> float:
        return (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power
