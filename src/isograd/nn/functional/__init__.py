"""Layers and losses as functions, with torch's names and arguments.

>>> import isograd as ig
>>> from isograd.nn import functional as F
>>> F.relu(F.linear(ig.ones((1, 2)), ig.tensor([[1.0, -2.0]]), ig.tensor([3.0]))).tolist()
[[2.0]]
"""

from isograd.nn.functional.activation import (
    gelu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from isograd.nn.functional.linear import dropout, linear, one_hot
from isograd.nn.functional.loss import cross_entropy, l1_loss, mse_loss, nll_loss

__all__ = [
    "cross_entropy",
    "dropout",
    "gelu",
    "l1_loss",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
