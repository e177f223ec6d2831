"""Layers that drop values at random while training."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from isograd.nn import functional as F
from isograd.nn.functional.dropout import check_probability
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _Dropout(Module):
    _function: ClassVar[Callable[..., Tensor]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        check_probability(type(self).__name__, p)
        self.p = p
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return the function of ``x`` that the layer is named for; ``x`` in evaluation."""
        return type(self)._function(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Set each value to 0 with probability ``p`` while training.

    The others are scaled by ``1 / (1 - p)``. In evaluation mode it is the identity.

    Parameters
    ----------
    p : float
        Probability of 0, in [0, 1].
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.

    Raises
    ------
    ValueError
        If ``p`` is not in [0, 1].

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.Dropout(0.5)
    >>> set(layer(ig.ones(1000)).tolist())
    {0.0, 2.0}
    >>> set(layer.eval()(ig.ones(1000)).tolist())
    {1.0}
    """

    _function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """Apply `functional.dropout1d`: set whole channels of ``(N, C, L)`` to 0 while training."""

    _function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """Apply `functional.dropout2d`: set whole channels of ``(N, C, H, W)`` to 0 while training.

    Examples
    --------
    >>> import isograd as ig
    >>> sorted(set(ig.nn.Dropout2d()(ig.ones((50, 2, 1, 1))).flatten().tolist()))
    [0.0, 2.0]
    """

    _function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """Apply `functional.dropout3d`: set whole channels of ``(N, C, D, H, W)`` to 0."""

    _function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Apply `functional.alpha_dropout` while training: dropout that goes with SELU.

    Examples
    --------
    >>> import isograd as ig
    >>> len(set(ig.nn.AlphaDropout()(ig.zeros(100)).tolist()))
    2
    """

    _function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """Apply `functional.feature_alpha_dropout` while training, to whole channels."""

    _function = staticmethod(F.feature_alpha_dropout)
