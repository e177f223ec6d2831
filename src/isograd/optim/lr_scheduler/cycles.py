"""Schedules that cycle the learning rate, and the momentum against it."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal

from isograd.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer, per_group
from isograd.optim.optimizer import Group, Optimizer

__all__ = ["CyclicLR", "OneCycleLR"]


class _Cycles(LRScheduler):
    """What both have in common: the momentum, or the first beta, that cycles as well."""

    def _start_momentum(
        self, base_momentum: Any, max_momentum: Any, last_epoch: int
    ) -> tuple[list[Any], list[Any]]:
        name, optimizer = type(self).__name__, self.optimizer
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                f"{name}: {type(optimizer).__name__} has neither momentum nor betas; pass "
                "cycle_momentum=False"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        bases = per_group(name, "base_momentum", optimizer, base_momentum)
        tops = per_group(name, "max_momentum", optimizer, max_momentum)
        if last_epoch == -1:
            for top, base, group in zip(tops, bases, optimizer.param_groups, strict=True):
                self._set_momentum(group, top)
                group["max_momentum"], group["base_momentum"] = top, base
        return bases, tops

    def _set_momentum(self, group: Group, value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class OneCycleLR(_Cycles):
    """Rise to the largest rate and fall far below the first one, once.

    It starts from ``max_lr / div_factor``, is at ``max_lr`` after the share ``pct_start`` of the
    steps, and ends at ``max_lr / div_factor / final_div_factor``. Step it after every batch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    max_lr : float, or list of float
        The largest rate; for all groups, or for each.
    total_steps : int, optional
        The number of steps; or give ``epochs`` and ``steps_per_epoch``.
    epochs, steps_per_epoch : int, optional
        Their product is the number of steps.
    pct_start : float
        The share of the steps in which it rises, in [0, 1].
    anneal_strategy : {"cos", "linear"}
        The shape.
    cycle_momentum : bool
        Move momentum, or the first beta, from ``max_momentum`` to ``base_momentum`` and back.
        Momentum is a constant of a compiled function, which is traced anew for each value, so pass
        False there.
    base_momentum, max_momentum : float, or list of float
        Its bounds.
    div_factor, final_div_factor : float
        As above.
    three_phase : bool
        Fall to the first rate as long as it rose, and to the last one in the remaining steps.
    last_epoch : int
        As in `LRScheduler`.

    Raises
    ------
    ValueError
        If there is no number of steps, an option is out of its range, or the optimizer has no
        momentum to cycle; and from ``step`` after the last one.

    Notes
    -----
    L. N. Smith, N. Topin: Super-convergence: Very fast training of neural networks using large
    learning rates, 2019.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("OneCycleLR", optimizer)
        self.optimizer = optimizer
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "OneCycleLR: how many steps there are is not said; pass total_steps, or epochs "
                    "and steps_per_epoch"
                )
            total_steps = epochs * steps_per_epoch
        if total_steps < 1:
            raise ValueError(f"OneCycleLR: {total_steps} steps; use a number >= 1")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start={pct_start}; use a number in [0, 1]")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy={anneal_strategy!r}; use 'cos' or 'linear'"
            )
        self.total_steps = total_steps
        self._schedule_phases = _phases(total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        tops = per_group("OneCycleLR", "max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for top, group in zip(tops, optimizer.param_groups, strict=True):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
        return (end - start) * share + start

    def get_lr(self) -> list[Any]:
        step, start = self.last_epoch, 0.0
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR.step: this is step {step} of {self.total_steps}; make the schedule "
                "longer, or stop"
            )
        phase = self._schedule_phases[-1]
        for candidate in self._schedule_phases:
            if step <= candidate["end_step"] or candidate is self._schedule_phases[-1]:
                phase = candidate
                break
            start = candidate["end_step"]
        share = (step - start) / (phase["end_step"] - start)
        rates: list[Any] = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(*ends, share))
        return rates


def _phases(total: int, share: float, three: bool) -> list[dict[str, Any]]:
    def phase(end: float, rates: tuple[str, str], momenta: tuple[str, str]) -> dict[str, Any]:
        return {
            "end_step": end,
            "start_lr": rates[0],
            "end_lr": rates[1],
            "start_momentum": momenta[0],
            "end_momentum": momenta[1],
        }

    high, low = "max_momentum", "base_momentum"
    rise = phase(float(share * total) - 1, ("initial_lr", "max_lr"), (high, low))
    if not three:
        return [rise, phase(total - 1, ("max_lr", "min_lr"), (low, high))]
    return [
        rise,
        phase(float(2 * share * total) - 2, ("max_lr", "initial_lr"), (low, high)),
        phase(total - 1, ("initial_lr", "min_lr"), (high, high)),
    ]


class CyclicLR(_Cycles):
    """Rise from ``base_lr`` to ``max_lr`` and fall back, again and again.

    Step it after every batch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    base_lr, max_lr : float, or list of float
        The bounds; for all groups, or for each.
    step_size_up, step_size_down : int
        The numbers of steps up and down; both the same unless the second is given.
    mode : {"triangular", "triangular2", "exp_range"}
        All cycles are as high, each is half as high as the one before, or the height at step ``i``
        is scaled by ``gamma**i``.
    gamma : float
        As above.
    scale_fn : callable, optional
        Scales the height instead of ``mode``.
    scale_mode : {"cycle", "iterations"}
        What ``scale_fn`` is a function of: the cycle's number, from 1, or the step's.
    cycle_momentum : bool
        Move momentum, or the first beta, from ``max_momentum`` to ``base_momentum`` and back.
        Momentum is a constant of a compiled function, which is traced anew for each value, so pass
        False there.
    base_momentum, max_momentum : float, or list of float
        Its bounds.
    last_epoch : int
        As in `LRScheduler`.

    Raises
    ------
    ValueError
        If there is no such mode, or the optimizer has no momentum to cycle.

    Notes
    -----
    L. N. Smith: Cyclical learning rates for training neural networks, 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("CyclicLR", optimizer)
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(
                f"CyclicLR: mode={mode!r}; use 'triangular', 'triangular2' or 'exp_range', or pass "
                "scale_fn"
            )
        self.optimizer = optimizer
        bases = per_group("CyclicLR", "base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for rate, group in zip(bases, optimizer.param_groups, strict=True):
                group["lr"] = rate
        self.max_lrs = per_group("CyclicLR", "max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._start_momentum(
                base_momentum, max_momentum, last_epoch
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = bases

    def scale_fn(self, x: float, /) -> float:
        """Return the factor of the height at a cycle or step."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return 1 / 2.0 ** (x - 1)
        return self.gamma**x if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[Any]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        at = 1.0 + self.last_epoch / self.total_size - cycle
        up = at <= self.step_ratio
        height = at / self.step_ratio if up else (at - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            bounds = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, bounds, strict=True):
                self._set_momentum(group, high - (high - low) * height * scale)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [base + (top - base) * height * scale for base, top in pairs]

    def state_dict(self) -> dict[str, Any]:
        """Return all attributes but the optimizer; of a callable object, its attributes."""
        fn = self._scale_fn_custom
        plain = fn is None or isinstance(fn, types.FunctionType)
        return {**super().state_dict(), "_scale_fn_custom": None if plain else dict(vars(fn))}

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        super()._load({k: v for k, v in state_dict.items() if k != "_scale_fn_custom"})
        if state_dict["_scale_fn_custom"] is not None:
            vars(self._scale_fn_custom).update(state_dict["_scale_fn_custom"])
