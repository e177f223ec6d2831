"""The training loop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from isograd import compiler
from isograd.core.dtypes import float64
from isograd.data.loader import DataLoader
from isograd.io.atomic import PathLike
from isograd.io.train_state import TrainState
from isograd.nn import functional as F
from isograd.nn.module import Module
from isograd.nn.utils import clip_grad_norm_
from isograd.optim import AdamW
from isograd.optim.lr_scheduler import ReduceLROnPlateau
from isograd.optim.optimizer import Optimizer
from isograd.runtime.modes import no_grad
from isograd.runtime.tensor import Tensor
from isograd.train.callbacks import Callback, Checkpointing, EarlyStopping, ProgressBar, TensorBoard
from isograd.train.loop import Loop
from isograd.train.metrics import Means
from isograd.train.watch import NanWatch

__all__ = ["evaluate", "fit", "make_step"]

Loss = Callable[[Any, Any], Tensor]
Metrics = Mapping[str, Callable[[Any, Any], Tensor]]


def fit(
    model: Module,
    data: Any,
    /,
    *,
    loss: Loss = F.cross_entropy,
    optimizer: Optimizer | None = None,
    epochs: int = 1,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Metrics | None = None,
    scheduler: Any = None,
    step_scheduler: bool = False,
    scaler: Any = None,
    clip_norm: float | None = None,
    accumulate: int = 1,
    weight: Callable[[Any], Any] | None = None,
    compiled: bool = False,
    patience: int | None = None,
    checkpoints: PathLike | None = None,
    keep: int = 3,
    every_steps: int | None = None,
    resume: bool = True,
    log_dir: PathLike | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    watch_nan: bool = True,
) -> list[dict[str, float]]:
    """Train a model.

    Parameters
    ----------
    model : Module
        Called with all but the last member of a batch.
    data : DataLoader, data set, or iterable of batches
        Batches are tuples of inputs and, last, a target. A data set is shuffled.
    loss : callable
        ``loss(output, target)``, a mean over the batch; cross entropy unless given.
    optimizer : Optimizer, optional
        AdamW with its defaults unless given.
    epochs : int
        How often to go through the data.
    batch_size : int
        For data sets.
    validation : like ``data``, optional
        Judged after each epoch, in evaluation mode.
    metrics : mapping of str to callable, optional
        Each like ``loss``; see `accuracy`.
    scheduler : LRScheduler, optional
        Takes a step after each epoch, or with ``step_scheduler`` after each step.
        `ReduceLROnPlateau` is given the loss of validation, or of training.
    scaler : GradScaler, optional
        For float16.
    clip_norm : float, optional
        Scale gradients down to this norm.
    accumulate : int
        Learn from so many batches at once, as from one large batch.
    weight : callable, optional
        ``weight(target)``, what a batch's loss is a mean of, as its number of tokens; the number of
        targets unless given. Losses of batches that are accumulated count accordingly.
    compiled : bool
        Compile the step.
    patience : int, optional
        Stop after so many epochs without improvement, with the best weights; see `EarlyStopping`.
    checkpoints : str or path, optional
        A folder; everything is saved there after each epoch, and with ``every_steps`` in between.
        Where it holds a checkpoint, training goes on from it, bit for bit as if it had not stopped,
        unless ``resume`` is False.
    keep : int
        How many checkpoints are kept.
    log_dir : str or path, optional
        A folder for TensorBoard's event files.
    callbacks : sequence of Callback
        What else is done.
    progress : bool, optional
        Whether to show a bar; where rich is installed and standard error is a terminal unless
        given.
    watch_nan : bool
        Whether a loss that is not finite ends training, with the operation and line that made it.
        The step is taken again for that, so its state is noted before each.

    Returns
    -------
    list of dict
        For each epoch the means of loss and metrics; those of validation begin with ``val_``.

    Raises
    ------
    ValueError
        If ``accumulate`` is below 1.
    NonFiniteError
        If the loss is NaN or infinite. The model is as before the step that went wrong.
    StateDictError
        If the checkpoint does not fit.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.random.normal((64, 3))
    >>> data = ig.data.TensorDataset(x, x.sum(axis=1, keepdims=True))
    >>> history = fit(ig.nn.Linear(3, 1), data, loss=ig.nn.functional.mse_loss, epochs=2)
    >>> history[1]["loss"] < history[0]["loss"]
    True
    """
    if accumulate < 1:
        raise ValueError(f"fit: accumulate={accumulate}; use a number of batches >= 1")
    loader = _loader(data, batch_size, shuffle=True)
    judged = None if validation is None else _loader(validation, batch_size, shuffle=False)
    optimizer = AdamW(model.parameters()) if optimizer is None else optimizer
    metrics = metrics or {}
    loop = Loop(model, optimizer, scheduler, loader, epochs)
    all_callbacks = [
        *callbacks,
        *([] if patience is None else [EarlyStopping(patience)]),
        *([] if log_dir is None else [TensorBoard(log_dir)]),
        *([ProgressBar()] if progress or (progress is None and ProgressBar.is_useful()) else []),
    ]
    saving = None
    if checkpoints is not None:  # last, so that it saves what the others have done
        saving = Checkpointing(checkpoints, keep=keep, every_steps=every_steps)
        all_callbacks.append(saving)
    parts = {"model": model, "optimizer": optimizer}
    parts |= {} if scaler is None else {"scaler": scaler}
    loop.state = _state_of(loop, parts, all_callbacks)
    if saving is not None and resume:
        saving.checkpoints.load(loop.state)
    eager = make_step(model, optimizer, loss, metrics, scaler, clip_norm, weight)
    step = compiler.compile(eager, state=tuple(parts.values())) if compiled else eager
    watch = NanWatch(eager, parts, copies=compiled) if watch_nan else None
    names = ["loss", *metrics]

    model.train()
    try:
        for callback in all_callbacks:
            callback.on_begin(loop)
        while loop.epoch < epochs and not loop.stop:
            for batches in _several(loader, accumulate):
                if watch is not None:
                    watch.before(batches)
                values = [value.item() for value in step(*batches)]
                if watch is not None and not math.isfinite(values[0]):
                    watch.fail(values[0], loop.step)
                loop.step += 1
                loop.losses = dict(zip(names, values, strict=True))
                loop.means.add(names, values, sum(map(_size, batches)))
                if step_scheduler:
                    scheduler.step()
                for callback in all_callbacks:
                    callback.on_step_end(loop)
            _end_epoch(loop, judged, loss, metrics, scheduled=not step_scheduler)
            for callback in all_callbacks:
                callback.on_epoch_end(loop)
    finally:
        for callback in all_callbacks:
            callback.on_end(loop)
    return loop.history


def make_step(
    model: Module,
    optimizer: Optimizer,
    loss: Loss,
    metrics: Metrics,
    scaler: Any = None,
    clip_norm: float | None = None,
    weight: Callable[[Any], Any] | None = None,
) -> Callable[..., list[Tensor]]:
    """Return a function that learns from batches, and returns the means of loss and metrics."""

    def weight_of(batch: Any) -> Any:
        found = _size(batch) if weight is None else weight(batch[-1])
        return found.astype(float64) if isinstance(found, Tensor) else found

    def step(*batches: Any) -> list[Tensor]:
        weights: list[Any] = [1] if len(batches) == 1 else [weight_of(batch) for batch in batches]
        total = sum(weights)
        means: list[Any] = [0.0] * (1 + len(metrics))
        for batch, amount in zip(batches, weights, strict=True):
            *inputs, target = batch
            output = model(*inputs)
            value = loss(output, target)
            share = amount / total
            share = share.astype(value.dtype) if isinstance(share, Tensor) else share
            part = value * share
            (part if scaler is None else scaler.scale(part)).backward()
            with no_grad():
                found = [value.detach(), *[metric(output, target) for metric in metrics.values()]]
                means = [mean + share * v for mean, v in zip(means, found, strict=True)]
        if scaler is not None:
            scaler.unscale_(optimizer)
        if clip_norm is not None:
            clip_grad_norm_(model.parameters(), clip_norm)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad()
        return means

    return step


def evaluate(
    model: Module,
    data: Any,
    /,
    *,
    loss: Loss = F.cross_entropy,
    metrics: Metrics | None = None,
    batch_size: int = 256,
) -> dict[str, float]:
    """Return the means of loss and metrics over data, in evaluation mode.

    Parameters
    ----------
    model, data, loss, metrics
        As for `fit`.
    batch_size : int
        For data sets.

    Examples
    --------
    >>> import isograd as ig
    >>> data = ig.data.TensorDataset(ig.ones((5, 2)), ig.zeros((5, 2)))
    >>> evaluate(ig.nn.Identity(), data, loss=ig.nn.functional.mse_loss)
    {'loss': 1.0}
    """
    metrics = metrics or {}
    means = Means()
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with no_grad():
            for batch in _loader(data, batch_size, shuffle=False):
                *inputs, target = batch
                output = model(*inputs)
                values = [loss(output, target), *[m(output, target) for m in metrics.values()]]
                means.add(["loss", *metrics], [v.item() for v in values], _size(batch))
    finally:
        for module, mode in training.items():
            module.training = mode
    return means.means()


def _end_epoch(loop: Loop, judged: Any, loss: Loss, metrics: Metrics, *, scheduled: bool) -> None:
    row = loop.means.means()
    loop.means.reset()
    if judged is not None:
        found = evaluate(loop.model, judged, loss=loss, metrics=metrics)
        row |= {f"val_{name}": value for name, value in found.items()}
    loop.history.append(row)
    loop.epoch += 1
    if loop.scheduler is not None and scheduled:
        if isinstance(loop.scheduler, ReduceLROnPlateau):
            loop.scheduler.step(row.get("val_loss", row["loss"]))
        else:
            loop.scheduler.step()


def _state_of(loop: Loop, parts: dict[str, Any], callbacks: Iterable[Any]) -> TrainState:
    found: dict[str, Any] = {**parts, "loop": loop}
    if loop.scheduler is not None:
        found["scheduler"] = loop.scheduler
    if hasattr(loop.loader, "state_dict"):
        found["loader"] = loop.loader
    for i, callback in enumerate(callbacks):
        if hasattr(callback, "state_dict"):
            found[f"callback_{i}"] = callback
    return TrainState(**found)


def _loader(data: Any, batch_size: int, *, shuffle: bool) -> Any:
    """Return something that gives batches: a data set in a loader, anything else as it is."""
    is_data_set = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if not is_data_set or isinstance(data, list | tuple | DataLoader):
        return data  # pyright: ignore[reportUnknownVariableType]
    return DataLoader(data, batch_size, shuffle=shuffle, seed=None if shuffle else 0)


def _several(loader: Iterable[Any], count: int) -> Iterator[list[Any]]:
    """Yield so many batches at a time; at the end of an epoch there may be fewer."""
    batches = iter(loader)
    while found := list(itertools.islice(batches, count)):
        yield found


def _size(batch: Sequence[Any]) -> int:
    target = batch[-1]
    return target.shape[0] if isinstance(target, Tensor) and target.ndim else 1
