"""Loops and choices inside `isograd.vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isograd.core.config import modes
from isograd.ops.control import run_steps
from isograd.ops.elementwise import where
from isograd.ops.movement import moveaxis
from isograd.runtime.level import FollowedInside, Level
from isograd.runtime.tensor import Tensor

__all__ = ["cond", "scan"]

Step = Callable[[list[Tensor], list[Tensor]], tuple[list[Tensor], list[Tensor]]]


def scan(
    level: Level, step: Step, init: list[Tensor], xs: list[Tensor], length: int, reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Run a loop for all examples at once.

    Where a function is compiled around the `vmap`, the loop is one equation of its program, unless
    derivatives are taken inside the `vmap`; it is then unrolled.
    """
    if level.outer is not None and not level.follows([*init, *xs]):
        try:
            return _outside(level, step, init, xs, length, reverse)
        except FollowedInside:  # through what the body closes over
            pass
    return run_steps(step, init, xs, length, reverse)


def _outside(
    level: Level, step: Step, init: list[Tensor], xs: list[Tensor], length: int, reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Run a loop over the values of all examples."""
    opened = [level.open(x) for x in xs]

    def over_all(carry: list[Tensor], slices: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        with level.entered():
            new, parts = step(
                [level.wrap(t, True) for t in carry],
                [level.wrap(t, mapped) for t, (_, mapped) in zip(slices, opened, strict=True)],
            )
            if level.follows([*new, *parts]):
                raise FollowedInside
        return [level.front(t) for t in new], [level.front(t) for t in parts]

    with level.left():
        carry = [level.front(t) for t in init]
        # The axis of examples comes behind the one that is sliced.
        columns = [moveaxis(x, 0, 1) if mapped else x for x, mapped in opened]
        carry, stacks = modes.trace.scan(over_all, carry, columns, length, reverse)
        stacks = [moveaxis(t, 1, 0) for t in stacks]
    return [level.wrap(t, True) for t in carry], [level.wrap(t, True) for t in stacks]


def cond(
    level: Level, pred: Tensor, branches: Sequence[Callable[[], list[Tensor]]]
) -> list[Tensor]:
    """Take both branches, and choose for each example."""
    first, second = [branch() for branch in branches]
    return [where(pred, a, b) for a, b in zip(first, second, strict=True)]
