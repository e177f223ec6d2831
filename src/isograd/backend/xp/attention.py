"""Attention, a block of query rows at a time, so that the scores of one block are all there are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import cast, dtype_name, widen

__all__ = ["attention_kernels"]

_BLOCK = 1 << 20  # scores of a block


def attention_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of attention over an array namespace."""

    def transposed(x: Array) -> Array:
        return xp.permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))

    def blocks(q: Array, k: Array) -> Iterator[slice]:
        rows, per_row = q.shape[-2], math.prod(q.shape[:-2]) * k.shape[-2]
        step = max(1, _BLOCK // max(1, per_row))
        for start in range(0, rows, step):
            yield slice(start, min(start + step, rows))

    def weights(
        q: Array, k: Array, mask: Array | None, rows: slice, causal: bool, scale: float
    ) -> Array:
        """Return the softmax of the scores of some rows; rows that see nothing are 0."""
        scores = xp.matmul(q[..., rows, :] * scale, transposed(k))
        least = xp.asarray(-math.inf, dtype=scores.dtype, device=scores.device)
        if causal:
            at = xp.arange(rows.start, rows.stop, device=scores.device)
            columns = xp.arange(k.shape[-2], device=scores.device)
            seen = xp.expand_dims(at, axis=1) >= xp.expand_dims(columns, axis=0)
            scores = xp.where(seen, scores, least)
        if mask is not None:
            part = mask[..., rows, :] if mask.ndim > 1 and mask.shape[-2] > 1 else mask
            if dtype_name(part) == "bool":
                scores = xp.where(part, scores, least)
            else:
                scores = scores + part
        if 0 in scores.shape:
            return scores
        top = xp.max(scores, axis=-1, keepdims=True)
        nothing = top == least
        powers = xp.exp(scores - xp.where(nothing, xp.zeros_like(top), top))
        total = xp.sum(powers, axis=-1, keepdims=True)
        return powers / xp.where(nothing, xp.ones_like(total), total)

    def joined(parts: list[Array], empty: Array) -> Array:
        if not parts:
            return empty
        return parts[0] if len(parts) == 1 else xp.concat(parts, axis=-2)

    def attention(
        q: Array, k: Array, v: Array, mask: Array | None = None, *, causal: bool, scale: float
    ) -> Array:
        dtype = q.dtype
        q, k, v = widen(xp, q), widen(xp, k), widen(xp, v)
        mask = None if mask is None else widen(xp, mask)
        parts = [xp.matmul(weights(q, k, mask, rows, causal, scale), v) for rows in blocks(q, k)]
        empty = xp.zeros((*q.shape[:-1], v.shape[-1]), dtype=q.dtype, device=q.device)
        return cast(xp, joined(parts, empty), dtype)

    def attention_grad(
        g: Array,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None = None,
        *,
        causal: bool,
        scale: float,
    ) -> tuple[Array, Array, Array]:
        dtype = q.dtype
        g, q, k, v = widen(xp, g), widen(xp, q), widen(xp, k), widen(xp, v)
        mask = None if mask is None else widen(xp, mask)
        of_q: list[Array] = []
        of_k, of_v = xp.zeros_like(k), xp.zeros_like(v)
        for rows in blocks(q, k):
            part, seed = weights(q, k, mask, rows, causal, scale), g[..., rows, :]
            of_v = of_v + xp.matmul(transposed(part), seed)
            ct = xp.matmul(seed, transposed(v))
            ct = part * (ct - xp.sum(part * ct, axis=-1, keepdims=True)) * scale
            of_q.append(xp.matmul(ct, k))
            of_k = of_k + xp.matmul(transposed(ct), q[..., rows, :])
        found = joined(of_q, xp.zeros_like(q)), of_k, of_v
        return tuple([cast(xp, part, dtype) for part in found])  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    return {"attention": attention, "attention_grad": attention_grad}
