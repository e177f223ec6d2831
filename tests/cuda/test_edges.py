"""Ring 3: the edge policy on the GPU's device."""

from __future__ import annotations

import os
from typing import Any

import pytest

from isograd.testing.edge_checks import check_row
from isograd.testing.edge_policy import EDGE_ROWS, EdgeRow

FULL = os.environ.get("ISOGRAD_CUDA_FULL") == "1"


#: In CI every fourth row.
ROWS = EDGE_ROWS if FULL else EDGE_ROWS[1::4]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.case)
@pytest.mark.parametrize("dtype", ["float32", *["float64"] * FULL])
def test_row(row: EdgeRow, dtype: str, record_property: Any) -> None:
    cell = check_row(row, "cupy", dtype)
    record_property("edges", cell.count)
    assert cell.ok, cell.message
