"""Fused primitives: several operations that backends may compute in one pass.

Each has a decomposition in other functions of the library. That is its definition, its fallback,
its test oracle, and the source of every derivative for which no rule stands here.
"""

from isograd.ops.fused.activations import gelu, relu, sigmoid, silu, softplus, tanh_grad
from isograd.ops.fused.affine import linear
from isograd.ops.fused.attention import attention, attention_weights
from isograd.ops.fused.convolution import conv, conv_input_grad, conv_weight_grad
from isograd.ops.fused.losses import cross_entropy
from isograd.ops.fused.normalization import moments, standardize
from isograd.ops.fused.pooling import max_pool, max_pool_indices, window_sum
from isograd.ops.fused.recurrent import gru_cell, lstm_cell
from isograd.ops.fused.softmax import log_softmax, logsumexp_p, softmax
from isograd.ops.fused.stochastic import dropout, random_normal
from isograd.ops.fused.updates import adam_update, sgd_update

__all__ = [
    "adam_update",
    "attention",
    "attention_weights",
    "conv",
    "conv_input_grad",
    "conv_weight_grad",
    "cross_entropy",
    "dropout",
    "gelu",
    "gru_cell",
    "linear",
    "log_softmax",
    "logsumexp_p",
    "lstm_cell",
    "max_pool",
    "max_pool_indices",
    "moments",
    "random_normal",
    "relu",
    "sgd_update",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "standardize",
    "tanh_grad",
    "window_sum",
]
