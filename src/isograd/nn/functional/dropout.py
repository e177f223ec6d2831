"""Dropout as functions, with torch's names and arguments."""

from __future__ import annotations

import math

from isograd.core.errors import ShapeError
from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops.creation import ones, zeros_like
from isograd.ops.random import default_generator
from isograd.runtime.tensor import Tensor

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]

_NEGATIVE = -1.7580993408473766
"""What SELU tends to for small arguments: minus its scale times its alpha."""


def check_probability(function: str, p: float) -> None:
    """Raise unless ``p`` is from 0 to 1."""
    if not 0 <= p <= 1:
        raise ValueError(f"{function}: p={p} is not a probability; use a value in [0, 1]")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Set each value to 0 with probability ``p``, and scale the others by ``1 / (1 - p)``.

    Which ones is drawn from `isograd.random`; the backward pass draws the same ones again.

    Parameters
    ----------
    input : Tensor
        Floating-point.
    p : float
        Probability of 0. With 1 the result and the gradient are 0.
    training : bool
        With False, return ``input``.
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.

    Raises
    ------
    ValueError
        If ``p`` is not in [0, 1].

    Examples
    --------
    >>> import isograd as ig
    >>> dropout(ig.ones(3), p=1.0).tolist()
    [0.0, 0.0, 0.0]
    """
    check_probability("dropout", p)
    if not training or p == 0:
        return input
    return fused.dropout(input, default_generator.key(input.device), p=p)


def _kept(x: Tensor, shape: tuple[int, ...], p: float) -> Tensor:
    """Draw what is kept: True with probability ``1 - p``."""
    every = ones(shape, dtype=x.dtype, device=x.device)
    return m.not_equal(fused.dropout(every, default_generator.key(x.device), p=p), 0)


def _channels(x: Tensor, batched: bool = True) -> tuple[int, ...]:
    """Return the input's shape with 1 for all axes behind the channels."""
    lead = 2 if batched else 1
    return (*x.shape[:lead], *(1,) * (x.ndim - lead))


def _drop_channels(
    function: str, x: Tensor, p: float, training: bool, ndims: tuple[int, ...], unbatched: int
) -> Tensor:
    check_probability(function, p)
    if x.ndim not in ndims:
        raise ShapeError(
            f"{function}: the input has shape {x.shape}; pass one of "
            f"{' or '.join(map(str, ndims))} axes"
        )
    if not training or p == 0:
        return x
    if p == 1:
        return zeros_like(x)
    kept = _kept(x, _channels(x, x.ndim != unbatched), p)
    return m.where(kept, x * (1.0 / (1.0 - p)), 0)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set whole channels of ``(N, C, L)`` or ``(C, L)`` to 0; arguments are those of `dropout`.

    Examples
    --------
    >>> import isograd as ig
    >>> out = dropout1d(ig.ones((50, 2, 3)))
    >>> bool((out.min(axis=2) == out.max(axis=2)).all())
    True
    """
    return _drop_channels("dropout1d", input, p, training, (2, 3), 2)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set whole channels of ``(N, C, H, W)`` to 0; three axes are ``(N, C, L)``, as in torch.

    Examples
    --------
    >>> import isograd as ig
    >>> sorted(set(dropout2d(ig.ones((50, 2, 1, 1)), 0.5).flatten().tolist()))
    [0.0, 2.0]
    """
    return _drop_channels("dropout2d", input, p, training, (3, 4), 0)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set whole channels of ``(N, C, D, H, W)`` or ``(C, D, H, W)`` to 0; as `dropout` else.

    Examples
    --------
    >>> import isograd as ig
    >>> dropout3d(ig.ones((2, 1, 1, 1)), 1.0).flatten().tolist()
    [0.0, 0.0]
    """
    return _drop_channels("dropout3d", input, p, training, (4, 5), 4)


def _drop_to_negative(
    function: str, x: Tensor, p: float, training: bool, shape: tuple[int, ...]
) -> Tensor:
    check_probability(function, p)
    if not training or p == 0:
        return x
    if p == 1:
        return zeros_like(x)
    keep = 1.0 - p
    scale = 1.0 / math.sqrt(keep + _NEGATIVE**2 * keep * p)
    shift = -scale * _NEGATIVE * p
    return m.where(_kept(x, shape, p), x * scale, _NEGATIVE * scale) + shift


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Set values to the negative limit of SELU, then restore mean 0 and variance 1.

    Parameters
    ----------
    input : Tensor
        Floating-point, of mean 0 and variance 1 as SELU makes it.
    p : float
        The probability of being dropped. With 1 the result and the gradient are 0.
    training : bool
        With False, which is torch's default here, return ``input``.
    inplace : bool
        Accepted as torch does; without effect, since tensors do not change.

    Raises
    ------
    ValueError
        If ``p`` is not in [0, 1].

    Notes
    -----
    G. Klambauer and others: Self-normalizing neural networks, 2017.

    Examples
    --------
    >>> import isograd as ig
    >>> len(set(alpha_dropout(ig.zeros(100), 0.5, training=True).tolist()))
    2
    """
    return _drop_to_negative("alpha_dropout", input, p, training, input.shape)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Do as `alpha_dropout` with whole channels of ``(N, C, ...)``.

    Examples
    --------
    >>> import isograd as ig
    >>> out = feature_alpha_dropout(ig.zeros((9, 2, 3)), 0.5, training=True)
    >>> bool((out.min(axis=2) == out.max(axis=2)).all())
    True
    """
    if input.ndim < 2:
        raise ShapeError(
            f"feature_alpha_dropout: the input has shape {input.shape}; pass (N, C, ...)"
        )
    return _drop_to_negative("feature_alpha_dropout", input, p, training, _channels(input))
