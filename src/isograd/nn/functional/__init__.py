"""Layers and losses as functions, with torch's names and arguments.

>>> import isograd as ig
>>> from isograd.nn import functional as F
>>> F.relu(F.linear(ig.ones((1, 2)), ig.tensor([[1.0, -2.0]]), ig.tensor([3.0]))).tolist()
[[2.0]]
"""

from isograd.nn.functional.activation import (
    celu,
    elu,
    gelu,
    glu,
    gumbel_softmax,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    rrelu,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
)
from isograd.nn.functional.linear import dropout, linear, one_hot
from isograd.nn.functional.loss import cross_entropy, l1_loss, mse_loss, nll_loss

__all__ = [
    "celu",
    "cross_entropy",
    "dropout",
    "elu",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "mish",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]
