"""The examples learn: few steps of small models, on both backends, eager and compiled."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import isograd as ig
from isograd import optim
from isograd.data import DataLoader, TextDataset
from isograd.train import fit

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    for name in ("characters", "char_gpt", "char_lstm", "fashion_mnist"):
        sys.modules.pop(name, None)


def learn(name: str, compiled: bool) -> tuple[float, float, str]:
    """Return what frequencies alone lose, what the model loses in the end, and what it writes."""
    characters: Any = importlib.import_module("characters")
    text = characters.python_handbook()[:4000]
    data = TextDataset(text, 16)
    make, sizes = {
        "char_gpt": ("CharGPT", {"size": 32, "heads": 2, "depth": 1}),
        "char_lstm": ("CharLSTM", {"size": 32}),
    }[name]
    model = getattr(importlib.import_module(name), make)(len(data.vocabulary), 16, **sizes)
    history = fit(
        model,
        DataLoader(data, 16, shuffle=True, drop_last=True, seed=0),
        loss=characters.loss,
        optimizer=optim.AdamW(model.parameters(), lr=0.01),
        epochs=8,
        clip_norm=1.0,
        compiled=compiled,
    )
    written = characters.write(model, data.vocabulary, "The", 5, 16)
    return characters.entropy(text), history[-1]["loss"], written


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["char_gpt", "char_lstm"])
def test_models_of_characters(name: str, compiled: bool, backend: str) -> None:
    frequencies, loss, written = learn(name, compiled)
    assert loss < frequencies - 0.3
    assert (written[:3], len(written)) == ("The", 8)


def test_the_command_line(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("so it goes, and on it goes\n" * 200)
    command = [sys.executable, str(EXAMPLES / "char_gpt.py"), "--text", str(text)]
    command += ["--steps", "10", "--block-size", "8", "--write", "4"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"5,400 characters, 12 different; 10 steps", out), out


def test_a_convolutional_network() -> None:
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.exists():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    network = importlib.import_module("fashion_mnist").network()
    train, _ = ig.data.load_fashion_mnist(folder)
    part = ig.data.Subset(train, range(512))
    history = fit(
        network,
        DataLoader(part, 64, shuffle=True, seed=0),
        optimizer=optim.AdamW(network.parameters(), lr=2e-3),
        metrics={"accuracy": ig.train.accuracy},
    )
    assert history[0]["accuracy"] > 0.25  # 0.1 is chance
