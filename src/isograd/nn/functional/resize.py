"""Changing the size of images and the like by interpolation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isograd.core.dtypes import float32, is_floating, is_half
from isograd.core.errors import DTypeError, ShapeError
from isograd.nn.functional.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from isograd.ops.convert import cast
from isograd.ops.creation import asarray
from isograd.ops.indexing import take
from isograd.ops.movement import repeat
from isograd.runtime.tensor import Tensor

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

Numbers = np.ndarray[Any, Any]

#: The modes, and the numbers of axes to resize for which they exist.
_MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
    "lanczos": (2,),
}
_SMOOTH = ("linear", "bilinear", "trilinear", "bicubic", "lanczos")
_ANTIALIASED = ("bilinear", "bicubic", "lanczos")


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Return images, or signals or volumes, in another size.

    Parameters
    ----------
    input : Tensor
        ``(N, C, W)``, ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
    size : int or sequence of int, optional
        The size wanted; this or ``scale_factor``.
    scale_factor : float or sequence of float, optional
        The factor by which the size grows; the result is rounded down.
    mode : str
        ``"nearest"``, ``"nearest-exact"`` or ``"area"``; ``"linear"``, ``"bilinear"`` or
        ``"trilinear"`` for one, two or three axes; ``"bicubic"`` or ``"lanczos"`` for two.
    align_corners : bool, optional
        For the smooth modes: whether the centres of the outermost elements stay where they are,
        instead of their outer edges.
    recompute_scale_factor : bool, optional
        Whether positions follow from the sizes, instead of from ``scale_factor``.
    antialias : bool
        When making images smaller in mode ``"bilinear"``, ``"bicubic"`` or ``"lanczos"``, widen the
        filter so that it sees every element.

    Raises
    ------
    ShapeError
        If the shape does not fit the mode, or a size is not positive.
    DTypeError
        If the mode is smooth and the input is not floating-point.
    ValueError
        If not one of size and factor is given, or an option does not fit the mode.

    Notes
    -----
    The cubic is that of R. Keys: Cubic convolution interpolation for digital image processing,
    1981, with -0.75, and with -0.5 when antialiased, as in torch.

    Examples
    --------
    >>> import isograd as ig
    >>> interpolate(ig.tensor([[[1.0, 3.0]]]), scale_factor=2).tolist()
    [[[1.0, 1.0, 3.0, 3.0]]]
    >>> interpolate(ig.tensor([[[1.0, 3.0]]]), size=3, mode="linear").tolist()
    [[[1.0, 2.0, 3.0]]]
    """
    return _resize(
        "interpolate",
        input,
        size,
        scale_factor,
        mode,
        align_corners,
        bool(recompute_scale_factor),
        antialias,
    )


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Return `interpolate` of the same arguments, under its older name.

    Examples
    --------
    >>> import isograd as ig
    >>> upsample(ig.ones((1, 1, 2)), size=5).shape
    (1, 1, 5)
    """
    return _resize("upsample", input, size, scale_factor, mode, align_corners, False, False)


def upsample_nearest(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """Return `interpolate` in mode ``"nearest"``.

    Examples
    --------
    >>> import isograd as ig
    >>> upsample_nearest(ig.ones((1, 1, 2)), scale_factor=2).shape
    (1, 1, 4)
    """
    return _resize("upsample_nearest", input, size, scale_factor, "nearest", None, False, False)


def upsample_bilinear(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """Return `interpolate` in mode ``"bilinear"`` with ``align_corners``.

    Examples
    --------
    >>> import isograd as ig
    >>> upsample_bilinear(ig.ones((1, 1, 2, 2)), scale_factor=2).shape
    (1, 1, 4, 4)
    """
    return _resize("upsample_bilinear", input, size, scale_factor, "bilinear", True, False, False)


def _resize(
    function: str,
    x: Tensor,
    size: int | Sequence[int] | None,
    scale_factor: float | Sequence[float] | None,
    mode: str,
    align_corners: bool | None,
    recompute: bool,
    antialias: bool,
) -> Tensor:
    count = x.ndim - 2
    _check_mode(function, x, mode, align_corners, antialias)
    before = x.shape[2:]
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"{function}: size={size}, scale_factor={scale_factor}; pass one of the two"
        )
    factors: list[float | None] = [None] * count
    if scale_factor is not None:
        given = _each(function, "scale_factor", scale_factor, count)
        after = [math.floor(n * factor) for n, factor in zip(before, given, strict=True)]
        factors = factors if recompute or mode == "area" else list(given)
    elif recompute:
        raise ValueError(
            f"{function}: recompute_scale_factor has no meaning for a size; leave it out"
        )
    else:
        after = [int(n) for n in _each(function, "size", size, count)]
    if min(after) < 1 or min(before) < 1:
        raise ShapeError(
            f"{function}: an input of shape {x.shape} would get size {tuple(after)}; use sizes >= 1"
        )
    if mode == "area":
        pool: Callable[..., Tensor] = (
            adaptive_avg_pool1d,
            adaptive_avg_pool2d,
            adaptive_avg_pool3d,
        )[count - 1]
        return pool(x, after[0] if count == 1 else tuple(after))
    dtype = x.dtype
    wide = cast(x, float32) if is_half(dtype) and mode in _SMOOTH else x
    for axis, (n, m, factor) in enumerate(zip(before, after, factors, strict=True), start=2):
        if mode in _SMOOTH:
            wide = _resample(wide, axis, *_taps(n, m, factor, mode, bool(align_corners), antialias))
        else:
            index = _nearest(n, m, factor, mode)
            times = m // n
            if np.array_equal(index, np.repeat(np.arange(n), times)):  # whose gradient is a sum
                wide = repeat(wide, times, axis=axis)
            else:
                wide = take(wide, asarray(index, device=x.device), axis=axis)
    return cast(wide, dtype)


def _check_mode(
    function: str, x: Tensor, mode: str, align_corners: bool | None, antialias: bool
) -> None:
    if mode not in _MODES:
        known = ", ".join(map(repr, _MODES))
        raise ValueError(f"{function}: there is no mode {mode!r}; use one of {known}")
    if x.ndim - 2 not in _MODES[mode]:
        raise ShapeError(
            f"{function}: the input has shape {x.shape}; mode {mode!r} takes inputs of "
            f"{' or '.join(str(n + 2) for n in _MODES[mode])} axes"
        )
    if align_corners is not None and mode not in _SMOOTH:
        raise ValueError(f"{function}: align_corners has no meaning in mode {mode!r}; leave it out")
    if antialias and mode not in _ANTIALIASED:
        raise ValueError(
            f"{function}: antialias with mode {mode!r}; use 'bilinear', 'bicubic' or 'lanczos'"
        )
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError(f"{function}: mode 'lanczos' needs antialias and no align_corners")
    if mode in _SMOOTH and not is_floating(x.dtype):
        raise DTypeError(
            f"{function}: the input has dtype {x.dtype}; mode {mode!r} takes floats, convert it "
            "with .astype"
        )


def _each(function: str, name: str, given: Any, count: int) -> list[Any]:
    values: list[Any] = list(given) if isinstance(given, list | tuple) else [given] * count  # pyright: ignore[reportUnknownArgumentType]
    if len(values) != count:
        raise ValueError(
            f"{function}: {name}={tuple(values)} for {count} axes; pass one number, or one for each"
        )
    return values


def _nearest(n: int, m: int, factor: float | None, mode: str) -> Numbers:
    """Return the source of each element, in torch's arithmetic, which is float32."""
    step = np.float32(1.0 / factor if factor else n / np.float32(m))
    place = np.arange(m, dtype=np.float32) + np.float32(0.5 if mode == "nearest-exact" else 0.0)
    return np.minimum(np.floor(place * step).astype(np.int64), n - 1)


def _taps(
    n: int, m: int, factor: float | None, mode: str, align: bool, antialias: bool
) -> tuple[Numbers, Numbers]:
    """Return which elements each new one is a mean of, and their weights: both ``(m, taps)``."""
    if align:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    else:
        step = 1.0 / factor if factor else n / m
    place = np.arange(m)
    if antialias:
        return _wide_taps(n, step, step * (place + 0.5), mode)
    at = place * step if align else step * (place + 0.5) - 0.5
    if mode != "bicubic":
        at = np.maximum(at, 0.0)
        low = np.minimum(np.floor(at).astype(np.int64), n - 1)
        share = np.clip(at - low, 0.0, 1.0)
        return np.stack([low, np.minimum(low + 1, n - 1)], 1), np.stack([1.0 - share, share], 1)
    low = np.floor(at).astype(np.int64)
    around = low[:, None] + np.arange(-1, 3)
    return np.clip(around, 0, n - 1), _cubic(around - at[:, None], -0.75)


def _cubic(x: Numbers, a: float) -> Numbers:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


_FILTERS: dict[str, tuple[int, Callable[[Numbers], Numbers]]] = {
    "bilinear": (2, lambda x: np.maximum(1.0 - np.abs(x), 0.0)),
    "bicubic": (4, lambda x: _cubic(x, -0.5)),
    "lanczos": (6, lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)),
}


def _wide_taps(n: int, step: float, centre: Numbers, mode: str) -> tuple[Numbers, Numbers]:
    """Return taps of a filter that is as wide as the step."""
    width, weigh = _FILTERS[mode]
    stretch = max(step, 1.0)
    reach = width * 0.5 * stretch
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach + 0.5).astype(np.int64), n)
    index = first[:, None] + np.arange(int((last - first).max()))
    weights = weigh((index - centre[:, None] + 0.5) / stretch) * (index < last[:, None])
    return np.minimum(index, n - 1), weights / weights.sum(1, keepdims=True)


def _resample(x: Tensor, axis: int, index: Numbers, weights: Numbers) -> Tensor:
    """Return weighted means of elements along an axis."""
    shape = (-1, *(1,) * (x.ndim - axis - 1))
    total: Tensor | None = None
    for k in range(index.shape[1]):
        part = take(x, asarray(np.ascontiguousarray(index[:, k]), device=x.device), axis=axis)
        weight = asarray(weights[:, k].reshape(shape).astype(x.dtype), device=x.device)
        total = part * weight if total is None else total + part * weight
    assert total is not None
    return total
