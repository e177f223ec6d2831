"""A run: every operation of a step, in order, with what went in and what came out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.debug import Call, watching
from isograd.ir import Aval
from isograd.testing.differ.layout import layout_of, placed
from isograd.testing.differ.targets import Side, TargetError
from isograd.testing.differ.training import Training

__all__ = ["Operation", "Run", "run_of", "same_bits"]

Array = Any


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """One operation of a run.

    Attributes
    ----------
    op : str
        The primitive.
    static : mapping
        Its static parameters.
    inputs, outputs : tuple of ndarray
        Arrays on the host. Inputs lie in memory as they did in the run.
    phase : str
        ``"forward"``, ``"backward"`` or ``"update"``.
    line, module : str
        Where the user's program called it; in a backward pass, the operation that it belongs to.
    of : str
        In a backward pass, the operation whose derivative this is part of.
    names : tuple of str
        For each input, the parameter that it is, or empty.
    target : str
        Where all that it leads to is a buffer's new value: the buffer. Its phase is ``"update"``.
    """

    op: str
    static: Mapping[str, Any]
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    phase: str = "forward"
    line: str = ""
    module: str = ""
    of: str = ""
    names: tuple[str, ...] = ()
    target: str = ""

    @property
    def where(self) -> str:
        """The line in words, also where the user's program has none."""
        if self.line:
            return self.line
        return "the optimizer's step" if self.phase == "update" else "no line of the user's"

    def output_name(self, index: int) -> str:
        """Return what an output of an update is the new value of, or leads to, or empty."""
        if self.target:
            return self.target
        known = [name for name in self.names if name]
        return known[index] if self.phase == "update" and index < len(known) else ""

    def due(self) -> tuple[Aval, ...]:
        """Return what outputs it must have."""
        primitive = ig.ops.PRIMITIVES[self.op]
        made: Any = primitive.infer(*(Aval(x.shape, x.dtype) for x in self.inputs), **self.static)
        return tuple(made) if primitive.multiple else (made,)

    def misfit(self, outputs: Sequence[Array]) -> str:
        """Say where outputs have not the number, dtypes or shapes that are due, or nothing."""
        due, made = (
            ", ".join(f"{x.dtype.name}{list(x.shape)}" for x in found)
            for found in (self.due(), outputs)
        )
        return "" if made == due else f"it returned {made or 'nothing'} where {due} is due"

    def signature(self) -> tuple[Any, ...]:
        """Return what must be equal for two operations to be the same one."""
        static = tuple(sorted((k, str(v)) for k, v in self.static.items() if k != "device"))
        return self.op, static, tuple(x.shape for x in self.inputs)


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """What a side did.

    Attributes
    ----------
    side : str
        The side as it was written.
    operations : tuple of Operation
        In the order in which they ran.
    facts : mapping of str to str
        Versions and settings.
    state : mapping of str to ndarray
        Loss, gradients, parameters and buffers after the step.
    """

    side: str
    operations: tuple[Operation, ...]
    facts: Mapping[str, str]
    state: Mapping[str, Array] = dataclasses.field(default_factory=dict[str, Any])


def _same_bits(left: Array, right: Array) -> bool:
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and np.ascontiguousarray(left).tobytes() == np.ascontiguousarray(right).tobytes()
    )


def same_bits(left: Sequence[Array], right: Sequence[Array]) -> bool:
    """Tell whether arrays are equal bit for bit."""
    return len(left) == len(right) and all(map(_same_bits, left, right))


class _Taker:
    """Takes down calls as arrays on the host, each array once."""

    def __init__(self, side: Side, training: Training) -> None:
        self._to_host = side.backend.memory.to_host
        self._hosts: dict[int, tuple[Any, Array]] = {}
        self._parameters = {id(p.array): name for name, p in training.parameters.items()}
        self.fault: tuple[int, str] = (-1, "")
        self.operations: list[Operation] = []
        for t in (*training.parameters.values(), *training.inputs):
            self._host(t.array)

    def _host(self, array: Any) -> Array:
        found = self._hosts.get(id(array))
        if found is None:
            host = np.asarray(self._to_host(array))
            # A kernel that writes its inputs must not change what was taken down.
            copy = placed(host, layout_of(host))
            found = self._hosts[id(array)] = (array, copy)
        return found[1]

    def _misconduct(self, call: Call) -> str:
        """Say which array that was taken down before a kernel has changed, or nothing."""
        seen = [(x, f"it wrote its input {i}") for i, x in enumerate(call.inputs)]
        seen += [(x, "it wrote what an earlier call had returned") for x in call.outputs]
        for array, said in seen:
            known = self._hosts.get(id(array))
            if known and not same_bits([known[1]], [np.asarray(self._to_host(array))]):
                return said
        return ""

    def state(self, training: Training, loss: Any) -> dict[str, Array]:
        """Return what is there after the step."""
        parameters = training.parameters
        named = {"loss": loss}
        named |= {f"gradient {n}": p.grad for n, p in parameters.items() if p.grad is not None}
        named |= {f"parameter {n}": p for n, p in parameters.items()}
        named |= {f"buffer {n}": b for n, b in training.buffers.items()}
        return {name: self._host(t.array) for name, t in named.items()}

    def see(self, call: Call) -> None:
        if not self.fault[1]:
            self.fault = len(self.operations), self._misconduct(call)
        made = Operation(
            call.op,
            dict(call.static),
            tuple(self._host(x) for x in call.inputs),
            tuple(self._host(x) for x in call.outputs),
            call.place.phase,
            str(call.place),
            call.place.module,
            call.place.of,
            tuple(self._parameters.get(id(x), "") for x in call.inputs),
        )
        if wrong := made.misfit(made.outputs):
            raise TargetError(f"diff: {made.op} at {made.where}: {wrong}; correct the kernel")
        self.operations.append(made)


def run_of(side: Side, training: Training) -> tuple[Run, tuple[int, str]]:
    """Run a training step on a side, eagerly, and take down every operation.

    Returns
    -------
    run : Run
        What it did.
    fault : tuple
        The number of the first operation that wrote where it may not, and what; or -1.
    """
    taker = _Taker(side, training)
    with (
        side.active(),
        training.explained("the step"),
        watching(
            taker.see,
            modules=training.modules,
            backend=side.backend,
            within=Training.step.__code__,
        ),
    ):
        loss = training.step()
    state = taker.state(training, loss)
    facts = {
        "isograd": ig.__version__,
        "numpy": np.__version__,
        "backend": side.backend.name,
        "backend version": side.backend.version,
        "threads": str(side.backend.get_num_threads()),
        "dtype": str(training.dtype or training.own_dtype),
        "dtype of the model": str(training.own_dtype),
    }
    return Run(side.text, tuple(_with_targets(taker.operations, state)), facts, state), taker.fault


def _with_targets(
    operations: Sequence[Operation], state: Mapping[str, Array]
) -> Iterator[Operation]:
    """Tell the operations of the forward pass apart that only make new values of buffers."""
    reached: dict[int, set[str]] = {}
    for name, x in state.items():
        kind, _, buffer = name.partition(" ")
        reached.setdefault(id(x), set()).add(buffer if kind == "buffer" else "")
    targets: list[set[str]] = []
    for o in reversed(operations):
        # An empty name stands for all else: the loss, gradients, parameters.
        leads = set[str]().union(*(reached.get(id(x), set[str]()) for x in o.outputs))
        if o.phase != "forward":
            leads = {""}
        for x in o.inputs:
            reached.setdefault(id(x), set()).update(leads)
        targets.append(leads)
    for o, leads in zip(operations, reversed(targets), strict=True):
        only = leads and "" not in leads
        target = ", ".join(sorted(leads)) if only else ""
        yield dataclasses.replace(o, phase="update", target=target) if only else o
