"""Activations, losses and resampling, compiled, against the same run as they are written."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.testing.op_db.activations import ACTIVATIONS
from isograd.testing.op_db.losses import LOSSES
from isograd.testing.op_db.resampling import RESAMPLING
from isograd.testing.op_db.spec import OpSpec, Sample


def with_gradients(spec: OpSpec, sample: Sample) -> Any:
    wrt = tuple(i for i in spec.grad_args if i < len(sample.args))

    def summed(*xs: ig.Tensor) -> ig.Tensor:
        out = spec.fn(*xs, **sample.kwargs)
        weights = np.cos(np.arange(float(out.size))).reshape(out.shape)
        return (out * ig.tensor(weights.astype(np.float32))).sum()

    return ig.value_and_grad(summed, argnums=wrt)


@pytest.mark.parametrize("spec", [*ACTIVATIONS, *LOSSES, *RESAMPLING], ids=lambda spec: spec.name)
def test_a_compiled_function_and_its_gradients(spec: OpSpec, backend: str) -> None:
    rng = np.random.default_rng(0)
    few = itertools.islice(spec.samples(rng, np.dtype(np.float32)), 0, 8, 3)
    for sample in few:
        run = with_gradients(spec, sample)
        args = [ig.tensor(x) for x in sample.args]
        eager, compiled = ig.tree_flatten(run(*args))[0], ig.tree_flatten(ig.compile(run)(*args))[0]
        for a, b in zip(compiled, eager, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-6)
