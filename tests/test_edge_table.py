"""The edge policy: every row on every backend, in float64 and float32, in every layout."""

from __future__ import annotations

import numpy as np
import pytest

from isograd.testing.edge_checks import check_row
from isograd.testing.edge_policy import EDGE_ROWS, POLICIES, EdgeCase, EdgeRow


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("row", EDGE_ROWS, ids=[row.case for row in EDGE_ROWS])
def test_row(row: EdgeRow, dtype: str, backend: str) -> None:
    cell = check_row(row, backend, dtype)
    assert cell.ok, str(cell)
    assert cell.count >= len(row.cases) + len(row.claims)


def test_every_row_is_checked_and_names_a_policy() -> None:
    for row in EDGE_ROWS:
        assert row.cases or row.claims, row.case
        assert row.expected, row.case
        assert row.policy == "" or row.policy in POLICIES, row.case
    used = {row.policy for row in EDGE_ROWS}
    assert used >= set(POLICIES)


def test_layouts_are_tried() -> None:
    row = EdgeRow(
        "square at 1, 2", "", cases=(EdgeCase(lambda x: x * x, ([1.0, 2.0],), [1.0, 4.0]),)
    )
    assert check_row(row, "numpy", "float64").count > 3


@pytest.mark.parametrize(
    "case",
    [
        EdgeCase(lambda x: x * 1.0, ([0.0, 2.0],), [0.0, 2.5]),
        EdgeCase(lambda x: x * 1.0, ([1.0],), [np.nan]),
        EdgeCase(lambda x: x * 2.0, ([1.0],), [2.0], ([1.0],)),
        EdgeCase(lambda x: x * 2.0, ([1.0],), [2.0], warns=True),
        EdgeCase(lambda x: x[5], ([1.0],), 1.0),
    ],
    ids=["value", "NaN", "gradient", "missing warning", "exception"],
)
def test_a_row_that_does_not_hold_fails(case: EdgeCase) -> None:
    cell = check_row(EdgeRow("planted", "", cases=(case,)), "numpy", "float64")
    assert cell.verdict == "fail"
    assert cell.message


def test_a_claim_that_does_not_hold_fails() -> None:
    row = EdgeRow("planted", "", claims=(lambda dtype: f"wrong in {dtype}",))
    assert check_row(row, "numpy", "float32").message == "wrong in float32"
