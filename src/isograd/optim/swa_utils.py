"""Averages of a model's weights over the course of training, with torch's names."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from isograd.core.dtypes import int64, is_floating
from isograd.nn.module import Module
from isograd.ops.convert import is_traced
from isograd.ops.creation import tensor
from isograd.ops.elementwise import where
from isograd.optim.rule import towards
from isograd.runtime.modes import no_grad
from isograd.runtime.tensor import Tensor

__all__ = ["AveragedModel", "get_ema_avg_fn", "get_swa_avg_fn"]

Average = Callable[[Tensor, Tensor, Tensor], Tensor]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Return the function of the exponential moving average: ``decay * old + (1 - decay) * new``.

    Raises
    ------
    ValueError
        If ``decay`` is not in [0, 1].

    Examples
    --------
    >>> import isograd as ig
    >>> get_ema_avg_fn(0.75)(ig.tensor(0.0), ig.tensor(4.0), ig.tensor(1)).item()
    1.0
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"get_ema_avg_fn: decay={decay}; use a number in [0, 1]")

    def ema(averaged: Tensor, current: Tensor, num_averaged: Tensor) -> Tensor:
        return towards(averaged, current, 1 - decay)

    return ema


def get_swa_avg_fn() -> Average:
    """Return the function of the plain mean of all values.

    Examples
    --------
    >>> import isograd as ig
    >>> get_swa_avg_fn()(ig.tensor(1.0), ig.tensor(3.0), ig.tensor(1)).item()
    2.0
    """

    def mean(averaged: Tensor, current: Tensor, num_averaged: Tensor) -> Tensor:
        return averaged + (current - averaged) / (num_averaged + 1).astype(averaged.dtype)

    return mean


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's over time.

    Call `update_parameters` after each step of the optimizer; it may be part of a compiled function
    that has this in its ``state``.

    Parameters
    ----------
    model : Module
        The model that is trained.
    device : device, optional
        Where the averages live.
    avg_fn : callable, optional
        Maps the average, the present value and the number of values averaged so far to the new
        average; by default the mean of all values. See `get_ema_avg_fn`.
    use_buffers : bool
        Average buffers of floating dtype as well; otherwise they are copied.

    Attributes
    ----------
    module : Module
        The copy.
    n_averaged : Tensor
        The number of updates so far.

    Examples
    --------
    >>> import isograd as ig
    >>> model = ig.nn.Linear(1, 1)
    >>> average = AveragedModel(model, avg_fn=get_ema_avg_fn(0.5))
    >>> average.update_parameters(model)
    >>> average(ig.ones((1, 1))).shape
    (1, 1)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.module = deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.avg_fn = avg_fn or get_swa_avg_fn()
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's present values into the averages; the first ones are taken as they are.

        Raises
        ------
        ValueError
            If the model is not like the one that this was made from.
        """
        own, current = dict(self.module.named_parameters()), dict(model.named_parameters())
        if own.keys() != current.keys():
            raise ValueError(
                "AveragedModel.update_parameters: the model has parameters of other names; pass "
                "the model that this was made from"
            )
        with no_grad():
            new = {
                key: self._average(own[key].detach(), param.detach())
                for key, param in current.items()
            }
            buffers = self._averaged_buffers(model)
            for key, value in new.items():
                own[key].assign_(value)
            for module, key, value in buffers:
                setattr(module, key, value)
            self.n_averaged = self.n_averaged + 1

    def _average(self, averaged: Tensor, current: Tensor) -> Tensor:
        current = current.to(averaged.device)
        if is_traced(self.n_averaged):
            return where(
                self.n_averaged == 0, current, self.avg_fn(averaged, current, self.n_averaged)
            )
        if not self.n_averaged.item():
            return current
        return self.avg_fn(averaged, current, self.n_averaged)

    def _averaged_buffers(self, model: Module) -> list[tuple[Module, str, Tensor]]:
        found: list[tuple[Module, str, Tensor]] = []
        sources = dict(model.named_modules())
        for name, module in self.module.named_modules():
            for key, buffer in module.named_buffers(recurse=False):
                value: Tensor = getattr(sources[name], key).detach()
                if self.use_buffers and is_floating(buffer.dtype):
                    value = self._average(buffer, value)
                found.append((module, key, value.to(buffer.device)))
        return found
