"""Learning rates that change, with torch's names, arguments and state layout.

A scheduler sets ``lr`` of the optimizer's groups; call its ``step`` after the optimizer's, outside
of compiled functions, which take learning rates as inputs.

>>> import isograd as ig
>>> sgd = ig.optim.SGD([ig.nn.Parameter(ig.ones(1))], lr=1.0)
>>> scheduler = StepLR(sgd, step_size=2, gamma=0.5)
>>> for _ in range(3):
...     sgd.step()
...     scheduler.step()
>>> sgd.param_groups[0]["lr"]
0.5
"""

from isograd.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from isograd.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from isograd.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from isograd.optim.lr_scheduler.factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from isograd.optim.lr_scheduler.plateau import ReduceLROnPlateau
from isograd.optim.lr_scheduler.scheduler import LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
