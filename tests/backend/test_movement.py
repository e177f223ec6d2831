"""Reductions, movement, contraction, windows and sources against plain NumPy in float64."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isograd.backend import Device
from isograd.backend.xp.contraction import contraction_kernels
from isograd.backend.xp.movement import movement_kernels
from isograd.backend.xp.reductions import reduction_kernels
from isograd.backend.xp.windows import window_kernels

F16, F32, F64 = np.float16, np.float32, np.float64
FLOATS, INTEGERS = (F16, F32, F64), (np.int32, np.int64)
NUMBERS = FLOATS + INTEGERS
CPU = Device("cpu")

Check = Callable[[str, list[dict[str, Any]]], None]


def case(expected: Callable[..., Any], *inputs: Any, **options: Any) -> dict[str, Any]:
    """Return a case; what is not an option of the check is a static parameter."""
    known = ("dtypes", "dtype", "low", "high", "exact", "scale")
    chosen = {name: options.pop(name) for name in known if name in options}
    return {"inputs": inputs, "expected": expected, "static": options, **chosen}


def moves(expected: Callable[..., Any], *inputs: Any, **static: Any) -> dict[str, Any]:
    return case(expected, *inputs, exact=True, dtypes=(F16, F64, np.int32), **static)


def reduction(function: Callable[..., Any], **options: Any) -> list[dict[str, Any]]:
    return [
        case(function, shape, axis=axis, keepdims=keepdims, **options)
        for shape in ((3, 4, 5), (20, 130), ())
        for count in range(len(shape) + 1)
        for axis in itertools.combinations(range(len(shape)), count)
        for keepdims in (False, True)
    ]


def arg_reduction(function: Callable[..., Any]) -> list[dict[str, Any]]:
    return [
        case(function, (3, 4, 5), axis=axis, keepdims=keepdims, dtype=np.dtype(np.int64))
        | {"dtypes": (F16, F32, np.int64), "exact": True}
        for axis in range(3)
        for keepdims in (False, True)
    ]


def copy(x: np.ndarray, **_: Any) -> np.ndarray:
    return x


def reshape(x: np.ndarray, *, shape: Any) -> np.ndarray:
    return x.reshape(shape)


def concatenate(*xs: np.ndarray, axis: int) -> np.ndarray:
    return np.concatenate(xs, axis)


def pad(x: np.ndarray, *, low: Any, high: Any, interior: Any, value: float) -> np.ndarray:
    spans = [n + max(n - 1, 0) * i for n, i in zip(x.shape, interior, strict=True)]
    out = np.full([a + n + b for n, a, b in zip(spans, low, high, strict=True)], value)
    cells = [slice(a, a + n, i + 1) for n, a, i in zip(spans, low, interior, strict=True)]
    out[tuple(cells)] = x
    return out


def padded(*inputs: Any, dtypes: Any = NUMBERS, **static: Any) -> dict[str, Any]:
    return {"inputs": inputs, "expected": pad, "static": static, "dtypes": dtypes, "exact": True}


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return x @ w.T + b


def windows(size: Any, kernel: Any, stride: Any, dilation: Any) -> tuple[int, ...]:
    parts = zip(size, kernel, stride, dilation, strict=True)
    return tuple([(n - d * (w - 1) - 1) // s + 1 for n, w, s, d in parts])


def pairs(counts: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """Yield each (window, tap) and the cell of the array that it shows."""
    for at in np.ndindex(*counts):
        for tap in np.ndindex(*kernel):
            parts = zip(at, tap, stride, dilation, strict=True)
            yield (..., *at, *tap), (..., *[a * s + t * d for a, t, s, d in parts])


def unfold(x: np.ndarray, *, kernel: Any, stride: Any, dilation: Any) -> np.ndarray:
    leading, size = x.shape[: x.ndim - len(kernel)], x.shape[x.ndim - len(kernel) :]
    counts = windows(size, kernel, stride, dilation)
    out = np.empty((*leading, *counts, *kernel), x.dtype)
    for place, cell in pairs(counts, kernel, stride, dilation):
        out[place] = x[cell]
    return out


def fold(y: np.ndarray, *, size: Any, stride: Any, dilation: Any) -> np.ndarray:
    k = len(size)
    leading, counts, kernel = y.shape[: -2 * k], y.shape[-2 * k : -k], y.shape[-k:]
    out = np.zeros((*leading, *size))
    for place, cell in pairs(counts, kernel, stride, dilation):
        out[cell] += y[place]
    return out


WINDOWS: list[tuple[Any, Any, Any, Any, Any]] = [
    ((), (7,), (3,), (2,), (1,)),
    ((2, 3), (9, 8), (3, 2), (2, 1), (2, 3)),
    ((2,), (4, 5, 6), (2, 2, 3), (1, 1, 2), (1, 1, 1)),
    ((0,), (5,), (2,), (1,), (1,)),
    ((3,), (6,), (2,), (3,), (1,)),
]
PRODUCTS: list[tuple[Any, Any]] = [
    ((3, 4), (4, 5)),
    ((2, 1, 3, 4), (5, 4, 6)),
    ((3, 0), (0, 2)),
    ((0, 3, 2), (2, 2)),
    ((2, 5, 3), (3, 4)),
    ((1, 1), (1, 1)),
    ((1, 4), (4, 1)),
]

TABLE: dict[str, list[dict[str, Any]]] = {
    "sum": [
        *reduction(np.sum, dtypes=NUMBERS, scale=30.0),
        case(np.sum, (0, 3), axis=(0,), keepdims=False),
        case(np.sum, (0, 3), axis=(1,), keepdims=True),
    ],
    "prod": [
        *reduction(np.prod, dtypes=(F32, F64), low=0.999, high=1.001, scale=30.0),
        *reduction(np.prod, dtypes=(np.int64,)),
        case(np.prod, (2, 0), axis=(0, 1), keepdims=False),
    ],
    "max": reduction(np.max, dtypes=NUMBERS, exact=True),
    "min": reduction(np.min, dtypes=NUMBERS, exact=True),
    "any": reduction(np.any, dtypes=(np.bool_,)),
    "all": reduction(np.all, dtypes=(np.bool_,)),
    "argmax": arg_reduction(np.argmax),
    "argmin": arg_reduction(np.argmin),
    "cumsum": [case(np.cumsum, (3, 40, 2), axis=i, dtypes=NUMBERS, scale=10) for i in range(3)],
    "cumprod": [case(np.cumprod, (3, 4, 2), axis=i, scale=4) for i in range(3)],
    "reshape": [
        moves(reshape, (3, 4), shape=(2, 6)),
        moves(reshape, (1,), shape=()),
        moves(reshape, (0, 4), shape=(2, 0)),
    ],
    "permute_dims": [
        moves(np.transpose, (2, 3, 4), axes=(2, 0, 1)),
        moves(np.transpose, (), axes=()),
    ],
    "broadcast_to": [
        moves(np.broadcast_to, (3, 1), shape=(2, 3, 4)),
        moves(np.broadcast_to, (), shape=(2, 0)),
        moves(np.broadcast_to, (1, 1), shape=(0, 2)),
        moves(np.broadcast_to, (2, 3), shape=(2, 3)),
    ],
    "slice": [
        moves(lambda x, **_: x[1:7:2, 0:0], (7, 5), start=(1, 0), stop=(7, 0), step=(2, 1)),
        moves(lambda x, **_: x[1:6:3, 2:5], (7, 5), start=(1, 2), stop=(6, 5), step=(3, 1)),
        moves(copy, (), start=(), stop=(), step=()),
    ],
    "flip": [moves(np.flip, (2, 3, 4), axis=(0, 2)), moves(copy, (2, 3), axis=())],
    "pad": [
        padded((2, 3), low=(1, 0), high=(0, 2), interior=(2, 1), value=-2.0),
        padded((0, 3), low=(1, 0), high=(1, 0), interior=(2, 0), value=7.0),
        padded((1, 4), low=(0, 0), high=(0, 0), interior=(3, 3), value=0.0),
        padded((), low=(), high=(), interior=(), value=0.0),
        padded((2,), low=(1,), high=(0,), interior=(1,), value=-math.inf, dtypes=FLOATS),
    ],
    "concat": [
        moves(concatenate, (2, 3), (2, 0), (2, 4), axis=1),
        moves(concatenate, (2, 3), axis=0),
    ],
    "matmul": [case(np.matmul, *shapes, dtypes=NUMBERS, scale=4.0) for shapes in PRODUCTS],
    "linear": [
        *(case(linear, x, (5, 4), (5,), scale=4.0) for x in ((3, 4), (4,), (2, 3, 4), (0, 4))),
        case(linear, (2, 0), (3, 0), (3,)),
    ],
    "unfold": [
        moves(unfold, (*lead, *size), kernel=kernel, stride=stride, dilation=dilation)
        for lead, size, kernel, stride, dilation in WINDOWS
    ],
    "fold": [
        case(
            fold,
            (*lead, *windows(size, kernel, stride, dilation), *kernel),
            size=size,
            stride=stride,
            dilation=dilation,
            scale=4.0,
        )
        for lead, size, kernel, stride, dilation in WINDOWS
    ],
}


@pytest.mark.parametrize("primitive", TABLE)
def test_kernel_agrees_with_float64(agree: Check, primitive: str) -> None:
    agree(primitive, TABLE[primitive])


def test_the_table_is_complete() -> None:
    families = (reduction_kernels, movement_kernels, contraction_kernels, window_kernels)
    assert set(TABLE) == set().union(*(family(np) for family in families))


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("dtype", FLOATS)
def test_reductions_of_nan_and_infinity(lib: Any, dtype: Any) -> None:
    x = np.array([[1, NAN, 3, NAN], [INF, 2, 2, INF], [-INF, 5, -INF, 5]], dtype)

    def run(name: str, **static: Any) -> list[Any]:
        return lib.host(lib.kernel(name)(lib.array(x), **static)).tolist()

    for name, expected in (("max", [NAN, INF, 5.0]), ("min", [NAN, 2.0, -INF])):
        np.testing.assert_array_equal(run(name, axis=(1,), keepdims=False), expected)
    assert run("argmax", axis=1, keepdims=False) == [1, 0, 1]
    assert run("argmin", axis=1, keepdims=False) == [1, 1, 0]


def test_half_sums_are_accumulated_in_float32(lib: Any) -> None:
    big = np.full(4, 60000, F16)
    total = lib.kernel("sum")(lib.array(big), axis=(0,), keepdims=False)
    assert np.isinf(lib.host(total))
    ones = np.ones(5000, F16)
    assert lib.host(lib.kernel("sum")(lib.array(ones), axis=(0,), keepdims=False)) == 5000
    wide = np.full((1, 4096), 0.1, F16)
    product = lib.host(lib.kernel("matmul")(lib.array(wide), lib.array(wide.T.copy())))
    assert product.item() == F16(4096 * float(F16(0.1)) ** 2)


SOURCES: list[tuple[str, dict[str, Any], np.ndarray]] = [
    ("full", {"shape": (2, 3), "value": 2.5, "dtype": F32}, np.full((2, 3), 2.5, F32)),
    ("full", {"shape": (), "value": 7, "dtype": np.int64}, np.array(7)),
    ("full", {"shape": (0, 2), "value": True, "dtype": np.bool_}, np.empty((0, 2), np.bool_)),
    ("full", {"shape": (2,), "value": INF, "dtype": F16}, np.array([INF, INF], F16)),
    ("arange", {"start": 0, "stop": 5, "step": 1, "dtype": np.int64}, np.arange(5)),
    (
        "arange",
        {"start": 5, "stop": -2, "step": -3, "dtype": np.int32},
        np.array([5, 2, -1], np.int32),
    ),
    ("arange", {"start": 3, "stop": 3, "step": 1, "dtype": F32}, np.empty(0, F32)),
    (
        "arange",
        {"start": 0.5, "stop": 1.5, "step": 0.25, "dtype": F32},
        np.array([0.5, 0.75, 1.0, 1.25], F32),
    ),
    # i * step is rounded once: no drift, as there would be with a step in float32.
    (
        "arange",
        {"start": 0.0, "stop": 100.0, "step": 0.1, "dtype": F32},
        (np.arange(1000) * 0.1).astype(F32),
    ),
]


@pytest.mark.parametrize(("name", "static", "expected"), SOURCES)
def test_sources(lib: Any, name: str, static: dict[str, Any], expected: np.ndarray) -> None:
    static = static | {"dtype": np.dtype(static["dtype"]), "device": CPU}
    out = lib.host(lib.kernel(name)(**static))
    assert out.dtype == expected.dtype
    np.testing.assert_array_equal(out, expected)
