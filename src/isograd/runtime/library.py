"""The functions of `isograd.ops` that the engine calls; `isograd.ops` fills them in.

Tensor's methods, the tape and the derivative rules stand below the operations they use. This object
is the one knot between the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["library"]


class Library:
    """A namespace of operations, by name."""

    def __setattr__(self, name: str, value: Callable[..., Any]) -> None:
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"isograd.ops has not provided {name!r}; import isograd first")


library = Library()
