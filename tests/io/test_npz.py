"""npz without pickle, trees of state, and files that lie."""

from __future__ import annotations

import io as python_io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import io


def test_numpy_reads_what_we_write_and_the_other_way(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.int16).reshape(2, 3),
        "b": np.array(0.1),
        "c": np.zeros((0, 2), np.float32),
        "d": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    io.save_npz(arrays, tmp_path / "ours.npz")
    np.savez_compressed(tmp_path / "theirs.npz", **arrays)
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as theirs:
        for name, array in arrays.items():
            np.testing.assert_array_equal(theirs[name], array)
    for name, tensor in io.load_npz(tmp_path / "theirs.npz").items():
        assert tensor.dtype == arrays[name].dtype
        np.testing.assert_array_equal(tensor.numpy(), arrays[name])


def member(shape: tuple[int, ...], dtype: str, data: bytes) -> bytes:
    file = python_io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'x' has no header of an array"),
        (b"\x93NUMPY\x01\x00", "'x' has no header of an array"),
        (b"\x93NUMPY\x07\x00" + bytes(80), "'x' has no header of an array"),
        (member((1 << 50,), "<f8", bytes(8)), r"shape \(1125899906842624,\) of float64"),
        (member((2,), "<f8", bytes(8)), r"'x' has 8 of 16 bytes"),
        (member((1,), "<f8", bytes(9)), r"'x' has 9 of 8 bytes"),
        (member((1,), "|O", bytes(8)), "has the dtype object, where numbers are expected"),
    ],
)
def test_lying_members(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(ig.DataFormatError, match=message):
        io.load_npz(path)


def test_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(ig.DTypeError, match="save_npz: 'x' holds Python objects"):
        io.save_npz({"x": np.array([object()])}, tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())
    np.savez(tmp_path / "b.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ig.DataFormatError, match="dtype object"):
        io.load_npz(tmp_path / "b.npz")


def test_damaged_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    io.save_npz({"x": np.arange(1000.0)}, path)
    whole = bytearray(path.read_bytes())
    whole[4000] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ig.DataFormatError, match="the archive is damaged"):
        io.load_npz(path)
    for size in (0, 10, 4000):
        path.write_bytes(whole[:size])
        with pytest.raises(ig.DataFormatError, match="the archive is damaged"):
            io.load_npz(path)


def test_trees_come_back_equal_to_the_last_bit(tmp_path: Path) -> None:
    tree: dict[Any, Any] = {
        "numbers": [1, -(2**70), 0.1, -0.0, math.inf, True, None],
        3: (ig.tensor([1.0, 2.0]), np.float32(0.1)),
        "nested": {"empty": {}, "list": [[]], "text": "ü\n"},
    }
    path = tmp_path / "state.npz"
    io.save_tree(tree, path)
    back = io.load_tree(path)
    assert list(back) == list(tree)
    assert back["numbers"] == tree["numbers"]
    assert math.copysign(1, back["numbers"][3]) == -1
    assert back["numbers"][5] is True
    assert isinstance(back[3], tuple)
    assert back[3][0].tolist() == [1.0, 2.0]
    assert back[3][1] == np.float32(0.1)
    assert back["nested"] == tree["nested"]
    io.save_tree(math.nan, path)
    assert math.isnan(io.load_tree(path))


def test_trees_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ig.DTypeError, match=r"save_tree: the tree, 'a', 1 is a object; save"):
        io.save_tree({"a": [1, object()]}, tmp_path / "a.npz")
    io.save_npz({"x": np.ones(1)}, tmp_path / "b.npz")
    with pytest.raises(ig.DataFormatError, match="holds no tree of state"):
        io.load_tree(tmp_path / "b.npz")
    for text in (b"{}", b'["tensor", "9"]', b"[", b'["code", []]', b"[" * 100_000):
        io.save_npz({"tree": np.frombuffer(text, np.uint8)}, tmp_path / "c.npz")
        if text != b"{}":
            with pytest.raises(ig.DataFormatError, match="holds no tree of state"):
                io.load_tree(tmp_path / "c.npz")
