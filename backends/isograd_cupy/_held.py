"""Programs whose state stays where it is from call to call."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import cupy

from isograd_cupy._failures import translate

__all__ = ["Held"]


class Held:
    """A program with some of its memory fixed, and what must be as it was for it to run so.

    ``call(*arrays)`` takes new arrays for the outputs, then the inputs, that are not fixed, and
    returns True; or False, with nothing done, where it cannot run.

    Attributes
    ----------
    outputs
        Shapes and dtypes of the outputs that are not fixed.
    """

    def __init__(
        self,
        program: Any,
        guards: Sequence[tuple[Any, int]],
        watches: Sequence[tuple[Any, str, Any]],
    ) -> None:
        self._program = program
        self.outputs = program.fresh
        # The counts are read where CPython keeps them: a reference from here would be one more.
        self._counts = [(ctypes.c_ssize_t.from_address(id(one)), count) for one, count in guards]
        self._watches = [(one, name, id(value)) for one, name, value in watches]

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an array of unspecified values, on the device of what is fixed."""
        with translate("a compiled program", self._program.where(), f"{dtype.name}{list(shape)}"):
            return cupy.ndarray(shape, dtype)

    def call(self, *arrays: Any) -> bool:
        """Run with these arrays."""
        if any(id(getattr(one, name)) != value for one, name, value in self._watches):
            return False
        if any(found.value != count for found, count in self._counts):
            return False
        made = arrays[: len(self.outputs)]
        self._program.run_into(made, arrays[len(self.outputs) :])
        return True
