"""Puts the emulator in place of CUDA, or takes the GPU, and says which it was."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = os.environ.get("ISOGRAD_CUDA_EMULATOR")
ON_GPU = os.environ.get("ISOGRAD_CUDA") == "gpu"

# Without either, tests/cuda/test_presence.py has the one skip that says so.
collect_ignore_glob = [] if FOLDER or ON_GPU else ["test_[!p]*.py"]

EMULATOR: Any = None
if FOLDER or ON_GPU:
    folders = ("tools", "benchmarks", "tests/cuda")
    sys.path[:0] = [str(ROOT / folder) for folder in folders]
if FOLDER:
    from cuda_emulator import activate

    EMULATOR = activate(Path(FOLDER))


@pytest.fixture
def emulator() -> Any:
    """Return the emulator; on a GPU the test is skipped."""
    if EMULATOR is None:
        pytest.skip("this looks at the emulator, and runs on a GPU now")
    return EMULATOR


@pytest.fixture
def emulator_if_any() -> Any:
    """Return the emulator, or None on a GPU."""
    return EMULATOR


@pytest.fixture
def cuda() -> Iterator[Any]:
    """Make new tensors on the GPU, and return the backend."""
    import isograd as ig

    backend = ig.get_backend("cuda")
    ig.set_default_device("cuda")
    yield backend
    ig.set_default_device("cpu")


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Put what looks at all the others' work after them."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much was compiled, executed and compared."""
    if EMULATOR is None:
        return
    from isograd_cupy import _launch

    reports = terminalreporter.getreports("passed")
    found: dict[str, int] = {}
    for report in reports:
        for name, value in report.user_properties:
            found[name] = found.get(name, 0) + value
    counts = EMULATOR.counts()
    terminalreporter.write_line(
        f"kernels: {found.get('compiled', 0)} compiled by NVRTC, "
        f"{_launch._function.cache_info().currsize} executed in {counts.launches} launches; "
        f"{counts.products} products, {counts.transforms} Fourier transforms, "
        f"{counts.decompositions} calls of cuSOLVER, "
        f"{counts.graph_launches} graph launches; "
        f"{found.get('cells', 0)} cells of the op table, {found.get('edges', 0)} edge comparisons"
    )
