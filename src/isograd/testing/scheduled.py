"""A backend that runs compiled programs through the NumPy interpreter of schedules.

It shows that fusing, planning and ordering keep the meaning of a graph, where no code is written
for it. Eagerly it is the NumPy backend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isograd.backend import Schedule
from isograd.backend.schedule import REDUCTIONS
from isograd.backend.xp.elementwise import elementwise_kernels
from isograd.compiler.interpret import interpret_schedule
from isograd.runtime.registry import use_backend

__all__ = ["ScheduledBackend"]

Array = Any


class ScheduledBackend:
    """The NumPy backend, with schedules for compiled programs.

    Parameters
    ----------
    kernel
        Returns the kernels that programs use; NumPy's when None.

    Examples
    --------
    >>> import isograd as ig
    >>> with ig.use_backend(ScheduledBackend()):
    ...     ig.compile(lambda x: (2.0 * x).sum())(ig.ones(3)).item()
    6.0
    """

    name = "numpy-scheduled"

    def __init__(self, kernel: Callable[[str], Callable[..., Any] | None] | None = None) -> None:
        with use_backend("numpy") as reference:
            self._reference: Any = reference
        self.lowering = _Lowering(kernel or reference.kernel)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reference, name)


class _Lowering:
    def __init__(self, kernel: Callable[[str], Callable[..., Any] | None]) -> None:
        self._kernel = kernel

    def keeps(self, equation: Any, /) -> bool:
        return False

    def renders(self, equation: Any, /) -> bool:
        name = equation.prim.name
        return name in _RENDERED

    def load(self, schedule: Schedule, call: Callable[[Any], Callable[..., Any]], /) -> Any:
        return _Interpreted(schedule, call, self._kernel)


_RENDERED = frozenset(elementwise_kernels(np)) | {"matmul", "take", "take_along_axis"} | REDUCTIONS


class _Interpreted:
    def __init__(self, schedule: Schedule, call: Any, kernel: Any) -> None:
        self.schedule = schedule
        self._call = call
        self._kernel = kernel

    def run(self, arguments: Sequence[Array], /) -> list[Array]:
        return interpret_schedule(self.schedule, self._kernel, self._call, arguments)
