"""Data sets, splits, the loader's order and batches."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.data import DataLoader, Dataset, Subset, TensorDataset, default_collate, random_split
from isograd.data.dataset import shuffled

Point = namedtuple("Point", ["x", "y"])


def numbered(count: int) -> TensorDataset:
    return TensorDataset(ig.reshape(ig.arange(2 * count), (count, 2)), ig.arange(count))


class Counted(Dataset[int]):
    """A data set without a fast path, which remembers what it was asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> int:
        self.asked.append(index)
        return index * 10


def test_tensor_dataset() -> None:
    data = numbered(4)
    assert len(data) == 4
    x, y = data[2]
    assert (x.tolist(), y.item()) == ([4, 5], 2)
    assert [t.shape for t in data[1:3]] == [(2, 2), (2,)]
    assert TensorDataset(np.ones((3, 2)), [1, 2, 3]).tensors[0].dtype == ig.float64


@pytest.mark.parametrize("shapes", [[], [(3,), (4,)], [()], [(2, 3), (3, 2)]])
def test_tensor_dataset_of_unequal_lengths(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ig.ShapeError, match="TensorDataset: got tensors of shapes"):
        TensorDataset(*[ig.zeros(shape) for shape in shapes])


def test_base_class_says_what_to_define() -> None:
    class Empty(Dataset[int]):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no __len__; define it"):
        len(Empty())
    with pytest.raises(NotImplementedError, match="Empty has no __getitem__; define it"):
        Empty()[0]


@pytest.mark.parametrize("indices", [[0, 1, 2], [2, 3], [3, 1, 1], [0], []])
def test_batch_equals_stacked_rows(indices: list[int]) -> None:
    data = numbered(4)
    for got, whole in zip(data.batch(np.array(indices, dtype=np.int64)), data.tensors, strict=True):
        np.testing.assert_array_equal(got.numpy(), whole.numpy()[indices])


def test_subset() -> None:
    inner = Subset(numbered(10), [9, 7, 5, 3])
    outer = Subset(inner, [3, 0])
    assert [outer[i][1].item() for i in range(len(outer))] == [3, 9]
    assert outer.batch(np.array([1, 0]))[1].tolist() == [9, 3]
    assert next(iter(DataLoader(Subset("python", [5, 0]), batch_size=2))) == ["n", "p"]
    with pytest.raises(
        ig.IndexOutOfRangeError, match=r"index 10 is out of range for 10 samples; use .*\[0, 9\]"
    ):
        Subset(numbered(10), [3, 10])


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([7, 3], [7, 3]),
        ([0.75, 0.25], [8, 2]),
        ([0.5, 0.3, 0.2], [5, 3, 2]),
        ([10, 0], [10, 0]),
        ([1 / 3] * 3, [4, 3, 3]),
    ],
)
def test_random_split(lengths: list[float], sizes: list[int]) -> None:
    parts = random_split(range(10), lengths, seed=3)
    assert [len(part) for part in parts] == sizes
    assert sorted(i for part in parts for i in part.indices.tolist()) == list(range(10))
    again = random_split(range(10), lengths, seed=3)
    assert all(np.array_equal(a.indices, b.indices) for a, b in zip(parts, again, strict=True))
    other = random_split(range(10), lengths, seed=4)
    assert any(not np.array_equal(a.indices, b.indices) for a, b in zip(parts, other, strict=True))


@pytest.mark.parametrize("lengths", [[7, 4], [0.5, 0.4], [11, -1]])
def test_random_split_that_does_not_add_up(lengths: list[float]) -> None:
    with pytest.raises(ValueError, match="random_split: lengths"):
        random_split(range(10), lengths)


def test_the_order_is_fixed_for_all_time() -> None:
    """These orders follow from Philox4x64-10; no library's version may change them."""
    assert shuffled(8, seed=0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert shuffled(8, seed=0, epoch=1).tolist() == [5, 3, 7, 2, 4, 1, 0, 6]
    assert shuffled(8, seed=2**63 + 1).tolist() == [2, 1, 4, 6, 7, 0, 5, 3]


def test_epochs_differ_and_repeat() -> None:
    def epochs(loader: DataLoader) -> list[list[int]]:
        return [[i for batch in loader for i in batch.tolist()] for _ in range(3)]

    first = epochs(DataLoader(range(50), 7, shuffle=True, seed=5))
    assert first == epochs(DataLoader(range(50), 7, shuffle=True, seed=5))
    assert first != epochs(DataLoader(range(50), 7, shuffle=True, seed=6))
    assert first[0] != first[1] != first[2]
    assert all(sorted(epoch) == list(range(50)) for epoch in first)
    resumed = DataLoader(range(50), 7, shuffle=True, seed=5)
    resumed.epoch = 2
    assert [i for batch in resumed for i in batch.tolist()] == first[2]


def test_the_seed_comes_from_isograd_random_unless_given() -> None:
    def order(seed: int) -> list[int]:
        ig.random.manual_seed(seed)
        return DataLoader(range(50), shuffle=True).order(0).tolist()

    assert order(1) == order(1) != order(2)
    generator = ig.random.Generator(7)
    with_generator = DataLoader(range(50), shuffle=True, generator=generator)
    assert with_generator.seed == DataLoader(range(50), generator=ig.random.Generator(7)).seed


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("count", "batch_size"), [(10, 3), (9, 3), (2, 5), (0, 3)])
def test_lengths(count: int, batch_size: int, drop_last: bool) -> None:
    loader = DataLoader(numbered(count), batch_size, drop_last=drop_last)
    sizes = [len(y) for _, y in loader]
    whole, rest = divmod(count, batch_size)
    assert sizes == [batch_size] * whole + ([rest] if rest and not drop_last else [])
    assert len(loader) == len(sizes)


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_fast_path_gives_what_the_slow_one_gives(shuffle: bool) -> None:
    data = numbered(11)

    def collate(samples: list[Any]) -> Any:
        return default_collate(samples)

    fast = list(DataLoader(data, 4, shuffle=shuffle, seed=1))
    slow = list(DataLoader(data, 4, shuffle=shuffle, seed=1, collate_fn=collate))
    for (x, y), (x2, y2) in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(x.numpy(), x2.numpy())
        np.testing.assert_array_equal(y.numpy(), y2.numpy())


def test_samples_are_fetched_when_a_batch_is_asked_for() -> None:
    data = Counted(6)
    batches = iter(DataLoader(data, 2))
    assert data.asked == []
    assert next(batches).tolist() == [0, 10]
    assert data.asked == [0, 1]


def test_collate() -> None:
    assert default_collate([1, 2]).dtype == ig.int64
    assert default_collate([1.5, 2.5]).dtype == ig.float32
    assert default_collate([True, False]).dtype == ig.bool
    assert default_collate([np.float64(1), np.float64(2)]).dtype == ig.float64
    assert default_collate([np.ones(2, "u1")] * 3).shape == (3, 2)
    assert default_collate([ig.ones(2), ig.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    assert default_collate(["a", "b"]) == ["a", "b"]
    batch = default_collate([Point(1, {"k": [2.0]}), Point(3, {"k": [4.0]})])
    assert type(batch) is Point
    assert (batch.x.tolist(), batch.y["k"][0].tolist()) == ([1, 3], [2.0, 4.0])


def test_collate_of_samples_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"shape|argument"):
        default_collate([np.ones(2), np.ones(3)])
    with pytest.raises(ValueError, match="shorter"):
        default_collate([(1, 2), (1,)])


@pytest.mark.parametrize(
    ("options", "says"), [({"batch_size": 0}, "batch_size=0"), ({"seed": -1}, "seed=-1")]
)
def test_bad_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"DataLoader: {says}"):
        DataLoader(range(3), **options)
