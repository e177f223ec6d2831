"""The NumPy interpreter of schedules: what a rendered program must compute, for tests.

Every node of a kernel becomes an array over all its axes; nothing here is fast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isograd.backend import program_index_error
from isograd.backend.schedule import REDUCTIONS, Apply, Kernel, Place, Product, Schedule
from isograd.core import dtypes

__all__ = ["interpret_schedule"]

Array = Any
Kernels = Callable[[str], Callable[..., Any] | None]

_REDUCE: dict[str, Any] = {
    "sum": np.add,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}


def interpret_schedule(
    schedule: Schedule,
    kernels: Kernels,
    call: Callable[[Any], Callable[..., Any]],
    arguments: Sequence[Array],
) -> list[Array]:
    """Run a schedule on NumPy arrays.

    Parameters
    ----------
    schedule
        What to run.
    kernels
        Gives the NumPy kernel of a primitive by name.
    call
        Gives what computes an equation that is no part of a loop.
    arguments
        An array for each input. None of them is written: state is updated in copies.

    Returns
    -------
    list
        An array for each output of the graph.

    Raises
    ------
    IndexOutOfRangeError
        If an index is out of range.
    """
    memory = _memory(schedule, arguments)
    for step in schedule.steps:
        if isinstance(step, Apply):
            _apply(step, memory, call)
            continue
        if isinstance(step, Product):
            x, y, out = [_view(memory, p) for p in (step.x, step.y, step.out)]
            first, last = x.ndim - 1 - step.blocks, y.ndim - 2
            total: Any = 0
            for block in np.ndindex(x.shape[first:-1]):
                part = x[(slice(None),) * first + block]
                total = total + np.matmul(part, y[(slice(None),) * (last - step.blocks) + block])
            out[...] = total
        if step.kernel is not None:
            params = [(memory[p.buffer], p.offset) for p in step.params]
            _loop(step.kernel, params, kernels, getattr(step, "checks", ()))
    flat = [memory[b] for b in schedule.outputs]
    return [flat[i].reshape(shape) for i, shape in schedule.returned]


#: All bits set: NaN, and -1. Nothing may read what was never written.
_POISON = 0xFF


def _memory(schedule: Schedule, arguments: Sequence[Array]) -> list[Array]:
    """Return an array for each buffer; outputs with a donor share a copy of its memory."""
    arena = np.full(schedule.arena, _POISON, np.uint8)
    given = dict(zip(schedule.inputs, arguments, strict=True)) | schedule.constants
    memory: list[Array] = []
    for number, buffer in enumerate(schedule.buffers):
        dtype = dtypes.as_dtype(buffer.dtype)
        size = buffer.size * dtype.itemsize
        if number in given:
            memory.append(np.array(given[number], order="C").reshape(-1))
        elif number in schedule.donors:
            memory.append(memory[schedule.donors[number]])
        elif number in schedule.offsets:
            start = schedule.offsets[number]
            memory.append(arena[start : start + size].view(dtype))
        else:
            memory.append(np.full(size, _POISON, np.uint8).view(dtype))
    return memory


def _view(memory: list[Array], place: Place) -> Array:
    flat = memory[place.buffer]
    if 0 in place.shape:
        return np.empty(place.shape, flat.dtype)
    steps = [s * flat.itemsize for s in place.strides]
    return np.ndarray(place.shape, flat.dtype, flat, place.offset * flat.itemsize, steps)


def _strided(flat: Array, shape: Sequence[int], strides: Sequence[int]) -> Array:
    steps = [s * flat.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(flat, shape, steps)


def _apply(step: Apply, memory: list[Array], call: Callable[[Any], Callable[..., Any]]) -> None:
    made = call(step.equation)(*[_view(memory, p) for p in step.inputs])
    parts = made if step.equation.prim.multiple else (made,)
    for place, part in zip(step.outputs, parts, strict=True):
        _view(memory, place)[...] = part


def _loop(
    kernel: Kernel, params: list[tuple[Array, int]], kernels: Kernels, checks: Sequence[Any]
) -> None:
    shape, reduced = kernel.shape, kernel.reduced
    axes = tuple([i for i, r in enumerate(reduced) if r])
    grid = np.indices(shape, sparse=True) if shape else ()
    wraps = iter(checks)
    values: list[Array] = []

    def read(param: int, index: Array) -> Array:
        flat, offset = params[param]
        return flat[offset + index]

    def at(strides: Sequence[int]) -> Array:
        parts = [g * s for g, s in zip(grid, strides, strict=True) if s]
        return sum(parts, np.zeros((1,) * len(shape), np.int64))

    for node in kernel.nodes:
        args = [values[a] for a in node.args]
        dtype = dtypes.as_dtype(node.dtype)
        if node.op == "load":
            value = read(node.static[0], at(node.static[1]))
        elif node.op == "gather":
            steps = sum([a * s for a, s in zip(args, node.static[2], strict=True)])
            value = read(node.static[0], at(node.static[1]) + steps)
        elif node.op == "wrap":
            value = _wrapped(args[0], node.static[0], next(wraps))
        elif node.op == "const":
            value = np.full((1,) * len(shape), node.static[0], dtype)
        elif node.op == "index":
            strides, start, step = node.static
            value = (start + step * at(strides)).astype(dtype)
        elif node.op in REDUCTIONS:
            full = np.broadcast_to(
                args[0],
                [n if r else m for n, m, r in zip(shape, args[0].shape, reduced, strict=True)],
            )
            value = _REDUCE[node.op].reduce(full, axis=axes, keepdims=True, dtype=dtype)
        elif node.op == "astype":
            call = kernels("astype")
            assert call is not None
            value = call(*args, dtype=dtype)
        else:
            call = kernels(node.op)
            assert call is not None, node.op
            value = np.asarray(call(*args, **dict(node.static)))
        values.append(value)
    for store in kernel.stores:
        full = [
            1 if r and not s else n for n, s, r in zip(shape, store.strides, reduced, strict=True)
        ]
        flat, offset = params[store.param]
        _strided(flat[offset:], full, store.strides)[...] = values[store.node]


def _wrapped(index: Array, size: int, equation: Any) -> Array:
    wrong = (index < -size) | (index >= size)
    if wrong.any():
        raise program_index_error(equation, int(index[wrong][0]), size)
    where: Any = np.where
    return where(index < 0, index + size, index)
