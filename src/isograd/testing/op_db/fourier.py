"""Rows of the Fourier transforms, against sums by definition."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.generate import bad, bound
from isograd.testing.op_db.public import case, row
from isograd.testing.op_db.spec import COMPLEX, FLOATS, OpSpec, Scale

__all__ = ["FOURIER"]

Array = Any

_REALS = ("float64", "float32")
_SOME = np.ones(3, np.complex64)


# -- by definition ---------------------------------------------------------------------------------


@functools.cache
def _turns(n: int) -> Array:
    """Return ``exp(2 pi i k / n)`` for all k, in the widest floats that there are."""
    angles = 2 * np.longdouble("3.14159265358979323846264338327950288") / n * np.arange(n)
    return np.cos(angles) + 1j * np.sin(angles)


def _wide(x: Array) -> Array:
    return np.asarray(x, np.clongdouble)


def _factor(n: int, norm: str, inverse: bool) -> Any:
    if norm == "ortho":
        return np.sqrt(np.longdouble(n))
    return np.longdouble(n if (norm == "backward") == inverse else 1)


def _one(x: Array, axis: int, inverse: bool, norm: str) -> Array:
    """Transform one axis of its own length by multiplying with the matrix of waves, in parts."""
    n = x.shape[axis]
    turns = _turns(n) if inverse else _turns(n).conj()
    parts = [
        np.tensordot(x, turns[np.multiply.outer(np.arange(n), k) % n], axes=(axis, 0))
        for k in np.array_split(np.arange(n), n // 256 + 1)
    ]
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, axis) / _factor(n, norm, inverse)


def _fitted(x: Array, axis: int, n: int) -> Array:
    """Cut an axis to n elements, or fill it up with zeros."""
    out = np.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype)
    both = [slice(None)] * x.ndim
    both[axis] = slice(0, min(n, x.shape[axis]))
    out[tuple(both)] = x[tuple(both)]
    return out


def _chosen(x: Array, s: Any, axes: Any) -> list[int]:
    if axes is None:
        return list(range(0 if s is None else x.ndim - len(s), x.ndim))
    return [axis % x.ndim for axis in axes]


def _transform(
    x: Array, *, s: Any = None, axes: Any = None, norm: str = "backward", inverse: bool = False
) -> Array:
    out, chosen = _wide(x), _chosen(x, s, axes)
    for axis, n in zip(chosen, s or [x.shape[a] for a in chosen], strict=True):
        out = _one(_fitted(out, axis, n), axis, inverse, norm)
    return out


def _half(x: Array, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Array:
    last = _chosen(x, s, axes)[-1]
    whole = _transform(x, s=s, axes=axes, norm=norm)
    return np.take(whole, range(whole.shape[last] // 2 + 1), axis=last)


def _mirrored(x: Array, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Array:
    """Write the missing half out as the conjugate of the first, transform, and take real parts."""
    *rest, last = _chosen(x, s, axes)
    n = 2 * (x.shape[last] - 1) if s is None else s[-1]
    out = _wide(x)
    for axis, length in zip(rest, s or [x.shape[a] for a in rest], strict=False):
        out = _one(_fitted(out, axis, length), axis, True, norm)
    half = np.moveaxis(_fitted(out, last, n // 2 + 1), last, -1)
    full = np.zeros((*half.shape[:-1], n), half.dtype)
    full[..., : n // 2 + 1] = half
    full[..., 0] = half[..., 0].real
    if n % 2 == 0:
        full[..., n // 2] = half[..., n // 2].real
    for k in range(n // 2 + 1, n):
        full[..., k] = half[..., n - k].conj()
    return np.moveaxis(_one(full, full.ndim - 1, True, norm).real, -1, last)


def _rounded(reference: Any) -> Any:
    """Return a reference in float64 or complex128."""

    def run(x: Array, **static: Any) -> Array:
        out = reference(x, **static)
        return out.astype(np.complex128 if out.dtype.kind == "c" else np.float64)

    return run


def _along(reference: Any, **fixed: Any) -> Any:
    """Make the reference over one axis of that over several."""

    def run(x: Array, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
        return reference(x, s=None if n is None else (n,), axes=(axis,), norm=norm, **fixed)

    return run


_OTHER = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _hermitian(x: Array, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    return _along(_mirrored)(x.conj(), n=n, axis=axis, norm=_OTHER[norm])


def _hermitian_back(
    x: Array, *, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> Array:
    return _along(_half)(x, n=n, axis=axis, norm=_OTHER[norm]).conj()


def _scaled(reference: Any) -> Scale:
    """Return a tolerance on the scale of the transform's energy, which rounding is spread over."""

    def size(x: Array, **static: Any) -> Array:
        out = np.abs(reference(x, **static)).astype(np.float64)
        return out + np.sqrt(np.sum(out**2) / max(out.size, 1))

    return Scale("transform", of=size, terms=_largest_prime)


def _largest_prime(
    x: Array, *, s: Any = None, n: int | None = None, axes: Any = None, axis: Any = None, **_: Any
) -> int:
    """Return the largest prime factor of a transformed axis: the longest sum of the algorithm."""
    chosen = _chosen(x, s, axes) if axis is None else [axis]
    lengths = (n,) if n is not None else s or [x.shape[a] for a in chosen]
    found = 1
    for length in lengths:
        factor = 2
        while factor * factor <= length:
            if length % factor:
                factor += 1
            else:
                length //= factor
        found = max(found, length)
    return found


# -- rows ------------------------------------------------------------------------------------------


def _row(
    name: str, reference: Any, *cases: Any, dtypes: tuple[str, ...] = COMPLEX, **options: Any
) -> OpSpec:
    return row(
        f"fft.{name}",
        _rounded(reference),
        *cases,
        dtypes=dtypes,
        scale=_scaled(reference),
        **options,
    )


def _primitive(name: str, reference: Any, *cases: Any, **options: Any) -> OpSpec:
    made = _row(name, reference, *cases, fn=bound(name), **options)
    return dataclasses.replace(made, name=name, primitive=True)


def _prim_fft(x: Array, *, axes: Sequence[int], inverse: bool, norm: str) -> Array:
    return _transform(x, axes=axes, inverse=inverse, norm=norm)


_ONES = (
    case((5,)),
    case((6,), norm="ortho"),
    case((3, 4), axis=0, norm="forward"),
    case((3, 4), n=7),
    case((3, 5), n=2, axis=-2),
    case((0, 3)),
    case((4, 96)),
)
_SEVERAL = (
    case((3, 4)),
    case((2, 3, 4), axes=(0, -1), norm="ortho"),
    case((3, 4), s=(2, 5), norm="forward"),
    case((2, 3, 4), s=(4,)),
    case((2, 3, 4), s=(3, 3), axes=(2, 0)),
    case((3, 0, 2), axes=(0, 2)),
)
_TWO = (case((3, 4)), case((2, 3, 4), s=(4, 3)))
_HALVES = (
    case((3,)),
    case((4,), norm="ortho"),
    case((4,), n=7),
    case((3, 4), axis=0, norm="forward"),
    case((2, 3), n=1),
    case((0, 3)),
    case((4, 49)),
)
_EMPTY = bad(np.ones((2, 0), np.complex64), error=ShapeError, says=("fft", "(2, 0)", "empty"))
_NO_AXIS = bad(_SOME, axis=1, error=ShapeError, says=("axis 1", "1 axes"))
_NO_NORM = bad(_SOME, norm="half", error=ValueError, says=("norm", "half", "ortho"))
_NO_LENGTH = bad(_SOME, n=0, error=ShapeError, says=("length is 0",))

FOURIER: tuple[OpSpec, ...] = (
    _primitive(
        "fft",
        _prim_fft,
        *(
            case((3, 4), axes=axes, inverse=inverse, norm=norm)
            for axes, inverse, norm in (
                ((1,), False, "backward"),
                ((0,), True, "backward"),
                ((0, 1), False, "ortho"),
                ((0, 1), True, "forward"),
            )
        ),
        case((2, 100), axes=(1,), inverse=False, norm="forward"),
        case((31, 1), axes=(0, 1), inverse=True, norm="ortho"),
        errors=(
            bad((3,), axes=(0,), inverse=False, norm="ortho", error=DTypeError, says=("fft",)),
        ),
    ),
    _primitive(
        "rfft",
        _along(_half),
        case((5,), axis=0, norm="backward"),
        case((6,), axis=0, norm="ortho"),
        case((4, 3), axis=0, norm="forward"),
        case((2, 101), axis=1, norm="backward"),
        dtypes=_REALS,
        errors=(bad(_SOME, axis=0, norm="ortho", error=DTypeError, says=("rfft", "complex64")),),
    ),
    _primitive(
        "irfft",
        lambda x, *, axis, n, norm: _mirrored(x, s=(n,), axes=(axis,), norm=norm),
        case((3,), axis=0, n=5, norm="backward"),
        case((4,), axis=0, n=6, norm="ortho"),
        case((2, 3), axis=0, n=3, norm="forward"),
        case((2, 101), axis=1, n=200, norm="backward"),
        errors=(bad(_SOME, axis=0, n=7, norm="ortho", error=ShapeError, says=("irfft", "3", "4")),),
    ),
    _row(
        "fft",
        _along(_transform),
        *_ONES,
        errors=(_EMPTY, _NO_AXIS, _NO_NORM, _NO_LENGTH),
    ),
    _row("ifft", _along(_transform, inverse=True), *_ONES, errors=(_NO_NORM,)),
    _row(
        "fftn",
        _transform,
        *_SEVERAL,
        errors=(
            bad(_SOME, axes=(0, 0), error=ShapeError, says=("fftn", "twice")),
            bad(_SOME, s=(2, 2), axes=(0,), error=ShapeError, says=("fftn", "(2, 2)", "(0,)")),
            bad(_SOME, s=(2, 2), error=ShapeError, says=("fftn", "(2, 2)", "(3,)")),
        ),
    ),
    _row("ifftn", functools.partial(_transform, inverse=True), *_SEVERAL),
    _row("fft2", lambda x, **kw: _transform(x, axes=(-2, -1), **kw), *_TWO),
    _row("ifft2", lambda x, **kw: _transform(x, axes=(-2, -1), inverse=True, **kw), *_TWO),
    dataclasses.replace(
        _row("fft", _along(_transform), *_ONES[:4], dtypes=FLOATS), name="fft.fft of real numbers"
    ),
    _row(
        "rfft",
        _along(_half),
        *_ONES,
        dtypes=_REALS,
        errors=(bad(_SOME, error=DTypeError, says=("rfft", "complex64")),),
    ),
    _row("irfft", _along(_mirrored), *_HALVES, errors=(bad(np.ones(1, "c8"), error=ShapeError),)),
    _row(
        "rfftn",
        _half,
        *_SEVERAL,
        dtypes=_REALS,
        errors=(bad((), error=ShapeError, says=("rfftn", "no axis")),),
    ),
    _row(
        "irfftn",
        _mirrored,
        case((3, 4)),
        case((2, 3, 4), axes=(0, -1), norm="ortho"),
        case((3, 4), s=(2, 5), norm="forward"),
        case((2, 3, 4), s=(4,)),
        case((2, 3, 4), s=(3, 2), axes=(2, 0)),
    ),
    _row("rfft2", lambda x, **kw: _half(x, axes=(-2, -1), **kw), *_TWO, dtypes=_REALS),
    _row("irfft2", lambda x, **kw: _mirrored(x, axes=(-2, -1), **kw), *_TWO),
    _row("hfft", _hermitian, *_HALVES),
    _row("ihfft", _hermitian_back, *_ONES, dtypes=_REALS),
    *(
        row(
            f"fft.{name}",
            lambda x, *, axes=None, up=up: np.roll(
                x,
                [
                    (n // 2 if up else -(n // 2))
                    for n in (x.shape[a] for a in (range(x.ndim) if axes is None else axes))
                ],
                axis=tuple(range(x.ndim)) if axes is None else axes,
            ),
            case((5,)),
            case((3, 4)),
            case((2, 3, 4), axes=(0, -1)),
            case((0, 3)),
            dtypes=("float64", "int64", *COMPLEX),
        )
        for name, up in (("fftshift", True), ("ifftshift", False))
    ),
)
