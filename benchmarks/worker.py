"""Contenders in processes of their own: no shared thread pools, and memory that can be told apart.

`Worker` starts ``python worker.py CONTENDER WORKLOAD OPTIMIZER REFERENCE_FOLDER`` and asks it to
do things, one line of JSON each way. It runs on the cores that its parent may use.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import common

#: A timed block of steps lasts at least this long, seconds, so that the clock does not count.
_BLOCK = 5e-4


class WorkerError(Exception):
    """A worker that ended, or failed; ``missing`` where its contender cannot take part."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class Worker:
    """A contender in a process, from its import to its last step."""

    def __init__(
        self,
        contender: str,
        workload: str,
        optimizer: str,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # Not a pipe: a library that prints much would fill it and wait.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, __file__, contender, workload, optimizer, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**common.clean_environment(), **(environment or {})},
        )

    def ask(self, what: str, **arguments: Any) -> Any:
        """Send a request and return the answer.

        Raises
        ------
        WorkerError
            If there is none.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"what": what, **arguments}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        line = process.stdout.readline()
        if not line:
            status = process.wait()
            self._errors.seek(0)
            text = self._errors.read().strip().rpartition("\n")[2] or "no message"
            raise WorkerError(f"the process ended with {status}: {text}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"], missing=answer["missing"])
        return answer["value"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()


def _serve(name: str, workload: str, optimizer: str, folder: Path, answers: TextIO) -> None:
    """Answer requests until there are no more."""
    import contenders
    import reference
    from workloads import WORKLOADS

    contender: contenders.Contender | None = None
    inner = 1

    def load() -> dict[str, float]:
        contenders.import_for(name)
        return {"resident": _resident()}

    def build() -> float:
        """Build the contender and return the seconds it took."""
        nonlocal contender
        start = time.perf_counter()
        contender = contenders.build(name, WORKLOADS[workload], optimizer)
        return time.perf_counter() - start

    def first_step() -> float:
        """Return the seconds of the first step, with all that is compiled or loaded in it."""
        assert contender is not None
        start = time.perf_counter()
        contender.step()
        return time.perf_counter() - start

    def check() -> None:
        assert contender is not None
        reference.check(contender, workload, reference.reference(workload, optimizer, folder))

    def measure(seconds: float) -> list[float]:
        """Return microseconds a step of blocks of steps, after one that does not count."""
        nonlocal inner
        assert contender is not None
        step = contender.step
        block(step, inner)
        samples: list[float] = []
        end = time.perf_counter() + seconds
        while not samples or time.perf_counter() < end:
            samples.append(block(step, inner) * 1e6)
            inner = max(1, round(_BLOCK / (statistics.median(samples) * 1e-6)))
        return samples

    def memory(steps: int) -> dict[str, float]:
        """Return bytes: the most that steps take, and the most since the process began."""
        assert contender is not None
        ever = _peak()
        _forget_peak()
        for _ in range(steps):
            contender.step()
        stepping = _peak()
        return {"stepping": stepping, "ever": max(ever, stepping)}

    requests: Mapping[str, Callable[..., Any]] = {
        "load": load,
        "build": build,
        "first_step": first_step,
        "check": check,
        "measure": measure,
        "memory": memory,
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer: Any = {"value": requests[request.pop("what")](**request)}
        except contenders.MissingError as error:
            answer = {"error": str(error), "missing": True}
        except Exception as error:  # whatever it is, the parent reports it and goes on
            answer = {"error": f"{type(error).__name__}: {error}", "missing": False}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def block(step: Callable[[], object], inner: int) -> float:
    """Return the seconds of one of ``inner`` steps."""
    start = time.perf_counter()
    for _ in range(inner):
        step()
    return (time.perf_counter() - start) / inner


# -- memory, in bytes ------------------------------------------------------------------------------


def _resident() -> float:
    return _status("VmRSS") or _largest_ever()


def _peak() -> float:
    return _status("VmHWM") or _largest_ever()


def _status(field: str) -> float:
    """Return a field of ``/proc/self/status``, 0 where there is none."""
    file = Path("/proc/self/status")
    if file.exists():
        for line in file.read_text().splitlines():
            if line.startswith(field + ":"):
                return float(line.split()[1]) * 1024.0
    return 0.0


def _forget_peak() -> None:
    """Begin to look for the peak anew (Linux; elsewhere it stays the peak of the process)."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


def _largest_ever() -> float:
    try:
        import resource
    except ImportError:
        return float("nan")
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(largest) * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, workload, optimizer, folder = sys.argv[1:]
    _serve(name, workload, optimizer, Path(folder), answers)


if __name__ == "__main__":
    main()
