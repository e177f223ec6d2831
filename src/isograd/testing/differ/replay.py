"""Running one operation on a side, on given inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.devices import device
from isograd.ir import Aval
from isograd.runtime.tensor import Tensor
from isograd.testing.differ.layout import layout_of, placed
from isograd.testing.differ.run import Operation
from isograd.testing.differ.targets import Side
from isograd.testing.execute import outputs as outputs_of
from isograd.testing.op_db import primitive_specs

__all__ = ["Replay", "Replayer", "as_dtype", "same_bits"]

Array = Any


@dataclasses.dataclass(frozen=True)
class Replay:
    """What a side made of an operation.

    Attributes
    ----------
    outputs : tuple of ndarray
        Empty where it raised.
    error : str
        What it raised, or what it did that no kernel may do; or empty.
    ended : bool
        Whether the process of the side ended.
    """

    outputs: tuple[Array, ...]
    error: str = ""
    ended: bool = False


def as_dtype(
    operation: Operation, used: np.dtype[Any] | None, wanted: np.dtype[Any] | None
) -> Operation:
    """Return an operation with what is in one floating dtype in another one.

    Other dtypes in it were chosen by the program, which would choose them again. An operation that
    does not exist in the wanted dtype is left as it is.
    """
    if used is None or wanted is None or used == wanted:
        return operation
    if wanted.name not in primitive_specs()[operation.op].dtypes:
        return operation
    static: dict[str, Any] = {
        name: wanted if isinstance(value, np.dtype) and value == used else value
        for name, value in operation.static.items()
    }
    inputs = tuple(
        placed(x.astype(wanted), layout_of(x)) if x.dtype == used else x for x in operation.inputs
    )
    return dataclasses.replace(operation, static=static, inputs=inputs)


class Replayer:
    """Runs operations on a side, twice each, and looks at what they do to their inputs.

    Parameters
    ----------
    side
        Who computes.
    """

    def __init__(self, side: Side) -> None:
        self.side = side
        self._compiled: dict[Any, Any] = {}

    def __call__(self, operation: Operation) -> Replay:
        try:
            with self.side.active(), ig.no_grad():
                first = self._once(operation)
                again = self._once(operation)
        except Exception as error:  # a backend may raise anything; the report says what
            return Replay((), f"{type(error).__name__}: {error}")
        if first.error:
            return first
        same = all(_same_bits(a, b) for a, b in zip(first.outputs, again.outputs, strict=True))
        return first if same else Replay(again.outputs, "two calls with the same inputs differ")

    def _once(self, operation: Operation) -> Replay:
        memory = self.side.backend.memory
        where = device(memory.device_type)
        copies = [placed(x, layout_of(x)) for x in operation.inputs]
        native = [
            x if memory.array_type is np.ndarray else memory.from_host(x, where) for x in copies
        ]
        tensors = [
            Tensor(array, Aval(x.shape, x.dtype), where)
            for array, x in zip(native, copies, strict=True)
        ]
        static = dict(operation.static)
        if "device" in static:
            static["device"] = where
        out = self._function(operation.op, static)(*tensors)
        made: tuple[Any, ...] = outputs_of(out)
        outputs = tuple(np.array(memory.to_host(t.array)) for t in made)
        written = [
            i
            for i, (x, array) in enumerate(zip(operation.inputs, native, strict=True))
            if not _same_bits(x, np.asarray(memory.to_host(array)))
        ]
        return Replay(outputs, f"it wrote its input {written[0]}" if written else "")

    def _function(self, op: str, static: Mapping[str, Any]) -> Callable[..., Any]:
        primitive = ig.ops.PRIMITIVES[op]

        def apply(*tensors: Any) -> Any:
            return ig.bind(primitive, *tensors, **static)

        if not self.side.compiled:
            return apply
        key = (op, tuple(sorted((k, repr(v)) for k, v in static.items())))
        if key not in self._compiled:
            self._compiled[key] = ig.compile(apply, max_traces=1 << 30)
        return self._compiled[key]


def _same_bits(left: Array, right: Array) -> bool:
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and np.ascontiguousarray(left).tobytes() == np.ascontiguousarray(right).tobytes()
    )


def same_bits(left: Sequence[Array], right: Sequence[Array]) -> bool:
    """Tell whether arrays are equal bit for bit."""
    return len(left) == len(right) and all(map(_same_bits, left, right))
