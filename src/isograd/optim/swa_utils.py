"""Averages of a model's weights over the course of training, with torch's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, Literal

from isograd.core.dtypes import int64, is_floating
from isograd.nn.module import Module
from isograd.nn.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from isograd.ops.convert import is_traced
from isograd.ops.creation import tensor
from isograd.ops.elementwise import where
from isograd.optim.lr_scheduler.scheduler import LRScheduler, check_optimizer, per_group
from isograd.optim.optimizer import Optimizer
from isograd.optim.rule import towards
from isograd.runtime.modes import no_grad
from isograd.runtime.tensor import Tensor

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_swa_avg_fn", "update_bn"]

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


class SWALR(LRScheduler):
    """Go from the present rate to ``swa_lr``, and stay there while weights are averaged.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups' ``lr`` is set.
    swa_lr : float, or list of float
        The last rate; for all groups, or for each.
    anneal_epochs : int
        The number of epochs that it takes.
    anneal_strategy : {"cos", "linear"}
        The shape.
    last_epoch : int
        As in `LRScheduler`.

    Raises
    ------
    ValueError
        If there is no such shape, or ``anneal_epochs`` is negative.

    Notes
    -----
    P. Izmailov et al.: Averaging weights leads to wider optima and better generalization, 2018.

    Examples
    --------
    >>> import isograd as ig
    >>> sgd = ig.optim.SGD([ig.nn.Parameter(ig.ones(1))], lr=1.0)
    >>> scheduler = SWALR(sgd, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("SWALR", optimizer)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: anneal_strategy={anneal_strategy!r}; use 'cos' or 'linear'")
        if anneal_epochs < 0:
            raise ValueError(f"SWALR: anneal_epochs={anneal_epochs}; use a number >= 0")
        rates = per_group("SWALR", "swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """Return how much of the way is done after a number of steps."""
        done = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * done)) / 2 if self._anneal_strategy == "cos" else done

    def get_lr(self) -> list[Any]:
        step = self._step_count - 1
        step = max(1, step) if self.anneal_epochs == 0 else step
        before, now = self._share(step - 1), self._share(step)
        rates: list[Any] = []
        for group in self.optimizer.param_groups:
            rate, last = group["lr"], group["swa_lr"]
            first = last if before == 1 else (rate - before * last) / (1 - before)
            rates.append(last * now + first * (1 - now))
        return rates


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of batch normalisation anew, as means over all batches.

    Averaged weights need statistics of their own.

    Parameters
    ----------
    loader : iterable
        Batches: tensors, or tuples or lists whose first item is the input.
    model : Module
        The model; whether it is in training or evaluation mode stays as it is.
    device : device, optional
        Where to move the inputs.

    Examples
    --------
    >>> import isograd as ig
    >>> model = ig.nn.BatchNorm1d(1)
    >>> update_bn([ig.tensor([[0.0], [2.0]]), ig.tensor([[4.0], [6.0]])], model)
    >>> model.running_mean.tolist()
    [3.0]
    """
    layers = [
        layer
        for layer in model.modules()
        if isinstance(layer, BatchNorm1d | BatchNorm2d | BatchNorm3d)
    ]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    training = [(module, module.training) for module in model.modules()]
    try:
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean of all batches
        with no_grad():
            for batch in loader:
                x: Any = batch if isinstance(batch, Tensor) else next(iter(batch))
                model(x if device is None else x.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in training:
            module.training = mode
