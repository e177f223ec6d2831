"""The example computes the same in all ways, and says how long each took."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "per_example_gradients.py"


def test_it_measures_all_ways(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = runpy.run_path(str(EXAMPLE))
    found["main"](["--batch", "3", "--runs", "1", "--models", "small perceptron", "convolution"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["small perceptron", "convolution"]
    assert all(" ms (" in line and "compiled vmap" in line for line in lines)
