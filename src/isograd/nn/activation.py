"""Activation layers: each applies the function of `isograd.nn.functional` of the same name."""

from __future__ import annotations

from typing import Any, Literal

from isograd.core.errors import ShapeError
from isograd.nn import functional as F
from isograd.nn.applied import Applied
from isograd.nn.module import Parameter
from isograd.ops.creation import full, full_like
from isograd.runtime.tensor import Tensor

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _Activation(Applied):
    """Base class of all. ``inplace`` is shown where it is set, and is otherwise without effect."""

    inplace: bool = False

    def extra_repr(self) -> str:
        parts = [super().extra_repr(), "inplace=True" if self.inplace else ""]
        return ", ".join([part for part in parts if part])


class _Plain(_Activation):
    """Base class of those without another argument."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class _Scaled(_Activation):
    """Base class of ELU and CELU."""

    _options = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace


class _Shrink(_Activation):
    """Base class of the layers that take what is within ``lambd`` of 0 to 0."""

    _options = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class _Along(_Activation):
    """Base class of those that work along one axis."""

    _options = ("dim",)

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim


class Sigmoid(_Activation):
    """Apply ``1 / (1 + exp(-x))``."""

    _function = F.sigmoid


class Tanh(_Activation):
    """Apply the hyperbolic tangent."""

    _function = F.tanh


class ReLU(_Plain):
    """Apply ``max(x, 0)``; the gradient at 0 is 0.

    Parameters
    ----------
    inplace : bool
        Accepted as torch does, here and in the other activations; without effect, since tensors do
        not change.
    """

    _function = F.relu


class GELU(_Activation):
    """Apply the Gaussian error linear unit.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        Exact, or by the formula with tanh.
    """

    _function = F.gelu
    _options = ("approximate",)

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate: Literal["none", "tanh"] = approximate


class SiLU(_Plain):
    """Apply ``x * sigmoid(x)``."""

    _function = F.silu


class Softplus(_Activation):
    """Apply ``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x > threshold``."""

    _function = F.softplus
    _options = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold


class Softmax(_Along):
    """Apply softmax along axis ``dim``."""

    _function = F.softmax


class LogSoftmax(_Along):
    """Apply the logarithm of softmax along axis ``dim``."""

    _function = F.log_softmax


class Softmin(_Along):
    """Apply softmax of ``-x`` along axis ``dim``."""

    _function = F.softmin


class Softmax2d(_Activation):
    """Apply softmax over the channels of ``(N, C, H, W)`` or ``(C, H, W)``."""

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.softmax` of ``x`` along axis -3.

        Raises
        ------
        ShapeError
            If the input has not 3 or 4 axes.
        """
        if x.ndim not in (3, 4):
            raise ShapeError(
                f"Softmax2d: the input has shape {x.shape}; give it shape (N, C, H, W) or (C, H, W)"
            )
        return F.softmax(x, -3)


class ReLU6(_Plain):
    """Apply ``min(max(x, 0), 6)``."""

    _function = F.relu6


class Hardtanh(_Activation):
    """Limit ``x`` to an interval.

    Parameters
    ----------
    min_val, max_val : float
        Its bounds.
    inplace : bool
        Without effect, as in `ReLU`.
    """

    _function = F.hardtanh
    _options = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace


class Hardsigmoid(_Plain):
    """Apply ``min(max(x + 3, 0), 6) / 6``."""

    _function = F.hardsigmoid


class Hardswish(_Plain):
    """Apply ``x * min(max(x + 3, 0), 6) / 6``."""

    _function = F.hardswish


class ELU(_Scaled):
    """Apply ``x`` where it is positive, else ``alpha * (exp(x) - 1)``."""

    _function = F.elu


class SELU(_Plain):
    """Apply the scaled exponential linear unit."""

    _function = F.selu


class CELU(_Scaled):
    """Apply ``x`` where it is positive, else ``alpha * (exp(x / alpha) - 1)``."""

    _function = F.celu


class LeakyReLU(_Activation):
    """Apply ``x`` where it is positive, else ``negative_slope * x``."""

    _function = F.leaky_relu
    _options = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace


class PReLU(_Activation):
    """Apply ``x`` where it is positive, else ``weight * x``, with slopes that are learned.

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels.
    init : float
        The slopes at the start.
    device : device, optional
        Where the slopes live.
    dtype : dtype, optional
        Their dtype.

    Attributes
    ----------
    weight : Parameter
        Shape ``(num_parameters,)``.
    """

    _function = F.prelu
    _options = ("weight",)

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full((num_parameters,), float(init), dtype=dtype, device=device))

    def reset_parameters(self) -> None:
        """Put the slopes back to the start."""
        self.weight.assign_(full_like(self.weight.detach(), self.init))

    def extra_repr(self) -> str:
        return self._shown("num_parameters")


class RReLU(_Activation):
    """Apply ``x`` where it is positive, else ``x`` times a slope, random while training.

    Parameters
    ----------
    lower : float
        The least slope.
    upper : float
        The bound of the slopes; in evaluation mode the mean of both is taken.
    inplace : bool
        Without effect, as in `ReLU`.
    """

    _options = ("lower", "upper")

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.rrelu` of ``x``."""
        return F.rrelu(x, self.lower, self.upper, self.training)


class GLU(_Along):
    """Apply ``a * sigmoid(b)`` to the halves of the input along axis ``dim``."""

    _function = F.glu

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)


class Mish(_Plain):
    """Apply ``x * tanh(softplus(x))``."""

    _function = F.mish


class LogSigmoid(_Activation):
    """Apply ``log(sigmoid(x))``."""

    _function = F.logsigmoid


class Hardshrink(_Shrink):
    """Apply ``x``, or 0 where it is within ``lambd`` of 0."""

    _function = F.hardshrink


class Softshrink(_Shrink):
    """Move ``x`` towards 0 by ``lambd``, and no further than that."""

    _function = F.softshrink


class Softsign(_Activation):
    """Apply ``x / (1 + abs(x))``."""

    _function = F.softsign


class Tanhshrink(_Activation):
    """Apply ``x - tanh(x)``."""

    _function = F.tanhshrink


class Threshold(_Activation):
    """Apply ``x`` where it is above a threshold, else another value.

    Parameters
    ----------
    threshold : float
        The threshold.
    value : float
        The other value.
    inplace : bool
        Without effect, as in `ReLU`.
    """

    _function = F.threshold
    _options = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace
