"""Making a program that fails as small as it can be while it still fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.errors import IsogradError
from isograd.runtime.tensor import Tensor
from isograd.testing.fuzz.program import Input, Program, Ref, Step, refs_in

__all__ = ["shrink"]

_REFUSALS = (IsogradError, ValueError, TypeError, IndexError)


def shrink(program: Program, fails: Callable[[Program], bool], *, tries: int = 400) -> Program:
    """Return a smaller program for which ``fails`` holds too.

    Parameters
    ----------
    program
        A program for which it holds.
    fails
        The predicate. It is asked about programs that run.
    tries
        How often it is asked at most.

    Returns
    -------
    Program
        With fewer outputs, steps and inputs, no derivative where that is not needed, and smaller
        and rounder data.
    """
    asked = 0
    improved = True
    while improved:
        improved = False
        for candidate in _smaller(program):
            if asked >= tries:
                return program
            if _size(candidate) >= _size(program) or not _runs(candidate):
                continue
            asked += 1
            if fails(candidate):
                program = candidate
                improved = True
                break
    return program


def _size(program: Program) -> tuple[int, ...]:
    elements = sum(int(np.prod(i.shape)) for i in program.inputs)
    derivative = ["", "jvp", "grad", "backward", "grad of grad"].index(program.derivative)
    awkward = sum(_awkwardness(i) for i in program.inputs)
    return (
        len(program.steps),
        derivative,
        len(program.outputs),
        len(program.inputs),
        elements,
        awkward,
    )


def _awkwardness(one: Input) -> int:
    """Count numbers that are not small, whole or 1, and inputs that are not plain arguments."""
    numbers: list[float] = one.array().astype(np.float64).ravel().tolist()
    plain = [abs(n) < 10 and n == round(n) for n in numbers]
    kind = ["argument", "constant", "number"].index(one.kind)
    large = sum([abs(n) > 1 for n in numbers])
    return 2 * plain.count(False) + large + len(numbers) - numbers.count(1.0) + kind


def _runs(program: Program) -> bool:
    try:
        with ig.use_backend("numpy"):
            program.run(program.derived())
    except _REFUSALS:
        return False
    return True


def _smaller(program: Program) -> Iterator[Program]:
    """Yield programs that are smaller in one respect, the greatest steps first."""
    if len(program.outputs) > 1:
        for name in program.outputs:
            yield _live(dataclasses.replace(program, outputs=(name,)))
        for name in dict.fromkeys(program.outputs):
            rest = tuple([other for other in program.outputs if other != name])
            if rest:
                yield _live(dataclasses.replace(program, outputs=rest))
    for derivative in ("", "jvp", "grad"):
        yield _live(dataclasses.replace(program, derivative=derivative))
    yield from _without_steps(program)
    yield from _without_elements(program)
    for number, one in enumerate(program.inputs):
        for simple in _simpler(one):
            inputs = (*program.inputs[:number], simple, *program.inputs[number + 1 :])
            yield dataclasses.replace(program, inputs=inputs)


def _live(program: Program) -> Program:
    """Drop steps and inputs that no output needs."""
    needed = set(program.outputs)
    steps: list[Step] = []
    for step in reversed(program.steps):
        if step.name in needed:
            needed.update(refs_in(step))
            steps.append(step)
    inputs = tuple([one for one in program.inputs if one.name in needed])
    return dataclasses.replace(program, steps=tuple(steps[::-1]), inputs=inputs)


def _without_steps(program: Program) -> Iterator[Program]:
    """Put in place of a step one of its arguments, or its value as an input."""
    with ig.use_backend("numpy"):
        ig.manual_seed(program.seed)
        values = program.values(program.arguments(), program.constants())
    for number in range(len(program.steps) - 1, -1, -1):
        step = program.steps[number]
        rest = (*program.steps[:number], *program.steps[number + 1 :])
        out = values[step.name]
        for name in dict.fromkeys(refs_in(step)):
            value = values[name]
            if isinstance(value, Tensor) and value.aval == out.aval:
                yield _live(_renamed(dataclasses.replace(program, steps=rest), step.name, name))
        if not isinstance(out, Tensor):
            continue
        array = out.numpy()
        made = Input(step.name, "argument", out.shape, str(out.dtype), array)
        yield _live(dataclasses.replace(program, inputs=(*program.inputs, made), steps=rest))


def _renamed(program: Program, old: str, new: str) -> Program:
    steps = tuple([_replaced(step, {Ref(old): Ref(new)}) for step in program.steps])
    outputs = tuple([new if name == old else name for name in program.outputs])
    return dataclasses.replace(program, steps=steps, outputs=outputs)


def _replaced(item: Any, table: Mapping[Any, Any], *, numbers: bool = False) -> Any:
    """Return a step or an argument with parts replaced: references, or also whole numbers."""
    if isinstance(item, Step):
        args = tuple([_replaced(a, table, numbers=numbers) for a in item.args])
        kwargs = {k: _replaced(v, table, numbers=numbers) for k, v in item.kwargs.items()}
        return Step(item.name, item.function, args, kwargs)
    if isinstance(item, tuple | list):
        parts = [_replaced(part, table, numbers=numbers) for part in item]  # pyright: ignore[reportUnknownVariableType]
        return type(item)(parts)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(item, Ref) or (numbers and type(item) is int):
        return table.get(item, item)
    return item


def _without_elements(program: Program) -> Iterator[Program]:
    """Make axes shorter: all that have a size, and the same number where steps have it."""
    sizes = sorted({n for one in program.inputs for n in one.shape if n > 1}, reverse=True)
    for size in sizes:
        for less in dict.fromkeys((1, 2, size // 2, size - 1)):
            if less >= size:
                continue
            inputs = tuple([_shortened(one, size, less) for one in program.inputs])
            steps = tuple([_replaced(s, {size: less}, numbers=True) for s in program.steps])
            yield dataclasses.replace(program, inputs=inputs, steps=steps)
            yield dataclasses.replace(program, inputs=inputs)
    for number, one in enumerate(program.inputs):
        for axis, size in enumerate(one.shape):
            for start, stop in ((0, size // 2), (size // 2, size), (0, size - 1), (1, size)):
                if not 0 < stop - start < size:
                    continue
                part = one.array()[(slice(None),) * axis + (slice(start, stop),)]
                made = dataclasses.replace(one, shape=part.shape, data=part)
                inputs = (*program.inputs[:number], made, *program.inputs[number + 1 :])
                yield dataclasses.replace(program, inputs=inputs)


def _shortened(one: Input, size: int, less: int) -> Input:
    if size not in one.shape:
        return one
    part = one.array()[tuple([slice(less if n == size else None) for n in one.shape])]
    return dataclasses.replace(one, shape=part.shape, data=part)


def _simpler(one: Input) -> Iterator[Input]:
    """Yield inputs with rounder data."""
    if one.kind == "constant":
        yield dataclasses.replace(one, kind="argument")
    array = one.array()
    yield dataclasses.replace(one, data=np.ones_like(array))
    with np.errstate(all="ignore"):
        yield dataclasses.replace(one, data=np.round(array))
        yield dataclasses.replace(one, data=np.sign(array) if array.dtype.kind != "b" else array)
    if 1 < array.size <= 16:
        for index in np.ndindex(array.shape):
            changed = array.copy()
            changed[index] = 1
            yield dataclasses.replace(one, data=changed)
