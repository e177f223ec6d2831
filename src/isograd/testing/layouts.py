"""Memory layouts: the same values behind other strides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import isograd as ig
from isograd.testing.op_db.generate import bound

__all__ = ["LAYOUTS", "place", "values_in"]

Array = Any


def _plain(x: Array) -> Any:
    return ig.tensor(x)


def _transposed(x: Array) -> Any:
    axes = tuple(reversed(range(x.ndim)))
    return bound("permute_dims")(_plain(np.ascontiguousarray(x.transpose(axes))), axes=axes)


def _sliced(x: Array) -> Any:
    """Place the values at every second position of a larger array of other values."""
    odd = tuple(slice(1, None, 2) for _ in x.shape)
    buffer = np.full([2 * n + 1 for n in x.shape], 1, x.dtype)
    buffer[odd] = x
    start, step = (1,) * x.ndim, (2,) * x.ndim
    return (
        bound("slice")(_plain(buffer), start=start, stop=tuple(2 * n for n in x.shape), step=step)
        if x.size
        else _plain(x)
    )


def _reversed(x: Array) -> Any:
    return bound("flip")(_plain(np.flip(x).copy()), axis=tuple(range(x.ndim)))


def _zero_stride(x: Array) -> Any:
    return bound("broadcast_to")(_plain(x[:1].copy()), shape=x.shape)


LAYOUTS: Mapping[str, Callable[[Array], Any]] = {
    "C order": _plain,
    "transposed": _transposed,
    "sliced": _sliced,
    "reversed": _reversed,
    "zero stride": _zero_stride,
}
"""Ways to make a tensor of an array's values; `values_in` says which values it then has."""


def values_in(layout: str, x: Array, /) -> Array | None:
    """Return the values that `place` gives a tensor of this layout; None where it means nothing.

    Examples
    --------
    >>> values_in("zero stride", np.array([1.0, 2.0])).tolist()
    [1.0, 1.0]
    >>> values_in("transposed", np.array([1.0, 2.0])) is None
    True
    """
    if layout == "C order" or x.ndim == 0:
        return x
    if layout == "transposed" and x.ndim < 2:
        return None
    if layout == "zero stride":
        return np.broadcast_to(x[:1], x.shape).copy() if x.shape[0] else None
    return x


def place(layout: str, x: Array, /) -> Any:
    """Return a tensor with an array's values in a layout; plain where the layout means nothing.

    Examples
    --------
    >>> place("reversed", np.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    x = np.asarray(x)
    plain = x.ndim == 0 or values_in(layout, x) is None
    return _plain(x) if plain else LAYOUTS[layout](x)
