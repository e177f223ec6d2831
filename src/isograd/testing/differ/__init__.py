"""Who parts from whom in two runs of a model, and who is wrong.

- `diff`: two sides over a training step, operation by operation
- `record`, `write_recording`, `read_recording`: a run, and its file
- `rerun`: one operation on one side, as reproducers call it
"""

from __future__ import annotations

from isograd.testing.differ.engine import diff, record
from isograd.testing.differ.layout import Layout
from isograd.testing.differ.recording import RecordingError, read_recording, write_recording
from isograd.testing.differ.report import DiffReport, Entry
from isograd.testing.differ.reproducer import array, rerun
from isograd.testing.differ.run import Operation, Run
from isograd.testing.differ.targets import TargetError
from isograd.testing.differ.training import read_inputs
from isograd.testing.differ.verdict import Verdict

__all__ = [
    "DiffReport",
    "Entry",
    "Layout",
    "Operation",
    "RecordingError",
    "Run",
    "TargetError",
    "Verdict",
    "array",
    "diff",
    "read_inputs",
    "read_recording",
    "record",
    "rerun",
    "write_recording",
]
