"""Activations, transcendental functions and their gradients: one pass over memory each.

Small arrays go to NumPy's kernels: a compiled one saves nothing there, and programs of small arrays
never wait for a compilation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from isograd.backend import Kernel
from isograd_numba import _jit
from isograd_numba._arrays import FLOAT_DTYPES, flat, flat_pair
from isograd_numba._jit import FLOATS, compiled, inlined
from isograd_numba._math import (
    ONE,
    ZERO,
    erf,
    exp,
    expm1,
    gelu,
    gelu_slope,
    gelu_tanh,
    gelu_tanh_slope,
    log,
    log1p,
    sigmoid,
    silu,
    silu_slope,
    softplus,
    tanh,
)

__all__ = ["SMALLEST", "SMALLEST_FUSED", "elementwise_kernels"]

Array = Any
Scalar = Any

SMALLEST: Final = 1024
"""Elements from which a compiled kernel beats a function of NumPy's."""
SMALLEST_FUSED: Final = 128
"""Elements from which it beats a NumPy kernel of several passes."""

_CHEAP: Final = 1 << 16
_DEAR: Final = 1 << 13


@inlined
def _relu(x: Scalar) -> Scalar:
    return ZERO if x <= ZERO else x


@inlined
def _relu_grad(g: Scalar, x: Scalar) -> Scalar:
    return ZERO if x <= ZERO else g


@inlined
def _sigmoid_grad(g: Scalar, out: Scalar) -> Scalar:
    return g * (out * (ONE - out))


@inlined
def _tanh_grad(g: Scalar, out: Scalar) -> Scalar:
    return g * ((ONE - out) * (ONE + out))


@inlined
def _silu_grad(g: Scalar, x: Scalar) -> Scalar:
    return g * silu_slope(x)


@inlined
def _gelu_grad(g: Scalar, x: Scalar) -> Scalar:
    return g * gelu_slope(x)


@inlined
def _gelu_tanh_grad(g: Scalar, x: Scalar) -> Scalar:
    return g * gelu_tanh_slope(x)


def _unary(function: Any, grain: int) -> _jit.Kernel:
    def unary(start: int, stop: int, x: Array, out: Array) -> None:
        for i in range(start, stop):
            out[i] = function(x[i])

    unary.__name__ = function.function.__name__
    return compiled("T[::1], T[::1]", T=FLOATS, grain=grain)(unary)


def _binary(function: Any, grain: int) -> _jit.Kernel:
    def binary(start: int, stop: int, x: Array, y: Array, out: Array) -> None:
        for i in range(start, stop):
            out[i] = function(x[i], y[i])

    binary.__name__ = function.function.__name__
    return compiled("T[::1], T[::1], T[::1]", T=FLOATS, grain=grain)(binary)


@compiled("T[::1], T, T, T[::1]", T=FLOATS, grain=_DEAR)
def _softplus(start: int, stop: int, x: Array, beta: Scalar, threshold: Scalar, out: Array) -> None:
    for i in range(start, stop):
        z = x[i] * beta
        smooth = softplus(z) / beta
        out[i] = x[i] if z > threshold else smooth


_UNARY: Final = {
    "exp": (_unary(exp, _DEAR), SMALLEST),
    "expm1": (_unary(expm1, _DEAR), SMALLEST),
    "log": (_unary(log, _DEAR), SMALLEST),
    "log1p": (_unary(log1p, _DEAR), SMALLEST),
    "tanh": (_unary(tanh, _DEAR), SMALLEST),
    "erf": (_unary(erf, _DEAR), SMALLEST_FUSED),
    "relu": (_unary(_relu, _CHEAP), SMALLEST_FUSED),
    "sigmoid": (_unary(sigmoid, _DEAR), SMALLEST_FUSED),
    "silu": (_unary(silu, _DEAR), SMALLEST_FUSED),
}
_BINARY: Final = {
    "relu_grad": _binary(_relu_grad, _CHEAP),
    "sigmoid_grad": _binary(_sigmoid_grad, _CHEAP),
    "tanh_grad": _binary(_tanh_grad, _CHEAP),
    "silu_grad": _binary(_silu_grad, _DEAR),
}
_GELU: Final = {"none": _unary(gelu, _DEAR), "tanh": _unary(gelu_tanh, _DEAR)}
_GELU_GRAD: Final = {"none": _binary(_gelu_grad, _DEAR), "tanh": _binary(_gelu_tanh_grad, _DEAR)}


def elementwise_kernels(reference: Mapping[str, Kernel], /) -> dict[str, Kernel]:
    """Return the compiled kernels of these primitives.

    Parameters
    ----------
    reference
        Kernels by primitive that take what the compiled ones leave: small arrays, other dtypes.

    Returns
    -------
    dict
        From the primitive's name to its kernel.
    """

    def unary(name: str, compiled_kernel: _jit.Kernel, smallest: int) -> Kernel:
        other = reference[name]

        def run(x: Array) -> Array:
            if x.size < smallest or x.dtype not in FLOAT_DTYPES:
                return other(x)
            out, flat_out, flat_x = flat(x)
            compiled_kernel[x.dtype](x.size, flat_x, flat_out)
            return out

        return run

    def binary(name: str, compiled_kernel: _jit.Kernel) -> Kernel:
        other = reference[name]

        def run(x: Array, y: Array) -> Array:
            if x.size < SMALLEST_FUSED or x.dtype not in FLOAT_DTYPES:
                return other(x, y)
            out, flat_out, flat_x, flat_y = flat_pair(x, y)
            compiled_kernel[x.dtype](x.size, flat_x, flat_y, flat_out)
            return out

        return run

    def gelu_(x: Array, *, approximate: str) -> Array:
        if x.size < SMALLEST_FUSED or x.dtype not in FLOAT_DTYPES:
            return reference["gelu"](x, approximate=approximate)
        out, flat_out, flat_x = flat(x)
        _GELU[approximate][x.dtype](x.size, flat_x, flat_out)
        return out

    def gelu_grad(g: Array, x: Array, *, approximate: str) -> Array:
        if x.size < SMALLEST_FUSED or x.dtype not in FLOAT_DTYPES:
            return reference["gelu_grad"](g, x, approximate=approximate)
        out, flat_out, flat_g, flat_x = flat_pair(g, x)
        _GELU_GRAD[approximate][x.dtype](x.size, flat_g, flat_x, flat_out)
        return out

    def softplus_(x: Array, *, beta: float, threshold: float) -> Array:
        if x.size < SMALLEST_FUSED or x.dtype not in FLOAT_DTYPES:
            return reference["softplus"](x, beta=beta, threshold=threshold)
        out, flat_out, flat_x = flat(x)
        _softplus[x.dtype](x.size, flat_x, beta, threshold, flat_out)
        return out

    return {
        **{name: unary(name, *entry) for name, entry in _UNARY.items()},
        **{name: binary(name, kernel) for name, kernel in _BINARY.items()},
        "gelu": gelu_,
        "gelu_grad": gelu_grad,
        "softplus": softplus_,
    }
