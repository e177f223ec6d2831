"""A recurrent classifier of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.base import Array, Parameters, Workload, affine, cross_entropy, linear

BATCH, STEPS, WIDTH = 32, 64, 128


def _batch(rng: np.random.Generator) -> tuple[Array, ...]:
    return (
        rng.normal(size=(BATCH, STEPS, WIDTH)).astype(np.float32),
        rng.integers(0, 10, BATCH),
    )


def _model(nn: Any) -> Any:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
            self.head = nn.Linear(WIDTH, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x)[0][:, -1])

    return Classifier()


def _sigmoid(xp: Any) -> Any:
    """Return the logistic function of an array namespace."""
    if xp.__name__.startswith("jax"):
        from jax.nn import sigmoid

        return sigmoid
    return lambda z: 1.0 / (1.0 + xp.exp(-z))


def _cell(xp: Any, gates: Array, c: Array) -> tuple[Array, Array]:
    sigmoid = _sigmoid(xp)
    i, f, g, o = (gates[:, k * WIDTH : (k + 1) * WIDTH] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * xp.tanh(g)
    return sigmoid(o) * xp.tanh(c), c


def _input_gates(p: Parameters, x: Array) -> Array:
    return x @ p["lstm.weight_ih_l0"].T + p["lstm.bias_ih_l0"] + p["lstm.bias_hh_l0"]


def _formula(xp: Any, p: Parameters, x: Array, labels: Array) -> Array:
    gates = _input_gates(p, x)
    h = c = xp.zeros((BATCH, WIDTH))
    for t in range(STEPS):
        h, c = _cell(xp, gates[:, t] + h @ p["lstm.weight_hh_l0"].T, c)
    return cross_entropy(xp, affine(p, "head", h), labels)


def _jax_formula(xp: Any, p: Parameters, x: Array, labels: Array) -> Array:
    """Loop with ``lax.scan``, the products with the inputs made beforehand."""
    from jax import lax

    def body(carry: tuple[Array, Array], gates: Array) -> tuple[tuple[Array, Array], None]:
        h, c = carry
        return _cell(xp, gates + h @ p["lstm.weight_hh_l0"].T, c), None

    zeros = xp.zeros((BATCH, WIDTH), x.dtype)
    (h, _), _ = lax.scan(body, (zeros, zeros), xp.swapaxes(_input_gates(p, x), 0, 1))
    return cross_entropy(xp, affine(p, "head", h), labels)


def _shapes() -> dict[str, Any]:
    bound = WIDTH**-0.5
    return {
        "lstm.weight_ih_l0": ((4 * WIDTH, WIDTH), bound),
        "lstm.weight_hh_l0": ((4 * WIDTH, WIDTH), bound),
        "lstm.bias_ih_l0": ((4 * WIDTH,), bound),
        "lstm.bias_hh_l0": ((4 * WIDTH,), bound),
        **linear("head", WIDTH, 10),
    }


WORKLOAD = Workload(
    title="LSTM, width 128, 64 steps, batch 32",
    optimizer="adam",
    rates={"sgd": 0.05, "adam": 0.002},
    shapes=_shapes(),
    batch=_batch,
    model=_model,
    loss=lambda F, model, x, labels: F.cross_entropy(model(x), labels),
    formula=_formula,
    # With respect to the inputs there is no gradient.
    gemm_flops=2.0 * BATCH * (STEPS * 4 * WIDTH**2 * (2 + 3) + 3 * WIDTH * 10),
    jax_formula=_jax_formula,
)
