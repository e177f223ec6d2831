"""Runs that are stopped before their end: what they did is kept, and said to be a part."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, TypeVar

__all__ = ["Interruption", "gather"]

Place = TypeVar("Place")
Found = TypeVar("Found")


class Interruption(KeyboardInterrupt):
    """Ctrl-C during a run.

    Attributes
    ----------
    partial : Report or Certificate
        What the run had found; its ``complete`` is False.
    """

    def __init__(self, partial: Any) -> None:
        super().__init__("stopped before the end; .partial is what was found until then")
        self.partial = partial


def gather(
    run: Generator[tuple[Place, Found]], each: Callable[[int, Place, Found], object]
) -> tuple[dict[Place, Found], bool]:
    """Collect what a run finds, to its end or until it is interrupted.

    Parameters
    ----------
    run
        Yields places and what was found there. It is closed.
    each
        Called with the number of places so far, the place, and what was found there.

    Returns
    -------
    found : dict
        What was found, by place.
    complete : bool
        Whether the run came to its end.

    Examples
    --------
    >>> gather(((n, n * n) for n in range(3)), lambda *step: None)
    ({0: 0, 1: 1, 2: 4}, True)
    """
    found: dict[Place, Found] = {}
    try:
        with contextlib.closing(run):
            for place, what in run:
                found[place] = what
                each(len(found), place, what)
    except KeyboardInterrupt:
        return found, False
    return found, True
