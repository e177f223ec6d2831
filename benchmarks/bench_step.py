"""Training steps: isograd, eager and compiled, next to its peers.

``python benchmarks/run.py step`` runs each contender in a process of its own, in turns, and writes
a report; ``pytest benchmarks/bench_step.py`` times with pytest-benchmark. Before anything is timed,
every contender takes the same steps from the same weights, and losses and weights are compared with
the float64 reference.
"""

from __future__ import annotations

import math
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

#: What a step must reach against the fastest peer, as a factor, with the workload's own optimizer.
TARGETS = {"tiny": 5.0, "digits": 4.0, "mlp": 1.4, "cnn": 2.0, "gpt": 2.0, "lstm": 1.4}
MEAN_TARGET = 2.5

#: What the smallest step must reach against PyTorch eager.
TINY_TARGET = 40.0

#: Workloads whose steps are mostly matrix products, to compare with what GEMM itself reaches.
GEMM_BOUND = ("mlp", "cnn", "gpt", "lstm")


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


# -- what it means ---------------------------------------------------------------------------------


def best(race: Race, *, ours: bool) -> str | None:
    """Return the fastest contender of ours, or of the peers."""
    names = [name for name in race.results if name.startswith("isograd") == ours]
    return min(names, key=lambda name: race.results[name].timing.median, default=None)


def speedup(race: Race, figure: str = "median") -> float | None:
    """Return how many times faster our fastest is than the fastest peer."""
    fastest = {
        ours: min(
            (
                getattr(result.timing, figure)
                for name, result in race.results.items()
                if name.startswith("isograd") == ours
            ),
            default=None,
        )
        for ours in (True, False)
    }
    mine, peer = fastest[True], fastest[False]
    return None if mine is None or peer is None else peer / mine


def gemm_share(race: Race, name: str, roof: float) -> float:
    """Return the step's matrix products a second as a part of what GEMM itself reaches."""
    flops = WORKLOADS[race.workload].gemm_flops
    return flops / (race.results[name].timing.median * 1e-6) / roof


def race_lines(race: Race, roof: float | None) -> list[str]:
    """Describe one workload."""
    mine = best(race, ours=True)
    lines = ["", f"### {race.workload}: {WORKLOADS[race.workload].title}, {race.optimizer}", ""]
    header = ["", "us a step", "quartiles", "least", "factor", "MB stepping", "MB ever"]
    with_share = roof is not None and race.workload in GEMM_BOUND
    rows: list[list[str]] = []
    for name, (timing, memory) in sorted(race.results.items(), key=lambda item: item[1].timing):
        factor = timing.median / race.results[mine].timing.median if mine else math.nan
        rows.append(
            [
                name,
                number(timing.median),
                f"{number(timing.low)}-{number(timing.high)}",
                number(timing.best),
                f"{factor:.2f}",
                f"{memory['stepping'] / 1e6:.0f}",
                f"{memory['ever'] / 1e6:.0f}",
            ]
        )
        if with_share:
            rows[-1].append(f"{gemm_share(race, name, roof or math.nan):.0%}")
    lines += common.markdown_table([*header, *(["of GEMM"] if with_share else [])], rows)
    for kind, reasons in (("Missing", race.missing), ("FAILED", race.failed)):
        lines += [f"\n{kind}: {name} ({reason})." for name, reason in reasons.items()]
    return lines


def summary_lines(races: Sequence[Race], roof: float | None) -> list[str]:
    """Describe all workloads next to what was promised."""
    rows: list[list[str]] = []
    notes: list[str] = []
    promised: list[float] = []
    for race in races:
        mine, peer, factor = best(race, ours=True), best(race, ours=False), speedup(race)
        if mine is None or peer is None or factor is None:
            continue
        target = TARGETS.get(race.workload)
        if target and race.optimizer == WORKLOADS[race.workload].optimizer:
            promised.append(factor)
        share = (
            f"{gemm_share(race, mine, roof):.0%}"
            if roof is not None and race.workload in GEMM_BOUND
            else ""
        )
        torch = race.results.get("torch")
        if torch and race.workload == "tiny":
            over = torch.timing.median / race.results[mine].timing.median
            notes.append(
                f"{race.workload}, {race.optimizer}: {over:.0f}x faster than PyTorch eager (wanted "
                f"{TINY_TARGET:.0f}x)."
            )
        used = race.results[mine].memory["stepping"]
        rows.append(
            [
                f"{race.workload}, {race.optimizer}",
                f"{mine}: {number(race.results[mine].timing.median)} us",
                f"{peer}: {number(race.results[peer].timing.median)} us",
                f"{factor:.2f}x",
                f"{speedup(race, 'best') or math.nan:.2f}x",
                f"{target:.1f}x" if target else "",
                share,
                f"{used / torch.memory['stepping']:.2f}" if torch else "",
            ]
        )
    if not rows:
        return []
    header = [
        "",
        "our fastest",
        "fastest peer",
        "faster by",
        "by the least",
        "wanted",
        "of GEMM",
        "memory / torch",
    ]
    lines = ["", *common.markdown_table(header, rows)]
    if len(promised) > 1:
        mean = math.exp(sum(map(math.log, promised)) / len(promised))
        notes.append(
            f"Geometric mean of {len(promised)} workloads: {mean:.2f}x (wanted of all six: "
            f"{MEAN_TARGET}x)."
        )
    return lines + [line for note in notes for line in ("", note)]


def number(value: float) -> str:
    """Return microseconds with three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def as_json(race: Race) -> dict[str, Any]:
    """Return a race as JSON has it."""
    return {
        "workload": race.workload,
        "optimizer": race.optimizer,
        "gemm_flops": WORKLOADS[race.workload].gemm_flops,
        "results": {
            name: {"us": timing._asdict(), "bytes": memory}
            for name, (timing, memory) in race.results.items()
        },
        "faster_than_the_fastest_peer": {
            figure: speedup(race, figure) for figure in ("median", "best")
        },
        "missing": race.missing,
        "failed": race.failed,
    }


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
