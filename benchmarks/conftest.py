"""Refuse to time under variables that force slower BLAS kernels, and print what the machine is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import common


def pytest_configure(config: pytest.Config) -> None:
    names = common.forced()
    if names:
        pytest.exit(
            f"benchmarks: {' and '.join(names)} would force BLAS kernels; unset them, or run "
            "`python benchmarks/run.py`",
            returncode=3,
        )


def pytest_report_header(config: pytest.Config) -> list[str]:
    facts = common.machine_facts()
    return [f"{name}: {value}" for name, value in facts.items()]


@pytest.fixture(scope="session")
def reference_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where references are kept during the run."""
    return tmp_path_factory.mktemp("reference")
