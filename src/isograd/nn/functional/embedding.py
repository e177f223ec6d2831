"""Look-up of vectors by number, with torch's names and arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isograd.core.dtypes import is_integer
from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import reductions as r
from isograd.ops.creation import asarray, ones, zeros
from isograd.ops.indexing import take, take_along_axis
from isograd.ops.movement import expand_dims, reshape, squeeze
from isograd.ops.scattering import index_add
from isograd.runtime.modes import no_grad
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["embedding", "embedding_bag"]


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


def _counts(ids: Tensor, weight: Tensor) -> Tensor:
    """Return how often each row is looked up."""
    flat = reshape(ids, (math.prod(ids.shape),))
    none = zeros((weight.shape[0],), dtype=weight.dtype, device=weight.device)
    one = ones(flat.shape, dtype=weight.dtype, device=weight.device)
    return index_add(none, 0, flat, one)


def _shared(out: Tensor, share: Tensor) -> Tensor:
    """Return vectors as they are, with their gradients multiplied by a number each."""
    value = m.stop_gradient(out)
    return value + (out - value) * expand_dims(m.stop_gradient(share), axis=-1)


def shorten_rows(ids: Tensor, weight: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Return the table with the rows that are looked up no longer than ``max_norm``.

    A `Parameter` takes the new table over, as in torch.
    """
    with no_grad():
        size = r.vector_norm(weight, axis=1, keepdims=True, ord=norm_type)
        used = expand_dims(_counts(ids, weight), axis=1) > 0
        long = m.logical_and(size > max_norm, used)
        # torch divides by the norm plus 1e-7.
        shorter = m.where(long, weight * (max_norm / (size + 1e-7)), weight)
        if isinstance(weight, Parameter):
            weight.assign_(shorter)
            return weight
    return m.where(long, weight * (max_norm / (size + 1e-7)), weight)


def embedding(
    input: Tensor,
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
    input : Tensor
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
    check_table("embedding", input, weight)
    row = row_of("embedding", padding_idx, weight.shape[0])
    if max_norm is not None:
        weight = shorten_rows(input, weight, max_norm, norm_type)
    out = take(weight, input, axis=0)
    if scale_grad_by_freq:
        out = _shared(out, 1.0 / take(_counts(input, weight), input, axis=0))
    if row is not None:
        out = m.where(expand_dims(m.equal(input, row), axis=-1), m.stop_gradient(out), out)
    return out


def _bags(
    ids: Tensor, offsets: Tensor | None, include_last_offset: bool
) -> tuple[Any, np.ndarray[Any, Any] | None]:
    """Return for each bag the places of its members in the flat input, and which are real."""
    function = "embedding_bag"
    if ids.ndim == 2:
        if offsets is not None:
            raise ValueError(
                f"{function}: an input of shape {ids.shape} has a bag in each row; pass offsets "
                "with an input of one axis only"
            )
        return None, None
    if ids.ndim != 1 or offsets is None or offsets.ndim != 1:
        raise ShapeError(
            f"{function}: the input has shape {ids.shape}; pass (bags, members), or one axis with "
            "offsets, the place where each bag begins"
        )
    starts = offsets.numpy()
    ends = np.append(starts[1:], [] if include_last_offset else [ids.shape[0]]).astype(np.int64)
    starts = starts[: ends.size]
    if starts.size and (starts[0] != 0 or np.any(ends < starts) or ends[-1] > ids.shape[0]):
        raise ValueError(
            f"{function}: offsets {offsets.tolist()} do not divide {ids.shape[0]} members; begin "
            "with 0, do not decrease, and end within the input"
        )
    longest = int((ends - starts).max(initial=0))
    places = starts[:, None] + np.arange(longest)
    real = places < ends[:, None]
    return np.where(real, places, 0), real


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Return the sum, mean or maximum of bags of rows of a table.

    Parameters
    ----------
    input : Tensor
        Integers: ``(bags, members)``, or one axis with ``offsets``.
    weight : Tensor
        Shape ``(rows, width)``.
    offsets : Tensor, optional
        Where each bag begins in an input of one axis; their values are read.
    max_norm, norm_type, scale_grad_by_freq, sparse
        As for `embedding`.
    mode : {"mean", "sum", "max"}
        What a bag gives; an empty one gives 0.
    per_sample_weights : Tensor, optional
        Factors of the members, in the shape of the input; with "sum" only.
    include_last_offset : bool
        Whether the last offset is the end of the last bag.
    padding_idx : int, optional
        A row that does not count as a member.

    Returns
    -------
    Tensor
        Shape ``(bags, width)``.

    Raises
    ------
    IndexOutOfRangeError
        If a number is no row.
    ValueError
        If arguments exclude each other, or offsets do not divide the input.

    Examples
    --------
    >>> import isograd as ig
    >>> table = ig.tensor([[1.0], [2.0], [4.0]])
    >>> embedding_bag(ig.tensor([0, 1, 2]), table, ig.tensor([0, 2]), mode="sum").tolist()
    [[3.0], [4.0]]
    """
    function = "embedding_bag"
    check_table(function, input, weight)
    row = row_of(function, padding_idx, weight.shape[0])
    if mode not in ("mean", "sum", "max"):
        raise ValueError(f"{function}: there is no mode {mode!r}; use 'mean', 'sum' or 'max'")
    if per_sample_weights is not None and (
        mode != "sum" or per_sample_weights.shape != input.shape
    ):
        raise ValueError(
            f"{function}: per_sample_weights of shape {per_sample_weights.shape} do not go with "
            f"mode={mode!r} and an input of shape {input.shape}; use mode='sum' and equal shapes"
        )
    if scale_grad_by_freq and mode == "max":
        raise ValueError(f"{function}: scale_grad_by_freq does not go with mode='max'; leave it")
    places, real = _bags(input, offsets, include_last_offset)
    if max_norm is not None:
        weight = shorten_rows(input, weight, max_norm, norm_type)
    counts = _counts(input, weight) if scale_grad_by_freq else None
    factors = per_sample_weights
    kept = None
    if places is not None:
        at = asarray(places, device=input.device)
        if input.shape[0] == 0:
            return zeros(
                (places.shape[0], weight.shape[1]), dtype=weight.dtype, device=input.device
            )
        input = take(input, at, axis=0)
        factors = None if factors is None else take(factors, at, axis=0)
        kept = asarray(real, device=input.device)
    if row is not None:
        counted = m.not_equal(input, row)
        kept = counted if kept is None else m.logical_and(kept, counted)
    members = take(weight, input, axis=0)
    if counts is not None:
        members = _shared(members, 1.0 / take(counts, input, axis=0))
    if factors is not None:
        members = members * expand_dims(factors, axis=-1)
    if mode == "max":
        return _largest(members, kept)
    if kept is None:
        total = r.sum(members, axis=1)
        return total / float(max(members.shape[1], 1)) if mode == "mean" else total
    total = r.sum(m.where(expand_dims(kept, axis=-1), members, 0), axis=1)
    if mode == "sum":
        return total
    number = r.sum(kept.astype(weight.dtype), axis=1, keepdims=True)
    return total / m.maximum(number, 1.0)


def _largest(members: Tensor, kept: Tensor | None) -> Tensor:
    """Return the maxima of bags; the gradient goes to the first, and an empty bag gives 0."""
    if members.shape[1] == 0:
        return r.sum(members, axis=1)
    if kept is not None:
        members = m.where(expand_dims(kept, axis=-1), members, -float("inf"))
    chosen = expand_dims(r.argmax(members.detach(), axis=1), axis=1)
    out = squeeze(take_along_axis(members, chosen, axis=1), 1)
    return out if kept is None else m.where(r.any(kept, axis=1, keepdims=True), out, 0)
