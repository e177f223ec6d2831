"""Products of vectors and matrices."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from isograd.core.errors import ShapeError
from isograd.ops import infer
from isograd.ops import primitives as p
from isograd.ops.complexes import conj
from isograd.ops.convert import TensorLike, axis_of, narrowed, operands
from isograd.ops.movement import (
    concat,
    expand_dims,
    flatten,
    moveaxis,
    permute_dims,
    reshape,
    slice_axis,
    squeeze,
)
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "cross",
    "dot",
    "inner",
    "kron",
    "matmul",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
]


def matmul(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the matrix product.

    Parameters
    ----------
    x1, x2
        Shapes ``(..., n, k)`` and ``(..., k, m)``, with leading axes that broadcast, or ``(k,)``
        for a vector.

    Returns
    -------
    Tensor
        Shape ``(..., n, m)``, without the axis that a vector lacks. 16-bit floats are accumulated
        in float32.

    Raises
    ------
    ShapeError
        If the inner lengths differ, or an argument has no axes.

    >>> matmul(tensor([[1.0, 2.0]]), tensor([3.0, 4.0])).tolist()
    [11.0]
    """
    a, b = narrowed(*operands("matmul", x1, x2))
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape}: a number is no matrix; use * instead"
        )
    if a.ndim >= 2 and b.ndim >= 2:
        return bind(p.matmul, a, b)
    if a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} do not multiply: the inner lengths differ; "
            "transpose or reshape one of them"
        )
    wide_a = expand_dims(a, axis=0) if a.ndim == 1 else a
    wide_b = expand_dims(b, axis=1) if b.ndim == 1 else b
    out = bind(p.matmul, wide_a, wide_b)
    shape = (
        *out.shape[:-2],
        *(() if a.ndim == 1 else (out.shape[-2],)),
        *(() if b.ndim == 1 else (out.shape[-1],)),
    )
    return reshape(out, shape)


def vecdot(x1: TensorLike, x2: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Return the inner products of vectors along an axis; of complex ones, the first conjugated.

    >>> vecdot(tensor([1.0, 2.0]), tensor([3.0, 4.0])).item()
    11.0
    """
    a, b = operands("vecdot", x1, x2)
    if not a.ndim or not b.ndim:
        raise ShapeError(
            f"vecdot: shapes {a.shape} and {b.shape}: a number is no vector; use * instead"
        )
    i, j = axis_of("vecdot", axis, a.ndim), axis_of("vecdot", axis, b.ndim)
    if a.shape[i] != b.shape[j]:
        raise ShapeError(
            f"vecdot: axis {axis} has lengths {a.shape[i]} and {b.shape[j]}; make them equal"
        )
    row = conj(expand_dims(moveaxis(a, i, -1), axis=-2))
    column = expand_dims(moveaxis(b, j, -1), axis=-1)
    return squeeze(bind(p.matmul, row, column), (-2, -1))


def outer(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the products of all pairs of elements of two vectors.

    >>> outer(tensor([1.0, 2.0]), tensor([3.0, 4.0])).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    a, b = operands("outer", x1, x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"outer: shapes {a.shape} and {b.shape}; pass two vectors")
    return bind(p.mul, expand_dims(a, axis=1), expand_dims(b, axis=0))


def tensordot(
    x1: TensorLike, x2: TensorLike, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Tensor:
    """Sum products over pairs of axes.

    Parameters
    ----------
    axes
        The last ``n`` axes of ``x1`` with the first ``n`` of ``x2``, or two sequences of axes.

    >>> tensordot(ones((2, 3)), ones((3, 4)), axes=1).shape
    (2, 4)
    """
    a, b = operands("tensordot", x1, x2)
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ShapeError(
                f"tensordot: axes is {axes} for shapes {a.shape} and {b.shape}; use fewer axes"
            )
        left, right = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        left = [axis_of("tensordot", i, a.ndim) for i in axes[0]]
        right = [axis_of("tensordot", i, b.ndim) for i in axes[1]]
    if [a.shape[i] for i in left] != [b.shape[i] for i in right]:
        raise ShapeError(
            f"tensordot: axes {left} of {a.shape} and {right} of {b.shape} have different lengths; "
            "pair equal ones"
        )
    rest_a = [i for i in range(a.ndim) if i not in left]
    rest_b = [i for i in range(b.ndim) if i not in right]
    rows, columns = [a.shape[i] for i in rest_a], [b.shape[i] for i in rest_b]
    inner = prod([a.shape[i] for i in left])
    flat_a = reshape(permute_dims(a, (*rest_a, *left)), (prod(rows), inner))
    flat_b = reshape(permute_dims(b, (*right, *rest_b)), (inner, prod(columns)))
    return reshape(bind(p.matmul, flat_a, flat_b), (*rows, *columns))


def dot(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return NumPy's product: of numbers, vectors or matrices, else over the last axis of ``x1``.

    >>> dot(tensor([1.0, 2.0]), tensor([3.0, 4.0])).item()
    11.0
    """
    a, b = operands("dot", x1, x2)
    if not a.ndim or not b.ndim:
        return bind(p.mul, a, b)
    return tensordot(a, b, axes=((-1,), (-2 if b.ndim > 1 else -1,)))


def inner(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the inner products of all vectors along the last axes.

    >>> inner(tensor([[1.0, 2.0], [0.0, 1.0]]), tensor([3.0, 4.0])).tolist()
    [11.0, 4.0]
    """
    a, b = operands("inner", x1, x2)
    if not a.ndim or not b.ndim:
        return bind(p.mul, a, b)
    return tensordot(a, b, axes=((-1,), (-1,)))


def vdot(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the inner product of two tensors with as many elements, read in C order.

    >>> vdot(tensor([[1.0, 2.0]]), tensor([3.0, 4.0])).item()
    11.0
    """
    a, b = operands("vdot", x1, x2)
    if a.size != b.size:
        raise ShapeError(
            f"vdot: shapes {a.shape} and {b.shape} have {a.size} and {b.size} elements; pass as "
            "many"
        )
    return vecdot(flatten(a), flatten(b))


def kron(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Return the Kronecker product: copies of ``x2``, each times an element of ``x1``.

    >>> kron(tensor([1, 10]), tensor([1, 2])).tolist()
    [1, 2, 10, 20]
    """
    a, b = operands("kron", x1, x2)
    ndim = max(a.ndim, b.ndim)
    outside = (1,) * (ndim - a.ndim) + a.shape
    inside = (1,) * (ndim - b.ndim) + b.shape
    wide = reshape(a, tuple([n for length in outside for n in (length, 1)]))
    near = reshape(b, tuple([n for length in inside for n in (1, length)]))
    shape = tuple([n * m for n, m in zip(outside, inside, strict=True)])
    return reshape(bind(p.mul, wide, near), shape)


def cross(x1: TensorLike, x2: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Return the cross products of vectors of three elements along an axis; others broadcast.

    >>> cross(tensor([1.0, 0.0, 0.0]), tensor([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    a, b = operands("cross", x1, x2)
    infer.require("cross", a.aval, "numeric or complex")
    shape = infer.broadcast("cross", a.shape, b.shape)
    place = axis_of("cross", axis, len(shape)) - len(shape)
    if any(t.ndim < -place or t.shape[place] != 3 for t in (a, b)):
        raise ShapeError(
            f"cross: axis {axis} of shapes {a.shape} and {b.shape} must have length 3 in both; "
            "name the axis of the vectors"
        )
    a_next, a_last = _turned(a, place, 1), _turned(a, place, 2)
    b_next, b_last = _turned(b, place, 1), _turned(b, place, 2)
    return bind(p.sub, bind(p.mul, a_next, b_last), bind(p.mul, a_last, b_next))


def _turned(x: Tensor, axis: int, by: int) -> Tensor:
    """Return the elements along an axis from ``by`` on, then those before."""
    place = x.ndim + axis
    return concat([slice_axis(x, place, by, 3), slice_axis(x, place, 0, by)], axis=place)
