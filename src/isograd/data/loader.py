"""Batches of a data set, in a reproducible order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from isograd.data.collate import fetch
from isograd.data.dataset import Indices, shuffled
from isograd.ops.random import Generator, integers

__all__ = ["DataLoader"]


class DataLoader:
    """Iterate over a data set in batches.

    The order is a function of ``seed`` and ``epoch`` alone: each iteration over the loader is one
    epoch, and adds one to ``epoch``. Set ``epoch`` to repeat or skip some.

    Parameters
    ----------
    dataset : Dataset
        Any object with ``__len__`` and ``__getitem__``; with a ``batch(indices)`` method, as
        `TensorDataset` has, each batch is fetched by one call.
    batch_size : int
        Samples in a batch; the last one is smaller where they do not divide.
    shuffle : bool
        Whether each epoch has its own random order.
    drop_last : bool
        Leave out a last batch that is not full.
    collate_fn : callable, optional
        Turns the list of a batch's samples into a batch; `default_collate` unless given.
    seed : int, optional
        Selects the sequence of orders; two loaders with one seed agree. Drawn at random unless
        given.
    generator : Generator, optional
        What the seed is drawn from; the global generator of `isograd.random` unless given.

    Raises
    ------
    ValueError
        If ``batch_size`` is not positive or ``seed`` is negative.

    Examples
    --------
    >>> loader = DataLoader(range(5), batch_size=2)
    >>> [batch.tolist() for batch in loader]
    [[0, 1], [2, 3], [4]]
    >>> len(loader), loader.epoch
    (3, 1)
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        seed: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size={batch_size} is not positive; use at least 1")
        if seed is None:
            seed = int(integers(0, 1 << 62, generator=generator).item())
        if seed < 0:
            raise ValueError(f"DataLoader: seed={seed} is negative; use a seed >= 0")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        count = len(self.dataset)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        order = self.order(self.epoch)
        self.epoch += 1
        return (
            self._fetch(order[i * self.batch_size : (i + 1) * self.batch_size])
            for i in range(len(self))
        )

    def order(self, epoch: int, /) -> Indices:
        """Return the order in which an epoch visits the samples, as int64 ``(len(dataset),)``."""
        count = len(self.dataset)
        return shuffled(count, seed=self.seed, epoch=epoch) if self.shuffle else np.arange(count)

    def _fetch(self, indices: Indices) -> Any:
        if self.collate_fn is None:
            return fetch(self.dataset, indices)
        return self.collate_fn([self.dataset[i] for i in indices.tolist()])
