"""Look-up of vectors by number, with torch's names and arguments."""

from __future__ import annotations

import math

from isograd.core.dtypes import is_integer
from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import reductions as r
from isograd.ops.convert import cast
from isograd.ops.creation import zeros
from isograd.ops.indexing import scatter_add, take
from isograd.ops.movement import expand_dims, reshape
from isograd.runtime.modes import no_grad
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["embedding"]


def check_table(function: str, ids: Tensor, weight: Tensor) -> None:
    """Raise unless the arguments are numbers and a table."""
    if not is_integer(ids.dtype):
        raise DTypeError(f"{function}: the input is {ids.aval}; pass integers")
    if weight.ndim != 2:
        raise ShapeError(f"{function}: the weight has shape {weight.shape}; pass (rows, width)")


def row_of(function: str, padding_idx: int | None, rows: int) -> int | None:
    """Return ``padding_idx`` counted from the beginning, or raise."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise IndexOutOfRangeError(
            f"{function}: padding_idx={padding_idx} is no row of a table of {rows}; pass a number "
            f"from {-rows} to {rows - 1}"
        )
    return padding_idx % rows


def shorten_rows(ids: Tensor, weight: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Return the table with the rows that are looked up no longer than ``max_norm``.

    A `Parameter` takes the new table over, as in torch.
    """
    with no_grad():
        size = r.vector_norm(weight, axis=1, keepdims=True, ord=norm_type)
        flat = reshape(ids, (math.prod(ids.shape),))
        hits = zeros((weight.shape[0],), dtype=weight.dtype, device=weight.device)
        hits = scatter_add(hits, flat, cast(m.equal(flat, flat), weight.dtype), axis=0)
        long = m.logical_and(size > max_norm, expand_dims(hits, axis=1) > 0)
        # torch divides by the norm plus 1e-7.
        shorter = m.where(long, weight * (max_norm / (size + 1e-7)), weight)
        if isinstance(weight, Parameter):
            weight.assign_(shorter)
            return weight
    return m.where(long, weight * (max_norm / (size + 1e-7)), weight)


def embedding(
    ids: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return the rows of a table.

    Parameters
    ----------
    ids : Tensor
        Integers ``(...)``.
    weight : Tensor
        Shape ``(rows, width)``.
    padding_idx : int, optional
        A row that gets no gradient.
    max_norm, norm_type : float
        Rows that are looked up and longer are first scaled to this norm; a `Parameter` keeps the
        scaled rows.
    scale_grad_by_freq : bool
        Whether a row's gradient is divided by the number of times that it is looked up.
    sparse : bool
        Accepted as torch does; gradients are dense all the same.

    Returns
    -------
    Tensor
        Shape ``(..., width)``.

    Raises
    ------
    IndexOutOfRangeError
        If a number is no row.

    Examples
    --------
    >>> import isograd as ig
    >>> embedding(ig.tensor([1, 0]), ig.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """
    check_table("embedding", ids, weight)
    row = row_of("embedding", padding_idx, weight.shape[0])
    if max_norm is not None:
        weight = shorten_rows(ids, weight, max_norm, norm_type)
    out = take(weight, ids, axis=0)
    if scale_grad_by_freq:
        flat = reshape(ids, (math.prod(ids.shape),))
        count = zeros((weight.shape[0],), dtype=weight.dtype, device=weight.device)
        count = scatter_add(count, flat, cast(m.equal(flat, flat), weight.dtype), axis=0)
        share = expand_dims(1.0 / take(count, ids, axis=0), axis=-1)
        value = m.stop_gradient(out)
        out = value + (out - value) * share
    if row is not None:
        out = m.where(expand_dims(m.equal(ids, row), axis=-1), m.stop_gradient(out), out)
    return out
