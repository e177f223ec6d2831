"""What one operation costs beside its kernel, and ``import isograd`` beside NumPy's import.

``pytest benchmarks/bench_dispatch.py`` times with pytest-benchmark; ``python benchmarks/run.py``
prints the figures next to each other.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import common
import numpy as np
import pytest

import isograd as ig

SHAPES: dict[str, tuple[int, ...]] = {"0-d": (), "16": (16,)}

_IMPORTS = """
import time
start = time.perf_counter()
import numpy
between = time.perf_counter()
import isograd
print(between - start, time.perf_counter() - between)
"""


def bind_calls(backend: str, shape: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """Return the same addition as NumPy, as ``bind`` without the tape, and as ``bind`` with it."""
    left, right = np.full(shape, 1.5, np.float32), np.full(shape, 0.25, np.float32)
    x, y = ig.tensor(left), ig.tensor(right)
    tracked = ig.tensor(left, requires_grad=True)
    add = ig.ops.PRIMITIVES["add"]
    bind = ig.bind

    def inside(call: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            with ig.use_backend(backend):
                return call()

        return run

    for call in (lambda: bind(add, x, y), lambda: bind(add, tracked, y)):
        got: Any = inside(call)()
        assert np.array_equal(got.numpy(), left + right), got
    return {
        "NumPy's add": lambda: np.add(left, right),
        "bind": lambda: bind(add, x, y),
        "bind with tape": lambda: bind(add, tracked, y),
        "x + y": lambda: x + y,
        "x + y with tape": lambda: tracked + y,
    }


def measure_bind(
    *, rounds: int = 60, inner: int = 2000
) -> dict[str, dict[str, dict[str, common.Timing]]]:
    """Return microseconds a call by backend and shape."""
    results: dict[str, dict[str, dict[str, common.Timing]]] = {}
    for record in ig.backends():
        if not record.available or record.device != "cpu":
            continue
        with ig.use_backend(record.name):
            results[record.name] = {
                label: common.in_turns(bind_calls(record.name, shape), rounds=rounds, inner=inner)
                for label, shape in SHAPES.items()
            }
    return results


def measure_import(*, runs: int = 15) -> dict[str, float]:
    """Return milliseconds: NumPy's import, and isograd's beyond it, medians of fresh processes."""
    numpy_alone: list[float] = []
    beyond: list[float] = []
    # As installed: with bytecode, which the first process writes if nothing else has.
    environment = {**common.clean_environment(), "PYTHONPYCACHEPREFIX": tempfile.mkdtemp()}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(
        [sys.executable, "-c", _IMPORTS], check=True, stdout=subprocess.DEVNULL, env=environment
    )
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTS],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        )
        first, second = map(float, done.stdout.split())
        numpy_alone.append(first * 1e3)
        beyond.append(second * 1e3)
    return {
        "import numpy": statistics.median(numpy_alone),
        "import isograd beyond it": statistics.median(beyond),
    }


def measure(*, quick: bool) -> tuple[dict[str, Any], list[str]]:
    """Measure both, and describe them."""
    bind = measure_bind(rounds=10 if quick else 60, inner=500 if quick else 2000)
    imports = measure_import(runs=5 if quick else 15)
    lines = [
        "## One operation",
        "",
        "Median microseconds a call of an addition, float32 (as a multiple of NumPy's).",
        "",
    ]
    columns: list[str] = []
    rows: dict[str, list[str]] = {}
    for backend, shapes in bind.items():
        for shape, timings in shapes.items():
            columns.append(f"{backend}, {shape}")
            for case, t in timings.items():
                ratio = t.median / timings["NumPy's add"].median
                rows.setdefault(case, [case]).append(f"{t.median:.2f} ({ratio:.1f}x)")
    lines += common.markdown_table(["", *columns], list(rows.values()))
    lines += ["", "## Import", "", "Median milliseconds in fresh processes.", ""]
    lines += common.markdown_table(
        ["", "ms"], [[name, f"{ms:.1f}"] for name, ms in imports.items()]
    )
    results = {
        "bind_us": {
            backend: {
                shape: {case: t._asdict() for case, t in timings.items()}
                for shape, timings in shapes.items()
            }
            for backend, shapes in bind.items()
        },
        "import_ms": imports,
    }
    return results, lines


@pytest.mark.parametrize(
    "case", ["NumPy's add", "bind", "bind with tape", "x + y", "x + y with tape"]
)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_bind(benchmark: Any, backend: str, shape: str, case: str) -> None:
    if backend not in [record.name for record in ig.backends() if record.available]:
        pytest.skip(f"the {backend} backend is not available here")
    benchmark.group = f"add, {shape}, {backend}"
    with ig.use_backend(backend):
        benchmark(bind_calls(backend, SHAPES[shape])[case])


@pytest.mark.parametrize("what", ["numpy", "isograd"])
def test_import(benchmark: Any, what: str) -> None:
    """A whole process: the difference of the two is what isograd adds."""
    benchmark.group = "import in a fresh process"
    environment = common.clean_environment()
    benchmark.pedantic(
        lambda: subprocess.run(
            [sys.executable, "-c", f"import {what}"], check=True, env=environment
        ),
        rounds=8,
        warmup_rounds=1,
    )
