"""Fused primitives: several operations that backends may compute in one pass.

Each has a decomposition in other functions of the library. That is its definition, its fallback,
its test oracle, and the source of every derivative for which no rule stands here.
"""

from isograd.ops.fused.activations import gelu, relu, sigmoid, silu, softplus, tanh_grad
from isograd.ops.fused.affine import linear
from isograd.ops.fused.losses import cross_entropy
from isograd.ops.fused.softmax import log_softmax, logsumexp_p, softmax
from isograd.ops.fused.stochastic import dropout, random_normal
from isograd.ops.fused.updates import adam_update, sgd_update

__all__ = [
    "adam_update",
    "cross_entropy",
    "dropout",
    "gelu",
    "linear",
    "log_softmax",
    "logsumexp_p",
    "random_normal",
    "relu",
    "sgd_update",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh_grad",
]
