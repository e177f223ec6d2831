"""Training steps: isograd, eager and compiled, next to its peers.

``python benchmarks/run.py step`` runs each contender in a process of its own, in turns, and writes
a report; ``pytest benchmarks/bench_step.py`` times with pytest-benchmark. Before anything is timed,
every contender takes the same steps from the same weights, and losses and weights are compared with
the float64 reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import common
import contenders
import pytest
import reference
from worker import Worker, WorkerError
from workloads import WORKLOADS

#: Who runs what where nothing is said; the peers of the last two are for eager steps only.
COMPILERS = ["isograd-numba-compiled", "isograd-numpy-compiled", "jax", "torch-compile"]
EAGER = ["isograd-numba", "isograd-numpy", "torch", "torch-channels-last"]
SMALL = ["autograd", "mygrad"]
#: Who runs on a GPU; ``tools/gpu_report.py`` asks.
ON_GPU = ["isograd-cupy-compiled", "isograd-cupy", "torch-cuda", "torch-cuda-compile"]


def default_contenders(workload: str) -> list[str]:
    """Return who is timed on a workload if nothing is said."""
    if workload == "eager":
        return [*EAGER[:3], *SMALL]
    if workload == "cnn":
        return COMPILERS + EAGER
    return COMPILERS + EAGER[:3]


def optimizers(workload: str, quick: bool) -> list[str]:
    """Return the optimizers that a workload is timed with if nothing is said, its own first."""
    own = WORKLOADS[workload].optimizer
    if quick or own == "plain":
        return [own]
    return [own, *(name for name in ("sgd", "adam") if name != own)]


class StepResult(NamedTuple):
    """What one contender did on one workload.

    Attributes
    ----------
    timing
        Microseconds a step.
    memory
        Bytes above those after the import: the most while stepping, and ever.
    """

    timing: common.Timing
    memory: dict[str, float]


class Race(NamedTuple):
    """All contenders on one workload: results, and why others have none.

    ``missing`` are those that are not installed or cannot do it, ``failed`` those that are wrong or
    broken.
    """

    workload: str
    optimizer: str
    results: dict[str, StepResult]
    missing: dict[str, str]
    failed: dict[str, str]


def race(
    workload: str,
    optimizer: str,
    names: Sequence[str],
    folder: Path,
    *,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> Race:
    """Check the contenders, then time them in turns.

    Parameters
    ----------
    workload, optimizer, names
        Who runs what.
    folder
        Where references are kept.
    rounds, seconds
        How many turns each has, and how long they are at least.
    say
        Told about progress.
    """
    running: dict[str, Worker] = {}
    missing: dict[str, str] = {}
    failed: dict[str, str] = {}
    resident: dict[str, float] = {}

    def attempt(name: str, worker: Worker, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except WorkerError as error:
            (missing if error.missing else failed)[name] = str(error)
            say(f"  {name}: {error}")
            running.pop(name, None)
            worker.close()
            return None

    reference.reference(workload, optimizer, folder)
    try:
        for name in names:
            say(f"  {name}: first step and check")
            worker = running[name] = Worker(name, workload, optimizer, folder)

            def start(name: str = name, worker: Worker = worker) -> None:
                resident[name] = worker.ask("load")["resident"]
                worker.ask("build")
                worker.ask("check")

            attempt(name, worker, start)
        samples: dict[str, list[float]] = {name: [] for name in running}
        for turn in range(rounds):
            order = list(running) if turn % 2 == 0 else list(reversed(running))
            for name in order:
                worker = running[name]
                took = attempt(
                    name, worker, lambda worker=worker: worker.ask("measure", seconds=seconds)
                )
                samples[name] += took or []
        results: dict[str, StepResult] = {}
        for name, worker in list(running.items()):
            peaks = attempt(name, worker, lambda worker=worker: worker.ask("memory", steps=5))
            if peaks is not None:
                above = {key: value - resident[name] for key, value in peaks.items()}
                results[name] = StepResult(common.summary(samples[name]), above)
    finally:
        for worker in running.values():
            worker.close()
    return Race(workload, optimizer, results, missing, failed)


# -- pytest-benchmark ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "name"),
    [(workload, name) for workload in WORKLOADS for name in default_contenders(workload)],
)
def test_step(benchmark: Any, workload: str, name: str, reference_folder: Path) -> None:
    optimizer = WORKLOADS[workload].optimizer
    benchmark.group = f"{workload}: {WORKLOADS[workload].title}, {optimizer}"
    wanted = reference.reference(workload, optimizer, reference_folder)
    try:
        contender = contenders.build(name, WORKLOADS[workload], optimizer)
    except contenders.MissingError as error:
        pytest.skip(f"{name} is missing: {error}")
    reference.check(contender, workload, wanted)
    benchmark(contender.step)
