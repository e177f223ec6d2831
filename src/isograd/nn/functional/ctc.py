"""Connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isograd.core.dtypes import int64, is_floating, is_integer
from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.nn.functional.loss import Reduction, check_reduction
from isograd.ops import elementwise as m
from isograd.ops import movement
from isograd.ops.control import scan
from isograd.ops.convert import cast, is_traced, promoted
from isograd.ops.creation import arange, asarray, full, zeros_like
from isograd.ops.indexing import take_along_axis
from isograd.ops.reductions import logsumexp
from isograd.runtime.tensor import Tensor

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Return ``-log`` of the probability of label sequences, over all ways to align them in time.

    Parameters
    ----------
    log_probs : Tensor
        Log-probabilities ``(T, N, C)``, or ``(T, C)`` for one sequence.
    targets : Tensor
        Labels ``(N, S)`` or ``(S,)``, padded with anything, or those of all sequences one after the
        other; none is ``blank``.
    input_lengths, target_lengths : Tensor or sequence of int
        How much of each sequence counts, ``(N,)`` or one number.
    blank : int
        The class that stands for no label.
    reduction : {"mean", "sum", "none"}
        ``"mean"`` divides each loss by the length of its target first.
    zero_infinity : bool
        Count a target that is too long for its input as loss 0 with gradient 0, not as inf.

    Returns
    -------
    Tensor
        0-d, or ``(N,)`` for ``"none"``.

    Raises
    ------
    IndexOutOfRangeError
        If a label or ``blank`` is no class.
    ShapeError, DTypeError
        If shapes or dtypes do not fit.
    ValueError
        If a length is out of range, or there is no such reduction.

    Notes
    -----
    A. Graves et al.: Connectionist temporal classification, 2006, by its forward recursion. The
    derivative is that with respect to ``log_probs`` themselves; behind `log_softmax` that makes no
    difference.

    Examples
    --------
    >>> import isograd as ig
    >>> log_probs = ig.full((3, 1, 2), -0.6931472)
    >>> round(ctc_loss(log_probs, ig.tensor([[1]]), [3], [1], reduction="sum").exp().item(), 4)
    1.3333
    """
    name = "ctc_loss"
    check_reduction(name, reduction)
    log_probs = promoted(log_probs)
    single = log_probs.ndim == 2
    if single:
        log_probs = movement.expand_dims(log_probs, axis=1)
    if log_probs.ndim != 3 or not is_floating(log_probs.dtype):
        raise ShapeError(
            f"{name}: log_probs are {log_probs.aval}; give them a floating dtype and shape (T, N, "
            "C) or (T, C)"
        )
    steps, count, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise IndexOutOfRangeError(
            f"{name}: blank={blank} is no class of {classes}; use one in [0, {classes - 1}]"
        )
    input_sizes = _lengths(name, "input_lengths", input_lengths, count, steps, log_probs)
    if not is_integer(targets.dtype):
        raise DTypeError(f"{name}: targets have dtype {targets.dtype}; pass integer labels")
    targets, target_sizes = _padded(name, targets, target_lengths, count, log_probs)
    _check_labels(name, targets, target_sizes, classes, blank)
    losses = _losses(log_probs, targets, input_sizes, target_sizes, blank)
    if zero_infinity:
        losses = m.where(m.isinf(losses), 0.0, losses)
    if reduction == "mean":
        return (losses / cast(m.maximum(target_sizes, 1), losses.dtype)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses.reshape(()) if single else losses


def _losses(
    log_probs: Tensor, targets: Tensor, input_sizes: Tensor, target_sizes: Tensor, blank: int
) -> Tensor:
    """Run the forward recursion over time for labels with a blank before, between and behind."""
    count, most = targets.shape
    blanks = full((count, most + 1), blank, dtype=int64, device=targets.device)
    # Negative labels are sent out of range, for kernels take them for counted from the end.
    known = m.where(targets < 0, log_probs.shape[2], targets)
    used = arange(most, device=targets.device) < movement.expand_dims(target_sizes, axis=1)
    known = m.where(used, known, blank)
    labels = movement.stack([blanks[:, :most], known], axis=2).reshape((count, 2 * most))
    labels = movement.concat([labels, blanks[:, most:]], axis=1)
    # A label may follow the one before the blank before it, unless that is the same.
    earlier = movement.pad(labels, ((0, 0), (2, 0)), value=blank)[:, :-2]
    skips = m.logical_and(labels != blank, labels != earlier)
    place = arange(2 * most + 1, device=targets.device)
    low = -float("inf")

    def shifted(alpha: Tensor, by: int) -> Tensor:
        return movement.pad(alpha, ((0, 0), (by, 0)), value=low)[:, : 2 * most + 1]

    def step(carry: tuple[Tensor, Tensor], row: Tensor) -> tuple[tuple[Tensor, Tensor], None]:
        alpha, time = carry
        emitted = take_along_axis(row, labels, axis=1)
        skipped = m.where(skips, shifted(alpha, 2), low)
        ways = movement.stack([alpha, shifted(alpha, 1), skipped], axis=0)
        new = logsumexp(ways, axis=0) + emitted
        counts = movement.expand_dims(time < input_sizes, axis=1)
        return (m.where(counts, new, alpha), time + 1), None

    # Before the first step, only what leads to the first blank and the first label is there.
    start = cast(m.where(place == 0, 0.0, low), log_probs.dtype)
    alpha = movement.broadcast_to(start, (count, 2 * most + 1))
    (alpha, _), _ = scan(step, (alpha, zeros_like(input_sizes)), log_probs)
    last = movement.expand_dims(2 * target_sizes, axis=1)
    final = m.logical_or(place == last, place == last - 1)
    return -logsumexp(m.where(final, alpha, low), axis=1)


def _lengths(
    function: str, name: str, given: Any, count: int, most: int | None, like: Tensor
) -> Tensor:
    sizes: Tensor = given if isinstance(given, Tensor) else asarray(np.array(given, np.int64))
    if not is_integer(sizes.dtype):
        raise DTypeError(f"{function}: {name} have dtype {sizes.dtype}; pass integers")
    if sizes.size != count or sizes.ndim > 1:
        raise ShapeError(
            f"{function}: {name} have shape {sizes.shape} for {count} sequences; give one for each"
        )
    sizes = cast(sizes.to(like.device).reshape((count,)), int64)
    if not is_traced(sizes):
        host = sizes.numpy()
        most = int(host.max(initial=0)) if most is None else most
        wrong = host[(host < 0) | (host > most)]
        if wrong.size:
            raise ValueError(f"{function}: {name} have {wrong[0]}; use lengths in [0, {most}]")
    return sizes


def _padded(
    function: str, targets: Tensor, given: Any, count: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Return labels as ``(N, S)``, and their lengths."""
    if targets.ndim == 2 or (count == 1 and targets.ndim == 1):
        targets = targets.reshape((count, -1) if targets.size else (count, targets.shape[-1]))
        sizes = _lengths(function, "target_lengths", given, count, targets.shape[1], like)
        return cast(targets, int64), sizes
    sizes = _lengths(function, "target_lengths", given, count, None, like)
    if targets.ndim != 1 or is_traced(sizes):
        raise ShapeError(
            f"{function}: targets have shape {targets.shape}; pass them padded, as ({count}, S)"
        )
    host = sizes.numpy()
    if host.sum() != targets.shape[0]:
        raise ShapeError(
            f"{function}: there are {targets.shape[0]} labels, and target_lengths add up to "
            f"{host.sum()}; make them equal"
        )
    starts, most = np.cumsum(host) - host, int(host.max(initial=0))
    places = starts[:, None] + np.minimum(np.arange(most), host[:, None] - 1)
    places = asarray(np.maximum(places, 0)).to(targets.device)
    return cast(targets, int64)[places], sizes


def _check_labels(function: str, targets: Tensor, sizes: Tensor, classes: int, blank: int) -> None:
    if is_traced(targets) or is_traced(sizes):
        return  # the kernel that picks by label checks it
    host = targets.numpy()
    used = host[np.arange(host.shape[1]) < sizes.numpy()[:, None]]
    wrong = used[(used < 0) | (used >= classes) | (used == blank)]
    if wrong.size:
        raise IndexOutOfRangeError(
            f"{function}: label {wrong[0]} is not one of {classes} classes, or the blank {blank}; "
            "use labels of other classes"
        )
