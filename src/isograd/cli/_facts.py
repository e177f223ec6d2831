"""What `isograd doctor` knows: plain values, gathered without printing anything."""

from __future__ import annotations

import importlib
import os
import platform
import stat
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np

import isograd
from isograd.core import dtypes
from isograd.core.config import modes
from isograd.runtime.registry import default_device, table_for

__all__ = ["BackendFacts", "Blas", "Cache", "Facts", "caches_of", "collect"]

_PACKAGES = (
    "isograd",
    "numpy",
    "numba",
    "llvmlite",
    "ml_dtypes",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "array-api-compat",
    "scipy",
    "threadpoolctl",
    "safetensors",
    "typer",
    "rich",
)

_VARIABLE_PREFIXES = ("ISOGRAD_", "NUMBA_", "OPENBLAS_", "CUDA_")
_VARIABLES = (
    "BLIS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "KMP_AFFINITY",
    "MKL_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "VECLIB_MAXIMUM_THREADS",
)


class BackendFacts(TypedDict):
    """One backend, installed or not."""

    name: str
    device: str
    default: bool
    available: bool
    version: str
    reason: str
    details: dict[str, str]


class Blas(TypedDict):
    """One linear algebra library."""

    library: str
    version: str
    kernel: str
    threads: int | None


class Cache(TypedDict):
    """One folder of compiled kernels, or why there is none."""

    owner: str
    state: str
    mode: str


class Facts(TypedDict):
    """Everything that `doctor` prints."""

    versions: dict[str, str | None]
    machine: dict[str, str | int]
    backends: list[BackendFacts]
    blas: list[Blas]
    threads: dict[str, int | str | None]
    caches: list[Cache]
    modes: dict[str, str | bool]
    environment: dict[str, str]


def collect() -> Facts:
    """Gather the facts. Creates every backend that can run, which compiles nothing."""
    backends = _backends()
    return Facts(
        versions=_versions(),
        machine=_machine(),
        backends=backends,
        blas=_blas(),
        threads=_threads(),
        caches=caches_of(backends),
        modes=_modes(),
        environment={
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(_VARIABLE_PREFIXES) or name in _VARIABLES
        },
    )


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _machine() -> dict[str, str | int]:
    affinity = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
        "usable cores": affinity,
        "interpreter": sys.executable,
    }


def _backends() -> list[BackendFacts]:
    facts: list[BackendFacts] = []
    for record in isograd.backends():
        details: dict[str, str] = {}
        default = False
        if record.available:
            with isograd.use_backend(record.name) as backend:
                details = dict(backend.describe())
            default = table_for(record.device).backend.name == record.name
        facts.append(
            BackendFacts(
                name=record.name,
                device=record.device,
                default=default,
                available=record.available,
                version=record.version,
                reason=record.reason,
                details=details,
            )
        )
    return facts


def _blas() -> list[Blas]:
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
    except ImportError:
        return [_blas_of_the_build()]
    pools = cast("list[dict[str, Any]]", threadpoolctl.threadpool_info())
    return [
        Blas(
            library=str(pool["internal_api"]),
            version=str(pool["version"]),
            kernel=str(pool.get("architecture", "unknown")),
            threads=int(pool["num_threads"]),
        )
        for pool in pools
        if pool["user_api"] == "blas"
    ] or [_blas_of_the_build()]


def _blas_of_the_build() -> Blas:
    """Return what NumPy was built with, for want of a look into the process."""
    config = cast("dict[str, Any]", np.show_config(mode="dicts"))
    built = config.get("Build Dependencies", {}).get("blas", {})
    return Blas(
        library=str(built.get("name", "unknown")),
        version=str(built.get("version", "unknown")),
        kernel="unknown: pip install threadpoolctl to see it",
        threads=None,
    )


def _threads() -> dict[str, int | str | None]:
    return {"isograd.get_num_threads()": isograd.get_num_threads()}


def caches_of(backends: list[BackendFacts]) -> list[Cache]:
    """Return what backends say of their caches, with the access mode where it is a folder."""
    caches: list[Cache] = []
    for backend in backends:
        for name, state in backend["details"].items():
            if "cache" in name.split():
                folder = Path(state.partition(" (")[0])
                is_folder = folder.is_absolute() and folder.is_dir()
                mode = f"{stat.S_IMODE(folder.stat().st_mode):04o}" if is_folder else ""
                caches.append(Cache(owner=backend["name"], state=state, mode=mode))
    return caches


def _modes() -> dict[str, str | bool]:
    return {
        "numerics": modes.numerics,
        "grad": modes.grad,
        "nan_safe": modes.nan_safe,
        "lint": modes.lint,
        "default dtype": dtypes.default_float().name,
        "default device": str(default_device()),
    }
