"""Complex numbers: their parts, size and direction.

All of these take real numbers too, as complex ones without an imaginary part. For a real loss L the
cotangent of z is dL/dRe(z) + i dL/dIm(z), the direction of steepest ascent.
"""

from __future__ import annotations

from builtins import bool as type_bool
from typing import Any

from isograd.core import dtypes
from isograd.core.errors import DTypeError, ShapeError
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops.convert import TensorLike, as_tensor, cast, operands
from isograd.ops.creation import zeros_like
from isograd.ops.movement import slice_axis, squeeze, stack
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "angle",
    "complex",
    "conj",
    "imag",
    "iscomplexobj",
    "isrealobj",
    "real",
    "view_as_complex",
    "view_as_real",
]


def real(x: TensorLike, /) -> Tensor:
    """Return the real part.

    >>> real(tensor([1.0 + 2.0j])).tolist()
    [1.0]
    """
    t = as_tensor("real", x)
    return bind(p.real, t) if dtypes.is_complex(t.dtype) else t


def imag(x: TensorLike, /) -> Tensor:
    """Return the imaginary part: zeros for real numbers.

    >>> imag(tensor([1.0 + 2.0j])).tolist()
    [2.0]
    """
    t = as_tensor("imag", x)
    return bind(p.imag, t) if dtypes.is_complex(t.dtype) else zeros_like(t)


def conj(x: TensorLike, /) -> Tensor:
    """Return the complex conjugate: real numbers as they are.

    >>> conj(tensor([1.0 + 2.0j])).tolist()
    [(1-2j)]
    """
    t = as_tensor("conj", x)
    return bind(p.conj, t) if dtypes.is_complex(t.dtype) else t


def complex(real: TensorLike, imag: TensorLike, /) -> Tensor:
    """Return the complex numbers with these parts, which broadcast.

    Parts in 16 bits become float32, integers the default float.

    Raises
    ------
    DTypeError
        If a part is complex.

    >>> complex(tensor([1.0]), 2.0).tolist()
    [(1+2j)]
    """
    x, y = operands("complex", real, imag)
    if not dtypes.is_inexact(x.dtype):
        wanted = dtypes.default_float()
        x, y = cast(x, wanted), cast(y, wanted)
    if dtypes.is_half(x.dtype):
        x, y = cast(x, dtypes.float32), cast(y, dtypes.float32)
    return bind(p.complex, x, y)


def angle(x: TensorLike, /) -> Tensor:
    """Return the argument of complex numbers, in (-pi, pi]; its derivative at 0 is 0.

    >>> angle(tensor([1.0j, 2.0])).tolist()
    [1.5707963705062866, 0.0]
    """
    t = _flat_at_zero(as_tensor("angle", x))
    return m.atan2(imag(t), real(t))


def magnitude(t: Tensor) -> Tensor:
    """Return the absolute value of complex numbers; its derivative at 0 is 0 (policy P1)."""
    return m.hypot(real(t), imag(t))


def direction(t: Tensor) -> Tensor:
    """Return complex numbers over their absolute values, and 0, with derivative 0, at 0."""
    t = _flat_at_zero(t)
    size = magnitude(t)
    size = m.where(m.equal(size, 0), 1, size)
    return complex(real(t) / size, imag(t) / size)


def _flat_at_zero(t: Tensor) -> Tensor:
    """Let no derivative pass where a number is 0."""
    return t if t.edge is None else m.where(m.equal(t, 0), m.stop_gradient(t), t)


def view_as_real(x: TensorLike, /) -> Tensor:
    """Return complex numbers as pairs of real ones, along a new last axis. Copies.

    >>> view_as_real(tensor([1.0 + 2.0j])).tolist()
    [[1.0, 2.0]]
    """
    t = as_tensor("view_as_real", x)
    if not dtypes.is_complex(t.dtype):
        raise DTypeError(f"view_as_real: the tensor has dtype {t.dtype}; pass a complex one")
    return stack([real(t), imag(t)], axis=-1)


def view_as_complex(x: TensorLike, /) -> Tensor:
    """Return pairs of real numbers along the last axis as complex numbers. Copies.

    >>> view_as_complex(tensor([[1.0, 2.0]])).tolist()
    [(1+2j)]
    """
    t = as_tensor("view_as_complex", x)
    if t.ndim == 0 or t.shape[-1] != 2:
        raise ShapeError(
            f"view_as_complex: the tensor has shape {t.shape}; its last axis must have length 2"
        )
    last = t.ndim - 1
    parts = [squeeze(slice_axis(t, last, i, i + 1), last) for i in (0, 1)]
    return complex(*parts)


def iscomplexobj(x: Any, /) -> type_bool:
    """Tell whether a tensor, array or number is of a complex dtype, whatever its values.

    >>> iscomplexobj(tensor([1.0 + 0.0j]))
    True
    """
    return dtypes.is_complex(as_tensor("iscomplexobj", x).dtype)


def isrealobj(x: Any, /) -> type_bool:
    """Tell whether a tensor, array or number is not of a complex dtype.

    >>> isrealobj(tensor([1.0]))
    True
    """
    return not iscomplexobj(x)
