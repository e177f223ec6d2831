"""A language model of four transformer blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from workloads.base import Array, Parameters, Workload, affine, cross_entropy, linear

BATCH, CONTEXT = 32, 64
LAYERS, WIDTH, HEADS, VOCABULARY = 4, 128, 4, 65
_EPS = 1e-5


def _batch(rng: np.random.Generator) -> tuple[Array, ...]:
    text = rng.integers(0, VOCABULARY, (BATCH, CONTEXT + 1))
    return text[:, :-1].copy(), np.arange(CONTEXT), text[:, 1:].reshape(-1).copy()


def _model(nn: Any) -> Any:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.project = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
            self.gelu = nn.GELU()

        def forward(self, x: Any) -> Any:
            n, t, d = x.shape
            qkv = self.qkv(self.norm1(x)).reshape(n, t, 3, HEADS, d // HEADS)
            qkv = qkv.permute(2, 0, 3, 1, 4)
            heads = nn.functional.scaled_dot_product_attention(
                qkv[0], qkv[1], qkv[2], is_causal=True
            )
            x = x + self.project(heads.permute(0, 2, 1, 3).reshape(n, t, d))
            return x + self.down(self.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, WIDTH)
            self.positions = nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
            self.norm = nn.LayerNorm(WIDTH)
            self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

        def forward(self, ids: Any, positions: Any) -> Any:
            x = self.blocks(self.tokens(ids) + self.positions(positions))
            return self.head(self.norm(x)).reshape(-1, VOCABULARY)

    return GPT()


def _normed(xp: Any, p: Parameters, name: str, x: Array) -> Array:
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    variance = xp.mean(centred**2, axis=-1, keepdims=True)
    return centred / xp.sqrt(variance + _EPS) * p[f"{name}.weight"] + p[f"{name}.bias"]


def _attention(xp: Any, p: Parameters, name: str, x: Array) -> Array:
    n, t, d = x.shape
    heads = xp.reshape(affine(p, f"{name}.qkv", x), (n, t, 3, HEADS, d // HEADS))
    q, k, v = (xp.transpose(heads[:, :, i], (0, 2, 1, 3)) for i in range(3))
    scores = q @ xp.swapaxes(k, 2, 3) / math.sqrt(d / HEADS)
    scores = xp.where(xp.tril(xp.ones((t, t))) > 0, scores, -np.inf)
    weights = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    weights = weights / xp.sum(weights, axis=-1, keepdims=True)
    mixed = xp.reshape(xp.transpose(weights @ v, (0, 2, 1, 3)), (n, t, d))
    return affine(p, f"{name}.project", mixed)


def _erf(xp: Any) -> Any:
    """Return the error function of an array namespace."""
    if xp.__name__.startswith("jax"):
        from jax.scipy.special import erf
    else:
        from autograd.scipy.special import erf
    return erf


def _formula(xp: Any, p: Parameters, ids: Array, positions: Array, labels: Array) -> Array:
    erf = _erf(xp)
    x = p["tokens.weight"][ids] + p["positions.weight"][positions]
    for k in range(LAYERS):
        block = f"blocks.{k}"
        x = x + _attention(xp, p, block, _normed(xp, p, f"{block}.norm1", x))
        wide = affine(p, f"{block}.up", _normed(xp, p, f"{block}.norm2", x))
        gelu = 0.5 * wide * (1.0 + erf(wide / math.sqrt(2.0)))
        x = x + affine(p, f"{block}.down", gelu)
    logits = _normed(xp, p, "norm", x) @ p["head.weight"].T
    return cross_entropy(xp, xp.reshape(logits, (-1, VOCABULARY)), labels)


def _shapes() -> dict[str, Any]:
    def norm(name: str) -> dict[str, Any]:
        return {f"{name}.weight": ((WIDTH,), "ones"), f"{name}.bias": ((WIDTH,), "zeros")}

    shapes: dict[str, Any] = {
        "tokens.weight": ((VOCABULARY, WIDTH), 1.0),
        "positions.weight": ((CONTEXT, WIDTH), 1.0),
    }
    for k in range(LAYERS):
        block = f"blocks.{k}"
        shapes.update(norm(f"{block}.norm1"))
        shapes.update(norm(f"{block}.norm2"))
        shapes.update(linear(f"{block}.qkv", WIDTH, 3 * WIDTH))
        shapes.update(linear(f"{block}.project", WIDTH, WIDTH))
        shapes.update(linear(f"{block}.up", WIDTH, 4 * WIDTH))
        shapes.update(linear(f"{block}.down", 4 * WIDTH, WIDTH))
    return {**shapes, **norm("norm"), "head.weight": ((VOCABULARY, WIDTH), WIDTH**-0.5)}


_TOKENS = BATCH * CONTEXT

WORKLOAD = Workload(
    title="GPT, 4 layers, width 128, 4 heads, context 64, exact GELU, batch 32",
    optimizer="adam",
    rates={"sgd": 0.02, "adam": 0.0005},
    shapes=_shapes(),
    batch=_batch,
    model=_model,
    loss=lambda F, model, ids, positions, labels: F.cross_entropy(model(ids, positions), labels),
    formula=_formula,
    # Attention counted in full: twice what is below the diagonal.
    gemm_flops=6.0
    * _TOKENS
    * (LAYERS * (12 * WIDTH**2 + 2 * CONTEXT * WIDTH) + WIDTH * VOCABULARY),
)
