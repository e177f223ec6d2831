"""Training: a loop with validation, checkpoints, early stopping and a watch for NaN.

>>> import isograd as ig
>>> from isograd.data import load_digits
>>> from isograd.train import accuracy, fit
>>> train, test = load_digits(flatten=True)
>>> model = ig.nn.Sequential(ig.nn.Linear(64, 32), ig.nn.ReLU(), ig.nn.Linear(32, 10))
>>> history = fit(model, train, epochs=4, validation=test, metrics={"accuracy": accuracy})
>>> history[-1]["val_accuracy"] > 0.8
True
"""

from isograd.train.callbacks import Callback, Checkpointing, EarlyStopping, ProgressBar, TensorBoard
from isograd.train.fit import evaluate, fit
from isograd.train.loop import Loop
from isograd.train.lr_find import LRCurve, lr_find
from isograd.train.metrics import accuracy

__all__ = [
    "Callback",
    "Checkpointing",
    "EarlyStopping",
    "LRCurve",
    "Loop",
    "ProgressBar",
    "TensorBoard",
    "accuracy",
    "evaluate",
    "fit",
    "lr_find",
]
