"""Batches of sequences of different lengths: padded, packed, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from isograd.core.errors import ShapeError
from isograd.ops import elementwise as m
from isograd.ops.creation import asarray
from isograd.ops.indexing import take
from isograd.ops.movement import pad, permute_dims, reshape, stack
from isograd.runtime.tensor import Tensor

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """Sequences of different lengths without padding, step by step; made by `pack_padded_sequence`.

    Attributes
    ----------
    data : Tensor
        The elements of step 0 of all sequences, longest first, then those of step 1, and so on.
    batch_sizes : Tensor
        How many sequences have each step.
    sorted_indices, unsorted_indices : Tensor or None
        The order of sequences by length, and its inverse; None where they were sorted.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


def _places(batch_sizes: Tensor) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return for each step and sequence its place in the data, and whether it is there."""
    sizes = batch_sizes.numpy()
    batch = int(sizes[0]) if sizes.size else 0
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    real = np.arange(batch) < sizes[:, None]
    return np.where(real, starts[:, None] + np.arange(batch), 0), real


def unpack(sequence: PackedSequence) -> tuple[Tensor, np.ndarray[Any, Any]]:
    """Return ``(T, N, ...)`` padded with 0, and lengths, in the order of the data."""
    places, real = _places(sequence.batch_sizes)
    data = sequence.data
    out = take(data, asarray(places, device=data.device), axis=0)
    mask = asarray(real.reshape(*real.shape, *(1,) * (data.ndim - 1)), device=data.device)
    return m.where(mask, out, 0), real.sum(0)


def pack(padded: Tensor, batch_sizes: Tensor) -> Tensor:
    """Return the data of a packed sequence from ``(T, N, ...)``, longest first."""
    _, real = _places(batch_sizes)
    flat = reshape(padded, (real.size, *padded.shape[2:]))
    return take(flat, asarray(np.flatnonzero(real), device=padded.device), axis=0)


def pack_padded_sequence(
    input: Tensor,
    lengths: Sequence[int] | Tensor,
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack a padded batch of sequences.

    Parameters
    ----------
    input : Tensor
        Shape ``(T, N, ...)``, or ``(N, T, ...)`` where ``batch_first``.
    lengths : sequence of int or Tensor
        Of each sequence, from 1 to T.
    batch_first : bool
        Which of the shapes ``input`` has.
    enforce_sorted : bool
        Whether the lengths must not increase; without, they are sorted, and the results of layers
        come in the given order all the same.

    Raises
    ------
    ValueError
        If a length is below 1 or above T, or they increase where they must not.
    ShapeError
        If there is not one length for each sequence.

    Examples
    --------
    >>> import isograd as ig
    >>> packed = pack_padded_sequence(ig.tensor([[1.0, 2.0], [3.0, 0.0]]), [2, 1])
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([1.0, 2.0, 3.0], [2, 1])
    """
    function = "pack_padded_sequence"
    if input.ndim < 2:
        raise ShapeError(f"{function}: the input has shape {input.shape}; pass (T, N, ...)")
    if batch_first:
        input = permute_dims(input, (1, 0, *range(2, input.ndim)))
    steps, batch = input.shape[:2]
    values = lengths.numpy() if isinstance(lengths, Tensor) else np.asarray(lengths, np.int64)
    if values.shape != (batch,):
        raise ShapeError(
            f"{function}: lengths have shape {values.shape} for a batch of {batch}; pass one for "
            "each sequence"
        )
    if batch == 0 or values.min() < 1 or values.max() > steps:
        raise ValueError(
            f"{function}: lengths {values.tolist()} do not fit {steps} steps; pass numbers from 1 "
            f"to {steps}, at least one"
        )
    order = unsorted = None
    if enforce_sorted:
        if np.any(np.diff(values) > 0):
            raise ValueError(
                f"{function}: lengths {values.tolist()} increase; sort them, or pass "
                "enforce_sorted=False"
            )
    else:
        ranks = np.argsort(-values, kind="stable")
        values = values[ranks]
        order = asarray(ranks, device=input.device)
        unsorted = asarray(np.argsort(ranks, kind="stable"), device=input.device)
        input = take(input, order, axis=1)
    sizes = asarray((np.arange(int(values[0]))[:, None] < values).sum(1))
    return PackedSequence(pack(input[: int(values[0])], sizes), sizes, order, unsorted)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return a padded batch and its lengths: the inverse of `pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
        What a layer returned.
    batch_first : bool
        Whether the result is ``(N, T, ...)``.
    padding_value : float
        What stands behind the end of each sequence.
    total_length : int, optional
        The number of steps to pad to, at least that of the longest sequence.

    Raises
    ------
    ValueError
        If ``total_length`` is less than the longest sequence.

    Examples
    --------
    >>> import isograd as ig
    >>> packed = pack_padded_sequence(ig.tensor([[1.0, 2.0], [3.0, 9.0]]), [2, 1])
    >>> padded, lengths = pad_packed_sequence(packed)
    >>> padded.tolist(), lengths.tolist()
    ([[1.0, 2.0], [3.0, 0.0]], [2, 1])
    """
    out, lengths = unpack(sequence)
    steps = out.shape[0]
    if padding_value != 0.0:
        _, real = _places(sequence.batch_sizes)
        mask = asarray(real.reshape(*real.shape, *(1,) * (out.ndim - 2)), device=out.device)
        out = m.where(mask, out, padding_value)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                f"pad_packed_sequence: total_length={total_length} is less than the longest "
                f"sequence, {steps}; pass at least that"
            )
        behind = [(0, total_length - steps)] + [(0, 0)] * (out.ndim - 1)
        out = pad(out, behind, value=padding_value)
    if sequence.unsorted_indices is not None:
        out = take(out, sequence.unsorted_indices, axis=1)
        lengths = lengths[sequence.unsorted_indices.numpy()]
    if batch_first:
        out = permute_dims(out, (1, 0, *range(2, out.ndim)))
    return out, asarray(lengths)


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences ``(T_i, ...)`` of different lengths, padded to the longest.

    Parameters
    ----------
    sequences : sequence of Tensor
        Alike but for their first axis.
    batch_first : bool
        Whether the result is ``(N, T, ...)`` instead of ``(T, N, ...)``.
    padding_value : float
        What is added.
    padding_side : {"right", "left"}
        On which side.

    Raises
    ------
    ValueError
        If there are no sequences, or the side is neither.
    ShapeError
        If shapes differ behind the first axis.

    Examples
    --------
    >>> import isograd as ig
    >>> pad_sequence([ig.tensor([1, 2]), ig.tensor([3])], batch_first=True).tolist()
    [[1, 2], [3, 0]]
    """
    if not sequences or padding_side not in ("right", "left"):
        raise ValueError(
            f"pad_sequence: {len(sequences)} sequences and padding_side={padding_side!r}; pass at "
            "least one, and 'right' or 'left'"
        )
    shapes = {t.shape[1:] for t in sequences}
    if len(shapes) > 1 or any(t.ndim == 0 for t in sequences):
        raise ShapeError(
            f"pad_sequence: sequences have shapes {[t.shape for t in sequences]}; all axes but the "
            "first must be equal"
        )
    longest = max([t.shape[0] for t in sequences])
    parts: list[Tensor] = []
    for t in sequences:
        missing = longest - t.shape[0]
        widths = (0, missing) if padding_side == "right" else (missing, 0)
        parts.append(pad(t, [widths] + [(0, 0)] * (t.ndim - 1), value=padding_value))
    return stack(parts, axis=0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Sequence[int] | Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Return the sequences of a padded batch: the inverse of `pad_sequence`.

    Examples
    --------
    >>> import isograd as ig
    >>> [t.tolist() for t in unpad_sequence(ig.tensor([[1, 3], [2, 0]]), [2, 1])]
    [[1, 2], [3]]
    """
    values = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    axis = 1 - int(batch_first)
    batch = padded_sequences.shape[axis] if padded_sequences.ndim > 1 else 0
    if padded_sequences.ndim < 2 or len(values) != batch:
        raise ShapeError(
            f"unpad_sequence: {len(values)} lengths for a batch of shape "
            f"{padded_sequences.shape}; pass one for each sequence"
        )
    rows = (
        padded_sequences
        if batch_first
        else permute_dims(padded_sequences, (1, 0, *range(2, padded_sequences.ndim)))
    )
    return [rows[i, :n] for i, n in enumerate(values)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences ``(T_i, ...)`` of different lengths; see `pack_padded_sequence`.

    Examples
    --------
    >>> import isograd as ig
    >>> pack_sequence([ig.tensor([1, 2]), ig.tensor([3])]).data.tolist()
    [1, 3, 2]
    """
    lengths = [t.shape[0] for t in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences that were packed: the inverse of `pack_sequence`.

    Examples
    --------
    >>> import isograd as ig
    >>> packed = pack_sequence([ig.tensor([1, 2]), ig.tensor([3])])
    >>> [t.tolist() for t in unpack_sequence(packed)]
    [[1, 2], [3]]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
