"""A whole step as one compiled program against the same step in float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core import dtypes
from isograd.testing.differ.targets import Side
from isograd.testing.differ.training import Training
from isograd.testing.execute import is_float
from isograd.testing.rounding import rounding_scales
from isograd.testing.tolerances import TABLE, compare

__all__ = ["compare_whole"]

Array = Any


def compare_whole(side: Side, build: Any, inputs: Sequence[Any], seed: int) -> tuple[str, ...]:
    """Compile the step on a side and say which results are outside their bounds.

    Operations that agree one by one may still be fused wrongly. Loss, gradients and new parameters
    are compared with those of an eager run in float64; an error may be four times that of the eager
    run in the same dtype, beside what rounding of every operation explains.
    """
    compiled = _results(side, build, inputs, seed, side.dtype, compiled=True)
    eager = _results(side, build, inputs, seed, side.dtype, compiled=False)
    right = _results(side, build, inputs, seed, "float64", compiled=False)
    names = [name for name in compiled if name in right]
    wide = [np.asarray(right[name], np.float64) for name in names]

    def roundly(given: Sequence[Array], rounding: Any) -> list[Array]:
        other = dataclasses.replace(side, given=rounding)
        found = _results(other, build, given, seed, "float64", compiled=False)
        return [np.asarray(found[name], np.float64) for name in names]

    dtype = next((compiled[name].dtype for name in names), np.dtype(np.float64))
    floats = [x.astype(np.float64) if is_float(x) else x for x in map(np.asarray, inputs)]
    terms = max([1, *(n for x in inputs for n in np.shape(x))])
    scales = [np.zeros(x.shape) for x in wide]
    found: list[str] = []
    for first in range(0, 8, 2):  # what some roundings leave as it is by chance, others move
        how: dict[str, Any] = {"backend": side.backend, "dtype": dtype, "seed": first}
        scales = list(map(np.maximum, scales, rounding_scales(roundly, floats, wide, **how)))
        found = [
            text
            for name, want, scale in zip(names, wide, scales, strict=True)
            if (text := _outside(name, compiled[name], eager[name], want, scale=scale, terms=terms))
        ]
        if not found:
            break
    return tuple(found)


def _outside(name: str, compiled: Array, eager: Array, right: Array, **how: Any) -> str:
    # What overflows in this dtype without a program too tells nothing of the program.
    lost = np.isfinite(right) & ~np.isfinite(np.asarray(eager, np.float64))
    for values in (compiled, eager, right):
        values[lost] = 0
    own = compare(eager, right, tolerance=TABLE["program"], **how)
    baseline = own.units if np.isfinite(own.units) else 0.0
    c = compare(compiled, right, tolerance=TABLE["program"], baseline=baseline, **how)
    if c.ok:
        return ""
    return (
        f"{name}, element {list(c.index)}: {c.value!r} compiled, {c.reference!r} in float64, bound "
        f"{c.bound:.3g}, although every operation agrees alone; run isograd graph to see how they "
        "are fused"
    )


def _results(
    side: Side, build: Any, inputs: Sequence[Any], seed: int, dtype: Any, *, compiled: bool
) -> dict[str, Array]:
    with side.active():
        training = Training(build, inputs, dtype, seed, side.backend)
        parameters = training.parameters

        def step(*given: Any) -> Any:
            training.inputs = list(given)
            loss = training.loss()
            if not loss.requires_grad:
                return loss, {}
            loss.backward()
            grads = {name: p.grad for name, p in parameters.items() if p.grad is not None}
            if training.optimizer is not None:
                training.optimizer.step()
            return loss, grads

        state = tuple(x for x in (*training.modules, training.optimizer) if x is not None)
        run = ig.compile(step, state=state) if compiled else step
        ig.random.manual_seed(seed)
        loss, grads = run(*training.inputs)
        named = {"the loss": loss}
        named.update({f"the gradient of {name}": g for name, g in grads.items()})
        named.update({f"the new {name}": p for name, p in parameters.items()})
        return {
            name: np.array(t.detach().numpy())
            for name, t in named.items()
            if dtypes.is_floating(t.dtype)
        }
