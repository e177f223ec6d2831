"""Reductions by fixed trees, the first best index, and cumulative sums and products."""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_cupy._elementwise import in_float32, widened
from isograd_cupy._launch import Kernels, read
from isograd_cupy._layout import c_type, empty, pack

__all__ = ["REDUCTIONS", "arg_module", "reduce_module", "scan_module"]

_CHUNK: Final = 2048  # terms of one step of the tree
_COLUMNS: Final = 32  # neighbouring outputs from which a block for all of them pays
_MOST: Final = 65535

_COMBINE: Final = {
    "sum": "(T)(a + b)",
    "prod": "(T)(a * b)",
    "max": "a != a ? a : b != b ? b : a < b ? b : a",
    "min": "a != a ? a : b != b ? b : b < a ? b : a",
    "any": "a || b",
    "all": "a && b",
}
_EMPTY: Final = {"sum": 0, "prod": 1, "any": 0, "all": 1}


@functools.cache
def reduce_module(name: str, dtype: np.dtype[Any], /) -> Kernels:
    """Return the kernels of a reduction."""
    text = read("reduce").replace("@COMBINE@", _COMBINE[name])
    return Kernels(text, {"T": c_type(dtype)})


@functools.cache
def arg_module(name: str, dtype: np.dtype[Any], /) -> Kernels:
    """Return the kernels of argmax or argmin."""
    text = read("arg_reduce").replace("@BETTER@", "a > b" if name == "argmax" else "a < b")
    return Kernels(text, {"T": c_type(dtype)})


@functools.cache
def scan_module(name: str, dtype: np.dtype[Any], /) -> Kernels:
    """Return the kernels of a cumulative sum or product."""
    text = read("scan").replace("@COMBINE@", _COMBINE[name])
    return Kernels(text, {"T": c_type(dtype)})


def _axes_of(x: Any, axes: list[int]) -> list[tuple[int, tuple[int, ...]]]:
    return [(x.shape[i], (x.strides[i] // x.itemsize,)) for i in axes if x.shape[i] != 1]


def _reduce(x: Any, name: str, axis: tuple[int, ...], keepdims: bool) -> Any:
    kept = [i for i in range(x.ndim) if i not in axis]
    inside = sorted(axis)
    shape = tuple([1 if i in axis else n for i, n in enumerate(x.shape) if keepdims or i in kept])
    outputs, terms = math.prod(x.shape[i] for i in kept), math.prod(x.shape[i] for i in inside)
    out = empty(shape, x.dtype)
    if not outputs:
        return out
    if not terms:
        from isograd_cupy._sources import fill

        return fill(out, _EMPTY[name])
    module = reduce_module(name, x.dtype)
    outer, inner = _axes_of(x, kept), _axes_of(x, inside)
    # Neighbours in memory should be neighbours among the threads.
    columns = (
        outputs >= _COLUMNS
        and bool(outer)
        and bool(inner)
        and abs(outer[-1][1][0]) < abs(inner[-1][1][0])
    )
    layouts = pack(outer, 1), pack(inner, 1)
    while True:
        chunks = -(-terms // _CHUNK)
        target = out if chunks == 1 else empty((outputs, chunks), x.dtype)
        arguments = (x, target, *layouts, outputs, terms, chunks)
        if columns:
            grid = (-(-outputs // 32), min(chunks, _MOST))
            module.launch("reduce_columns", arguments, grid, (32, 32))
        else:
            module.launch("reduce_rows", arguments, (min(-(-outputs * chunks // 8), 1 << 20),))
        if chunks == 1:
            return out
        x, terms, columns = target, chunks, False
        layouts = pack([(outputs, (chunks,))], 1), pack([(chunks, (1,))], 1)


def _reduction(name: str) -> Kernel:
    def kernel(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
        return _reduce(x, name, axis, keepdims) if axis else x

    return kernel


def _arg(name: str) -> Kernel:
    def kernel(x: Any, *, axis: int, keepdims: bool) -> Any:
        x = widened(x)
        terms, stride = x.shape[axis], x.strides[axis] // x.itemsize
        kept = [i for i in range(x.ndim) if i != axis]
        shape = tuple(
            [1 if i == axis else n for i, n in enumerate(x.shape) if keepdims or i != axis]
        )
        out = empty(shape, np.dtype(np.int64))
        if out.size:
            arguments = (x, out, pack(_axes_of(x, kept), 1), stride, out.size, terms)
            arg_module(name, x.dtype).launch("arg_reduce", arguments, (min(out.size, 1 << 20),))
        return out

    return kernel


def _scan(name: str) -> Kernel:
    def kernel(x: Any, *, axis: int) -> Any:
        out = empty(x.shape, x.dtype)
        if not out.size:
            return out
        kept = [i for i in range(x.ndim) if i != axis]
        rows = math.prod(x.shape[i] for i in kept)
        size = x.itemsize
        axes = [(x.shape[i], (x.strides[i] // size, out.strides[i] // size)) for i in kept]
        layout = pack([axis_ for axis_ in axes if axis_[0] != 1], 2)
        strides = x.strides[axis] // size, out.strides[axis] // size
        arguments = (x, out, layout, *strides, rows, x.shape[axis])
        scan_module(name, x.dtype).launch("scan_rows", arguments, (min(rows, 1 << 20),))
        return out

    return kernel


REDUCTIONS: Final[dict[str, Kernel]] = {
    **{name: in_float32(_reduction(name)) for name in ("sum", "prod", "max", "min")},
    "any": _reduction("any"),
    "all": _reduction("all"),
    "argmax": _arg("argmax"),
    "argmin": _arg("argmin"),
    "cumsum": in_float32(_scan("sum")),
    "cumprod": in_float32(_scan("prod")),
}
