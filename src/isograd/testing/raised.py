"""What an error says and where it comes from, for reports that go on after it."""

from __future__ import annotations

import os
import sysconfig
import traceback

__all__ = ["NOT_THEIRS", "line_of", "told"]

NOT_THEIRS = (
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep,
    sysconfig.get_path("stdlib"),
    "<",
)
"""How the names of files begin that are isograd's or Python's."""


def line_of(error: BaseException) -> str:
    """Return where an error comes from: the innermost line outside isograd and Python.

    Examples
    --------
    >>> line_of(ValueError("made, and never raised"))
    ''
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith(NOT_THEIRS)]
    return f", at {own[-1].filename}:{own[-1].lineno}" if own else ""


def told(error: BaseException) -> str:
    """Return the class of an error, its message, and its line.

    Examples
    --------
    >>> told(ValueError("no"))
    'ValueError: no'
    """
    return f"{type(error).__name__}: {error}{line_of(error)}"
