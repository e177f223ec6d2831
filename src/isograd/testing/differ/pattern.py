"""Which elements are wrong, in words: one row, the tail, every other one, only NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from isograd.testing.execute import as_float64

__all__ = ["pattern"]

Array = Any


def pattern(value: Array, right: Array, bad: Array, /) -> str:
    """Describe which elements of an array are wrong, and how.

    Parameters
    ----------
    value, right
        What was computed and what is right, of one shape.
    bad
        Which elements are outside their bounds, of the same shape.

    Returns
    -------
    str
        Where they are, and where the errors have something in common, what.

    Examples
    --------
    >>> bad = np.zeros((4, 3), bool)
    >>> bad[2] = True
    >>> pattern(np.where(bad, 2.0, 1.0), np.ones((4, 3)), bad)
    'index 2 of axis 0, 3 of 12 elements; 2 times the right value'
    """
    what = _how(value, right, bad)
    return f"{_where(bad)}{'; ' + what if what else ''}"


def _where(bad: Array) -> str:
    count, size = int(bad.sum()), bad.size
    share = f"{count} of {size} elements"
    if count == size:
        return "the only element" if size == 1 else f"all {size} elements"
    if count == 1:
        return f"one element, {[int(i) for i in np.argwhere(bad)[0]]} of shape {list(bad.shape)}"
    for axis in range(bad.ndim):
        others = tuple(i for i in range(bad.ndim) if i != axis)
        touched: Array = np.flatnonzero(bad.any(axis=others))
        length = bad.shape[axis]
        if len(touched) == length:
            continue
        if len(touched) == 1:
            return f"index {touched[0]} of axis {axis}, {share}"
        if int(touched[0]) == length - len(touched):
            return f"the last {len(touched)} of axis {axis}, {share}"
        if int(touched[-1]) == len(touched) - 1:
            return f"the first {len(touched)} of axis {axis}, {share}"
        steps = np.unique(np.diff(touched))
        if len(steps) == 1 and steps[0] > 1 and len(touched) > 2:
            nth = {2: "other", 3: "3rd"}.get(int(steps[0]), f"{steps[0]}th")
            return f"every {nth} from {touched[0]} of axis {axis}, {share}"
    return share


def _how(value: Array, right: Array, bad: Array) -> str:
    both = as_float64([value, right])
    got, want = both[0][bad], both[1][bad]
    if np.all(np.isnan(got)) and not np.any(np.isnan(want)):
        return "NaN where there are numbers"
    if np.all(np.isnan(want)) and not np.any(np.isnan(got)):
        return "numbers where there is NaN"
    if not (np.all(np.isfinite(got)) and np.all(np.isfinite(want))):
        return ""
    if np.all(got == 0):
        return "0 instead of other numbers"
    if np.all(want == 0):
        return "other numbers instead of 0"
    if np.all(want != 0):
        ratio = got / want
        if np.allclose(ratio, ratio[0], rtol=1e-3):
            # As many digits as tell it from 1.
            digits = max(4, 2 - int(np.log10(max(abs(ratio[0] - 1.0), 1e-15))))
            times = f"{ratio[0]:.{digits}g} times the right value"
            return "the sign is wrong" if ratio[0] == -1 else times
    shift = got - want
    if len(shift) > 1 and np.allclose(shift, shift[0], rtol=1e-3):
        return f"off by {shift[0]:.4g}"
    square = both[0].ndim == 2 and both[0].shape[0] == both[0].shape[1]
    if square and np.allclose(both[0], both[1].T, rtol=1e-4):
        return "transposed"
    if len(got) > 1 and np.allclose(np.sort(got), np.sort(want), rtol=1e-4):
        return "the right values in other places"
    return ""
