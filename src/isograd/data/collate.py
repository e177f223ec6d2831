"""From samples to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from isograd.ops.creation import tensor
from isograd.ops.movement import stack
from isograd.runtime.tensor import Tensor

__all__ = ["default_collate", "fetch"]


def fetch(dataset: Any, indices: np.ndarray[Any, Any], /) -> Any:
    """Return samples of a data set as a batch, through its ``batch`` method if it has one."""
    batch = getattr(dataset, "batch", None)
    if batch is not None:
        return batch(indices)
    return default_collate([dataset[i] for i in indices.tolist()])


def default_collate(samples: Sequence[Any], /) -> Any:
    """Turn a list of samples into a batch.

    Tensors, NumPy arrays and numbers are stacked along a new axis 0; tuples, lists and dicts are
    collated member by member; anything else stays a list.

    Examples
    --------
    >>> x, names = default_collate([([1.0, 2.0], "a"), ([3.0, 4.0], "b")])
    >>> [row.tolist() for row in x], names
    ([[1.0, 3.0], [2.0, 4.0]], ['a', 'b'])
    """
    first = samples[0]
    if isinstance(first, Tensor):
        return stack(list(samples))
    if isinstance(first, np.ndarray | np.generic | bool | int | float):
        return (
            tensor(np.stack(samples))
            if isinstance(first, np.ndarray | np.generic)
            else tensor(list(samples))
        )
    if isinstance(first, dict):
        keys = cast("dict[Any, Any]", first)
        return {key: default_collate([sample[key] for sample in samples]) for key in keys}
    if isinstance(first, tuple | list):
        kind = cast("Any", type(first))  # pyright: ignore[reportUnknownArgumentType]
        members = [default_collate(member) for member in zip(*samples, strict=True)]
        return kind(*members) if hasattr(kind, "_fields") else kind(members)
    return list(samples)
