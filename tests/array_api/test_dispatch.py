"""SciPy and scikit-learn compute on tensors, with gradients, through the array API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import isograd as ig

SCRIPT = Path(__file__).parent / "dispatched.py"


@pytest.mark.parametrize(("package", "least"), [("scipy", "1.15"), ("sklearn", "1.7")])
def test_functions_give_what_they_give_for_arrays(package: str, least: str) -> None:
    pytest.importorskip(package, least, reason=f"{package} {least} or newer is not installed")
    pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")
    run = subprocess.run(
        [sys.executable, str(SCRIPT), package],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)
    assert len(results) > 10
    for name, found in results.items():
        # scikit-learn's accuracy of labels is computed in float32, tensors' default.
        assert found["tensor"], name
        assert found["value"] < 1e-6, (name, found)
        assert found.get("gradient", 0.0) < 1e-6, (name, found)


def test_array_api_compat_finds_the_namespace() -> None:
    compat = pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")
    x = ig.ones((2, 3))
    assert compat.array_namespace(x, 1.0) is ig
    assert compat.is_array_api_obj(x)
    assert compat.device(x) == ig.device("cpu")
    assert compat.to_device(x, "cpu") is x
    assert compat.size(x) == 6
