"""Tolerances, numeric derivatives, layouts, reports and the way checks are run."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import isograd as ig
from isograd.testing import Cell, Report, available_backends, compare, run_checks, tolerance
from isograd.testing.harness import applies, dtypes_for
from isograd.testing.layouts import LAYOUTS, place, values_in
from isograd.testing.numeric import random_cotangent, random_direction, slope
from isograd.testing.op_db import OP_DB
from isograd.testing.tolerances import OVERRIDES, TABLE, epsilon

EPS = epsilon("float32")
INF, NAN = math.inf, math.nan


# -- tolerances ------------------------------------------------------------------------------------


def test_the_table_is_that_of_the_numerics_page() -> None:
    assert tolerance("elementwise").factor(100) == 8.0
    assert tolerance("sum").factor(100) == 40.0
    assert tolerance("exact").exact
    assert all(row.reason for row in (*TABLE.values(), *OVERRIDES.values()))
    assert {op for op, _ in OVERRIDES} <= {spec.name for spec in OP_DB}


@pytest.mark.parametrize(("units", "ok"), [(7.5, True), (8.5, False)])
def test_an_elementwise_error_counts_in_eps(units: float, ok: bool) -> None:
    reference = np.array([1.0, 100.0])
    value = (reference * (1 + units * EPS)).astype(np.float64)
    found = compare(value, reference, tolerance=TABLE["elementwise"], dtype="float32")
    assert found.ok is ok
    np.testing.assert_allclose(found.largest, units / 8, rtol=1e-3)
    np.testing.assert_allclose(found.units, units, rtol=1e-3)


def test_the_baseline_widens_the_bound() -> None:
    value = np.array([1.0 + 20 * EPS])
    rule = TABLE["elementwise"]
    assert not compare(value, np.ones(1), tolerance=rule, dtype="float32").ok
    assert compare(value, np.ones(1), tolerance=rule, dtype="float32", baseline=4.0).ok


def test_terms_and_scale_widen_the_bound_of_a_sum() -> None:
    value, reference = np.array([1e-3 + 50 * EPS]), np.array([1e-3])
    rule = TABLE["sum"]
    assert not compare(value, reference, tolerance=rule, dtype="float32", terms=100).ok
    assert not compare(value, reference, tolerance=rule, dtype="float32", terms=100, scale=1.0).ok
    assert compare(value, reference, tolerance=rule, dtype="float32", terms=400, scale=1.0).ok


@pytest.mark.parametrize(
    ("value", "reference", "ok"),
    [
        (NAN, NAN, True),
        (NAN, 1.0, False),
        (1.0, NAN, False),
        (INF, INF, True),
        (INF, -INF, False),
        (INF, 1.0, False),
        (1.0, INF, False),
        (INF, 1e300, True),
        (3e38, 1e300, False),
        (0.0, 1e-300, True),
        (1e-40, 1.00001e-40, True),
        (0.0, 1e-38, False),
    ],
)
def test_special_values(value: float, reference: float, ok: bool) -> None:
    found = compare(np.float32([value]), np.array([reference]), tolerance=TABLE["elementwise"])
    assert found.ok is ok
    assert bool(found) is ok
    assert not math.isnan(found.largest)


@pytest.mark.parametrize(
    ("kind", "value", "reference", "ok"),
    [
        ("exact", 0.0, -0.0, False),
        ("equal", 0.0, -0.0, True),
        ("exact", NAN, NAN, True),
        ("exact", 1.0 + 2**-52, 1.0, False),
        ("exact", INF, INF, True),
    ],
)
def test_equality(kind: str, value: float, reference: float, ok: bool) -> None:
    found = compare(np.array([1.0, value]), np.array([1.0, reference]), tolerance=TABLE[kind])
    assert found.ok is ok
    assert ok or found.index == (1,)


def test_a_reference_is_rounded_to_the_dtype_before_equality() -> None:
    assert compare(np.float32([0.1]), np.array([0.1]), tolerance=TABLE["exact"]).ok


def test_integers_are_compared_exactly_whatever_the_tolerance() -> None:
    assert not compare(np.array([100]), np.array([101]), tolerance=TABLE["sum"], terms=10**9).ok


def test_shapes_must_agree_and_empty_arrays_do() -> None:
    found = compare(np.zeros(3), np.zeros((3, 1)), tolerance=TABLE["elementwise"])
    assert not found.ok
    assert "(3, 1)" in found.message
    assert compare(np.zeros((0, 2)), np.zeros((0, 2)), tolerance=TABLE["exact"]).ok


def test_bfloat16_has_a_precision() -> None:
    pytest.importorskip("ml_dtypes")
    assert epsilon("bfloat16") == 2**-7
    assert epsilon("int32") == 0.0


# -- numeric derivatives ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "derivative"),
    [
        (math.exp, 1.0),
        (lambda t: math.sin(100 * t), 100.0),
        (lambda t: 1e8 + 3 * t, 3.0),
        (lambda t: (t - 0.01) ** 3, 3e-4),
        (lambda t: math.log(1e-2 + t) if t > -1e-2 else NAN, 1e2),
        (lambda t: max(t - 1e-3, 0.0) + 2 * t, 2.0),
    ],
)
def test_a_slope_is_within_its_own_error(fn: object, derivative: float) -> None:
    found = slope(lambda t: (fn(t), abs(fn(t))))
    assert abs(found.value - derivative) <= found.error
    assert found.error < 1e-3 * max(1.0, derivative)
    assert not found.kink


@pytest.mark.parametrize("fn", [abs, lambda t: max(t, 0.0), lambda t: t + 1e-3 * abs(t)])
def test_kinks_are_seen(fn: object) -> None:
    assert slope(lambda t: (fn(t), abs(fn(t)))).kink


def test_a_root_is_not_taken_for_a_slope() -> None:
    found = slope(lambda t: (math.copysign(math.sqrt(abs(t)), t), 1.0))
    assert found.error > 0.1 * abs(found.value)


def test_a_function_that_is_nowhere_finite_has_no_slope() -> None:
    assert math.isinf(slope(lambda t: (NAN, NAN)).error)


def test_directions_are_bounded_away_from_zero(rng: np.random.Generator) -> None:
    x = rng.normal(size=1000) * 10.0 ** rng.integers(-6, 6, 1000)
    for v in (random_direction(rng, x), random_cotangent(rng, x.shape)):
        assert np.all(np.abs(v) >= 0.0625)
        assert np.any(v > 0)
        assert np.any(v < 0)


# -- layouts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 1, 3), (0, 3)])
def test_a_layout_keeps_the_values(layout: str, shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    placed = place(layout, x)
    wanted = values_in(layout, x)
    np.testing.assert_array_equal(placed.numpy(), x if wanted is None else wanted)
    assert placed.dtype == x.dtype


def test_layouts_have_the_strides_that_they_are_named_after() -> None:
    x = np.ones((3, 4))
    with ig.use_backend("numpy"):
        strides = {layout: place(layout, x).array.strides for layout in LAYOUTS}
    assert strides["C order"] == (32, 8)
    assert strides["transposed"] == (8, 24)
    assert strides["sliced"] == (144, 16)
    assert strides["reversed"] == (-32, -8)
    assert strides["zero stride"] == (0, 8)


# -- running ---------------------------------------------------------------------------------------


def test_run_checks_reports_cells_and_progress() -> None:
    steps: list[tuple[int, int]] = []
    report = run_checks(
        ["add", "sum"], progress=lambda done, total, cell: steps.append((done, total))
    )
    assert report.ok
    assert bool(report)
    assert {cell.op for cell in report.cells} == {"add", "sum"}
    assert {cell.backend for cell in report.cells} == set(available_backends())
    assert {cell.dtype for cell in report.cells} >= {"float64", "float32", "int64"}
    assert "float16" not in {cell.dtype for cell in report.cells}
    assert len(steps) == len(report.cells)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert all(done <= total for done, total in steps)
    assert report.comparisons > len(report.cells)
    assert report.counts["fail"] == 0


def test_run_checks_takes_names_only_from_its_lists() -> None:
    with pytest.raises(KeyError, match="nosuch"):
        run_checks(["nosuch"])
    with pytest.raises(KeyError, match="nosuch"):
        run_checks(["add"], checks=["nosuch"])


def test_completeness_is_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = run_checks(checks=["complete"]).cells
    assert cell.ok
    monkeypatch.setitem(ig.ops.PRIMITIVES, "cube", ig.ops.PRIMITIVES["square"])
    report = run_checks(checks=["complete"])
    assert [(cell.op, cell.verdict) for cell in report.cells] == [("cube", "fail")]


def test_what_applies() -> None:
    rows = {spec.name: spec for spec in OP_DB}
    assert applies(rows["exp"], "second")
    assert not applies(rows["argmax"], "gradient")
    assert not applies(rows["full"], "layouts")
    assert not applies(rows["equal"], "dtypes")
    assert dtypes_for(rows["argmax"], "gradient") == ()
    assert dtypes_for(rows["add"], "forward", ["float32"])[0] == "float32"


def test_a_report_says_what_failed_and_survives_json() -> None:
    cells = (
        Cell("add", "forward", "numpy", "float32", "pass", 0.5, count=3),
        Cell("sum", "forward", "numba", "float32", "fail", INF, "(float32[3])", "is wrong", 2),
        Cell("exp", "forward", "numba", "float32", "known", 2.0, message="accepted", count=1),
    )
    report = Report(cells, 1.5)
    assert not report.ok
    assert report.failures == cells[1:2]
    assert report.counts == {"pass": 1, "fail": 1, "known": 1}
    assert report.comparisons == 6
    text = str(report)
    assert "3 cells (1 pass, 1 fail, 1 known)" in text
    assert "sum, forward, numba, float32" in text
    assert "(float32[3])" in text
    content = json.loads(report.to_json(indent=1))
    assert content["cells"][1]["error"] == "inf"
    assert content["counts"] == {"pass": 1, "fail": 1, "known": 1}
    assert not Report(()).ok
