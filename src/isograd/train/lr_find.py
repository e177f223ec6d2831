"""A learning rate by looking: the loss while the rate grows from step to step."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from isograd.core.optional import require
from isograd.io.atomic import PathLike
from isograd.io.train_state import TrainState
from isograd.nn import functional as F
from isograd.nn.module import Module
from isograd.optim import AdamW
from isograd.optim.optimizer import Optimizer
from isograd.train.fit import Loss, make_step

__all__ = ["LRCurve", "lr_find"]


@dataclasses.dataclass(frozen=True)
class LRCurve:
    """What `lr_find` saw.

    Attributes
    ----------
    rates, losses : sequence of float
        The rate of each step, and the loss before it.
    smooth : sequence of float
        The losses as an exponential average, without the pull of its start.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    smooth: Sequence[float]

    @property
    def suggestion(self) -> float:
        """The rate at which the smooth loss falls fastest; in tenfold of it training breaks."""
        falls = [
            (after - before, rate)
            for before, after, rate in zip(self.smooth, self.smooth[1:], self.rates, strict=False)
        ]
        return min(falls, default=(0.0, self.rates[0]))[1]

    def plot(self, path: PathLike | None = None, /) -> Any:
        """Draw loss over rate, with the suggestion.

        Parameters
        ----------
        path : str or path, optional
            A file to write, whose name says the format: ``.png``, ``.svg``, ``.pdf``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        figure = require("LRCurve.plot", "matplotlib.figure", "train").Figure(figsize=(6, 4))
        axes = figure.subplots()
        axes.semilogx(self.rates, self.losses, color="0.75", label="loss")
        axes.semilogx(self.rates, self.smooth, color="C0", label="smooth loss")
        axes.axvline(self.suggestion, color="C3", linestyle="--", label=f"{self.suggestion:.2g}")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend()
        figure.tight_layout()
        if path is not None:
            figure.savefig(path)
        return figure


def lr_find(
    model: Module,
    data: Any,
    /,
    *,
    loss: Loss = F.cross_entropy,
    optimizer: Optimizer | None = None,
    start: float = 1e-6,
    stop: float = 1.0,
    steps: int = 100,
    smoothing: float = 0.9,
    explosion: float = 4.0,
) -> LRCurve:
    """Train for some steps with a rate that grows, and note the losses.

    Model, optimizer, random state and the loader's position are as before afterwards. The idea is
    from Smith, "Cyclical learning rates for training neural networks", 2017.

    Parameters
    ----------
    model, data, loss, optimizer
        As for `fit`; ``data`` gives batches, again and again if it has too few.
    start, stop : float
        The first and the last rate; in between it grows by a factor.
    steps : int
        How many steps, at least 2.
    smoothing : float
        Weight of the past in the average.
    explosion : float
        End early where the smooth loss is this many times its least.

    Returns
    -------
    LRCurve
        With a ``suggestion``, and `LRCurve.plot`.

    Raises
    ------
    ValueError
        If a number makes no sense, or the data is empty.

    Examples
    --------
    >>> import isograd as ig
    >>> data = ig.data.DataLoader(ig.data.load_digits(flatten=True).train, 64, shuffle=True)
    >>> curve = lr_find(ig.nn.Linear(64, 10), data, steps=30)
    >>> 1e-6 < curve.suggestion < 1
    True
    """
    if not 0 < start < stop or steps < 2:
        raise ValueError(
            f"lr_find: start={start}, stop={stop}, steps={steps}; use 0 < start < stop and 2 steps"
        )
    optimizer = AdamW(model.parameters()) if optimizer is None else optimizer
    parts = {"model": model, "optimizer": optimizer}
    state = TrainState(**parts, **({"loader": data} if hasattr(data, "state_dict") else {}))
    before = state.state_dict()
    step = make_step(model, optimizer, loss, {})
    rates: list[float] = []
    losses: list[float] = []
    smooth: list[float] = []
    average = 0.0
    try:
        for number, batch in enumerate(itertools.islice(_endless(data), steps)):
            rate = start * (stop / start) ** (number / (steps - 1))
            for group in optimizer.param_groups:
                group["lr"] = rate
            value = step(batch)[0].item()
            average = smoothing * average + (1 - smoothing) * value
            level = average / (1 - smoothing ** (number + 1))
            if not math.isfinite(level):
                break
            rates.append(rate)
            losses.append(value)
            smooth.append(level)
            if level > explosion * min(smooth):
                break
    finally:
        state.load_state_dict(before)
    if not rates:
        raise ValueError("lr_find: there is no batch with a finite loss; look at the data first")
    return LRCurve(rates, losses, smooth)


def _endless(data: Any) -> Iterator[Any]:
    while True:
        empty = True
        for batch in data:
            empty = False
            yield batch
        if empty:
            return
