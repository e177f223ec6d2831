"""Leave out the tests of the commands where their packages are missing; test_main.py says so."""

from __future__ import annotations

from importlib.util import find_spec

MISSING = [name for name in ("typer", "rich") if find_spec(name) is None]

collect_ignore = (
    [
        "test_app.py",
        "test_check.py",
        "test_conform.py",
        "test_console.py",
        "test_demo.py",
        "test_diff.py",
        "test_doctor.py",
        "test_graph.py",
        "test_interrupted.py",
    ]
    if MISSING
    else []
)
