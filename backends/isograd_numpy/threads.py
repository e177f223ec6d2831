"""The BLAS that NumPy uses: which one, and how many threads it may use."""

from __future__ import annotations

import functools
import os
import sys
from importlib import import_module
from typing import Any, cast

import numpy as np

__all__ = ["blas_facts", "get_blas_threads", "has_control", "set_blas_threads"]


def _threadpoolctl() -> Any:
    try:
        return import_module("threadpoolctl")
    except ImportError:
        return None


def _controller() -> Any:
    """Return what controls the BLAS that is loaded, or None where threadpoolctl is missing."""
    control = _threadpoolctl()
    # SciPy brings a BLAS of its own.
    return None if control is None else _controller_of(control, "scipy.linalg" in sys.modules)


@functools.lru_cache(maxsize=2)
def _controller_of(control: Any, with_scipy: bool) -> Any:
    """Look for the libraries of the process, which takes milliseconds, once."""
    return control.ThreadpoolController()


def _pools() -> list[dict[str, Any]]:
    controller = _controller()
    found: list[dict[str, Any]] = [] if controller is None else controller.info()
    return [pool for pool in found if pool.get("user_api") == "blas"]


def has_control() -> bool:
    """Tell whether threadpoolctl is there and knows the BLAS, so that its threads can be set."""
    return bool(_pools())


def set_blas_threads(count: int) -> None:
    """Let BLAS use ``count`` threads. Without threadpoolctl this does nothing."""
    controller = _controller()
    if controller is not None:
        controller.limit(limits=count, user_api="blas")


def get_blas_threads() -> int:
    """Return how many threads BLAS may use; where it cannot be asked, the usable processors."""
    counts = [int(pool["num_threads"]) for pool in _pools()]
    if counts:
        return max(counts)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def blas_facts() -> dict[str, str]:
    """Return the name, version, kernel and threads of BLAS, as far as they are known."""
    pools = _pools()
    if pools:
        pool = pools[0]
        kernel = pool.get("architecture")
        facts = {
            "blas": f"{pool.get('internal_api', 'unknown')} {pool.get('version') or ''}".strip()
        }
        if kernel:
            facts["blas kernel"] = str(kernel)
        facts["blas threads"] = str(pool["num_threads"])
        return facts
    config = cast("dict[str, Any]", np.show_config(mode="dicts"))
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return {"blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()}
