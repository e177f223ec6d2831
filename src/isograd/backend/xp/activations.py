"""Fused activations and their gradients, stable for every argument."""

from __future__ import annotations

import functools
import math
from typing import Any, Final

from isograd.backend.erf import erfc
from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import in_float32

__all__ = ["GELU_CUBIC", "GELU_SCALE", "INVERSE_SQRT_2PI", "activation_kernels"]

INVERSE_SQRT_2PI: Final = 1.0 / math.sqrt(2.0 * math.pi)
#: gelu, "tanh": x/2 * (1 + tanh(GELU_SCALE * (x + GELU_CUBIC * x**3)))
GELU_SCALE: Final = math.sqrt(2.0 / math.pi)
GELU_CUBIC: Final = 0.044715


def activation_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the activations over an array namespace."""
    own_erfc: Any = functools.partial(erfc, xp)
    complement = getattr(xp, "erfc", own_erfc)

    def relu(x: Array) -> Array:
        return xp.where(x <= 0, xp.zeros_like(x), x)

    def relu_grad(g: Array, x: Array) -> Array:
        return xp.where(x <= 0, xp.zeros_like(g), g)

    def both_sigmoids(x: Array) -> tuple[Array, Array]:
        """Return sigmoid(x) and sigmoid(-x), neither by a difference."""
        decay = xp.exp(-xp.abs(x))
        large = 1.0 / (1.0 + decay)
        small = decay * large
        return xp.where(x < 0, small, large), xp.where(x < 0, large, small)

    def sigmoid(x: Array) -> Array:
        return both_sigmoids(x)[0]

    def sigmoid_grad(g: Array, out: Array) -> Array:
        return g * (out * (1.0 - out))

    def tanh_grad(g: Array, out: Array) -> Array:
        return g * ((1.0 - out) * (1.0 + out))

    def silu(x: Array) -> Array:
        return x * sigmoid(x)

    def silu_grad(g: Array, x: Array) -> Array:
        s, rest = both_sigmoids(x)
        return g * (s * (1.0 + x * rest))

    def cubic(x: Array) -> Array:
        return GELU_SCALE * (x + GELU_CUBIC * (x * x * x))

    def normal_cdf(x: Array) -> Array:
        return 0.5 * complement(x * -math.sqrt(0.5))

    def gelu(x: Array, *, approximate: str) -> Array:
        # 1 + tanh(z) = 2 * sigmoid(2*z), which keeps the digits of its negative tail.
        return x * (sigmoid(2.0 * cubic(x)) if approximate == "tanh" else normal_cdf(x))

    def gelu_grad(g: Array, x: Array, *, approximate: str) -> Array:
        if approximate == "tanh":
            s, rest = both_sigmoids(2.0 * cubic(x))
            slope = (2.0 * GELU_SCALE) * (1.0 + (3.0 * GELU_CUBIC) * (x * x))
            return g * (s * (1.0 + x * (slope * rest)))
        return g * (normal_cdf(x) + x * (INVERSE_SQRT_2PI * xp.exp(-0.5 * (x * x))))

    def softplus(x: Array, *, beta: float, threshold: float) -> Array:
        z = x * beta
        smooth = (xp.where(z > 0, z, xp.zeros_like(z)) + xp.log1p(xp.exp(-xp.abs(z)))) / beta
        return xp.where(z > threshold, x, smooth)

    wide: dict[str, Kernel] = {
        "sigmoid": sigmoid,
        "sigmoid_grad": sigmoid_grad,
        "tanh_grad": tanh_grad,
        "silu": silu,
        "silu_grad": silu_grad,
        "gelu": gelu,
        "gelu_grad": gelu_grad,
        "softplus": softplus,
    }
    return {"relu": relu, "relu_grad": relu_grad} | {
        name: in_float32(xp, kernel) for name, kernel in wide.items()
    }
