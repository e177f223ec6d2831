"""Arrays made of numbers and keys. Random bits are those of the CPU."""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import numpy as np

from isograd.backend import Device, Kernel
from isograd.backend import normal as definition
from isograd_cupy._elementwise import cast, contiguous
from isograd_cupy._launch import Kernels, grid_for, kernels, read
from isograd_cupy._layout import empty, layout_of, part_of, result

__all__ = ["SOURCES", "fill", "random_module"]

_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def fill(out: Any, value: Any, /) -> Any:
    """Write one value to all elements of an array of any strides."""
    if out.dtype.kind == "c":
        fill(part_of(out, 0), value.real)
        fill(part_of(out, 1), value.imag)
        return out
    layout = layout_of(out.shape, [out])
    if out.dtype.kind in "biu":
        number = int(value)
        # An unsigned value goes by its bits.
        number = number - 2**64 if number >= 2**63 else number
        kernels("sources", out.dtype).over(
            "fill_integer", (out, number, layout, out.size), out.size
        )
    else:
        arguments = (out, float(value), layout, out.size)
        kernels("sources", out.dtype).over("fill", arguments, out.size)
    return out


def _full(*, shape: tuple[int, ...], value: Any, dtype: np.dtype[Any], device: Device) -> Any:
    return fill(empty(shape, dtype), value)


def _arange(*, start: float, stop: float, step: float, dtype: np.dtype[Any], device: Device) -> Any:
    count = max(0, math.ceil((stop - start) / step))
    out = empty((count,), dtype)
    if dtype.kind in "iu":
        arguments = (out, int(start), int(step), count)
        kernels("sources", dtype).over("count_up_integer", arguments, count)
    else:
        arguments = (out, float(start), float(step), count)
        kernels("sources", dtype).over("count_up", arguments, count)
    return out


def _horner(coefficients: tuple[float, ...]) -> str:
    text = f"{coefficients[-1]!r} * r + {coefficients[-2]!r}"
    for coefficient in coefficients[-3::-1]:
        text = f"({text}) * r + {coefficient!r}"
    return text


@functools.cache
def random_module() -> Kernels:
    """Return the kernels of random numbers, with the numbers of their definition."""
    names = ["central_numerator", "central_denominator", "tail_numerator", "tail_denominator"]
    names += ["far_numerator", "far_denominator", "log_series"]
    bodies = {name: _horner(getattr(definition, name.upper())) for name in names}
    polynomials = "\n".join(
        f"__device__ double {name}(double r) {{ return {body}; }}" for name, body in bodies.items()
    )
    text = read("random").replace("@POLYNOMIALS@", polynomials)
    for name in (
        *("SQRT_HALF", "LN2", "CENTRAL_LIMIT", "CENTRAL_SHIFT"),
        *("TAIL_LIMIT", "TAIL_SHIFT", "FAR_SHIFT"),
    ):
        text = text.replace(f"@{name}@", repr(getattr(definition, name)))
    return Kernels(text, {})


def _draw(name: str, key: Any, shape: tuple[int, ...], dtype: np.dtype[Any], each: int) -> Any:
    out = result(0, shape, dtype)
    if out.size:
        grid = grid_for(-(-out.size // each))
        random_module().launch(name, (contiguous(key), out, out.size), grid)
    return out


def _random_bits(key: Any, *, shape: tuple[int, ...], bits: int) -> Any:
    if bits == 32:
        return _draw("random_halves", key, shape, np.dtype(np.uint32), 8)
    return _draw("random_words", key, shape, np.dtype(np.uint64), 4)


def _random_normal(key: Any, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    if dtype == _DOUBLE:
        return _draw("random_normal", key, shape, dtype, 4)
    return cast(_draw("random_normal_single", key, shape, _SINGLE, 4), dtype)


def _dropout(x: Any, key: Any, *, p: float) -> Any:
    if p == 0:
        return x
    limit = math.ceil(p * 2.0**32)
    out = result(0, x.shape, x.dtype)
    if limit >= 2**32:
        return fill(out, 0)
    if x.size:
        arguments = (contiguous(x), contiguous(key), out, limit, 1.0 / (1.0 - p), x.size)
        kernels("dropout", x.dtype).launch("dropout", arguments, grid_for(-(-x.size // 8)))
    return out


SOURCES: Final[dict[str, Kernel]] = {
    "full": _full,
    "arange": _arange,
    "random_bits": _random_bits,
    "random_normal": _random_normal,
    "dropout": _dropout,
}
