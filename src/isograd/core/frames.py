"""Finding the line of the user's program that led here."""

from __future__ import annotations

import os
import sys
import warnings

__all__ = ["user_line", "warn_user"]

_INTERNAL = (os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep,)


def user_line() -> str:
    """Return ``file:line`` of the nearest caller outside isograd, or ``<unknown>``."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - the only way to the stack
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_INTERNAL):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "<unknown>"


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn, and give the nearest caller outside isograd as the place."""
    frame, level = sys._getframe(1), 2  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INTERNAL):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
