"""Ring 3: the op table on the GPU's device, through real CuPy."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest

from isograd.testing.harness import applies, check_op
from isograd.testing.op_db import OP_DB, OpSpec
from isograd.testing.op_db.complexes import COMPLEXES
from isograd.testing.op_db.fourier import FOURIER

CHECKS = ("forward", "extreme", "layouts", "backends", "errors")
#: What CI runs: everything in its values, and float32 in the other checks. All is for `-- --full`.
FULL = os.environ.get("ISOGRAD_CUDA_FULL") == "1"
#: Rows of functions that show what primitives make of complex numbers.
COMPLEX = [("forward", spec) for spec in (*COMPLEXES, *FOURIER)]

CASES = [
    pytest.param(spec, check, id=f"{spec.name}-{check}")
    for spec, check in itertools.product(OP_DB, CHECKS)
    if applies(spec, check) and (spec.primitive or FULL or (check, spec) in COMPLEX)
]


@pytest.mark.parametrize(("spec", "check"), CASES)
def test_row(spec: OpSpec, check: str, record_property: Any) -> None:
    if FULL or check in ("forward", "errors"):
        cells = list(check_op(spec, check, "cupy"))
    else:
        one = "float32" if "float32" in spec.dtypes else spec.dtypes[0]
        cells = list(check_op(spec, check, "cupy", (one,)))
    record_property("cells", len(cells))
    assert cells, f"{check} says nothing about {spec.name}"
    wrong = [str(cell) for cell in cells if not cell.ok]
    assert not wrong, "\n".join(wrong)
