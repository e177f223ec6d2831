"""Normalisation layers: batch, instance, layer, rms, group and local response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from isograd.core.dtypes import int64
from isograd.core.errors import ShapeError
from isograd.nn import init
from isograd.nn.functional import normalization as F
from isograd.nn.module import Module, Parameter
from isograd.ops.convert import cast
from isograd.ops.creation import empty, ones, zeros
from isograd.ops.movement import reshape
from isograd.runtime.tensor import Tensor

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


class _ChannelNorm(Module):
    """What batch and instance norm share: parameters, running statistics, and their numbers."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        shape = (num_features,)
        self.weight = Parameter(ones(shape, dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(zeros(shape, dtype=dtype, device=device)) if affine and bias else None
        tracked = track_running_stats
        mean = zeros(shape, dtype=dtype, device=device) if tracked else None
        var = ones(shape, dtype=dtype, device=device) if tracked else None
        count = zeros((), dtype=int64, device=device) if tracked else None
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", var)
        self.register_buffer("num_batches_tracked", count)

    def reset_running_stats(self) -> None:
        """Make the running mean 0, the running variance 1, and forget the number of batches."""
        if self.running_mean is not None and self.running_var is not None:
            mean = self.running_mean
            self.running_mean = zeros(mean.shape, dtype=mean.dtype, device=mean.device)
            self.running_var = ones(mean.shape, dtype=mean.dtype, device=mean.device)
            self.num_batches_tracked = zeros((), dtype=int64, device=mean.device)

    def reset_parameters(self) -> None:
        """Forget the statistics, and make weights 1 and biases 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _track(self, mean: Tensor, var: Tensor, share: Any) -> None:
        """Move the running statistics towards those of a batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        dtype = self.running_mean.dtype
        self.running_mean = (1.0 - share) * self.running_mean + share * cast(mean, dtype)
        self.running_var = (1.0 - share) * self.running_var + share * cast(var, dtype)

    def _check(self, x: Tensor, axes: tuple[int, ...], without_batch: int = 0) -> None:
        name = type(self).__name__
        if x.ndim not in axes:
            raise ShapeError(
                f"{name}: the input has shape {x.shape}; pass one of {axes[0]}"
                + "".join([f" or {n}" for n in axes[1:]])
                + " axes"
            )
        channels = x.shape[0 if x.ndim == without_batch else 1]
        if channels != self.num_features:
            raise ShapeError(
                f"{name}: the input {x.shape} has {channels} channels, the layer "
                f"num_features={self.num_features}; make them equal"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    _ndims: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, x: Tensor, /) -> Tensor:
        """Normalise, while training by the batch's statistics, which move the running ones."""
        self._check(x, self._ndims)
        if self.training or self.running_mean is None or self.running_var is None:
            F.check_several(type(self).__name__, x, (0, *range(2, x.ndim)))
            if self.training and self.running_mean is not None:
                self._count(x)
            return F.batch_norm_training(x, self.weight, self.bias, self.eps)
        return F.batch_norm_evaluation(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.eps
        )

    def _count(self, x: Tensor) -> None:
        assert self.running_mean is not None
        assert self.num_batches_tracked is not None
        count = self.num_batches_tracked + 1
        average = self.momentum is None
        share = cast(1.0 / count, self.running_mean.dtype) if average else self.momentum
        self._track(*F.batch_statistics(x), share)
        self.num_batches_tracked = count


class BatchNorm1d(_BatchNorm):
    """Normalise each channel of ``(N, C)`` or ``(N, C, L)``; arguments are those of `BatchNorm2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.BatchNorm1d(1, eps=0.0)(ig.tensor([[0.0], [2.0]])).tolist()
    [[-1.0], [1.0]]
    """

    _ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of ``(N, C, H, W)`` over the batch and all places.

    While training, by the batch's own mean and biased variance; the running mean, and the running
    variance of the unbiased kind, are moved towards those. In evaluation, by the running ones.

    Parameters
    ----------
    num_features : int
        The number of channels.
    eps : float
        What is added to the variance.
    momentum : float or None
        The share of the new statistics in the running ones; None for their plain average.
    affine : bool
        Whether there is a weight for each channel.
    track_running_stats : bool
        Whether there are running statistics; without, the batch's are used in evaluation too.
    device, dtype : optional
        Where the parameters live, and their dtype.
    bias : bool
        Whether ``affine`` brings a bias too.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape ``(num_features,)``; 1 and 0 at first.
    running_mean, running_var : Tensor or None
        Shape ``(num_features,)``; 0 and 1 at first.
    num_batches_tracked : Tensor or None
        How many batches were seen in training.

    Raises
    ------
    ShapeError
        If the input does not fit, or training meets one value per channel; nothing changes then.

    Notes
    -----
    S. Ioffe, C. Szegedy: Batch normalization, 2015.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.BatchNorm2d(3)
    >>> layer(ig.ones((2, 3, 4, 4))).shape, layer.num_batches_tracked.item()
    ((2, 3, 4, 4), 1)
    """

    _ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalise each channel of ``(N, C, D, H, W)``; arguments are those of `BatchNorm2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.BatchNorm3d(3)(ig.ones((2, 3, 2, 2, 2))).shape
    (2, 3, 2, 2, 2)
    """

    _ndims = (5,)


class _InstanceNorm(_ChannelNorm):
    _ndim: ClassVar[int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, x: Tensor, /) -> Tensor:
        """Normalise each channel of each sample; ``(N, C, *size)``, or ``(C, *size)``."""
        self._check(x, (self._ndim - 1, self._ndim), self._ndim - 1)
        if x.ndim < self._ndim:
            return reshape(self._normalised(reshape(x, (1, *x.shape))), x.shape)
        return self._normalised(x)

    def _normalised(self, x: Tensor) -> Tensor:
        if self.training or self.running_mean is None or self.running_var is None:
            F.check_several(type(self).__name__, x, range(2, x.ndim))
            if self.training and self.running_mean is not None:
                self._track(*F.instance_statistics(x), self.momentum or 0.0)
            return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        return F.batch_norm_evaluation(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.eps
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalise each channel of each sample over one axis; see `InstanceNorm2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.InstanceNorm1d(1, eps=0.0)(ig.tensor([[[0.0, 2.0]]])).tolist()
    [[[-1.0, 1.0]]]
    """

    _ndim = 3


class InstanceNorm2d(_InstanceNorm):
    """Normalise each channel of each sample over two axes.

    Parameters
    ----------
    num_features : int
        The number of channels.
    eps : float
        What is added to the variance.
    momentum : float or None
        The share of the new statistics in the running ones; None leaves these alone, as in torch.
    affine : bool
        Whether there is a weight for each channel.
    track_running_stats : bool
        Whether there are running statistics, which are then used in evaluation.
    device, dtype : optional
        Where the parameters live, and their dtype.
    bias : bool
        Whether ``affine`` brings a bias too.

    Raises
    ------
    ShapeError
        If the input does not fit, or has one value per channel.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.InstanceNorm2d(3)(ig.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    _ndim = 4


class InstanceNorm3d(_InstanceNorm):
    """Normalise each channel of each sample over three axes; see `InstanceNorm2d`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.InstanceNorm3d(3)(ig.ones((2, 3, 2, 2, 2))).shape
    (2, 3, 2, 2, 2)
    """

    _ndim = 5


class LayerNorm(Module):
    """Normalise over the last axes, and scale and shift each element.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The lengths of the last axes.
    eps : float
        What is added to the variance.
    elementwise_affine : bool
        Whether there is a weight for each element.
    bias : bool
        Whether there is a bias too.
    device, dtype : optional
        Where the parameters live, and their dtype.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape ``normalized_shape``; 1 and 0 at first.

    Raises
    ------
    ShapeError
        If the input does not end with these lengths.

    Notes
    -----
    J. L. Ba, J. R. Kiros, G. E. Hinton: Layer normalization, 2016.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.LayerNorm(2, eps=0.0)(ig.tensor([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        affine = elementwise_affine
        self.weight = Parameter(empty(shape, dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(empty(shape, dtype=dtype, device=device)) if affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make weights 1 and biases 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.layer_norm` of ``x``."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divide by the root of the mean square over the last axes, and scale each element.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The lengths of the last axes.
    eps : float, optional
        What is added to the mean square; the machine epsilon of the input unless given.
    elementwise_affine : bool
        Whether there is a weight for each element.
    device, dtype : optional
        Where the parameters live, and their dtype.

    Attributes
    ----------
    weight : Parameter or None
        Shape ``normalized_shape``; 1 at first.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.RMSNorm(2, eps=0.0)(ig.tensor([3.0, 3.0])).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        made = empty(self.normalized_shape, dtype=dtype, device=device)
        self.weight = Parameter(made) if elementwise_affine else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make weights 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.rms_norm` of ``x``."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(normalized_shape, int):
        return (normalized_shape,)
    return tuple(normalized_shape)


class GroupNorm(Module):
    """Normalise over groups of channels of each sample, and scale and shift each channel.

    Parameters
    ----------
    num_groups, num_channels : int
        The former divides the latter.
    eps : float
        What is added to the variance.
    affine : bool
        Whether there is a weight for each channel.
    device, dtype : optional
        Where the parameters live, and their dtype.
    bias : bool
        Whether ``affine`` brings a bias too.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape ``(num_channels,)``; 1 and 0 at first.

    Raises
    ------
    ValueError
        If the groups do not divide the channels.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.GroupNorm(2, 6)(ig.ones((5, 6, 4))).shape
    (5, 6, 4)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups={num_groups} does not divide num_channels={num_channels}; "
                "choose a divisor"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        shape = (num_channels,)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(empty(shape, dtype=dtype, device=device)) if affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make weights 1 and biases 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.group_norm` of ``x``."""
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divide by a power of the mean square over neighbouring channels.

    Parameters
    ----------
    size : int
        The number of neighbouring channels.
    alpha, beta, k : float
        The numbers in ``x / (k + alpha * mean) ** beta``.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.LocalResponseNorm(2)(ig.ones((1, 3, 2, 2))).shape
    (1, 3, 2, 2)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.local_response_norm` of ``x``."""
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
