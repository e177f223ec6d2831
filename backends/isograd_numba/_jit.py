"""Compiled kernels: the only module of this backend that imports Numba, and only when one runs.

How to write a kernel (a module with kernels imports this one and NumPy, never numba)::

    from isograd_numba._jit import FLOATS, compiled, inlined

    @inlined                                          # called from kernels, inlined by LLVM
    def _square(x: Any) -> Any:
        return x * x

    @compiled("T[::1], float64, T[::1]", T=FLOATS, grain=32768)
    def _scaled_square(start: int, stop: int, x: Array, scale: float, out: Array) -> None:
        for i in range(start, stop):                  # work items [start, stop) of [0, n)
            out[i] = _square(x[i]) * scale

    _scaled_square[x.dtype](x.size, x, 2.0, out)      # n, then the arguments of the signature

* The first two parameters are ``start, stop``. A call passes the number ``n`` of independent work
  items; contiguous ranges of them go to threads, at least ``grain`` items to each. What an item
  computes must depend on its index alone, so that no result depends on the number of threads: a
  reduction makes one item of one fixed chunk, and lets each item own its partial.
* ``kernel[dtype]`` compiles (or loads) the specialisation for ``T``; with two variables, in the
  order of the keywords, ``kernel[dtype, index_dtype]``. Arguments are NOT checked: a caller passes
  exactly the declared dtypes and layouts (``[::1]`` C-contiguous, ``[:]`` any strides, ``[:, ::1]``
  two axes) in native byte order. Arrays may be read-only. Set ISOGRAD_NUMBA_CHECK=1 to check.
* Kernels return nothing, allocate nothing (scratch comes from the caller), raise nothing (report
  through an output), and are plain IEEE: no contraction, no reassociation. ``flags={"contract"}``
  names what a kernel may do beyond that; "fast", "nnan" and "ninf" are refused.
* Global names and closure variables may be other ``inlined`` functions, ``math`` functions, NumPy
  scalar types, numbers, and ``by_dtype(...)``: a choice among these by the dtype of ``T``, which holds
  in the inlined functions that the kernel calls too. So one text serves both dtypes.
"""
from __future__ import annotations

import types
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

__all__ = ["FLOATS", "INDEX", "ByDtype", "Inlined", "Kernel", "by_dtype", "compiled", "inlined"]

FLOATS = ("float32", "float64")
INDEX = ("int32", "int64")
_REFUSED_FLAGS = {"fast", "nnan", "ninf"}


class ByDtype(dict[str, Any]):
    """One value for each dtype that ``T`` of a kernel may be; calling it runs the first in Python."""

    def __call__(self, *args: Any) -> Any:
        return self[np.asarray(args[0]).dtype.name](*args)


def by_dtype(**values: Any) -> Any:
    """Let kernels use ``values[T]`` under one name; the keywords are dtype names."""
    return ByDtype(values)


class Inlined:
    """A function that kernels call; calling it from Python runs the Python function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._dispatchers: dict[str, Any] = {}

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def dispatcher(self, dtype: str = "") -> Any:
        if dtype not in self._dispatchers:
            import numba

            self._dispatchers[dtype] = numba.njit(error_model="numpy", nogil=True)(
                _resolved(self.function, dtype)
            )
        return self._dispatchers[dtype]


def inlined(function: Callable[..., Any], /) -> Any:
    """Mark a function that kernels call."""
    return Inlined(function)


def _resolved(function: Callable[..., Any], dtype: str) -> types.FunctionType:
    """Return the function with its by-dtype values chosen and its Inlined objects made Numba's."""

    def resolve(value: Any) -> Any:
        if isinstance(value, ByDtype):
            value = value[dtype]
        return value.dispatcher(dtype) if isinstance(value, Inlined) else value

    assert isinstance(function, types.FunctionType)
    scope = dict(function.__globals__)
    for name in function.__code__.co_names:
        if name in scope:
            scope[name] = resolve(scope[name])
    cells = tuple(types.CellType(resolve(c.cell_contents)) for c in function.__closure__ or ())
    return types.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, cells or None
    )


def _numba_type(text: str, variables: dict[str, str]) -> Any:
    import numba.core.types as nbt

    text = text.replace(" ", "")
    name, _, layout = text.partition("[")
    scalar = getattr(nbt, variables.get(name, name))
    if not layout:
        return scalar
    axes = layout.rstrip("]").split(",")
    return nbt.Array(scalar, len(axes), "C" if axes[-1] == "::1" else "A")


class Kernel(dict[Any, Callable[..., None]]):
    """Specialisations of one kernel by dtype; missing ones are compiled or loaded on access."""

    def __init__(
        self,
        function: Callable[..., None],
        signature: str,
        variables: dict[str, tuple[str, ...]],
        grain: int,
        flags: frozenset[str],
    ) -> None:
        super().__init__()
        self.function = function
        self.signature = signature
        self.grain = grain
        self.flags = flags
        self._choices = {
            names[0] if len(names) == 1 else names: dict(zip(variables, names, strict=True))
            for names in product(*variables.values())
        }

    def __missing__(self, key: Any) -> Callable[..., None]:
        import numba

        names = tuple(np.dtype(k).name for k in (key if isinstance(key, tuple) else (key,)))
        variables = self._choices[names[0] if len(names) == 1 else names]
        depth, parts, part = 0, [], ""
        for c in self.signature + ",":
            depth += (c == "[") - (c == "]")
            if c == "," and depth == 0:
                parts.append(part)
                part = ""
            else:
                part += c
        args = [_numba_type(p, variables) for p in parts]
        sig = numba.void(numba.intp, numba.intp, *args)
        jitted = numba.njit(
            [sig], error_model="numpy", nogil=True, fastmath=set(self.flags) or False
        )(_resolved(self.function, variables.get("T", "")))
        entry = jitted.overloads[sig.args].entry_point

        def call(n: int, *args: Any) -> None:
            entry(0, n, *args)

        self[key] = call
        return call


def compiled(
    signature: str,
    /,
    *,
    grain: int = 1,
    flags: frozenset[str] | set[str] = frozenset(),
    **variables: tuple[str, ...],
) -> Callable[[Callable[..., None]], Kernel]:
    """Make a kernel of a function over work items; see the module's docstring."""
    if _REFUSED_FLAGS & set(flags):
        raise ValueError(f"compiled: flags {sorted(flags)} break NaN or inf; name others")

    def decorate(function: Callable[..., None]) -> Kernel:
        return Kernel(function, signature, variables, grain, frozenset(flags))

    return decorate
