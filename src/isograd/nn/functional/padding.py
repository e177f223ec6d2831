"""Padding with constants or with elements of the tensor, as a function."""

from __future__ import annotations

from collections.abc import Sequence

from isograd.core.errors import ShapeError
from isograd.nn.functional.conv import PADDING_MODES, pad_by_index
from isograd.ops import movement
from isograd.runtime.tensor import Tensor

__all__ = ["pad"]


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Add elements before and after, or take them away.

    Parameters
    ----------
    input : Tensor
        Any dtype.
    pad : sequence of int
        How many to add before and after the last axis, then the one before it, and so on; negative
        ones are taken away.
    mode : {"constant", "reflect", "replicate", "circular"}
        Add ``value``; the elements mirrored at the first and last, less than there are; these two
        repeated; or those of the other end.
    value : float, optional
        What to add in mode ``"constant"``; 0 by default.

    Raises
    ------
    ShapeError
        If there are more axes in ``pad`` than in ``input``, or more elements to be added or taken
        away than there are.
    ValueError
        If there is no such mode, ``value`` is given for another one than ``"constant"``, or ``pad``
        has an odd length.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([1, 2, 3])
    >>> ig.nn.functional.pad(x, (1, 2)).tolist()
    [0, 1, 2, 3, 0, 0]
    >>> ig.nn.functional.pad(x, (2, -1), mode="reflect").tolist()
    [3, 2, 1, 2]
    """
    widths = list(pad)
    if len(widths) % 2:
        raise ValueError(f"pad: pad={tuple(widths)} has an odd length; give two for each axis")
    pairs = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    if len(pairs) > input.ndim:
        raise ShapeError(
            f"pad: pad={tuple(widths)} is for {len(pairs)} axes, the input has shape "
            f"{input.shape}; give two numbers for each axis at most"
        )
    first = input.ndim - len(pairs)
    for axis, (low, high) in enumerate(pairs, start=first):
        if input.shape[axis] + min(low, 0) + min(high, 0) < 0:
            raise ShapeError(
                f"pad: {(low, high)} takes away more than the {input.shape[axis]} elements of axis "
                f"{axis} of shape {input.shape}; take away less"
            )
    added = [(max(low, 0), max(high, 0)) for low, high in pairs]
    if mode == "constant":
        whole = [(0, 0)] * first + added
        input = movement.pad(input, whole, value=0.0 if value is None else value)
    elif mode in PADDING_MODES:
        if value is not None:
            raise ValueError(f"pad: value={value} is for mode 'constant', not {mode!r}; leave it")
        input = pad_by_index("pad", input, added, mode)
    else:
        raise ValueError(
            f"pad: there is no mode {mode!r}; use 'constant', 'reflect', 'replicate' or 'circular'"
        )
    for axis, (low, high) in enumerate(pairs, start=first):
        if low < 0 or high < 0:
            input = movement.slice_axis(
                input, axis, max(-low, 0), input.shape[axis] - max(-high, 0)
            )
    return input
