"""Optimizer updates: one launch for up to 32 parameters of a dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_cupy._elementwise import cast, contiguous
from isograd_cupy._launch import STRUCTS, grid_for, kernels
from isograd_cupy._layout import result

__all__ = ["UPDATES"]

_WIDTH: Final = 32
_DOUBLE: Final = np.dtype(np.float64)


def _each_group(
    name: str, before: tuple[Any, ...], groups: Sequence[Sequence[Any]], after: tuple[Any, ...]
) -> None:
    """Launch a kernel over tensors, given as the columns of a table, in groups of one dtype."""
    by_dtype: dict[Any, list[Sequence[Any]]] = {}
    for column in zip(*groups, strict=True):
        if column[0].size:
            by_dtype.setdefault(column[0].dtype, []).append(column)
    for dtype, columns in by_dtype.items():
        for start in range(0, len(columns), _WIDTH):
            part = columns[start : start + _WIDTH]
            tensors = np.zeros((), STRUCTS["Tensors"])
            for i, column in enumerate(part):
                tensors["pointers"][: len(column), i] = [a.data.ptr for a in column]
                tensors["sizes"][i] = column[0].size
            grid = (*grid_for(max(column[0].size for column in part)), len(part))
            kernels("updates", dtype).launch(name, (*before, tensors, *after), grid)


def _sgd_update(
    lr: Any,
    *arrays: Any,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    maximize: bool,
    first: bool,
) -> tuple[Any, ...]:
    n = len(arrays) // (3 if momentum else 2)
    sources = [contiguous(a) for a in arrays]
    params, grads = sources[:n], sources[n : 2 * n]
    old = sources[2 * n :] if momentum else params
    new = [result(i, p.shape, p.dtype) for i, p in enumerate(params)]
    buffers = new
    if momentum:
        buffers = [result(n + i, p.shape, p.dtype) for i, p in enumerate(params)]
    numbers = (float(momentum), float(dampening), float(weight_decay))
    after = (*numbers, int(nesterov), int(maximize), int(first))
    _each_group("sgd_update", (cast(lr, _DOUBLE),), (params, grads, old, new, buffers), after)
    return (*new, *buffers) if momentum else tuple(new)


def _adam_update(
    lr: Any,
    step: Any,
    *arrays: Any,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> tuple[Any, ...]:
    n = len(arrays) // 4
    sources = [contiguous(a) for a in arrays]
    groups = [sources[i * n : (i + 1) * n] for i in range(4)]
    new = [[result(k * n + i, p.shape, p.dtype) for i, p in enumerate(groups[0])] for k in range(3)]
    before = (cast(lr, _DOUBLE), cast(step, _DOUBLE))
    numbers = (float(betas[0]), float(betas[1]), float(eps), float(weight_decay))
    after = (*numbers, int(decoupled), int(maximize))
    _each_group("adam_update", before, (*groups, *new), after)
    return (*new[0], *new[1], *new[2])


UPDATES: Final[dict[str, Kernel]] = {"sgd_update": _sgd_update, "adam_update": _adam_update}
