"""Every check that is generated from the op table, on every backend, in every dtype of each row."""

from __future__ import annotations

import itertools

import pytest

import isograd as ig
from isograd.testing.checks import CHECKS
from isograd.testing.harness import applies, check_op
from isograd.testing.op_db import OP_DB, OpSpec, missing

CASES = [
    pytest.param(spec, check, id=f"{spec.name}-{check}")
    for spec, check in itertools.product(OP_DB, CHECKS)
    if applies(spec, check)
]


@pytest.mark.parametrize(("spec", "check"), CASES)
def test_row(spec: OpSpec, check: str, backend: str) -> None:
    # Code is written for each dtype in the same way: one is compiled here, `isograd check` has all.
    one = "float32" if "float32" in spec.dtypes else spec.dtypes[0]
    cells = list(check_op(spec, check, backend, (one,) if check.startswith("compiled") else None))
    assert cells, f"{check} says nothing about {spec.name}"
    wrong = [str(cell) for cell in cells if not cell.ok]
    assert not wrong, "\n".join(wrong)


def test_every_primitive_has_a_row() -> None:
    assert missing() == []


def test_a_primitive_without_a_row_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ig.ops.PRIMITIVES, "cube", ig.ops.PRIMITIVES["square"])
    assert missing() == ["cube"]


def test_names_are_unique_and_primitives_exist() -> None:
    names = [spec.name for spec in OP_DB]
    assert len(set(names)) == len(names)
    assert {spec.name for spec in OP_DB if spec.primitive} == set(ig.ops.PRIMITIVES)


def test_every_row_has_samples_in_each_of_its_dtypes() -> None:
    import numpy as np

    from isograd.core.dtypes import as_dtype

    for spec in OP_DB:
        for dtype in spec.dtypes:
            samples = list(spec.samples(np.random.default_rng(0), as_dtype(dtype)))
            assert samples, (spec.name, dtype)
            if spec.grad_args and dtype == "float64":
                assert any(s.grad for s in samples), spec.name


def test_second_derivatives_are_checked_unless_the_first_is_piecewise_constant() -> None:
    first_only = {spec.name for spec in OP_DB if spec.grad_args and spec.order < 2}
    assert first_only == {
        "sign",
        "floor",
        "ceil",
        "trunc",
        "round",
        "floor_divide",
        "remainder",
        "copysign",
        "astype",
        "relu_grad",
        "isograd.linalg.vector_norm",
        "isograd.linalg.det, singular",
        "isograd.linalg.matrix_norm, 1",
        "isograd.linalg.matrix_norm, -1",
        "isograd.linalg.matrix_norm, inf",
        "isograd.linalg.matrix_norm, -inf",
    }


# Public functions without a row of their own, and what checks them instead.
COVERED = {
    "aliases of a row": """
        arccos arccosh arcsin arcsinh arctan arctan2 arctanh slice_axis strided_slice""",
    "answers in Python's bool": "allclose array_equal",
    "creation, conversion and queries, which the engine's own tests check": """
        __array_namespace_info__ can_cast result_type
        arange asarray astype at broadcast_shapes empty empty_like eye from_dlpack from_numpy full
        full_like iscomplexobj isrealobj linspace ones ones_like positive tensor to zeros
        zeros_like""",
}


def test_every_public_function_has_a_row_or_is_listed() -> None:
    rows = {spec.name.removeprefix("isograd.").removeprefix("linalg.") for spec in OP_DB}
    rows |= {prim.public for prim in ig.ops.PRIMITIVES.values()}
    public = {
        name
        for name in ig.ops.__all__
        if callable(getattr(ig, name)) and not isinstance(getattr(ig, name), type)
    }
    listed = {name for names in COVERED.values() for name in names.split()}
    assert public - rows - listed == set()
