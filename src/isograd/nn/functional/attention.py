"""Scaled dot-product attention, with torch's name and arguments."""

from __future__ import annotations

import math

from isograd.core.dtypes import bool as bool_
from isograd.core.errors import ShapeError
from isograd.nn.functional.dropout import dropout
from isograd.ops import fused
from isograd.ops.convert import narrowed
from isograd.ops.linear import matmul
from isograd.ops.movement import broadcast_shapes, broadcast_to, repeat
from isograd.runtime.modes import is_grad_enabled
from isograd.runtime.tensor import Tensor

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return ``softmax(scale * query @ key.T + mask) @ value``.

    Without dropout, and unless the mask itself has a gradient, the scores are not kept: memory
    grows with the length, not with its square.

    Parameters
    ----------
    query, key, value : Tensor
        Shapes ``(..., L, E)``, ``(..., S, E)`` and ``(..., S, D)``; leading axes broadcast.
    attn_mask : Tensor, optional
        Broadcasts to ``(..., L, S)``: bool, where False is not seen, or floats to add.
    dropout_p : float
        The probability with which a weight is set to 0. It applies always: pass 0 in evaluation.
    is_causal : bool
        Whether row i sees columns up to i only; not together with ``attn_mask``.
    scale : float, optional
        The factor of the products; ``1 / sqrt(E)`` unless given.
    enable_gqa : bool
        Whether axis -3 of ``key`` and ``value`` may be shorter, each of its entries then serving
        several of the query's.

    Returns
    -------
    Tensor
        Shape ``(..., L, D)``. A row that sees nothing is 0.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    ValueError
        If both a mask and ``is_causal`` are given, or ``dropout_p`` is no probability.

    Examples
    --------
    >>> import isograd as ig
    >>> q = k = ig.zeros((2, 4))
    >>> v = ig.tensor([[1.0], [3.0]])
    >>> scaled_dot_product_attention(q, k, v, is_causal=True).tolist()
    [[1.0], [2.0]]
    """
    function = "scaled_dot_product_attention"
    query, key, value = narrowed(query, key, value)
    if attn_mask is not None and is_causal:
        raise ValueError(f"{function}: attn_mask and is_causal exclude each other; pass one")
    if not 0.0 <= dropout_p <= 1.0:
        raise ValueError(f"{function}: dropout_p={dropout_p} is no probability; pass 0 to 1")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(
            f"{function}: query {query.shape}, key {key.shape} and value {value.shape} need at "
            "least two axes each; pass (..., L, E), (..., S, E) and (..., S, D)"
        )
    if enable_gqa:
        key, value = _spread(function, query, key), _spread(function, query, value)
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        batch = broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
        query, key, value = [broadcast_to(t, (*batch, *t.shape[-2:])) for t in (query, key, value)]
    factor = 1.0 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    if attn_mask is not None and attn_mask.dtype not in (bool_, query.dtype):
        attn_mask = attn_mask.astype(query.dtype)
    learned = attn_mask is not None and attn_mask.requires_grad and is_grad_enabled()
    if dropout_p == 0.0 and not learned:
        return fused.attention(query, key, value, attn_mask, causal=is_causal, scale=factor)
    weights = fused.attention_weights(query, key, attn_mask, causal=is_causal, scale=factor)
    return matmul(dropout(weights, dropout_p), value)


def _spread(function: str, query: Tensor, t: Tensor) -> Tensor:
    """Repeat each entry of axis -3 for the query's entries that it serves."""
    if query.ndim < 3 or t.ndim < 3 or query.shape[-3] % t.shape[-3]:
        raise ShapeError(
            f"{function}: with enable_gqa, axis -3 of {query.shape} must be a multiple of that of "
            f"{t.shape}; pass a divisor of heads"
        )
    return repeat(t, query.shape[-3] // t.shape[-3], axis=-3)
