"""What all tests share: the backends they run on, their seeds, and reproducible property tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import settings

import isograd as ig

REQUIRED = frozenset(filter(None, os.environ.get("ISOGRAD_REQUIRE_BACKENDS", "").split(",")))
BACKENDS = ("numpy", "numba")
_NEEDS = {"numba": "numba"}

# A failure prints its example; in CI every run draws the same ones.
settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def _installed(name: str) -> bool:
    return name in REQUIRED or find_spec(_NEEDS.get(name, "numpy")) is not None


@pytest.fixture(params=[name for name in BACKENDS if _installed(name)])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once on every backend that is installed.

    Where one is missing, tests/backend/test_presence.py has the one skip that says so.
    """
    try:
        active = ig.use_backend(request.param)
    except ig.BackendUnavailableError as reason:
        if request.param in REQUIRED:
            pytest.fail(f"backend {request.param!r} is required and missing: {reason}")
        pytest.skip(f"backend {request.param!r}: {reason}")
    with active:
        yield request.param


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same random state."""
    ig.random.manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return NumPy's generator, seeded."""
    return np.random.default_rng(0)


def pytest_report_header() -> list[str]:
    """Name the backends and, where one cannot run, the reason."""
    return [
        f"isograd backend {record.device}.{record.name}: {record.version or record.reason}"
        for record in ig.backends()
    ]
