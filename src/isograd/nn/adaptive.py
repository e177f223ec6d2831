"""A loss for many classes, of which few are frequent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from isograd.core.dtypes import is_integer
from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.nn import functional as F
from isograd.nn.container import ModuleList, Sequential
from isograd.nn.linear import Linear
from isograd.nn.module import Module
from isograd.ops.convert import is_traced
from isograd.ops.creation import asarray
from isograd.ops.elementwise import clip, logical_and, where
from isograd.ops.indexing import take, take_along_axis
from isograd.ops.movement import concat, expand_dims, squeeze
from isograd.ops.reductions import argmax
from isograd.ops.scattering import index_add
from isograd.runtime.tensor import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _Output(NamedTuple):
    """What `AdaptiveLogSoftmaxWithLoss` returns."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Classify in two steps: a frequent class or a cluster of rare ones, then one in the cluster.

    The ``head`` weighs the first ``cutoffs[0]`` classes and one entry for each cluster; a ``tail``
    maps to fewer features first, so that rare classes have few weights. Only the clusters that
    occur in a batch are computed; a compiled function, whose work may not depend on values,
    computes all.

    Parameters
    ----------
    in_features : int
        Features of the input.
    n_classes : int
        Number of classes, in the order of falling frequency.
    cutoffs : sequence of int
        Where clusters begin: increasing, in ``[1, n_classes - 1]``.
    div_value : float
        Cluster i (from 0) has ``in_features // div_value ** (i + 1)`` features.
    head_bias : bool
        Whether the head has a bias.
    device, dtype : optional
        Where the parameters live, and their dtype.

    Attributes
    ----------
    head : Linear
        Maps to ``cutoffs[0]`` classes and the clusters.
    tail : ModuleList
        For each cluster two `Linear` without bias.

    Raises
    ------
    ValueError
        If cutoffs are not as said.

    Notes
    -----
    E. Grave and others: Efficient softmax approximation for GPUs, 2017.

    Examples
    --------
    >>> import isograd as ig
    >>> loss = ig.nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[5, 10])
    >>> x = ig.ones((4, 8))
    >>> output, mean = loss(x, ig.tensor([0, 4, 7, 19]))
    >>> output.shape, mean.shape, loss.log_prob(x).shape
    ((4,), (), (4, 20))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        ends = [*cutoffs, n_classes]
        rising = all(a == int(a) < b for a, b in pairwise(ends))
        if not cutoffs or cutoffs[0] < 1 or not rising:
            raise ValueError(
                f"AdaptiveLogSoftmaxWithLoss: cutoffs={list(cutoffs)} do not divide {n_classes} "
                "classes; pass increasing whole numbers from 1 to n_classes - 1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = ends
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = ends[0]
        self.n_clusters = len(ends) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        where_and_what: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **where_and_what)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(self._clusters()):
            features = int(in_features // (div_value ** (i + 1)))
            self.tail.append(
                Sequential(
                    Linear(in_features, features, bias=False, **where_and_what),
                    Linear(features, high - low, bias=False, **where_and_what),
                )
            )

    def _clusters(self) -> list[tuple[int, int]]:
        """Return the first class of each cluster, and the one after its last."""
        return list(pairwise(self.cutoffs))

    def reset_parameters(self) -> None:
        """Draw new weights, as `Linear` does."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _Output:
        """Return the log-probabilities of the targets, and minus their mean.

        Parameters
        ----------
        input_ : Tensor
            Shape ``(N, in_features)`` or ``(in_features,)``.
        target_ : Tensor
            Integers ``(N,)`` or ``()``, below ``n_classes``.

        Returns
        -------
        output, loss : Tensor
            Shapes ``(N,)`` (or ``()``) and ``()``.

        Raises
        ------
        ShapeError, DTypeError
            If the arguments do not fit.
        IndexOutOfRangeError
            If a target is no class.
        """
        x, target = self._checked(input_, target_)
        head = F.log_softmax(self.head(x), 1)
        # An entry of the head for each target: its class, or its cluster.
        entry = clip(target, None, self.shortlist_size - 1)
        for i, (low, _) in enumerate(self._clusters()):
            entry = where(target >= low, self.shortlist_size + i, entry)
        out = _picked(head, entry)
        for (low, high), tail in zip(self._clusters(), self.tail, strict=True):
            inside = logical_and(target >= low, target < high)
            relative = clip(target - low, 0, high - low - 1)
            if is_traced(inside):
                out = out + where(inside, _picked(F.log_softmax(tail(x), 1), relative), 0.0)
                continue
            rows = np.flatnonzero(inside.numpy())
            if rows.size:
                chosen = asarray(rows, device=x.device)
                within = F.log_softmax(tail(take(x, chosen, axis=0)), 1)
                found = _picked(within, take(relative, chosen, axis=0))
                out = index_add(out, 0, chosen, found)
        loss = -out.mean()
        return _Output(out if target_.ndim else out[0], loss)

    def _checked(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch and its targets, which may have been one example."""
        name = type(self).__name__
        if x.ndim - 1 != target.ndim or x.shape[:-1] != target.shape or x.ndim not in (1, 2):
            raise ShapeError(
                f"{name}: the input has shape {x.shape}, the target {target.shape}; pass "
                f"(N, {self.in_features}) and (N,), or ({self.in_features},) and ()"
            )
        if not is_integer(target.dtype):
            raise DTypeError(f"{name}: the target is {target.aval}; pass integers")
        if not is_traced(target) and target.size:
            values = target.numpy()
            if values.min() < 0 or values.max() >= self.n_classes:
                raise IndexOutOfRangeError(
                    f"{name}: targets from {values.min()} to {values.max()} are no classes; use "
                    f"numbers from 0 to {self.n_classes - 1}"
                )
        if target.ndim:
            return x, target
        return expand_dims(x, axis=0), expand_dims(target, axis=0)

    def log_prob(self, input: Tensor) -> Tensor:
        """Return the log-probabilities of all classes, ``(N, n_classes)``."""
        head = F.log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            cluster = self.shortlist_size + i
            parts.append(F.log_softmax(tail(input), 1) + head[:, cluster : cluster + 1])
        return concat(parts, axis=1)

    def predict(self, input: Tensor) -> Tensor:
        """Return the most likely class of each row, ``(N,)``."""
        return argmax(self.log_prob(input), axis=1)


def _picked(values: Tensor, columns: Tensor) -> Tensor:
    """Return one value of each row."""
    return squeeze(take_along_axis(values, expand_dims(columns, axis=1), axis=1), 1)
