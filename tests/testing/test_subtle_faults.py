"""Kernels that are right for all but few numbers, sizes or layouts: each is found by its check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isograd.testing.harness import check_op
from isograd.testing.op_db import OP_DB

Array = Any
Kernel = Callable[..., Any]
Plant = Callable[[str, Callable[[Kernel], Kernel]], Any]


def in_float64(right: Kernel) -> Kernel:
    """Compute with integers as with float64."""

    def kernel(*xs: Array, **static: Any) -> Array:
        out = right(*xs, **static)
        if out.dtype.kind not in "iub" or xs[0].dtype.kind not in "iu":
            return out
        wide = right(*(x.astype(np.float64) for x in xs), **static)
        return np.asarray(wide).astype(out.dtype)

    return kernel


def where(which: Callable[..., Array], value: Any) -> Callable[[Kernel], Kernel]:
    """Return a change that replaces some elements of the result."""

    def change(right: Kernel) -> Kernel:
        def kernel(*xs: Array, **static: Any) -> Array:
            out = right(*xs, **static)
            return np.where(which(*xs), value, out).astype(out.dtype)

        return kernel

    return change


def integer_zero(x: Array, y: Array) -> Array:
    return (y == 0) & (y.dtype.kind == "i")


def subnormal(x: Array, y: Array) -> Array:
    return (np.abs(x * y) < 2e-308) & (x * y != 0)


def one_by_one(right: Kernel) -> Kernel:
    """Add 16-bit numbers up in 16 bits."""

    def kernel(x: Array, *, axis: Any, **static: Any) -> Array:
        if x.dtype.itemsize != 2 or x.ndim != 1 or not x.size:
            return right(x, axis=axis, **static)
        out = np.cumsum(x, dtype=x.dtype)
        return out if not static else out[-1:].reshape([1] if static["keepdims"] else [])

    return kernel


def products_one_by_one(right: Kernel) -> Kernel:
    def kernel(x: Array, y: Array) -> Array:
        out = right(x, y)
        if x.dtype.itemsize != 2 or x.shape[-1] < 17:
            return out
        out = np.zeros_like(out)
        for k in range(x.shape[-1]):
            out = (out + x[..., :, k, None] * y[..., None, k, :]).astype(out.dtype)
        return out

    return kernel


def shared(right: Kernel) -> Kernel:
    """Return the same array for all results of one shape, if they are large."""
    kept: dict[Any, Array] = {}

    def kernel(*xs: Array) -> Array:
        out = right(*xs)
        found = kept.setdefault((out.shape, out.dtype), np.empty_like(out))
        found[...] = out
        return found if out.size > 1000 else out

    return kernel


def nan_lost_at_the_end(right: Kernel) -> Kernel:
    def kernel(x: Array, *, axis: Any, **static: Any) -> Array:
        if x.dtype.kind == "f" and len(axis) == 1 and x.shape[axis[0]] > 1:
            x = np.moveaxis(x.copy(), axis[0], -1)
            x[..., -1] = np.where(np.isnan(x[..., -1]), -np.inf, x[..., -1])
            x = np.moveaxis(x, -1, axis[0])
        return right(x, axis=axis, **static)

    return kernel


def one_pass(right: Kernel) -> Kernel:
    """Take the mean square less the square of the mean for the variance."""

    def kernel(x: Array, *, axis: Any, eps: float, centred: bool) -> Array:
        if x.dtype != np.float32 or not centred or not x.size:
            return right(x, axis=axis, eps=eps, centred=centred)
        mean = np.mean(x, axis, keepdims=True)
        square = np.mean(x * x, axis, keepdims=True) - mean * mean
        return (x - mean) / np.sqrt(np.maximum(square, 0) + np.float32(eps))

    return kernel


def wrong_late(right: Kernel) -> Kernel:
    """Flip the last draw where there are more than 2**16."""

    def kernel(key: Array, **static: Any) -> Array:
        out = np.array(right(key, **static))
        if out.size > 2**16:
            out[-1] = -out[-1]
        return out

    return kernel


def nan_not_true(right: Kernel) -> Kernel:
    return lambda x, *, dtype: right(np.nan_to_num(x) if dtype == np.bool_ else x, dtype=dtype)


def cutoff_ignored(right: Kernel) -> Kernel:
    return lambda x, rtol: right(x, rtol * 0)


def order_undone(right: Kernel) -> Kernel:
    def kernel(x: Array, *, axes: tuple[int, ...]) -> Array:
        out, other = right(x, axes=axes), np.transpose(x, np.argsort(axes))
        return other if other.shape == out.shape else out

    return kernel


FAULTS: dict[str, tuple[str, str, Callable[[Kernel], Kernel]]] = {
    **{
        f"integers as float64 in {op}": (op, "extreme", in_float64)
        for op in ("mul", "less", "maximum", "sum", "max", "cumsum", "matmul", "argsort")
    },
    "a quotient by zero": ("floor_divide", "extreme", where(integer_zero, -1)),
    "half sums": ("sum", "forward", one_by_one),
    "half running sums": ("cumsum", "forward", one_by_one),
    "half products": ("matmul", "forward", products_one_by_one),
    "NaN lost at the end": ("max", "extreme", nan_lost_at_the_end),
    "NaN is not true": ("astype", "extreme", nan_not_true),
    "NaN kept by a dropout": ("dropout", "extreme", where(lambda x, key: np.isnan(x), np.nan)),
    "overflow of half an infinity": ("cosh", "extreme", where(lambda x: np.abs(x) > 88.8, np.inf)),
    "subnormal doubles": ("mul", "extreme", where(subnormal, 0.0)),
    "one pass": ("standardize", "extreme", one_pass),
    "branch cut": ("complex.sqrt", "extreme", lambda right: lambda x: right(x + 0)),
    "late draws": ("random_normal", "forward", wrong_late),
    "cutoff ignored": ("pinv", "extreme", cutoff_ignored),
    "inverse order": ("permute_dims", "forward", order_undone),
    "shared result": ("add", "purity", shared),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_subtle_fault_is_found(what: str, plant: Plant) -> None:
    op, check, change = FAULTS[what]
    spec = next(spec for spec in OP_DB if spec.name == op)
    assert all(cell.ok for cell in check_op(spec, check, "numpy"))
    backend = plant(op.removeprefix("complex."), change)
    found = [cell for cell in check_op(spec, check, backend) if not cell.ok]
    assert found, f"{check} did not see it"
    assert found[0].message
