"""Manipulation, statistics and creation against NumPy, on arrays of any shape."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import isograd as ig

DTYPES = st.sampled_from(["float32", "float64", "int8", "int64", "uint16", "bool"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def numbered(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(np.prod(shape, dtype=int)) % 100).reshape(shape).astype(dtype)


def agree(out: Any, right: Any) -> None:
    right = np.asarray(right)
    assert (out.shape, out.dtype) == (right.shape, right.dtype)
    np.testing.assert_array_equal(out.numpy(), right)


@st.composite
def arrays(draw: st.DrawFn, min_dims: int = 0, min_side: int = 0) -> np.ndarray:
    shape = draw(hnp.array_shapes(min_dims=min_dims, max_dims=4, min_side=min_side, max_side=4))
    return numbered(shape, draw(DTYPES))


@settings(max_examples=25)
@given(x=arrays(min_dims=1), data=st.data())
def test_manipulation(x: np.ndarray, data: st.DataObject) -> None:
    t = ig.tensor(x)
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    order = data.draw(st.permutations(range(x.ndim)))
    some = tuple(data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True)))
    shifts = tuple(data.draw(st.integers(-5, 5)) for _ in some)
    agree(ig.permute_dims(t, order), np.permute_dims(x, order))
    agree(ig.flip(t, axis=some), np.flip(x, some))
    agree(ig.flip(t), np.flip(x))
    agree(ig.roll(t, shifts, axis=some), np.roll(x, shifts, some) if some else x)
    agree(ig.roll(t, 3), np.roll(x, 3))
    agree(ig.moveaxis(t, axis, order[0]), np.moveaxis(x, axis, order[0]))
    agree(ig.expand_dims(t, axis=axis), np.expand_dims(x, axis))
    agree(ig.expand_dims(t, axis=(0, -1)), np.expand_dims(x, (0, -1)))
    agree(ig.squeeze(ig.expand_dims(t, axis=axis), axis), x)
    agree(ig.concat([t, t], axis=axis), np.concat([x, x], axis=axis))
    agree(ig.concat([t, t], axis=None), np.concat([x, x], axis=None))
    agree(ig.stack([t, t], axis=axis), np.stack([x, x], axis))
    for part, right in zip(ig.unstack(t, axis=axis), np.unstack(x, axis=axis), strict=True):
        agree(part, right)
    agree(ig.reshape(t, (-1,) if x.size else x.shape, copy=False), x.reshape(-1) if x.size else x)
    agree(ig.broadcast_to(t, (2, *x.shape)), np.broadcast_to(x, (2, *x.shape)))


@settings(max_examples=25)
@given(x=arrays(), data=st.data())
def test_repetition(x: np.ndarray, data: st.DataObject) -> None:
    t = ig.tensor(x)
    times = tuple(data.draw(st.lists(st.integers(0, 3), max_size=5)))
    agree(ig.tile(t, times), np.tile(x, times))
    agree(ig.repeat(t, 2), np.repeat(x, 2))
    if x.ndim:
        axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
        counts = data.draw(hnp.arrays("int64", x.shape[axis], elements=st.integers(0, 3)))
        agree(ig.repeat(t, 3, axis=axis), np.repeat(x, 3, axis))
        agree(ig.repeat(t, ig.tensor(counts), axis=axis), np.repeat(x, counts, axis))


@settings(max_examples=25)
@given(x=arrays(min_dims=1), data=st.data())
def test_diff_and_running_sums(x: np.ndarray, data: st.DataObject) -> None:
    t = ig.tensor(x)
    axis, n = data.draw(st.integers(-x.ndim, x.ndim - 1)), data.draw(st.integers(0, 3))
    agree(ig.diff(t, axis=axis, n=n), np.diff(x, n, axis))
    agree(ig.diff(t, axis=axis, prepend=t), np.diff(x, axis=axis, prepend=x))
    agree(ig.diff(t, axis=axis, append=False), np.diff(x, axis=axis, append=x.dtype.type(0)))
    initial = data.draw(st.booleans())
    out = ig.cumulative_sum(t, axis=axis, include_initial=initial)
    agree(out, np.cumulative_sum(x, axis=axis, include_initial=initial))
    if x.size <= 16:
        out = ig.cumulative_prod(t, axis=axis, include_initial=initial)
        assert out.dtype == np.cumulative_prod(x, axis=axis).dtype


@settings(max_examples=30)
@given(x=arrays(), data=st.data())
def test_reductions(x: np.ndarray, data: st.DataObject) -> None:
    t = ig.tensor(x)
    axes = st.none() | st.lists(st.integers(0, x.ndim - 1), unique=True).map(tuple)
    axis = data.draw(axes) if x.ndim else None
    keep = data.draw(st.booleans())
    agree(ig.sum(t, axis=axis, keepdims=keep), np.sum(x, axis, keepdims=keep))
    agree(
        ig.prod(t * 0, axis=axis, keepdims=keep) if x.dtype != bool else ig.sum(t),
        np.prod(x * 0, axis, keepdims=keep) if x.dtype != bool else np.sum(x),
    )
    agree(ig.any(t, axis=axis, keepdims=keep), np.any(x, axis, keepdims=keep))
    agree(ig.all(t, axis=axis, keepdims=keep), np.all(x, axis, keepdims=keep))
    agree(ig.count_nonzero(t, axis=axis, keepdims=keep), np.count_nonzero(x, axis, keepdims=keep))
    for name in ("sum", "prod"):
        assert getattr(ig, name)(t, dtype="float64").dtype == "float64"
    assume(x.size)
    agree(ig.max(t, axis=axis, keepdims=keep), np.max(x, axis, keepdims=keep))
    agree(ig.min(t, axis=axis, keepdims=keep), np.min(x, axis, keepdims=keep))
    assume(x.dtype != np.bool_)
    one = data.draw(st.none() | st.integers(0, x.ndim - 1)) if x.ndim else None
    agree(ig.argmax(t, axis=one, keepdims=keep), np.argmax(x, one, keepdims=keep))
    agree(ig.argmin(t, axis=one, keepdims=keep), np.argmin(x, one, keepdims=keep))
    if x.dtype.kind == "f":
        for name in ("mean", "std", "var"):
            out = getattr(ig, name)(t, axis=axis, keepdims=keep)
            right = np.asarray(getattr(np, name)(x, axis, keepdims=keep))
            assert (out.shape, out.dtype) == (right.shape, right.dtype)
            np.testing.assert_allclose(out.numpy(), right, rtol=1e-5, atol=1e-5)


@settings(max_examples=25)
@given(start=st.integers(-20, 20), stop=st.integers(-20, 20), step=st.integers(-4, 4), dtype=DTYPES)
def test_ranges(start: int, stop: int, step: int, dtype: str) -> None:
    assume(step)
    agree(ig.arange(start, stop, step), np.arange(start, stop, step))
    agree(ig.arange(stop), np.arange(stop))
    agree(ig.arange(start, stop, step / 2, dtype="float64"), np.arange(start, stop, step / 2))
    n = abs(stop)
    agree(ig.linspace(start, stop, n, dtype="float64"), np.linspace(start, stop, n))
    for shape in (n, (2, n), ()):
        agree(ig.zeros(shape, dtype=dtype), np.zeros(shape, dtype))
        agree(ig.ones(shape, dtype=dtype), np.ones(shape, dtype))
        agree(ig.full(shape, 1, dtype=dtype), np.full(shape, 1, dtype))
    agree(ig.eye(3, n % 5, k=step, dtype=dtype), np.eye(3, n % 5, k=step, dtype=dtype))
    x = numbered((2, 3, n % 4), dtype)
    agree(ig.tril(ig.tensor(x), k=step), np.tril(x, k=step))
    agree(ig.triu(ig.tensor(x), k=step), np.triu(x, k=step))
    for name in ("zeros_like", "ones_like"):
        agree(getattr(ig, name)(ig.tensor(x)), getattr(np, name)(x))
    agree(ig.full_like(ig.tensor(x), 1), np.full_like(x, 1))


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (lambda: ig.sum(ig.zeros(0)), 0.0),
        (lambda: ig.prod(ig.zeros(0)), 1.0),
        (lambda: ig.any(ig.zeros(0)), False),
        (lambda: ig.all(ig.zeros(0)), True),
        (lambda: ig.any(ig.tensor([np.nan])), True),
        (lambda: ig.max(ig.tensor([1.0, np.nan])), np.nan),
        (lambda: ig.min(ig.tensor([1.0, np.nan])), np.nan),
        (lambda: ig.mean(ig.tensor([1.0, np.nan])), np.nan),
        (lambda: ig.sum(ig.tensor([np.inf, -np.inf])), np.nan),
        (lambda: ig.prod(ig.tensor([np.inf, 0.0])), np.nan),
    ],
)
def test_special_cases_of_reductions(call: Any, result: float, backend: str) -> None:
    np.testing.assert_equal(call().item(), result)


def test_what_has_no_value_warns() -> None:
    with pytest.warns(ig.NumericsWarning, match="mean"):
        assert np.isnan(ig.mean(ig.zeros(0)).item())
    with pytest.warns(ig.NumericsWarning, match="var"):
        assert np.isnan(ig.var(ig.ones(1), correction=1).item())
    with pytest.warns(ig.NumericsWarning, match="median"):
        assert np.isnan(ig.median(ig.zeros((2, 0)), axis=1).numpy()).all()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "bool"])
def test_sums_of_small_integers_are_wide(dtype: str) -> None:
    wide = "uint64" if dtype.startswith("u") else "int64"
    x = ig.ones(300, dtype=dtype)
    for out in (ig.sum(x), ig.prod(x), ig.cumulative_sum(x), ig.cumulative_prod(x)):
        assert out.dtype == wide
    assert ig.sum(x).item() == 300
    assert ig.sum(x, dtype="float32").dtype == "float32"
