"""Whether tensors are equal, or nearly so."""

from __future__ import annotations

from isograd.core import dtypes
from isograd.ops import elementwise as m
from isograd.ops import reductions as r
from isograd.ops.convert import TensorLike, as_tensor, cast, operands
from isograd.runtime.tensor import Tensor

__all__ = ["allclose", "array_equal", "isclose"]


def isclose(
    x1: TensorLike,
    x2: TensorLike,
    /,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """Return whether ``|x1 - x2| <= atol + rtol * |x2|``; infinities are close to themselves alone.

    Parameters
    ----------
    equal_nan
        Whether NaN is close to NaN.

    >>> isclose(tensor([1.0, 1.1]), 1.0).tolist()
    [True, False]
    """
    a, b = operands("isclose", x1, x2)
    if not dtypes.is_inexact(a.dtype):
        a, b = cast(a, dtypes.float64), cast(b, dtypes.float64)
    gap = m.less_equal(m.abs(m.subtract(a, b)), m.add(m.multiply(m.abs(b), rtol), atol))
    close = m.logical_or(m.equal(a, b), m.logical_and(gap, m.isfinite(b)))
    return m.logical_or(close, m.logical_and(m.isnan(a), m.isnan(b))) if equal_nan else close


def allclose(
    x1: TensorLike,
    x2: TensorLike,
    /,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Tell whether all elements are close, as `isclose` says.

    >>> allclose(tensor([1.0, 2.0]), tensor([1.0, 2.000001]))
    True
    """
    return bool(r.all(isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)))


def array_equal(x1: TensorLike, x2: TensorLike, /) -> bool:
    """Tell whether two tensors have one shape and equal elements.

    >>> array_equal(tensor([1, 2]), tensor([1, 2])), array_equal(tensor([1, 2]), tensor([1]))
    (True, False)
    """
    a, b = as_tensor("array_equal", x1), as_tensor("array_equal", x2)
    return a.shape == b.shape and bool(r.all(m.equal(a, b)))
