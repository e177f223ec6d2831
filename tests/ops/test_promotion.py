"""What users pass to elementwise functions: integers, numbers, arrays, mixed dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.testing.op_db import OP_DB, OpSpec
from isograd.testing.op_db.elementwise import BINARY, UNARY

ROWS = {spec.name: spec for spec in OP_DB}
FLOAT_UNARY = [s for s in UNARY if all("float" in d for d in s.dtypes)]
PLAIN = [s for s in BINARY if "float32" in s.dtypes and "int64" in s.dtypes]


def public(spec: OpSpec) -> Any:
    return getattr(ig, ig.ops.PRIMITIVES[spec.name].public)


def values(spec: OpSpec, dtype: str, number: int) -> np.ndarray:
    """Return the argument of a small sample."""
    samples = spec.samples(np.random.default_rng(0), np.dtype(dtype))
    sample = next(s for s in samples if np.size(s.args[0]) > 4)
    return sample.args[number]


@pytest.mark.parametrize("spec", FLOAT_UNARY, ids=lambda spec: spec.name)
def test_functions_of_floats_take_integers_as_the_default_float(spec: OpSpec) -> None:
    x = np.array([1, 1, 1])
    out = public(spec)(ig.tensor(x))
    assert out.dtype == ig.float32
    with np.errstate(divide="ignore"):
        right = spec.reference(x.astype(np.float64))
    np.testing.assert_allclose(out.numpy(), right, rtol=1e-6)
    assert public(spec)(1.0).dtype == ig.float32


@pytest.mark.parametrize("spec", PLAIN, ids=lambda spec: spec.name)
@pytest.mark.parametrize(
    ("left", "right", "joined"),
    [
        ("float32", "float64", "float64"),
        ("float16", "float32", "float32"),
        ("int64", "float32", "float32"),
        ("float32", "int64", "float32"),
        ("int32", "int64", "int64"),
        ("uint8", "int32", "int32"),
        ("int64", "float16", "float16"),
    ],
)
def test_tensors_of_two_dtypes_meet_in_one(
    spec: OpSpec, left: str, right: str, joined: str, backend: str
) -> None:
    x, y = values(spec, left, 0), np.abs(values(spec, right, 1)) + np.dtype(right).type(1)
    out = public(spec)(ig.tensor(x), ig.tensor(y))
    wanted = spec.reference(x.astype(joined), y.astype(joined))
    assert out.dtype == (ig.bool if wanted.dtype == np.bool_ else np.dtype(joined))
    rtol = 1e-2 if joined == "float16" else 1e-5
    np.testing.assert_allclose(out.numpy(), wanted.astype(out.dtype), rtol=rtol)


@pytest.mark.parametrize("spec", [ROWS["add"], ROWS["mul"], ROWS["maximum"]], ids=lambda s: s.name)
@pytest.mark.parametrize(
    ("dtype", "number", "joined"),
    [
        ("float16", 2, "float16"),
        ("float64", 2.5, "float64"),
        ("int32", 2, "int32"),
        ("int32", 2.5, "float32"),
        ("uint8", True, "uint8"),
        ("bool", 2, "int64"),
        ("bool", 2.5, "float32"),
    ],
)
def test_a_number_takes_the_dtype_of_the_tensor_beside_it(
    spec: OpSpec, dtype: str, number: float, joined: str
) -> None:
    x = values(spec, dtype, 0)
    for out in (public(spec)(ig.tensor(x), number), public(spec)(number, ig.tensor(x))):
        assert out.dtype == joined
        wanted = spec.reference(x.astype(joined), np.asarray(number, joined))
        np.testing.assert_allclose(out.numpy(), wanted, rtol=1e-3)


def test_an_array_keeps_its_dtype_and_a_scalar_does_not() -> None:
    assert ig.add(ig.tensor([1.0]), np.array([1.0])).dtype == ig.float64
    assert (np.float64(2.0) * ig.tensor([1.0])).dtype == ig.float32


@pytest.mark.parametrize("name", ["add", "maximum", "less"])
def test_dtypes_that_do_not_meet_are_named(name: str) -> None:
    x, y = ig.tensor(np.array([1], np.uint64)), ig.tensor(np.array([-1]))
    with pytest.raises(ig.DTypeError, match=r"uint64.*int64"):
        getattr(ig, name)(x, y)


@pytest.mark.parametrize("spec", FLOAT_UNARY[:3], ids=lambda spec: spec.name)
def test_what_is_no_array_is_named(spec: OpSpec) -> None:
    with pytest.raises(ig.DTypeError, match=rf"^{spec.name}: .*NoneType"):
        public(spec)(None)


def test_the_bounds_of_clip_keep_the_digits_of_float64(backend: str) -> None:
    x = ig.tensor(np.array([-1.0, 1.0]))
    assert ig.clip(x, 0.1, 0.2).tolist() == [0.1, 0.2]
    assert ig.clip(ig.tensor([-3, 3]), -1, 2).tolist() == [-1, 2]
