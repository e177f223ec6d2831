"""Structured layers in compiled functions: the same as eagerly, state included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.nn import functional as F

Layer = Callable[[], nn.Module]


class Recurrent(nn.Module):
    def __init__(self, kind: str, **options: Any) -> None:
        self.layer = getattr(nn, kind)(3, 4, **options)

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return self.layer(x)[0]


class Padded(Recurrent):
    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return self.layer(x, lengths=[5, 2])[0]


class Attending(nn.Module):
    def __init__(self, need_weights: bool) -> None:
        self.layer = nn.MultiheadAttention(4, 2)
        self.need_weights = need_weights

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return self.layer(x, x, x, need_weights=self.need_weights, is_causal=True)[0]


LAYERS: list[tuple[str, Layer, tuple[int, ...]]] = [
    ("conv2d", lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2, padding_mode="circular"), (2, 4, 6, 5)),
    ("transposed", lambda: nn.ConvTranspose1d(4, 6, 3, 2, 1, output_padding=1), (2, 4, 5)),
    ("max_pool", lambda: nn.MaxPool2d(3, 2, 1), (2, 3, 6, 7)),
    ("avg_pool", lambda: nn.AvgPool2d(3, 2, 1, True, False), (2, 3, 6, 8)),
    ("adaptive", lambda: nn.AdaptiveMaxPool2d((2, 3)), (2, 3, 5, 7)),
    ("batch_norm", lambda: nn.BatchNorm2d(3), (4, 3, 2, 2)),
    ("batch_norm average", lambda: nn.BatchNorm1d(3, momentum=None), (4, 3)),
    ("instance_norm", lambda: nn.InstanceNorm1d(3, track_running_stats=True), (2, 3, 4)),
    ("layer_norm", lambda: nn.LayerNorm(4), (2, 3, 4)),
    ("rms_norm", lambda: nn.RMSNorm(4), (2, 3, 4)),
    ("group_norm", lambda: nn.GroupNorm(2, 4), (2, 4, 3)),
    ("response", lambda: nn.LocalResponseNorm(3), (2, 4, 3)),
    ("fold", lambda: nn.Sequential(nn.Unfold(2), nn.Fold((4, 5), 2)), (2, 3, 4, 5)),
    ("dropout2d", lambda: nn.Dropout2d(0.4), (4, 3, 2, 2)),
    ("alpha", lambda: nn.AlphaDropout(0.4), (4, 3)),
    ("lstm", lambda: Recurrent("LSTM", num_layers=2, bidirectional=True, dropout=0.3), (5, 2, 3)),
    ("gru", lambda: Recurrent("GRU"), (5, 2, 3)),
    ("rnn", lambda: Recurrent("RNN", nonlinearity="relu"), (5, 2, 3)),
    ("lstm of lengths", lambda: Padded("LSTM"), (5, 2, 3)),
    ("attention", lambda: Attending(False), (3, 2, 4)),
    ("attention weights", lambda: Attending(True), (3, 2, 4)),
    ("encoder", lambda: nn.TransformerEncoderLayer(4, 2, 8, 0.2), (3, 2, 4)),
]


def run(build: Layer, shape: tuple[int, ...], *, compiled: bool) -> list[Any]:
    """Return losses and gradients of the input of three steps, then parameters and buffers."""
    ig.random.manual_seed(3)
    model = build().to("float64")
    params = list(model.parameters())
    optimizer = optim.SGD(params, lr=0.1) if params else None

    def step(x: ig.Tensor) -> ig.Tensor:
        loss = (model(x) ** 2).sum()
        loss.backward()
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    call = ig.compile(step, state=(model, optimizer) if optimizer else model) if compiled else step
    found: list[Any] = []
    for number in range(3):
        values = np.random.default_rng(number).normal(size=shape)
        x = ig.tensor(values, requires_grad=True)
        found.append(call(x).numpy())
        assert x.grad is not None
        found.append(x.grad.numpy())
    return found + [value.numpy() for value in model.state_dict().values()]


@pytest.mark.parametrize(("name", "build", "shape"), LAYERS, ids=[row[0] for row in LAYERS])
def test_a_layer_compiles(backend: str, name: str, build: Layer, shape: tuple[int, ...]) -> None:
    eager, compiled = [run(build, shape, compiled=c) for c in (False, True)]
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-11)


def test_lengths_may_be_inputs_of_a_program(backend: str) -> None:
    layer = nn.LSTM(2, 3).to("float64")
    x = ig.tensor(np.random.default_rng(0).normal(size=(4, 2, 2)))
    call = ig.compile(lambda x, lengths: layer(x, lengths=lengths), state=layer, max_traces=1)
    for lengths in ([4, 1], [2, 3]):
        out, (h, c) = call(x, ig.tensor(lengths))
        for a, b in zip((out, h, c), leaves(layer(x, lengths=lengths)), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13)


def leaves(made: Any) -> list[Any]:
    return [t for part in made for t in leaves(part)] if isinstance(made, tuple) else [made]


def test_an_embedding_compiles(backend: str) -> None:
    def losses(compiled: bool) -> list[Any]:
        ig.random.manual_seed(3)
        model = nn.Sequential(nn.Embedding(7, 4, padding_idx=0), nn.Flatten(), nn.Linear(12, 5))
        optimizer = optim.Adam(model.parameters(), lr=0.1)

        def step(ids: ig.Tensor, labels: ig.Tensor) -> ig.Tensor:
            loss = F.cross_entropy(model(ids), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        call = ig.compile(step, state=(model, optimizer)) if compiled else step
        rng = np.random.default_rng(0)
        batches = [(rng.integers(0, 7, (4, 3)), rng.integers(0, 5, 4)) for _ in range(3)]
        found = [call(ig.tensor(a), ig.tensor(b)).numpy() for a, b in batches]
        return [*found, *[p.numpy() for p in model.parameters()]]

    for a, b in zip(losses(False), losses(True), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
