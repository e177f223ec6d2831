"""The conformance kit as tests: one for each group and operation.

``pytest --pyargs isograd.testing.conformance --isograd-backend pkg.mod:factory``
"""

from __future__ import annotations

import functools

import pytest

from isograd.backend import Backend
from isograd.testing.conformance.groups import run_group
from isograd.testing.differ.targets import parse_side

__all__ = ["test_backend"]


@functools.cache
def _backend(factory: str) -> Backend:
    return parse_side(factory).backend


def test_backend(isograd_cell: tuple[str, str, str]) -> None:
    """Ask one thing of the backend: a group of one operation, or of the backend as a whole."""
    factory, group, op = isograd_cell
    failures: list[str] = []
    for _, cells in run_group(_backend(factory), group, None if op == "*" else [op]):
        failures += [str(cell) for cell in cells if not cell.ok]
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)
