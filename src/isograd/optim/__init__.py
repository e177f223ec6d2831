"""Optimizers with torch's names, arguments and state layout.

>>> import isograd as ig
>>> model = ig.nn.Linear(3, 1)
>>> adam = ig.optim.Adam(model.parameters(), lr=0.01)
>>> ig.nn.functional.mse_loss(model(ig.ones((4, 3))), ig.zeros((4, 1))).backward()
>>> adam.step()
>>> adam.zero_grad()
"""

from isograd.optim.adam import Adam, AdamW
from isograd.optim.optimizer import Optimizer
from isograd.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
