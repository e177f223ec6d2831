"""Normalisation as functions, with torch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from isograd.core.dtypes import finfo
from isograd.core.errors import ShapeError
from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops import reductions as r
from isograd.ops.convert import cast
from isograd.ops.movement import reshape
from isograd.runtime.modes import no_grad
from isograd.runtime.tensor import Tensor

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def _by_channel(t: Tensor, ndim: int) -> Tensor:
    """Return numbers of each channel so that they broadcast along axis 1."""
    return reshape(t, (t.shape[0], *(1,) * (ndim - 2)))


def _affine(out: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        out = out * _by_channel(weight, out.ndim)
    return out if bias is None else out + _by_channel(bias, out.ndim)


def check_channels(function: str, x: Tensor, **given: Tensor | None) -> None:
    """Raise unless each tensor has one number for each channel of the input."""
    if x.ndim < 2:
        raise ShapeError(
            f"{function}: the input has shape {x.shape}; pass (N, C, ...) with channels on axis 1"
        )
    for name, t in given.items():
        if t is not None and t.shape != (x.shape[1],):
            raise ShapeError(
                f"{function}: {name} has shape {t.shape}, but the input {x.shape} has "
                f"{x.shape[1]} channels; pass one number for each"
            )


def check_several(function: str, x: Tensor, axes: Sequence[int]) -> None:
    """Raise where there is one value only to normalise."""
    if prod([x.shape[i] for i in axes]) == 1:
        raise ShapeError(
            f"{function}: training needs more than one value per channel, and an input of shape "
            f"{x.shape} has one; pass a larger batch, or call eval()"
        )


def batch_statistics(input: Tensor) -> tuple[Tensor, Tensor]:
    """Return each channel's mean and unbiased variance, without history."""
    axes = (0, *range(2, input.ndim))
    count = prod([input.shape[i] for i in axes])
    with no_grad():
        mean, var = fused.moments(input, axes)
        return reshape(mean, (-1,)), reshape(var * (count / max(count - 1, 1)), (-1,))


def batch_norm_training(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise each channel by the batch's own statistics."""
    return _affine(fused.standardize(input, (0, *range(2, input.ndim)), eps), weight, bias)


def batch_norm_evaluation(
    input: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """Normalise each channel by given statistics."""
    root = m.sqrt(var + eps)
    scale = 1.0 / root if weight is None else weight / root
    return _affine(input - _by_channel(mean, input.ndim), scale, bias)


def _blend(running: Tensor | None, new: Tensor, momentum: float) -> None:
    """Move a running statistic towards a new one, in the tensor that the caller holds."""
    if running is not None:
        running[...] = (1.0 - momentum) * running + momentum * cast(new, running.dtype)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel over the batch and all places.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, ...)``.
    running_mean, running_var : Tensor or None
        Shape ``(C,)``. Used unless ``training``; else moved towards the batch's mean and unbiased
        variance, where given.
    weight, bias : Tensor, optional
        Shape ``(C,)``: factors and terms after normalising.
    training : bool
        Whether to use the batch's own statistics, with the biased variance.
    momentum : float
        The share of the new statistics in the running ones.
    eps : float
        What is added to the variance.

    Raises
    ------
    ShapeError
        If shapes do not fit, or there is one value per channel while training; nothing is changed
        then.
    ValueError
        If statistics are missing.

    Examples
    --------
    >>> import isograd as ig
    >>> batch_norm(ig.tensor([[0.0], [2.0]]), None, None, training=True, eps=0.0).tolist()
    [[-1.0], [1.0]]
    """
    check_channels(
        "batch_norm",
        input,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError(
                "batch_norm: without training, running_mean and running_var are used; pass both"
            )
        return batch_norm_evaluation(input, running_mean, running_var, weight, bias, eps)
    check_several("batch_norm", input, (0, *range(2, input.ndim)))
    if running_mean is not None or running_var is not None:
        mean, var = batch_statistics(input)
        _blend(running_mean, mean, momentum)
        _blend(running_var, var, momentum)
    return batch_norm_training(input, weight, bias, eps)


def instance_statistics(input: Tensor) -> tuple[Tensor, Tensor]:
    """Return each channel's mean and unbiased variance, averaged over instances."""
    axes = tuple(range(2, input.ndim))
    count = prod(input.shape[2:])
    with no_grad():
        mean, var = fused.moments(input, axes)
        rows = [
            reshape(mean, input.shape[:2]),
            reshape(var * (count / max(count - 1, 1)), input.shape[:2]),
        ]
        return r.mean(rows[0], axis=0), r.mean(rows[1], axis=0)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each sample over its places; arguments are those of `batch_norm`.

    Raises
    ------
    ShapeError
        If shapes do not fit, or there is one value per channel.
    ValueError
        If statistics are missing.

    Examples
    --------
    >>> import isograd as ig
    >>> instance_norm(ig.tensor([[[0.0, 2.0]]]), eps=0.0).tolist()
    [[[-1.0, 1.0]]]
    """
    check_channels(
        "instance_norm",
        input,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError(
                "instance_norm: without use_input_stats, running_mean and running_var are used; "
                "pass both"
            )
        return batch_norm_evaluation(input, running_mean, running_var, weight, bias, eps)
    check_several("instance_norm", input, range(2, input.ndim))
    if running_mean is not None or running_var is not None:
        mean, var = instance_statistics(input)
        _blend(running_mean, mean, momentum)
        _blend(running_var, var, momentum)
    return _affine(fused.standardize(input, tuple(range(2, input.ndim)), eps), weight, bias)


def _last_axes(
    function: str,
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
) -> tuple[int, ...]:
    """Return the axes that ``normalized_shape`` names, or raise."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(
            f"{function}: the input has shape {x.shape}, which does not end with "
            f"normalized_shape={shape}; pass the lengths of its last axes"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.shape != shape:
            raise ShapeError(
                f"{function}: {name} has shape {t.shape}, normalized_shape is {shape}; make them "
                "equal"
            )
    return tuple(range(x.ndim - len(shape), x.ndim))


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over the last axes: ``(input - mean) / sqrt(var + eps) * weight + bias``.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., *normalized_shape)``.
    normalized_shape : int or sequence of int
        The lengths of the axes to normalise over.
    weight, bias : Tensor, optional
        Shape ``normalized_shape``.
    eps : float
        What is added to the variance.

    Raises
    ------
    ShapeError
        If shapes do not fit.

    Examples
    --------
    >>> import isograd as ig
    >>> layer_norm(ig.tensor([1.0, 3.0]), 2, eps=0.0).tolist()
    [-1.0, 1.0]
    """
    axes = _last_axes("layer_norm", input, normalized_shape, weight, bias)
    out = fused.standardize(input, axes, eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Return ``input / sqrt(mean(input**2) + eps)``, the mean being that over the last axes.

    ``eps`` is the machine epsilon of the dtype unless given; the rest is as for `layer_norm`.

    Examples
    --------
    >>> import isograd as ig
    >>> rms_norm(ig.tensor([3.0, 3.0]), 2, eps=0.0).tolist()
    [1.0, 1.0]
    """
    axes = _last_axes("rms_norm", input, normalized_shape, weight, None)
    small = float(finfo(input.dtype).eps) if eps is None else eps
    out = fused.standardize(input, axes, small, centred=False)
    return out if weight is None else out * weight


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over groups of channels of each sample.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, ...)``.
    num_groups : int
        How many groups; a divisor of C.
    weight, bias : Tensor, optional
        Shape ``(C,)``.
    eps : float
        What is added to the variance.

    Raises
    ------
    ShapeError
        If shapes do not fit, or the groups do not divide the channels.

    Examples
    --------
    >>> import isograd as ig
    >>> group_norm(ig.tensor([[1.0, 3.0]]), 1, eps=0.0).tolist()
    [[-1.0, 1.0]]
    """
    check_channels("group_norm", input, weight=weight, bias=bias)
    channels = input.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ShapeError(
            f"group_norm: num_groups={num_groups} does not divide the {channels} channels of "
            f"{input.shape}; choose a divisor"
        )
    split = reshape(input, (input.shape[0], num_groups, channels // num_groups, *input.shape[2:]))
    out = fused.standardize(split, tuple(range(2, split.ndim)), eps)
    return _affine(reshape(out, input.shape), weight, bias)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide by ``(k + alpha * mean of squares over neighbouring channels) ** beta``.

    Parameters
    ----------
    input : Tensor
        Shape ``(N, C, ...)`` with at least one axis of places.
    size : int
        The number of neighbouring channels; missing ones count as 0.
    alpha, beta, k : float
        The numbers of the formula.

    Raises
    ------
    ShapeError
        If there are no axes of places, or ``size`` is below 1.

    Examples
    --------
    >>> import isograd as ig
    >>> local_response_norm(ig.ones((1, 1, 1)), 1, alpha=3.0, beta=0.5).tolist()
    [[[0.5]]]
    """
    if input.ndim < 3 or size < 1:
        raise ShapeError(
            f"local_response_norm: size={size} does not fit an input of shape {input.shape}; pass "
            "(N, C, ...) and a size of at least 1"
        )
    flat = reshape(m.square(input), (*input.shape[:2], prod(input.shape[2:])))
    sides = ((size // 2, (size - 1) // 2), (0, 0))
    total = fused.window_sum(flat, (size, 1), (1, 1), sides)
    return input / m.pow(k + (alpha / size) * reshape(total, input.shape), beta)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Divide vectors along axis ``dim`` by their p-norm, or by ``eps`` where that is larger.

    Examples
    --------
    >>> import isograd as ig
    >>> [round(v, 6) for v in normalize(ig.tensor([3.0, 4.0]), dim=0).tolist()]
    [0.6, 0.8]
    """
    return input / m.maximum(r.vector_norm(input, axis=dim, keepdims=True, ord=p), eps)
