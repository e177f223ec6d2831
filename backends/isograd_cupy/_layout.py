"""Arrays and where their elements are: empty ones, contiguous ones, and strides for kernels."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Sequence
from typing import Any, Final

import cupy
import numpy as np

from isograd_cupy._launch import C_TYPES, STRUCTS

__all__ = [
    "LINEAR",
    "broadcast",
    "c_type",
    "compute_type",
    "empty",
    "is_half",
    "layout_of",
    "pack",
    "part_of",
    "placed",
    "result",
    "view",
    "windows_of",
]

_NONE: Final = np.zeros((), STRUCTS["Layout"])
LINEAR: Final = _NONE
"""The layout of contiguous arrays."""


def c_type(dtype: np.dtype[Any], /) -> str:
    """Return C's name of a dtype."""
    return C_TYPES[dtype.name]


def is_half(dtype: np.dtype[Any], /) -> bool:
    """Tell whether a dtype is a 16-bit float."""
    return dtype.name in ("float16", "bfloat16")


def compute_type(dtype: np.dtype[Any], /) -> str:
    """Return the C type in which values of a dtype are computed."""
    return "float" if is_half(dtype) else C_TYPES[dtype.name]


def empty(shape: Sequence[int], dtype: np.dtype[Any], /) -> Any:
    """Return a C-contiguous array of unspecified values on the current device."""
    return cupy.ndarray(tuple(shape), dtype)


class _Places(threading.local):
    def __init__(self) -> None:
        self.views: list[Any] = []


_places = _Places()


@contextlib.contextmanager
def placed(views: Sequence[Any], /) -> Generator[None]:
    """Let the kernel that this thread calls write its results where a program wants them."""
    before, _places.views = _places.views, list(views)
    try:
        yield
    finally:
        _places.views = before


def result(number: int, shape: Sequence[int], dtype: np.dtype[Any], /) -> Any:
    """Return memory for a kernel's result: its place in a program, if that is like `empty`."""
    if number < len(_places.views):
        found = _places.views[number]
        if found.shape == tuple(shape) and found.dtype == dtype and found.flags.c_contiguous:
            return found
    return empty(shape, dtype)


def view(x: Any, shape: Sequence[int], strides: Sequence[int], offset: int = 0, /) -> Any:
    """Return an array over the memory of ``x``; strides and offset count bytes."""
    start = x.data + offset if x.size else x.data  # no memory, no address to count from
    return cupy.ndarray(tuple(shape), x.dtype, start, strides=tuple(strides))


def part_of(z: Any, number: int, /) -> Any:
    """Return a view of the real (0) or imaginary (1) parts of complex numbers."""
    dtype = np.dtype(f"f{z.itemsize // 2}")
    at = z.data + number * dtype.itemsize if z.size else z.data
    return cupy.ndarray(z.shape, dtype, at, strides=z.strides)


def broadcast(x: Any, shape: Sequence[int], /) -> Any:
    """Return a view in which new axes, and those of size 1, have stride 0."""
    new = len(shape) - x.ndim
    strides = [0] * new + [0 if n == 1 else s for n, s in zip(x.shape, x.strides, strict=True)]
    return view(x, shape, strides)


def layout_of(shape: Sequence[int], arrays: Sequence[Any], /) -> np.ndarray:
    """Return where the elements of arrays of one shape are, with as few axes as will do."""
    if all(a.flags.c_contiguous for a in arrays):
        return LINEAR
    axes = [
        (n, tuple([a.strides[i] // a.itemsize for a in arrays]))
        for i, n in enumerate(shape)
        if n != 1
    ]
    return pack(axes, len(arrays))


def pack(axes: Sequence[tuple[int, tuple[int, ...]]], count: int, /) -> np.ndarray:
    """Return a layout of axes, each a size and strides; neighbours that are one are joined."""
    joined: list[tuple[int, tuple[int, ...]]] = []
    for n, strides in axes:
        if joined:
            before, outer = joined[-1]
            if all(o == s * n for o, s in zip(outer, strides, strict=True)):
                joined[-1] = (before * n, strides)
                continue
        joined.append((n, strides))
    if not joined:
        joined = [(1, (0,) * count)]
    out = np.zeros((), STRUCTS["Layout"])
    out["rank"] = len(joined)
    for i, (n, strides) in enumerate(joined):
        out["shape"][i] = n
        for k, stride in enumerate(strides):
            out["strides"][k, i] = stride
    return out


def windows_of(
    size: Sequence[int],
    count: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[tuple[int, int]] = (),
    /,
) -> np.ndarray:
    """Return windows over the last axes, one number for each of them; padding is in pairs."""
    out = np.zeros((), STRUCTS["Windows"])
    k = out["rank"] = len(size)
    facts = {"size": size, "count": count, "kernel": kernel, "stride": stride}
    for name, values in {**facts, "dilation": dilation}.items():
        out[name][:k] = values
    if padding:
        out["padding"][:k] = [low for low, _ in padding]
    return out
