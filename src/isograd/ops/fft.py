"""`isograd.fft`: the array API's Fourier transform extension.

A transform of n numbers is ``X[k] = sum_j x[j] exp(-2 pi i j k / n)``, and the inverse one has the
opposite sign and divides by n; ``norm`` moves that factor: ``"backward"`` is that,
``"ortho"`` divides both by sqrt(n), ``"forward"`` only the first by n. float32 and 16-bit floats
give complex64, float64 gives complex128, integers count as the default float. All transforms have
derivatives of any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.devices import Device
from isograd.core.errors import DTypeError, ShapeError
from isograd.ops import primitives as p
from isograd.ops.complexes import conj
from isograd.ops.convert import TensorLike, as_tensor, axes_of, axis_of, cast
from isograd.ops.creation import tensor
from isograd.ops.movement import pad, roll, slice_axis
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

Lengths = Sequence[int] | None
Axes = Sequence[int] | None

#: The norm of the transform that goes the other way and has the same factor.
_OTHER = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


# -- arguments -------------------------------------------------------------------------------------


def _norm(function: str, norm: str | None) -> str:
    if norm is None:
        return "backward"
    if norm not in _OTHER:
        raise ValueError(f"{function}: norm is {norm!r}; pass 'backward', 'ortho' or 'forward'")
    return norm


def _length(function: str, n: Any) -> int:
    try:
        length = int(n.__index__())
    except (AttributeError, TypeError):
        raise DTypeError(f"{function}: a length is {n!r}; pass integers") from None
    if length < 1:
        raise ShapeError(f"{function}: a length is {length}; pass at least 1")
    return length


def _real(function: str, x: TensorLike) -> Tensor:
    """Return an argument as float32 or float64."""
    t = as_tensor(function, x)
    if dtypes.is_complex(t.dtype):
        raise DTypeError(
            f"{function}: the tensor is {t.aval}, but this transforms real numbers; use "
            f"isograd.fft.fft, or take isograd.real of it"
        )
    if not dtypes.is_floating(t.dtype):
        t = cast(t, dtypes.default_float())
    return cast(t, dtypes.float32) if dtypes.is_half(t.dtype) else t


def _complex(function: str, x: TensorLike) -> Tensor:
    """Return an argument as complex64 or complex128."""
    t = as_tensor(function, x)
    if dtypes.is_complex(t.dtype):
        return t
    t = _real(function, t)
    return cast(t, dtypes.result_type(t.dtype, dtypes.complex64))


def _resized(t: Tensor, axis: int, n: int) -> Tensor:
    """Cut an axis to a length, or fill it up with zeros."""
    have = t.shape[axis]
    if n < have:
        return slice_axis(t, axis, 0, n)
    if n == have:
        return t
    widths = [(0, n - have if i == axis else 0) for i in range(t.ndim)]
    return pad(t, widths)


def _axes(function: str, t: Tensor, s: Lengths, axes: Axes) -> list[int]:
    """Return the axes to transform, in the order in which they were given."""
    if axes is None:
        if s is not None and len(s) > t.ndim:
            raise ShapeError(
                f"{function}: s is {tuple(s)} for a tensor of shape {t.shape}; give no more "
                "lengths than there are axes"
            )
        return list(range(0 if s is None else t.ndim - len(s), t.ndim))
    found = [axis_of(function, axis, t.ndim) for axis in axes]
    axes_of(function, tuple(axes), t.ndim)
    if s is not None and len(s) != len(found):
        raise ShapeError(
            f"{function}: s is {tuple(s)} and axes is {tuple(axes)}; give a length for each axis"
        )
    return found


def _sized(function: str, t: Tensor, s: Lengths, axes: Sequence[int]) -> Tensor:
    for axis, n in zip(axes, s or (), strict=s is not None):
        t = _resized(t, axis, _length(function, n))
    return t


# -- complex numbers -------------------------------------------------------------------------------


def _along(
    function: str, x: TensorLike, n: int | None, axis: int, norm: str | None, *, inverse: bool
) -> Tensor:
    t = _complex(function, x)
    number = axis_of(function, axis, t.ndim)
    if n is not None:
        t = _resized(t, number, _length(function, n))
    return bind(p.fft, t, axes=(number,), inverse=inverse, norm=_norm(function, norm))


def _over(
    function: str, x: TensorLike, s: Lengths, axes: Axes, norm: str | None, *, inverse: bool
) -> Tensor:
    t = _complex(function, x)
    numbers = _axes(function, t, s, axes)
    t = _sized(function, t, s, numbers)
    order = tuple(sorted(numbers))
    scaling = _norm(function, norm)
    return bind(p.fft, t, axes=order, inverse=inverse, norm=scaling) if order else t


def fft(
    x: TensorLike, /, *, n: int | None = None, axis: int = -1, norm: str | None = "backward"
) -> Tensor:
    """Return the discrete Fourier transform along an axis.

    Parameters
    ----------
    x
        Any shape with at least one axis; real numbers count as complex ones.
    n
        The length of the transform: the axis is cut, or filled up with zeros. None: its length.
    axis
        The axis.
    norm
        ``"backward"``, ``"ortho"`` or ``"forward"``: see `isograd.fft`.

    Returns
    -------
    Tensor
        complex64 or complex128, of length n along the axis.

    Raises
    ------
    ShapeError
        If the axis does not exist, or a length is 0.
    ValueError
        If ``norm`` is none of the three.

    >>> fft(tensor([1.0, 2.0, 3.0, 4.0])).tolist()
    [(10+0j), (-2+2j), (-2+0j), (-2-2j)]
    """
    return _along("fft", x, n, axis, norm, inverse=False)


def ifft(
    x: TensorLike, /, *, n: int | None = None, axis: int = -1, norm: str | None = "backward"
) -> Tensor:
    """Return the inverse transform along an axis. Parameters and errors: as `fft`.

    >>> ifft(fft(tensor([1.0, 2.0]))).tolist()
    [(1+0j), (2+0j)]
    """
    return _along("ifft", x, n, axis, norm, inverse=True)


def fftn(
    x: TensorLike, /, *, s: Lengths = None, axes: Axes = None, norm: str | None = "backward"
) -> Tensor:
    """Return the transform over several axes.

    Parameters
    ----------
    s
        A length for each of the axes, as ``n`` in `fft`. None: their lengths.
    axes
        The axes; None for all, or for the last ``len(s)``.
    norm
        As in `fft`.

    >>> fftn(tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[(10+0j), (-2+0j)], [(-4+0j), 0j]]
    """
    return _over("fftn", x, s, axes, norm, inverse=False)


def ifftn(
    x: TensorLike, /, *, s: Lengths = None, axes: Axes = None, norm: str | None = "backward"
) -> Tensor:
    """Return the inverse transform over several axes. Parameters: as `fftn`.

    >>> ifftn(tensor([[4.0, 0.0], [0.0, 0.0]])).tolist()
    [[(1+0j), (1+0j)], [(1+0j), (1+0j)]]
    """
    return _over("ifftn", x, s, axes, norm, inverse=True)


def fft2(
    x: TensorLike,
    /,
    *,
    s: Lengths = None,
    axes: Sequence[int] = (-2, -1),
    norm: str | None = "backward",
) -> Tensor:
    """Return the transform over two axes: `fftn` with another default.

    >>> fft2(tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[(10+0j), (-2+0j)], [(-4+0j), 0j]]
    """
    return _over("fft2", x, s, axes, norm, inverse=False)


def ifft2(
    x: TensorLike,
    /,
    *,
    s: Lengths = None,
    axes: Sequence[int] = (-2, -1),
    norm: str | None = "backward",
) -> Tensor:
    """Return the inverse transform over two axes: `ifftn` with another default.

    >>> ifft2(tensor([[4.0, 0.0], [0.0, 0.0]])).tolist()
    [[(1+0j), (1+0j)], [(1+0j), (1+0j)]]
    """
    return _over("ifft2", x, s, axes, norm, inverse=True)


# -- real numbers ----------------------------------------------------------------------------------


def _half(t: Tensor, axis: int, n: int) -> Tensor:
    """Return the bins of half a spectrum that n real numbers have."""
    return _resized(t, axis, n // 2 + 1)


def _real_over(function: str, x: TensorLike, s: Lengths, axes: Axes, norm: str | None) -> Tensor:
    t = _real(function, x)
    numbers = _axes(function, t, s, axes)
    _not_none(function, t, numbers)
    t = _sized(function, t, s, numbers)
    *rest, last = numbers
    scaling = _norm(function, norm)
    out = bind(p.rfft, t, axis=last, norm=scaling)
    order = tuple(sorted(rest))
    return bind(p.fft, out, axes=order, inverse=False, norm=scaling) if order else out


def _back_over(function: str, x: TensorLike, s: Lengths, axes: Axes, norm: str | None) -> Tensor:
    t = _complex(function, x)
    numbers = _axes(function, t, s, axes)
    _not_none(function, t, numbers)
    *rest, last = numbers
    n = 2 * (t.shape[last] - 1) if s is None else s[-1]
    t = _sized(function, t, None if s is None else s[:-1], rest)
    scaling = _norm(function, norm)
    order = tuple(sorted(rest))
    if order:
        t = bind(p.fft, t, axes=order, inverse=True, norm=scaling)
    return _from_half(function, t, n, last, scaling)


def _not_none(function: str, t: Tensor, axes: Sequence[int]) -> None:
    if not axes:
        raise ShapeError(
            f"{function}: there is no axis to transform in shape {t.shape}; name at least one"
        )


def _from_half(function: str, t: Tensor, n: Any, axis: int, norm: str) -> Tensor:
    length = _length(function, n)
    return bind(p.irfft, _half(t, axis, length), axis=axis, n=length, norm=norm)


def rfft(
    x: TensorLike, /, *, n: int | None = None, axis: int = -1, norm: str | None = "backward"
) -> Tensor:
    """Return the first half of the transform of real numbers: the other half is its conjugate.

    Parameters
    ----------
    x
        Real numbers.
    n, axis, norm
        As in `fft`.

    Returns
    -------
    Tensor
        Of length ``n // 2 + 1`` along the axis.

    Raises
    ------
    DTypeError
        If x is complex.
    ShapeError, ValueError
        As `fft`.

    >>> rfft(tensor([1.0, 2.0, 3.0, 4.0])).tolist()
    [(10+0j), (-2+2j), (-2+0j)]
    """
    return _real_over("rfft", x, None if n is None else (n,), (axis,), norm)


def irfft(
    x: TensorLike, /, *, n: int | None = None, axis: int = -1, norm: str | None = "backward"
) -> Tensor:
    """Return the real numbers whose transform has x as its first half: the inverse of `rfft`.

    Parameters
    ----------
    x
        Half a spectrum. The imaginary part of what must be real, the first bin and the last one of
        an even n, is ignored.
    n
        The length of the result: None for ``2 * (length of x - 1)``. The axis is cut to ``n // 2 +
        1`` bins, or filled up with zeros.
    axis, norm
        As in `fft`.

    >>> irfft(rfft(tensor([1.0, 2.0, 3.0, 4.0]))).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    return _back_over("irfft", x, None if n is None else (n,), (axis,), norm)


def rfftn(
    x: TensorLike, /, *, s: Lengths = None, axes: Axes = None, norm: str | None = "backward"
) -> Tensor:
    """Return the transform of real numbers over several axes, half of it along the last.

    Parameters: as `fftn`, errors as `rfft`.

    >>> rfftn(ones((2, 4))).shape
    (2, 3)
    """
    return _real_over("rfftn", x, s, axes, norm)


def irfftn(
    x: TensorLike, /, *, s: Lengths = None, axes: Axes = None, norm: str | None = "backward"
) -> Tensor:
    """Return the real numbers whose transform is x, half a spectrum: the inverse of `rfftn`.

    Parameters
    ----------
    s
        Lengths of the result: the last one as ``n`` in `irfft`.
    axes, norm
        As in `fftn`.

    >>> irfftn(rfftn(ones((2, 4)))).shape
    (2, 4)
    """
    return _back_over("irfftn", x, s, axes, norm)


def rfft2(
    x: TensorLike,
    /,
    *,
    s: Lengths = None,
    axes: Sequence[int] = (-2, -1),
    norm: str | None = "backward",
) -> Tensor:
    """Return the transform of real numbers over two axes: `rfftn` with another default.

    >>> rfft2(ones((2, 4))).shape
    (2, 3)
    """
    return _real_over("rfft2", x, s, axes, norm)


def irfft2(
    x: TensorLike,
    /,
    *,
    s: Lengths = None,
    axes: Sequence[int] = (-2, -1),
    norm: str | None = "backward",
) -> Tensor:
    """Return the inverse of `rfft2`: `irfftn` with another default.

    >>> irfft2(rfft2(ones((2, 4)))).shape
    (2, 4)
    """
    return _back_over("irfft2", x, s, axes, norm)


def hfft(
    x: TensorLike, /, *, n: int | None = None, axis: int = -1, norm: str | None = "backward"
) -> Tensor:
    """Return the real transform of a signal whose second half is the conjugate of the first, x.

    Parameters: as `irfft`.

    >>> hfft(tensor([1.0, 2.0, 1.0])).tolist()
    [6.0, 0.0, -2.0, 0.0]
    """
    scaling = _OTHER[_norm("hfft", norm)]
    return _back_over(
        "hfft", conj(_complex("hfft", x)), None if n is None else (n,), (axis,), scaling
    )


def ihfft(
    x: TensorLike, /, *, n: int | None = None, axis: int = -1, norm: str | None = "backward"
) -> Tensor:
    """Return the first half of the signal whose transform is x, real: the inverse of `hfft`.

    Parameters and errors: as `rfft`.

    >>> ihfft(tensor([6.0, 0.0, -2.0, 0.0])).tolist()
    [(1-0j), (2-0j), (1-0j)]
    """
    scaling = _OTHER[_norm("ihfft", norm)]
    return conj(_real_over("ihfft", x, None if n is None else (n,), (axis,), scaling))


# -- frequencies and order -------------------------------------------------------------------------


def fftfreq(
    n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | Device | None = None
) -> Tensor:
    """Return the frequencies of the bins of `fft`, in cycles per unit of the sample spacing.

    Parameters
    ----------
    n
        The length of the transform.
    d
        The sample spacing.

    >>> fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    length = _length("fftfreq", n)
    bins = (np.arange(length) + length // 2) % length - length // 2
    return _frequencies("fftfreq", bins, length, d, dtype, device)


def rfftfreq(
    n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | Device | None = None
) -> Tensor:
    """Return the frequencies of the bins of `rfft`. Parameters: as `fftfreq`.

    >>> rfftfreq(4).tolist()
    [0.0, 0.25, 0.5]
    """
    length = _length("rfftfreq", n)
    return _frequencies("rfftfreq", np.arange(length // 2 + 1), length, d, dtype, device)


def _frequencies(
    function: str,
    bins: np.ndarray[Any, Any],
    n: int,
    d: float,
    dtype: Any,
    device: str | Device | None,
) -> Tensor:
    wanted = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    if not dtypes.is_floating(wanted):
        raise DTypeError(f"{function}: dtype is {wanted}; pass a real floating-point one")
    return tensor(bins / (n * d), dtype=wanted, device=device)


def _rolled(function: str, x: TensorLike, axes: Any, direction: int) -> Tensor:
    t = as_tensor(function, x)
    numbers = axes_of(function, axes, t.ndim)
    shifts = tuple([direction * (t.shape[i] // 2) for i in numbers])
    return roll(t, shifts, axis=numbers) if numbers else t


def fftshift(x: TensorLike, /, *, axes: int | Axes = None) -> Tensor:
    """Return a spectrum with frequency 0 moved to the middle of the axes; None for all.

    >>> fftshift(fftfreq(4)).tolist()
    [-0.5, -0.25, 0.0, 0.25]
    """
    return _rolled("fftshift", x, axes, 1)


def ifftshift(x: TensorLike, /, *, axes: int | Axes = None) -> Tensor:
    """Return a spectrum with frequency 0 moved back to the front: the inverse of `fftshift`.

    >>> ifftshift(tensor([-0.5, -0.25, 0.0, 0.25])).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    return _rolled("ifftshift", x, axes, -1)
