"""Optimizer updates of many parameters at once, with torch's semantics.

Scalars are computed in float64 and rounded to the dtype of the parameter that they meet. Parameters
of 16-bit dtypes are updated in float32 and rounded once, as is their state.
"""

from __future__ import annotations

from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import cast, widen

__all__ = ["update_kernels"]


def update_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the optimizer updates over an array namespace."""

    def sgd_update(
        lr: Array,
        *arrays: Array,
        momentum: float,
        dampening: float,
        nesterov: bool,
        weight_decay: float,
        maximize: bool,
        first: bool,
    ) -> tuple[Array, ...]:
        n = len(arrays) // (3 if momentum else 2)
        new_params: list[Array] = []
        new_momenta: list[Array] = []
        for i in range(n):
            dtype = arrays[i].dtype
            param, grad = widen(xp, arrays[i]), widen(xp, arrays[n + i])
            if maximize:
                grad = -grad
            if weight_decay:
                grad = grad + weight_decay * param
            if momentum:
                buffer = grad
                if not first:
                    buffer = momentum * widen(xp, arrays[2 * n + i]) + (1.0 - dampening) * grad
                new_momenta.append(cast(xp, buffer, dtype))
                grad = grad + momentum * buffer if nesterov else buffer
            new_params.append(cast(xp, param - cast(xp, lr, param.dtype) * grad, dtype))
        return (*new_params, *new_momenta)

    def adam_update(
        lr: Array,
        step: Array,
        *arrays: Array,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> tuple[Array, ...]:
        n = len(arrays) // 4
        beta1, beta2 = betas
        count = cast(xp, step, xp.float64)
        ones = xp.ones_like(count)
        step_size = lr / (1.0 - xp.pow(ones * beta1, count))
        correction = xp.sqrt(1.0 - xp.pow(ones * beta2, count))
        out: tuple[list[Array], list[Array], list[Array]] = ([], [], [])
        for i in range(n):
            dtype = arrays[i].dtype
            param, grad, mean, second = (widen(xp, arrays[k * n + i]) for k in range(4))
            if maximize:
                grad = -grad
            if weight_decay and decoupled:
                param = param * cast(xp, 1.0 - lr * weight_decay, param.dtype)
            elif weight_decay:
                grad = grad + weight_decay * param
            mean = mean + (1.0 - beta1) * (grad - mean)
            second = beta2 * second + (1.0 - beta2) * (grad * grad)
            root = xp.sqrt(second) / cast(xp, correction, param.dtype) + eps
            param = param - cast(xp, step_size, param.dtype) * (mean / root)
            for part, value in zip(out, (param, mean, second), strict=True):
                part.append(cast(xp, value, dtype))
        return (*out[0], *out[1], *out[2])

    return {"sgd_update": sgd_update, "adam_update": adam_update}
