"""A small transformer that learns to write, character by character.

python examples/char_gpt.py --compiled
"""

from __future__ import annotations

import characters

import isograd as ig
from isograd import nn
from isograd.nn import functional as F


class Block(nn.Module):
    """Attention to what came before, then a perceptron; both are added to what went in."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(size)
        self.c_attn = nn.Linear(size, 3 * size)
        self.c_proj = nn.Linear(size, size)
        self.ln_2 = nn.LayerNorm(size)
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        """Return ``(batch, length, size)`` for the same."""
        batch, length, size = x.shape
        split = (batch, length, 3, self.heads, size // self.heads)
        qkv = ig.permute_dims(ig.reshape(self.c_attn(self.ln_1(x)), split), (2, 0, 3, 1, 4))
        out = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], is_causal=True)
        out = ig.reshape(ig.permute_dims(out, (0, 2, 1, 3)), (batch, length, size))
        x = x + self.c_proj(out)
        return x + self.mlp(self.ln_2(x))


class CharGPT(nn.Module):
    """A decoder whose output layer shares its weights with the embedding of characters."""

    def __init__(
        self, characters: int, block_size: int, size: int = 96, heads: int = 4, depth: int = 3
    ) -> None:
        super().__init__()
        self.wte = nn.Embedding(characters, size)
        self.wpe = nn.Embedding(block_size, size)
        self.h = nn.Sequential(*[Block(size, heads) for _ in range(depth)])
        self.ln_f = nn.LayerNorm(size)
        nn.init.normal_(self.wte.weight, std=0.02)
        nn.init.normal_(self.wpe.weight, std=0.02)

    def forward(self, codes: ig.Tensor) -> ig.Tensor:
        """Return scores ``(batch, length, characters)`` of the next character at each place."""
        x = self.wte(codes) + self.wpe(ig.arange(codes.shape[1], device=codes.device))
        return F.linear(self.ln_f(self.h(x)), self.wte.weight)


if __name__ == "__main__":
    characters.main(__doc__.splitlines()[0], CharGPT, rate=3e-3)
