"""Special functions. They are computed in float64 and rounded once, whatever the dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isograd.backend import erf, gamma
from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import cast, in_float32

__all__ = ["special_kernels"]


def special_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the special functions over an array namespace."""

    def in_float64(function: Callable[..., Array]) -> Kernel:
        def kernel(x: Array, **static: Any) -> Array:
            return cast(xp, function(xp, cast(xp, x, xp.float64), **static), x.dtype)

        return kernel

    def erfc(x: Array) -> Array:
        return erf.erfc(xp, x)

    return {
        "erfc": in_float32(xp, erfc),
        "erfinv": in_float64(erf.erfinv),
        "lgamma": in_float64(gamma.lgamma),
        "digamma": in_float64(gamma.digamma),
        "polygamma": in_float64(gamma.polygamma),
    }
