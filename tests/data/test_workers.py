"""Samplers, workers, resuming, and text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.data import (
    CharVocabulary,
    ConcatDataset,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TextDataset,
    WeightedRandomSampler,
    load_text,
)


class Squares:
    """Samples that processes can make: a tensor, a number, and a text."""

    def __init__(self, count: int = 20, bad: int | None = None) -> None:
        self.count = count
        self.bad = bad

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if index == self.bad:
            raise KeyError("no such sample")
        return ig.full((2,), float(index)), index**2, f"sample {index}"


def noisy(batch: Any, generator: ig.Generator) -> Any:
    x, y, names = batch
    return x + ig.random.normal(x.shape, generator=generator), y, names


def die(batch: Any, generator: ig.Generator) -> Any:
    os._exit(3)


def seen(loader: DataLoader) -> list[Any]:
    return [(x.tolist(), y.tolist(), names) for x, y, names in loader]


def test_workers_give_what_no_workers_give(backend: str) -> None:
    def loader(**options: Any) -> DataLoader:
        return DataLoader(Squares(), 3, shuffle=True, seed=2, transform=noisy, **options)

    alone = loader()
    expected = [seen(alone), seen(alone)]
    threads = loader(num_workers=3)
    assert [seen(threads), seen(threads)] == expected
    threads.close()
    threads.epoch = 1
    assert seen(threads) == expected[1]


def test_worker_processes() -> None:
    loader = DataLoader(
        Squares(), 3, shuffle=True, seed=2, transform=noisy, num_workers=2, worker_kind="process"
    )
    with_processes = [seen(loader), seen(loader)]
    loader.close()
    loader.num_workers, loader.epoch = 0, 0
    assert [seen(loader), seen(loader)] == with_processes


def test_a_worker_process_that_dies() -> None:
    loader = DataLoader(Squares(), 3, transform=die, num_workers=1, worker_kind="process")
    with pytest.raises(RuntimeError, match="DataLoader: a worker process died; run with num_w"):
        list(loader)
    loader.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_names_its_batch(workers: int) -> None:
    loader = DataLoader(Squares(bad=7), 3, num_workers=workers)
    with pytest.raises(KeyError, match="no such sample") as error:
        list(loader)
    assert error.value.__notes__ == ["DataLoader: in batch 2 of epoch 0"]
    loader.close()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [0, 1, 4, 7])
def test_resuming_in_the_middle(stop: int, workers: int) -> None:
    def loader(seed: int) -> DataLoader:
        return DataLoader(Squares(), 3, shuffle=True, seed=seed, num_workers=workers)

    first = loader(5)
    list(first)
    batches = iter(first)
    for _ in range(stop):
        next(batches)
    state = first.state_dict()
    assert state == {"seed": 5, "epoch": 1, "position": stop}
    rest = [names for *_, names in batches]
    after = [names for *_, names in first]
    other = loader(9)
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert [names for *_, names in other] == rest
    assert [names for *_, names in other] == after
    for each in (first, other):
        each.close()


def test_an_epoch_that_was_left_is_over() -> None:
    loader = DataLoader(range(6), 2)
    for _ in loader:
        break
    assert loader.state_dict() == {"seed": loader.seed, "epoch": 1, "position": 0}


@pytest.mark.parametrize(
    "state", [{}, {"seed": 1, "epoch": 0}, {"seed": 1, "epoch": 0, "position": 9}]
)
def test_states_that_do_not_fit(state: Any) -> None:
    with pytest.raises(ig.StateDictError, match="load_state_dict: "):
        DataLoader(range(6), 2).load_state_dict(state)


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": -1},
        {"prefetch_factor": 0},
        {"worker_kind": "fork"},
        {"shuffle": True, "sampler": [1]},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="DataLoader: "):
        DataLoader(range(3), **options)


def test_samplers() -> None:
    data = range(10)
    assert isinstance(SequentialSampler(data), Sampler)
    assert [b.tolist() for b in DataLoader(data, 3, sampler=[4, 2, 9, 1])] == [[4, 2, 9], [1]]
    some = DataLoader(data, 4, sampler=SubsetRandomSampler([1, 3, 5, 7, 9], seed=3))
    assert len(some) == 2
    epochs = [[i for b in some for i in b.tolist()] for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [1, 3, 5, 7, 9]
    assert len(RandomSampler(data, num_samples=4).order(0)) == 4
    many = RandomSampler(data, replacement=True, num_samples=5000).order(1)
    assert np.all(np.abs(np.bincount(many, minlength=10) - 500) < 5 * np.sqrt(500))
    with pytest.raises(ValueError, match="RandomSampler: num_samples=11 of 10 samples"):
        RandomSampler(data, num_samples=11)


def test_weighted_samplers() -> None:
    weights = [0.0, 1.0, 3.0, 0.0]
    order = WeightedRandomSampler(weights, 4000, seed=1).order(0)
    counts = np.bincount(order, minlength=4)
    assert counts[0] == counts[3] == 0
    assert abs(counts[1] - 1000) < 5 * np.sqrt(750)
    firsts = [
        WeightedRandomSampler(weights, 2, replacement=False, seed=1).order(e).tolist()
        for e in range(400)
    ]
    assert all(sorted(pair) == [1, 2] for pair in firsts)
    assert abs(sum(pair[0] == 2 for pair in firsts) - 300) < 5 * np.sqrt(75)
    for bad, count in (([-1.0], 1), ([0.0], 1), ([np.nan], 1)):
        with pytest.raises(ValueError, match="weights must be finite"):
            WeightedRandomSampler(bad, count)
    with pytest.raises(ValueError, match="num_samples=3 of 2 samples of positive weight"):
        WeightedRandomSampler(weights, 3, replacement=False)


def test_pinning_and_moving() -> None:
    pinned: list[tuple[int, ...]] = []

    def pin(array: Any) -> Any:
        pinned.append(array.shape)
        return array

    loader = DataLoader(Squares(2), 2, pin_memory=pin, device="cpu")
    ((x, _, names),) = list(loader)
    assert pinned == [(2, 2), (2,)]
    assert (x.shape, names) == ((2, 2), ["sample 0", "sample 1"])


def test_concatenation() -> None:
    both = ConcatDataset([range(3), range(10, 12)])
    assert [both[i] for i in range(5)] == [0, 1, 2, 10, 11]
    assert both[-1] == 11
    with pytest.raises(IndexError):
        _ = both[5]


def test_text() -> None:
    data = TextDataset("to be or not to be", 5, stride=2)
    assert (len(data), len(data.vocabulary)) == (7, 7)
    x, y = data.batch(np.array([0, 3]))
    assert [data.vocabulary.decode(row) for row in (*x, *y)] == ["to be", "or no", "o be ", "r not"]
    assert data.vocabulary.decode(data[-1][1]) == "to be"
    vocabulary = CharVocabulary("ab🙂")
    assert vocabulary.decode(vocabulary.encode("b🙂a")) == "b🙂a"
    for text, where in (("abx", 2), ("🙃", 0)):
        with pytest.raises(ig.IndexOutOfRangeError, match=f"encode: '.' at {where} is not among"):
            vocabulary.encode(text)
    with pytest.raises(ValueError, match="2 characters are too few for a piece of 2"):
        TextDataset("ab", 2)
    with pytest.raises(ValueError, match="block_size=1, stride=0; use positive"):
        TextDataset("ab", 1, stride=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab\xff", "is not UTF-8 at byte 2"),
        (b"a\0b", "has bytes of 0"),
        (b"a" * 11, "is longer than max_bytes=10"),
    ],
)
def test_files_that_are_no_text(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(ig.DataFormatError, match=message):
        load_text(path, max_bytes=10)
    path.write_bytes(b"\xef\xbb\xbfone\r\n")
    assert load_text(path) == "one\n"
