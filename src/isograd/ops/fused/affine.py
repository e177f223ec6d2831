"""The affine map of a linear layer."""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from math import prod

from isograd.core.errors import ShapeError
from isograd.ir import Aval
from isograd.ops import infer
from isograd.ops import primitives as p
from isograd.ops.convert import narrowed
from isograd.ops.fused.common import fused
from isograd.ops.linear import matmul
from isograd.ops.movement import matrix_transpose, reshape
from isograd.runtime.bind import bind
from isograd.runtime.rules import General
from isograd.runtime.tensor import Tensor

__all__ = [
    "linear",
]


def _infer_linear(x: Aval, w: Aval, b: Aval) -> Aval:
    infer.require("linear", x, "float")
    infer.same_dtype("linear", x, w, b)
    if not x.shape or len(w.shape) != 2 or x.shape[-1] != w.shape[1] or b.shape != w.shape[:1]:
        raise ShapeError(
            f"linear: input {x.shape}, weight {w.shape} and bias {b.shape} do not fit; pass "
            "(..., in), (out, in) and (out,)"
        )
    return Aval((*x.shape[:-1], w.shape[0]), x.dtype)


def _rows(x: Tensor) -> Tensor:
    """Flatten all axes but the last into one."""
    shape = x.aval.shape
    return x if len(shape) == 2 else reshape(x, (prod(shape[:-1]), shape[-1]))


def _linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return reshape(matmul(_rows(x), matrix_transpose(w)) + b, (*x.shape[:-1], w.shape[0]))


linear_p = fused(
    "linear",
    _infer_linear,
    _linear,
    General(
        lambda g, x_shape, w: reshape(bind(p.matmul, _rows(g), w), x_shape),
        lambda g, x: bind(p.matmul, bind(p.permute_dims, _rows(g), axes=(1, 0)), _rows(x)),
        lambda g: bind(p.sum, _rows(g), axis=(0,), keepdims=False),
        names=("x", "w", "b"),
    ),
)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``input @ weight.T + bias``.

    Parameters
    ----------
    input, weight, bias
        Shapes ``(..., in)``, ``(out, in)`` and ``(out,)``, of one floating-point dtype.

    Returns
    -------
    Tensor
        Shape ``(..., out)``.

    >>> linear(tensor([1.0, 2.0]), tensor([[3.0, 4.0]]), tensor([5.0])).tolist()
    [16.0]
    """
    x, weight, bias = narrowed(input, weight, bias)
    if bias is None:
        if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
            raise ShapeError(
                f"linear: input {x.shape} and weight {weight.shape} do not fit; pass (..., in) and "
                "(out, in)"
            )
        return reshape(matmul(_rows(x), matrix_transpose(weight)), (*x.shape[:-1], weight.shape[0]))
    return bind(linear_p, x, weight, bias)
