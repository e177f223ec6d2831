"""One thread pool: OpenMP's, which Numba's ``omp`` layer and libraries of the process share.

Kernels call the runtime's ``GOMP_parallel`` themselves (see `_entry`), so nothing of the user's
own Numba threading is started or changed, and two Python threads may enter kernels at once: each
gets its own team. How many threads run a kernel is read from a cell of memory at each call. It
stays 1 where no runtime is found and in forked children, in which a team would wait for threads
that do not exist. Results never depend on the number: a thread gets a range of work items, and an
item's result depends on its index alone.
"""

from __future__ import annotations

import ctypes
import functools
import operator
import os
import sys
from typing import Any

__all__ = ["available", "describe", "get_num_threads", "set_num_threads", "symbols"]

_RUNTIMES = {
    "darwin": (
        "libomp.dylib",
        "/opt/homebrew/opt/libomp/lib/libomp.dylib",
        "/usr/local/opt/libomp/lib/libomp.dylib",
        "libgomp.1.dylib",
    ),
    "win32": ("libgomp-1.dll", "libomp.dll"),
}
_FUNCTIONS = {
    "isograd_parallel": "GOMP_parallel",
    "isograd_thread": "omp_get_thread_num",
    "isograd_team": "omp_get_num_threads",
}
_INSTALL = (
    "install an OpenMP runtime (Debian, Ubuntu: apt-get install libgomp1; Fedora: dnf install "
    "libgomp; Alpine: apk add libgomp; macOS: brew install libomp)"
)


def _default_threads() -> int:
    """Return OMP_NUM_THREADS, or the number of CPUs that this process may use."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdecimal() and int(first) > 0:
        return int(first)
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _State:
    def __init__(self) -> None:
        self.wanted = _default_threads()
        self.forked = False
        self.cell = ctypes.c_int64(1)

    def update(self) -> None:
        self.cell.value = self.wanted if _runtime() is not None and not self.forked else 1


#: How often a waiting thread looks before it sleeps: some 100 us. libgomp's default is
#: milliseconds, which on a busy machine is time that the thread waited for does not get.
_SPINS = ("GOMP_SPINCOUNT", "5000")


@functools.cache
def _runtime() -> tuple[str, ctypes.CDLL] | None:
    # libgomp reads its variables once, when it is loaded; nobody else is to inherit this one.
    name, value = _SPINS
    chosen = name in os.environ or "OMP_WAIT_POLICY" in os.environ
    if not chosen:
        os.environ[name] = value
    try:
        return _loaded_runtime()
    finally:
        if not chosen:
            del os.environ[name]


def _loaded_runtime() -> tuple[str, ctypes.CDLL] | None:
    for name in _RUNTIMES.get(sys.platform, ("libgomp.so.1", "libomp.so.5", "libomp.so")):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if all(hasattr(library, function) for function in _FUNCTIONS.values()):
            return name, library
    return None


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


_state = _State()
_state.update()


def _after_fork_in_child() -> None:
    _state.forked = True
    _state.cell.value = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def symbols() -> dict[str, int]:
    """Return the addresses of the runtime's functions and of the number of threads."""
    _state.update()
    runtime = _runtime()
    if runtime is None:  # never called, because the number of threads stays 1
        found = dict.fromkeys(_FUNCTIONS, _address(ctypes.pythonapi.Py_IncRef))
    else:
        found = {name: _address(getattr(runtime[1], f)) for name, f in _FUNCTIONS.items()}
    return found | {"isograd_threads": ctypes.addressof(_state.cell)}


def available() -> bool:
    """Say whether kernels can run on several threads here."""
    return _runtime() is not None and not _state.forked


def set_num_threads(n: int, /) -> None:
    """Let kernels run on at most ``n`` threads; without an OpenMP runtime they stay serial."""
    n = operator.index(n)
    if n < 1:
        raise ValueError(f"set_num_threads: n is {n}; give at least 1")
    _state.wanted = n
    _state.update()


def get_num_threads() -> int:
    """Return how many threads a large kernel runs on."""
    return _state.cell.value


def describe() -> dict[str, str]:
    """Say which runtime is used, and how to get one where there is none."""
    runtime = _runtime()
    if _state.forked:
        layer = "serial: this process was forked, and OpenMP cannot be used after a fork"
    elif runtime is None:
        layer = f"serial: no OpenMP runtime was found; {_INSTALL}"
    else:
        layer = f"omp ({runtime[0]})"
    return {"threading layer": layer, "threads": str(get_num_threads())}
