"""What benchmarks share: a clean environment, facts about the machine, and timing in turns."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

#: Variables that force OpenBLAS's kernel or cache size: figures taken under them mislead.
FORCING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

_PACKAGES = (
    "isograd",
    "numpy",
    "numba",
    "llvmlite",
    "torch",
    "jax",
    "jaxlib",
    "autograd",
    "mygrad",
)


def forced() -> list[str]:
    """Return the variables that are set and must not be."""
    return [name for name in FORCING if name in os.environ]


def clean_environment() -> dict[str, str]:
    """Return this process's environment without them."""
    return {name: value for name, value in os.environ.items() if name not in FORCING}


def machine_facts() -> dict[str, Any]:
    """Return what the figures were measured on."""
    versions: dict[str, str] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": platform.platform(),
        "load average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "blas": _blas(),
        "versions": versions,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _blas() -> list[str]:
    import numpy  # noqa: F401 - loads its BLAS

    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return ["unknown: install threadpoolctl"]
    return [
        f"{pool['internal_api']} {pool['version']}, kernel {pool.get('architecture', 'unknown')}, "
        f"{pool['num_threads']} threads"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]


class Timing(NamedTuple):
    """Microseconds a call: the median over rounds, the quartiles, and the least."""

    median: float
    low: float
    high: float
    best: float


def in_turns(
    calls: Mapping[str, Callable[[], object]], /, *, rounds: int, inner: int, warmup: int = 3
) -> dict[str, Timing]:
    """Time several functions in turns, so that a busy moment of the machine hits all of them.

    In each round every function is called ``inner`` times; every second round reverses the order.
    Python collects no garbage meanwhile: one contender would pay for all.
    """
    for call in calls.values():
        for _ in range(warmup):
            call()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            names = list(calls) if turn % 2 == 0 else list(reversed(calls))
            for name in names:
                call = calls[name]
                start = time.perf_counter()
                for _ in range(inner):
                    call()
                samples[name].append((time.perf_counter() - start) / inner * 1e6)
    finally:
        if collects:
            gc.enable()
    return {name: summary(values) for name, values in samples.items()}


def summary(values: list[float]) -> Timing:
    """Return the median, the quartiles and the least."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return Timing(middle, low, high, min(values))


def markdown_table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table whose columns line up as plain text too."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        return (
            "| "
            + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            + " |"
        )

    return [line(header), line(["-" * width for width in widths]), *map(line, rows)]
