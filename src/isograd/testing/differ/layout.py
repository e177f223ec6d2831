"""Memory layouts of arrays: taken down, and given to other values of the same shape."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Layout", "layout_of", "placed"]

Array = Any


class Layout(NamedTuple):
    """How an array lies in memory.

    Attributes
    ----------
    order : tuple of int
        The axes, those with the longest strides first.
    backwards : tuple of int
        Axes with negative strides.
    repeated : tuple of int
        Axes of more than one element with stride 0.
    gaps : bool
        Whether there is other memory between the elements.
    """

    order: tuple[int, ...]
    backwards: tuple[int, ...] = ()
    repeated: tuple[int, ...] = ()
    gaps: bool = False


def layout_of(x: Array, /) -> Layout:
    """Take down the layout of an array.

    Examples
    --------
    >>> layout_of(np.zeros((2, 3)).T).order
    (1, 0)
    """
    order = tuple(sorted(range(x.ndim), key=lambda i: (-abs(x.strides[i]), i)))
    backwards = tuple(i for i, s in enumerate(x.strides) if s < 0)
    repeated = tuple(i for i, s in enumerate(x.strides) if s == 0 and x.shape[i] > 1)
    expected, gaps = x.itemsize, False
    for i in reversed(order):
        if i in repeated or x.shape[i] <= 1:
            continue
        gaps = gaps or abs(x.strides[i]) != expected
        expected *= x.shape[i]
    return Layout(order, backwards, repeated, gaps and x.size > 0)


def placed(values: Array, layout: Layout, /) -> Array:
    """Return a copy of an array in a layout.

    Examples
    --------
    >>> placed(np.zeros((2, 3)), Layout((1, 0))).strides
    (8, 16)
    """
    x = np.asarray(values)
    if x.ndim != len(layout.order) or x.size == 0 or x.ndim == 0:
        return x.copy()
    kept = x[tuple(slice(0, 1) if i in layout.repeated else slice(None) for i in range(x.ndim))]
    # Gaps along the innermost axis part the elements, and at most double the memory.
    inner = max((k for k, i in enumerate(layout.order) if kept.shape[i] > 1), default=-1)
    steps = [2 if layout.gaps and k == inner else 1 for k in range(x.ndim)]
    buffer = np.zeros(
        [kept.shape[i] * step for i, step in zip(layout.order, steps, strict=True)], x.dtype
    )
    view = buffer[tuple(slice(None, None, step) for step in steps)]
    view = view.transpose(np.argsort(layout.order))
    view = view[tuple(slice(None, None, -1 if i in layout.backwards else 1) for i in range(x.ndim))]
    view[...] = kept
    return np.broadcast_to(view, x.shape) if layout.repeated else view
