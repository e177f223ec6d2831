"""A gradient certificate: a model's gradients on every backend, and how small an error shows."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.config import modes
from isograd.testing.conformance.certificate import described, sealed
from isograd.testing.cross_check import cross_check
from isograd.testing.differ.training import Training
from isograd.testing.gradcheck import gradcheck
from isograd.testing.harness import available_backends
from isograd.testing.report import number

__all__ = ["certify"]

FORMAT = 1


def certify(
    build: Any,
    /,
    *inputs: Any,
    backends: Sequence[str] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    seed: int = 0,
) -> dict[str, Any]:
    """Check a model's gradients on every backend and return a certificate as JSON holds it.

    Parameters
    ----------
    build, *inputs, seed
        As for `isograd.testing.diff`.
    backends
        Names of backends; None for all that can run here.
    dtypes
        The dtypes to compute in.

    Returns
    -------
    dict
        ``cells`` has the error of each output and of each parameter's gradient against float64, in
        units of its bound; ``gradcheck`` what numeric derivatives say, and the detection limit;
        ``sha256`` is over all of it.

    Raises
    ------
    TargetError
        If the model cannot be had.

    Examples
    --------
    >>> found = certify(lambda: ig.nn.Linear(2, 1), np.ones((3, 2)), backends=["numpy"])
    >>> found["passed"], [cell["name"] for cell in found["cells"]][1]
    (True, 'weight')
    """
    training = Training(build, inputs, None, seed)
    arguments = [training.model, *training.inputs] if training.modules else training.inputs

    def loss(*given: Any) -> Any:
        if training.modules:
            return training.loss_of(given[0], given[1:])
        return training.loss_of(training.model, given)

    with training.explained("the model"):
        ig.random.manual_seed(seed)
        crossed = cross_check(loss, *arguments, backends=backends, dtypes=dtypes)
        ig.random.manual_seed(seed)
        checked = gradcheck(loss, *arguments, backend="numpy", raise_exception=False)
    cells = [
        {
            "kind": entry.kind,
            "name": entry.name.removeprefix("argument 0 "),
            "backend": entry.backend,
            "dtype": entry.dtype,
            "verdict": "pass" if entry.ok else "fail",
            "error": number(entry.error),
            "index": list(entry.index),
            "value": number(entry.value),
            "reference": number(entry.reference),
            "bound": number(entry.bound),
            "message": entry.message,
        }
        for entry in crossed.entries
    ]
    return sealed(
        {
            "kind": "isograd gradients",
            "format": FORMAT,
            "model": build if isinstance(build, str) else getattr(build, "__qualname__", "build"),
            "passed": crossed.ok and checked.ok,
            "cells": cells,
            "gradcheck": {
                "passed": checked.ok,
                "failures": [failure.message for failure in checked.failures],
                "detection_limit": number(checked.detection_limit),
                "typical_limit": number(checked.typical_limit),
                "absolute_limit": number(checked.absolute_limit),
                "coordinates": checked.size,
                "kinks": list(checked.kinks),
                "notes": list(checked.notes),
            },
            "facts": _facts(available_backends() if backends is None else backends),
        }
    )


def _facts(backends: Sequence[str]) -> Mapping[str, str]:
    facts = {
        "isograd": ig.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "numerics": modes.numerics,
        "nan_safe": str(modes.nan_safe),
    }
    for name in backends:
        with ig.use_backend(name) as backend:
            facts[f"backend {name}"] = backend.version
            facts |= {f"{name}: {key}": value for key, value in described(backend).items()}
    return facts
