"""`diff` finds where two sides part, and says who is wrong."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.core.config import modes
from isograd.testing import (
    RecordingError,
    TargetError,
    diff,
    read_recording,
    record,
    write_recording,
)
from isograd.testing.differ.layout import Layout, layout_of, placed
from isograd.testing.differ.pattern import pattern
from isograd.testing.differ.targets import Side
from isograd.testing.scheduled import ScheduledBackend

Array = Any
Kernel = Callable[..., Any]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(33, 8)).astype(np.float32)
Y = RNG.integers(0, 3, 33)


def build() -> Any:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.25), nn.Linear(16, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    return model, optimizer, lambda m, x, y: nn.functional.cross_entropy(m(x), y)


def after(change: Callable[[Array], Array]) -> Callable[[Kernel], Kernel]:
    return lambda right: lambda *xs, **static: change(right(*xs, **static))


def test_right_backends_agree(backend: str) -> None:
    report = diff("numpy", backend, build, X, Y)
    assert report.ok, str(report)
    assert report.counts["agree"] == len(report.entries) > 15
    assert {e.operation.phase for e in report.entries} == {"forward", "backward", "update"}
    assert json.loads(report.to_json())["agree"] is True


@pytest.mark.parametrize(
    "side", ["numpy+float64", "numpy+float16", "numpy+threads=1", "numpy+compiled", "numpy+strict"]
)
def test_settings_of_one_backend_agree(side: str) -> None:
    report = diff("numpy", side, build, X, Y)
    assert report.ok, str(report)


@pytest.mark.parametrize("setting", ["", "+compiled", "+float64", "+threads=1", "+fast", "+python"])
def test_settings_in_a_process_of_its_own_agree(
    setting: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "differ_model.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    if setting == "+python":
        setting += f"={sys.executable}"
    # A function cannot be sent, but then only the reference runs it.
    model = build if setting in ("", "+compiled") else "differ_model:build"
    report = diff("numpy", f"{backend}{setting}", model, X, Y, isolated="python" not in setting)
    assert report.ok, str(report)
    assert report.counts["agree"] == len(report.entries) > 15
    assert report.facts["candidate"]["backend"] == backend


MODEL = """
from isograd import nn, optim

def build():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.25), nn.Linear(16, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    return model, optimizer, lambda m, x, y: nn.functional.cross_entropy(m(x), y)
"""


def test_faults_in_one_setting_only_are_found(plant: Any) -> None:
    right = ScheduledBackend()
    in_programs = ScheduledBackend(lambda n: np.cos if n == "sin" else right.kernel(n))
    in_half = plant("sin", lambda r: lambda x: r(x) * (1 + (x.dtype == np.float16)))
    in_fast = plant("sin", lambda r: lambda x: r(x) * (1 + (modes.numerics == "fast")))
    pairs = (
        (Side("eager", in_programs), Side("compiled", in_programs, compiled=True)),
        (Side("float32", in_half), Side("float16", in_half, dtype=np.dtype("float16"))),
        (Side("strict", in_fast), Side("fast", in_fast, numerics="fast")),
    )
    for first, second in pairs:
        for sides, verdict in (((first, second), "candidate"), ((second, first), "reference")):
            report = diff(*sides, lambda: lambda x: ig.sin(x).sum(), X)
            if sides[0] is pairs[0][1]:
                continue  # a reference runs eagerly, and is right there
            assert report.first is not None, sides
            assert report.first.operation.op == "sin"
            assert report.first.verdict.verdict == f"{verdict} wrong"


def test_an_object_cannot_be_sent_to_another_process(plant: Any) -> None:
    with pytest.raises(TargetError, match="name its factory"):
        diff("numpy", plant("sin", lambda right: right), build, X, Y, isolated=True)
    with pytest.raises(TargetError, match="cannot run '/no/python'"):
        diff("numpy", "numpy+python=/no/python", build, X, Y)


def test_what_only_makes_buffers_is_part_of_the_update() -> None:
    run = record("numpy", lambda: nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3)), X)
    made = {o.target for o in run.operations if o.phase == "update"}
    assert "1.running_mean" in made
    assert "1.running_var" in made
    assert {o.op for o in run.operations if o.phase == "update"} >= {"add", "mul"}
    assert all(o.phase == "forward" for o in run.operations if o.op == "standardize")
    assert set(run.state) >= {
        "loss",
        "gradient 0.weight",
        "parameter 0.bias",
        "buffer 1.running_var",
    }


def test_the_wrong_operation_is_named(plant: Any) -> None:
    backend = plant("relu_grad", after(lambda out: out * np.float32(1.01)))
    report = diff("numpy", backend, build, X, Y)
    first = report.first
    assert first is not None
    assert (first.operation.op, first.operation.phase) == ("relu_grad", "backward")
    assert first.operation.of == "relu"
    assert first.verdict.verdict == "candidate wrong"
    assert first.operation.module == "1"
    assert first.verdict.pattern.endswith("1.01 times the right value")
    # Nothing is inherited: all operations after the wrong one are right.
    assert [e for e in report.entries if not e.ok] == [first]
    assert "relu_grad" in str(report)
    written = json.loads(report.to_json())["first"]
    assert written["verdict"] == "candidate wrong"
    assert written["error"] > written["bound"] >= 0
    assert not diff("numpy", backend, lambda: build()[0], X).ok


def test_the_reference_may_be_wrong(plant: Any) -> None:
    backend = plant("tanh", after(lambda out: out + np.float32(1e-3)))
    report = diff(backend, "numpy", lambda: lambda x: ig.tanh(x).sum(), X)
    assert report.first is not None
    assert report.first.verdict.verdict == "reference wrong"
    assert report.first.operation.line.startswith(__file__)


def test_differences_that_rounding_explains_are_nobodys_fault(plant: Any) -> None:
    def sum_backwards(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        # Of (1 + 1e16) - 1e16 and the like, every order makes another number.
        return np.cumsum(x)[-1:].reshape((1,) * x.ndim if keepdims else ()).astype(x.dtype)

    x = np.array([1.0, 1e16, -1e16, 3.0])
    cancelled = plant("exp", lambda right: lambda x: right(x * (1 + 2e-16)))
    report = diff("numpy", cancelled, lambda: lambda x: ig.exp(x).sum(), np.array([700.0]))
    assert report.ok
    assert report.counts["ill-conditioned"] >= 1
    assert "nobody" in str(report)
    assert diff("numpy", plant("sum", lambda _: sum_backwards), lambda: ig.sum, x).ok


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda right: lambda x: 1 / 0, "ZeroDivisionError"),
        (lambda right: lambda x: x[:-1], "float32[32, 8] where float32[33, 8] is due"),
        (lambda right: lambda x: (right(x), x.fill(0.0))[0], "wrote its input 0"),
        (lambda right: lambda x: right(x) + np.float32(RNG.normal() * 1e-9), "two calls"),
    ],
)
def test_misconduct_is_the_candidates_fault(change: Any, said: str, plant: Any) -> None:
    report = diff("numpy", plant("sin", change), lambda: lambda x: ig.sin(x).sum(), X)
    assert report.first is not None
    assert report.first.verdict.verdict == "candidate wrong"
    assert said in str(report.first)


def test_a_model_that_is_random_without_a_key_is_refused() -> None:
    with pytest.raises(TargetError, match=r"two runs .* part at operation 0 .*isograd\.random"):
        diff("numpy", "numpy", lambda: lambda x: (x * RNG.normal()).sum(), X)


def test_a_reference_kernel_that_changes_its_mind_is_wrong(plant: Any) -> None:
    restless = plant("sin", after(lambda out: out + np.float32(RNG.normal() * 1e-9)))
    report = diff(restless, "numpy", lambda: lambda x: ig.sin(x).sum(), X)
    assert report.first is not None
    assert report.first.verdict.verdict == "reference wrong"
    assert "two calls" in report.first.verdict.note


def test_threads_must_not_change_bits(plant: Any) -> None:
    holder: list[Any] = []

    def change(right: Kernel) -> Kernel:
        return lambda x: right(x) * x.dtype.type(1 + 1e-7 * (holder[0].threads > 1))

    holder.append(plant("cos", change))
    one, two = (Side(f"planted+threads={n}", holder[0], threads=n) for n in (1, 2))
    report = diff(one, two, lambda: lambda x: ig.cos(x).sum(), X)
    assert report.first is not None
    assert "threads" in report.first.verdict.note
    assert diff(one, one, lambda: lambda x: ig.cos(x).sum(), X).ok


# -- recordings ------------------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "run.safetensors"
    write_recording(record("numpy", build, X, Y), file)
    return file


def test_a_recording_stands_for_the_reference_and_for_the_candidate(
    recording: Path, backend: str, plant: Any
) -> None:
    assert diff(recording, backend).ok
    assert diff(str(recording), record(backend, build, X, Y)).ok
    wrong = plant("relu_grad", after(lambda out: out * np.float32(1.01)))
    for report in (diff(recording, wrong), diff(recording, record(wrong, build, X, Y))):
        assert report.first is not None
        assert report.first.operation.op == "relu_grad"
        assert report.first.verdict.verdict == "candidate wrong"
        assert report.first.operation.line.startswith(__file__) or report.first.operation.module


def test_recordings_hold_bits_layouts_and_names(tmp_path: Path) -> None:
    def fn(x: ig.Tensor) -> ig.Tensor:
        turned = ig.permute_dims(x, (1, 0))
        return ig.clip(turned, -ig.inf, ig.inf).astype(ig.float16).sum()

    run = record("numpy", lambda: fn, X)
    write_recording(run, tmp_path / "a.safetensors")
    again = read_recording(tmp_path / "a.safetensors")
    assert [o.signature() for o in again.operations] == [o.signature() for o in run.operations]
    for a, b in zip(run.operations, again.operations, strict=True):
        assert [x.tobytes() for x in a.inputs] == [x.tobytes() for x in b.inputs]
        assert [layout_of(x) for x in a.inputs] == [layout_of(x) for x in b.inputs]
        assert (a.line, a.module, a.phase, a.names) == (b.line, b.module, b.phase, b.names)
        assert dict(a.static) == dict(b.static)


def test_recordings_of_the_same_side_are_told_apart(tmp_path: Path) -> None:
    for name, fn in (("old", ig.sin), ("new", ig.cos)):
        run = record("numpy", lambda fn=fn: lambda x: fn(x).sum(), X)
        write_recording(run, tmp_path / f"{name}.safetensors")
    report = diff(tmp_path / "old.safetensors", str(tmp_path / "new.safetensors"))
    assert (report.reference, report.candidate) == ("old.safetensors", "new.safetensors")
    assert "old.safetensors runs sin" in report.structure
    assert "after the step: loss" in str(report)


def test_models_of_different_structure_are_aligned_as_far_as_they_agree() -> None:
    def other() -> Any:
        model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
        return model, None, lambda m, x, y: nn.functional.cross_entropy(m(x), y)

    with pytest.raises(TargetError, match="tuple"):
        record("numpy", lambda: (1, 2), X)
    report = diff(record("numpy", build, X, Y), record("numpy", lambda: other()[0], X))
    assert not report.ok
    assert "differ in structure" in report.structure
    assert "runs relu" in report.structure
    assert "runs tanh" in report.structure
    assert all(e.ok for e in report.entries)
    assert len(report.entries) >= 1


def _rewritten(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    raw = file.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    content = json.loads(header["__metadata__"]["isograd.recording"])
    change({"header": header, "content": content})
    header["__metadata__"]["isograd.recording"] = json.dumps(content)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another version": lambda r: r["content"].update(format=2),
    "an unknown operation": lambda r: r["content"]["operations"][0].update(op="os.system"),
    "a huge array": lambda r: r["header"]["a0"].update(shape=[10**15]),
    "a huge array that overflows": lambda r: r["header"]["a0"].update(shape=[2**62, 2**62]),
    "a negative length": lambda r: r["header"]["a0"].update(shape=[-1, -8]),
    "an array outside the file": lambda r: r["header"]["a0"].update(data_offsets=[0, 10**12]),
    "an unknown dtype": lambda r: r["header"]["a0"].update(dtype="O"),
    "a missing array": lambda r: r["header"].pop("a1"),
    "axes that are not there": lambda r: r["content"]["operations"][0]["inputs"][0].__setitem__(
        1, [0, 7]
    ),
    "an object to be made": lambda r: r["content"]["operations"][0].update(
        static={"axis": {"pickle": "gASVBQ=="}}
    ),
    "a result that takes all memory": lambda r: r["content"]["operations"][0].update(
        op="full",
        static={
            "shape": {"tuple": [10**9, 16]},
            "value": 0.0,
            "dtype": {"dtype": "float64"},
            "device": {"device": "cpu"},
        },
        inputs=[],
    ),
    "parameters of another operation": lambda r: r["content"]["operations"][0].update(
        static={"padding": 3}
    ),
    "too few inputs": lambda r: r["content"]["operations"][0].update(inputs=[]),
    "no operations": lambda r: r["content"].update(operations=3),
    "numbers for facts": lambda r: r["content"].update(facts=[1]),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_recordings_are_refused(what: str, recording: Path) -> None:
    _rewritten(recording, BROKEN[what])
    with pytest.raises(RecordingError, match="record the run again"):
        read_recording(recording)


NOT_RECORDINGS = [
    b"",
    b"\x01",
    b"\xff" * 8 + b"{}",
    struct.pack("<Q", 2) + b"{}",
    struct.pack("<Q", 5) + b"[[[[[",
    struct.pack("<Q", 200_000) + b"[" * 200_000,
]


@pytest.mark.parametrize("content", NOT_RECORDINGS, ids=range(len(NOT_RECORDINGS)))
def test_files_that_are_no_recordings_are_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(RecordingError):
        read_recording(file)


def test_recordings_that_were_cut_off_are_refused(recording: Path) -> None:
    raw = recording.read_bytes()
    for share in (0.01, 0.3, 0.7, 0.99):
        recording.write_bytes(raw[: int(len(raw) * share)])
        with pytest.raises(RecordingError):
            read_recording(recording)
    with pytest.raises(RecordingError, match="cannot read"):
        read_recording(recording.parent / "missing.safetensors")


def test_recordings_are_plain_safetensors(recording: Path) -> None:
    numpy_api = pytest.importorskip("safetensors.numpy", reason="needs safetensors")
    arrays = numpy_api.load_file(recording)
    assert any(np.array_equal(x, X) for x in arrays.values())


# -- reproducers -----------------------------------------------------------------------------------

FAULTY = """
import numpy as np
import isograd as ig
from isograd import nn
from isograd.testing.conformance.controls import BrokenBackend

def tail():
    def change(right):
        def kernel(x, *, axis, keepdims):
            odd = x.ndim and x.shape[0] % 16 == 1 and x.shape[0] > 1
            return right(x[:-1] if odd else x, axis=axis, keepdims=keepdims)
        return kernel
    return BrokenBackend("sum", change)

def stride():
    def change(right):
        return lambda x: right(x.ravel(order="K").reshape(x.shape))
    return BrokenBackend("tanh", change)

def raises():
    raise RuntimeError("no licence")

def nothing():
    return 3

def build():
    return nn.Linear(4, 33)

def turned():
    return lambda x: ig.tanh(ig.permute_dims(x, (1, 0))).sum()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "differ_faulty.py").write_text(FAULTY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    np.savez("batch.npz", x=np.linspace(0, 1, 132, dtype=np.float32).reshape(33, 4))
    yield tmp_path
    sys.modules.pop("differ_faulty", None)


@pytest.mark.parametrize(
    ("fault", "model", "op", "shape"),
    [("tail", "build", "sum", 17), ("stride", "turned", "tanh", 2)],
)
def test_the_reproducer_is_small_and_fails_alone(
    fault: str, model: str, op: str, shape: int, folder: Path
) -> None:
    x = np.linspace(0, 1, 132, dtype=np.float32).reshape(33, 4)
    report = diff(
        "numpy", f"differ_faulty:{fault}", f"differ_faulty:{model}", x, folder=folder / "out"
    )
    assert report.first is not None
    assert report.first.operation.op == op
    saved = np.load(report.files["inputs"])
    assert np.array_equal(saved["input_0"], report.first.operation.inputs[0])
    text = Path(report.files["reproducer"]).read_text()
    assert f"({shape}" in text or f"{shape})" in text
    done = subprocess.run(
        [sys.executable, report.files["reproducer"]], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 1
    assert "is right" in done.stderr


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ("nobody", "there is no backend"),
        ("numpy+quick", "is no setting"),
        ("numpy+int32", "is no setting"),
        ("differ_faulty:raises", "RuntimeError: no licence"),
        ("differ_faulty:nothing", "is no backend"),
        ("differ_faulty:missing", "AttributeError"),
        ("no_such_module:x", "ModuleNotFoundError"),
    ],
)
def test_a_side_that_cannot_be_had_says_why(side: str, said: str, folder: Path) -> None:
    with pytest.raises(TargetError, match=said.replace("+", r"\+")):
        diff("numpy", side, "differ_faulty:build", X[:, :4])


def test_a_model_that_cannot_be_had_says_why(folder: Path) -> None:
    with pytest.raises(TargetError, match="name one"):
        diff("numpy", "numpy")
    with pytest.raises(TargetError, match="RuntimeError: no licence"):
        diff("numpy", "numpy", "differ_faulty:raises", X)
    with pytest.raises(TargetError, match=r"pkg\.mod:name"):
        diff("numpy", "numpy", "differ_faulty", X)
    with pytest.raises(TargetError, match="the step raised TypeError"):
        diff("numpy", "numpy", lambda: lambda x: len(x, x), X)
    with pytest.raises(TargetError, match="no floating-point tensor"):
        diff("numpy", "numpy", lambda: lambda x: ig.argmax(x), X)


# -- parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 3)),
        np.zeros((2, 3)).T,
        np.zeros((4, 3))[::-1],
        np.zeros((4, 6))[::2, ::2],
        np.broadcast_to(np.zeros((1, 3)), (5, 3)),
        np.zeros(()),
        np.zeros((0, 3)),
        np.zeros((2, 3, 4)).transpose(1, 2, 0)[:, ::-1],
    ],
)
def test_layouts_are_kept(x: Array) -> None:
    values = np.arange(x.size, dtype=np.float32).reshape(x.shape)
    if 0 in x.strides and x.size:
        values = np.broadcast_to(values[:1], x.shape)
    made = placed(values, layout_of(x))
    assert np.array_equal(made, values)
    assert layout_of(made) == layout_of(x)
    assert isinstance(layout_of(x), Layout)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (np.ones((2, 3), bool), "all 6 elements"),
        (np.eye(3, dtype=bool)[:1, :1], "the only element"),
        (np.array([[0, 0, 1], [0, 0, 1]], bool), "index 2 of axis 1"),
        (np.array([0, 0, 0, 1, 1], bool), "the last 2 of axis 0"),
        (np.array([1, 1, 0, 0, 0], bool), "the first 2 of axis 0"),
        (np.array([0, 1, 0, 1, 0, 1, 0], bool), "every other from 1 of axis 0"),
        (np.array([[0, 0], [0, 1]], bool), "one element, [1, 1]"),
        (np.array([1, 1, 0, 1], bool), "3 of 4 elements"),
    ],
)
def test_patterns_of_places(bad: Array, said: str) -> None:
    right = np.arange(1.0, bad.size + 1).reshape(bad.shape)
    assert pattern(np.where(bad, right * 2, right), right, bad).startswith(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x * 2, "2 times"),
        (lambda x: -x, "the sign is wrong"),
        (lambda x: x * np.nan, "NaN where there are numbers"),
        (lambda x: x * 0, "0 instead"),
        (lambda x: x + 7, "off by 7"),
        (lambda x: x.T, "transposed"),
        (lambda x: np.flip(x, 1), "other places"),
        (lambda x: x * x + 1, "all 9 elements"),
    ],
)
def test_patterns_of_errors(change: Any, said: str) -> None:
    right = np.arange(1.0, 10.0).reshape(3, 3)
    assert said in pattern(change(right), right, np.ones((3, 3), bool))
