"""Elementwise primitives: NumPy's ufuncs themselves, without a wrapper."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_numpy.activations import erf

__all__ = ["ELEMENTWISE"]


def _round(x: np.ndarray) -> np.ndarray:
    return x if x.dtype.kind in "iu" else np.rint(x)


def _astype(x: np.ndarray, *, dtype: np.dtype[Any]) -> np.ndarray:
    return x.astype(dtype, copy=False)


def _identity(x: np.ndarray) -> np.ndarray:
    return x


def _keeping_integers(ufunc: np.ufunc) -> Kernel:
    """Return a rounding ufunc, wrapped where it would turn integers into float64 (NumPy 2.0)."""
    if ufunc(np.zeros(1, np.int64)).dtype == np.int64:
        return ufunc

    def kernel(x: np.ndarray) -> np.ndarray:
        return x if x.dtype.kind in "iu" else ufunc(x)

    return kernel


ELEMENTWISE: Final[dict[str, Kernel]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "square": np.square,
    "floor": _keeping_integers(np.floor),
    "ceil": _keeping_integers(np.ceil),
    "trunc": _keeping_integers(np.trunc),
    "round": _round,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": erf,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "signbit": np.signbit,
    "bitwise_invert": np.invert,
    "stop_gradient": _identity,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "logaddexp": np.logaddexp,
    "copysign": np.copysign,
    "nextafter": np.nextafter,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_left_shift": np.left_shift,
    "bitwise_right_shift": np.right_shift,
    "where": np.where,
    "astype": _astype,
}
