"""How far a result may be from its reference: one table, and the comparison that applies it.

A result is judged by its error, not by its value::

    error(backend) <= 4 * error(NumPy, same dtype) + c * eps(dtype) * scale

Both errors are against float64. `scale` is the magnitude that rounding acts on: ``|reference|`` for
elementwise operations, the same contraction of absolute values for sums. Where IEEE arithmetic or
the meaning of an operation leaves no freedom, equality is due, the sign of zero included.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from isograd.core import dtypes

__all__ = [
    "BASELINE_FACTOR",
    "OVERRIDES",
    "TABLE",
    "Comparison",
    "Tolerance",
    "bounds",
    "compare",
    "epsilon",
    "outside",
    "tolerance",
]

Array = Any

BASELINE_FACTOR = 4.0
"""How many times NumPy's own error another backend may have, beside the constant term."""


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """One row of the table.

    Attributes
    ----------
    constant, per_root : float
        ``c = constant + per_root * sqrt(terms)``; both zero means that equality is due.
    signed_zero : bool
        Whether equality includes the sign of zero.
    reason : str
        Why this is the right bound.
    widened : bool
        Whether numbers of 16 bits are added up in float32, and the sum is rounded at last.
    """

    constant: float
    per_root: float = 0.0
    signed_zero: bool = True
    reason: str = ""
    widened: bool = False

    @property
    def exact(self) -> bool:
        """Whether equality is due."""
        return self.constant == 0.0 and self.per_root == 0.0

    def factor(self, terms: int) -> float:
        """Return ``c`` for a sum of `terms` terms."""
        return self.constant + self.per_root * math.sqrt(max(terms, 1))


TABLE: Mapping[str, Tolerance] = {
    "exact": Tolerance(
        0.0,
        reason="movement, indexing, integers, comparisons, bits and IEEE-exact operations",
    ),
    "equal": Tolerance(
        0.0, signed_zero=False, reason="one value, but which zero it is depends on a free order"
    ),
    "elementwise": Tolerance(
        8.0, reason="a function of one element is within a few units in the last place"
    ),
    "sum": Tolerance(
        0.0, 4.0, reason="a sum of n terms in a fixed tree errs like a random walk at worst"
    ),
    "transform": Tolerance(
        8.0,
        1.5,
        reason="a stage of a prime length p sums p terms, and partial sums grow like sqrt(k) where "
        "the result grows like sqrt(p): an error of sqrt(p / 8) eps at one deviation, of 1.5 "
        "sqrt(p) at four; Bluestein's algorithm, for large p, errs less, like three transforms",
    ),
    "gradient": Tolerance(
        8.0,
        4.0,
        reason="a few roundings, on the scale by which rounding the inputs moves the gradient",
    ),
    "program": Tolerance(
        8.0,
        4.0,
        reason="many operations, on the scale by which rounding the inputs moves the result",
    ),
}
"""Tolerances by kind."""

OVERRIDES: Mapping[tuple[str, str], Tolerance] = {
    ("cross_entropy_grad", "gradient"): Tolerance(
        64.0,
        4.0,
        reason="softmax minus target cancels against a constant, which changed inputs do not show",
    ),
    **{
        (name, "gradient"): Tolerance(
            128.0,
            4.0,
            reason="singular vectors err by tens of roundings, and those of LAPACK in float64 are "
            "what is right: by 16 roundings where Jacobi's rotations err by 2",
        )
        for name in (
            *("eigh", "eigvalsh", "svd", "svdvals", "pinv", "lstsq"),
            *("isograd.linalg.norm", "isograd.linalg.matrix_norm, nuc"),
        )
    },
}
"""Tolerances by (operation, kind), where the table does not fit; each says why."""


def tolerance(kind: str, /, op: str = "") -> Tolerance:
    """Look up the tolerance of an operation.

    Parameters
    ----------
    kind
        A key of `TABLE`.
    op
        The operation, for `OVERRIDES`.

    Raises
    ------
    KeyError
        If the table has no such kind.

    Examples
    --------
    >>> tolerance("elementwise").factor(terms=1)
    8.0
    """
    found = OVERRIDES.get((op, kind))
    return TABLE[kind] if found is None else found


def epsilon(dtype: Any, /) -> float:
    """Return the distance from 1 to the next number of a floating dtype; 0 for integers and bool.

    Examples
    --------
    >>> epsilon("float64")
    2.220446049250313e-16
    """
    found = dtypes.as_dtype(dtype)
    return float(dtypes.finfo(found).eps) if dtypes.is_inexact(found) else 0.0


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a comparison of one array with its reference found.

    Attributes
    ----------
    ok : bool
        Whether every element is within its bound.
    largest : float
        The largest error in units of its bound: at most 1 when ok, inf where equality, NaN or
        infinity is missed.
    index : tuple of int
        Where that is.
    value, reference, bound : float
        The element, what it should be, and how far it may be from that.
    units : float
        The largest error in units of ``eps * scale``: the baseline for other backends.
    message : str
        What is wrong, or empty.
    """

    ok: bool
    largest: float
    index: tuple[int, ...] = ()
    value: float = math.nan
    reference: float = math.nan
    bound: float = 0.0
    units: float = 0.0
    message: str = ""

    def __bool__(self) -> bool:
        return self.ok


def compare(
    value: Array,
    reference: Array,
    /,
    *,
    tolerance: Tolerance,
    scale: Array | None = None,
    terms: int = 1,
    baseline: float = 0.0,
    dtype: Any = None,
) -> Comparison:
    """Compare an array with its reference, element by element, in units of the bound.

    Parameters
    ----------
    value
        What was computed; shape ``(...)``.
    reference
        What is right, in float64 (or any dtype where equality is due); the same shape.
    tolerance
        A row of the table.
    scale
        The magnitude that rounding acts on; broadcasts to the shape. ``|reference|`` when None.
    terms
        The number of terms of a sum.
    baseline
        NumPy's own error on the same input, as the `units` of its `Comparison`.
    dtype
        The dtype whose precision counts; that of `value` when None.

    Returns
    -------
    Comparison
        NaN must meet NaN, an infinity the same infinity; a reference that the dtype cannot hold
        counts as infinite. Sums whose terms in absolute value it cannot hold may overflow, for that
        depends on the order. The bound never is smaller than the smallest subnormal number. Of
        complex numbers, real and imaginary parts are compared, on the scale of the whole.

    Examples
    --------
    >>> value, reference = np.float32([1.0, 2.0]), np.array([1.0, 2.1])
    >>> result = compare(value, reference, tolerance=TABLE["elementwise"])
    >>> result.ok, result.index
    (False, (1,))
    """
    value = np.asarray(value)
    reference = np.asarray(reference)
    if value.shape != reference.shape:
        message = f"shape {value.shape} where the reference has {reference.shape}"
        return Comparison(False, math.inf, message=message, units=math.inf)
    if value.size == 0:
        return Comparison(True, 0.0)
    if dtypes.is_complex(value.dtype):
        parts, wanted, size = _as_parts(value, reference, scale, tolerance)
        found = compare(
            parts, wanted, tolerance=tolerance, scale=size, terms=terms, baseline=baseline
        )
        return dataclasses.replace(found, index=found.index[:-1])
    if dtypes.is_complex(reference.dtype):
        message = f"dtype {value.dtype} where the reference is complex"
        return Comparison(False, math.inf, message=message, units=math.inf)
    precision = value.dtype if dtype is None else dtypes.as_dtype(dtype)
    if tolerance.exact or not dtypes.is_floating(precision):
        return _compare_exactly(value, reference, tolerance.signed_zero)
    return _compare_floats(value, reference, tolerance, scale, terms, baseline, precision)


def outside(
    value: Array,
    reference: Array,
    /,
    *,
    tolerance: Tolerance,
    scale: Array | None = None,
    terms: int = 1,
    baseline: float = 0.0,
) -> Array:
    """Return which elements `compare` finds outside their bounds; the shapes must be equal.

    Examples
    --------
    >>> value, reference = np.float32([1.0, 2.0]), np.array([1.0, 2.1])
    >>> outside(value, reference, tolerance=TABLE["elementwise"]).tolist()
    [False, True]
    """
    if dtypes.is_complex(value.dtype):
        parts, wanted, size = _as_parts(value, reference, scale, tolerance)
        wrong = outside(
            parts, wanted, tolerance=tolerance, scale=size, terms=terms, baseline=baseline
        )
        return np.any(wrong, axis=-1)
    if tolerance.exact or not dtypes.is_floating(value.dtype):
        return _different(value, reference.astype(value.dtype), tolerance.signed_zero)
    errors = _float_errors(value, reference, tolerance, scale, terms, baseline, value.dtype)
    return errors.ratio > 1.0


def bounds(
    reference: Array,
    /,
    *,
    tolerance: Tolerance,
    dtype: Any,
    scale: Array | None = None,
    terms: int = 1,
) -> Array:
    """Return how far `compare` lets each element of a result in a dtype be from its reference.

    Examples
    --------
    >>> float(bounds(np.array([1.0]), tolerance=TABLE["elementwise"], dtype="float64")[0] / 2**-52)
    8.0
    """
    size = np.abs(reference) if dtypes.is_complex(reference.dtype) else reference
    rounded = np.asarray(size, np.float64)
    precision = dtypes.component(dtypes.as_dtype(dtype))
    return _float_errors(rounded, rounded, tolerance, scale, terms, 0.0, precision).bound


def _as_parts(
    value: Array, reference: Array, scale: Array | None, rule: Tolerance
) -> tuple[Array, Array, Array | None]:
    """Return complex arrays as real ones with the two parts last, and the scale of both parts."""
    if rule.exact:
        size = None
    else:
        whole = np.abs(reference) if scale is None else np.broadcast_to(scale, value.shape)
        size = whole[..., None]
    return _parts(value), _parts(reference), size


def _parts(x: Array) -> Array:
    parts: list[Array] = [np.real(x), np.imag(x)]
    return np.stack(parts, axis=-1)


def _different(value: Array, expected: Array, signed_zero: bool) -> Array:
    with np.errstate(all="ignore"):
        wrong = value != expected
    if dtypes.is_floating(value.dtype):
        both_nan = np.isnan(value.astype(np.float64)) & np.isnan(expected.astype(np.float64))
        wrong = wrong & ~both_nan
        if signed_zero:
            zeros = (value == 0) & (expected == 0)
            wrong = wrong | (zeros & (np.signbit(value) != np.signbit(expected)))
    return np.asarray(wrong)


def _compare_exactly(value: Array, reference: Array, signed_zero: bool) -> Comparison:
    with np.errstate(all="ignore"):
        expected = reference.astype(value.dtype)
    wrong = _different(value, expected, signed_zero)
    if not wrong.any():
        return Comparison(True, 0.0)
    index = _position(wrong)
    message = f"{int(wrong.sum())} of {wrong.size} elements differ where equality is due"
    return Comparison(
        False,
        math.inf,
        index,
        _number(value[index]),
        _number(expected[index]),
        0.0,
        math.inf,
        message,
    )


class _Errors(NamedTuple):
    """Element by element: both values in float64, the bound, the error in its units, and ulps."""

    got: Array
    want: Array
    bound: Array
    ratio: Array
    units: float


def _float_errors(
    value: Array,
    reference: Array,
    rule: Tolerance,
    scale: Array | None,
    terms: int,
    baseline: float,
    dtype: Any,
) -> _Errors:
    info = dtypes.finfo(dtype)
    got = value.astype(np.float64)
    want = reference.astype(np.float64)
    with np.errstate(all="ignore"):
        limit = (
            np.abs(want)
            if scale is None
            else np.broadcast_to(np.asarray(scale, np.float64), want.shape)
        )
        limit = np.where(np.isfinite(limit), limit, np.abs(want))
        eps = epsilon("float32") if rule.widened else float(info.eps)
        step = eps * np.where(np.isfinite(limit), limit, 0.0) + float(info.smallest_subnormal)
        rounding = TABLE["elementwise"].constant * float(info.eps) if rule.widened else 0.0
        last = rounding * np.where(np.isfinite(want), np.abs(want), 0.0)
        bound = (rule.factor(terms) + BASELINE_FACTOR * baseline) * step + last
        rounded = want.astype(dtype).astype(np.float64)
        error = np.abs(got - want)
        special = ~np.isfinite(got) | ~np.isfinite(want)
        same = (
            (got == want)
            | (np.isnan(got) & np.isnan(want))
            | (~np.isfinite(rounded) & (got == rounded))
        )
        largest = float(info.max)
        near_overflow = (
            ~np.isfinite(got) & (np.sign(got) == np.sign(want)) & (np.abs(want) + bound >= largest)
        )
        if terms > 1:
            # Which partial sums of such terms overflow, to which side, depends on the order.
            near_overflow |= ~np.isfinite(got) & np.isfinite(want) & (limit >= largest)
        error = np.where(special, np.where(same | near_overflow, 0.0, math.inf), error)
        units = float(np.max(np.maximum(error - last, 0.0) / step))
        return _Errors(got, want, bound, error / bound, units)


def _compare_floats(
    value: Array,
    reference: Array,
    rule: Tolerance,
    scale: Array | None,
    terms: int,
    baseline: float,
    dtype: Any,
) -> Comparison:
    got, want, bound, ratio, units = _float_errors(
        value, reference, rule, scale, terms, baseline, dtype
    )
    index = _position(ratio == np.max(ratio))
    largest = float(ratio[index])
    ok = largest <= 1.0
    message = (
        "" if ok else f"{int(np.sum(ratio > 1.0))} of {ratio.size} elements are outside the bound"
    )
    return Comparison(
        ok,
        largest,
        index,
        float(got[index]),
        float(want[index]),
        float(bound[index]),
        units,
        message,
    )


def _position(mask: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def _number(element: Any) -> float:
    return float(element)
