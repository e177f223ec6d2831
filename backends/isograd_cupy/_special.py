"""Special functions as CUDA C, written down from their definitions over an array namespace.

The definitions get a namespace whose operations write what they would compute, so each function is
one kernel that does the definition's operations, in float64, and rounds once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd.backend.erf import erfinv
from isograd.backend.gamma import digamma, lgamma, polygamma
from isograd_cupy._elementwise import kernel_text, run
from isograd_cupy._launch import Kernels, read
from isograd_cupy._layout import c_type, compute_type, empty

__all__ = ["SPECIAL", "special_module"]

_DEFINITIONS: Final[dict[str, Callable[..., Any]]] = {
    "erfinv": erfinv,
    "lgamma": lgamma,
    "digamma": digamma,
    "polygamma": polygamma,
}


def _text(value: Any) -> str:
    if isinstance(value, _Value):
        return value.name
    bits = int(np.float64(value).view(np.uint64))
    return repr(float(value)) if math.isfinite(value) else f"reinterpret<double>({bits}ULL)"


class _Value:
    """A value in the text: operations on it add a line, and return another one."""

    def __init__(self, lines: list[str], text: str) -> None:
        self.name = f"v{len(lines)}"
        self._lines = lines
        lines.append(f"  auto {self.name} = {text};")

    def made(self, text: str) -> _Value:
        return _Value(self._lines, text)

    def __neg__(self) -> _Value:
        return self.made(f"-{self.name}")

    def __invert__(self) -> _Value:
        return self.made(f"!{self.name}")

    def __pow__(self, exponent: float) -> _Value:
        return self.made(f"pow({self.name}, {_text(exponent)})")

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> Any:
        return self.made(f"{self.name} == {_text(other)}")


def _operators() -> None:
    """Give values the operators that are written between their operands."""

    def forward(sign: str) -> Callable[[_Value, Any], _Value]:
        return lambda x, y: x.made(f"{_text(x)} {sign} {_text(y)}")

    def backward(sign: str) -> Callable[[_Value, Any], _Value]:
        return lambda x, y: x.made(f"{_text(y)} {sign} {_text(x)}")

    for name, sign in {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}.items():
        setattr(_Value, f"__{name}__", forward(sign))
        setattr(_Value, f"__r{name}__", backward(sign))
    for name, sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items():
        setattr(_Value, f"__{name}__", forward(sign))
    for name, sign in {"and": "&&", "or": "||"}.items():
        setattr(_Value, f"__{name}__", forward(sign))


_operators()


class _Namespace:
    """The functions of an array namespace that definitions use."""

    inf, nan = math.inf, math.nan

    def where(self, condition: _Value, x: Any, y: Any) -> _Value:
        return condition.made(f"{_text(condition)} ? {_text(x)} : {_text(y)}")

    def copysign(self, x: _Value, y: _Value) -> _Value:
        return x.made(f"copysign({_text(x)}, {_text(y)})")

    def ones_like(self, x: _Value) -> _Value:
        return x.made("1.0")

    def zeros_like(self, x: _Value) -> _Value:
        return x.made("0.0")

    def __getattr__(self, name: str) -> Callable[[_Value], _Value]:
        known = {"abs": "fabs", "round": "rint"}.get(name, name)
        return lambda x: x.made(f"{known}({_text(x)})")


@functools.cache
def special_module(dtype: np.dtype[Any], name: str, /, **static: int) -> Kernels:
    """Return the module with a function, for a dtype."""
    lines: list[str] = []
    out = _DEFINITIONS[name](_Namespace(), _Value(lines, "x"), **static)
    body = "\n".join([*lines, f"  return {out.name};"])
    function = f"__device__ double special_{name}(double x) {{\n{body}\n}}\n"
    kernel = kernel_text(name, ("T",), f"(A)special_{name}((double)x)")
    types = {"T": c_type(dtype), "A": compute_type(dtype)}
    return Kernels("\n".join([read("math"), function, kernel]), types)


def _special(name: str) -> Kernel:
    def kernel(x: Any, **static: int) -> Any:
        module = special_module(x.dtype, name, **static)
        return run(module, name, empty(x.shape, x.dtype), (x,))

    return kernel


SPECIAL: Final[dict[str, Kernel]] = {name: _special(name) for name in _DEFINITIONS}
