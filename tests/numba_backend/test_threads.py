"""Threads change how fast a kernel is, never what it returns; forks and callers are safe."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd_numba import _threads
from isograd_numba._jit import compiled

F64 = np.dtype(np.float64)
CHUNK = 64


@compiled("T[::1], T[::1]", T=("float64",), grain=2)
def _partial_sums(start: int, stop: int, x: Any, out: Any) -> None:
    for chunk in range(start, stop):
        total = 0.0
        for i in range(chunk * CHUNK, min((chunk + 1) * CHUNK, x.size)):
            total += x[i]
        out[chunk] += total


def _sums(x: np.ndarray) -> np.ndarray:
    out = np.zeros(-(-x.size // CHUNK))
    _partial_sums[F64](out.size, x, out)
    return out


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = _threads.get_num_threads()
    yield
    _threads.set_num_threads(before)


needs_runtime = pytest.mark.skipif(
    not _threads.available(), reason="no OpenMP runtime on this machine"
)


@pytest.mark.parametrize("chunks", [1, 2, 3, 7, 64])
def test_results_do_not_depend_on_the_number_of_threads(
    chunks: int, rng: np.random.Generator
) -> None:
    x = rng.standard_normal(chunks * CHUNK - 5)
    _threads.set_num_threads(1)
    expected = _sums(x)
    np.testing.assert_allclose(expected.sum(), x.sum(), rtol=1e-12)
    for n in (2, 3, 5, 16):
        _threads.set_num_threads(n)
        np.testing.assert_array_equal(_sums(x), expected)


@needs_runtime
def test_the_number_of_threads_can_be_set() -> None:
    _threads.set_num_threads(3)
    assert _threads.get_num_threads() == 3
    assert _threads.describe()["threads"] == "3"
    assert _threads.describe()["threading layer"].startswith("omp (")


@pytest.mark.parametrize("n", [0, -2])
def test_fewer_than_one_thread_is_an_error(n: int) -> None:
    with pytest.raises(ValueError, match=f"n is {n}; give at least 1"):
        _threads.set_num_threads(n)


@pytest.mark.parametrize(
    ("variable", "expected"), [("3", 3), ("5,2", 5), (" 2 ", 2), ("0", 7), ("many", 7), (None, 7)]
)
def test_the_default_is_omp_num_threads_or_the_affinity(
    variable: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 7, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert _threads._default_threads() == expected


def test_without_a_runtime_kernels_are_serial_and_say_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    x = rng.standard_normal(1000)
    expected = _sums(x)
    with monkeypatch.context() as patch:
        patch.setattr(_threads, "_runtime", lambda: None)
        _threads.set_num_threads(4)
        assert _threads.get_num_threads() == 1
        assert "libgomp" in _threads.describe()["threading layer"]
        assert _threads.symbols().keys() >= {"isograd_parallel", "isograd_threads"}
        np.testing.assert_array_equal(_sums(x), expected)


def test_two_python_threads_may_run_kernels_at_once(rng: np.random.Generator) -> None:
    x = rng.standard_normal(200 * CHUNK)
    expected = _sums(x)
    _threads.set_num_threads(2)
    together = threading.Barrier(3)
    wrong: list[int] = []

    def work() -> None:
        together.wait()
        wrong.extend(k for k in range(50) if not np.array_equal(_sums(x), expected))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def _run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_PRELUDE = """
import os, sys
import numpy as np
from isograd_numba import _matmul, _threads
x = np.random.default_rng(0).standard_normal((400, 300)).astype(np.float32)
expected = _matmul.multiply(x, x.T)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_runs_serial_kernels() -> None:
    program = """
child = os.fork()
if child == 0:
    serial = _threads.get_num_threads() == 1
    _threads.set_num_threads(2)
    serial = serial and _threads.get_num_threads() == 1 and not _threads.available()
    same = np.array_equal(_matmul.multiply(x, x.T), expected)
    os._exit(0 if serial and same else 3)
_, status = os.waitpid(child, 0)
same = np.array_equal(_matmul.multiply(x, x.T), expected)
sys.exit(os.waitstatus_to_exitcode(status) or (0 if same else 4))
"""
    _run(_PRELUDE + program)


def test_the_threading_of_numba_itself_is_left_alone() -> None:
    program = """
import numba
settings = numba.config.THREADING_LAYER, numba.config.NUMBA_NUM_THREADS
_matmul.multiply(x, x.T)
assert (numba.config.THREADING_LAYER, numba.config.NUMBA_NUM_THREADS) == settings
try:
    numba.threading_layer()
except ValueError:
    print("not started")
"""
    assert _run(_PRELUDE + program) == "not started\n"
