"""Numeric derivatives along a line, with an estimate of their own error, and detection of kinks."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["Slope", "random_cotangent", "random_direction", "slope"]

Array = Any

STEPS = (2.0**-6, 2.0**-9, 2.0**-12, 2.0**-15)
"""Steps tried; the one with the smallest estimated error is used."""

FINER_STEPS = (2.0**-18, 2.0**-21)
"""Steps tried where those do not settle, for there may be kinks close by."""

_EPS = float(np.finfo(np.float64).eps)
_UNSETTLED = 1e-6


@dataclasses.dataclass(frozen=True)
class Slope:
    """A numeric derivative along a line.

    Attributes
    ----------
    value : float
        The five-point central difference.
    error : float
        How far it may be from the derivative: truncation and rounding, estimated from the other
        steps.
    left, right : float
        One-sided differences.
    kink : bool
        Whether the one-sided slopes disagree at the point itself, at every small step.
    """

    value: float
    error: float
    left: float
    right: float
    kink: bool


def slope(line: Callable[[float], tuple[float, float]], /) -> Slope:
    """Differentiate a function of one variable at 0.

    Parameters
    ----------
    line
        Maps t to ``(value, magnitude)``; the magnitude is the sum of absolute values that the value
        was added up from, so that its rounding error is about ``eps * magnitude``.

    Returns
    -------
    Slope
        Steps at which the function is not finite are left out; the error is inf when none is left,
        or when the function goes up and down within the smallest one.

    Examples
    --------
    >>> found = slope(lambda t: (math.exp(t), math.exp(t)))
    >>> abs(found.value - 1.0) <= found.error < 1e-10
    True
    >>> slope(lambda t: (abs(t), abs(t))).kink
    True
    """
    middle, magnitude = line(0.0)
    central: list[tuple[float, float]] = []
    sides: list[tuple[float, float, float]] = []
    spreads: list[float] = []
    value, error = math.nan, math.inf
    for step in (*STEPS, *FINER_STEPS):
        if step in FINER_STEPS and (error <= _UNSETTLED * abs(value) or not central):
            break
        points = [line(factor * step) for factor in (-2.0, -1.0, 1.0, 2.0)]
        far_left, left, right, far_right = (value for value, _ in points)
        spreads.append(max(abs(value - middle) for value, _ in points))
        magnitude = max([magnitude, *(size for _, size in points if math.isfinite(size))])
        estimate = (far_left - 8.0 * left + 8.0 * right - far_right) / (12.0 * step)
        if math.isfinite(estimate):
            central.append((step, estimate))
        one_sided = (
            (3.0 * middle - 4.0 * left + far_left) / (2.0 * step),
            (-3.0 * middle + 4.0 * right - far_right) / (2.0 * step),
        )
        sides.append((step, *one_sided))
        if step <= STEPS[-1]:
            value, error = _best(central, magnitude)
    coarse, fine = spreads[len(STEPS) - 2 : len(STEPS)]
    if fine > 64.0 * _EPS * magnitude and fine > 0.5 * coarse:
        # Eight times nearer, and as far from the middle as before: no step is small enough.
        return Slope(value, math.inf, math.nan, math.nan, False)
    left_slope, right_slope = sides[-1][1:]
    return Slope(value, error, left_slope, right_slope, _has_kink(sides, magnitude))


def _best(central: Sequence[tuple[float, float]], magnitude: float) -> tuple[float, float]:
    """Choose the estimate whose truncation and rounding error together are smallest."""
    if not central:
        return math.nan, math.inf
    if len(central) == 1:
        return central[0][1], math.inf
    floor = 2.0 * _EPS * magnitude
    noise = abs(central[-1][1] - central[-2][1]) * central[-1][0] + floor
    best = (central[0][1], math.inf)
    for number, ((_, coarse), (step, fine)) in enumerate(itertools.pairwise(central), start=1):
        truncation = abs(coarse - fine) / 16.0
        # Where finer steps part from this one by more than rounding, it reached beyond a kink.
        parted = [abs(other - fine) - 64.0 * floor / h for h, other in central[number + 1 :]]
        error = 8.0 * (truncation + noise / step) + max([0.0, *parted])
        if error < best[1]:
            best = (fine, error)
    return best


def _has_kink(sides: Sequence[tuple[float, float, float]], magnitude: float) -> bool:
    """Tell whether the jump between one-sided slopes stays as the step shrinks."""
    (_, left_coarse, right_coarse), (step, left, right) = sides[-2:]
    jump, coarse = right - left, right_coarse - left_coarse
    if not (math.isfinite(jump) and math.isfinite(coarse)):
        return False
    floor = 256.0 * _EPS * magnitude / step + 1e-7 * (abs(left) + abs(right))
    return abs(jump) > floor and abs(jump - coarse) <= 0.25 * abs(jump)


def random_direction(rng: np.random.Generator, array: Array, /) -> Array:
    """Draw a direction with entries bounded away from zero, on the scale of the array's.

    Parameters
    ----------
    rng
        The source of randomness.
    array
        A float64 or complex128 array of any shape.

    Returns
    -------
    ndarray
        Entries of either sign, of magnitude ``[0.5, 1]`` times ``|array|`` limited to ``[1/8,
        16]``.

    Examples
    --------
    >>> direction = random_direction(np.random.default_rng(0), np.zeros(3))
    >>> bool((abs(direction) >= 0.0625).all())
    True
    """
    return np.clip(np.abs(array), 0.125, 16.0) * random_cotangent(rng, array.shape, array.dtype)


def random_cotangent(
    rng: np.random.Generator, shape: Sequence[int], dtype: Any = np.float64, /
) -> Array:
    """Draw a cotangent with entries of either sign and of magnitude in ``[0.5, 1]``.

    For a complex dtype, real and imaginary parts are.

    Examples
    --------
    >>> random_cotangent(np.random.default_rng(0), (2, 3)).shape
    (2, 3)
    """
    shape = tuple(shape)
    if np.dtype(dtype).kind == "c":
        return random_cotangent(rng, shape) + 1j * random_cotangent(rng, shape)
    return rng.uniform(0.5, 1.0, shape) * rng.choice((-1.0, 1.0), shape)
