"""What functions over windows share: numbers for each axis, and a batch axis that may be absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isograd.core.errors import ShapeError
from isograd.ops.movement import reshape
from isograd.runtime.tensor import Tensor

__all__ = ["Ints", "batched", "each", "pairs"]

Ints = int | Sequence[int]


def each(function: str, name: str, value: Ints, count: int, least: int = 1) -> tuple[int, ...]:
    """Return one number for each of ``count`` axes.

    Raises
    ------
    ShapeError
        If there are not as many, or one is below ``least``.
    """
    values = (value,) * count if isinstance(value, int) else tuple(value)
    if len(values) == 1:
        values *= count
    if len(values) != count or min(values, default=least) < least:
        raise ShapeError(
            f"{function}: {name}={value} does not give {count} numbers of at least {least}; pass "
            "one number, or one for each window axis"
        )
    return values


def pairs(
    function: str, value: int | Sequence[int | Sequence[int]], count: int
) -> tuple[tuple[int, int], ...]:
    """Return padding before and after for each of ``count`` axes."""
    values = (value,) * count if isinstance(value, int) else tuple(value)
    if len(values) == 1:
        values *= count
    found = tuple([(v, v) if isinstance(v, int) else tuple(v) for v in values])
    if len(found) != count or any(len(pair) != 2 or min(pair) < 0 for pair in found):
        raise ShapeError(
            f"{function}: padding={value} does not give {count} numbers of at least 0; pass one "
            "number, one for each window axis, or a pair (before, after) for each"
        )
    return tuple([(pair[0], pair[1]) for pair in found])


def batched(function: str, x: Tensor, count: int, fn: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of ``(N, C, *size)``, also to one sample ``(C, *size)``.

    Raises
    ------
    ShapeError
        If the input has another number of axes.
    """
    if x.ndim == count + 2:
        return fn(x)
    if x.ndim != count + 1:
        raise ShapeError(
            f"{function}: the input has shape {x.shape}; pass (N, C, *size) or (C, *size) with "
            f"{count} window axes"
        )
    out = fn(reshape(x, (1, *x.shape)))
    return reshape(out, out.shape[1:])
