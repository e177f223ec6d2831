"""A recurrent network that learns to write, character by character.

python examples/char_lstm.py --compiled
"""

from __future__ import annotations

import characters

import isograd as ig
from isograd import nn


class CharLSTM(nn.Module):
    """Characters as vectors, an LSTM over them, and a score for each character as the next."""

    def __init__(self, characters: int, block_size: int, size: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, 32)
        self.lstm = nn.LSTM(32, size, batch_first=True)
        self.head = nn.Linear(size, characters)

    def forward(self, codes: ig.Tensor) -> ig.Tensor:
        """Return scores ``(batch, length, characters)`` of the next character at each place."""
        hidden, _ = self.lstm(self.embedding(codes))
        return self.head(hidden)


if __name__ == "__main__":
    characters.main(__doc__.splitlines()[0], CharLSTM, rate=5e-3)
