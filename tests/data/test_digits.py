"""The digits that come with the package."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import isograd as ig
from isograd.data import images, load_digits


def test_split_shapes_and_values() -> None:
    digits = load_digits()
    assert (len(digits.train), len(digits.test)) == (1442, 355)
    x, t = digits.train.tensors
    assert x.shape == (1442, 1, 8, 8)
    assert (x.dtype, t.dtype) == (ig.float32, ig.int64)
    assert (x.min().item(), x.max().item()) == (0.0, 1.0)
    counts = np.bincount(digits.test.tensors[1].numpy())
    assert counts.min() >= 34
    assert counts.max() <= 36


def test_options() -> None:
    train, _ = load_digits(flatten=True, dtype=ig.float64)
    assert train.tensors[0].shape == (1442, 64)
    assert train.tensors[0].dtype == ig.float64


@pytest.mark.oracle
def test_pixels_are_those_of_scikit_learn() -> None:
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        pytest.skip("scikit-learn is not installed")
    table = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    theirs = np.loadtxt(gzip.decompress(table.read_bytes()).decode().splitlines(), delimiter=",")
    theirs[:, :64] /= 16
    parts = load_digits(flatten=True)
    ours = np.concatenate([np.c_[x.numpy(), t.numpy()] for x, t in (p.tensors for p in parts)])
    assert ours[0].tolist() == theirs[0].tolist()
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_attribution_and_licence_are_beside_the_data() -> None:
    folder = Path(images.__file__).parent
    text = (folder / "DIGITS.txt").read_text()
    for words in ("Alpaydin", "Kaynak", "UCI", "CC BY 4.0", "10.24432/C50P49"):
        assert words in text
    assert sum(path.stat().st_size for path in folder.glob("*.gz")) < 100_000


@pytest.mark.parametrize("change", ["flip", "cut", "empty"])
def test_damaged_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    for path in Path(images.__file__).parent.glob("*.gz"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    victim = tmp_path / "digits-images-idx3-ubyte.gz"
    blob = bytearray(victim.read_bytes())
    blob[1000] ^= 1
    victim.write_bytes({"flip": bytes(blob), "cut": bytes(blob[:-5]), "empty": b""}[change])
    monkeypatch.setattr(images, "_HERE", tmp_path)
    with pytest.raises(
        ig.DataFormatError, match=r"load_digits: .* is damaged: .*; install isograd again"
    ):
        load_digits()
