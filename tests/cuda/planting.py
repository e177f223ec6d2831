"""Planting faults in the kernels, and looking for them in the ways of the rings."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cupy
import numpy as np
from cuda_sources import compile_with_nvrtc, every_source
from test_execution import ORDERS, run

import isograd as ig
from isograd.testing.harness import check_op
from isograd.testing.op_db import OP_DB
from isograd_cupy import _launch

__all__ = ["Detector", "guard", "orders", "planted", "spills", "table", "values", "written"]

#: Given the text to replace and the new one, and the emulator: says what was seen, or nothing.
Detector = Callable[[str, str, Any], str]


@contextlib.contextmanager
def planted(old: str, new: str) -> Iterator[None]:
    """Compile kernels with some of their text replaced, in new modules; it must occur."""
    whole, hits = _launch._function, list[str]()

    def function(source: str, name: str, device: int, mode: str) -> Any:
        if old not in source:
            return whole(source, name, device, mode)
        hits.append(name)
        return _launch.load(source.replace(old, new), device, mode).get_function(name)

    _launch._function = function  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        _launch._function = whole
    assert hits, f"no kernel that was launched contains {old!r}"


def orders(case: str) -> Detector:
    """Look for results that differ with the order of threads, or what the emulator reports."""

    def detect(old: str, new: str, emulator: Any) -> str:
        found = set[bytes]()
        try:
            with planted(old, new):
                for order in ORDERS:
                    emulator.set_order(order)
                    found.add(run(case, "cuda").tobytes())
        except RuntimeError as error:
            return f"reported: {error}"
        finally:
            emulator.set_order(0)
        return f"{len(found)} results" if len(found) > 1 else ""

    return detect


def written(case: str) -> Detector:
    """Look for poison in a result: memory and shared memory that nobody has written are NaN."""

    def detect(old: str, new: str, emulator: Any) -> str:
        # Memory of its own for each array: what a pool has is not fresh.
        with planted(old, new), cupy.cuda.using_allocator(None):
            poisoned = int(np.isnan(run(case, "cuda")).sum())
        return f"{poisoned} elements are NaN" if poisoned else ""

    return detect


def values(case: str) -> Detector:
    """Look for results far from those of NumPy."""

    def detect(old: str, new: str, emulator: Any) -> str:
        with ig.use_backend("numpy"):
            right = run(case, "cpu")
        with planted(old, new):
            error = float(np.abs(run(case, "cuda") - right).max())
        return "" if error < 1e-4 else f"the largest error is {error}"

    return detect


def table(op: str, check: str = "forward") -> Detector:
    """Look for cells of the op table that are wrong."""
    (spec,) = [spec for spec in OP_DB if spec.name == op]

    def detect(old: str, new: str, emulator: Any) -> str:
        one = "float32" if "float32" in spec.dtypes else spec.dtypes[0]
        with planted(old, new):
            wrong = [cell for cell in check_op(spec, check, "cupy", (one,)) if not cell.ok]
        return str(wrong[0]) if wrong else ""

    return detect


def guard(case: str) -> Detector:
    """Look for accesses beyond the end of an array, in a process where pages guard it."""

    def detect(old: str, new: str, emulator: Any) -> str:
        here = Path(__file__)
        folders = [str(here.parent), str(here.parents[2] / "tools")]
        code = (
            f"import sys; sys.path[:0] = {folders!r}\n"
            "import conftest, cupy\n"
            "cupy.cuda.set_allocator(None)\n"
            "import planting\n"
            f"with planting.planted({old!r}, {new!r}): planting.run({case!r}, 'cuda')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "CUDA_EMULATOR_GUARD": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode == -signal.SIGSEGV:
            return "the process ends at the page"
        assert done.returncode == 0, done.stderr[-3000:]
        return ""

    return detect


def spills(module: str) -> Detector:
    """Look for registers that NVIDIA's compiler spills, or a text that it refuses."""

    def detect(old: str, new: str, emulator: Any) -> str:
        source = every_source()[module].source
        assert old in source
        log = compile_with_nvrtc(emulator.nvrtc.real, source.replace(old, new), "90")
        if log.startswith("refused"):
            return log.splitlines()[0]
        found = re.findall(r"[1-9]\d* bytes spill stores", log)
        return found[0] if found else ""

    return detect
