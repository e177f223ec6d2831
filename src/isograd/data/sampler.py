"""Samplers: which samples an epoch visits, in which order, as a function of the epoch's number.

So an order needs no state: a loader that resumes asks for the same epoch again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from typing import Any, Protocol, runtime_checkable

import numpy as np

from isograd.data.dataset import Indices, shuffled

__all__ = [
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


@runtime_checkable
class Sampler(Protocol):
    """What `DataLoader` asks for an order. Subclass, or write a class with these two methods."""

    def order(self, epoch: int, /) -> Indices:
        """Return the samples that an epoch visits, as int64; the same each time it is asked."""
        ...

    def __len__(self) -> int:
        """Return how many samples an epoch has."""
        ...


class SequentialSampler(Sampler):
    """Visit all samples in order.

    Examples
    --------
    >>> SequentialSampler("abc").order(0).tolist()
    [0, 1, 2]
    """

    def __init__(self, data: Sized, /) -> None:
        self._data = data

    def order(self, epoch: int, /) -> Indices:
        return np.arange(len(self))

    def __len__(self) -> int:
        return len(self._data)


class RandomSampler(Sampler):
    """Visit samples in a random order that depends on the seed and the epoch.

    Parameters
    ----------
    data : sized
        A data set.
    replacement : bool
        Draw each sample from all of them, so that some come twice and others not at all.
    num_samples : int, optional
        How many an epoch has; all unless given. Without replacement at most ``len(data)``.
    seed : int
        Selects the sequence of orders.

    Raises
    ------
    ValueError
        If there are fewer samples than an epoch needs.

    Examples
    --------
    >>> RandomSampler(range(5), seed=1).order(0).tolist()
    [3, 2, 0, 1, 4]
    """

    def __init__(
        self,
        data: Sized,
        /,
        *,
        replacement: bool = False,
        num_samples: int | None = None,
        seed: int = 0,
    ) -> None:
        count = len(data) if num_samples is None else num_samples
        if count < 0 or (count > len(data) and not (replacement and len(data))):
            raise ValueError(
                f"RandomSampler: num_samples={count} of {len(data)} samples; use fewer, or "
                "replacement=True"
            )
        self._size = len(data)
        self._count = count
        self._replacement = replacement
        self.seed = seed

    def order(self, epoch: int, /) -> Indices:
        if not self._replacement:
            return shuffled(self._size, seed=self.seed, epoch=epoch)[: self._count]
        return np.floor(_uniform(self._count, self.seed, epoch) * self._size).astype(np.int64)

    def __len__(self) -> int:
        return self._count


class SubsetRandomSampler(Sampler):
    """Visit some samples in a random order.

    Examples
    --------
    >>> sorted(SubsetRandomSampler([7, 1, 5]).order(0).tolist())
    [1, 5, 7]
    """

    def __init__(self, indices: Sequence[int] | Indices, /, *, seed: int = 0) -> None:
        self._indices: Indices = np.array(indices, dtype=np.int64).reshape(-1)
        self.seed = seed

    def order(self, epoch: int, /) -> Indices:
        return self._indices[shuffled(len(self), seed=self.seed, epoch=epoch)]

    def __len__(self) -> int:
        return len(self._indices)


class WeightedRandomSampler(Sampler):
    """Draw samples with given weights, for example to see rare classes as often as others.

    Parameters
    ----------
    weights : sequence of float
        One for each sample, not negative; they need not add up to 1.
    num_samples : int
        How many an epoch has.
    replacement : bool
        Whether a sample can come again. Without, an order is drawn by exponential clocks
        (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).
    seed : int
        Selects the sequence of orders.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, all are 0, or too few are positive.

    Examples
    --------
    >>> sampler = WeightedRandomSampler([0.0, 1.0, 3.0], 6)
    >>> sorted(set(sampler.order(0).tolist()))
    [1, 2]
    """

    def __init__(
        self,
        weights: Iterable[float],
        num_samples: int,
        /,
        *,
        replacement: bool = True,
        seed: int = 0,
    ) -> None:
        self._weights = np.array(list(weights), dtype=np.float64)
        positive = int(np.count_nonzero(self._weights))
        if not (np.all(np.isfinite(self._weights)) and np.all(self._weights >= 0) and positive):
            raise ValueError(
                "WeightedRandomSampler: weights must be finite, >= 0, and not all 0; look for NaN "
                "and negative ones"
            )
        if num_samples < 0 or (num_samples > positive and not replacement):
            raise ValueError(
                f"WeightedRandomSampler: num_samples={num_samples} of {positive} samples of "
                "positive weight; use fewer, or replacement=True"
            )
        self._count = num_samples
        self._replacement = replacement
        self.seed = seed

    def order(self, epoch: int, /) -> Indices:
        if self._replacement:
            edges: Floats = np.cumsum(self._weights)
            drawn: Floats = _uniform(self._count, self.seed, epoch) * edges[-1]
            last = int(np.flatnonzero(self._weights)[-1])
            return np.minimum(np.searchsorted(edges, drawn, side="right"), last)
        clocks = -np.log1p(-_uniform(len(self._weights), self.seed, epoch))
        with np.errstate(divide="ignore", invalid="ignore"):
            times: Floats = np.where(self._weights > 0, clocks / self._weights, np.inf)
        return np.argsort(times, kind="stable")[: self._count]

    def __len__(self) -> int:
        return self._count


def _uniform(count: int, seed: int, epoch: int) -> Floats:
    """Return float64 in [0, 1) from the top 53 bits of Philox's words, keyed by seed and epoch."""
    words = np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)).random_raw(count)
    return (words >> np.uint64(11)) * 2.0**-53
