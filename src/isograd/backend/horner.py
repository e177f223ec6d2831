"""Polynomials by Horner's rule. Coefficients are tuples, lowest power first."""

from __future__ import annotations

import numpy as np

from isograd.backend.protocols import Array

__all__ = ["horner", "horner_into"]


def horner(coefficients: tuple[float, ...], x: Array, /) -> Array:
    """Evaluate ``c0 + c1*x + ...``: one multiplication and one addition for each coefficient.

    Examples
    --------
    >>> horner((1.0, 2.0, 3.0), 2.0)
    17.0
    """
    out = coefficients[-1] * x + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        out = out * x + coefficient
    return out


def horner_into(out: np.ndarray, coefficients: tuple[float, ...], x: np.ndarray, /) -> np.ndarray:
    """Do the same operations as `horner` in the array ``out``, and return it."""
    np.multiply(x, coefficients[-1], out=out)
    out += coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        out *= x
        out += coefficient
    return out
