"""The backends of the docs, made of other libraries through the kernels over the array API."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.testing import diff
from isograd.testing.conformance import conform

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
NEEDS = {"torch": ("torch", "array_api_compat.torch"), "jax": ("jax",)}

# What the kit found in these libraries first. `isograd conform` asks everything, which takes
# minutes; JAX compiles each operation for each shape, so it is asked least here.
OPS = {"torch": ["sqrt", "erf", "remainder", "flip", "dropout"], "jax": ["sqrt"]}
GROUPS = {
    "torch": ["protocol", "complete", "values", "extremes", "layouts", "gradients"],
    "jax": ["protocol", "complete", "values"],
}


@pytest.fixture(params=sorted(NEEDS))
def foreign(request: pytest.FixtureRequest) -> Any:
    for module in NEEDS[request.param]:
        pytest.importorskip(module, reason=f"the {request.param} backend needs {module}")
    path = EXAMPLES / f"{request.param}_backend.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.create()


@pytest.mark.oracle
def test_it_conforms(foreign: Any) -> None:
    name = foreign.name
    found = conform(foreign, groups=GROUPS[name], ops=OPS[name], jobs=0)
    assert not found.failures, str(found)
    assert all(found.groups.values())


def build() -> Any:
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Dropout(0.2), nn.Linear(6, 3))
    return model, optim.Adam(model.parameters(), lr=0.01), lambda m, x, y: loss(m, x, y)


def loss(model: Any, x: ig.Tensor, y: ig.Tensor) -> ig.Tensor:
    return nn.functional.cross_entropy(model(x), y)


@pytest.mark.oracle
def test_a_training_step_agrees_with_numpy(foreign: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4)), rng.integers(0, 3, 5)
    sides = ("numpy", foreign) if foreign.name == "torch" else (foreign, "numpy")
    report = diff(*sides, build, x, y)
    assert report.ok, str(report)
    assert {e.operation.phase for e in report.entries} == {"forward", "backward", "update"}
