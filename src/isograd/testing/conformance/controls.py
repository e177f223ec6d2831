"""Broken control backends: a kit that cannot fail proves nothing.

Each is the NumPy backend with one mistake of a kind that backends make, and names the group that
must see it. A conformance run of the kit itself (`tests/testing/test_conformance.py`) fails where
one gets through.
"""

# Kernels here are short functions of arrays, whose types say nothing.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import isograd as ig
from isograd.backend import Backend, Capabilities
from isograd.testing.scheduled import ScheduledBackend

__all__ = ["CONTROLS", "BrokenBackend", "Control"]

Array = Any
Kernel = Callable[..., Any]
Change = Callable[[Kernel], Kernel | None]


class BrokenBackend:
    """The NumPy backend with one kernel changed.

    Parameters
    ----------
    primitive
        Whose kernel.
    change
        Gets the right kernel and returns the wrong one.
    dtypes
        The dtypes that it says it has; all when None.
    """

    name = "broken"
    version = "0"

    def __init__(
        self, primitive: str, change: Change, dtypes: frozenset[np.dtype[Any]] | None = None
    ) -> None:
        with ig.use_backend("numpy") as right:
            self._right: Backend = right
        self._primitive = primitive
        self._change = change
        self._dtypes = dtypes
        self._threads = 1
        self.memory = self._right.memory
        self.protocol_version = self._right.protocol_version

    def kernel(self, name: str, /) -> Kernel | None:
        right = self._right.kernel(name)
        if name != self._primitive:
            return right
        assert right is not None
        return self._change(right)

    def capabilities(self) -> Capabilities:
        has = self._right.capabilities()
        return Capabilities(dtypes=self._dtypes or has.dtypes, threads=True)

    def set_num_threads(self, count: int, /) -> None:
        self._threads = count

    def get_num_threads(self) -> int:
        return self._threads

    def describe(self) -> dict[str, str]:
        return {}


class Control(NamedTuple):
    """A mistake, and who must see it.

    Attributes
    ----------
    family : str
        The kind of mistake.
    group : str
        The group of the kit that must fail.
    op : str
        The operation in whose cell it must be seen; ``"*"`` for groups of the whole backend.
    make : callable
        Makes the backend.
    """

    family: str
    group: str
    op: str
    make: Callable[[], Backend]


def _after(change: Callable[[Array], Array]) -> Change:
    """Return a change of the result."""
    return lambda right: lambda *xs, **static: change(right(*xs, **static))


def _instead(kernel: Callable[..., Any]) -> Change:
    """Return a change that ignores the right kernel."""
    return lambda right: kernel


def _scaled(out: Array) -> Array:
    return (out * (1.0 + 2e-6)).astype(out.dtype)


def _one_bit_up(out: Array) -> Array:
    return np.nextafter(out, np.inf) if out.dtype.kind == "f" else out


def _drop_padding(right: Kernel) -> Kernel:
    """Pad behind where in front is asked for: right where both are equal."""

    def kernel(x: Array, *, low: Any, high: Any, interior: Any, value: float) -> Array:
        total = tuple(a + b for a, b in zip(low, high, strict=True))
        return right(x, low=(0,) * x.ndim, high=total, interior=interior, value=value)

    return kernel


def _drop_tail(right: Kernel) -> Kernel:
    """Forget the remainder after the unrolled part of a long loop."""

    def kernel(x: Array, **static: Any) -> Array:
        return right(x[: x.size // 8 * 8] if x.ndim == 1 and x.size > 100 else x, **static)

    return kernel


def _short_inner_axis(right: Kernel) -> Kernel:
    def kernel(x: Array, y: Array) -> Array:
        k = x.shape[-1] // 4 * 4 if x.shape[-1] > 64 else x.shape[-1]
        return right(x[..., :k], y[..., :k, :])

    return kernel


def _above_a_size(right: Kernel) -> Kernel:
    """Use another code path above 1024 elements, and a worse polynomial in it."""

    def kernel(x: Array) -> Array:
        out = right(x)
        return (out * np.asarray(1.0 + 1e-4, out.dtype)) if x.size > 1024 else out

    return kernel


def _ignore_reversal(right: Kernel) -> Kernel:
    return lambda x: right(x[::-1] if x.ndim and x.strides[0] < 0 else x)


def _write_input(right: Kernel) -> Kernel:
    def kernel(x: Array) -> Array:
        out = right(x)
        if x.size:
            x[...] = out
        return out

    return kernel


def _remember(right: Kernel) -> Kernel:
    calls = iter(range(10**9))
    return lambda x: right(x) + np.asarray(next(calls) * 1e-9, x.dtype)


def _wrap_indices(right: Kernel) -> Kernel:
    return lambda x, indices, *, axis: np.take(x, indices, axis=axis, mode="wrap")


def _write_before_checking(right: Kernel) -> Kernel:
    def kernel(x: Array, indices: Array, y: Array, *, axis: int) -> Array:
        return right(x, np.clip(indices, 0, max(x.shape[axis] - 1, 0)), y, axis=axis)

    return kernel


def _last_of_ties(x: Array, *, axis: int, keepdims: bool) -> Array:
    out = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis=axis)
    return np.expand_dims(out, axis) if keepdims else out


def _halves_swapped(right: Kernel) -> Kernel:
    def kernel(key: Array, *, shape: tuple[int, ...], bits: int) -> Array:
        out = right(key, shape=shape, bits=bits)
        return out[..., ::-1] if bits == 32 and out.ndim else out

    return kernel


def _unstable_softmax(x: Array, *, axis: int) -> Array:
    powers = np.exp(x)
    return powers / np.sum(powers, axis=axis, keepdims=True)


def _one_accumulator(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    out = x
    for i in axis:
        out = np.take(np.cumsum(out, axis=i, dtype=x.dtype), [-1] if x.shape[i] else [], axis=i)
    return out if keepdims else np.squeeze(out, axis)


def _wrong_divisor(right: Kernel) -> Kernel:
    """Divide what a dropout keeps by p instead of 1 - p: right for one half."""

    def kernel(x: Array, key: Array, *, p: float) -> Array:
        out = right(x, key, p=p)
        factor = (1.0 - p) / p if 0.0 < p < 1.0 else 1.0
        return (out * factor).astype(x.dtype)

    return kernel


def _no_empty(right: Kernel) -> Kernel:
    def kernel(x: Array, y: Array) -> Array:
        if 0 in (x.size, y.size):
            raise ValueError("zero-size array")
        return right(x, y)

    return kernel


def _crash(right: Kernel) -> Kernel:
    def kernel(x: Array) -> Array:
        os.abort()

    return kernel


def _flush_subnormals(right: Kernel) -> Kernel:
    def kernel(x: Array, y: Array) -> Array:
        out = right(x, y)
        if out.dtype.kind != "f":
            return out
        return np.where(np.abs(out) < np.finfo(out.dtype).tiny, np.copysign(0, out), out)

    return kernel


def _by_threads() -> Backend:
    holder: list[BrokenBackend] = []

    def change(right: Kernel) -> Kernel:
        return lambda x: right(x) * x.dtype.type(1.0 + 1e-6 * holder[0].get_num_threads())

    holder.append(BrokenBackend("cos", change))
    return holder[0]


def _hiding() -> Backend:
    few = frozenset({np.dtype("float32")})
    return BrokenBackend("exp", lambda right: right, few)


def _wrongly_compiled() -> Backend:
    """Make a backend that is right where it runs operations one by one."""
    right: Any = ScheduledBackend().kernel
    backend: Any = ScheduledBackend(lambda name: np.cosh if name == "sinh" else right(name))
    return backend


def _broken(primitive: str, change: Change) -> Callable[[], Backend]:
    return lambda: BrokenBackend(primitive, change)


CONTROLS: tuple[Control, ...] = (
    Control("dropped padding", "values", "pad", _broken("pad", _drop_padding)),
    Control("wrong divisor", "random", "dropout", _broken("dropout", _wrong_divisor)),
    Control("tail of a loop", "sizes", "sum", _broken("sum", _drop_tail)),
    Control("unstable reduction", "values", "sum", _broken("sum", _instead(_one_accumulator))),
    Control("tail of the inner axis", "values", "matmul", _broken("matmul", _short_inner_axis)),
    Control("wrong above a size", "sizes", "erf", _broken("erf", _above_a_size)),
    Control("inaccurate function", "values", "exp", _broken("exp", _after(_scaled))),
    Control("rounding of an exact operation", "values", "add", _broken("add", _after(_one_bit_up))),
    Control("ignored stride", "layouts", "square", _broken("square", _ignore_reversal)),
    Control("NaN swallowed", "extremes", "tanh", _broken("tanh", _after(np.nan_to_num))),
    Control(
        "NaN lost in a comparison",
        "extremes",
        "maximum",
        _broken("maximum", _instead(lambda x, y: np.where(x >= y, x, y))),
    ),
    Control(
        "sign of zero",
        "extremes",
        "neg",
        _broken("neg", _instead(lambda x: (0 - x).astype(x.dtype))),
    ),
    Control("overflow", "extremes", "softmax", _broken("softmax", _instead(_unstable_softmax))),
    Control("flushed subnormals", "extremes", "mul", _broken("mul", _flush_subnormals)),
    Control("order of ties", "extremes", "argmax", _broken("argmax", _instead(_last_of_ties))),
    Control(
        "wider dtype", "types", "exp", _broken("exp", _after(lambda out: out.astype(np.float64)))
    ),
    Control(
        "wrong gradient kernel",
        "gradients",
        "sigmoid",
        _broken("sigmoid_grad", _instead(lambda g, out: g * out)),
    ),
    Control(
        "wrong second derivative",
        "second order",
        "tanh",
        _broken("tanh_grad", _instead(lambda g, out: g * (1 - out))),
    ),
    Control("index out of range", "errors", "take", _broken("take", _wrap_indices)),
    Control(
        "index clipped", "errors", "scatter_add", _broken("scatter_add", _write_before_checking)
    ),
    Control("input overwritten", "purity", "sqrt", _broken("sqrt", _write_input)),
    Control("state between calls", "purity", "sin", _broken("sin", _remember)),
    Control("threads change bits", "threads", "cos", _by_threads),
    Control("random stream", "random", "random_bits", _broken("random_bits", _halves_swapped)),
    Control("empty arrays", "values", "matmul", _broken("matmul", _no_empty)),
    Control("missing kernel", "complete", "sub", _broken("sub", lambda right: None)),
    Control("capabilities that hide", "protocol", "*", _hiding),
    Control(
        "gradient at a kink",
        "edges",
        "*",
        _broken("relu_grad", _instead(lambda g, x: np.where(x < 0, 0, g).astype(g.dtype))),
    ),
    Control("wrong generated code", "compiled", "sinh", _wrongly_compiled),
    Control("crash of the process", "values", "log2", _broken("log2", _crash)),
)
"""Every control. The last one ends the process, and is seen by the parent alone."""
