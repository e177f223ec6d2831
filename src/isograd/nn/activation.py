"""Activation layers: each applies the function of `isograd.nn.functional` of the same name."""

from __future__ import annotations

from typing import Literal

from isograd.nn import functional as F
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = ["GELU", "LogSoftmax", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh"]


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
