"""Elementwise kernels against NumPy's and Python's functions in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isograd.backend.xp.elementwise import elementwise_kernels

F16, F32, F64 = np.float16, np.float32, np.float64
FLOATS, INTEGERS = (F16, F32, F64), (np.int32, np.int64)
NUMBERS = FLOATS + INTEGERS

Check = Callable[[str, list[dict[str, Any]]], None]


def unary(function: Callable[..., Any], **options: Any) -> list[dict[str, Any]]:
    shapes = [(3, 5), (), (0, 2), (4, 1, 3)]
    return [{"inputs": (shape,), "expected": function, **options} for shape in shapes]


def binary(function: Callable[..., Any], **options: Any) -> list[dict[str, Any]]:
    pairs = [((3, 5), (3, 5)), ((3, 1), (4,)), ((), (2, 3)), ((0, 3), (1, 3)), ((), ())]
    return [{"inputs": pair, "expected": function, **options} for pair in pairs]


def exact(function: Callable[..., Any], *dtypes: Any, **options: Any) -> dict[str, Any]:
    return {"function": function, "dtypes": dtypes or NUMBERS, "exact": True, **options}


def astype(dtype: Any, function: Callable[..., Any]) -> list[dict[str, Any]]:
    found = np.dtype(dtype)
    return unary(function, static={"dtype": found}, dtype=found, dtypes=(F32,), exact=True)


def copy(x: np.ndarray, **_: Any) -> np.ndarray:
    return x


POSITIVE: dict[str, Any] = {"low": 0.1, "high": 4.0}
INSIDE: dict[str, Any] = {"low": -0.95, "high": 0.95}

UNARY: dict[str, dict[str, Any]] = {
    "neg": exact(np.negative),
    "abs": exact(np.abs),
    "sign": exact(np.sign),
    "square": {"function": np.square, "dtypes": NUMBERS},
    "floor": exact(np.floor),
    "ceil": exact(np.ceil),
    "trunc": exact(np.trunc),
    "round": exact(np.rint),
    "exp": {"function": np.exp},
    "expm1": {"function": np.expm1},
    "log": {"function": np.log, **POSITIVE},
    "log1p": {"function": np.log1p, **POSITIVE},
    "log2": {"function": np.log2, **POSITIVE},
    "log10": {"function": np.log10, **POSITIVE},
    "sqrt": {"function": np.sqrt, **POSITIVE},
    "sin": {"function": np.sin},
    "cos": {"function": np.cos},
    "tan": {"function": np.tan, **INSIDE},
    "asin": {"function": np.arcsin, **INSIDE},
    "acos": {"function": np.arccos, **INSIDE},
    "atan": {"function": np.arctan},
    "sinh": {"function": np.sinh},
    "cosh": {"function": np.cosh},
    "tanh": {"function": np.tanh},
    "asinh": {"function": np.arcsinh},
    "acosh": {"function": np.arccosh, "low": 1.1, "high": 5.0},
    "atanh": {"function": np.arctanh, **INSIDE},
    "erf": {"function": np.vectorize(math.erf, otypes=[F64])},
    "isnan": exact(np.isnan),
    "isinf": exact(np.isinf),
    "isfinite": exact(np.isfinite),
    "signbit": exact(np.signbit),
    "bitwise_invert": exact(np.invert, np.int64, np.bool_),
    "stop_gradient": exact(copy, F32, np.int64, np.bool_),
}

BINARY: dict[str, dict[str, Any]] = {
    "add": {"function": np.add, "dtypes": NUMBERS},
    "sub": {"function": np.subtract, "dtypes": NUMBERS},
    "mul": {"function": np.multiply, "dtypes": (*NUMBERS, np.bool_)},
    "div": {"function": np.divide},
    "pow": {"function": np.power, **POSITIVE},
    "maximum": exact(np.maximum),
    "minimum": exact(np.minimum),
    "floor_divide": exact(np.floor_divide, F32, F64, np.int8, *INTEGERS, np.uint8, low=0),
    "remainder": {"function": np.remainder, "dtypes": (F32, F64, *INTEGERS)},
    "atan2": {"function": np.arctan2, "dtypes": (F32, F64)},
    "hypot": {"function": np.hypot, "dtypes": (F32, F64)},
    "logaddexp": {"function": np.logaddexp, "dtypes": (F32, F64)},
    "copysign": exact(np.copysign, *FLOATS),
    "nextafter": exact(np.nextafter, F64),
    "equal": exact(np.equal),
    "not_equal": exact(np.not_equal),
    "less": exact(np.less),
    "less_equal": exact(np.less_equal),
    "greater": exact(np.greater),
    "greater_equal": exact(np.greater_equal),
    "bitwise_and": exact(np.bitwise_and, np.int64, np.bool_),
    "bitwise_or": exact(np.bitwise_or, np.int64, np.bool_),
    "bitwise_xor": exact(np.bitwise_xor, np.int64, np.bool_),
    "bitwise_left_shift": exact(np.left_shift, np.int64, low=0),
    "bitwise_right_shift": exact(np.right_shift, np.int64, low=0),
}

TABLE: dict[str, list[dict[str, Any]]] = {
    **{name: unary(row.pop("function"), **row) for name, row in UNARY.items()},
    **{name: binary(row.pop("function"), **row) for name, row in BINARY.items()},
    "astype": [
        *astype(F64, copy),
        *astype(np.int32, lambda x, **_: np.trunc(x)),
        *astype(np.bool_, lambda x, **_: x != 0),
        *astype(F16, lambda x, **_: x.astype(F16)),
    ],
    "where": [
        {"inputs": (mask, *shapes), "expected": np.where, "exact": True, "dtype": np.dtype(F32)}
        | {"dtypes": (F32,)}
        for mask, *shapes in (
            (np.array([[True], [False]]), (2, 3), (3,)),
            (np.array(True), (), (2, 2)),
        )
    ],
}


@pytest.mark.parametrize("primitive", TABLE)
def test_kernel_agrees_with_float64(agree: Check, primitive: str) -> None:
    agree(primitive, TABLE[primitive])


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(elementwise_kernels(np))


NAN, INF = np.nan, np.inf
SPECIAL: list[tuple[str, list[Any], Any, list[Any]]] = [
    ("maximum", [[1.0, NAN], [NAN, 1.0]], F32, [NAN, NAN]),
    ("minimum", [[1.0, NAN], [NAN, 1.0]], F32, [NAN, NAN]),
    ("sign", [[-0.0, NAN, -INF]], F32, [0.0, NAN, -1.0]),
    ("round", [[0.5, 1.5, 2.5, -0.5]], F32, [0.0, 2.0, 2.0, -0.0]),
    ("div", [[0.0, 1.0, -1.0], [0.0, 0.0, 0.0]], F32, [NAN, INF, -INF]),
    ("log", [[0.0, -1.0]], F64, [-INF, NAN]),
    ("log1p", [[-1.0]], F64, [-INF]),
    ("sqrt", [[-1.0, -0.0]], F64, [NAN, -0.0]),
    ("exp", [[1000.0, -1000.0]], F32, [INF, 0.0]),
    ("erf", [[INF, -INF, NAN, -0.0, 40.0]], F32, [1.0, -1.0, NAN, -0.0, 1.0]),
    ("erf", [[INF, -INF, NAN, -0.0, 40.0]], F64, [1.0, -1.0, NAN, -0.0, 1.0]),
    ("remainder", [[5.0, -5.0, 5.0], [3.0, 3.0, -3.0]], F64, [2.0, 1.0, -1.0]),
    ("floor_divide", [[7, -7, 5, 5], [2, 2, 0, -1]], np.int32, [3, -4, 0, -5]),
    ("remainder", [[7, -7, 5, 5], [2, 2, 0, -1]], np.int32, [1, 1, 0, 0]),
    ("floor_divide", [[-(2**31)], [-1]], np.int32, [-(2**31)]),
    ("remainder", [[-(2**31)], [-1]], np.int32, [0]),
    ("bitwise_left_shift", [[1, 1, 3], [31, 32, -1]], np.int32, [-(2**31), 0, 0]),
    ("bitwise_right_shift", [[-8, -8, 8], [1, 99, 32]], np.int32, [-4, -1, 0]),
    ("copysign", [[1.0, 2.0], [-0.0, 3.0]], F32, [-1.0, 2.0]),
    ("isinf", [[INF, -INF, NAN, 1.0]], F32, [True, True, False, False]),
    ("isnan", [[INF, NAN, 1.0]], F32, [False, True, False]),
    ("signbit", [[-0.0, 0.0, -1.0]], F32, [True, False, True]),
    ("logaddexp", [[-INF, INF], [-INF, 0.0]], F64, [-INF, INF]),
    ("pow", [[0.0, -3.0, 0.0], [0.0, 2.0, -1.0]], F64, [1.0, 9.0, INF]),
    ("mul", [[1e-30, 1e-38], [1e-10, 0.5]], F32, [1e-40, 5e-39]),
]


@pytest.mark.parametrize(("primitive", "inputs", "dtype", "expected"), SPECIAL)
def test_special_values(
    lib: Any, primitive: str, inputs: list[Any], dtype: Any, expected: list[Any]
) -> None:
    arrays = [np.array(values, dtype) for values in inputs]
    out = lib.host(lib.kernel(primitive)(*map(lib.array, arrays)))
    wanted = np.array(expected, out.dtype)
    np.testing.assert_array_equal(out, wanted)
    if out.dtype.kind == "f":
        kept = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(out)[kept], np.signbit(wanted)[kept])
