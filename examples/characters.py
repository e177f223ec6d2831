"""What the models of characters share: a text, training on it, and writing."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import isograd as ig
from isograd import nn, optim
from isograd.data import (
    CharVocabulary,
    DataLoader,
    RandomSampler,
    Subset,
    TextDataset,
    load_text,
    random_split,
)
from isograd.nn import functional as F
from isograd.train import evaluate, fit


def python_handbook() -> str:
    """Return a real text that everybody has: the reference that ``help()`` of Python shows."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def entropy(text: str) -> float:
    """Return what a guesser that knows only the letters' frequencies loses, in nats per letter."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log(n / len(text)) for n in counts.values())


def loss(scores: ig.Tensor, target: ig.Tensor) -> ig.Tensor:
    """Return the mean cross entropy of scores ``(batch, length, characters)``."""
    return F.cross_entropy(ig.reshape(scores, (-1, scores.shape[-1])), ig.reshape(target, (-1,)))


def write(
    model: nn.Module, vocabulary: CharVocabulary, start: str, count: int, block_size: int
) -> str:
    """Continue a text, drawing each character from the model's probabilities."""
    text = start
    model.eval()
    with ig.no_grad():
        for _ in range(count):
            codes = ig.tensor(vocabulary.encode(text[-block_size:])[None, :])
            # Gumbel's trick: the largest of scores and noise is a draw from the softmax.
            noise = -ig.log(-ig.log(ig.random.uniform((len(vocabulary),), low=1e-6)))
            text += vocabulary.decode([ig.argmax(model(codes)[0, -1] + noise).item()])
    return text


def main(description: str, make: Callable[[int, int], nn.Module], rate: float) -> dict[str, float]:
    """Train ``make(characters, block_size)`` as the command line says; return the last losses."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--text", type=Path, help="a text file; Python's handbook unless given")
    options.add_argument("--steps", type=int, default=600)
    options.add_argument("--block-size", type=int, default=64)
    options.add_argument("--batch-size", type=int, default=32)
    options.add_argument("--backend", choices=["numpy", "numba"])
    options.add_argument("--compiled", action="store_true")
    options.add_argument("--write", type=int, default=200, help="characters to write in the end")
    chosen = options.parse_args()
    if chosen.backend:
        ig.set_backend(chosen.backend)

    ig.manual_seed(0)
    text = load_text(chosen.text) if chosen.text else python_handbook()
    vocabulary = CharVocabulary(text)
    size = chosen.block_size
    data, judged = random_split(TextDataset(text, size, vocabulary=vocabulary), [0.95, 0.05])
    judged = Subset(judged, range(min(len(judged), 400)))
    batches = min(chosen.steps, len(data) // chosen.batch_size)
    some = RandomSampler(data, num_samples=batches * chosen.batch_size)
    loader = DataLoader(data, chosen.batch_size, sampler=some)
    model = make(len(vocabulary), size)
    optimizer = optim.AdamW(model.parameters(), lr=rate)
    epochs = -(-chosen.steps // batches)
    history = fit(
        model,
        loader,
        loss=loss,
        optimizer=optimizer,
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches),
        step_scheduler=True,
        epochs=epochs,
        clip_norm=1.0,
        compiled=chosen.compiled,
    )
    found = {
        "frequencies": entropy(text),
        "training": history[-1]["loss"],
        "held back": evaluate(model, judged, loss=loss, batch_size=50)["loss"],
    }
    print(f"{len(text):,} characters, {len(vocabulary)} different; {epochs * batches} steps")
    print("  ".join(f"{name}: {value:.3f} nats" for name, value in found.items()))
    if chosen.write:
        print(write(model, vocabulary, text[:4], chosen.write, size))
    return found


__all__ = ["entropy", "loss", "main", "python_handbook", "write"]
