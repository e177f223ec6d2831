"""Movements: values as views of what is stored, and as other maps inside a group."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from isograd.compiler.groups import Group, Map
from isograd.ir.graph import Equation, Var

__all__ = ["MOVES", "View", "contiguous", "map_after", "map_before", "moved", "reshaped_strides"]

MOVES = frozenset({"reshape", "permute_dims", "broadcast_to", "slice", "flip", "unfold"})


class View(NamedTuple):
    """A value as a view of another one's memory: offset and strides count elements."""

    root: Var
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a C-contiguous array."""
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def moved(equation: Equation, own: View) -> View | None:
    """Return a view after a movement, or None where strides cannot say it."""
    name, static = equation.prim.name, equation.static
    shape = equation.outputs[0].aval.shape
    root, offset, before, strides = own
    if name == "permute_dims":
        order: tuple[int, ...] = static["axes"]
        return View(root, offset, shape, tuple([strides[a] for a in order]))
    if name == "broadcast_to":
        missing = len(shape) - len(before)
        spread = [
            s if n == m else 0 for n, m, s in zip(before, shape[missing:], strides, strict=True)
        ]
        return View(root, offset, shape, (*[0] * missing, *spread))
    if name == "slice":
        start, step = static["start"], static["step"]
        offset += sum([a * s for a, s in zip(start, strides, strict=True)])
        return View(root, offset, shape, tuple([s * k for s, k in zip(strides, step, strict=True)]))
    if name == "flip":
        axes: tuple[int, ...] = static["axis"]
        offset += sum([(before[a] - 1) * strides[a] for a in axes if before[a]])
        return View(
            root, offset, shape, tuple([-s if i in axes else s for i, s in enumerate(strides)])
        )
    if name == "unfold":
        k = len(static["kernel"])
        rest, last = strides[: len(strides) - k], strides[len(strides) - k :]
        places = [s * n for s, n in zip(last, static["stride"], strict=True)]
        inside = [s * n for s, n in zip(last, static["dilation"], strict=True)]
        return View(root, offset, shape, (*rest, *places, *inside))
    found = reshaped_strides(before, strides, shape)
    return None if found is None else View(root, offset, shape, found)


def reshaped_strides(
    before: Sequence[int], strides: Sequence[int], shape: Sequence[int]
) -> tuple[int, ...] | None:
    """Return the strides of a reshaped array, or None where it needs a copy."""
    if prod(shape) == 0:
        return contiguous(shape)
    # Axes of length 1 say nothing; others that follow each other in memory are one.
    runs: list[tuple[int, int]] = []
    for n, s in zip(before, strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == s * n:
            runs[-1] = (runs[-1][0] * n, s)
        else:
            runs.append((n, s))
    found: list[int] = []
    left, step = runs.pop() if runs else (1, 1)
    for n in reversed(shape):
        if n == 1:
            found.append(0)
            continue
        if left == 1 and runs:
            left, step = runs.pop()
        if left % n:
            return None
        found.append(step)
        left //= n
        step *= n
    return tuple(reversed(found)) if left == 1 and not runs else None


def map_after(group: Group, equation: Equation, own: Map) -> Map | None:
    """Return the map of a movement's result in a group, given its operand's."""
    name, shape = equation.prim.name, equation.outputs[0].aval.shape
    if name == "permute_dims":
        return group.permuted(own, equation.static["axes"])
    if name == "broadcast_to":
        missing = len(shape) - len(own)
        before = equation.inputs[0].aval.shape
        kept = [a if n == m else None for a, n, m in zip(own, before, shape[missing:], strict=True)]
        return group.filled([None] * missing + kept, shape)
    if name in ("slice", "flip", "unfold"):
        return None
    return group.reshaped(own, shape)


def map_before(group: Group, equation: Equation, own: Map) -> Map | None:
    """Return the map of a movement's operand in a group, given its result's."""
    name, shape = equation.prim.name, equation.inputs[0].aval.shape
    if name == "permute_dims":
        axes: tuple[int, ...] = equation.static["axes"]
        return tuple([own[axes.index(i)] for i in range(len(axes))])
    if name in ("slice", "flip", "unfold", "broadcast_to"):
        return None
    return group.reshaped(own, shape)
