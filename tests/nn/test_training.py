"""Training real models on the digits, from the first line to the last."""

from __future__ import annotations

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.data import DataLoader, load_digits
from isograd.nn import functional as F


def accuracy(model: nn.Module, images: ig.Tensor, labels: ig.Tensor) -> float:
    model.eval()
    with ig.no_grad():
        found = ig.argmax(model(images), axis=1)
    return float(np.mean(found.numpy() == labels.numpy()))


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_small_network_learns_the_digits(backend: str, name: str) -> None:
    train, test = load_digits()
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10)
    )
    optimizer: optim.Optimizer = optim.Adam(model.parameters(), lr=0.01)
    if name == "sgd":
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    first = F.cross_entropy(model(train.tensors[0]), train.tensors[1]).item()
    assert abs(first - np.log(10)) < 0.2
    loader = DataLoader(train, batch_size=64, shuffle=True)
    for _ in range(10):
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    assert accuracy(model, *test.tensors) > 0.95


def test_a_run_repeats_exactly(backend: str) -> None:
    def run() -> list[list[float]]:
        ig.random.manual_seed(5)
        train, _ = load_digits(flatten=True)
        model = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 10))
        adamw = optim.AdamW(model.parameters(), lr=0.01)
        loader = DataLoader(train, batch_size=200, shuffle=True)
        for images, labels in loader:
            adamw.zero_grad()
            nn.CrossEntropyLoss(label_smoothing=0.1)(model(images), labels).backward()
            adamw.step()
        return [p.tolist() for p in model.parameters()]

    assert run() == run()
