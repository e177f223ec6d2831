"""Primitives that make arrays from numbers and keys, and dropout, whose mask is made from a key."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from isograd.backend.normal import normal_from_uniform
from isograd.backend.philox import philox_halves
from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import HALVES, cast, in_float32, native_dtype
from isograd.core.devices import Device

__all__ = ["source_kernels"]


def source_kernels(xp: Any, /, native_device: Callable[[Device], Any]) -> dict[str, Kernel]:
    """Return the kernels of the sources over an array namespace.

    ``native_device`` gives the namespace's own word for a device.
    """

    def full(*, shape: tuple[int, ...], value: Any, dtype: np.dtype[Any], device: Device) -> Array:
        native = native_dtype(xp, dtype)
        return xp.full(shape, value, dtype=native, device=native_device(device))

    def arange(
        *, start: float, stop: float, step: float, dtype: np.dtype[Any], device: Device
    ) -> Array:
        native, where = native_dtype(xp, dtype), native_device(device)
        if dtype.kind in "iu":
            return xp.arange(start, stop, step, dtype=native, device=where)
        # start + i * step in float64, rounded once, whatever the library's own way is.
        count = max(0, math.ceil((stop - start) / step))
        steps = xp.arange(count, dtype=xp.int64, device=where)
        return cast(xp, cast(xp, steps, xp.float64) * float(step) + float(start), native)

    def halves(key: Array, count: int) -> Array:
        """Return 32-bit words, low half first, as int64."""
        high, low = philox_halves(xp, key, (count + 1) // 2)
        return xp.reshape(xp.stack([low, high], axis=1), (-1,))[:count]

    def random_bits(key: Array, *, shape: tuple[int, ...], bits: int) -> Array:
        count = math.prod(shape)
        if bits == 32:
            return xp.reshape(cast(xp, halves(key, count), xp.uint32), shape)
        high, low = philox_halves(xp, key, count)
        return xp.reshape(cast(xp, (high << 32) | low, xp.uint64), shape)

    def random_normal(key: Array, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        high, low = philox_halves(xp, key, math.prod(shape))
        top = cast(xp, (high << 20) | (low >> 12), xp.float64)
        out = normal_from_uniform(xp, (top - (2.0**51 - 0.5)) * 2.0**-52)
        if dtype.name in HALVES:
            out = cast(xp, out, xp.float32)
        return xp.reshape(cast(xp, out, native_dtype(xp, dtype)), shape)

    def dropout(x: Array, key: Array, *, p: float) -> Array:
        if p == 0:
            return x
        zeros = xp.zeros_like(x)
        if p == 1:
            return zeros
        keep = xp.reshape(halves(key, math.prod(x.shape)), x.shape) >= math.ceil(p * 2.0**32)
        return xp.where(keep, x * (1.0 / (1.0 - p)), zeros)

    return {
        "full": full,
        "arange": arange,
        "random_bits": random_bits,
        "random_normal": random_normal,
        "dropout": in_float32(xp, dropout),
    }
