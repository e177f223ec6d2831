"""Checks of indices: at once, or gathered by a program and settled after each run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

__all__ = ["Check", "collecting", "deferred", "kept", "settle"]


class Check(NamedTuple):
    """Where the first wrong index is noted, what is noted where none is, and who raises."""

    wrong: Any
    size: int
    explain: Callable[[], None]


class _Pending(threading.local):
    def __init__(self) -> None:
        self.checks: list[Check] | None = None
        self.kept: dict[Any, Any] | None = None


_pending = _Pending()


@contextlib.contextmanager
def deferred(keep: dict[Any, Any], /) -> Generator[list[Check]]:
    """Gather the checks of this thread, which then wait for nothing.

    What its steps must keep, because a graph uses it, goes to ``keep``, or to where the program
    around this one has its own.
    """
    before = _pending.checks, _pending.kept
    _pending.checks, _pending.kept = [], keep if before[1] is None else before[1]
    try:
        yield _pending.checks
    finally:
        _pending.checks, _pending.kept = before


def collecting() -> bool:
    """Tell whether a program of this thread is running its steps."""
    return _pending.checks is not None


def kept() -> dict[Any, Any] | None:
    """Return where the program of this thread keeps what its graph uses, or None outside of one."""
    return _pending.kept


def settle(wrong: Any, count: int, explain: Callable[[], None], /) -> None:
    """Raise what ``explain`` raises if an index is wrong, now or when the program has run.

    Parameters
    ----------
    wrong
        int64 of shape ``(1,)``: the position of the first wrong index, or ``count``.
    count
        Number of indices.
    explain
        Looks at the indices on the host and raises.
    """
    if _pending.checks is not None:
        _pending.checks.append(Check(wrong, count, explain))
    elif int(wrong.get()[0]) < count:
        explain()
