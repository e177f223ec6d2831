"""Optimizer updates: one pass over each parameter in blocks, no temporaries of its size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from isograd.backend import Kernel
from isograd_numpy.common import BLOCK, flat

__all__ = ["UPDATES"]


def _blocks(
    sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], scratch: np.ndarray
) -> list[tuple[list[np.ndarray], list[np.ndarray], np.ndarray]]:
    """Cut arrays of one shape into blocks: (sources, targets, scratch) of each."""
    count = targets[0].size
    flats = [flat(source) for source in sources]
    outs = [target.reshape(-1) for target in targets]
    cuts = [slice(i, min(i + BLOCK, count)) for i in range(0, count, BLOCK)]
    return [
        ([a[cut] for a in flats], [a[cut] for a in outs], scratch[:, : cut.stop - cut.start])
        for cut in cuts
    ]


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) if x.dtype.itemsize == 2 else x


def _sgd_update(
    lr: np.ndarray,
    *arrays: np.ndarray,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    maximize: bool,
    first: bool,
) -> tuple[np.ndarray, ...]:
    rate = float(lr)
    n = len(arrays) // (3 if momentum else 2)
    params: list[np.ndarray] = []
    momenta: list[np.ndarray] = []
    plain = not (momentum or weight_decay or maximize)
    for i in range(n):
        if plain and arrays[i].size <= BLOCK and arrays[i].dtype.itemsize > 2:
            params.append(arrays[i] - arrays[n + i] * rate)
            continue
        sources = [_wide(array) for array in arrays[i::n]]
        shape, dtype = sources[0].shape, sources[0].dtype
        targets = [np.empty(shape, dtype) for _ in range(2 if momentum else 1)]
        scratch = np.empty((1, min(targets[0].size, BLOCK)), dtype)
        for (p, g, *old), (new, *buffer), rows in _blocks(sources, targets, scratch):
            step = rows[0]
            if maximize:
                g = np.negative(g, out=step)
            if weight_decay:
                g = np.add(np.multiply(p, weight_decay, out=new), g, out=step)
            if momentum:
                if first:
                    buffer[0][...] = g
                else:
                    np.multiply(old[0], momentum, out=buffer[0])
                    buffer[0] += np.multiply(g, 1.0 - dampening, out=new)
                g = buffer[0] if not nesterov else _nesterov(g, buffer[0], momentum, new, step)
            np.multiply(g, rate, out=step)
            np.subtract(p, step, out=new)
        params.append(targets[0].astype(arrays[i].dtype, copy=False))
        momenta.extend(target.astype(arrays[i].dtype, copy=False) for target in targets[1:])
    return (*params, *momenta)


def _nesterov(
    g: np.ndarray, buffer: np.ndarray, momentum: float, spare: np.ndarray, out: np.ndarray
) -> np.ndarray:
    np.multiply(buffer, momentum, out=spare)
    return np.add(spare, g, out=out)


def _adam_update(
    lr: np.ndarray,
    step: np.ndarray,
    *arrays: np.ndarray,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> tuple[np.ndarray, ...]:
    rate, count = float(lr), int(step)
    beta1, beta2 = betas
    step_size = rate / (1.0 - beta1**count)
    correction = math.sqrt(1.0 - beta2**count)
    n = len(arrays) // 4
    out: tuple[list[np.ndarray], ...] = ([], [], [])
    for i in range(n):
        sources = [_wide(array) for array in arrays[i::n]]
        shape, dtype = sources[0].shape, sources[0].dtype
        targets = [np.empty(shape, dtype) for _ in range(3)]
        scratch = np.empty((2, min(targets[0].size, BLOCK)), dtype)
        for (p, g, m, v), (new, mean, second), (a, b) in _blocks(sources, targets, scratch):
            if maximize:
                g = np.negative(g, out=a)
            if weight_decay and decoupled:
                p = np.multiply(p, 1.0 - rate * weight_decay, out=new)
            elif weight_decay:
                g = np.add(np.multiply(p, weight_decay, out=new), g, out=a)
            np.subtract(g, m, out=mean)
            mean *= 1.0 - beta1
            mean += m
            np.multiply(g, g, out=b)
            b *= 1.0 - beta2
            np.multiply(v, beta2, out=second)
            second += b
            np.sqrt(second, out=b)
            b /= correction
            b += eps
            np.divide(mean, b, out=b)
            b *= step_size
            np.subtract(p, b, out=new)
        for part, target in zip(out, targets, strict=True):
            part.append(target.astype(arrays[i].dtype, copy=False))
    return (*out[0], *out[1], *out[2])


UPDATES: Final[dict[str, Kernel]] = {"sgd_update": _sgd_update, "adam_update": _adam_update}
