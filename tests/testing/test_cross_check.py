"""cross_check: backends that agree pass; one with a wrong kernel is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.testing import available_backends, cross_check

F = ig.nn.functional
Kernel = Callable[..., Any]
Plant = Callable[[str, Callable[[Kernel], Kernel]], Any]


def times(factor: float) -> Callable[[Kernel], Kernel]:
    """Return a change that multiplies the result."""
    return lambda right: lambda *xs, **static: (right(*xs, **static) * factor).astype(xs[0].dtype)


@pytest.fixture
def model() -> ig.nn.Module:
    return ig.nn.Sequential(ig.nn.Linear(64, 64), ig.nn.GELU(), ig.nn.Linear(64, 10))


def loss(m: ig.nn.Module, x: ig.Tensor, y: ig.Tensor) -> ig.Tensor:
    return F.cross_entropy(m(x), y)


@pytest.fixture
def batch() -> tuple[ig.Tensor, ig.Tensor]:
    return ig.random.uniform((32, 64)), ig.random.integers(0, 10, (32,))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_backends_agree(model: ig.nn.Module, batch: Any, dtype: str) -> None:
    report = cross_check(loss, model, *batch, dtypes=[dtype])
    assert report.ok, str(report)
    assert bool(report)
    # NumPy in float64 is the reference itself; everything else differs by rounding.
    alone = dtype == "float64" and available_backends() == ("numpy",)
    assert (report.largest == 0.0) if alone else (0.0 < report.largest <= 1.0)
    names = [(entry.kind, entry.name) for entry in report.entries]
    expected = [
        ("output", "0"),
        ("gradient", "argument 0 0.weight"),
        ("gradient", "argument 0 0.bias"),
        ("gradient", "argument 0 2.weight"),
        ("gradient", "argument 0 2.bias"),
        ("gradient", "argument 1"),
    ]
    assert names == expected * len(available_backends())
    assert {entry.dtype for entry in report.entries} == {dtype}
    assert {entry.backend for entry in report.entries} == set(available_backends())


def test_a_module_alone_is_checked_with_a_random_cotangent(model: ig.nn.Module, batch: Any) -> None:
    first = cross_check(model, batch[0], seed=1)
    assert first.ok
    assert "0.weight" in {entry.name for entry in first.entries}
    assert first == cross_check(model, batch[0], seed=1)
    assert first != cross_check(model, batch[0], seed=2)
    assert all(p.grad is None and p.dtype == ig.float32 for p in model.parameters())


@pytest.mark.parametrize(
    ("primitive", "change", "kind"),
    [
        ("gelu", times(1.01), "output"),
        ("gelu_grad", times(1.001), "gradient"),
        ("cross_entropy_grad", times(0.0), "gradient"),
        ("cross_entropy", times(np.nan), "output"),
    ],
    ids=["forward", "gradient", "zero gradient", "NaN"],
)
def test_a_planted_kernel_is_found(
    primitive: str, change: Any, kind: str, model: ig.nn.Module, batch: Any, plant: Plant
) -> None:
    backend = plant(primitive, change)
    report = cross_check(loss, model, *batch, backends=["numpy", backend])
    assert not report.ok
    assert report.largest > 1.0
    assert report.worst.backend == "planted"
    assert kind in {entry.kind for entry in report.entries if not entry.ok}
    assert {entry.backend for entry in report.entries if not entry.ok} == {"planted"}
    assert "DISAGREES" in str(report)
    assert "<- element" in str(report)


def test_a_wrong_gradient_leaves_the_output_and_names_the_parameters(
    model: ig.nn.Module, batch: Any, plant: Plant
) -> None:
    backend = plant("gelu_grad", lambda right: lambda g, x, **s: right(g, x, **s) * 1.01)
    report = cross_check(loss, model, *batch, backends=[backend])
    wrong = {entry.name for entry in report.entries if not entry.ok}
    assert wrong == {"argument 0 0.weight", "argument 0 0.bias", "argument 1"}


def test_the_report_as_json(batch: Any, plant: Plant) -> None:
    backend = plant("exp", lambda right: lambda x: right(x) * np.inf)
    report = cross_check(
        ig.exp, batch[0], backends=["numpy", backend], dtypes=["float64", "float32"]
    )
    content = json.loads(report.to_json())
    assert content["ok"] is False
    assert content["largest"] == "inf"
    assert len(content["entries"]) == len(report.entries) == 8
    row = content["entries"][0]
    assert (row["backend"], row["dtype"], row["kind"], row["ok"]) == (
        "numpy",
        "float64",
        "output",
        True,
    )


def test_nothing_to_differentiate_is_an_error() -> None:
    with pytest.raises(ig.AutodiffError, match="nothing is differentiable"):
        cross_check(ig.exp, ig.tensor([1, 2]))


def test_an_unknown_backend_is_an_error(batch: Any) -> None:
    with pytest.raises(ig.UnknownDeviceError, match="nosuch"):
        cross_check(ig.exp, batch[0], backends=["nosuch"])
