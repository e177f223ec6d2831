"""Compiled kernels. Numba is imported when one is compiled, which the disk cache mostly spares.

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
  order of the keywords, ``kernel[dtype, index_dtype]``. Arrays must have exactly the declared
  dtypes and layouts (``[::1]`` and ``[:, ::1]`` C-contiguous, ``[:]`` any strides) in native byte
  order, else the call is a TypeError. They may be read-only; nothing keeps a kernel from writing.
* Outputs must not overlap inputs (LLVM is told so), and indices must not be negative (``x[i - 1]``
  at ``i = 0`` is memory's end, not the array's): this is what lets plain loops be vectorised.
* Kernels return nothing, allocate nothing (scratch comes from the caller), raise nothing (report
  through an output), and are plain IEEE: no contraction, no reassociation. ``flags={"contract"}``
  names what a kernel may do beyond that; "fast", "nnan" and "ninf" are refused.
* Global names and closure variables may be other ``inlined`` functions, ``math`` functions, NumPy
  scalar types, numbers, and ``by_dtype(...)``: a choice among these by the dtype of ``T``, which
  holds in the inlined functions that the kernel calls too. So one text serves both dtypes.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import re
import threading
import time
import types
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, cast

import numpy as np

from isograd_numba import _cache, _link
from isograd_numba._signature import parse

__all__ = [
    "FLOATS",
    "INDEX",
    "ByDtype",
    "Emitted",
    "Inlined",
    "Kernel",
    "Statistics",
    "by_dtype",
    "compiled",
    "emitted",
    "inlined",
    "statistics",
    "step_address",
]

FLOATS = ("float32", "float64")
INDEX = ("int32", "int64")
_CONSTANTS: tuple[type, ...] = (int, float, complex, str, tuple, np.generic)
_REFUSED_FLAGS = {"fast", "nnan", "ninf"}


class Statistics:
    """What this process did to get its kernels: counts and seconds."""

    compiled = 0
    loaded = 0
    seconds = 0.0


statistics = Statistics()
_locks = [threading.RLock()]


def _after_fork_in_child() -> None:
    _locks[0] = threading.RLock()  # another thread may have held the old one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class ByDtype(dict[str, Any]):
    """One value for each dtype that ``T`` may be; calling it runs a value in Python."""

    def __call__(self, *args: Any) -> Any:
        return self[np.asarray(args[0]).dtype.name](*args)


def by_dtype(**values: Any) -> Any:
    """Let kernels use ``values[T]`` under one name; the keywords are dtype names."""
    return ByDtype(values)


class Inlined:
    """A function that kernels call; calling it from Python runs the Python function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._subroutines: dict[str, Any] = {}

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def subroutine(self, dtype: str) -> Any:
        """Return Numba's form of the function, for kernels whose ``T`` is ``dtype``."""
        if dtype not in self._subroutines:
            from isograd_numba import _compile

            self._subroutines[dtype] = _compile.subroutine(_resolved(self.function, dtype))
        return self._subroutines[dtype]


def inlined(function: Callable[..., Any], /) -> Any:
    """Mark a function that kernels call."""
    return Inlined(function)


class Emitted:
    """A function of int64 arguments whose LLVM instructions Python code builds."""

    def __init__(self, emit: Callable[..., Any], tag: tuple[Any, ...], parameters: int) -> None:
        self.emit = emit
        self.tag = tag
        self.parameters = parameters
        self._intrinsic: Any = None

    def __call__(self, *args: Any) -> Any:
        raise TypeError("an emitted function runs in kernels only; call the kernel")

    def subroutine(self, dtype: str) -> Any:
        """Return Numba's form of the function."""
        if self._intrinsic is None:
            from isograd_numba import _compile

            self._intrinsic = _compile.intrinsic(partial(self.emit, *self.tag), self.parameters)
        return self._intrinsic


def emitted(emit: Callable[..., Any], /, *tag: Any, parameters: int) -> Any:
    """Let kernels call the instructions that ``emit(*tag, builder, *values)`` builds with llvmlite.

    ``emit`` returns an int64 value or None. ``repr(tag)`` is part of the cache's key.
    """
    return Emitted(emit, tag, parameters)


def _scope(function: Callable[..., Any], dtype: str) -> tuple[dict[str, Any], list[Any]]:
    """Return the globals that a function names and its closure, with by-dtype values chosen."""
    assert isinstance(function, types.FunctionType)

    def choose(value: Any) -> Any:
        return value[dtype] if isinstance(value, ByDtype) else value

    names = set(function.__code__.co_names) & function.__globals__.keys()
    named = {name: choose(function.__globals__[name]) for name in sorted(names)}
    return named, [choose(cell.cell_contents) for cell in function.__closure__ or ()]


def _resolved(function: Callable[..., Any], dtype: str) -> types.FunctionType:
    """Return the function with the Inlined and Emitted objects that it names made Numba's."""
    assert isinstance(function, types.FunctionType)

    def resolve(value: Any) -> Any:
        return value.subroutine(dtype) if isinstance(value, Inlined | Emitted) else value

    named, closure = _scope(function, dtype)
    scope = {**function.__globals__, **{name: resolve(value) for name, value in named.items()}}
    cells = tuple(types.CellType(resolve(value)) for value in closure)
    return types.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, cells or None
    )


def _fingerprint(function: Callable[..., Any], dtype: str, digest: Any) -> None:
    """Add to a digest a function's code and everything that it names, recursively."""
    assert isinstance(function, types.FunctionType)
    code = function.__code__.replace(co_filename="", co_firstlineno=1)
    digest.update(marshal.dumps(code, 2))
    named, closure = _scope(function, dtype)
    values: list[tuple[Any, Any]] = [*named.items(), *enumerate(closure)]
    for name, value in values:
        digest.update(f"{name}:{type(value).__qualname__}:".encode())
        if isinstance(value, Inlined):
            _fingerprint(value.function, dtype, digest)
        elif isinstance(value, Emitted):
            _fingerprint(value.emit, dtype, digest)
            digest.update(repr(value.tag).encode())
        elif isinstance(value, np.ndarray):
            array: Any = cast("Any", value)
            digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
        elif isinstance(value, _CONSTANTS):
            digest.update(repr(value).encode())
        elif isinstance(value, types.ModuleType) and value.__name__.startswith("isograd"):
            raise TypeError(f"{function.__name__}: import what it uses of {name} by its own name")
        else:  # a module, type or function of another package
            digest.update(str(getattr(value, "__name__", type(value).__name__)).encode())


def step_address(function: Callable[..., None], parameters: int, /) -> int:
    """Return where the native form of a step of compiled programs is; see `_compile.step_code`."""
    name = re.sub(r"\W", "", function.__name__)
    digest = hashlib.sha256(_cache.environment().encode())
    _fingerprint(function, "", digest)
    symbol = f"isograd_{name}_{digest.hexdigest()[:32]}"
    store = _cache.open_store()
    code = store.load(symbol)
    if code is None:
        from isograd_numba import _compile

        code = _compile.step_code(_resolved(function, ""), parameters, symbol)
        store.save(symbol, code)
    return _link.addresses(code, [symbol])[0]


class Kernel(dict[Any, Callable[..., None]]):
    """Specialisations of one kernel by dtype; missing ones are loaded or compiled on access."""

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
            names: dict(zip(variables, names, strict=True))
            for names in product(*variables.values())
        }

    def __missing__(self, key: Any) -> Callable[..., None]:
        dtypes = cast("tuple[Any, ...]", key if isinstance(key, tuple) else (key,))
        names = tuple(np.dtype(dtype).name for dtype in dtypes)
        if names not in self._choices:
            raise TypeError(f"{self.function.__name__}: no kernel for {names}; use NumPy's kernel")
        with _locks[0]:
            if names not in self:  # under one name for all the spellings of a dtype
                self[names] = self._build(self._choices[names])
            self[key] = self[names]
        return self[key]

    def _build(self, variables: dict[str, str]) -> Callable[..., None]:
        """Load this specialisation from the disk cache, or compile it and keep it there."""
        start = time.perf_counter()
        dtype = variables.get("T", "")
        name = re.sub(r"\W", "", self.function.__name__)
        digest = hashlib.sha256(_cache.environment().encode())
        digest.update(repr((self.signature, variables, self.grain, sorted(self.flags))).encode())
        _fingerprint(self.function, dtype, digest)
        key = f"{name}-{digest.hexdigest()[:32]}"
        symbol = f"isograd_{name}_{digest.hexdigest()[:32]}"
        store = _cache.open_store()
        linked: Callable[..., None] | None = None
        code = store.load(key)
        if code is not None:
            with contextlib.suppress(RuntimeError):  # whole, yet made for another process
                linked = _link.link(code, symbol, name)
                statistics.loaded += 1
        if linked is None:
            code = self._compile(variables, dtype, symbol, name)
            linked = _link.link(code, symbol, name)
            store.save(key, code)
            statistics.compiled += 1
        statistics.seconds += time.perf_counter() - start
        return linked

    def _compile(self, variables: dict[str, str], dtype: str, symbol: str, name: str) -> bytes:
        from isograd_numba import _compile

        return _compile.object_code(
            _resolved(self.function, dtype),
            parse(self.signature, variables),
            self.grain,
            self.flags,
            symbol,
            f"{name}[{', '.join(variables.values())}]",
        )


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
