"""Print the figures of `bench_dispatch` and `bench_step`, and write them as JSON and Markdown.

``python benchmarks/run.py [--quick] [--out FOLDER]``. Starts itself again without the variables
that force BLAS kernels where they are set.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import common


def dispatch_report(quick: bool) -> tuple[dict[str, Any], list[str]]:
    """Measure and describe the cost of one operation and of the import."""
    import bench_dispatch

    bind = bench_dispatch.measure_bind(rounds=10 if quick else 60, inner=500 if quick else 2000)
    imports = bench_dispatch.measure_import(runs=5 if quick else 15)
    lines = [
        "## One operation",
        "",
        "Median microseconds a call of an addition, float32 (as a multiple of NumPy's).",
        "",
    ]
    results: dict[str, Any] = {"bind": {}, "import_ms": imports}
    cases: list[str] = []
    columns: list[str] = []
    cells: dict[tuple[str, str], str] = {}
    for backend, shapes in bind.items():
        results["bind"][backend] = {}
        for shape, timings in shapes.items():
            results["bind"][backend][shape] = {case: t._asdict() for case, t in timings.items()}
            columns.append(f"{backend}, {shape}")
            cases = list(timings)
            for case, t in timings.items():
                ratio = t.median / timings["NumPy's add"].median
                cells[case, columns[-1]] = f"{t.median:.2f} ({ratio:.1f}x)"
    lines += markdown_table(
        ["", *columns], [[case, *(cells[case, c] for c in columns)] for case in cases]
    )
    lines += ["", "## Import", "", "Median milliseconds in fresh processes.", ""]
    lines += markdown_table(["", "ms"], [[name, f"{ms:.1f}"] for name, ms in imports.items()])
    return results, lines


def step_report(quick: bool) -> tuple[dict[str, Any], list[str]]:
    """Measure and describe the training step next to its peers."""
    import bench_step

    timings, missing = bench_step.measure_step(
        rounds=10 if quick else 80, inner=10 if quick else 25
    )
    ours = {name: t for name, t in timings.items() if name.startswith("isograd")}
    ratios = {
        name: {peer: ours[name].median / t.median for peer, t in timings.items()} for name in ours
    }
    lines = [
        "## One training step",
        "",
        "64-64-64-1 with tanh, batch 1, mean squared error, SGD, float32, all in one process and "
        f"in turns. The first {bench_step.CHECKED_STEPS} losses of each agree with a float64 "
        "reference. "
        "Median microseconds a step (quartiles), and isograd's time as a multiple of the row's.",
        "",
    ]
    header = ["", "us a step", *(f"{name} / row" for name in ours)]
    rows = [
        [
            name,
            f"{t.median:.0f} ({t.low:.0f}-{t.high:.0f})",
            *(f"{ratios[mine][name]:.2f}" for mine in ours),
        ]
        for name, t in timings.items()
    ]
    lines += markdown_table(header, rows)
    lines += [f"\nNot measured: {name} ({reason})." for name, reason in missing.items()]
    results = {
        "us": {name: t._asdict() for name, t in timings.items()},
        "ratios": ratios,
        "missing": missing,
    }
    return results, lines


def facts_report(facts: Mapping[str, Any]) -> list[str]:
    """Describe the machine."""
    lines: list[str] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = "; ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in value)
        lines.append(f"- {name}: {value}")
    return lines


def markdown_table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table whose columns line up as plain text too."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        return (
            "| "
            + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            + " |"
        )

    return [line(header), line(["-" * width for width in widths]), *map(line, rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds: a look, not a figure to quote"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(".benchmarks"),
        help="folder for results.json and results.md",
    )
    options = parser.parse_args()
    if common.forced():
        os.execve(sys.executable, [sys.executable, *sys.argv], common.clean_environment())

    facts = common.machine_facts()
    dispatch, dispatch_lines = dispatch_report(options.quick)
    step, step_lines = step_report(options.quick)
    page = "\n".join(
        ["# Benchmarks", "", *facts_report(facts), "", *dispatch_lines, "", *step_lines, ""]
    )
    print(page)
    options.out.mkdir(parents=True, exist_ok=True)
    results = {"machine": facts, "dispatch": dispatch, "step": step, "quick": options.quick}
    (options.out / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    (options.out / "results.md").write_text(page, "utf-8")
    print(f"written to {options.out}/results.json and {options.out}/results.md")


if __name__ == "__main__":
    main()
