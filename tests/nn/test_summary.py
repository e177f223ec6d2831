"""The table of a model's modules."""

from __future__ import annotations

import pytest

import isograd as ig
from isograd import nn


class Shared(nn.Module):
    """One layer used twice, one never, and a buffer that forward changes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.spare = nn.Linear(3, 3)
        self.spare.weight = self.layer.weight
        self.spare.requires_grad_(False)
        self.layer.requires_grad_(True)
        self.register_buffer("count", ig.zeros(()))

    def forward(self, x: ig.Tensor) -> tuple[ig.Tensor, ig.Tensor]:
        self.count = self.count + 1
        y = self.layer(self.layer(x))
        return y, y.sum()


def test_counts() -> None:
    model = Shared()
    seed = ig.random.default_generator.state_dict()
    found = nn.summary(model, ig.ones((2, 3)))
    root, layer, spare = found.rows
    assert (root.output, layer.output, spare.output) == ("(2, 3), ()", "(2, 3)", "")
    assert (root.calls, layer.calls, spare.calls) == (1, 2, 0)
    assert (layer.flops, root.flops) == (84, 84)
    assert (found.parameters, found.trainable, found.buffers, found.bytes) == (15, 12, 1, 64)
    assert (layer.parameters, spare.parameters) == (12, 3)
    assert model.count.item() == 0
    assert ig.random.default_generator.state_dict() == seed
    assert not model.layer._hooks["forward"]
    text = str(found)
    assert "spare: Linear  not called" in text
    assert "(2, 3) x 2" in text


def test_fused_operations_count_through_their_definitions() -> None:
    class Attention(nn.Module):
        def forward(self, q: ig.Tensor, k: ig.Tensor) -> ig.Tensor:
            return nn.functional.linear(ig.matmul(q, ig.matrix_transpose(k)), k[:4, :])

    found = nn.summary(Attention(), ig.ones((3, 5)), ig.ones((5, 5)))
    assert found.flops == 2 * 3 * 5 * 5 + 3 * 4 * (2 * 5)


def test_the_model_is_as_before_after_an_error() -> None:
    layer = nn.Linear(3, 2)
    weight = layer.weight.tolist()
    with pytest.raises(ig.ShapeError):
        nn.summary(layer, ig.ones((2, 4)))
    assert layer.weight.tolist() == weight
    assert layer(ig.ones((1, 3))).shape == (1, 2)


def test_a_shape_stands_for_a_tensor() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    assert str(nn.summary(model, (2, 4))) == str(nn.summary(model, ig.ones((2, 4))))
