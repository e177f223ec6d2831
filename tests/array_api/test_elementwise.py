"""Elementwise functions: special cases, dtypes of results, and values as NumPy has them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isograd as ig
from isograd.testing.array_api import ONE, ROWS, TWO

FLOATS = ("float32", "float64")
INTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
UNARY = [r.name for r in ROWS if r.family == "elementwise" and r.signature == "(x, /)"]
BINARY = [r.name for r in ROWS if r.family == "elementwise" and r.signature == "(x1, x2, /)"]
COMPLEX = ("conj", "imag", "real")
OF_FLOATS = {
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "log"),
    *("log1p", "log2", "log10", "sin", "sinh", "sqrt", "tan", "tanh", "reciprocal", "signbit"),
    *("atan2", "copysign", "divide", "hypot", "logaddexp", "nextafter"),
}
OF_BOOL = {"logical_and", "logical_not", "logical_or", "logical_xor"}
BITS = {"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert"}
SHIFTS = {"bitwise_left_shift", "bitwise_right_shift"}
TO_BOOL = {
    *("equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal"),
    *("not_equal", "signbit", *OF_BOOL),
}


def dtypes_of(name: str) -> tuple[str, ...]:
    """Return the dtypes that the standard defines a function for."""
    if name in OF_FLOATS:
        return FLOATS
    if name in OF_BOOL:
        return ("bool",)
    if name in BITS:
        return (*INTS, "bool")
    if name in SHIFTS:
        return INTS
    return (*FLOATS, *INTS, "bool") if name in ("equal", "not_equal") else (*FLOATS, *INTS)


def same(value: np.ndarray, right: np.ndarray, *, ulps: float = 4) -> None:
    """Compare with the signs of zeros, and floats to a few units in the last place."""
    assert (value.shape, value.dtype) == (right.shape, right.dtype)
    if value.dtype.kind == "f":
        np.testing.assert_allclose(value, right, rtol=ulps * np.finfo(value.dtype).eps, atol=0)
        zero = right == 0
        np.testing.assert_array_equal(np.signbit(value[zero]), np.signbit(right[zero]))
    else:
        np.testing.assert_array_equal(value, right)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ONE)
def test_special_cases_of_one_argument(name: str, dtype: str, backend: str) -> None:
    x, right = (np.array(column, dtype) for column in zip(*ONE[name], strict=True))
    out = getattr(ig, name)(ig.tensor(x))
    same(out.numpy().astype(dtype), right)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", TWO)
def test_special_cases_of_two_arguments(name: str, dtype: str, backend: str) -> None:
    x, y, right = (np.array(column, dtype) for column in zip(*TWO[name], strict=True))
    out = getattr(ig, name)(ig.tensor(x), ig.tensor(y))
    same(out.numpy().astype(dtype), right)


def test_every_function_has_its_special_cases() -> None:
    without = {"logical_not", "bitwise_invert", *COMPLEX, *OF_BOOL, *BITS, *SHIFTS}
    assert set(UNARY) - without == set(ONE)
    assert set(BINARY) - without == set(TWO)


def _arrays(dtype: str, shape: Any, name: str) -> st.SearchStrategy[np.ndarray]:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        elements = hnp.from_dtype(kind, min_value=-50, max_value=50, allow_subnormal=False)
    elif name in SHIFTS:
        elements = st.integers(0, kind.itemsize * 8 - 1)
    elif kind.kind == "b":
        elements = st.booleans()
    else:
        elements = st.integers(0 if kind.kind == "u" else -11, 11)
    return hnp.arrays(kind, shape, elements=elements)


def _numpy(name: str) -> Callable[..., Any]:
    return getattr(np, name)


@pytest.mark.parametrize("name", [name for name in UNARY if name not in COMPLEX])
@settings(max_examples=12)
@given(data=st.data())
def test_one_argument_is_as_in_numpy(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(dtypes_of(name)))
    x = data.draw(_arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4), name))
    out = getattr(ig, name)(ig.tensor(x))
    with np.errstate(all="ignore"):
        right = np.asarray(_numpy(name)(x))
    assert out.dtype == ("bool" if name in TO_BOOL else dtype)
    same(out.numpy(), right.astype(out.dtype))


@pytest.mark.parametrize("name", BINARY)
@settings(max_examples=15)
@given(data=st.data())
def test_two_arguments_are_as_in_numpy(name: str, data: st.DataObject) -> None:
    allowed = dtypes_of(name)
    left = data.draw(st.sampled_from(allowed))
    kinds = [d for d in allowed if np.dtype(d).kind in {"u": "u", "i": "i"}.get(left[0], left[0])]
    right_dtype = data.draw(st.sampled_from(kinds))
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
    x = data.draw(_arrays(left, shapes.input_shapes[0], name))
    y = data.draw(_arrays(right_dtype, shapes.input_shapes[1], name))
    if np.dtype(left).kind in "iu" and name in ("pow", "floor_divide", "remainder"):
        y = np.abs(y) + np.array(1, y.dtype)
    if name in SHIFTS:
        y = y % np.array(np.iinfo(left).bits, y.dtype)
        x = x % np.array(3, x.dtype)
    joined = np.promote_types(left, right_dtype)
    out = getattr(ig, name)(ig.tensor(x), ig.tensor(y))
    with np.errstate(all="ignore"):
        right = np.asarray(_numpy(name)(x.astype(joined), y.astype(joined)))
    assert out.dtype == ("bool" if name in TO_BOOL else joined)
    same(out.numpy(), right.astype(out.dtype), ulps=16)


# -- operators and numbers -------------------------------------------------------------------------

ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
BITWISE = ("and_", "or_", "xor", "lshift", "rshift")
ORDER = ("eq", "ne", "lt", "le", "gt", "ge")


@pytest.mark.parametrize("name", [*ARITHMETIC, *ORDER])
@pytest.mark.parametrize("dtype", FLOATS)
def test_operators_of_floats_with_numbers(name: str, dtype: str) -> None:
    call = getattr(operator, name)
    x = np.array([0.5, 1.5, 3.25], dtype)
    for number in (2, 2.5):
        same(call(ig.tensor(x), number).numpy(), call(x, number))
        same(call(number, ig.tensor(x)).numpy(), call(number, x))
    same(call(ig.tensor(x), ig.tensor(x[::-1].copy())).numpy(), call(x, x[::-1]))


@pytest.mark.parametrize("name", [*ARITHMETIC[:3], *ARITHMETIC[4:], *BITWISE, *ORDER])
@pytest.mark.parametrize("dtype", INTS)
def test_operators_of_integers_with_numbers(name: str, dtype: str) -> None:
    call = getattr(operator, name)
    x = np.array([1, 3, 5], dtype)
    same(call(ig.tensor(x), 2).numpy(), call(x, 2))
    same(call(2, ig.tensor(x)).numpy(), call(2, x))
    same(call(ig.tensor(x), ig.tensor(x[::-1].copy())).numpy(), call(x, x[::-1]))


@pytest.mark.parametrize("name", [n for n in BINARY if n not in ("nextafter",)])
def test_one_of_two_arguments_may_be_a_number(name: str) -> None:
    dtype = dtypes_of(name)[0]
    number: Any = True if dtype == "bool" else 2 if dtype.startswith("int") else 2.0
    x = np.array([1, 0, 3]).astype(dtype)
    call = getattr(ig, name)
    other = np.array(number, dtype)
    with np.errstate(all="ignore"):
        same(call(ig.tensor(x), number).numpy(), np.asarray(_numpy(name)(x, other)))
        same(call(number, ig.tensor(x)).numpy(), np.asarray(_numpy(name)(other, x)))


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_clip_as_numpy_has_it(dtype: str) -> None:
    x = np.array([[-3, -1, 0], [1, 2, 5]], dtype)
    low, high = np.array([-2, 0, 1], dtype), np.array([[1], [3]], dtype)
    for bounds in ((-1, 2), (None, 1), (0, None), (None, None), (low, high), (low, 4), (2, -2)):
        ours = [ig.tensor(b) if isinstance(b, np.ndarray) else b for b in bounds]
        same(
            ig.clip(ig.tensor(x), *ours).numpy(),
            np.clip(x, *bounds) if any(b is not None for b in bounds) else x,
        )


def test_bounds_of_clip_that_are_nan_or_floats() -> None:
    x = ig.tensor([1.0, 2.0, float("nan")])
    assert ig.isnan(ig.clip(x, float("nan"), 3.0)).tolist() == [True] * 3
    assert ig.isnan(ig.clip(x, ig.tensor([0.0, np.nan, 0.0]), 3.0)).tolist() == [False, True, True]
    out = ig.clip(ig.tensor([0, 1, 5]), 0.5, 2.5)
    assert (out.tolist(), out.dtype) == ([0.5, 1.0, 2.5], "float32")


def test_where_of_a_condition_alone_finds_it() -> None:
    (found,) = ig.where(ig.tensor([False, True, True]))
    assert found.tolist() == [1, 2]


def test_where_takes_numbers() -> None:
    mask = ig.tensor([True, False])
    assert ig.where(mask, 1.5, ig.tensor([0.0, 2.0], dtype="float64")).dtype == "float64"
    assert ig.where(mask, ig.tensor([1, 2], dtype="int8"), 7).tolist() == [1, 7]
