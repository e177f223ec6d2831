"""Running one operation on a side, on given inputs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core import dtypes
from isograd.core.devices import device
from isograd.ir import Aval
from isograd.runtime.tensor import Tensor
from isograd.testing.differ.layout import layout_of, placed
from isograd.testing.differ.run import Operation, same_bits
from isograd.testing.differ.targets import Side
from isograd.testing.execute import outputs as outputs_of
from isograd.testing.op_db import primitive_specs
from isograd.testing.raised import told

__all__ = ["Replay", "Replayer", "as_dtype"]

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
                first, made = self._once(operation)
                if wrong := operation.misfit(first.outputs):
                    return Replay((), wrong)
                if first.error:
                    return first
                again, _ = self._once(operation)
                with contextlib.suppress(Exception):  # nobody asked about these numbers
                    self._once(_halved(operation))
        except Exception as error:  # a backend may raise anything; the report says what
            return Replay((), told(error))
        if not same_bits(first.outputs, again.outputs):
            return Replay(again.outputs, "two calls with the same inputs differ")
        kept = same_bits(first.outputs, self._on_host(made))
        return first if kept else Replay(first.outputs, "a later call changed what it had returned")

    def _on_host(self, tensors: Sequence[Any]) -> tuple[Array, ...]:
        return tuple(np.array(self.side.backend.memory.to_host(t.array)) for t in tensors)

    def _once(self, operation: Operation) -> tuple[Replay, tuple[Any, ...]]:
        """Return what was made of an operation, and the tensors themselves."""
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
        outputs = self._on_host(made)
        written = [
            i
            for i, (x, array) in enumerate(zip(operation.inputs, native, strict=True))
            if not same_bits([x], [np.asarray(memory.to_host(array))])
        ]
        return Replay(outputs, f"it wrote its input {written[0]}" if written else ""), made

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


def _halved(operation: Operation) -> Operation:
    """Return an operation with other numbers, where it has any."""
    inputs = tuple(
        placed((x * 0.5).astype(x.dtype), layout_of(x)) if dtypes.is_floating(x.dtype) else x
        for x in operation.inputs
    )
    return dataclasses.replace(operation, inputs=inputs)
