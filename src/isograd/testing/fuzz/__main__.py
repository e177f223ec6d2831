"""``python -m isograd.testing.fuzz --programs 1000 --seed 0``: exit status 1 on a failure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from isograd.testing.fuzz.check import Counts, Failure, fuzz


def main(arguments: Sequence[str] | None = None) -> int:
    """Check random programs, print progress and failures; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m isograd.testing.fuzz",
        description="Check random programs: compiled against eager, backend against backend.",
    )
    parser.add_argument("--programs", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--backend", action="append", help="a backend; may be repeated")
    parser.add_argument("--no-shrink", action="store_true", help="leave failing programs as large")
    options = parser.parse_args(arguments)
    seen = 0

    def progress(counts: Counts, failures: list[Failure]) -> None:
        nonlocal seen
        for failure in failures[seen:]:
            sys.stdout.write(f"{failure}\n\n")
        seen = len(failures)
        if counts.programs % max(1, min(500, options.programs // 10)) == 0:
            line = f"{counts.programs} of {options.programs} programs, {seen} failures"
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    report = fuzz(
        options.programs,
        options.seed,
        backends=options.backend,
        shrinking=not options.no_shrink,
        progress=progress,
    )
    sys.stdout.write(str(report).partition("\n")[0] + "\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
