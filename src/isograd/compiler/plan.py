"""Memory of a schedule: the order of steps that overwrite state, and the arena."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from isograd.backend.schedule import (
    UPDATES,
    Apply,
    Kernel,
    Loop,
    Node,
    Param,
    Product,
    Schedule,
    Step,
    Store,
    touched,
)

__all__ = ["ALIGNMENT", "plan"]

#: The buffers that a step reads, and those that it writes.
Sides = tuple[set[int], set[int]]

#: Bytes. Cache lines, and the widest vectors.
ALIGNMENT = 64


def plan(schedule: Schedule, /) -> Schedule:
    """Put the steps that write over state last, and give each temporary its place."""
    _commit_last(schedule)
    _place_temporaries(schedule)
    return schedule


def _commit_last(schedule: Schedule) -> None:
    """Order steps: no state is written before everything else is done, or read after it is.

    Nothing may fail once state is written. So where a step that writes state or reads new state
    checks indices or is a kernel's call, state is computed elsewhere, and copied when all is done.
    """
    sides, late = _late(schedule)
    while failing := [n for n in late if _may_fail(schedule.steps[n])]:
        for output in _state_before(schedule, min(failing), sides):
            _write_at_last(schedule, output)
        sides, late = _late(schedule)
    order = [n for n in range(len(sides)) if n not in late] + sorted(late)
    schedule.steps = [schedule.steps[n] for n in order]
    schedule.commit = len(order) - len(late)
    sides = [sides[n] for n in order]
    for output, source in schedule.donors.items():
        writers = [n for n, (_, writes) in enumerate(sides) if output in writes]
        readers = [n for n, (reads, _) in enumerate(sides) if source in reads]
        clean = all(n < writers[0] for n in readers if n not in writers)
        if not clean or not all(
            _in_place(schedule.steps[n], output, source) for n in writers if source in sides[n][0]
        ):
            _write_at_last(schedule, output)


def _may_fail(step: Step) -> bool:
    if isinstance(step, Apply):
        return step.equation.prim.name not in UPDATES
    return bool(step.checks) if isinstance(step, Loop) else False


def _late(schedule: Schedule) -> tuple[list[Sides], set[int]]:
    """Return what each step reads and writes, and which write state or need it written."""
    sides = [touched(step) for step in schedule.steps]
    late: set[int] = set()
    written: set[int] = set()
    for number, (reads, writes) in enumerate(sides):
        if writes & schedule.donors.keys() or reads & written or writes & written:
            late.add(number)
            written |= writes
    return sides, late


def _state_before(schedule: Schedule, number: int, sides: list[Sides]) -> set[int]:
    """Return the state that a step writes or needs written."""
    needed = sides[number][0] | sides[number][1]
    for reads, writes in reversed(sides[:number]):
        if writes & needed:
            needed |= reads | writes
    return needed & schedule.donors.keys()


def _write_at_last(schedule: Schedule, output: int) -> None:
    """Compute an output elsewhere, and copy it when nobody reads what is there any more."""
    buffer = schedule.buffers[output]
    schedule.buffers.append(replace(buffer, role="temporary"))
    temporary = len(schedule.buffers) - 1

    def moved(thing: Any) -> Any:
        return replace(thing, buffer=temporary) if thing.buffer == output else thing

    for number, step in enumerate(schedule.steps):
        if isinstance(step, Apply):
            inputs, outputs = tuple(map(moved, step.inputs)), tuple(map(moved, step.outputs))
            schedule.steps[number] = replace(step, inputs=inputs, outputs=outputs)
            continue
        step = replace(step, params=tuple(map(moved, step.params)))
        if isinstance(step, Product):
            step = replace(step, x=moved(step.x), y=moved(step.y), out=moved(step.out))
        schedule.steps[number] = step
    load = Node("load", (), buffer.dtype, (0, (1,)))
    dtypes = (buffer.dtype, buffer.dtype)
    kernel = Kernel((buffer.size,), (False,), 0, (load,), (Store(1, (1,), 0),), dtypes)
    schedule.steps.append(Loop(kernel, (Param(temporary, 0), Param(output, 0))))


def _in_place(step: Step, output: int, source: int) -> bool:
    """Tell whether a step reads each element of ``source`` just before it writes there."""
    if isinstance(step, Apply):
        return _updates_in_place(step, output, source)
    if step.kernel is None or any(step.kernel.reduced):
        return False
    if isinstance(step, Product) and (
        step.out.buffer == output or source in (step.x.buffer, step.y.buffer)
    ):
        return False
    reads = [n for n in step.kernel.nodes if n.op in ("load", "gather")]
    writes = [(s.param, s.strides) for s in step.kernel.stores]
    params = step.params

    def places(accesses: list[tuple[int, tuple[int, ...]]], buffer: int) -> set[Any]:
        return {(params[p].offset, s) for p, s in accesses if params[p].buffer == buffer}

    read = places([(n.static[0], n.static[1]) for n in reads], source)
    gathers = places([(n.static[0], n.static[1]) for n in reads if n.op == "gather"], source)
    return len(read | places(writes, output)) == 1 and not gathers


def _updates_in_place(step: Apply, output: int, source: int) -> bool:
    """Tell whether an update writes the new value of each element where it reads the old one."""
    if step.equation.prim.name not in UPDATES:
        return False
    reads = [replace(p, buffer=output) for p in step.inputs if p.buffer == source]
    writes = [p for p in step.outputs if p.buffer == output]
    return len(reads) == 1 and reads == writes


def _place_temporaries(schedule: Schedule) -> None:
    """Give temporaries that are not alive together the same memory: first fit, in order of use."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, step in enumerate(schedule.steps):
        for buffer in set[int]().union(*touched(step)):
            if schedule.buffers[buffer].role == "temporary":
                first.setdefault(buffer, number)
                last[buffer] = number
    begins: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for buffer, number in first.items():
        begins.setdefault(number, []).append(buffer)
        ends.setdefault(last[buffer], []).append(buffer)
    free: list[tuple[int, int]] = []  # places and sizes of holes below the top, in order
    top = 0
    for number in range(len(schedule.steps)):
        for buffer in sorted(begins.get(number, ()), key=lambda b: -_bytes(schedule, b)):
            need = _bytes(schedule, buffer)
            hole = min([h for h in free if h[1] >= need], key=lambda h: h[1], default=None)
            if hole is None and free and sum(free[-1]) == top:
                hole = free.pop()
                top = hole[0] + need
                schedule.offsets[buffer] = hole[0]
            elif hole is None:
                schedule.offsets[buffer] = top
                top += need
            else:
                free.remove(hole)
                schedule.offsets[buffer] = hole[0]
                if hole[1] > need:
                    free.append((hole[0] + need, hole[1] - need))
                    free.sort()
            schedule.arena = max(schedule.arena, top)
        for buffer in ends.get(number, ()):
            free.append((schedule.offsets[buffer], _bytes(schedule, buffer)))
            free = _joined(sorted(free))


def _bytes(schedule: Schedule, number: int) -> int:
    buffer = schedule.buffers[number]
    size = buffer.size * (1 if buffer.dtype == "bool" else _ITEM[buffer.dtype])
    return max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)


_ITEM = {
    **{f"{kind}{8 * n}": n for n in (1, 2, 4, 8) for kind in ("int", "uint")},
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
}


def _joined(holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, size in holes:
        if found and sum(found[-1]) == start:
            found[-1] = (found[-1][0], found[-1][1] + size)
        else:
            found.append((start, size))
    return found
