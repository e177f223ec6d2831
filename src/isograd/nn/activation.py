"""Activation layers: each applies the function of `isograd.nn.functional` of the same name."""

from __future__ import annotations

from typing import Any, Literal

from isograd.core.errors import ShapeError
from isograd.nn import functional as F
from isograd.nn.module import Module, Parameter
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


class Sigmoid(Module):
    """Apply ``1 / (1 + exp(-x))``."""

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.sigmoid` of ``x``."""
        return F.sigmoid(x)


class Tanh(Module):
    """Apply the hyperbolic tangent."""

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.tanh` of ``x``."""
        return F.tanh(x)


class ReLU(Module):
    """Apply ``max(x, 0)``; the gradient at 0 is 0.

    Parameters
    ----------
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.relu` of ``x``."""
        return F.relu(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class GELU(Module):
    """Apply the Gaussian error linear unit.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        Exact, or by the formula with tanh.
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate: Literal["none", "tanh"] = approximate

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.gelu` of ``x``."""
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """Apply ``x * sigmoid(x)``.

    Parameters
    ----------
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.silu` of ``x``."""
        return F.silu(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """Apply ``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x > threshold``."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.softplus` of ``x``."""
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """Apply softmax along axis ``dim``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.softmax` of ``x``."""
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """Apply the logarithm of softmax along axis ``dim``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.log_softmax` of ``x``."""
        return F.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class ReLU6(Module):
    """Apply ``min(max(x, 0), 6)``.

    Parameters
    ----------
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.relu6` of ``x``."""
        return F.relu6(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardtanh(Module):
    """Limit ``x`` to an interval.

    Parameters
    ----------
    min_val : float
        Its lower bound.
    max_val : float
        Its upper bound.
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.hardtanh` of ``x``."""
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (
            ", inplace=True" if self.inplace else ""
        )


class Hardsigmoid(Module):
    """Apply ``min(max(x + 3, 0), 6) / 6``.

    Parameters
    ----------
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.hardsigmoid` of ``x``."""
        return F.hardsigmoid(x)


class Hardswish(Module):
    """Apply ``x * min(max(x + 3, 0), 6) / 6``.

    Parameters
    ----------
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.hardswish` of ``x``."""
        return F.hardswish(x)


class ELU(Module):
    """Apply ``x`` where it is positive, else ``alpha * (exp(x) - 1)``.

    Parameters
    ----------
    alpha : float
        As in the formula.
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.elu` of ``x``."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class SELU(Module):
    """Apply the scaled exponential linear unit.

    Parameters
    ----------
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.selu` of ``x``."""
        return F.selu(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class CELU(Module):
    """Apply ``x`` where it is positive, else ``alpha * (exp(x / alpha) - 1)``.

    Parameters
    ----------
    alpha : float
        As in the formula.
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.celu` of ``x``."""
        return F.celu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class LeakyReLU(Module):
    """Apply ``x`` where it is positive, else ``negative_slope * x``.

    Parameters
    ----------
    negative_slope : float
        As in the formula.
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.leaky_relu` of ``x``."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
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

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.prelu` of ``x``."""
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """Apply ``x`` where it is positive, else ``x`` times a slope, random while training.

    Parameters
    ----------
    lower : float
        The least slope.
    upper : float
        The bound of the slopes; in evaluation mode the mean of both is taken.
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

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

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (
            ", inplace=True" if self.inplace else ""
        )


class GLU(Module):
    """Apply ``a * sigmoid(b)`` to the halves of the input.

    Parameters
    ----------
    dim : int
        The axis that is halved.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.glu` of ``x``."""
        return F.glu(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Mish(Module):
    """Apply ``x * tanh(softplus(x))``.

    Parameters
    ----------
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.mish` of ``x``."""
        return F.mish(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LogSigmoid(Module):
    """Apply ``log(sigmoid(x))``."""

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.logsigmoid` of ``x``."""
        return F.logsigmoid(x)


class Hardshrink(Module):
    """Apply ``x``, or 0 where it is within ``lambd`` of 0.

    Parameters
    ----------
    lambd : float
        As above.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.hardshrink` of ``x``."""
        return F.hardshrink(x, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Module):
    """Move ``x`` towards 0 by ``lambd``.

    Parameters
    ----------
    lambd : float
        As above.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.softshrink` of ``x``."""
        return F.softshrink(x, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softsign(Module):
    """Apply ``x / (1 + abs(x))``."""

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.softsign` of ``x``."""
        return F.softsign(x)


class Tanhshrink(Module):
    """Apply ``x - tanh(x)``."""

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.tanhshrink` of ``x``."""
        return F.tanhshrink(x)


class Threshold(Module):
    """Apply ``x`` where it is above a threshold, else another value.

    Parameters
    ----------
    threshold : float
        The threshold.
    value : float
        The other value.
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.threshold` of ``x``."""
        return F.threshold(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (
            ", inplace=True" if self.inplace else ""
        )


class Softmin(Module):
    """Apply softmax of ``-x`` along axis ``dim``.

    Parameters
    ----------
    dim : int
        The axis.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.softmin` of ``x``."""
        return F.softmin(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
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
