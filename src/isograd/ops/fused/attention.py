"""Scaled dot-product attention, in memory that grows with the length and not with its square."""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from typing import Any

from isograd.core import dtypes
from isograd.core.errors import DTypeError, ShapeError
from isograd.ir import Aval
from isograd.ops import creation, infer
from isograd.ops import elementwise as m
from isograd.ops import reductions as r
from isograd.ops.convert import cast
from isograd.ops.fused.common import fused
from isograd.ops.fused.softmax import softmax
from isograd.ops.linear import matmul
from isograd.ops.movement import expand_dims, matrix_transpose
from isograd.runtime.bind import bind
from isograd.runtime.rules import Joint
from isograd.runtime.tensor import Tensor

__all__ = ["attention", "attention_weights"]


def _infer_attention(q: Aval, k: Aval, v: Aval, mask: Aval | None = None, **static: Any) -> Aval:
    infer.require("attention", q, "float")
    infer.same_dtype("attention", q, k, v)
    batch = q.shape[:-2]
    fits = (
        min(len(q.shape), len(k.shape), len(v.shape)) >= 2
        and k.shape[:-2] == v.shape[:-2] == batch
        and q.shape[-1] == k.shape[-1]
        and k.shape[-2] == v.shape[-2]
    )
    if not fits:
        raise ShapeError(
            f"attention: query {q.shape}, key {k.shape} and value {v.shape} do not fit; pass "
            "(..., L, E), (..., S, E) and (..., S, D) with the same leading axes"
        )
    if mask is not None:
        scores = (*batch, q.shape[-2], k.shape[-2])
        if mask.dtype not in (dtypes.bool, q.dtype):
            raise DTypeError(
                f"attention: the mask is {mask}; pass one of bool, or of {q.dtype.name} to add"
            )
        if infer.broadcast("attention", mask.shape, scores) != scores:
            raise ShapeError(
                f"attention: the mask has shape {mask.shape}, the scores {scores}; make it "
                "broadcast to these"
            )
    return Aval((*q.shape[:-1], v.shape[-1]), q.dtype)


def _infer_attention_grad(
    g: Aval, q: Aval, k: Aval, v: Aval, mask: Aval | None = None, **static: Any
) -> tuple[Aval, ...]:
    out = _infer_attention(q, k, v, mask)
    if g != out:
        raise ShapeError(
            f"attention_grad: the cotangent is {g}, the output {out}; they must be equal in shape "
            "and dtype"
        )
    return q, k, v


def attention_weights(
    q: Tensor, k: Tensor, mask: Tensor | None = None, *, causal: bool, scale: float
) -> Tensor:
    """Return softmax(scale * q @ k.T) along the last axis; rows that see nothing are 0.

    >>> attention_weights(ones((1, 2)), ones((2, 2)), causal=True, scale=1.0).tolist()
    [[1.0, 0.0]]
    """
    scores = matmul(q * scale, matrix_transpose(k))
    if causal:
        rows, columns = [
            creation.arange(n, dtype=dtypes.int32, device=q.device) for n in scores.shape[-2:]
        ]
        seen = expand_dims(rows, axis=1) >= columns
        scores = m.where(seen, scores, -float("inf"))
    if mask is None:
        return softmax(scores, axis=-1)
    scores = m.where(mask, scores, -float("inf")) if mask.dtype == dtypes.bool else scores + mask
    sees = r.any(m.not_equal(scores, -float("inf")), axis=-1, keepdims=True)
    return m.where(sees, softmax(m.where(sees, scores, 0), axis=-1), 0)


def _wide(*tensors: Tensor | None) -> list[Any]:
    """Convert 16-bit floats to float32."""
    return [
        cast(t, dtypes.float32) if t is not None and dtypes.is_half(t.dtype) else t for t in tensors
    ]


def _attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, causal: bool, scale: float
) -> Tensor:
    wide_q, wide_k, wide_v, wide_mask = _wide(q, k, v, mask)
    weights = attention_weights(wide_q, wide_k, wide_mask, causal=causal, scale=scale)
    return cast(matmul(weights, wide_v), q.dtype)


def _attention_grad(
    g: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    wide_g, wide_q, wide_k, wide_v, wide_mask = _wide(g, q, k, v, mask)
    weights = attention_weights(wide_q, wide_k, wide_mask, causal=causal, scale=scale)
    ct = matmul(wide_g, matrix_transpose(wide_v))
    ct = weights * (ct - r.sum(weights * ct, axis=-1, keepdims=True))
    return (
        cast(matmul(ct, wide_k) * scale, q.dtype),
        cast(matmul(matrix_transpose(ct), wide_q * scale), k.dtype),
        cast(matmul(matrix_transpose(weights), wide_g), v.dtype),
    )


def _rule(g: Tensor, *inputs: Tensor, **static: Any) -> tuple[Tensor | None, ...]:
    found: tuple[Tensor | None, ...] = bind(_attention_grad_p, g, *inputs, **static)
    return found + (None,) * (len(inputs) - 3)


_attention_grad_p = fused("attention_grad", _infer_attention_grad, _attention_grad, multiple=True)
_attention_p = fused("attention", _infer_attention, _attention, Joint(_rule))


def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, /, *, causal: bool, scale: float
) -> Tensor:
    """Return ``softmax(scale * q @ k.T + mask) @ v`` without keeping the scores.

    Parameters
    ----------
    q, k, v
        Shapes ``(..., L, E)``, ``(..., S, E)`` and ``(..., S, D)``, floating-point.
    mask
        Broadcasts to ``(..., L, S)``: bool, where False is not seen, or floats to add. A constant:
        no derivative goes through it.
    causal
        Whether row i sees columns up to i only.
    scale
        The factor of the products.

    Returns
    -------
    Tensor
        Shape ``(..., L, D)``; rows that see nothing are 0.

    >>> attention(zeros((1, 2)), zeros((2, 2)), eye(2), causal=False, scale=1.0).tolist()
    [[0.5, 0.5]]
    """
    tensors = (q, k, v) if mask is None else (q, k, v, mask)
    return bind(_attention_p, *tensors, causal=causal, scale=float(scale))
