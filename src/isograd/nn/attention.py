"""Multi-head attention, with torch's weights and masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isograd.core.dtypes import bool as bool_
from isograd.core.dtypes import is_floating
from isograd.core.errors import DTypeError, ShapeError
from isograd.nn import functional as F
from isograd.nn import init
from isograd.nn.linear import Linear
from isograd.nn.module import Module, Parameter
from isograd.ops import fused
from isograd.ops.creation import asarray, empty, zeros
from isograd.ops.elementwise import logical_and, logical_not, where
from isograd.ops.linear import matmul
from isograd.ops.movement import broadcast_to, concat, pad, permute_dims, reshape, split
from isograd.ops.reductions import mean
from isograd.runtime.tensor import Tensor

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attend with several heads: ``softmax(Q K' / sqrt(d)) V`` for each, side by side, then mapped.

    Parameters
    ----------
    embed_dim, num_heads : int
        Width of queries and output, which the heads divide among them.
    dropout : float
        The probability with which a weight is dropped while training.
    bias : bool
        Whether the maps have biases.
    add_bias_kv : bool
        Whether a learned key and value are added to each sequence.
    add_zero_attn : bool
        Whether a key and value of 0 are added to each sequence.
    kdim, vdim : int, optional
        Widths of keys and values; ``embed_dim`` unless given.
    batch_first : bool
        Whether sequences are ``(N, L, width)`` instead of ``(L, N, width)``.
    device, dtype : optional
        Where the parameters live, and their dtype.

    Attributes
    ----------
    in_proj_weight : Parameter or None
        Shape ``(3 embed_dim, embed_dim)``: the maps of query, key and value, one below the other.
        With other widths of keys or values there are ``q_proj_weight``, ``k_proj_weight`` and
        ``v_proj_weight`` instead.
    in_proj_bias : Parameter or None
        Shape ``(3 embed_dim,)``.
    out_proj : Linear
        The last map.

    Raises
    ------
    ValueError
        If the heads do not divide the width, or a number is not positive.

    Notes
    -----
    A. Vaswani and others: Attention is all you need, 2017.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = ig.ones((3, 5, 8))
    >>> out, weights = layer(x, x, x)
    >>> out.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: num_heads={num_heads} does not divide embed_dim={embed_dim}; "
                "use positive numbers, the former a divisor of the latter"
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout = dropout
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn

        def make(*shape: int) -> Parameter:
            return Parameter(empty(shape, dtype=dtype, device=device))

        one = self.kdim == self.vdim == embed_dim
        self.q_proj_weight = None if one else make(embed_dim, embed_dim)
        self.k_proj_weight = None if one else make(embed_dim, self.kdim)
        self.v_proj_weight = None if one else make(embed_dim, self.vdim)
        self.in_proj_weight = make(3 * embed_dim, embed_dim) if one else None
        self.in_proj_bias = make(3 * embed_dim) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.bias_k = make(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = make(1, 1, embed_dim) if add_bias_kv else None
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (
            self.in_proj_weight,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
        ):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Parameters
        ----------
        query, key, value : Tensor
            Shapes ``(L, N, embed_dim)``, ``(S, N, kdim)`` and ``(S, N, vdim)``; the first two axes
            exchanged where ``batch_first``, and N may be absent.
        key_padding_mask : Tensor, optional
            Shape ``(N, S)``: bool, where True is not seen, or floats to add.
        need_weights : bool
            Whether to return the weights; without, memory grows with the length only.
        attn_mask : Tensor, optional
            Shape ``(L, S)`` or ``(N * heads, L, S)``, of the same kinds.
        average_attn_weights : bool
            Whether weights are averaged over heads.
        is_causal : bool
            Without ``attn_mask``, whether row i sees columns up to i only. With one, a hint that it
            is causal, which is not needed here.

        Returns
        -------
        output : Tensor
            Like ``query``. Rows that see nothing attend to nothing.
        weights : Tensor or None
            Shape ``(N, L, S)``, or ``(N, heads, L, S)``.

        Raises
        ------
        ShapeError, DTypeError
            If a shape or a mask does not fit.
        """
        batched = query.ndim == 3
        self._check(query, key, value)
        # Maps are shared where the arguments are one tensor.
        same = query is key and key is value
        sequences = [self._batch_first(t, batched) for t in (query, key, value)]
        q, k, v = self._mapped(sequences, same)
        n, rows, columns = q.shape[0], q.shape[1], k.shape[1]
        mask = self._mask(key_padding_mask, attn_mask, batched, (n, rows, columns))
        causal = is_causal and attn_mask is None
        extra = (self.bias_k is not None) + self.add_zero_attn
        if causal and (mask is not None or extra):
            seen = asarray(np.tri(rows, columns, dtype=np.bool_), device=q.device)
            mask, causal = _both(mask, seen), False
        k, v = self._extended(k, v)
        if mask is not None and extra:
            mask = broadcast_to(mask, (*mask.shape[:-1], columns))
            widths = [(0, 0)] * (mask.ndim - 1) + [(0, extra)]
            mask = pad(mask, widths, value=float(mask.dtype == bool_))
        q, k, v = self._heads(q), self._heads(k), self._heads(v)
        rate = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scale = 1.0 / math.sqrt(self.head_dim)
            weights = F.dropout(
                fused.attention_weights(q, k, mask, causal=causal, scale=scale), rate
            )
            out = matmul(weights, v)
            weights = mean(weights, axis=1) if average_attn_weights else weights
            weights = weights if batched else weights[0]
        else:
            out = F.scaled_dot_product_attention(q, k, v, mask, rate, causal)
        joined = reshape(permute_dims(out, (0, 2, 1, 3)), (n, rows, self.embed_dim))
        out = self.out_proj(joined)
        if not batched:
            return out[0], weights
        return out if self.batch_first else permute_dims(out, (1, 0, 2)), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        widths = (self.embed_dim, self.kdim, self.vdim)
        fits = query.ndim in (2, 3) and query.ndim == key.ndim == value.ndim
        fits = fits and (query.shape[-1], key.shape[-1], value.shape[-1]) == widths
        if fits and query.ndim == 3:
            axis = 0 if self.batch_first else 1
            fits = query.shape[axis] == key.shape[axis] == value.shape[axis]
        if not fits or key.shape[:-1] != value.shape[:-1]:
            raise ShapeError(
                f"MultiheadAttention: query {query.shape}, key {key.shape} and value {value.shape} "
                f"do not fit widths {widths} and each other; pass (L, N, width), or (N, L, width) "
                "where batch_first"
            )

    def _batch_first(self, t: Tensor, batched: bool) -> Tensor:
        if not batched:
            return reshape(t, (1, *t.shape))
        return t if self.batch_first else permute_dims(t, (1, 0, 2))

    def _mapped(self, sequences: list[Tensor], same: bool) -> list[Tensor]:
        """Return query, key and value after their maps."""
        if self.in_proj_weight is not None and same:
            out = F.linear(sequences[0], self.in_proj_weight, self.in_proj_bias)
            return list(split(out, 3, axis=-1))
        biases: Any = [None] * 3
        if self.in_proj_bias is not None:
            biases = split(self.in_proj_bias, 3)
        if self.in_proj_weight is not None:
            maps: Any = split(self.in_proj_weight, 3)
        else:
            maps = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        return [F.linear(*parts) for parts in zip(sequences, maps, biases, strict=True)]

    def _extended(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add the learned key and value, and those of 0."""
        shape = (k.shape[0], 1, self.embed_dim)
        if self.bias_k is not None and self.bias_v is not None:
            k = concat([k, broadcast_to(self.bias_k, shape)], axis=1)
            v = concat([v, broadcast_to(self.bias_v, shape)], axis=1)
        if self.add_zero_attn:
            nothing = zeros(shape, dtype=k.dtype, device=k.device)
            k, v = concat([k, nothing], axis=1), concat([v, nothing], axis=1)
        return k, v

    def _heads(self, t: Tensor) -> Tensor:
        n, length, _ = t.shape
        return permute_dims(reshape(t, (n, length, self.num_heads, self.head_dim)), (0, 2, 1, 3))

    def _mask(
        self,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        batched: bool,
        shape: tuple[int, int, int],
    ) -> Tensor | None:
        """Return both masks as one for `functional.scaled_dot_product_attention`."""
        n, rows, columns = shape
        total: Tensor | None = None
        if key_padding_mask is not None:
            wanted = (n, columns) if batched else (columns,)
            _check_mask("key_padding_mask", key_padding_mask, [wanted])
            total = _seen(reshape(key_padding_mask, (n, 1, 1, columns)))
        if attn_mask is not None:
            each = (n * self.num_heads, rows, columns)
            _check_mask("attn_mask", attn_mask, [(rows, columns), each])
            if attn_mask.ndim == 3:
                attn_mask = reshape(attn_mask, (n, self.num_heads, rows, columns))
            total = _both(total, _seen(attn_mask))
        return total


def _check_mask(name: str, mask: Tensor, shapes: list[tuple[int, ...]]) -> None:
    if mask.shape not in shapes:
        raise ShapeError(
            f"MultiheadAttention: {name} has shape {mask.shape}; pass "
            f"{' or '.join(map(str, shapes))}"
        )
    if mask.dtype != bool_ and not is_floating(mask.dtype):
        raise DTypeError(
            f"MultiheadAttention: {name} is {mask.aval}; pass bool (True is not seen) or floats"
        )


def _seen(mask: Tensor) -> Tensor:
    """Return a mask in which True is seen; floats stay."""
    return logical_not(mask) if mask.dtype == bool_ else mask


def _both(a: Tensor | None, b: Tensor) -> Tensor:
    """Join masks: what both see, or the sum of what is added."""
    if a is None:
        return b
    if a.dtype == b.dtype == bool_:
        return logical_and(a, b)
    if a.dtype == bool_:
        return where(a, b, -float("inf"))
    return where(b, a, -float("inf")) if b.dtype == bool_ else a + b
