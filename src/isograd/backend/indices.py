"""Validation of index values, the one thing that the engine leaves to kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from isograd.backend.protocols import Array
from isograd.core.errors import IndexOutOfRangeError

__all__ = ["check_indices", "check_labels", "program_index_error"]


def check_indices(name: str, indices: Array, size: int, axis: int, /, *, xp: Any = np) -> None:
    """Raise unless every index is in ``[-size, size)``. Call it before anything is written.

    Parameters
    ----------
    name
        Name of the primitive, with which the message starts.
    indices
        Integer array of any shape.
    size, axis
        Extent of the axis that is indexed, and its number.
    xp
        Array namespace of ``indices``.

    Raises
    ------
    IndexOutOfRangeError
        With the first index that is out of range.

    Examples
    --------
    >>> check_indices("take", np.array([0, -3]), 3, 0)
    >>> check_indices("take", np.array([0, 7]), 3, 0)
    Traceback (most recent call last):
    ...
    isograd.core.errors.IndexOutOfRangeError: take: index 7 is out of range ...
    """
    if 0 in indices.shape:
        return
    if not _within(xp, indices, -size, size):
        wrong = _first(xp, indices, (indices < -size) | (indices >= size))
        advice = f"use indices in [{-size}, {size - 1}]" if size else "use no indices"
        raise IndexOutOfRangeError(
            f"{name}: index {wrong} is out of range for axis {axis} with size {size}; {advice}"
        )


def check_labels(
    name: str, labels: Array, classes: int, ignore_index: int, /, *, xp: Any = np
) -> None:
    """Raise unless every class label is in ``[0, classes)`` or equals ``ignore_index``.

    Parameters
    ----------
    name
        Name of the primitive, with which the message starts.
    labels
        Integer array of shape ``(n,)``.
    classes
        Number of classes.
    ignore_index
        Label of rows that do not count.
    xp
        Array namespace of ``labels``.

    Raises
    ------
    IndexOutOfRangeError
        With the first label that is out of range.

    Examples
    --------
    >>> check_labels("cross_entropy", np.array([0, 2, -100]), 3, -100)
    """
    if 0 in labels.shape:
        return
    if not _within(xp, labels, 0, classes):
        outside = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
        if bool(xp.any(outside)):
            wrong = _first(xp, labels, outside)
            raise IndexOutOfRangeError(
                f"{name}: label {wrong} is out of range for {classes} classes; "
                f"use labels in [0, {classes - 1}] or ignore_index={ignore_index}"
            )


def _within(xp: Any, values: Array, low: int, high: int) -> bool:
    if xp is np:  # without the wrappers, which cost more than the work
        return bool(values.min() >= low and values.max() < high)
    return int(xp.min(values)) >= low and int(xp.max(values)) < high


def _first(xp: Any, values: Array, mask: Array) -> int:
    flat = xp.reshape(values, (-1,))
    position = int(xp.argmax(xp.astype(xp.reshape(mask, (-1,)), xp.int32)))
    return int(flat[position])


def program_index_error(equation: Any, index: int, size: int, /) -> IndexOutOfRangeError:
    """Return the error for an index of an equation that a compiled program found out of range."""
    advice = f"use indices in [{-size}, {size - 1}]" if size else "it has none"
    return IndexOutOfRangeError(
        f"{equation.prim.public}: index {index} is out of range for axis "
        f"{equation.static['axis']} with size {size}; {advice} (at {equation.line})"
    )
