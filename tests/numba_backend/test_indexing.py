"""Scatters and gathers: duplicates in order, negative indices, layouts, indices out of range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from isograd.backend import IndexOutOfRangeError
from isograd_numba._indexing import SMALLEST, indexing_kernels
from isograd_numpy.kernels import numpy_kernels

Array = Any

REFERENCE = numpy_kernels()
KERNELS = indexing_kernels(REFERENCE)
DTYPES = ["float32", "float64"]
SHAPES = [((50,), 0), ((40, 9), 0), ((9, 40), 1), ((4, 30, 5), 0), ((4, 30, 5), 1), ((4, 6, 30), 2)]


def expected_scatter(x: Array, indices: Array, updates: Array, axis: int) -> Array:
    """Add updates one by one, in the order of the indices."""
    out = np.moveaxis(x.copy(), axis, 0)
    k = indices.ndim
    rest = [i for i in range(updates.ndim) if not axis <= i < axis + k]
    rows = updates.transpose(*range(axis, axis + k), *rest).reshape(-1, *out.shape[1:])
    for index, row in zip(indices.reshape(-1).tolist(), rows, strict=True):
        out[index] += row
    return np.moveaxis(out, 0, axis)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("integer", ["int32", "int64"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_scatter_add_has_the_bits_of_adding_in_order(
    shape: tuple[int, ...],
    axis: int,
    integer: str,
    dtype: str,
    rng: np.random.Generator,
    layouts: Callable[[Array], list[Array]],
) -> None:
    x = rng.standard_normal(shape).astype(dtype)
    n = shape[axis]
    for picked in ((SMALLEST,), (20, 13), (SMALLEST + 1,)):
        indices = rng.integers(-n, n, picked).astype(integer)
        updates = rng.standard_normal(shape[:axis] + picked + shape[axis + 1 :]).astype(dtype)
        before = x.copy()
        out = KERNELS["scatter_add"](x, indices, updates, axis=axis)
        np.testing.assert_array_equal(out, expected_scatter(x, indices, updates, axis))
        np.testing.assert_array_equal(x, before)
        assert out.dtype == x.dtype
        for view_x, view_updates in zip(layouts(x), layouts(updates), strict=True):
            reversed_ = np.flip(np.flip(indices).copy())
            np.testing.assert_array_equal(
                KERNELS["scatter_add"](view_x, reversed_, view_updates, axis=axis),
                expected_scatter(view_x, indices, view_updates, axis),
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("integer", ["int32", "int64"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_along_axis(
    shape: tuple[int, ...],
    axis: int,
    integer: str,
    dtype: str,
    rng: np.random.Generator,
    layouts: Callable[[Array], list[Array]],
) -> None:
    x = rng.standard_normal(shape).astype(dtype)
    n = shape[axis]
    picked = (*shape[:axis], 300, *shape[axis + 1 :])
    indices = rng.integers(-n, n, picked).astype(integer)
    updates = rng.standard_normal(picked).astype(dtype)
    everything = zip([x, *layouts(x)], [updates, *layouts(updates)], strict=True)
    for view, view_updates in everything:
        taken = KERNELS["take_along_axis"](view, indices, axis=axis)
        np.testing.assert_array_equal(taken, np.take_along_axis(view, indices, axis))
        out = KERNELS["scatter_add_along_axis"](view, indices, view_updates, axis=axis)
        expected = np.moveaxis(view.copy(), axis, -1)
        last = [np.moveaxis(a, axis, -1) for a in (indices, view_updates)]
        for place in np.ndindex(last[0].shape):
            expected[(*place[:-1], last[0][place])] += last[1][place]
        np.testing.assert_array_equal(out, np.moveaxis(expected, -1, axis))
        assert out.dtype == taken.dtype == x.dtype


@pytest.mark.parametrize("wrong", [7, -8, 2**31 - 1, -(2**31)])
def test_indices_out_of_range(wrong: int) -> None:
    x = np.zeros((7, 100), np.float32)
    indices = np.zeros(100, np.int32)
    indices[50] = wrong
    text = rf"index {wrong} is out of range for axis 0 with size 7; use indices in \[-7, 6\]"
    with pytest.raises(IndexOutOfRangeError, match=rf"^scatter_add: {text}"):
        KERNELS["scatter_add"](x, indices, np.ones((100, 100), np.float32), axis=0)
    along = np.broadcast_to(indices[:, None], (100, 100))
    with pytest.raises(IndexOutOfRangeError, match=rf"^take_along_axis: {text}"):
        KERNELS["take_along_axis"](x, along, axis=0)
    with pytest.raises(IndexOutOfRangeError, match=rf"^scatter_add_along_axis: {text}"):
        KERNELS["scatter_add_along_axis"](x, along, np.ones((100, 100), np.float32), axis=0)
    assert not np.any(x)


def test_other_dtypes_small_and_empty_arrays_go_to_the_reference() -> None:
    for dtype in ("int32", "float16", "bool", "float32"):
        x = np.zeros((5, 4), dtype)
        for n in (0, 3, 300):
            indices = np.zeros(n, np.int64)
            updates = np.ones((n, 4), dtype)
            static: dict[str, Any] = {"axis": 0}
            if dtype != "bool":
                np.testing.assert_array_equal(
                    KERNELS["scatter_add"](x, indices, updates, **static),
                    REFERENCE["scatter_add"](x, indices, updates, **static),
                )
            along = np.zeros((n, 4), np.int64)
            assert KERNELS["take_along_axis"](x, along, axis=0).shape == (n, 4)
    nothing = KERNELS["scatter_add"](np.ones((3, 0)), np.zeros(400, int), np.ones((400, 0)), axis=0)
    assert nothing.shape == (3, 0)


@pytest.mark.parametrize("shape", [(10, 4000), (4000, 10), (50, 50, 30)])
def test_threads_do_not_change_bits(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    for_any_threads: Callable[[Callable[[], Any]], Any],
) -> None:
    x = rng.standard_normal(shape).astype(np.float32)
    for axis, n in enumerate(shape):
        picked = (*shape[:axis], 90_000 * n // x.size, *shape[axis + 1 :])
        indices = rng.integers(-n, n, picked)
        updates = rng.standard_normal(picked).astype(np.float32)
        flat = np.ascontiguousarray(np.moveaxis(indices, axis, 0).reshape(picked[axis], -1)[:, 0])
        for_any_threads(lambda: KERNELS["scatter_add"](x, flat, updates, axis=axis))  # noqa: B023
        for name in ("take_along_axis", "scatter_add_along_axis"):
            arrays = (x, indices, updates)[: 2 if name.startswith("take") else 3]
            for_any_threads(lambda: KERNELS[name](*arrays, axis=axis))  # noqa: B023
