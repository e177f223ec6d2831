"""Joining a layer with the batch norm behind it, for evaluation."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from isograd.nn.module import Module
from isograd.ops.creation import ones_like, zeros_like
from isograd.ops.elementwise import sqrt
from isograd.ops.movement import reshape
from isograd.runtime.modes import no_grad
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]

ModuleT = TypeVar("ModuleT", bound=Module)


def fuse_conv_bn_eval(conv: ModuleT, bn: Module, transpose: bool = False) -> ModuleT:
    """Return a convolution that does what ``conv`` and then ``bn`` do in evaluation.

    Parameters
    ----------
    conv : Conv1d, Conv2d, Conv3d or transposed
        Left as it is; the result is a copy.
    bn : BatchNorm1d, BatchNorm2d or BatchNorm3d
        With running statistics.
    transpose : bool
        Whether the convolution is a transposed one.

    Raises
    ------
    ValueError
        If one is in training mode, or the norm has no running statistics.

    Examples
    --------
    >>> import isograd as ig
    >>> from isograd import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    >>> fused = nn.utils.fuse_conv_bn_eval(*model)
    >>> x = ig.random.normal((2, 3, 5, 5))
    >>> bool((abs(fused(x) - model(x)) < 1e-5).all())
    True
    """
    return _fused("fuse_conv_bn_eval", conv, bn, transpose)


def fuse_linear_bn_eval(linear: ModuleT, bn: Module) -> ModuleT:
    """Return a `Linear` that does what ``linear`` and then ``bn`` do in evaluation.

    Arguments and errors are as for `fuse_conv_bn_eval`.
    """
    return _fused("fuse_linear_bn_eval", linear, bn, False)


def _fused(function: str, layer: ModuleT, bn: Any, transpose: bool) -> ModuleT:
    if layer.training or bn.training:
        raise ValueError(f"{function}: a layer is in training mode; call eval() on both first")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(
            f"{function}: the norm has no running statistics; make it with track_running_stats=True"
        )
    made: Any = copy.deepcopy(layer)
    made.weight, made.bias = fuse_conv_bn_weights(
        made.weight,
        made.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        transpose,
    )
    return made


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of a layer joined with a batch norm; None stands for 0 or 1.

    The weight's channels of output are on axis 0, or on axis 1 where ``transpose``.
    """
    with no_grad():
        scale = (ones_like(bn_rm) if bn_w is None else bn_w) / sqrt(bn_rv + bn_eps)
        shape = [1] * conv_w.ndim
        shape[1 if transpose else 0] = -1
        shift = zeros_like(bn_rm) if bn_b is None else bn_b
        bias = zeros_like(bn_rm) if conv_b is None else conv_b
        weight = conv_w * reshape(scale, tuple(shape))
        return (
            Parameter(weight, conv_w.requires_grad),
            Parameter((bias - bn_rm) * scale + shift),
        )


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of a `Linear` joined with a batch norm; see `fuse_conv_bn_weights`."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
