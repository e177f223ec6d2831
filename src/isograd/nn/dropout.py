"""Layers that drop values at random while training."""

from __future__ import annotations

from isograd.nn import functional
from isograd.nn.module import Module
from isograd.runtime.tensor import Tensor

__all__ = ["Dropout"]


class Dropout(Module):
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

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p={p} is not a probability; use a value in [0, 1]")
        self.p = p
        self.inplace = inplace

    def forward(self, x: Tensor, /) -> Tensor:
        """Return `functional.dropout` of ``x``."""
        return functional.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
