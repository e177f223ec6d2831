"""What a schedule's steps are, for a report: what was fused, what is touched, what is held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from isograd.backend.protocols import Inspectable
from isograd.backend.schedule import (
    Apply,
    Kernel,
    Place,
    Product,
    Schedule,
    Step,
    touched,
)
from isograd.core import dtypes
from isograd.ir.graph import Equation

__all__ = ["Holdings", "described", "equations_of", "holdings_of", "numbered", "source_of"]


class Holdings(NamedTuple):
    """The memory of a schedule, in bytes: all of it is there before the program runs.

    Attributes
    ----------
    inputs, constants, outputs
        What comes with a call, what the program keeps, and what a call returns in new memory.
    state
        Outputs that are written over the input that they replace.
    arena
        Everything in between.
    packed
        Parts of matrices that products copy; None where the backend does not say.
    live
        For each step, how much of the arena is in use.
    moved
        For each step, bytes that it reads and writes.
    """

    inputs: int
    constants: int
    outputs: int
    state: int
    arena: int
    packed: int | None
    live: Sequence[int]
    moved: Sequence[int]

    @property
    def peak(self) -> int:
        """Everything together."""
        return self.inputs + self.constants + self.outputs + self.arena + (self.packed or 0)


def equations_of(step: Step) -> Sequence[Equation]:
    """Return the equations that a step computes."""
    return (step.equation,) if isinstance(step, Apply) else step.equations


def numbered(schedule: Schedule) -> Mapping[Kernel, Sequence[int]]:
    """Return the distinct kernels, each with the steps that run it; the first one names it."""
    found: dict[Kernel, list[int]] = {}
    for number, step in enumerate(schedule.steps):
        if not isinstance(step, Apply) and step.kernel is not None:
            found.setdefault(step.kernel, []).append(number)
    return found


def described(step: Step, kernels: Mapping[Kernel, Sequence[int]]) -> tuple[str, str]:
    """Return what a step is, and the primitives that it computes."""
    counts = Counter(e.prim.name for e in equations_of(step))
    computed = ", ".join([name if n == 1 else f"{name} x{n}" for name, n in counts.items()])
    if isinstance(step, Apply):
        return f"call {step.equation.prim.name}", computed
    parts: list[str] = []
    if isinstance(step, Product):
        parts.append(f"product {_sizes(step.x.shape)} @ {_sizes(step.y.shape)}")
    if step.kernel is not None:
        kind = "" if isinstance(step, Product) else f"loop {_shape_of(step.kernel)}: "
        parts.append(f"{kind}kernel {kernels[step.kernel][0]}")
    return ", then ".join(parts), computed or "copy"


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "1"


def _shape_of(kernel: Kernel) -> str:
    """Return the lengths of a kernel's axes; those that are reduced in brackets."""
    pairs = zip(kernel.shape, kernel.reduced, strict=True)
    return "x".join([f"({n})" if r else str(n) for n, r in pairs]) or "1"


def holdings_of(schedule: Schedule, native: Any) -> Holdings:
    """Return the memory that a schedule holds."""
    sizes = [_bytes(schedule, number) for number in range(len(schedule.buffers))]
    ends: dict[int, list[int]] = {}
    for number, step in enumerate(schedule.steps):
        for buffer in set[int]().union(*touched(step)) & schedule.offsets.keys():
            ends.setdefault(buffer, []).append(number)
    live = [0] * len(schedule.steps)
    for buffer, numbers in ends.items():
        for number in range(numbers[0], numbers[-1] + 1):
            live[number] += sizes[buffer]
    donated = [b for b in schedule.outputs if b in schedule.donors]
    return Holdings(
        inputs=sum([sizes[b] for b in schedule.inputs]),
        constants=sum([sizes[b] for b in schedule.constants]),
        outputs=sum([sizes[b] for b in schedule.outputs if b not in schedule.donors]),
        state=sum([sizes[b] for b in donated]),
        arena=schedule.arena,
        packed=native.scratch if isinstance(native, Inspectable) else None,
        live=live,
        moved=[sum(_traffic(schedule, step)) for step in schedule.steps],
    )


def _bytes(schedule: Schedule, number: int) -> int:
    buffer = schedule.buffers[number]
    return buffer.size * dtypes.as_dtype(buffer.dtype).itemsize


def _traffic(schedule: Schedule, step: Step) -> Iterator[int]:
    """Yield the bytes of everything that a step reads and writes, once each."""
    places: Sequence[Place] = ()
    if isinstance(step, Apply):
        places = (*step.inputs, *step.outputs)
    elif isinstance(step, Product):
        places = (step.x, step.y, step.out)
    for place in places:
        count = prod([n for n, s in zip(place.shape, place.strides, strict=True) if s])
        yield count * dtypes.as_dtype(place.dtype).itemsize
    if isinstance(step, Apply) or step.kernel is None:
        return
    kernel, seen = step.kernel, set[tuple[int, frozenset[int], bool]]()
    for number, node in enumerate(kernel.nodes):
        if node.op in ("load", "gather"):
            seen.add((node.static[0], kernel.axes[number], False))
    for store in kernel.stores:
        axes = [i for i, s in enumerate(store.strides) if s and kernel.shape[i] > 1]
        seen.add((store.param, frozenset(axes), True))
    for param, axes, _ in seen:
        count = prod([kernel.shape[axis] for axis in axes])
        item = dtypes.as_dtype(kernel.params[param]).itemsize
        yield min(count * item, _bytes(schedule, step.params[param].buffer))


def source_of(schedule: Schedule, native: Any) -> Iterator[str]:
    """Yield the lines of the code that was written for each distinct kernel."""
    if not isinstance(native, Inspectable):
        return
    for numbers in numbered(schedule).values():
        steps = ", ".join(map(str, numbers))
        product = isinstance(schedule.steps[numbers[0]], Product)
        kind = "on parts of a product" if product else "a loop"
        yield f"; kernel {numbers[0]}, {kind}, of steps {steps}"
        yield from native.source(numbers[0]).splitlines()
        yield ""
