"""The process that `assert_resume_exact` starts, and that kills itself at a given point.

Called with the source file, the function's name, the folder, the file of arguments, that of the
result, and the point: ``save N`` is just before the N-th file gets its name, ``batch N`` just
before the N-th batch is handed out; empty for none.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import Any

from isograd.data import DataLoader
from isograd.io import load_tree, save_tree

__all__ = ["main"]


def main(source: str, name: str, folder: str, arguments: str, result: str, point: str) -> None:
    """Run the training, and save what it returned with the counts of saves and batches."""
    counts = {"save": 0, "batch": 0}
    inside = str(Path(folder).resolve())

    def count(event: str) -> None:
        counts[event] += 1
        if f"{event} {counts[event]}" == point:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event == "os.rename" and str(Path(os.fsdecode(args[1])).resolve()).startswith(inside):
            count("save")

    placed = DataLoader._placed  # pyright: ignore[reportPrivateUsage]

    def counted(self: DataLoader, batch: Any) -> Any:
        count("batch")
        return placed(self, batch)

    DataLoader._placed = counted  # pyright: ignore[reportPrivateUsage]
    sys.addaudithook(audit)
    spec = importlib.util.spec_from_file_location("isograd_resumed", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["isograd_resumed"] = module
    spec.loader.exec_module(module)
    train = module
    for part in name.split("."):
        train = getattr(train, part)
    returned = train(Path(folder), *load_tree(arguments))  # pyright: ignore[reportCallIssue, reportUnknownVariableType]
    save_tree({"counts": dict(counts), "result": returned}, result)


if __name__ == "__main__":
    main(*sys.argv[1:])
