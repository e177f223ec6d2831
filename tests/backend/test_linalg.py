"""Linear algebra over each namespace: the samples and references of the op table, by kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isograd.core.errors import LinAlgError
from isograd.testing.execute import outputs
from isograd.testing.op_db import OpSpec, primitive_specs
from isograd.testing.op_db.linalg import PRIMITIVES
from isograd.testing.referee import referee_of


@pytest.mark.parametrize("spec", PRIMITIVES, ids=lambda spec: spec.name)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values(spec: OpSpec, dtype: str, lib: Any) -> None:
    kind = np.dtype(dtype)
    referee = referee_of(spec.name, kind)
    for sample in spec.samples(np.random.default_rng(0), kind):
        found = lib.kernel(spec.name)(*map(lib.array, sample.args), **sample.kwargs)
        values = [lib.host(part) for part in outputs(found)]
        right = referee.right(sample.args, sample.kwargs)
        for comparison in referee.compare(values, sample.args, sample.kwargs, right):
            assert comparison.ok, f"{sample}: {comparison.message}"


FAULTS = [
    (spec.name, error)
    for spec in primitive_specs().values()
    for error in spec.errors
    if error.error is LinAlgError
]


@pytest.mark.parametrize(("name", "error"), FAULTS)
def test_faults_are_named(name: str, error: Any, lib: Any) -> None:
    with pytest.raises(LinAlgError) as caught:
        lib.kernel(name)(*map(lib.array, error.args), **error.kwargs)
    assert all(part in str(caught.value) for part in error.fragments)


@pytest.mark.parametrize("name", ["inv", "cholesky", "eigh", "svdvals", "qr", "svd"])
def test_matrices_with_nan_do_not_stop_the_others(name: str, lib: Any) -> None:
    x = np.stack([np.eye(3), np.full((3, 3), np.nan), 2 * np.eye(3)])
    static = {"qr": {"mode": "reduced"}, "svd": {"full_matrices": True}}.get(name, {})
    for part in outputs(lib.kernel(name)(lib.array(x), **static)):
        values = lib.host(part)
        assert np.isnan(values[1]).any()
        assert np.isfinite(values[[0, 2]]).all()
