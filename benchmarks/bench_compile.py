"""How long the first step takes: with an empty cache, and in a second process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import common
from worker import Worker, WorkerError
from workloads import WORKLOADS

#: Those that compile, and eager isograd, whose kernels come from the cache too.
DEFAULT = ["isograd-numba-compiled", "isograd-numba", "jax", "torch-compile"]


def _caches_in(folder: str) -> dict[str, str]:
    """Return an environment in which every contender keeps its cache in a folder."""
    return {
        "ISOGRAD_CACHE_DIR": f"{folder}/isograd",
        "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch",
    }


def measure_compile(
    workloads: Sequence[str], names: Sequence[str], *, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return seconds of building and of the first step, by workload, contender and cache."""
    results: dict[str, Any] = {}
    for workload in workloads:
        results[workload] = {}
        for name in names:
            say(f"{workload}: first step of {name}")
            try:
                results[workload][name] = _cold_and_warm(name, workload)
            except WorkerError as error:
                results[workload][name] = {"missing" if error.missing else "failed": str(error)}
                say(f"  {error}")
    return results


def _cold_and_warm(name: str, workload: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="isograd-bench-") as folder:
        for cache in ("empty", "warm"):
            worker = Worker(
                name, workload, WORKLOADS[workload].optimizer, Path(folder), _caches_in(folder)
            )
            try:
                worker.ask("load")
                found[cache] = {
                    "build": worker.ask("build"),
                    "first_step": worker.ask("first_step"),
                }
            finally:
                worker.close()
    return found


def compile_lines(results: dict[str, Any]) -> list[str]:
    """Describe the first steps."""
    lines = [
        "## The first step",
        "",
        "Seconds of the first step, compilation included, in a process with an empty cache folder "
        "and in a second one; in brackets with building the model, after the import.",
        "",
    ]
    rows: list[list[str]] = []
    notes: list[str] = []
    for workload, contenders in results.items():
        for name, found in contenders.items():
            if "empty" in found:
                rows.append([workload, name, _seconds(found["empty"]), _seconds(found["warm"])])
            notes += [
                f"\n{kind}: {name}, {workload} ({found[kind]})."
                for kind in ("missing", "failed")
                if kind in found
            ]
    return [
        *lines,
        *common.markdown_table(["", "", "empty cache", "second process"], rows),
        *notes,
    ]


def _seconds(found: dict[str, float]) -> str:
    return f"{found['first_step']:.2f} ({found['build'] + found['first_step']:.2f})"
