"""Which backends there are, and which one computes for a device. Imports them when needed."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from importlib import import_module
from types import TracebackType
from typing import Any, NamedTuple

from isograd.backend import PROTOCOL_VERSION, Backend, Kernel
from isograd.core.config import modes
from isograd.core.devices import Device, device
from isograd.core.errors import BackendUnavailableError, UnknownDeviceError

__all__ = [
    "BackendRecord",
    "KernelTable",
    "active",
    "backends",
    "default_device",
    "get_backend",
    "get_num_threads",
    "register_backend",
    "set_backend",
    "set_default_device",
    "set_num_threads",
    "synchronize",
    "table_for",
    "use_backend",
]

_GROUP = "isograd.backends"

#: The first that is available computes for the device, unless the user chooses.
_PREFERRED = ("numba", "numpy", "cupy")


class BackendRecord(NamedTuple):
    """One backend as `backends` lists it."""

    name: str
    device: str
    available: bool
    reason: str
    version: str


class KernelTable(dict[str, "Kernel | None"]):
    """A backend's kernels by primitive name, asked for once each."""

    __slots__ = ("array_type", "as_array", "backend", "memory")

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.memory = backend.memory
        self.array_type = backend.memory.array_type
        self.as_array = backend.memory.as_array

    def __missing__(self, name: str) -> Kernel | None:
        found = self[name] = self.backend.kernel(name)
        return found


class _Door(NamedTuple):
    """Where a backend comes from: a registered entry point, not yet imported."""

    device_type: str
    name: str
    target: str


_lock = threading.RLock()
_registered: dict[tuple[str, str], Backend] = {}
_tables: dict[tuple[str, str], KernelTable] = {}
_failures: dict[tuple[str, str], str] = {}
_chosen: dict[str, KernelTable] = {}
_threads: list[int | None] = [None]


@functools.cache
def _doors() -> dict[tuple[str, str], _Door]:
    from importlib.metadata import entry_points

    doors: dict[tuple[str, str], _Door] = {}
    for point in entry_points(group=_GROUP):
        device_type, _, name = point.name.partition(".")
        if name:
            doors[device_type, name] = _Door(device_type, name, point.value)
    return doors


def _keys() -> list[tuple[str, str]]:
    keys = list(_registered) + [key for key in _doors() if key not in _registered]
    order = {name: rank for rank, name in enumerate(_PREFERRED)}
    return sorted(keys, key=lambda key: (key[0], order.get(key[1], len(order)), key[1]))


def _load(key: tuple[str, str]) -> KernelTable:
    """Create the backend once; a failure is remembered with its reason."""
    with _lock:
        if key in _tables:
            return _tables[key]
        if key in _failures:
            raise BackendUnavailableError(_failures[key])
        try:
            table = KernelTable(_checked(_create(key), key))
        except BackendUnavailableError as error:
            _failures[key] = str(error)
            raise
        if _threads[0] is not None:
            table.backend.set_num_threads(_threads[0])
        _tables[key] = table
        return table


def _create(key: tuple[str, str]) -> Backend:
    if key in _registered:
        return _registered[key]
    door = _doors()[key]
    module, _, attribute = door.target.partition(":")
    try:
        return getattr(import_module(module), attribute)()
    except BackendUnavailableError:
        raise
    except Exception as error:
        raise BackendUnavailableError(
            f"backend {door.name!r} failed to start: {type(error).__name__}: {error}; reinstall "
            f"the package that provides {door.target!r}"
        ) from error


def _checked(backend: Backend, key: tuple[str, str]) -> Backend:
    if backend.protocol_version != PROTOCOL_VERSION:
        raise BackendUnavailableError(
            f"backend {key[1]!r} speaks protocol version {backend.protocol_version}, isograd "
            f"speaks {PROTOCOL_VERSION}; install versions of the two that fit"
        )
    return backend


def register_backend(backend: Backend, /) -> None:
    """Add a backend object for its memory's device type, without an entry point.

    Parameters
    ----------
    backend
        An object that follows `isograd.backend.Backend`.

    Raises
    ------
    BackendUnavailableError
        If it speaks another version of the protocol.
    """
    key = (backend.memory.device_type, backend.name)
    _checked(backend, key)
    with _lock:
        _registered[key] = backend
        _tables.pop(key, None)
        _failures.pop(key, None)
        _chosen.pop(key[0], None)


def backends() -> list[BackendRecord]:
    """List every backend that is installed or registered, with the reason where one cannot run.

    Examples
    --------
    >>> "numpy" in [record.name for record in backends() if record.available]
    True
    """
    records: list[BackendRecord] = []
    for key in _keys():
        try:
            records.append(BackendRecord(key[1], key[0], True, "", _load(key).backend.version))
        except BackendUnavailableError as error:
            records.append(BackendRecord(key[1], key[0], False, str(error), ""))
    return records


def _find(name: str) -> KernelTable:
    matches = [key for key in _keys() if name in (key[1], ".".join(key))]
    if not matches:
        known = ", ".join(sorted(key[1] for key in _keys()))
        raise UnknownDeviceError(
            f"use_backend: there is no backend {name!r}; choose one of {known}"
        )
    try:
        return _load(matches[0])
    except BackendUnavailableError as error:
        raise BackendUnavailableError(f"backend {name!r} cannot run here: {error}") from error


def _default_table(device_type: str) -> KernelTable:
    """Choose for a device type: what ISOGRAD_BACKEND names, else the first that is available."""
    keys = [key for key in _keys() if key[0] == device_type]
    if not keys:
        known = ", ".join(sorted({key[0] for key in _keys()}))
        raise UnknownDeviceError(
            f"device {device_type!r} is served by no backend; use one of {known}"
        )
    named = os.environ.get("ISOGRAD_BACKEND")
    if named:
        table = _find(named)
        if table.memory.device_type == device_type:
            return table
    reasons: list[str] = []
    for key in keys:
        try:
            return _load(key)
        except BackendUnavailableError as error:
            reasons.append(f"{key[1]}: {error}")
    raise BackendUnavailableError(
        f"device {device_type!r} has no backend that can run here; {'; '.join(reasons)}"
    )


def table_for(device_type: str) -> KernelTable:
    """Return the kernels that compute for a device type in this thread."""
    table = modes.backends.get(device_type)
    if table is not None:
        return table
    table = _chosen.get(device_type)
    if table is None:
        with _lock:
            table = _chosen[device_type] = _default_table(device_type)
    return table


def _as_table(backend: str | Backend) -> KernelTable:
    if isinstance(backend, str):
        return _find(backend)
    return KernelTable(_checked(backend, (backend.memory.device_type, backend.name)))


class use_backend(contextlib.ContextDecorator):  # noqa: N801 - used like a function
    """Compute with a backend inside a ``with`` block, in the current thread.

    Parameters
    ----------
    backend
        A backend's name, or a backend object.

    Raises
    ------
    UnknownDeviceError
        If no backend has that name.
    BackendUnavailableError
        If it cannot run here; the message says why.

    Examples
    --------
    >>> import isograd as ig
    >>> with ig.use_backend("numpy"):
    ...     (ig.tensor([1.0, 2.0]) * 2).tolist()
    [2.0, 4.0]
    """

    def __init__(self, backend: str | Backend, /) -> None:
        self._table = _as_table(backend)
        self._before: list[Any] = []

    def __enter__(self) -> Backend:
        kind = self._table.memory.device_type
        self._before.append(modes.backends.get(kind))
        modes.backends[kind] = self._table
        return self._table.backend

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        before = self._before.pop()
        if before is None:
            del modes.backends[self._table.memory.device_type]
        else:
            modes.backends[self._table.memory.device_type] = before


def set_backend(backend: str | Backend, /) -> None:
    """Choose the backend of a device for every thread that has not chosen one itself.

    Raises
    ------
    UnknownDeviceError, BackendUnavailableError
        As `use_backend`.
    """
    table = _as_table(backend)
    with _lock:
        _chosen[table.memory.device_type] = table


def get_backend(where: str | Device = "cpu", /) -> Backend:
    """Return the backend that computes for a device in this thread.

    Examples
    --------
    >>> get_backend("cpu").memory.device_type
    'cpu'
    """
    return table_for(device(where).type).backend


def active() -> Iterator[KernelTable]:
    """Yield the table of every backend that has been loaded."""
    with _lock:
        yield from list(_tables.values())


_default_device: list[Device] = [device("cpu")]


def default_device() -> Device:
    """Return the device of newly created tensors."""
    return _default_device[0]


def set_default_device(where: str | Device, /) -> None:
    """Choose the device of newly created tensors.

    Raises
    ------
    UnknownDeviceError, BackendUnavailableError
        If nothing serves the device here.
    """
    _default_device[0] = resolve_device(where)


def resolve_device(where: str | Device | None) -> Device:
    """Turn a device argument into a device that exists here; None is the default device."""
    if where is None:
        return _default_device[0]
    found = device(where)
    memory = table_for(found.type).memory
    if found not in memory.devices():
        have = ", ".join(str(d) for d in memory.devices())
        raise UnknownDeviceError(f"device {str(found)!r} does not exist here; use one of {have}")
    return found


def synchronize(where: str | Device | None = None, /) -> None:
    """Wait until a device has done all that was asked of it, as a clock wants.

    Operations on a GPU return before they are done. What reads numbers, such as ``.item()`` and
    ``.numpy()``, waits by itself.

    Parameters
    ----------
    where
        The device; the default device if None.

    Raises
    ------
    UnknownDeviceError, BackendUnavailableError
        If nothing serves the device here.
    DeviceLostError
        If something that was asked of it failed.

    Examples
    --------
    >>> synchronize("cpu")
    """
    found = resolve_device(where)
    table_for(found.type).memory.synchronize(found)


def set_num_threads(count: int, /) -> None:
    """Let backends use at most ``count`` threads. Results do not depend on it.

    Raises
    ------
    ValueError
        If ``count`` is less than 1.

    Examples
    --------
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    """
    if count < 1:
        raise ValueError(f"set_num_threads: count is {count}; pass at least 1")
    with _lock:
        _threads[0] = count
        for table in _tables.values():
            table.backend.set_num_threads(count)


def get_num_threads() -> int:
    """Return how many threads the CPU backend of this thread may use."""
    return table_for("cpu").backend.get_num_threads()
