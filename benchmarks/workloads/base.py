"""What a workload is: a network, its first weights, one batch, and its formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Array", "Parameters", "Workload", "affine", "cross_entropy", "draw", "linear"]

Array = Any
Parameters = dict[str, Array]

#: Shape, and the bound of the uniform distribution; a string stands for a constant.
Shapes = Mapping[str, tuple[tuple[int, ...], float | str]]


class Workload(NamedTuple):
    """One training step, told once for all contenders.

    Attributes
    ----------
    title
        What it is, in a line.
    optimizer
        The one that is timed by default.
    rates
        Learning rates by optimizer.
    shapes
        Parameters by their names in torch's (and isograd's) ``state_dict``.
    batch
        Makes the arrays of the batch from a generator, integers being indices.
    model
        Makes the module from a namespace of layers, torch's or isograd's: they have the same
        names.
    loss
        ``loss(functional, model, *batch)``.
    formula
        ``formula(xp, parameters, *batch)``: the loss in plain array functions, written apart from
        the model.
    gemm_flops
        Floating-point operations of matrix products and convolutions in a step.
    jax_formula
        What JAX runs where the plain formula would not do it justice.
    """

    title: str
    optimizer: str
    rates: Mapping[str, float]
    shapes: Shapes
    batch: Callable[[np.random.Generator], tuple[Array, ...]]
    model: Callable[[Any], Any]
    loss: Callable[..., Any]
    formula: Callable[..., Any]
    gemm_flops: float
    jax_formula: Callable[..., Any] | None = None

    def parameters(self) -> Parameters:
        """Return the first weights, float32: the same ones at each call."""
        return draw(self.shapes)

    def examples(self) -> tuple[Array, ...]:
        """Return the batch, float32 and int64: the same one at each call."""
        return self.batch(np.random.default_rng(1))


def draw(shapes: Shapes) -> Parameters:
    """Draw weights from uniform distributions of the given bounds."""
    rng = np.random.default_rng(0)
    constants = {"ones": np.ones, "zeros": np.zeros}
    return {
        name: constants[bound](shape, np.float32)
        if isinstance(bound, str)
        else rng.uniform(-bound, bound, shape).astype(np.float32)
        for name, (shape, bound) in shapes.items()
    }


def linear(name: str, inputs: int, outputs: int) -> dict[str, Any]:
    """Return the shapes of a linear layer, with torch's bounds."""
    bound = inputs**-0.5
    return {f"{name}.weight": ((outputs, inputs), bound), f"{name}.bias": ((outputs,), bound)}


def affine(p: Parameters, name: str, x: Array) -> Array:
    """Return what a linear layer computes."""
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def cross_entropy(xp: Any, logits: Array, labels: Array) -> Array:
    """Return the mean cross-entropy of rows of logits with integer labels."""
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    log_sums = xp.log(xp.sum(xp.exp(shifted), axis=1))
    return xp.mean(log_sums - shifted[xp.arange(len(labels)), labels])
