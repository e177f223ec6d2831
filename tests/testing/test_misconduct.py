"""`diff` on sides that misbehave: that raise, end the process, or break the rules for kernels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.testing import RecordingError, TargetError, diff, read_recording, record
from isograd.testing.differ import write_recording

Array = Any
Kernel = Callable[..., Any]

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def deep() -> Any:
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh())


def raises(right: Kernel) -> Kernel:
    def kernel(x: Array) -> Array:
        raise OSError("no such device")

    return kernel


def wider(right: Kernel) -> Kernel:
    return lambda x: right(x.astype(np.float64))


def nothing(right: Kernel) -> Kernel:
    return lambda x: None


def a_list(right: Kernel) -> Kernel:
    return lambda x: right(x).tolist()


def reshaped(right: Kernel) -> Kernel:
    return lambda x: right(x)[None]


def erases(right: Kernel) -> Kernel:
    def kernel(x: Array) -> Array:
        out = right(x)
        x[...] = 0
        return out

    return kernel


def reuses(right: Kernel) -> Kernel:
    buffers: dict[Any, Array] = {}

    def kernel(x: Array) -> Array:
        out = buffers.setdefault(x.shape, np.empty_like(x))
        out[...] = right(x)
        return out

    return kernel


MISCONDUCT = (
    (raises, "OSError: no such device"),
    (wider, "it returned float64[6, 4] where float32[6, 4] is due"),
    (nothing, "it returned object[] where float32[6, 4] is due"),
    (a_list, "it returned float64[6, 4] where float32[6, 4] is due"),
    (reshaped, "it returned float32[1, 6, 4] where float32[6, 4] is due"),
    (erases, "it wrote its input 0"),
)


@pytest.mark.parametrize(
    ("change", "said"), MISCONDUCT, ids=lambda part: getattr(part, "__name__", "")
)
def test_misconduct_is_the_fault_of_either_side(change: Any, said: str, plant: Any) -> None:
    for side in ("candidate", "reference"):
        backend = plant("tanh", change)
        report = diff(*(("numpy", backend) if side == "candidate" else (backend, "numpy")), deep, X)
        assert not report.ok
        assert getattr(report, side) == "planted"
        first = report.first
        assert first is not None, str(report)
        assert (first.operation.op, first.operation.phase) == ("tanh", "forward")
        assert first.operation.module == "1"
        assert first.verdict.verdict == f"{side} wrong"
        note, _, line = first.verdict.note.partition(", at ")
        assert note == said
        assert ("test_misconduct.py:" in line) == (change is raises)
        # Nothing else is accused of it.
        assert {e.operation.op for e in report.entries if not e.ok} == {"tanh"}


def test_memory_that_is_returned_twice_is_found(plant: Any) -> None:
    first = diff("numpy", plant("tanh", reuses), deep, X).first
    assert first is not None
    assert first.operation.module == "1"
    assert first.verdict.note == "a later call changed what it had returned"
    first = diff(plant("tanh", reuses), "numpy", deep, X).first
    assert first is not None
    assert (first.operation.op, first.operation.module) == ("tanh", "3")
    assert first.verdict.note == "it wrote what an earlier call had returned"


def test_a_model_that_fails_is_no_fault_of_the_reference() -> None:
    def wrong() -> Any:
        return nn.Linear(5, 3)

    with pytest.raises(TargetError, match=r"linear: input \(6, 4\).*, at .*test_misconduct"):
        diff("numpy", "numpy", lambda: lambda x: nn.functional.linear(x, ig.ones((3, 5))), X)
    with pytest.raises(TargetError, match=r"the step raised ShapeError: linear: input \(6, 4\)"):
        diff("numpy", "numpy", wrong, X)


SIDES = """
import os
import numpy as np
from isograd import nn
from isograd.testing.conformance.controls import BrokenBackend

def aborts():
    return BrokenBackend("tanh_grad", lambda right: lambda g, out: os.abort())

def cannot_be_made():
    os._exit(4)

def after_another():
    seen = []

    class Remembers(BrokenBackend):
        def kernel(self, name):
            right = super().kernel(name)
            if name == "linear":
                return lambda *xs, **static: seen.append(1) or right(*xs, **static)
            return right

    return Remembers("tanh", lambda right: lambda x: right(x) * np.float32(1 + 0.5 * bool(seen)))

def eps_in_the_root():
    def change(right):
        def kernel(lr, step, *arrays, betas, eps, **static):
            out = list(right(lr, step, *arrays, betas=betas, eps=eps, **static))
            n = len(arrays) // 4
            for i in range(n):
                m = out[n + i] / (1 - betas[0] ** int(step))
                v = out[2 * n + i] / (1 - betas[1] ** int(step))
                out[i] = (arrays[i] - float(lr) * m / np.sqrt(v + eps)).astype(arrays[i].dtype)
            return tuple(out)
        return kernel
    return BrokenBackend("adam_update", change)

def build():
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh())

def trained():
    from isograd import optim
    model = nn.Linear(4, 3)
    return model, optim.Adam(model.parameters(), lr=0.01), lambda m, x: (m(x) * 1e-4).sum()

def ends():
    return lambda x: os._exit(3)
"""


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "diff_sides.py").write_text(SIDES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("diff_sides", None)


def _fails(file: str) -> bool:
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, cwd="/")
    return done.returncode == 1 and "AssertionError" in done.stderr


def test_a_crash_of_the_reference_is_a_verdict_on_the_operation(sides: Path) -> None:
    report = diff("diff_sides:aborts", "numpy", "diff_sides:build", X, folder=sides, isolated=True)
    first = report.first
    assert first is not None, str(report)
    assert (first.operation.op, first.operation.phase) == ("tanh_grad", "backward")
    assert (first.operation.module, first.verdict.verdict) == ("1", "reference wrong")
    assert first.verdict.note.startswith("the process was ended by SIGABRT at ")
    assert "the step failed on diff_sides:aborts" in report.structure
    assert _fails(report.files["reproducer"])
    for pair in (("diff_sides:cannot_be_made", "numpy"), ("numpy", "diff_sides:cannot_be_made")):
        with pytest.raises(TargetError, match=r"could not be made: the process exited with 4$"):
            diff(*pair, "diff_sides:build", X, isolated=True)
    with pytest.raises(TargetError, match=r"numpy: its step failed: the process exited with 3$"):
        diff("numpy", "numpy+float64", "diff_sides:ends", X, isolated=True)


def test_a_reproducer_passes_on_what_is_right(sides: Path) -> None:
    report = diff("numpy", "diff_sides:eps_in_the_root", "diff_sides:trained", X, folder=sides)
    assert report.first is not None
    file = report.files["reproducer"]
    assert _fails(file)
    right = Path(file).read_text().replace("diff_sides:eps_in_the_root", "numpy")
    Path(file).write_text(right)
    assert not _fails(file)


def test_what_fails_only_after_something_else_is_said_to(sides: Path) -> None:
    report = diff("numpy", "diff_sides:after_another", "diff_sides:build", X, folder=sides)
    assert report.first is not None
    assert report.first.operation.op == "tanh"
    assert "reproducer" not in report.files
    (name,) = (name for name in report.files if name.startswith("passes alone"))
    assert not _fails(report.files[name])


# -- what is compared ------------------------------------------------------------------------------


def test_complex_numbers_can_be_recorded(tmp_path: Path, plant: Any) -> None:
    def spectrum() -> Any:
        return lambda x: ig.abs(ig.fft.rfft(x)).sum()

    run = record("numpy", spectrum, X)
    write_recording(run, tmp_path / "fft.safetensors")
    again = read_recording(tmp_path / "fft.safetensors")
    assert {x.dtype.name for o in again.operations for x in o.outputs} >= {"complex64"}
    assert diff(again, "numpy").ok
    wrong = plant("rfft", lambda right: lambda x, **static: right(x, **static) * np.float32(1.01))
    first = diff(again, wrong).first
    assert first is not None
    assert first.operation.op == "rfft"


def test_what_overflows_without_a_program_is_no_fault_of_the_program() -> None:
    def half() -> Any:
        model = nn.Linear(4, 3).to("float16")
        return model, None, lambda m, x: (m(x) * 3e4 - m(x) * 3e4).sum()

    report = diff("numpy", "numpy+compiled", lambda: half()[::2], X * np.float32(1e3))
    assert report.ok, str(report)


def test_what_cannot_be_compiled_is_compared_one_by_one() -> None:
    def branches(x: ig.Tensor) -> ig.Tensor:
        return ig.sin(x).sum() if x.sum().item() > 1e9 else ig.cos(x).sum()

    report = diff("numpy", "numpy+compiled", lambda: branches, X)
    assert report.counts == {"agree": len(report.entries)}
    assert "has no numbers yet" in report.whole[0]
    assert not report.ok


def test_operations_that_no_reference_takes_are_refused(plant: Any) -> None:
    run = record("numpy", lambda: lambda x: ig.add(x, x).sum(), X)
    operation = run.operations[0]
    object.__setattr__(operation, "inputs", operation.inputs[:1])
    with pytest.raises(RecordingError, match=r"operation 0, add, is none that can be judged"):
        diff(run, "numpy")


def test_files_that_are_no_batch_are_refused_without_advice_to_run_them(tmp_path: Path) -> None:
    from isograd.testing.differ import read_inputs

    (tmp_path / "x.txt").write_text("1 2 3")
    with pytest.raises(TargetError, match=r"no \.npz or \.npy of numbers; write the batch"):
        read_inputs(tmp_path / "x.txt")


def test_versions_with_other_numbers_or_parameters_are_told_apart(tmp_path: Path) -> None:
    def trained(factor: float, eps: float) -> Any:
        def build() -> Any:
            model = nn.Linear(4, 3)
            optimizer = optim.Adam(model.parameters(), lr=0.01, eps=eps)
            return model, optimizer, lambda m, x: (m(x) * factor).sum()

        run = record("numpy", build, X)
        write_recording(run, tmp_path / "run.safetensors")
        return read_recording(tmp_path / "run.safetensors")

    first = trained(0.5, 1e-8)
    assert diff(first, trained(0.5, 1e-8)).ok
    report = diff(first, trained(0.25, 1e-8))
    assert not report.ok
    assert "different numbers: input 1 of operation 1, mul, at " in report.structure
    assert "0.25 where the first has 0.5" in report.structure
    assert any(said.startswith("gradient weight") for said in report.state)
    report = diff(first, trained(0.5, 1e-3))
    assert "eps=1e-08" in report.structure
    assert "eps=0.001" in report.structure
