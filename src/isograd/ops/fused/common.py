"""Making fused primitives: each has a decomposition, which is its definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isograd.core import dtypes
from isograd.core.errors import ShapeError
from isograd.ir import Aval, Primitive, Rule
from isograd.ops import infer
from isograd.ops import primitives as p
from isograd.ops.convert import as_tensor, cast
from isograd.ops.infer import require
from isograd.runtime.rules import Elementwise
from isograd.runtime.tensor import Tensor

__all__ = [
    "activation",
    "as_float",
    "fused",
    "gradient",
    "widened",
]


def fused(
    name: str,
    infer: Callable[..., Any],
    decompose: Callable[..., Any],
    rule: Rule | None = None,
    **options: Any,
) -> Primitive:
    """Make a fused primitive and enter it into the list."""
    made = p.enter(name, infer, decompose=decompose, **options)
    made.rule = rule
    return made


def activation(name: str, decompose: Callable[..., Any], row: Callable[..., Any]) -> Primitive:
    """Make the primitive of an activation with its derivative."""

    def infer_activation(x: Aval, **static: Any) -> Aval:
        infer.require(name, x, "float")
        return x

    return fused(name, infer_activation, decompose, Elementwise(row))


def gradient(name: str, decompose: Callable[..., Any]) -> Primitive:
    """Make the primitive of a gradient; its own derivative comes from the decomposition."""

    def infer_gradient(g: Aval, x: Aval, **static: Any) -> Aval:
        infer.require(name, x, "float")
        if g != x:
            raise ShapeError(
                f"{name}: the cotangent is {g}, the value {x}; they must be equal in shape and "
                "dtype"
            )
        return x

    return fused(name, infer_gradient, decompose)


def as_float(function: str, x: Any) -> Tensor:
    """Return an argument as a tensor of floats."""
    t = as_tensor(function, x)
    require(function, t.aval, "any")
    return t if dtypes.is_floating(t.dtype) else cast(t, dtypes.default_float())


def widened(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Compute a decomposition of 16-bit floats in float32 and round once."""

    def widened(*xs: Tensor, **static: Any) -> Any:
        dtype = xs[0].dtype
        if not dtypes.is_half(dtype):
            return fn(*xs, **static)
        out: Tensor | tuple[Tensor, ...] = fn(
            *[cast(x, dtypes.float32) if x.dtype == dtype else x for x in xs], **static
        )
        if isinstance(out, tuple):
            return tuple([cast(part, dtype) for part in out])
        return cast(out, dtype)

    return widened
