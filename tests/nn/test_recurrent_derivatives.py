"""Eager recurrent layers run as one operation: its derivatives are those of the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("LSTM", {"bidirectional": True}),
    ("GRU", {"bidirectional": True}),
    ("GRU", {"bias": False}),
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
]


def made(name: str, kwargs: dict[str, Any]) -> tuple[Any, ig.Tensor]:
    rng = np.random.default_rng(3)
    layer: Any = getattr(nn, name)(3, 4, dtype="float64", **kwargs)
    layer.load_state_dict(
        {name: rng.uniform(-0.7, 0.7, t.shape) for name, t in layer.state_dict().items()}
    )
    return layer, ig.tensor(rng.uniform(-1.0, 1.0, (5, 2, 3)))


def both(layer: Any) -> tuple[Callable[[ig.Tensor], ig.Tensor], Callable[[ig.Tensor], ig.Tensor]]:
    """Return a function through the operation, and one through the loop that lengths need."""

    def loss(x: ig.Tensor, lengths: Any) -> Any:
        out, last = layer(x, lengths=lengths)
        return sum([(t * t).sum() for t in last], (out * out * out).sum())

    return lambda x: loss(x, None), lambda x: loss(x, [5, 5])


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(("name", "kwargs"), KINDS)
def test_all_derivatives_are_those_of_the_loop(
    name: str, kwargs: dict[str, Any], backend: str
) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    layer, x = made(name, kwargs)
    fast, slow = both(layer)
    t = ig.tensor(np.random.default_rng(4).uniform(-1.0, 1.0, x.shape))
    with ig.use_backend(backend):
        pairs = [
            (ig.grad(fast)(x), ig.grad(slow)(x)),
            (ig.jvp(fast, (x,), (t,))[1], ig.jvp(slow, (x,), (t,))[1]),
            (ig.hvp(fast, (x,), (t,))[1][0], ig.hvp(slow, (x,), (t,))[1][0]),
            (
                ig.vmap(ig.grad(fast))(ig.stack([x, t])),
                ig.stack([ig.grad(slow)(y) for y in (x, t)]),
            ),
        ]
        for ours, right in pairs:
            np.testing.assert_allclose(ours.numpy(), right.numpy(), rtol=1e-9, atol=1e-11)
            assert np.abs(right.numpy()).max() > 1e-3


@pytest.mark.parametrize(("name", "kwargs"), KINDS)
def test_a_layer_is_one_operation(name: str, kwargs: dict[str, Any]) -> None:
    layer, x = made(name, {**kwargs, "bidirectional": False})
    assert layer(x)[0].edge[0].describe() == "recurrent"
