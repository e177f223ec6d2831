"""What races mean: tables, next to what was promised, and JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import common
from bench_step import Race
from workloads import WORKLOADS

#: What a step must reach against the fastest peer, as a factor, with the workload's own optimizer.
TARGETS = {"tiny": 5.0, "digits": 4.0, "mlp": 1.4, "cnn": 2.0, "gpt": 2.0, "lstm": 1.4}
MEAN_TARGET = 2.5

#: Workloads whose steps are mostly matrix products, to compare with what GEMM itself reaches.
GEMM_BOUND = ("mlp", "cnn", "gpt", "lstm")


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
    rows = [row for race in races if (row := _summary_row(race, roof))]
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
    promised = [factor for race in races if _target(race) and (factor := speedup(race))]
    if len(promised) > 1:
        mean = math.exp(sum(map(math.log, promised)) / len(promised))
        lines += [
            "",
            f"Geometric mean of {len(promised)} workloads: {mean:.2f}x (wanted of all six: "
            f"{MEAN_TARGET}x).",
        ]
    return lines


def _target(race: Race) -> float | None:
    """Return what was promised of a race, if anything."""
    usual = race.optimizer == WORKLOADS[race.workload].optimizer
    return TARGETS.get(race.workload) if usual else None


def _summary_row(race: Race, roof: float | None) -> list[str]:
    """Return the row of a race, nothing where one side is missing."""
    mine, peer = best(race, ours=True), best(race, ours=False)
    if mine is None or peer is None:
        return []
    target, torch = _target(race), race.results.get("torch")
    with_share = roof is not None and race.workload in GEMM_BOUND
    return [
        f"{race.workload}, {race.optimizer}",
        f"{mine}: {number(race.results[mine].timing.median)} us",
        f"{peer}: {number(race.results[peer].timing.median)} us",
        f"{speedup(race):.2f}x",
        f"{speedup(race, 'best'):.2f}x",
        f"{target:.1f}x" if target else "",
        f"{gemm_share(race, mine, roof or math.nan):.0%}" if with_share else "",
        f"{race.results[mine].memory['stepping'] / torch.memory['stepping']:.2f}" if torch else "",
    ]


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
