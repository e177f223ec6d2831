"""Fused activations and their gradients, stable for every argument."""

from __future__ import annotations

import math
from typing import Any, Final

from isograd.backend.erf import HUGE_NORMAL, gauss, normal_cdf
from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import in_float32

__all__ = ["GELU_BOUND", "GELU_CUBIC", "GELU_SCALE", "INVERSE_SQRT_2PI", "activation_kernels"]

INVERSE_SQRT_2PI: Final = 1.0 / math.sqrt(2.0 * math.pi)
#: gelu, "tanh": x/2 * (1 + tanh(GELU_SCALE * (x + GELU_CUBIC * x**3)))
GELU_SCALE: Final = math.sqrt(2.0 / math.pi)
GELU_CUBIC: Final = 0.044715
GELU_BOUND: Final = 100.0


def activation_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the activations over an array namespace."""

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

    def gelu(x: Array, *, approximate: str) -> Array:
        # 1 + tanh(z) = 2 * sigmoid(2*z), which keeps the digits of its negative tail.
        return x * (sigmoid(2.0 * cubic(x)) if approximate == "tanh" else normal_cdf(xp, x))

    def gelu_grad(g: Array, x: Array, *, approximate: str) -> Array:
        if approximate == "tanh":
            # Beyond the bound the sigmoids are exactly 0 and 1; powers of x could overflow.
            inside = xp.clip(x, -GELU_BOUND, GELU_BOUND)
            s, rest = both_sigmoids(2.0 * cubic(inside))
            slope = (2.0 * GELU_SCALE) * (1.0 + (3.0 * GELU_CUBIC) * (inside * inside))
            return g * (s * (1.0 + x * (slope * rest)))
        density = INVERSE_SQRT_2PI * gauss(xp, xp.clip(xp.abs(x), 0.0, HUGE_NORMAL), 0.5)
        return g * (normal_cdf(xp, x) + x * density)

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
