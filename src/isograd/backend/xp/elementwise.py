"""Elementwise primitives. Most are functions of the array API under another name."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from isograd.backend.erf import erf
from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import cast, dtype_name, in_float32, native_dtype

__all__ = ["elementwise_kernels"]

#: Primitive -> function of the array API standard, where the two agree.
STANDARD: Final = {
    "neg": "negative",
    "abs": "abs",
    "sign": "sign",
    "square": "square",
    "exp": "exp",
    "expm1": "expm1",
    "log": "log",
    "log1p": "log1p",
    "log2": "log2",
    "log10": "log10",
    "sqrt": "sqrt",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "asin": "asin",
    "acos": "acos",
    "atan": "atan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "asinh": "asinh",
    "acosh": "acosh",
    "atanh": "atanh",
    "isnan": "isnan",
    "isinf": "isinf",
    "isfinite": "isfinite",
    "signbit": "signbit",
    "bitwise_invert": "bitwise_invert",
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "pow": "pow",
    "maximum": "maximum",
    "minimum": "minimum",
    "atan2": "atan2",
    "hypot": "hypot",
    "logaddexp": "logaddexp",
    "copysign": "copysign",
    "nextafter": "nextafter",
    "equal": "equal",
    "not_equal": "not_equal",
    "less": "less",
    "less_equal": "less_equal",
    "greater": "greater",
    "greater_equal": "greater_equal",
    "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or",
    "bitwise_xor": "bitwise_xor",
    "where": "where",
}


def elementwise_kernels(xp: Any, /) -> dict[str, Kernel]:
    """Return the kernels of the elementwise primitives over an array namespace."""

    def is_integer(x: Array) -> bool:
        return dtype_name(x).startswith(("int", "uint"))

    def is_signed(x: Array) -> bool:
        return dtype_name(x).startswith("int")

    def bits(x: Array) -> int:
        return xp.iinfo(x.dtype).bits

    # Division of integers by zero is 0, and so is the remainder. Libraries raise, trap or return
    # anything there, and some trap at the smallest integer divided by -1.
    def floor_divide(x: Array, y: Array) -> Array:
        if not is_integer(x):
            return xp.floor_divide(x, y)
        zero, minus = y == 0, y == -1 if is_signed(y) else y != y
        quotient = xp.floor_divide(x, xp.where(zero | minus, xp.ones_like(y), y))
        quotient = xp.where(minus, xp.negative(x), quotient)
        return xp.where(zero, xp.zeros_like(quotient), quotient)

    def remainder(x: Array, y: Array) -> Array:
        if not is_integer(x):
            return xp.remainder(x, y)
        trivial = (y == 0) | (y == -1) if is_signed(y) else y == 0
        out = xp.remainder(x, xp.where(trivial, xp.ones_like(y), y))
        return xp.where(trivial, xp.zeros_like(out), out)

    # A shift by the width or more is undefined in hardware; here it shifts every bit out.
    def shift_left(x: Array, y: Array) -> Array:
        inside = (y >= 0) & (y < bits(y))
        out = xp.bitwise_left_shift(x, xp.where(inside, y, xp.zeros_like(y)))
        return xp.where(inside, out, xp.zeros_like(out))

    def shift_right(x: Array, y: Array) -> Array:
        inside = (y >= 0) & (y < bits(y))
        out = xp.bitwise_right_shift(x, xp.where(inside, y, xp.zeros_like(y)))
        gone = xp.where(x < 0, xp.bitwise_invert(xp.zeros_like(x)), xp.zeros_like(x))
        return xp.where(inside, out, gone)

    # Integers stay integers, which NumPy's own functions learnt with 2.1.
    def rounding(function: Kernel) -> Kernel:
        def kernel(x: Array) -> Array:
            return x if is_integer(x) else function(x)

        return kernel

    def astype(x: Array, *, dtype: np.dtype[Any]) -> Array:
        return cast(xp, x, native_dtype(xp, dtype))

    def stop_gradient(x: Array) -> Array:
        return x

    own_erf: Any = in_float32(xp, functools.partial(erf, xp))
    kernels: dict[str, Kernel] = {name: getattr(xp, other) for name, other in STANDARD.items()}
    for name in ("floor", "ceil", "trunc", "round"):
        kernels[name] = rounding(getattr(xp, name))
    return kernels | {
        "floor_divide": floor_divide,
        "remainder": remainder,
        "bitwise_left_shift": shift_left,
        "bitwise_right_shift": shift_right,
        "astype": astype,
        "stop_gradient": stop_gradient,
        "erf": getattr(xp, "erf", own_erf),
    }
