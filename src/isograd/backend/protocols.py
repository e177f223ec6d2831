"""What a backend is: a memory, a table of kernels, and some facts about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np

from isograd.backend.schedule import Schedule
from isograd.core.devices import Device

__all__ = [
    "PROTOCOL_VERSION",
    "Array",
    "Backend",
    "Capabilities",
    "Executable",
    "Held",
    "Holding",
    "Inspectable",
    "Kernel",
    "Lowering",
    "Memory",
]

PROTOCOL_VERSION: Final = 1
"""Version of the protocols on this page. The registry refuses a backend written for another one."""

Array = Any
"""An array of some backend. Only kernels and that backend's `Memory` look inside one."""

Kernel = Callable[..., "Array | tuple[Array, ...]"]
"""``kernel(*arrays, **static)``: arrays positional, parameters by keyword.

A kernel is pure: it returns new arrays, or arrays that alias its inputs, and never writes its
inputs. Inputs have any strides (negative, zero, transposed), may be 0-d or empty, and their shapes,
dtypes and axes are already validated. Values of indices are not: kernels check those
(`check_indices`) before they write anything. A kernel may return a scalar for a 0-d result.
"""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a backend can do, for tools and for tests that must know what to expect.

    Attributes
    ----------
    dtypes : frozenset of numpy.dtype
        The dtypes that its arrays can have.
    threads : bool
        Whether `Backend.set_num_threads` has an effect.
    deterministic : bool
        Whether the same inputs give the same bits on every run, for any number of threads.
    notes : tuple of str
        Anything that a user should read, one sentence each.
    """

    dtypes: frozenset[np.dtype[Any]]
    threads: bool = False
    deterministic: bool = True
    notes: tuple[str, ...] = ()


@runtime_checkable
class Memory(Protocol):
    """Where arrays of one device type live. Backends of one device type may share it."""

    @property
    def device_type(self) -> str:
        """Device type that this memory serves, such as ``"cpu"``."""
        ...

    @property
    def array_type(self) -> type:
        """Type of the arrays that kernels take and return."""
        ...

    def devices(self) -> Sequence[Device]:
        """Return the devices that exist here."""
        ...

    def from_host(self, array: np.ndarray, device: Device, /) -> Array:
        """Copy a NumPy array to ``device``."""
        ...

    def to_host(self, array: Array, /) -> np.ndarray:
        """Return a NumPy array of the same values. It may share memory with ``array``."""
        ...

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any], device: Device, /) -> Array:
        """Return an array of unspecified values."""
        ...

    def synchronize(self, device: Device, /) -> None:
        """Wait until all work on ``device`` is done."""
        ...

    def as_array(self, value: Any, /) -> Array:
        """Turn a scalar that a kernel returned into a 0-d array; return an array unchanged."""
        ...


class Executable(Protocol):
    """A compiled program."""

    def run(self, arguments: Sequence[Array], /) -> list[Array]:
        """Return an array for each output of the graph, given one for each input."""
        ...


@runtime_checkable
class Inspectable(Executable, Protocol):
    """A compiled program that shows its code and its times; `Compiled.explain` asks for them."""

    @property
    def scratch(self) -> int:
        """Bytes that steps need for themselves, beside the arena."""
        ...

    def source(self, step: int, /) -> str:
        """Return the code that was written for the kernel of a step."""
        ...

    def times(self, arguments: Sequence[Array], /) -> list[float]:
        """Run on these inputs, of which none is written; return the seconds of each step."""
        ...


class Held(Protocol):
    """A program of which some inputs and outputs are fixed."""

    @property
    def outputs(self) -> Sequence[tuple[tuple[int, ...], Any]]:
        """Shapes and dtypes of the outputs that are not fixed."""
        ...

    def empty(self, shape: tuple[int, ...], dtype: Any, /) -> Array:
        """Return an array of unspecified values, for an output."""
        ...

    def call(self, *arrays: Array) -> bool:
        """Run with new arrays for the outputs, then the inputs, that are not fixed.

        Returns False, with nothing done, where that cannot be.
        """
        ...


@runtime_checkable
class Holding(Executable, Protocol):
    """A compiled program that updates state where it is, from call to call."""

    def copied(self, array: Array, /) -> Array:
        """Return a C-contiguous copy, for state that will be written."""
        ...

    def fill(self, array: Array, number: float, /) -> None:
        """Write a number to an array that is held."""
        ...

    def hold(
        self,
        arrays: Mapping[int, Array],
        guards: Sequence[tuple[Any, int]],
        watches: Sequence[tuple[Any, str, Any]],
        /,
    ) -> Held:
        """Return the program with some inputs and outputs fixed.

        Parameters
        ----------
        arrays
            By buffer: arrays of inputs, and of outputs that are written where their donors are.
            Those that are only read may have any strides.
        guards
            Objects with the references to them that are known once this has returned: a call that
            finds another number does nothing, since somebody could see a value change.
        watches
            Objects with the name of a slot and what is there: where that has become something else,
            a call does nothing either.
        """
        ...


class Lowering(Protocol):
    """How a backend writes code for compiled programs: its attribute ``lowering``, if it has one.

    A backend without one runs compiled programs kernel by kernel.
    """

    def keeps(self, equation: Any, /) -> bool:
        """Tell whether a fused primitive stays whole here; others are decomposed."""
        ...

    def renders(self, equation: Any, /) -> bool:
        """Tell whether an equation becomes part of a loop; a matmul, whether it is a `Product`."""
        ...

    def load(self, schedule: Schedule, call: Callable[[Any], Kernel], /) -> Executable:
        """Make a schedule callable. ``call(equation)`` is what computes an `Apply`."""
        ...


@runtime_checkable
class Backend(Protocol):
    """Who computes on a memory."""

    @property
    def name(self) -> str:
        """Name by which users choose the backend."""
        ...

    @property
    def version(self) -> str:
        """Version of the backend, for `isograd.backends` and ``isograd doctor``."""
        ...

    @property
    def protocol_version(self) -> int:
        """`PROTOCOL_VERSION` of the isograd that it was written for."""
        ...

    @property
    def memory(self) -> Memory:
        """Memory that its kernels work on."""
        ...

    def kernel(self, name: str, /) -> Kernel | None:
        """Return the kernel of the primitive of this name.

        None makes a fused primitive run its decomposition, and a core primitive fail readably.
        """
        ...

    def capabilities(self) -> Capabilities:
        """Return what this backend can do."""
        ...

    def set_num_threads(self, count: int, /) -> None:
        """Use at most ``count`` threads from now on. No result depends on it."""
        ...

    def get_num_threads(self) -> int:
        """Return how many threads kernels may use."""
        ...

    def describe(self) -> dict[str, str]:
        """Return facts for ``isograd doctor``, such as versions and the BLAS in use."""
        ...
