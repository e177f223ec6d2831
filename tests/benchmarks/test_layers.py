"""Steps with each kind of layer are PyTorch's before they are timed."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="layers are compared with PyTorch's")
pytest.importorskip("numba", reason="layers are compiled by Numba")

import bench_layers

import isograd as ig


@pytest.mark.parametrize("name", bench_layers.CASES)
def test_three_steps_are_those_of_pytorch(name: str) -> None:
    with ig.use_backend("numba"):
        bench_layers.check(name)


def test_another_network_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(nn: Any) -> Any:
        activation = nn.Tanh() if nn is ig.nn else nn.Hardtanh()
        return nn.Sequential(nn.Linear(8, 8), activation, nn.Linear(8, bench_layers.CLASSES))

    monkeypatch.setitem(bench_layers.CASES, "other", bench_layers.Case((4, 8), build))
    results, lines = bench_layers.measure(["other", "ReLU"], quick=True, say=str)
    assert results["other"]["failed"].startswith("other, compiled: ")
    assert set(results["ReLU"]) == set(bench_layers.WAYS)
    text = "\n".join(lines)
    assert "| ReLU" in text
    assert "failed: other" in text
