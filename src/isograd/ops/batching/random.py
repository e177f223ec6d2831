"""Random draws: examples share a key, draw different numbers with one, or have a key each."""

from __future__ import annotations

from typing import Any

from isograd.ops.movement import stack
from isograd.runtime.level import Application

__all__ = ["draw", "dropout"]


def draw(call: Application) -> Any:
    """Draw for all examples at once, or with the key of each."""
    key = call.operands[0]
    if call.mapped[0]:
        return stack([call.bind(key[i]) for i in range(call.size)])
    return call.bind(key, shape=(call.size, *call.static["shape"]))


def dropout(call: Application) -> Any:
    """Make a mask for all examples at once; otherwise from what is drawn for one."""
    if call.spread and not call.mapped[1]:
        return call.bind(call.front(0), call.operands[1])
    return NotImplemented
