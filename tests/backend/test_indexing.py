"""Gathering, scattering and sorting against loops; indices out of range are refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from isograd.backend import IndexOutOfRangeError, check_indices, check_labels
from isograd.backend.xp.indexing import indexing_kernels

F16, F32, F64 = np.float16, np.float32, np.float64
NUMBERS = (F16, F32, F64, np.int64)

Check = Callable[[str, list[dict[str, Any]]], None]


def ints(*values: Any, dtype: Any = np.int64) -> np.ndarray:
    return np.array(values, dtype)


ONE = np.array(2)


def case(expected: Callable[..., Any], *inputs: Any, **static: Any) -> dict[str, Any]:
    return {"inputs": inputs, "expected": expected, "static": static, "dtypes": NUMBERS}


def put(
    x: np.ndarray, indices: np.ndarray, updates: np.ndarray, *, axis: int, add: bool
) -> np.ndarray:
    out = np.moveaxis(x, axis, 0).copy()
    rows = np.moveaxis(updates, range(axis, axis + indices.ndim), range(indices.ndim))
    for place in np.ndindex(indices.shape):
        row = indices[place]
        out[row] = out[row] + rows[place] if add else rows[place]
    return np.moveaxis(out, 0, axis)


def put_along(x: np.ndarray, indices: np.ndarray, updates: np.ndarray, *, axis: int) -> Any:
    out = x.copy()
    for place in np.ndindex(indices.shape):
        target = list(place)
        target[axis] = indices[place]
        out[tuple(target)] += updates[place]
    return out


def sort_order(x: np.ndarray, *, axis: int, descending: bool) -> np.ndarray:
    return np.argsort(-x if descending else x, axis=axis, kind="stable")


#: shape, indices, axis
TAKEN: list[tuple[Any, np.ndarray, int]] = [
    ((4, 3), ints(0, -1, 3, 0, 0), 0),
    ((2, 4, 3), ints([1, -4], [0, 1], dtype=np.int32), 1),
    ((3, 5), ONE, 1),
    ((4,), ints(2, 2, 2, 1, 2), 0),
    ((4,), ints(), 0),
    ((0, 2), ints(), 0),
    ((3, 0), ints(1, 1), 0),
    ((0, 3), ints(1, 2), 1),
]
ROWS = ints([0, -1, 2], [2, 2, 1], [1, 2, 2], [-3, 0, 2])
ALONG: list[tuple[Any, np.ndarray, int]] = [
    ((3, 3), ROWS, 0),
    ((3, 3), ROWS.T[:, :2].astype(np.int32), 1),
    ((3, 3, 2), np.stack([ROWS, -1 - ROWS % 3], axis=-1)[:3], 1),
    ((2, 3, 2), np.zeros((2, 0, 2), np.int64), 1),
    ((0, 3), np.zeros((0, 2), np.int64), 1),
]


def taken_shape(shape: Any, indices: np.ndarray, axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *indices.shape, *shape[axis + 1 :])


TABLE: dict[str, list[dict[str, Any]]] = {
    "take": [case(np.take, shape, indices, axis=axis) for shape, indices, axis in TAKEN],
    "take_along_axis": [
        case(np.take_along_axis, shape, indices, axis=axis) for shape, indices, axis in ALONG
    ],
    "scatter_add_along_axis": [
        case(put_along, shape, indices, indices.shape, axis=axis) for shape, indices, axis in ALONG
    ],
    **{
        name: [
            case(partial(put, add=add), shape, indices, taken_shape(*row), axis=axis)
            for row in TAKEN
            for shape, indices, axis in [row]
        ]
        for name, add in (("scatter_add", True), ("index_set", False))
    },
    "argsort": [
        case(sort_order, shape, axis=axis, descending=descending)
        | {"dtype": np.dtype(np.int64), "dtypes": (F16, F32, F64, np.int32, np.int64)}
        for shape in ((5, 6), (0, 3), (3, 1))
        for axis in (0, 1)
        for descending in (False, True)
    ],
}


@pytest.mark.parametrize("primitive", TABLE)
def test_kernel_agrees_with_a_loop(agree: Check, primitive: str) -> None:
    agree(primitive, TABLE[primitive])


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(indexing_kernels(np))


@pytest.mark.parametrize("dtype", [F16, F32, F64])
def test_argsort_is_stable_with_nan_last_both_ways(lib: Any, dtype: Any) -> None:
    x = np.array([2, np.nan, 1, np.inf, 2, np.nan, -np.inf, 0.0, -0.0], dtype)
    for descending, expected in (
        (False, [6, 7, 8, 2, 0, 4, 3, 1, 5]),
        (True, [3, 0, 4, 2, 7, 8, 6, 1, 5]),
    ):
        out = lib.kernel("argsort")(lib.array(x), axis=0, descending=descending)
        assert lib.host(out).tolist() == expected


def test_argsort_of_unsigned_and_bool(lib: Any) -> None:
    x = np.array([3, 0, 255, 3], np.uint8)
    flags = np.array([True, False, True])
    sort = partial(lib.kernel("argsort"), axis=0, descending=True)
    assert lib.host(sort(lib.array(x))).tolist() == [2, 0, 3, 1]
    assert lib.host(sort(lib.array(flags))).tolist() == [0, 2, 1]


def test_duplicates_accumulate_in_index_order(lib: Any) -> None:
    """In float32 (2**24 + 1) + 1 is 2**24, and 2**24 + (1 + 1) is not: the order shows."""
    x = np.zeros((3, 2), F32)
    updates = np.array([[2**24, 1], [1, 1], [1, 2**24]], F32)
    indices = np.array([1, 1, 1])
    out = lib.host(lib.kernel("scatter_add")(*map(lib.array, (x, indices, updates)), axis=0))
    np.testing.assert_array_equal(out, np.array([[0, 0], [2**24, 2**24 + 2], [0, 0]], F32))


def test_half_updates_are_accumulated_in_float32(lib: Any) -> None:
    arrays = (np.array([2048.0], F16), np.zeros(64, np.int64), np.ones(64, F16))
    out = lib.host(lib.kernel("scatter_add")(*map(lib.array, arrays), axis=0))
    assert out.tolist() == [2112.0]


OUT_OF_RANGE: list[tuple[str, list[np.ndarray], str]] = [
    ("take", [ints(0, 7)], "take: index 7 is out of range for axis 0 with size 3; use indices in"),
    ("take", [ints(-4)], "take: index -4 is out of range for axis 0 with size 3"),
    ("take_along_axis", [ints([3, 0])], "take_along_axis: index 3 is out of range"),
    ("scatter_add", [ints(1, 3), np.ones((2, 2))], "scatter_add: index 3 is out of range"),
    ("index_set", [ints(1, -9), np.ones((2, 2))], "index_set: index -9 is out of range"),
    (
        "scatter_add_along_axis",
        [ints([0, 9]), np.ones((1, 2))],
        "scatter_add_along_axis: index 9 is out of range for axis 0 with size 3",
    ),
]


@pytest.mark.parametrize(("primitive", "rest", "message"), OUT_OF_RANGE)
def test_an_index_out_of_range_is_refused(
    lib: Any, primitive: str, rest: list[np.ndarray], message: str
) -> None:
    x = np.arange(6.0).reshape(3, 2)
    given = [lib.array(array) for array in (x, *rest)]
    with pytest.raises(IndexOutOfRangeError, match=message) as caught:
        lib.kernel(primitive)(*given, axis=0)
    assert isinstance(caught.value, IndexError)
    np.testing.assert_array_equal(lib.host(given[0]), np.arange(6.0).reshape(3, 2))


def test_an_empty_axis_has_no_indices(lib: Any) -> None:
    with pytest.raises(IndexOutOfRangeError, match="size 0; use no indices"):
        lib.kernel("take")(lib.array(np.ones((0, 2))), lib.array(ints(0)), axis=0)


def test_check_indices_names_the_first_offender() -> None:
    check_indices("f", ints(), 0, 0)
    check_indices("f", ints([-3, 2]), 3, 1)
    with pytest.raises(IndexOutOfRangeError, match=r"f: index 5 .* axis 1 .*; use indices in \[-3"):
        check_indices("f", ints([0, 5], [-9, 1]), 3, 1)


def test_check_labels_accepts_the_ignored_one() -> None:
    check_labels("f", ints(0, 2, -100), 3, -100)
    check_labels("f", ints(), 3, -100)
    with pytest.raises(IndexOutOfRangeError, match="label -1 is out of range for 3 classes"):
        check_labels("f", ints(0, -1), 3, -100)
