"""Order of the generated tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the rows of one operation on all backends together: they share references and samples."""
    first: dict[object, int] = {}

    def place(numbered: tuple[int, pytest.Item]) -> int:
        number, item = numbered
        callspec = getattr(item, "callspec", None)
        spec = None if callspec is None else callspec.params.get("spec")
        return number if spec is None else first.setdefault(spec, number)

    items[:] = [item for _, item in sorted(enumerate(items), key=place)]
