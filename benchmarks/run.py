"""Run the benchmarks: a report on the screen; JSON, Markdown and a picture in a folder.

``python benchmarks/run.py [SUITE ...] [OPTIONS]``; without a suite, all of them. Starts itself
again without the variables that force BLAS kernels where they are set. Exits with 1 if a contender
computes something else than the reference.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bench_compile
import bench_dispatch
import bench_layers
import bench_roof
import bench_step
import common
import picture
import report
from contenders import CONTENDERS
from rules import RULES
from workloads import WORKLOADS

SUITES = ("step", "compile", "layers", "dispatch")


def say(text: str) -> None:
    """Tell about progress."""
    print(text, file=sys.stderr, flush=True)


def run_step(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Race all contenders, with the GEMM roof of the same minutes."""
    races: list[bench_step.Race] = []
    roofs = [bench_roof.measure_roof(seconds=0.1 if options.quick else 0.4)]
    for workload in options.workloads:
        names = options.contenders or [
            name
            for name in bench_step.default_contenders(workload)
            if not (options.quick and name == "torch-compile")
        ]
        for optimizer in options.optimizers or bench_step.optimizers(workload, options.quick):
            say(f"{workload}, {optimizer}")
            races.append(
                bench_step.race(
                    workload,
                    optimizer,
                    names,
                    options.out / "reference",
                    rounds=3 if options.quick else 12,
                    seconds=0.1 if options.quick else 0.3,
                    say=say,
                )
            )
        if workload in report.GEMM_BOUND:
            roofs.append(bench_roof.measure_roof(seconds=0.1 if options.quick else 0.4))
    roof = bench_roof.highest(*roofs)
    lines = [
        "## Training steps",
        "",
        f"Float32, each contender in a process of its own, in turns. The first "
        f"{bench_step.reference.STEPS} steps of each agree with a float64 reference. Medians of "
        "microseconds; the factor is the time relative to isograd's fastest. Memory is what the "
        "process has beyond its imports.",
        *report.summary_lines(races, roof),
    ]
    for race in races:
        lines += report.race_lines(race, roof)
    lines += ["", *bench_roof.roof_lines(roofs)]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "steps.svg").write_text(picture.picture(races), "utf-8")
    lines += ["", "![Times of training steps](steps.svg)"]
    return {"roof_flops": roof, "races": [report.as_json(race) for race in races]}, lines


def run_compile(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Measure first steps."""
    names = options.contenders or [
        name for name in bench_compile.DEFAULT if not (options.quick and name == "torch-compile")
    ]
    results = bench_compile.measure_compile(options.workloads, names, say=say)
    return results, bench_compile.compile_lines(results)


def run_layers(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Measure small steps with each kind of layer."""
    return bench_layers.measure(list(bench_layers.CASES), quick=options.quick, say=say)


def run_dispatch(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Measure the cost of one operation and of the import."""
    say("dispatch and import")
    return bench_dispatch.measure(quick=options.quick)


def facts_lines(facts: Mapping[str, Any]) -> list[str]:
    """Describe the machine."""
    lines: list[str] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = "; ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in value)
        lines.append(f"- {name}: {value}")
    return lines


def options_of(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""

    def names(known: Mapping[str, Any]) -> Any:
        def read(text: str) -> list[str]:
            found = text.split(",")
            for name in found:
                if name not in known:
                    raise argparse.ArgumentTypeError(
                        f"{name!r} is none of {', '.join(known)}; name them with commas between"
                    )
            return found

        return read

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}")
    parser.add_argument(
        "--workloads", type=names(WORKLOADS), default=list(WORKLOADS), help=", ".join(WORKLOADS)
    )
    parser.add_argument("--contenders", type=names(CONTENDERS), help=", ".join(CONTENDERS))
    parser.add_argument("--optimizers", type=names(RULES), help=", ".join(RULES))
    parser.add_argument(
        "--cores",
        type=int,
        metavar="N",
        help="use N cores only: 1 is less disturbed where other programs run",
    )
    parser.add_argument("--quick", action="store_true", help="a look, not a figure to quote")
    parser.add_argument("--out", type=Path, default=Path(".benchmarks"), help="folder for results")
    options = parser.parse_args(arguments)
    unknown = [suite for suite in options.suites if suite not in SUITES]
    if options.cores is not None and not hasattr(os, "sched_setaffinity"):
        parser.error("--cores needs an operating system that can bind processes to cores")
    if unknown:
        parser.error(f"unknown suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    return options


def main() -> int:
    """Run what was asked for; return the exit status."""
    options = options_of(sys.argv[1:])
    if common.forced():
        os.execve(sys.executable, [sys.executable, *sys.argv], common.clean_environment())
    if options.cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    run = {"step": run_step, "compile": run_compile, "layers": run_layers, "dispatch": run_dispatch}
    facts = common.machine_facts()
    results: dict[str, Any] = {"machine": facts, "quick": options.quick}
    page = ["# Benchmarks", "", *facts_lines(facts)]
    for suite in options.suites or SUITES:
        results[suite], lines = run[suite](options)
        page += ["", *lines]
    text = "\n".join([*page, ""])
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    (options.out / "results.md").write_text(text, "utf-8")
    say(f"written to {options.out}: results.json, results.md")
    races = results.get("step", {}).get("races", [])
    wrong = any("failed" in found for found in results.get("layers", {}).values())
    return 1 if wrong or any(race["failed"] for race in races) else 0


if __name__ == "__main__":
    sys.exit(main())
