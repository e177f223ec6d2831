"""Making a failing operation small: short axes and simple numbers, as long as it fails."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.errors import IsogradError
from isograd.testing.differ.layout import layout_of, placed
from isograd.testing.differ.run import Operation

__all__ = ["shrunk"]

Array = Any
Fails = Callable[[Operation], bool]

_TRIALS = 400
_SECONDS = 30.0


class _Budget:
    """Asks whether an operation fails, a limited number of times."""

    def __init__(self, fails: Fails) -> None:
        self._fails = fails
        self.left = _TRIALS
        self._end = time.monotonic() + _SECONDS

    def __call__(self, operation: Operation) -> bool:
        if self.left <= 0 or time.monotonic() > self._end or not _is_valid(operation):
            return False
        self.left -= 1
        try:
            return self._fails(operation)
        except (IsogradError, ValueError, TypeError, IndexError):  # no longer an operation
            return False


def _is_valid(operation: Operation) -> bool:
    """Tell whether the primitive takes such inputs."""
    try:
        operation.due()
    except (IsogradError, ValueError, TypeError, IndexError):
        return False
    return True


def shrunk(operation: Operation, fails: Fails) -> Operation:
    """Return a small operation that still fails.

    Parameters
    ----------
    operation
        One that fails.
    fails
        Tells whether an operation does.
    """
    ask = _Budget(fails)
    before: tuple[Any, ...] = ()
    while before != _shapes(operation) and ask.left > 0:
        before = _shapes(operation)
        for length in sorted({n for x in operation.inputs for n in x.shape}, reverse=True):
            operation = _shorter(operation, length, ask)
    for i, x in enumerate(operation.inputs):
        if dtypes.is_floating(x.dtype):
            operation = _simpler(operation, i, ask)
    return operation


def _shapes(operation: Operation) -> tuple[Any, ...]:
    return tuple(x.shape for x in operation.inputs)


def _shorter(operation: Operation, length: int, ask: _Budget) -> Operation:
    """Shorten all axes of one length together, since they belong together."""
    for n in _lengths_below(length):
        for tail in (False, True):
            smaller = _cut(operation, length, n, tail)
            if ask(smaller):
                return smaller
    return operation


def _lengths_below(length: int) -> Iterator[int]:
    powers = [2**k + d for k in range(6, 24) for d in (0, 1)]
    yield from (n for n in [*range(1, 34), *powers, length // 2, length - 1] if 0 < n < length)


def _cut(operation: Operation, length: int, n: int, tail: bool) -> Operation:
    inputs: list[Array] = []
    for x in operation.inputs:
        part = slice(length - n, None) if tail else slice(0, n)
        where = tuple(part if size == length else slice(None) for size in x.shape)
        inputs.append(placed(x[where], layout_of(x)))
    static = {k: _replaced(v, length, n) for k, v in operation.static.items()}
    return dataclasses.replace(operation, inputs=tuple(inputs), static=static)


def _replaced(value: Any, length: int, n: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_replaced(part, length, n) for part in value)  # pyright: ignore[reportUnknownVariableType]
    return n if type(value) is int and value == length else value


def _simpler(operation: Operation, index: int, ask: _Budget) -> Operation:
    x = operation.inputs[index]
    with np.errstate(all="ignore"):
        proposals: list[Array] = [np.ones_like(x), np.round(x), np.round(x, 1), np.round(x, 3)]
    for values in proposals:
        inputs = list(operation.inputs)
        inputs[index] = placed(values.astype(x.dtype), layout_of(x))
        simpler = dataclasses.replace(operation, inputs=tuple(inputs))
        if ask(simpler):
            return simpler
    return operation


def literal(static: Mapping[str, Any]) -> str:
    """Return static parameters as Python text."""
    return "{" + ", ".join(f"{k!r}: {_text(v)}" for k, v in static.items()) + "}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        parts = [_text(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    if isinstance(value, np.dtype):
        return f'np.dtype("{value.name}")'
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    return repr(value)
