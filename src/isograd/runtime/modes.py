"""Switching the tape on and off."""

from __future__ import annotations

import contextlib
from collections import deque
from types import TracebackType
from typing import Any

from isograd.core.config import modes, switched
from isograd.core.frames import user_line
from isograd.runtime.level import Level, active_levels

__all__ = ["enable_grad", "is_grad_enabled", "lint", "no_grad"]

_SELECTS = 64


class _GradMode(contextlib.ContextDecorator):
    """Sets whether operations are recorded, as a ``with`` block or a decorator."""

    _enabled: bool

    def __init__(self) -> None:
        self._before: list[tuple[bool, list[tuple[Level, bool]]]] = []

    def __enter__(self) -> None:
        # Inside vmap this holds for what is outside as well, as it would in a loop.
        levels = active_levels()
        self._before.append((modes.grad, [(level, level.grad) for level in levels]))
        modes.grad = self._enabled
        for level in levels:
            level.grad = self._enabled

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        modes.grad, levels = self._before.pop()
        for level, enabled in levels:
            level.grad = enabled

    def _recreate_cm(self) -> _GradMode:
        return type(self)()


class no_grad(_GradMode):  # noqa: N801 - torch's name
    """Record nothing: for evaluation and for updating parameters.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([1.0], requires_grad=True)
    >>> with ig.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    _enabled = False


class enable_grad(_GradMode):  # noqa: N801 - torch's name
    """Record again inside a `no_grad` block."""

    _enabled = True


def is_grad_enabled() -> bool:
    """Tell whether operations are recorded in this thread."""
    return modes.grad


def lint() -> contextlib.AbstractContextManager[None]:
    """Name the operation, and the ``where``, with their lines, that make NaN of a zero cotangent.

    Forward and backward passes inside the block warn with `NumericsWarning` where a ``where`` hides
    an infinite derivative instead of avoiding it. Costs a check per operation; compiled
    functions run eagerly.

    Examples
    --------
    >>> import isograd as ig, warnings
    >>> x = ig.tensor([0.0], requires_grad=True)
    >>> with ig.lint(), warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     ig.where(x > 0, ig.sqrt(x), 0.0).sum().backward()
    >>> str(caught[0].message).startswith("sqrt")
    True
    """
    return switched(lint=True, place=user_line, selects=deque[Any](maxlen=_SELECTS))
