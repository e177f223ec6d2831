"""Metrics: functions of a batch's outputs and targets that return a mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isograd.core.dtypes import default_float
from isograd.ops.reductions import argmax, mean
from isograd.runtime.tensor import Tensor

__all__ = ["Means", "accuracy"]


def accuracy(output: Tensor, target: Tensor, /) -> Tensor:
    """Return the share of samples whose largest output is at the target's index.

    Parameters
    ----------
    output : Tensor
        Scores ``(n, classes)`` or ``(n, classes, ...)``, as for ``cross_entropy``.
    target : Tensor
        Integers ``(n,)`` or ``(n, ...)``.

    Examples
    --------
    >>> import isograd as ig
    >>> accuracy(ig.tensor([[0.1, 0.9], [0.8, 0.2]]), ig.tensor([1, 1])).item()
    0.5
    """
    return mean((argmax(output, axis=1) == target).astype(default_float()))


class Means:
    """Means over batches, weighted by their sizes; its state resumes in the middle of an epoch."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, names: Sequence[str], values: Sequence[float], size: int) -> None:
        """Take the means of a batch of this size into account."""
        for name, value in zip(names, values, strict=True):
            self._sums[name] = self._sums.get(name, 0.0) + value * size
        self._count += size

    def means(self) -> dict[str, float]:
        """Return the means of all so far."""
        return {name: total / max(self._count, 1) for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums."""
        return {"sums": dict(self._sums), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take the sums over."""
        self._sums, self._count = dict(state["sums"]), int(state["count"])
