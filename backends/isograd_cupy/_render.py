"""Loops of compiled programs as CUDA C: one kernel for each, all of a program in one module."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from isograd.backend import dtypes
from isograd.backend.schedule import Kernel, Node
from isograd_cupy._elementwise import expression_of
from isograd_cupy._launch import C_TYPES, Kernels, read
from isograd_cupy._layout import is_half

__all__ = ["module_of", "speaks"]

#: Nodes that are not elementwise primitives.
_OWN: Final = frozenset({"load", "const", "index", "where", "astype", "stop_gradient"})


def speaks(name: str, kinds: list[np.dtype[Any]], static: dict[str, Any], /) -> bool:
    """Tell whether a primitive on these dtypes (arguments, then result) can be part of a loop."""
    if any(is_half(d) for d in kinds):
        return False  # each operation rounds, which its own kernel does
    return name in _OWN or expression_of(name, kinds[0], static) is not None


def _literal(value: Any, dtype: np.dtype[Any]) -> str:
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind in "iu":
        number = int(value)
        text = f"{number}LL" if -(2**63) < number < 2**63 else f"{number % 2**64}ULL"
        return f"({C_TYPES[dtype.name]})({text})"
    bits = int(np.float64(value).view(np.uint64))
    return f"({C_TYPES[dtype.name]})reinterpret<double>({bits}ULL)"


class _Writer:
    """Collects the functions that kernels call."""

    def __init__(self) -> None:
        self.functions: dict[str, str] = {}

    def call(self, node: Node, arguments: list[str], kind: np.dtype[Any]) -> str:
        """Return a call of a primitive on values of a dtype."""
        expression = expression_of(node.op, kind, dict(node.static))
        assert expression is not None, node
        return self._call(f"{node.op}_{len(node.static)}", expression, arguments, kind, node)

    def _call(
        self, name: str, expression: str, arguments: list[str], kind: np.dtype[Any], node: Node
    ) -> str:
        c, out = C_TYPES[kind.name], C_TYPES[node.dtype]
        letters = ", ".join(f"{c} {letter}" for letter in "xyz"[: len(arguments)])
        body = f"({letters}) {{ typedef {c} A; return ({out})({expression}); }}"
        known = self.functions.setdefault(body, f"{name}_{kind.name}_{len(self.functions)}")
        return f"{known}({', '.join(arguments)})"

    def cast(self, argument: str, kind: np.dtype[Any], node: Node) -> str:
        """Return a conversion, by the rules of the kernel of ``astype``."""
        expression = expression_of("astype", kind, {"dtype": dtypes.as_dtype(node.dtype)})
        assert expression is not None
        return self._call("astype", expression, [argument], kind, node)


def _at(strides: tuple[int, ...]) -> str:
    return " + ".join([f"i{k} * {s}LL" for k, s in enumerate(strides) if s]) or "0"


def _value(writer: _Writer, kernel: Kernel, node: Node) -> str:
    arguments = [f"v{a}" for a in node.args]
    dtype = dtypes.as_dtype(node.dtype)
    if node.op == "load":
        return f"p{node.static[0]}[{_at(node.static[1])}]"
    if node.op == "const":
        if is_half(dtype):
            return f"rounded<{C_TYPES[node.dtype]}>({_literal(node.static[0], np.dtype('f4'))})"
        return _literal(node.static[0], dtype)
    if node.op == "index":
        strides, start, step = node.static
        if dtype.kind in "iu":
            return f"({C_TYPES[node.dtype]})({int(start)}LL + {int(step)}LL * ({_at(strides)}))"
        first, by = (_literal(v, np.dtype("f8")) for v in (start, step))
        exact = f"(double)({_at(strides)}) * {by} + {first}"
        if is_half(dtype):
            return f"rounded<{C_TYPES[node.dtype]}>((float)({exact}))"
        return f"({C_TYPES[node.dtype]})({exact})"
    if node.op == "where":
        return f"{arguments[0]} ? {arguments[1]} : {arguments[2]}"
    if node.op == "stop_gradient":
        return arguments[0]
    kind = dtypes.as_dtype(kernel.nodes[node.args[0]].dtype)
    if node.op == "astype":
        return arguments[0] if kind == dtype else writer.cast(arguments[0], kind, node)
    return writer.call(node, arguments, kind)


def _loop(writer: _Writer, kernel: Kernel, name: str) -> str:
    parameters = ", ".join(f"{C_TYPES[d]}* p{i}" for i, d in enumerate(kernel.params))
    lines = [f'extern "C" __global__ void {name}({parameters}) {{']
    lines.append(
        f"  for (long long i = first_index(); i < {math.prod(kernel.shape)}LL;"
        " i += index_step()) {"
    )
    lines.append("    long long rest = i;")
    for axis in range(len(kernel.shape) - 1, -1, -1):
        size = kernel.shape[axis]
        lines.append(f"    long long i{axis} = rest % {size}LL; rest /= {size}LL;")
    for number, node in enumerate(kernel.nodes):
        text = _value(writer, kernel, node)
        lines.append(f"    {C_TYPES[node.dtype]} v{number} = {text};")
    lines += [f"    p{s.param}[{_at(s.strides)}] = v{s.node};" for s in kernel.stores]
    return "\n".join([*lines, "  }", "}"])


_ROUNDED: Final = """
template <class V>
__device__ __forceinline__ V rounded(float value) {
  V out;
  narrow(&out, value);
  return out;
}
"""


def module_of(kernels: list[Kernel], /) -> Kernels:
    """Return one module with a kernel ``loop_0``, ``loop_1``, ... for each of these."""
    writer = _Writer()
    loops = [_loop(writer, kernel, f"loop_{i}") for i, kernel in enumerate(kernels)]
    functions = [
        f"__device__ __forceinline__ {_result(body)} {name}{body}"
        for body, name in writer.functions.items()
    ]
    return Kernels("\n".join([read("math"), _ROUNDED, *functions, *loops]), {})


def _result(body: str) -> str:
    """Return the type that a function's text returns."""
    return body.partition("return (")[2].partition(")")[0]
