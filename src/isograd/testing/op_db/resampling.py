"""Rows of padding, resizing, shuffling, sampling by a grid, and bilinear maps."""

# References are lambdas, whose parameters have no annotations.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.generate import Draw, bad, draw
from isograd.testing.op_db.public import case, row
from isograd.testing.op_db.spec import ErrorCase, OpSpec, Scale

__all__ = ["RESAMPLING"]

Array = Any

_FLOATS = ("float64", "float32")


def _pad(x: Array, pad: Any, mode: str = "constant", value: float | None = None) -> Array:
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2)
    pairs += list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    added = [(max(a, 0), max(b, 0)) for a, b in pairs]
    if mode == "constant":
        x = np.pad(x, added, constant_values=value or 0)
    elif mode == "reflect":
        x = np.pad(x, added, mode="reflect")
    else:
        x = np.pad(x, added, mode="edge" if mode == "replicate" else "wrap")
    ends = [n + min(b, 0) for n, (_, b) in zip(x.shape, pairs, strict=True)]
    return x[tuple(slice(max(-a, 0), end) for (a, _), end in zip(pairs, ends, strict=True))]


# -- resizing: each new element as the sum over all old ones ---------------------------------------


def _hat(distance: float) -> float:
    return max(1.0 - abs(distance), 0.0)


def _keys(distance: float, a: float) -> float:
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def _matrix(n: int, m: int, factor: float | None, mode: str, align: bool, smooth: bool) -> Array:
    """Return the matrix that maps ``n`` elements to ``m``."""
    step = 1 / factor if factor else n / m
    if align:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    out = np.zeros((m, n))
    for i in range(m):
        if mode == "area":
            low, high = i * n // m, -(-(i + 1) * n // m)
            out[i, low:high] = 1 / (high - low)
        elif mode.startswith("nearest"):
            out[i, min(int((i + 0.5 * (mode != "nearest")) * step), n - 1)] = 1
        elif smooth:
            wide = max(step, 1.0)
            for j in range(n):
                distance = (j + 0.5 - step * (i + 0.5)) / wide
                out[i, j] = _keys(distance, -0.5) if mode == "bicubic" else _hat(distance)
            out[i] /= out[i].sum()
        else:
            at = i * step if align else step * (i + 0.5) - 0.5
            at = at if mode == "bicubic" else min(max(at, 0.0), n - 1)
            for j in range(math.floor(at) - 1, math.floor(at) + 3):
                weight = _keys(at - j, -0.75) if mode == "bicubic" else _hat(at - j)
                out[i, min(max(j, 0), n - 1)] += weight
    return out


def _interpolate(
    x: Array,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    antialias: bool = False,
) -> Array:
    for axis in range(2, x.ndim):
        n, factor = x.shape[axis], None
        if size is None:
            factor = scale_factor[axis - 2] if isinstance(scale_factor, tuple) else scale_factor
            m = int(n * factor)
        else:
            m = size[axis - 2] if isinstance(size, tuple) else size
        weights = _matrix(n, m, factor, mode, bool(align_corners), antialias)
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ weights.T, -1, axis)
    return x


# -- shuffling -------------------------------------------------------------------------------------


def _shuffled(x: Array, upscale_factor: int) -> Array:
    r, (*batch, channels, height, width) = upscale_factor, x.shape
    out = np.zeros((*batch, channels // r**2, height * r, width * r), x.dtype)
    for i, j in itertools.product(range(r), range(r)):
        out[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
    return out


def _unshuffled(x: Array, downscale_factor: int) -> Array:
    r, (*batch, channels, height, width) = downscale_factor, x.shape
    out = np.zeros((*batch, channels * r**2, height // r, width // r), x.dtype)
    for i, j in itertools.product(range(r), range(r)):
        out[..., i * r + j :: r * r, :, :] = x[..., i::r, j::r]
    return out


def _channels(x: Array, groups: int) -> Array:
    size = x.shape[1] // groups
    return x[:, [g * size + k for k in range(size) for g in range(groups)]]


# -- grids -----------------------------------------------------------------------------------------


def _affine_grid(theta: Array, size: Any, align_corners: bool | None = None) -> Array:
    places = size[2:]
    out = np.zeros((len(theta), *places, len(places)))
    for index in np.ndindex(*places):
        at = [
            (2 * i + 1 - n) / (max(n - 1, 1) if align_corners else n)
            for i, n in zip(index, places, strict=True)
        ]
        out[(slice(None), *index)] = theta @ np.array([*at[::-1], 1.0])
    return out


def _reflected(at: float, low: float, high: float) -> float:
    while high > low and not low <= at <= high:
        at = 2 * low - at if at < low else 2 * high - at
    return at if high > low else 0.0


def _grid_sample(
    x: Array,
    grid: Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Array:
    sizes = x.shape[2:]
    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]))

    def inside(at: float, n: int) -> float:
        if padding_mode == "zeros":
            return at
        if padding_mode == "reflection":
            at = _reflected(at, 0, n - 1) if align_corners else _reflected(at, -0.5, n - 0.5)
        return min(max(at, 0.0), n - 1.0)

    def taps(place: float, n: int) -> list[tuple[int, float]]:
        at = (place + 1) / 2 * (n - 1) if align_corners else ((place + 1) * n - 1) / 2
        if mode == "bicubic":
            near = [math.floor(at) + k for k in range(-1, 3)]
            return [(round(inside(j, n)), _keys(at - j, -0.75)) for j in near]
        at = inside(at, n)
        if mode == "nearest":
            return [(round(at), 1.0)]
        return [(j, _hat(at - j)) for j in (math.floor(at), math.floor(at) + 1)]

    for b, *place in np.ndindex(grid.shape[:-1]):
        ways = [taps(at, n) for at, n in zip(grid[(b, *place)][::-1].tolist(), sizes, strict=True)]
        for corner in itertools.product(*ways):
            if all(0 <= j < n for (j, _), n in zip(corner, sizes, strict=True)):
                value = x[(b, slice(None), *(j for j, _ in corner))]
                out[(b, slice(None), *place)] += value * math.prod(w for _, w in corner)
    return out


def _places(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Draw images, and places that are not between two elements, where slopes change."""
    x = draw(-1.5, 1.5)(rng, shape, np.dtype(np.float64))
    if len(shape) == 4 and shape[-1] == 2:
        # On axes of 5 elements, in quarters of an element, shifted by an eighth.
        x = (np.round(x * 10) + 0.5) / 10 + 0.013
    return x.astype(dtype)


def _bilinear(x1: Array, x2: Array, weight: Array, *bias: Array) -> Array:
    out = np.einsum("...i,kij,...j->...k", x1, weight, x2)
    return out + bias[0] if bias else out


def _rows(
    name: str,
    reference: Callable[..., Array],
    *cases: Any,
    errors: tuple[ErrorCase, ...] = (),
    by: tuple[str, ...] = (),
    grad_args: tuple[int, ...] = (0,),
    source: Draw | None = None,
    size: float = 4.0,
) -> OpSpec:
    return row(
        f"nn.functional.{name}",
        reference,
        *cases,
        by=by,
        source=source or draw(),
        dtypes=_FLOATS,
        grad_args=grad_args,
        scale=Scale("sum", lambda *args, **_: size, lambda x, *_, **__: 64),
        errors=errors,
    )


def _exact(name: str, *cases: Any, by: str, reference: Any, errors: Any) -> OpSpec:
    return row(
        f"nn.functional.{name}",
        reference,
        *cases,
        by=(by,),
        dtypes=("float64", "float32", "float16", "int64"),
        errors=errors,
    )


RESAMPLING: tuple[OpSpec, ...] = (
    _exact(
        "pad",
        case((2, 3), pad=(1, 2)),
        case((2, 3, 4), pad=(1, 0, -1, 2), value=3.0),
        case((2, 5), pad=(2, 4), mode="reflect"),
        case((2, 5), pad=(-1, 2), mode="reflect"),
        case((2, 3, 4), pad=(1, 5, 2, 0), mode="replicate"),
        case((2, 3, 4), pad=(3, 4, 2, 0), mode="circular"),
        by="pad",
        reference=_pad,
        errors=(
            bad((2, 3), pad=(1, 2, 3), error=ValueError, says=("pad", "odd")),
            bad((3,), pad=(1, 1, 1, 1), error=ShapeError, says=("2 axes", "(3,)")),
            bad((3,), pad=(-2, -2), error=ShapeError, says=("takes away more than the 3",)),
            bad((1, 3), pad=(3, 0), mode="reflect", error=ShapeError, says=("pad", "at most 2")),
            bad((3,), pad=(1, 1), mode="mirror", error=ValueError, says=("'mirror'",)),
            bad((3,), pad=(1, 1), mode="reflect", value=1.0, error=ValueError, says=("value=1",)),
        ),
    ),
    _exact(
        "pixel_shuffle",
        case((2, 8, 3, 2), upscale_factor=2),
        case((9, 1, 2), upscale_factor=3),
        by="upscale_factor",
        reference=_shuffled,
        errors=(
            bad((6, 2, 2), upscale_factor=2, error=ShapeError, says=("pixel_shuffle", "(6, 2, 2)")),
            bad((4, 2, 2), upscale_factor=0, error=ValueError, says=("upscale_factor=0",)),
        ),
    ),
    _exact(
        "pixel_unshuffle",
        case((2, 3, 4, 6), downscale_factor=2),
        case((1, 3, 6), downscale_factor=3),
        by="downscale_factor",
        reference=_unshuffled,
        errors=(
            bad((1, 3, 4), downscale_factor=2, error=ShapeError, says=("(1, 3, 4)",)),
            bad((1, 2, 2), downscale_factor=-1, error=ValueError, says=("downscale_factor=-1",)),
        ),
    ),
    _exact(
        "channel_shuffle",
        case((2, 6, 3), groups=2),
        case((1, 6, 2, 2), groups=3),
        by="groups",
        reference=_channels,
        errors=(
            bad((1, 5, 2), groups=2, error=ShapeError, says=("channel_shuffle", "(1, 5, 2)")),
            bad((1, 4, 2), groups=0, error=ValueError, says=("groups=0",)),
        ),
    ),
    _rows(
        "interpolate",
        _interpolate,
        case((2, 3, 5), size=8),
        case((1, 2, 5), scale_factor=1.7, mode="nearest-exact"),
        case((1, 2, 5), size=3, mode="area"),
        case((1, 2, 5), size=8, mode="linear"),
        case((1, 2, 5), size=8, mode="linear", align_corners=True),
        case((1, 2, 4, 3), scale_factor=(1.5, 2.0), mode="bilinear"),
        case((1, 1, 4, 3), size=(7, 2), mode="bicubic"),
        case((1, 1, 4, 3), size=(7, 2), mode="bicubic", align_corners=True),
        case((1, 1, 2, 3, 2), size=3, mode="trilinear"),
        case((1, 1, 7, 6), size=(3, 2), mode="bilinear", antialias=True),
        case((1, 1, 7, 6), size=(3, 2), mode="bicubic", antialias=True),
        errors=(
            bad((1, 1, 3), error=ValueError, says=("interpolate", "size=None")),
            bad((1, 1, 3), size=2, scale_factor=2, error=ValueError, says=("size=2",)),
            bad((1, 1, 3), size=(2, 2), error=ValueError, says=("(2, 2)", "1 axes")),
            bad((1, 1, 3), size=0, error=ShapeError, says=("(1, 1, 3)", "(0,)")),
            bad((1, 1, 3), size=2, mode="cubic", error=ValueError, says=("'cubic'",)),
            bad((1, 1, 3), size=2, mode="bilinear", error=ShapeError, says=("4 axes",)),
            bad((1, 1, 3), size=2, align_corners=True, error=ValueError, says=("align_corners",)),
            bad((1, 1, 3), size=2, antialias=True, error=ValueError, says=("antialias",)),
            bad(
                (1, 1, 3),
                size=2,
                recompute_scale_factor=True,
                error=ValueError,
                says=("recompute_scale_factor",),
            ),
            bad((1, 1, 3, 3), size=2, mode="lanczos", error=ValueError, says=("needs antialias",)),
            bad(
                np.zeros((1, 1, 3), np.int64),
                size=2,
                mode="linear",
                error=DTypeError,
                says=("int64",),
            ),
        ),
    ),
    _rows(
        "affine_grid",
        _affine_grid,
        case((2, 2, 3), size=(2, 1, 3, 4)),
        case((1, 2, 3), size=(1, 1, 1, 3), align_corners=True),
        case((1, 3, 4), size=(1, 1, 2, 2, 3)),
        by=("size",),
        size=16.0,
        errors=(
            bad((1, 2, 3), size=(2, 1, 3, 4), error=ShapeError, says=("affine_grid", "(1, 2, 3)")),
        ),
    ),
    _rows(
        "grid_sample",
        _grid_sample,
        case((1, 2, 5, 5), (1, 2, 3, 2)),
        case((1, 2, 5, 5), (1, 2, 3, 2), padding_mode="border"),
        case((1, 2, 5, 5), (1, 2, 3, 2), padding_mode="reflection"),
        case((2, 1, 5, 5), (2, 1, 3, 2), align_corners=True, padding_mode="reflection"),
        case((1, 2, 5, 5), (1, 2, 3, 2), mode="nearest"),
        case((1, 2, 5, 5), (1, 2, 3, 2), mode="bicubic"),
        case((1, 1, 5, 5), (1, 2, 3, 2), mode="bicubic", padding_mode="border"),
        grad_args=(0, 1),
        source=_places,
        size=64.0,
        errors=(
            bad((1, 1, 2, 2), (2, 1, 1, 2), error=ShapeError, says=("grid_sample", "(2, 1, 1, 2)")),
            bad((1, 1, 2, 2), (1, 1, 1, 3), error=ShapeError, says=("(1, 1, 1, 3)",)),
            bad((1, 1, 0, 2), (1, 1, 1, 2), error=ShapeError, says=("nothing to sample",)),
            bad((1, 1, 2, 2), (1, 1, 1, 2), mode="linear", error=ValueError, says=("'linear'",)),
            bad(
                (1, 1, 2, 2),
                np.zeros((1, 1, 1, 2)),
                error=DTypeError,
                says=("float32", "float64"),
            ),
        ),
    ),
    _rows(
        "bilinear",
        _bilinear,
        case((5, 3), (5, 2), (4, 3, 2)),
        case((3,), (2,), (4, 3, 2), (4,)),
        case((2, 3, 3), (2, 3, 2), (4, 3, 2), (4,)),
        case((0, 3), (0, 2), (4, 3, 2)),
        grad_args=(0, 1, 2, 3),
        size=64.0,
        errors=(bad((5, 3), (5, 2), (4, 3, 3), error=ShapeError, says=("bilinear", "(4, 3, 3)")),),
    ),
)
