"""Batches of a data set, in a reproducible order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from isograd.data.dataset import Indices, shuffled
from isograd.runtime.tensor import Tensor, tensor

__all__ = ["DataLoader", "default_collate"]


class DataLoader:
    """Iterate over a data set in batches.

    The order is a function of ``seed`` and ``epoch`` alone: each iteration over the loader is one epoch,
    and adds one to ``epoch``. Set ``epoch`` to repeat or skip some.

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
    seed : int
        Selects the sequence of orders; two loaders with one seed agree.

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
        seed: int = 0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size={batch_size} is not positive; use at least 1")
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
            self._fetch(order[i * self.batch_size : (i + 1) * self.batch_size]) for i in range(len(self))
        )

    def order(self, epoch: int, /) -> Indices:
        """Return the order in which an epoch visits the samples, as int64 ``(len(dataset),)``."""
        count = len(self.dataset)
        return shuffled(count, seed=self.seed, epoch=epoch) if self.shuffle else np.arange(count)

    def _fetch(self, indices: Indices) -> Any:
        batch = getattr(self.dataset, "batch", None)
        if self.collate_fn is None and batch is not None:
            return batch(indices)
        collate = default_collate if self.collate_fn is None else self.collate_fn
        return collate([self.dataset[i] for i in indices.tolist()])


def default_collate(samples: Sequence[Any], /) -> Any:
    """Turn a list of samples into a batch.

    Tensors, NumPy arrays and numbers are stacked along a new axis 0; tuples, lists and dicts are collated
    member by member; anything else stays a list.

    Examples
    --------
    >>> x, names = default_collate([([1.0, 2.0], "a"), ([3.0, 4.0], "b")])
    >>> [row.tolist() for row in x], names
    ([[1.0, 3.0], [2.0, 4.0]], ['a', 'b'])
    """
    first = samples[0]
    if isinstance(first, Tensor):
        from isograd.ops import stack

        return stack(list(samples))
    if isinstance(first, np.ndarray | np.generic | bool | int | float):
        return tensor(np.stack(samples)) if isinstance(first, np.ndarray | np.generic) else tensor(list(samples))
    if isinstance(first, dict):
        keys = cast("dict[Any, Any]", first)
        return {key: default_collate([sample[key] for sample in samples]) for key in keys}
    if isinstance(first, tuple | list):
        members = [default_collate(member) for member in zip(*samples, strict=True)]
        if hasattr(first, "_fields"):
            return type(first)(*members)
        return tuple(members) if isinstance(first, tuple) else members
    return list(samples)
