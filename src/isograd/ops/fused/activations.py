"""Activations and their gradients."""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from math import pi
from math import sqrt as root
from typing import Any

from isograd.ops import elementwise as m
from isograd.ops.fused.common import activation, as_float, gradient
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "gelu",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh_grad",
]


def _relu(x: Tensor) -> Tensor:
    return m.where(m.less_equal(x, 0), 0, x)  # NaN stays NaN


def _relu_grad(g: Tensor, x: Tensor) -> Tensor:
    return m.where(m.less_equal(x, 0), 0, g)


def _sigmoid(x: Tensor) -> Tensor:
    z = m.exp(-m.abs(x))
    return m.where(m.less(x, 0), z, 1.0) / (1.0 + z)


def _silu(x: Tensor) -> Tensor:
    return x * sigmoid(x)


def _silu_grad(g: Tensor, x: Tensor) -> Tensor:
    s = sigmoid(x)
    return g * (s * (1.0 + x * (1.0 - s)))


_CUBIC = 0.044715


def _gelu(x: Tensor, *, approximate: str) -> Tensor:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + m.tanh(root(2 / pi) * (x + _CUBIC * x * m.square(x))))
    return 0.5 * x * (1.0 + m.erf(x * root(0.5)))


def _gelu_grad(g: Tensor, x: Tensor, *, approximate: str) -> Tensor:
    if approximate == "tanh":
        t = m.tanh(root(2 / pi) * (x + _CUBIC * x * m.square(x)))
        inner = root(2 / pi) * (1.0 + 3.0 * _CUBIC * m.square(x))
        return g * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - m.square(t)) * inner)
    density = root(0.5 / pi) * m.exp(-0.5 * m.square(x))
    return g * (0.5 * (1.0 + m.erf(x * root(0.5))) + x * density)


def _softplus(x: Tensor, *, beta: float, threshold: float) -> Tensor:
    z = x * beta
    linear_part = m.greater(z, threshold)
    return m.where(linear_part, x, m.logaddexp(m.where(linear_part, 0, z), 0.0) / beta)


def _softplus_rule(g: Tensor, x: Tensor, *, beta: float, threshold: float) -> Tensor:
    z = x * beta
    return m.where(m.greater(z, threshold), g, g * sigmoid(z))


relu_grad_p = gradient("relu_grad", _relu_grad)
sigmoid_grad_p = gradient("sigmoid_grad", lambda g, out: g * out * (1.0 - out))
tanh_grad_p = gradient("tanh_grad", lambda g, out: g * ((1.0 - out) * (1.0 + out)))
silu_grad_p = gradient("silu_grad", _silu_grad)
gelu_grad_p = gradient("gelu_grad", _gelu_grad)

relu_p = activation("relu", _relu, lambda g, x: bind(relu_grad_p, g, x))
sigmoid_p = activation("sigmoid", _sigmoid, lambda g, out: bind(sigmoid_grad_p, g, out))
silu_p = activation("silu", _silu, lambda g, x: bind(silu_grad_p, g, x))
gelu_p = activation(
    "gelu", _gelu, lambda g, x, *, approximate: bind(gelu_grad_p, g, x, approximate=approximate)
)
softplus_p = activation("softplus", _softplus, _softplus_rule)


def tanh_grad(g: Tensor, out: Tensor) -> Tensor:
    """Return ``g * (1 - out**2)``: the derivative of tanh from its output."""
    if out.dtype.kind == "c":
        return g * ((1.0 - out) * (1.0 + out))
    return bind(tanh_grad_p, g, out)


def relu(x: Any, /) -> Tensor:
    """Return x where it is positive, else 0; the derivative at 0 is 0.

    >>> relu(tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return bind(relu_p, as_float("relu", x))


def sigmoid(x: Any, /) -> Tensor:
    """Return 1 / (1 + exp(-x)) without overflow.

    >>> sigmoid(tensor([0.0])).tolist()
    [0.5]
    """
    return bind(sigmoid_p, as_float("sigmoid", x))


def silu(x: Any, /) -> Tensor:
    """Return x * sigmoid(x).

    >>> silu(tensor([0.0])).tolist()
    [0.0]
    """
    return bind(silu_p, as_float("silu", x))


def gelu(x: Any, /, *, approximate: str = "none") -> Tensor:
    """Return x times the standard normal distribution function of x (Hendrycks and Gimpel, 2016).

    Parameters
    ----------
    approximate
        ``"none"`` for the exact function, ``"tanh"`` for the paper's approximation.

    >>> gelu(tensor([0.0])).tolist()
    [0.0]
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate is {approximate!r}; pass 'none' or 'tanh'")
    return bind(gelu_p, as_float("gelu", x), approximate=approximate)


def softplus(x: Any, /, *, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return log(1 + exp(beta * x)) / beta, and x itself where beta * x exceeds the threshold.

    >>> softplus(tensor([1000.0])).tolist()
    [1000.0]
    """
    return bind(softplus_p, as_float("softplus", x), beta=float(beta), threshold=float(threshold))
