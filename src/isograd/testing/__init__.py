"""Checking: the table of operations, what is generated from it, and checks of users' own functions.

- `gradcheck`: a gradient against numeric derivatives
- `diff`: two backends over a training step, operation by operation, and who is wrong
- `record`: a step in one file, to compare with elsewhere
- `cross_check`: a function or module on every backend against float64
- `assert_resume_exact`: a training that is killed and resumed, bit for bit
- `run_checks`: the table of operations across backends, as ``isograd check`` runs it
- `isograd.testing.op_db`, `isograd.testing.edge_policy`, `isograd.testing.tolerances`: the data
"""

from __future__ import annotations

from isograd.testing.cross_check import CrossCheckEntry, CrossCheckReport, cross_check
from isograd.testing.differ import (
    DiffReport,
    RecordingError,
    Run,
    TargetError,
    diff,
    read_recording,
    record,
    write_recording,
)
from isograd.testing.gradcheck import GradcheckFailure, GradcheckReport, GradientError, gradcheck
from isograd.testing.harness import available_backends, run_checks
from isograd.testing.report import Cell, Report
from isograd.testing.resume import ResumeReport, assert_resume_exact
from isograd.testing.tolerances import Comparison, Tolerance, compare, tolerance

__all__ = [
    "Cell",
    "Comparison",
    "CrossCheckEntry",
    "CrossCheckReport",
    "DiffReport",
    "GradcheckFailure",
    "GradcheckReport",
    "GradientError",
    "RecordingError",
    "Report",
    "ResumeReport",
    "Run",
    "TargetError",
    "Tolerance",
    "assert_resume_exact",
    "available_backends",
    "compare",
    "cross_check",
    "diff",
    "gradcheck",
    "read_recording",
    "record",
    "run_checks",
    "tolerance",
    "write_recording",
]
