"""The process that runs one group: a backend that crashes takes this one with it, not the report.

Prints a line of JSON before each operation and after it, so that the parent knows which one was
running when the process died. Called as ``python -m isograd.testing.conformance.worker FACTORY
GROUP [OPERATION ...]``.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence

from isograd.testing.conformance.groups import operations_of, run_group
from isograd.testing.differ.targets import parse_side
from isograd.testing.report import number

__all__ = ["main"]


def main(arguments: Sequence[str]) -> None:
    """Run a group and print what it found."""
    factory, group, *ops = arguments
    backend = parse_side(factory).backend
    for op in ops or operations_of(group):
        _say({"start": op})
        for _, cells in run_group(backend, group, [op]):
            rows = [{**dataclasses.asdict(c), "error": number(c.error)} for c in cells]
            _say({"done": op, "cells": rows})


def _say(line: object) -> None:
    # What the backend itself prints goes to standard error.
    print(json.dumps(line), file=_REPORT, flush=True)


_REPORT = sys.stdout

if __name__ == "__main__":
    sys.stdout = sys.stderr
    main(sys.argv[1:])
