"""What a training is made of, and how far it has come: what callbacks look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isograd.io.train_state import TrainState
from isograd.nn.module import Module
from isograd.optim.optimizer import Optimizer
from isograd.train.metrics import Means

__all__ = ["Loop"]


class Loop:
    """A training under way.

    Attributes
    ----------
    model, optimizer, scheduler, loader
        Its parts; the scheduler may be None.
    epochs : int
        How many epochs it shall have.
    epoch : int
        How many are complete.
    step : int
        How many batches it has learnt from.
    losses : dict of str to float
        Loss and metrics of the last batch.
    history : list of dict
        For each complete epoch the means of loss and metrics; those of validation begin with
        ``val_``.
    state : TrainState
        Everything that is needed to go on, with the loop itself and the callbacks.
    stop : bool
        Set it to end after this epoch.
    """

    def __init__(
        self, model: Module, optimizer: Optimizer, scheduler: Any, loader: Any, epochs: int
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.loader = loader
        self.epochs = epochs
        self.epoch = 0
        self.step = 0
        self.losses: dict[str, float] = {}
        self.history: list[dict[str, float]] = []
        self.means = Means()
        self.stop = False
        self.state = TrainState()

    def rates(self) -> list[float]:
        """Return the learning rate of each parameter group."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return how far the loop has come; the parts have states of their own."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "history": [dict(row) for row in self.history],
            "means": self.means.state_dict(),
            "stop": self.stop,
        }

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take over how far another loop had come."""
        self.means.load_state_dict(state["means"])
        self.epoch, self.step, self.stop = state["epoch"], state["step"], state["stop"]
        self.history = [dict(row) for row in state["history"]]
