"""Optimizers with torch's names, arguments and state layout.

>>> import isograd as ig
>>> model = ig.nn.Linear(3, 1)
>>> adam = ig.optim.Adam(model.parameters(), lr=0.01)
>>> ig.nn.functional.mse_loss(model(ig.ones((4, 3))), ig.zeros((4, 1))).backward()
>>> adam.step()
>>> adam.zero_grad()
"""

from isograd.optim import lr_scheduler, swa_utils
from isograd.optim.accumulated import Adadelta, Adagrad, RMSprop
from isograd.optim.accumulation import (
    GradientAccumulator,
)
from isograd.optim.adafactor import Adafactor
from isograd.optim.adam import Adam, AdamW
from isograd.optim.adaptive import Adamax, NAdam, RAdam
from isograd.optim.averaged import ASGD
from isograd.optim.lbfgs import LBFGS
from isograd.optim.optimizer import Optimizer
from isograd.optim.sgd import SGD
from isograd.optim.signed import Lion, Rprop

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "GradientAccumulator",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
]
