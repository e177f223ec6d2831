"""The records that the edge policy is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

__all__ = ["EdgeCase", "EdgeRow"]

Claim = Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class EdgeCase:
    """One computation with a known result.

    Attributes
    ----------
    fn : callable
        Takes tensors, returns a tensor.
    inputs : tuple
        Nested lists of numbers, one for each argument.
    value : nested list, optional
        The result.
    grads : tuple of nested list, optional
        The gradients of the sum of the result.
    elementwise : bool
        Whether each element may be computed alone: then zero strides, more axes and many elements
        are tried too.
    rows : bool
        Whether each row of a matrix is computed alone: then many rows are tried too.
    nan_safe : bool
        Whether the gradient is computed under `isograd.nan_safe`.
    warns : bool
        Whether a `NumericsWarning` is due; otherwise none may be given.
    dtype : str
        The dtype, where the row is about one; empty for each dtype in turn.
    tolerance : float
        The relative error that printed digits of `value` and `grads` allow, beside that of the
        dtype.
    """

    fn: Callable[..., Any]
    inputs: tuple[Any, ...]
    value: Any = None
    grads: tuple[Any, ...] | None = None
    elementwise: bool = False
    rows: bool = False
    nan_safe: bool = False
    warns: bool = False
    dtype: str = ""
    tolerance: float = 0.0


@dataclasses.dataclass(frozen=True)
class EdgeRow:
    """A row of the table.

    Attributes
    ----------
    case, expected : str
        What happens and what results, as printed.
    policy : str
        A key of `POLICIES`, or empty.
    cases : tuple of EdgeCase
        The row as computations.
    claims : tuple of callable
        What is not a value: functions of a dtype's name that return what is wrong, or an empty
        text.
    """

    case: str
    expected: str
    policy: str = ""
    cases: tuple[EdgeCase, ...] = ()
    claims: tuple[Claim, ...] = ()
