"""Data sets: things with a length that give a sample for an index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from isograd.core.errors import IndexOutOfRangeError, ShapeError
from isograd.data.collate import fetch
from isograd.ops.creation import tensor
from isograd.runtime.tensor import Tensor

__all__ = ["ConcatDataset", "Dataset", "Subset", "TensorDataset", "random_split", "shuffled"]

T = TypeVar("T", covariant=True)
Indices = np.ndarray[Any, np.dtype[np.int64]]


class Dataset(Generic[T]):
    """Base class of data sets: subclasses define ``__len__`` and ``__getitem__(index)``.

    A data set that can fetch many samples at once may also define ``batch(indices)``, which takes
    an int64 array and returns the samples collated; `DataLoader` then asks for whole batches.

    Examples
    --------
    >>> class Squares(Dataset[int]):
    ...     def __len__(self) -> int:
    ...         return 5
    ...
    ...     def __getitem__(self, index: int, /) -> int:
    ...         return index**2
    >>> Squares()[3]
    9
    """

    def __len__(self) -> int:
        raise NotImplementedError(
            f"{type(self).__name__} has no __len__; define it in the subclass"
        )

    def __getitem__(self, index: int, /) -> T:
        raise NotImplementedError(
            f"{type(self).__name__} has no __getitem__; define it in the subclass"
        )


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples that are rows of tensors.

    Parameters
    ----------
    *tensors : Tensor or array
        At least one, all of the same length along axis 0. What is not a Tensor is copied into one.

    Raises
    ------
    ShapeError
        If the lengths differ, or a tensor has no axis 0.

    Examples
    --------
    >>> data = TensorDataset([[1.0, 2.0], [3.0, 4.0]], [0, 1])
    >>> x, y = data[1]
    >>> x.tolist(), y.item()
    ([3.0, 4.0], 1)
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(item if isinstance(item, Tensor) else tensor(item) for item in tensors)
        shapes = [item.shape for item in self.tensors]
        if not shapes or any(not shape or shape[0] != shapes[0][0] for shape in shapes):
            raise ShapeError(
                f"TensorDataset: got tensors of shapes {shapes}; pass at least one, all of one "
                "length along axis 0"
            )

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any, /) -> tuple[Tensor, ...]:
        return tuple(item[index] for item in self.tensors)

    def batch(self, indices: Indices, /) -> tuple[Tensor, ...]:
        """Return the rows at ``indices``, stacked: a slice where they are consecutive."""
        if len(indices) and bool(np.all(np.diff(indices) == 1)):
            return self[int(indices[0]) : int(indices[-1]) + 1]
        return self[indices]


class Subset(Dataset[T]):
    """Some of the samples of a data set, in a given order.

    Parameters
    ----------
    dataset : Dataset
        Any object with ``__len__`` and ``__getitem__``.
    indices : sequence of int
        Which samples.

    Raises
    ------
    IndexOutOfRangeError
        If an index is not in ``[0, len(dataset))``.

    Examples
    --------
    >>> Subset("isograd", [0, 3])[1]
    'g'
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | Indices, /) -> None:
        self.dataset = dataset
        self.indices: Indices = np.array(indices, dtype=np.int64).reshape(-1)
        wrong = self.indices[(self.indices < 0) | (self.indices >= len(dataset))]
        if len(wrong):
            raise IndexOutOfRangeError(
                f"Subset: index {wrong[0]} is out of range for {len(dataset)} samples; "
                f"use indices in [0, {len(dataset) - 1}]"
            )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> T:
        return self.dataset[int(self.indices[index])]

    def batch(self, indices: Indices, /) -> Any:
        """Return the samples at ``indices`` of this subset as a batch."""
        return fetch(self.dataset, self.indices[indices])


class ConcatDataset(Dataset[T]):
    """Several data sets, one after the other.

    Parameters
    ----------
    datasets : sequence of Dataset
        Objects with ``__len__`` and ``__getitem__``.

    Examples
    --------
    >>> both = ConcatDataset(["ab", "cde"])
    >>> len(both), both[3]
    (5, 'd')
    """

    def __init__(self, datasets: Sequence[Any], /) -> None:
        self.datasets = list(datasets)
        self._ends = np.cumsum([0, *[len(dataset) for dataset in datasets]])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int, /) -> T:
        place = range(len(self))[index]
        part = int(np.searchsorted(self._ends, place, side="right")) - 1
        return self.datasets[part][place - int(self._ends[part])]


def shuffled(count: int, *, seed: int, epoch: int = 0) -> Indices:
    """Return the numbers below ``count`` in an order that depends on ``seed`` and ``epoch`` alone.

    The order sorts 64-bit words of Philox4x64-10, keyed by (seed, epoch), so it is the same on
    every machine, backend and NumPy version.

    Examples
    --------
    >>> shuffled(5, seed=1).tolist()
    [3, 2, 0, 1, 4]
    """
    words = np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)).random_raw(count)
    return np.argsort(words, kind="stable")


def random_split(
    dataset: Any, lengths: Sequence[int | float], /, *, seed: int = 0
) -> list[Subset[Any]]:
    """Split a data set into random parts that do not overlap.

    Parameters
    ----------
    dataset : Dataset
        Any object with ``__len__`` and ``__getitem__``.
    lengths : sequence of int or of float
        Numbers of samples that add up to ``len(dataset)``; or fractions that add up to 1, of which
        each is rounded down and the rest is handed out one by one from the first part on.
    seed : int
        The same seed gives the same split.

    Returns
    -------
    list of Subset
        One for each length.

    Raises
    ------
    ValueError
        If lengths are negative or do not add up.

    Examples
    --------
    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    count = len(dataset)
    if any(length < 0 for length in lengths):
        raise ValueError(
            f"random_split: lengths {list(lengths)} include a negative one; use lengths >= 0"
        )
    if any(isinstance(length, float) for length in lengths) and math.isclose(sum(lengths), 1):
        sizes = [math.floor(count * length) for length in lengths]
        for i in range(count - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        sizes = [int(length) for length in lengths]
        if sum(lengths) != count:
            raise ValueError(
                f"random_split: lengths {list(lengths)} add up to {sum(lengths)}, not to the "
                f"{count} samples; use sizes that add up to it, or fractions that add up to 1"
            )
    order = shuffled(count, seed=seed)
    ends = np.cumsum(sizes).tolist()
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
