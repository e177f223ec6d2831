"""Backends with one deliberate mistake: what the checks must find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import isograd as ig

Array = Any
Kernel = Callable[..., Any]


class PlantedBackend:
    """The NumPy backend with one kernel changed.

    ``change(right)`` gets the right kernel and returns the wrong one.
    """

    def __init__(self, primitive: str, change: Callable[[Kernel], Kernel]) -> None:
        with ig.use_backend("numpy") as right:
            self._right = right
        self._primitive = primitive
        self._change = change
        self.name = "planted"
        self.version = "0"
        self.memory = self._right.memory
        self.protocol_version = self._right.protocol_version
        self.threads = 1

    def kernel(self, name: str, /) -> Kernel | None:
        right = self._right.kernel(name)
        if name != self._primitive:
            return right
        assert right is not None
        return self._change(right)

    def capabilities(self) -> Any:
        return self._right.capabilities()

    def set_num_threads(self, n: int, /) -> None:
        self.threads = n

    def get_num_threads(self) -> int:
        return self.threads

    def describe(self) -> dict[str, str]:
        return {}


@pytest.fixture
def plant() -> Callable[[str, Callable[[Kernel], Kernel]], PlantedBackend]:
    """Return the maker of backends with one wrong kernel."""
    return PlantedBackend
