"""Rows that serve many primitives."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from isograd.ops.movement import reshape
from isograd.runtime.level import Application
from isograd.runtime.tensor import Tensor

__all__ = [
    "aligned",
    "counted",
    "elementwise",
    "in_rows",
    "leading",
    "shaped",
    "update",
    "widened_per_axis",
]

Row = Callable[[Application], Any]


def aligned(call: Application, index: int, ndim: int) -> Tensor:
    """Return an operand whose axis of examples stands in front of ``ndim`` others."""
    x = call.operands[index]
    if not call.mapped[index] or x.ndim > ndim:
        return x
    return reshape(x, (x.shape[0], *(1,) * (ndim + 1 - x.ndim), *x.shape[1:]))


def elementwise(call: Application) -> Any:
    """Broadcast."""
    pairs = zip(call.operands, call.mapped, strict=True)
    ndims = [len(x.aval.shape) - mapped for x, mapped in pairs]
    ndim = max(ndims)
    if min(ndims) == ndim:
        return call.bind(*call.operands)
    return call.bind(*[aligned(call, i, ndim) for i in range(len(ndims))])


def leading(call: Application) -> Any:
    """Call a primitive that takes any leading axes, equal in all operands."""
    return call.bind(*call.fronts())


def counted(*names: str) -> Row:
    """Make the row of a primitive that has axes, one or a tuple, among its parameters."""

    def row(call: Application) -> Any:
        changed: dict[str, Any] = {}
        for name in names:
            axis = call.static[name]
            changed[name] = axis + 1 if isinstance(axis, int) else tuple([a + 1 for a in axis])
        return call.bind(*call.fronts(), **changed)

    return row


def shaped(call: Application) -> Any:
    """Call a primitive that has the shape of its output among its parameters."""
    shape: tuple[int, ...] = call.static["shape"]
    x = aligned(call, 0, len(shape)) if call.prim.name == "broadcast_to" else call.operands[0]
    return call.bind(x, shape=(call.size, *shape))


def widened_per_axis(**first: Any) -> Row:
    """Make the row of a primitive whose parameters have an entry for each axis.

    The axis of examples gets the entry that is given. None: the number of examples for ``stop``,
    and for ``axes`` its own number, the others counting one more.
    """

    def row(call: Application) -> Any:
        changed: dict[str, Any] = {}
        for name, value in first.items():
            given: tuple[int, ...] = call.static[name]
            if name == "axes":
                changed[name] = (0, *[a + 1 for a in given])
            else:
                changed[name] = (call.size if value is None else value, *given)
        return call.bind(call.operands[0], **changed)

    return row


def in_rows(call: Application) -> Any:
    """Call a primitive whose operands have a first axis of independent rows, with more rows."""
    flat = [reshape(x, (prod(x.shape[:2]), *x.shape[2:])) for x in call.fronts()]
    out = call.bind(*flat)
    return reshape(out, (call.size, flat[0].shape[0] // max(call.size, 1), *out.shape[1:]))


def update(scalars: int) -> Row:
    """Make the row of an update of parameters, which comes after some numbers that all share."""

    def row(call: Application) -> Any:
        if any(call.mapped[:scalars]):
            return NotImplemented
        return call.bind(*call.operands[:scalars], *call.fronts()[scalars:])

    return row
