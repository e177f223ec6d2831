"""Norms, powers and the exponential of matrices, in terms of the other functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isograd.core.errors import ShapeError
from isograd.ops import reductions as r
from isograd.ops.convert import TensorLike, as_tensor, axes_of, axis_of, cast
from isograd.ops.creation import eye
from isograd.ops.linalg import primitives as p
from isograd.ops.linalg.common import check_matrices, floats
from isograd.ops.linalg.solving import inv
from isograd.ops.linear import matmul
from isograd.ops.math import abs
from isograd.ops.movement import broadcast_to, expand_dims, moveaxis
from isograd.ops.reductions import vector_norm
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = ["cond", "expm", "matrix_norm", "matrix_power", "multi_dot", "norm"]

_INF = float("inf")


def matrix_norm(x: TensorLike, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """Return the norms of matrices.

    Parameters
    ----------
    x
        Shape ``(..., n, m)``.
    keepdims
        Keep the last two axes with length 1.
    ord
        ``"fro"`` for the root of the sum of squares, ``"nuc"`` for the sum of singular values, 2
        and -2 for the largest and smallest of them, 1 and -1 for the largest and smallest sum of
        absolute values of a column, ``inf`` and ``-inf`` of a row.

    Returns
    -------
    Tensor
        Shape ``(...)``.

    Raises
    ------
    ValueError
        If ``ord`` is none of these.

    >>> matrix_norm(tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    5.0
    """
    (t,), dtype = floats("matrix_norm", x)
    check_matrices("matrix_norm", t)
    return cast(_matrix_norm("matrix_norm", t, keepdims, ord), dtype)


def _matrix_norm(function: str, t: Tensor, keepdims: bool, order: Any) -> Tensor:
    rows, columns = t.ndim - 2, t.ndim - 1
    if order == "fro":
        return vector_norm(t, axis=(rows, columns), keepdims=keepdims)
    if order in ("nuc", 2, -2):
        values = bind(p.svdvals, t)
        total = {"nuc": r.sum, 2: r.max, -2: r.min}[order](values, axis=-1)
    elif order in (1, -1, _INF, -_INF):
        along, across = (rows, rows) if order in (1, -1) else (columns, rows)
        total = (r.max if order > 0 else r.min)(r.sum(abs(t), axis=along), axis=across)
    else:
        raise ValueError(
            f"{function}: ord is {order!r}; choose 'fro', 'nuc', 1, -1, 2, -2, inf or -inf"
        )
    return expand_dims(expand_dims(total, axis=-1), axis=-1) if keepdims else total


def norm(x: TensorLike, /, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the norm of a vector or of matrices, as `numpy.linalg.norm` does.

    Parameters
    ----------
    x
        Any shape.
    ord
        Of `vector_norm` for one axis, of `matrix_norm` for two; None for the root of the sum of
        squares over whatever axes.
    axis
        One axis, two, or None for all; with None and an ``ord`` the tensor must be a vector or a
        matrix.
    keepdims
        Keep the reduced axes with length 1.

    >>> norm(tensor([3.0, 4.0])).item()
    5.0
    """
    (t,), dtype = floats("norm", x)
    if ord is None:
        return cast(vector_norm(t, axis=axis, keepdims=keepdims), dtype)
    axes: tuple[Any, ...] = axes_of("norm", axis, t.ndim)
    if len(axes) == 1:
        return cast(vector_norm(t, axis=axes, keepdims=keepdims, ord=ord), dtype)
    if len(axes) != 2:
        raise ShapeError(
            f"norm: ord={ord!r} means nothing for {len(axes)} axes of shape {t.shape}; name one "
            "axis or two"
        )
    # The first that is named has the rows.
    places = axes if axis is None else [axis_of("norm", i, t.ndim) for i in axis]
    out = _matrix_norm("norm", moveaxis(t, places, (-2, -1)), False, ord)
    for place in axes if keepdims else ():
        out = expand_dims(out, axis=place)
    return cast(out, dtype)


def cond(x: TensorLike, /, *, ord: Any = None) -> Tensor:
    """Return the condition numbers: the norm of a matrix times that of its inverse.

    Parameters
    ----------
    x
        Shape ``(..., n, m)``; square unless ``ord`` is None, 2 or -2.
    ord
        Of `matrix_norm`; None is 2.

    Raises
    ------
    LinAlgError
        If a matrix is singular and ``ord`` is not None, 2 or -2; for those the result is infinite.

    >>> cond(tensor([[2.0, 0.0], [0.0, 1.0]])).item()
    2.0
    """
    (t,), dtype = floats("cond", x)
    check_matrices("cond", t)
    if ord in (None, 2, -2):
        values = bind(p.svdvals, t)
        largest, smallest = r.max(values, axis=-1), r.min(values, axis=-1)
        return cast(smallest / largest if ord == -2 else largest / smallest, dtype)
    return cast(
        _matrix_norm("cond", t, False, ord) * _matrix_norm("cond", inv(t), False, ord), dtype
    )


def matrix_power(x: TensorLike, n: int, /) -> Tensor:
    """Return the product of ``n`` copies of square matrices, by repeated squaring.

    The power of 0 is the identity, negative ones are of the inverse. Integers keep their dtype
    where ``n`` is not negative.

    >>> matrix_power(tensor([[1, 1], [0, 1]]), 3).tolist()
    [[1, 3], [0, 1]]
    """
    t = as_tensor("matrix_power", x)
    if t.ndim < 2 or t.shape[-1] != t.shape[-2]:
        raise ShapeError(
            f"matrix_power: the argument has shape {t.shape}; pass square matrices (..., n, n)"
        )
    if n < 0:
        t, n = inv(t), -n
    if n == 0:
        return broadcast_to(eye(t.shape[-1], dtype=t.dtype, device=t.device), t.shape)
    out: Tensor | None = None
    while True:
        if n % 2:
            out = t if out is None else matmul(out, t)
        n //= 2
        if not n:
            assert out is not None
            return out
        t = matmul(t, t)


def expm(x: TensorLike, /) -> Tensor:
    """Return the exponentials of square matrices, by scaling and squaring.

    N. J. Higham, The scaling and squaring method for the matrix exponential revisited, SIAM J.
    Matrix Anal. Appl. 26 (2005).

    >>> expm(zeros((2, 2))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    (t,), dtype = floats("expm", x)
    return cast(bind(p.expm, t), dtype)


def multi_dot(xs: Sequence[TensorLike], /) -> Tensor:
    """Return the product of matrices, multiplied in the order that takes the fewest operations.

    The first and the last may be vectors.

    Raises
    ------
    ShapeError
        If there are fewer than two, or the inner ones are not matrices.

    >>> multi_dot([ones((2, 3)), ones((3, 1)), ones(1)]).tolist()
    [3.0, 3.0]
    """
    tensors = [as_tensor("multi_dot", x) for x in xs]
    shapes = ", ".join(str(t.shape) for t in tensors)
    ends = {0, len(tensors) - 1}
    fits = [t.ndim == 2 or (t.ndim == 1 and i in ends) for i, t in enumerate(tensors)]
    if len(tensors) < 2 or not all(fits):
        raise ShapeError(
            f"multi_dot: shapes ({shapes}); pass at least two matrices, of which the first and "
            "the last may be vectors"
        )
    first, last = tensors[0], tensors[-1]
    lengths = [first.shape[0] if first.ndim == 2 else 1]
    lengths += [t.shape[0] for t in tensors[1:]]
    lengths.append(last.shape[-1] if last.ndim == 2 else 1)
    return _chain(tensors, _splits(lengths), 0, len(tensors) - 1)


def _splits(lengths: list[int]) -> dict[tuple[int, int], int]:
    """Return where to split each part of a chain of products (dynamic programming)."""
    count = len(lengths) - 1
    cost = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for width in range(1, count):
        for i in range(count - width):
            j = i + width
            options = [
                (cost[i, k] + cost[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1], k)
                for k in range(i, j)
            ]
            cost[i, j], split[i, j] = min(options)
    return split


def _chain(tensors: list[Tensor], split: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return tensors[i]
    k = split[i, j]
    return matmul(_chain(tensors, split, i, k), _chain(tensors, split, k + 1, j))
