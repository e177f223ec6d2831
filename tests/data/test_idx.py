"""Reading IDX files: right values, and every way in which a file can lie."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.data import load_fashion_mnist, load_idx

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def encode(array: np.ndarray[Any, Any]) -> bytes:
    code = CODES[array.dtype.str[1:]]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 5), (2, 1, 1, 3)])
def test_values_survive(
    tmp_path: Path, rng: np.random.Generator, kind: str, shape: tuple[int, ...], compressed: bool
) -> None:
    array = (rng.normal(size=shape) * 50).astype(np.int8).astype(kind)
    blob = encode(array)
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(blob) if compressed else blob)
    read = load_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


GOOD = encode(np.arange(24, dtype="u1").reshape(2, 3, 4))
HUGE = struct.pack(">BBBBII", 0, 0, 8, 2, 1 << 31, 1 << 31)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("blob", "says"),
    [
        (b"", "ends after 0 of the 4 bytes"),
        (GOOD[:3], "ends after 3 of the 4 bytes"),
        (b"\x01" + GOOD[1:], "magic number 0x01000803"),
        (b"\x89PNG\r\n\x1a\n", "magic number"),
        (bytes([0, 0, 10, 1, 0, 0, 0, 0]), "magic number 0x00000a01"),
        (bytes([0, 0, 8, 0]), "0 axes"),
        (bytes([0, 0, 8, 200]) + bytes(800), "200 axes"),
        (GOOD[:9], "inside the sizes"),
        (GOOD[:-1], "24 bytes of values"),
        (GOOD[:20], "24 bytes of values"),
        (GOOD + b"\0", "continues after its 24 bytes"),
        (HUGE + b"\0", "max_bytes"),
        (struct.pack(">BBBBII", 0, 0, 8, 2, 1 << 15, 1 << 15), "1073741824 bytes of values"),
        (struct.pack(">BBBBIII", 0, 0, 14, 3, 0, 1 << 31, 1 << 31), "max_bytes"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, blob: bytes, says: str, compressed: bool) -> None:
    path = tmp_path / "bad"
    path.write_bytes(gzip.compress(blob, mtime=0) if compressed else blob)
    with pytest.raises(ig.DataFormatError, match=says) as error:
        load_idx(path)
    assert str(error.value).startswith(f"load_idx: {path}: ")


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.gz"
    packed = bytearray(gzip.compress(encode(np.arange(200, dtype="u1")), mtime=0))
    for blob in (
        packed[:40],
        packed[:-8] + b"\0" * 8,
        packed[:12] + b"\xff" * 40,
        packed + b"more",
    ):
        path.write_bytes(blob)
        with pytest.raises(ig.DataFormatError, match=r"gzip stream is damaged|bytes of values"):
            load_idx(path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """Ten thousand times its size, behind a header that asks for little."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(GOOD + bytes(1 << 26)))
    with pytest.raises(ig.DataFormatError, match="continues after its 24 bytes"):
        load_idx(path)


def test_max_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(GOOD)
    assert load_idx(path, max_bytes=24).shape == (2, 3, 4)
    with pytest.raises(ig.DataFormatError, match="raise max_bytes"):
        load_idx(path, max_bytes=23)


def write_folder(folder: Path, *, count: int = 6, suffix: str = ".gz") -> None:
    for part, extra in (("train", 0), ("t10k", 1)):
        images = np.full((count, 28, 28), 255 * extra, "u1")
        labels = np.arange(count, dtype="u1")
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            blob = encode(array)
            (folder / f"{part}-{kind}-ubyte{suffix}").write_bytes(
                gzip.compress(blob) if suffix else blob
            )


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_in_the_format_of_mnist(tmp_path: Path, suffix: str) -> None:
    write_folder(tmp_path, suffix=suffix)
    train, test = load_fashion_mnist(tmp_path)
    assert train.tensors[0].shape == (6, 1, 28, 28)
    assert train.tensors[0].dtype == ig.float32
    assert train.tensors[1].tolist() == list(range(6))
    assert test.tensors[0].min().item() == 1.0
    flat = load_fashion_mnist(str(tmp_path), flatten=True, dtype=ig.float64).test
    assert flat.tensors[0].shape == (6, 784)
    assert flat.tensors[0].dtype == ig.float64


def test_a_folder_that_does_not_fit_together(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither train-images-idx3-ubyte nor .*\.gz"):
        load_fashion_mnist(tmp_path)
    write_folder(tmp_path, suffix="")
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(encode(np.zeros(5, "u1")))
    with pytest.raises(ig.DataFormatError, match="6 images and 5 labels"):
        load_fashion_mnist(tmp_path)
    labels.write_bytes(encode(np.zeros(6, "f4")))
    with pytest.raises(ig.DataFormatError, match=r"float32 of shape \(6,\), not uint8"):
        load_fashion_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(encode(np.zeros((6, 784), "u1")))
    with pytest.raises(ig.DataFormatError, match=r"\(6, 784\), not uint8"):
        load_fashion_mnist(tmp_path)


@pytest.mark.skipif(
    not FASHION_MNIST.is_dir(), reason=f"Fashion-MNIST is not installed in {FASHION_MNIST}"
)
def test_the_real_fashion_mnist() -> None:
    train, test = load_fashion_mnist(FASHION_MNIST)
    assert (len(train), len(test)) == (60_000, 10_000)
    images, labels = test.tensors
    assert images.shape == (10_000, 1, 28, 28)
    assert np.bincount(labels.numpy()).tolist() == [1000] * 10
    assert labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert 0 <= images.min().item() < images.max().item() <= 1
    assert abs(images.mean().item() - 0.2868) < 1e-3
