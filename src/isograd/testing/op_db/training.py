"""Rows of what training needs beside the model: dropout, and the optimizers' updates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.testing.op_db.contractions import philox_words
from isograd.testing.op_db.generate import LARGE, bound, draw
from isograd.testing.op_db.spec import OpSpec, Sample, Samples, Scale

__all__ = ["TRAINING"]

Array = Any
Static = dict[str, Any]


def _unit(*_: Any, **__: Any) -> Array:
    return np.float64(1.0)


def _dropout(x: Array, key: Array, *, p: float) -> Array:
    words = philox_words(key, (x.size + 1) // 2)
    halves = np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=1).reshape(-1)[
        : x.size
    ]
    kept = halves.reshape(x.shape).astype(np.float64) >= p * 2.0**32
    return np.where(kept, x / (1.0 - p) if p < 1.0 else 0.0, 0.0)


def _dropout_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for p in (0.0, 0.5, 0.3, 0.9):
        for shape in ((3, 4), (), (7,), (0, 3), (50, 41) if p != 0.3 else (LARGE,)):
            small = int(np.prod(shape)) < 100
            key = np.array([3, 2**63 + 5], np.uint64)
            yield Sample(
                (draw()(rng, shape, dtype), key),
                {"p": p},
                label="" if small else "large",
                grad=small,
                layouts=shape != (LARGE,),
            )


def _dropout_special(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 2.0] * 8, dtype)
    yield Sample((x, np.array([3, 4], np.uint64)), {"p": 0.5}, label="extreme", grad=False)


def _update_samples(
    slots: int, leading: Callable[[np.random.Generator], tuple[Array, ...]], *statics: Static
) -> Samples:
    """Return samples of a multi-tensor update: scalars, then groups of arrays."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for static in statics:
            groups = slots if static.get("momentum", 1.0) else 2
            for shapes in (((3, 4), (4,), ()), ((70, 130), (130,))):
                arrays = [draw()(rng, shape, dtype) for _ in range(groups) for shape in shapes]
                if slots == 4:
                    arrays[3 * len(shapes) :] = [np.abs(a) for a in arrays[3 * len(shapes) :]]
                yield Sample((*leading(rng), *arrays), static, grad=False, layouts=len(shapes) == 3)

    return samples


def _sgd(
    lr: Array,
    *arrays: Array,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    maximize: bool,
    first: bool,
) -> tuple[Array, ...]:
    count = len(arrays) // (3 if momentum else 2)
    params, grads, buffers = arrays[:count], arrays[count : 2 * count], arrays[2 * count :]
    new_params: list[Array] = []
    new_buffers: list[Array] = []
    for i in range(count):
        step = (-grads[i] if maximize else grads[i]) + weight_decay * params[i]
        if momentum:
            buffer = step if first else momentum * buffers[i] + (1.0 - dampening) * step
            new_buffers.append(buffer)
            step = step + momentum * buffer if nesterov else buffer
        new_params.append(params[i] - lr * step)
    return (*new_params, *new_buffers)


def _adam(
    lr: Array,
    step: Array,
    *arrays: Array,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> tuple[Array, ...]:
    count = len(arrays) // 4
    params, grads, first, second = (arrays[i * count : (i + 1) * count] for i in range(4))
    t = int(step)
    out: tuple[list[Array], ...] = ([], [], [])
    for p, g, m, v in zip(params, grads, first, second, strict=True):
        g = -g if maximize else g
        if decoupled:
            p = p * (1.0 - lr * weight_decay)
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1.0 - betas[0]) * g
        v = betas[1] * v + (1.0 - betas[1]) * g * g
        direction = (m / (1.0 - betas[0] ** t)) / (np.sqrt(v / (1.0 - betas[1] ** t)) + eps)
        for into, value in zip(out, (p - lr * direction, m, v), strict=True):
            into.append(value)
    return (*out[0], *out[1], *out[2])


_SGD = {
    "momentum": 0.0,
    "dampening": 0.0,
    "nesterov": False,
    "weight_decay": 0.0,
    "maximize": False,
    "first": False,
}
_ADAM = {
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "weight_decay": 0.0,
    "decoupled": False,
    "maximize": False,
}


def _sgd_leading(rng: np.random.Generator) -> tuple[Array, ...]:
    return (np.array(0.1),)


def _adam_leading(rng: np.random.Generator) -> tuple[Array, ...]:
    return np.array(1e-3), np.array(int(rng.integers(1, 9)), np.int64)


UPDATES: tuple[OpSpec, ...] = (
    OpSpec(
        name="sgd_update",
        fn=bound("sgd_update"),
        reference=_sgd,
        samples=_update_samples(
            3,
            _sgd_leading,
            _SGD,
            {**_SGD, "weight_decay": 0.01, "maximize": True},
            {**_SGD, "momentum": 0.9, "first": True},
            {**_SGD, "momentum": 0.9, "first": True, "nesterov": True},
            {**_SGD, "momentum": 0.9, "dampening": 0.1},
            {**_SGD, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        ),
        dtypes=("float64", "float32"),
        grad_args=(),
        scale=Scale(of=_unit),
    ),
    OpSpec(
        name="adam_update",
        fn=bound("adam_update"),
        reference=_adam,
        samples=_update_samples(
            4,
            _adam_leading,
            _ADAM,
            {**_ADAM, "weight_decay": 0.1},
            {**_ADAM, "weight_decay": 0.1, "decoupled": True},
            {**_ADAM, "maximize": True, "betas": (0.8, 0.99)},
        ),
        dtypes=("float64", "float32"),
        grad_args=(),
        scale=Scale(of=_unit),
    ),
)

DROPOUT = OpSpec(
    name="dropout",
    fn=bound("dropout"),
    reference=_dropout,
    samples=_dropout_samples,
    extreme=_dropout_special,
    scale=Scale(),
)

TRAINING: tuple[OpSpec, ...] = (DROPOUT, *UPDATES)
