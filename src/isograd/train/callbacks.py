"""Callbacks: what is done beside the loop, at its joints."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Mapping
from typing import Any, Literal

from isograd.core.optional import require
from isograd.io.atomic import PathLike
from isograd.io.checkpoint import Checkpoints
from isograd.train.loop import Loop

__all__ = ["Callback", "Checkpointing", "EarlyStopping", "ProgressBar", "TensorBoard"]


class Callback:
    """Base class: subclasses define the methods they need.

    One that has ``state_dict`` and ``load_state_dict`` is part of the checkpoints.

    Examples
    --------
    >>> class Shout(Callback):
    ...     def on_epoch_end(self, loop: Loop) -> None:
    ...         print(f"epoch {loop.epoch}!")
    """

    def on_begin(self, loop: Loop) -> None:
        """Look at the loop before its first step, after a checkpoint was loaded."""

    def on_step_end(self, loop: Loop) -> None:
        """Look at the loop after each step."""

    def on_epoch_end(self, loop: Loop) -> None:
        """Look at the loop after each epoch, its validation and the scheduler's step."""

    def on_end(self, loop: Loop) -> None:
        """Look at the loop when it ends, also by an error."""


class Checkpointing(Callback):
    """Save everything after each epoch, and in between.

    Parameters
    ----------
    folder : str or path
        See `isograd.io.Checkpoints`.
    keep : int
        How many checkpoints are kept.
    every_steps : int, optional
        Save after each so many steps as well.

    Raises
    ------
    ValueError
        If ``every_steps`` is given and the data has no position that could be resumed.
    """

    def __init__(
        self, folder: PathLike, /, *, keep: int = 3, every_steps: int | None = None
    ) -> None:
        self.checkpoints = Checkpoints(folder, keep=keep)
        self.every_steps = every_steps

    def on_begin(self, loop: Loop) -> None:
        if self.every_steps is not None and not hasattr(loop.loader, "state_dict"):
            raise ValueError(
                f"fit: checkpoints in the middle of an epoch of a {type(loop.loader).__name__}, "
                "which has no state_dict; use a DataLoader"
            )

    def on_step_end(self, loop: Loop) -> None:
        if self.every_steps is not None and loop.step % self.every_steps == 0:
            self.checkpoints.save(loop.state, step=loop.step)

    def on_epoch_end(self, loop: Loop) -> None:
        self.checkpoints.save(loop.state, step=loop.step)


class EarlyStopping(Callback):
    """Stop when a metric has not got better for some epochs, and go back to the best weights.

    Parameters
    ----------
    patience : int
        Epochs without improvement that are let pass.
    monitor : str, optional
        A name in the history; ``val_loss`` unless given, or ``loss`` without validation.
    mode : {"min", "max"}
        Which way is better.
    min_delta : float
        How much counts as improvement.
    restore_best : bool
        Whether the model has the weights of the best epoch in the end.

    Raises
    ------
    ValueError
        If the history has no such name.
    """

    def __init__(
        self,
        patience: int = 5,
        *,
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self.patience = patience
        self.monitor = monitor
        self.restore_best = restore_best
        self.min_delta = min_delta
        self.best = math.inf
        self.waited = 0
        self._sign = 1.0 if mode == "min" else -1.0
        self._weights: dict[str, Any] = {}

    def on_epoch_end(self, loop: Loop) -> None:
        row = loop.history[-1]
        name = self.monitor or ("val_loss" if "val_loss" in row else "loss")
        if name not in row:
            raise ValueError(
                f"EarlyStopping: the history has no {name!r}; monitor one of {list(row)}"
            )
        value = self._sign * row[name]
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
            self._weights = loop.model.state_dict() if self.restore_best else {}
        else:
            self.waited += 1
            loop.stop = loop.stop or self.waited > self.patience

    def on_end(self, loop: Loop) -> None:
        if self._weights:
            loop.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its weights, and the epochs since."""
        return {"best": self.best, "waited": self.waited, "weights": dict(self._weights)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take over what `state_dict` returned."""
        self.best, self.waited = state["best"], state["waited"]
        self._weights = dict(state["weights"])


class TensorBoard(Callback):
    """Write loss, metrics and learning rates as TensorBoard's event files, with tensorboardX.

    Parameters
    ----------
    folder : str or path
        Where the files are.
    every_steps : int
        Write each so many steps; metrics of epochs are always written.

    Raises
    ------
    ImportError
        If tensorboardX is missing.
    """

    def __init__(self, folder: PathLike, /, *, every_steps: int = 10) -> None:
        self._package = require("TensorBoard", "tensorboardX", "train")
        self._folder = str(folder)
        self._every = every_steps
        self._writer: Any = None

    def on_begin(self, loop: Loop) -> None:
        # What a killed run wrote after the checkpoint is hidden.
        self._writer = self._package.SummaryWriter(self._folder, purge_step=loop.step or None)

    def on_step_end(self, loop: Loop) -> None:
        if loop.step % self._every == 0:
            for name, value in loop.losses.items():
                self._writer.add_scalar(f"step/{name}", value, loop.step)
            for i, rate in enumerate(loop.rates()):
                self._writer.add_scalar(f"rate/{i}", rate, loop.step)

    def on_epoch_end(self, loop: Loop) -> None:
        for name, value in loop.history[-1].items():
            self._writer.add_scalar(f"epoch/{name}", value, loop.step)

    def on_end(self, loop: Loop) -> None:
        if self._writer is not None:
            self._writer.close()


class ProgressBar(Callback):
    """Show where the loop is, on standard error, with rich.

    Raises
    ------
    ImportError
        If rich is missing.
    """

    def __init__(self) -> None:
        self._rich = require("ProgressBar", "rich.progress", "train")
        self._bar: Any = None
        self._task: Any = None

    @staticmethod
    def is_useful() -> bool:
        """Tell whether rich is here, and somebody looks."""
        return sys.stderr.isatty() and importlib.util.find_spec("rich") is not None

    def on_begin(self, loop: Loop) -> None:
        console = require("ProgressBar", "rich.console", "train").Console(stderr=True)
        self._bar = self._rich.Progress(
            self._rich.TextColumn("{task.description}"),
            self._rich.BarColumn(bar_width=24),
            self._rich.MofNCompleteColumn(),
            self._rich.TimeRemainingColumn(compact=True),
            self._rich.TextColumn("{task.fields[losses]}"),
            console=console,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=self._length(loop), losses="")

    def _length(self, loop: Loop) -> int | None:
        return len(loop.loader) if hasattr(loop.loader, "__len__") else None

    def on_step_end(self, loop: Loop) -> None:
        length = self._length(loop)
        done = loop.step - loop.epoch * length if length else loop.step
        self._bar.update(
            self._task,
            completed=done,
            description=f"epoch {loop.epoch + 1}/{loop.epochs}",
            losses=_text(loop.losses),
        )

    def on_epoch_end(self, loop: Loop) -> None:
        self._bar.console.print(f"epoch {loop.epoch}: {_text(loop.history[-1])}", highlight=False)

    def on_end(self, loop: Loop) -> None:
        if self._bar is not None:
            self._bar.stop()


def _text(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
