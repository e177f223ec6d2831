"""safetensors: what is read back, and files that lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import io, nn

pytest.importorskip("safetensors", reason="reads and writes through the safetensors package")

DTYPES = ("bool", "uint8", "int8", "uint64", "int64", "float16", "float32", "float64")


def test_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {name: rng.integers(0, 2, (3, 1, 2)).astype(name) for name in DTYPES}
    tensors["scalar"] = np.float32(0.1).reshape(())
    tensors["empty"] = np.zeros((0, 4), np.float32)
    tensors["turned"] = rng.normal(size=(3, 5)).T
    path = tmp_path / "a.safetensors"
    io.save_safetensors(tensors, path, metadata={"made by": "a test"})
    back = io.open_safetensors(path)
    assert set(back) == set(tensors)
    assert back.metadata == {"made by": "a test"}
    for name, array in tensors.items():
        assert back[name].dtype == array.dtype
        assert back.entries[name].shape == array.shape
        np.testing.assert_array_equal(back[name].numpy(), array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert repr(back) == "LazyTensors(11 tensors in 1 files)"


def test_bfloat16(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml-dtypes")
    x = ig.tensor([1.0, -2.5], dtype=ig.bfloat16)
    io.save_safetensors({"x": x}, tmp_path / "a")
    assert io.load_safetensors(tmp_path / "a")["x"].dtype == ig.bfloat16
    io.save_npz({"x": x}, tmp_path / "b")
    back = io.load_npz(tmp_path / "b")["x"]
    assert (back.dtype, back.tolist()) == (ig.bfloat16, [1.0, -2.5])


def test_several_files(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    io.save_model(model, tmp_path, max_shard_bytes=80)
    assert len(list(tmp_path.glob("model-*-of-00002.safetensors"))) == 2
    other = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    io.load_model(other, tmp_path / "model.safetensors.index.json")
    assert other.state_dict()["1.bias"].tolist() == model.state_dict()["1.bias"].tolist()
    index = tmp_path / "model.safetensors.index.json"
    good = json.loads(index.read_text())
    index.write_text(
        json.dumps(
            {"weight_map": {**good["weight_map"], "ghost": "model-00001-of-00002.safetensors"}}
        )
    )
    with pytest.raises(ig.DataFormatError, match=r"not in their files \['ghost'\]"):
        io.open_safetensors(tmp_path)
    for text in ("{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": "../b"}}'):
        index.write_text(text)
        with pytest.raises(ig.DataFormatError, match="has no weight_map"):
            io.open_safetensors(tmp_path)


def test_a_model_that_differs(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    io.save_safetensors(
        {
            "weight": np.zeros((3, 3), np.float32),
            "bias": np.zeros(2, np.float64),
            "surplus": np.zeros(1, np.float32),
        },
        path,
    )
    layer = nn.Linear(3, 2)
    layer.extra = nn.Parameter(ig.ones(1))
    before = {name: t.tolist() for name, t in layer.state_dict().items()}
    with pytest.raises(ig.StateDictError) as error:
        io.load_model(layer, path)
    for line in (
        "missing: extra float32[1]",
        "unexpected: surplus",
        "shape of weight: (3, 3) in the state, (2, 3) in the module",
        "dtype of bias: float64 in the state, float32 in the module",
    ):
        assert line in str(error.value)
    assert {name: t.tolist() for name, t in layer.state_dict().items()} == before
    with pytest.raises(ig.StateDictError, match=r"'[a-z]+' and '[a-z]+' are both renamed to 'x'"):
        io.load_model(layer, path, rename=lambda name: "x")


def test_renaming_and_converting(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    io.save_safetensors({"old.weight": np.ones((1, 2)), "junk": np.ones(1)}, path)
    layer = nn.Linear(2, 1, bias=False)

    def rename(name: str) -> str | None:
        return name.removeprefix("old.") if name.startswith("old.") else None

    with pytest.raises(ig.StateDictError, match="dtype of weight: float64"):
        io.load_model(layer, path, rename=rename)
    assert io.load_model(layer, path, rename=rename, convert=True) == ([], [])
    assert layer.weight.tolist() == [[1.0, 1.0]]


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data", "length", "message"),
    [
        (b"", b"", 1 << 62, "said to be 4611686018427387904 bytes long"),
        (b"{}", b"", 3, "said to be 3 bytes long, of a file of 10 bytes"),
        (b"{", b"", None, "is not JSON"),
        (b"\xff\xfe", b"", None, "is not JSON"),
        (b"[" * 100_000, b"", None, "is not JSON"),
        (b'{"a": 1, "a": 2}', b"", None, "a name is there twice"),
        ([], b"", None, "is a list, not an object"),
        ({"__metadata__": {"a": 1}}, b"", None, "__metadata__ is not an object of texts"),
        ({"a": 3}, b"", None, "'a' lacks its dtype, shape or data_offsets"),
        ({"a": {**GOOD, "data_offsets": [0, 8, 9]}}, bytes(8), None, "'a' lacks its dtype"),
        ({"a": {**GOOD, "dtype": "F8_E4M3"}}, bytes(8), None, "dtype 'F8_E4M3', which isograd"),
        ({"a": {**GOOD, "shape": [-2]}}, bytes(8), None, "sizes are integers >= 0"),
        ({"a": {**GOOD, "shape": [True]}}, bytes(8), None, "sizes are integers >= 0"),
        ({"a": {**GOOD, "shape": "2"}}, bytes(8), None, "sizes are integers >= 0"),
        ({"a": {**GOOD, "shape": [1 << 60]}}, bytes(8), None, "takes 8 bytes, but F32 of shape"),
        ({"a": {**GOOD, "data_offsets": [8, 0]}}, bytes(8), None, "takes -8 bytes"),
        ({"a": GOOD}, bytes(7), None, "describes 8 bytes of data, the file has 7"),
        ({"a": GOOD}, bytes(9), None, "describes 8 bytes of data, the file has 9"),
        ({"a": GOOD, "b": GOOD}, bytes(8), None, "'b' begins at byte 0 of the data, not at 8"),
        (
            {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}},
            bytes(8),
            None,
            "describes 4398046511104 bytes of data, the file has 8",
        ),
    ],
)
def test_lying_headers(
    header: Any, data: bytes, length: int | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    write(path, header, data, length)
    with pytest.raises(ig.DataFormatError, match=r"safetensors: .*again") as error:
        io.open_safetensors(path)
    assert message in str(error.value)


def test_truncated_files(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    io.save_model(nn.Linear(2, 2), path)
    whole = path.read_bytes()
    for size in (0, 5, 8, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ig.DataFormatError, match=r"safetensors: "):
            io.load_safetensors(path)


@pytest.mark.oracle
def test_files_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    from safetensors.torch import load_file, save_file

    theirs, ours = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    save_file(theirs.state_dict(), tmp_path / "theirs")
    io.load_model(ours, tmp_path / "theirs")
    np.testing.assert_array_equal(ours.weight.numpy(), theirs.weight.detach().numpy())
    io.save_model(ours, tmp_path / "ours")
    assert torch.equal(load_file(tmp_path / "ours")["weight"], theirs.weight)
