"""Modes: what the current thread has switched on. Read on every operation, so plain attributes."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Generator
from typing import Any

__all__ = ["Modes", "modes", "nan_safe", "numerics", "numerics_mode", "switched"]


def _quiet_context() -> contextvars.Context:
    """Make a context in which NumPy reports no floating-point events."""
    import numpy as np

    context = contextvars.Context()
    context.run(np.seterr, all="ignore")
    return context


class Modes(threading.local):
    """Switches of one thread.

    Attributes
    ----------
    grad : bool
        Whether operations are recorded on the tape.
    followed : frozenset
        The leaves of parameters that transforms around here differentiate: those have no fresh
        names by which an inner derivative could tell.
    nan_safe : bool
        Whether a zero cotangent stays zero where a partial derivative is infinite or NaN (policy
        P5).
    lint : bool
        Whether backward names the operation that turns a zero cotangent into NaN.
    selects : sequence
        While linting, the nodes of ``where`` that a backward pass went through last.
    place : callable or None
        Says where an operation was called; each recorded operation keeps what it returns.
    trace : Trace or None
        Who takes operations down instead of running them, while a function is compiled.
    numerics : str
        The numerics mode; ``"strict"`` is value-preserving. It is part of what a compiled program
        is made for.
    autocast : dtype or None
        What products are computed in while `isograd.amp.autocast` is on.
    backends : dict
        The backend that this thread chose for each device type, as the engine's table of kernels.
    run : callable
        Runs a kernel where NumPy's floating-point warnings are off, leaving the caller's settings
        alone.
    """

    def __init__(self) -> None:
        self.grad = True
        self.followed: frozenset[Any] = frozenset()
        self.nan_safe = False
        self.lint = False
        self.selects: Any = ()
        self.place: Callable[[], str] | None = None
        self.trace: Any = None
        self.numerics = "strict"
        self.autocast: Any = None
        self.backends: dict[str, Any] = {}
        self.run = _quiet_context().run


modes = Modes()


@contextlib.contextmanager
def switched(**values: Any) -> Generator[None]:
    """Set modes for the current thread while the block runs."""
    before = {name: getattr(modes, name) for name in values}
    for name, value in values.items():
        setattr(modes, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(modes, name, value)


def nan_safe(enabled: bool = True) -> contextlib.AbstractContextManager[None]:
    """Keep zero cotangents zero while the block's backward passes run (edge policy P5).

    Without it IEEE arithmetic holds, and ``where(x > 0, sqrt(x), 0)`` has the gradient NaN at 0,
    since ``0 * inf`` is NaN.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([0.0, 4.0], requires_grad=True)
    >>> with ig.nan_safe():
    ...     ig.where(x > 0, ig.sqrt(x), 0.0).sum().backward()
    >>> x.grad.tolist()
    [0.0, 0.25]
    """
    return switched(nan_safe=enabled)


def numerics(mode: str, /) -> contextlib.AbstractContextManager[None]:
    """Compute in a numerics mode while the block runs, in this thread.

    Parameters
    ----------
    mode
        ``"strict"``, the default: values are those of the operations as written. ``"fast"``: a
        backend may contract products and sums, and multiply matrices of float32 in TF32, as the
        CUDA backend then does; the CPU's backends compute as in ``"strict"``.

    Raises
    ------
    ValueError
        For another mode.

    Examples
    --------
    >>> import isograd as ig
    >>> with ig.numerics("fast"):
    ...     (ig.ones((2, 2)) @ ig.ones(2)).tolist()
    [2.0, 2.0]
    """
    if mode not in ("strict", "fast"):
        raise ValueError(f"numerics: the mode is {mode!r}; pass 'strict' or 'fast'")
    return switched(numerics=mode)


def numerics_mode() -> str:
    """Return the numerics mode of this thread, ``"strict"`` or ``"fast"``.

    Examples
    --------
    >>> numerics_mode()
    'strict'
    """
    return modes.numerics.partition(" ")[0]
