"""Optimizer updates: one pass over the memory of each parameter and its state.

The operations and their order are those of the NumPy backend, so the bits are too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_numba._arrays import FLOAT_DTYPES, contiguous
from isograd_numba._jit import FLOATS, compiled

__all__ = ["SMALLEST", "update_kernels"]

Array = Any
Scalar = Any

SMALLEST: Final = 256
"""Elements of all parameters together from which the compiled kernels are used."""


@compiled("T[::1], T[::1], T, T, int64, int64, T[::1]", T=FLOATS, grain=1 << 15)
def _sgd(
    start: int,
    stop: int,
    params: Array,
    grads: Array,
    rate: Scalar,
    decay: Scalar,
    decays: int,
    maximize: int,
    new_params: Array,
) -> None:
    for i in range(start, stop):
        grad = -grads[i] if maximize else grads[i]
        grad = grad + decay * params[i] if decays else grad
        new_params[i] = params[i] - rate * grad


@compiled(
    "T[::1], T[::1], T[::1], T, T, T, T, int64, int64, int64, int64, T[::1], T[::1]",
    T=FLOATS,
    grain=1 << 15,
)
def _sgd_momentum(
    start: int,
    stop: int,
    params: Array,
    grads: Array,
    momenta: Array,
    rate: Scalar,
    momentum: Scalar,
    intake: Scalar,
    decay: Scalar,
    decays: int,
    maximize: int,
    first: int,
    nesterov: int,
    new_params: Array,
    new_momenta: Array,
) -> None:
    for i in range(start, stop):
        grad = -grads[i] if maximize else grads[i]
        grad = grad + decay * params[i] if decays else grad
        buffer = grad if first else momentum * momenta[i] + intake * grad
        new_momenta[i] = buffer
        grad = grad + momentum * buffer if nesterov else buffer
        new_params[i] = params[i] - rate * grad


@compiled(
    "T[::1], T[::1], T[::1], T[::1], T, T, T, T, T, T, T, T, int64, int64, int64, "
    "T[::1], T[::1], T[::1]",
    T=FLOATS,
    grain=1 << 15,
)
def _adam(
    start: int,
    stop: int,
    params: Array,
    grads: Array,
    means: Array,
    seconds: Array,
    step_size: Scalar,
    correction: Scalar,
    intake: Scalar,
    beta2: Scalar,
    intake2: Scalar,
    eps: Scalar,
    decay: Scalar,
    shrink: Scalar,
    decays: int,
    decoupled: int,
    maximize: int,
    new_params: Array,
    new_means: Array,
    new_seconds: Array,
) -> None:
    for i in range(start, stop):
        grad = -grads[i] if maximize else grads[i]
        param = params[i] * shrink if decoupled else params[i]
        grad = grad + decay * params[i] if decays else grad
        mean = means[i] + intake * (grad - means[i])
        second = beta2 * seconds[i] + intake2 * (grad * grad)
        root = math.sqrt(second) / correction + eps
        new_params[i] = param - step_size * (mean / root)
        new_means[i] = mean
        new_seconds[i] = second


def _takes(params: tuple[Array, ...]) -> bool:
    return sum(p.size for p in params) >= SMALLEST and all(p.dtype in FLOAT_DTYPES for p in params)


def _run(
    kernel: Any, each: list[tuple[Array, ...]], count: int, numbers: tuple[Any, ...]
) -> tuple[Array, ...]:
    """Update each parameter; return ``count`` new arrays of each, all of a kind together."""
    outs: list[list[Array]] = [[] for _ in range(count)]
    for sources in each:
        param = sources[0]
        new = [np.empty(param.shape, param.dtype) for _ in range(count)]
        flat_sources = [contiguous(x).ravel() for x in sources]
        kernel[param.dtype](param.size, *flat_sources, *numbers, *[x.ravel() for x in new])
        for out, x in zip(outs, new, strict=True):
            out.append(x)
    return tuple(x for out in outs for x in out)


def update_kernels(reference: Mapping[str, Kernel], /) -> dict[str, Kernel]:
    """Return the compiled kernels of these primitives.

    Parameters
    ----------
    reference
        Kernels by primitive that take what the compiled ones leave: few numbers, other dtypes.

    Returns
    -------
    dict
        From the primitive's name to its kernel.
    """

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
        if not _takes(arrays[:n]):
            static = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
            static |= {"weight_decay": weight_decay, "maximize": maximize, "first": first}
            return tuple(reference["sgd_update"](lr, *arrays, **static))
        each = [arrays[i::n] for i in range(n)]
        rate, decays = float(lr), weight_decay != 0
        if not momentum:
            return _run(_sgd, each, 1, (rate, weight_decay, decays, maximize))
        numbers = (rate, momentum, 1.0 - dampening, weight_decay)
        flags = (decays, maximize, first, nesterov)
        return _run(_sgd_momentum, each, 2, numbers + flags)

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
        if not _takes(arrays[:n]):
            static = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
            static |= {"decoupled": decoupled, "maximize": maximize}
            return tuple(reference["adam_update"](lr, step, *arrays, **static))
        rate, count = float(lr), int(step)
        beta1, beta2 = betas
        numbers = (
            rate / (1.0 - beta1**count),
            math.sqrt(1.0 - beta2**count),
            1.0 - beta1,
            beta2,
            1.0 - beta2,
            eps,
            weight_decay,
            1.0 - rate * weight_decay,
        )
        decays = weight_decay != 0
        flags = (decays and not decoupled, decays and decoupled, maximize)
        each = [arrays[i::n] for i in range(n)]
        return _run(_adam, each, 3, numbers + flags)

    return {"sgd_update": sgd_update, "adam_update": adam_update}
