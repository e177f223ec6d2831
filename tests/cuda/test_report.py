"""The report of a GPU is complete, and the training steps in it are right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import contenders
import gpu_report
import numpy as np
import pytest
from workloads import WORKLOADS


def test_a_report_of_small_sizes_is_complete(tmp_path: Path, cuda: Any) -> None:
    gpu_report.main([str(tmp_path / "gpu.md"), "--scale", "1e-5", "--workloads", "tiny"])
    text = (tmp_path / "gpu.md").read_text("utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    by_hand = {row[0].strip("| "): row[5] for row in rows if len(row) == 7}
    assert list(by_hand) == [case.name for case in gpu_report.cases(1e-5)]
    no_hand = {case.name for case in gpu_report.cases(1e-5) if case.cupy is None}
    for row in rows[: len(by_hand)]:
        assert all(float(cell.rstrip("%")) >= 0 for cell in row[1:5])
        assert (row[5] == "-") == (row[0].strip("| ") in no_hand)
    torch, reason = gpu_report.torch_with_cuda()
    assert ("PyTorch without CUDA here" in text) == (torch is None)
    assert torch is not None or reason in text
    assert "## Training steps" in text
    assert "### tiny" in text or "They are not measured: autograd is not installed" in text


@pytest.mark.parametrize("compiled", ["", "-compiled"])
def test_training_steps_on_a_gpu_are_those_of_numpy(compiled: str) -> None:
    digits = WORKLOADS["digits"]
    ours = contenders.build(f"isograd-cupy{compiled}", digits, "adam")
    right = contenders.build("isograd-numpy", digits, "adam")
    for _ in range(4):
        np.testing.assert_allclose(ours.step(), right.step(), rtol=1e-4)
    wanted = right.parameters()
    for name, array in ours.parameters().items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-2, atol=1e-4)


def test_pytorch_without_cuda_is_told(monkeypatch: Any) -> None:
    torch = type(sys)("torch")
    torch.__version__, torch.cuda = "9.9", type(sys)("cuda")
    torch.cuda.is_available = lambda: False
    monkeypatch.setitem(sys.modules, "torch", torch)
    with pytest.raises(contenders.MissingError, match=r"PyTorch without CUDA here: 9\.9 sees no"):
        contenders.build("torch-cuda", WORKLOADS["digits"], "adam")
