"""The softmax family and cross-entropy, by rows that stay in the cache.

Rows are taken in groups of about `TILE` numbers, so that exponentials of short rows fill the vector
registers too. Groups are the work items of the threads; a row's result depends on the row alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel, check_labels
from isograd_numba._arrays import FLOAT_DTYPES, contiguous
from isograd_numba._jit import FLOATS, compiled
from isograd_numba._lanes import LANES, row_peak, row_sum
from isograd_numba._math import ONE, ZERO, exp, log

__all__ = ["SMALLEST", "TILE", "softmax_kernels"]

Array = Any
Scalar = Any

SMALLEST: Final = 128
"""Elements from which the compiled kernels are used."""
TILE: Final = 2048
_PARTS: Final = 64


@compiled("T[::1], int64, int64, int64, T[::1], T[::1]", T=FLOATS, grain=2)
def _softmax(
    start: int, stop: int, x: Array, n: int, height: int, parts: int, lanes: Array, out: Array
) -> None:
    tile = height * n
    groups = (x.size + tile - 1) // tile
    for part in range(start, stop):
        for group in range(part * groups // parts, (part + 1) * groups // parts):
            first, last = group * tile, min((group + 1) * tile, x.size)
            for row in range(first, last, n):
                peak = row_peak(x, row, row + n)
                for i in range(row, row + n):
                    out[i] = x[i] - peak
            for i in range(first, last):
                out[i] = exp(out[i])
            for row in range(first, last, n):
                scale = ONE / row_sum(out, row, row + n, lanes, part * LANES)
                for i in range(row, row + n):
                    out[i] = out[i] * scale


@compiled("T[::1], T[::1], int64, int64, int64, T[::1], T[::1]", T=FLOATS, grain=4)
def _softmax_grad(
    start: int,
    stop: int,
    g: Array,
    y: Array,
    n: int,
    height: int,
    parts: int,
    lanes: Array,
    out: Array,
) -> None:
    rows = y.size // n
    for part in range(start, stop):
        for row in range(part * rows // parts * n, (part + 1) * rows // parts * n, n):
            for i in range(row, row + n):
                out[i] = g[i] * y[i]
            mean = row_sum(out, row, row + n, lanes, part * LANES)
            for i in range(row, row + n):
                out[i] = y[i] * (g[i] - mean)


@compiled("T[::1], int64, int64, int64, T[::1], T[::1], T[::1]", T=FLOATS, grain=2)
def _log_softmax(
    start: int,
    stop: int,
    x: Array,
    n: int,
    height: int,
    parts: int,
    lanes: Array,
    peaks: Array,
    out: Array,
) -> None:
    tile = height * n
    groups = (x.size + tile - 1) // tile
    for part in range(start, stop):
        for group in range(part * groups // parts, (part + 1) * groups // parts):
            first, last = group * tile, min((group + 1) * tile, x.size)
            for row in range(first, last, n):
                peak = row_peak(x, row, row + n)
                peaks[row // n] = peak
                for i in range(row, row + n):
                    out[i] = x[i] - peak
            for i in range(first, last):
                out[i] = exp(out[i])
            for row in range(first, last, n):
                peak = peaks[row // n]
                shift = log(row_sum(out, row, row + n, lanes, part * LANES))
                for i in range(row, row + n):
                    out[i] = (x[i] - peak) - shift


@compiled("T[::1], T[::1], int64, int64, int64, T[::1], T[::1]", T=FLOATS, grain=2)
def _log_softmax_grad(
    start: int,
    stop: int,
    g: Array,
    y: Array,
    n: int,
    height: int,
    parts: int,
    lanes: Array,
    out: Array,
) -> None:
    tile = height * n
    groups = (y.size + tile - 1) // tile
    for part in range(start, stop):
        for group in range(part * groups // parts, (part + 1) * groups // parts):
            first, last = group * tile, min((group + 1) * tile, y.size)
            for i in range(first, last):
                out[i] = exp(y[i])
            for row in range(first, last, n):
                total = row_sum(g, row, row + n, lanes, part * LANES)
                for i in range(row, row + n):
                    out[i] = g[i] - out[i] * total


@compiled(
    "T[::1], int64[::1], int64, int64, int64, int64, T, T, T, "
    "T[::1], T[::1], T[::1], T[::1], T[::1]",
    T=FLOATS,
    grain=2,
)
def _cross_entropy(
    start: int,
    stop: int,
    x: Array,
    labels: Array,
    n: int,
    height: int,
    parts: int,
    ignored: int,
    smoothing: Scalar,
    classes: Scalar,
    limit: Scalar,
    lanes: Array,
    scratch: Array,
    peaks: Array,
    means: Array,
    out: Array,
) -> None:
    """Write each row's loss, or logsumexp where there are no labels.

    The maximum that is subtracted is kept within +-limit. ``means`` is empty without smoothing.
    """
    groups = (out.size + height - 1) // height
    for part in range(start, stop):
        at, space = part * LANES, part * TILE
        for group in range(part * groups // parts, (part + 1) * groups // parts):
            first, last = group * height, min((group + 1) * height, out.size)
            for row in range(first, last):
                peak = row_peak(x, row * n, row * n + n)
                peak = limit if peak > limit else peak
                peaks[row] = -limit if peak < -limit else peak
                out[row] = ZERO
            for left in range(0, n, TILE):
                width = min(TILE, n - left)
                end = space + (last - first) * width
                for row in range(first, last):
                    peak = peaks[row]
                    to, source = space + (row - first) * width, row * n + left
                    for j in range(width):
                        scratch[to + j] = x[source + j] - peak
                if means.size:
                    for row in range(first, last):
                        to = space + (row - first) * width
                        mean = means[row] if left else ZERO
                        means[row] = mean + row_sum(scratch, to, to + width, lanes, at)
                for i in range(space, end):
                    scratch[i] = exp(scratch[i])
                for row in range(first, last):
                    to = space + (row - first) * width
                    out[row] += row_sum(scratch, to, to + width, lanes, at)
            for row in range(first, last):
                shift = log(out[row])
                if labels.size == 0:
                    out[row] = shift + peaks[row]
                elif labels[row] == ignored:
                    out[row] = ZERO
                else:
                    loss = shift - (x[row * n + labels[row]] - peaks[row])
                    if means.size:
                        even = shift - means[row] / classes
                        loss = (ONE - smoothing) * loss + smoothing * even
                    out[row] = loss


@compiled(
    "T[::1], T[::1], int64[::1], int64, int64, int64, int64, T, T, T[::1], T[::1]",
    T=FLOATS,
    grain=2,
)
def _cross_entropy_grad(
    start: int,
    stop: int,
    g: Array,
    x: Array,
    labels: Array,
    n: int,
    height: int,
    parts: int,
    ignored: int,
    chosen: Scalar,
    even: Scalar,
    lanes: Array,
    out: Array,
) -> None:
    tile = height * n
    groups = (x.size + tile - 1) // tile
    for part in range(start, stop):
        for group in range(part * groups // parts, (part + 1) * groups // parts):
            first, last = group * tile, min((group + 1) * tile, x.size)
            for row in range(first, last, n):
                peak = row_peak(x, row, row + n)
                for i in range(row, row + n):
                    out[i] = x[i] - peak
            for i in range(first, last):
                out[i] = exp(out[i])
            for row in range(first, last, n):
                label, factor = labels[row // n], g[row // n]
                scale = ONE / row_sum(out, row, row + n, lanes, part * LANES)
                if label == ignored:
                    for i in range(row, row + n):
                        out[i] = ZERO
                else:
                    at_label = factor * ((out[row + label] * scale - chosen) - even)
                    for i in range(row, row + n):
                        out[i] = factor * (out[i] * scale - even)
                    out[row + label] = at_label


def _groups(rows: int, n: int, dtype: Any) -> tuple[int, int, Array]:
    """Return rows per group, parts of the groups, and scratch lanes for each part."""
    height = max(1, TILE // n)
    parts = min(-(-rows // height), _PARTS)
    return height, parts, np.empty(parts * LANES, dtype)


def _is_small(x: Array) -> bool:
    return x.size < SMALLEST or x.dtype not in FLOAT_DTYPES


def _rows(x: Array, axis: int) -> Array:
    """Return the array contiguous with ``axis`` last."""
    return contiguous(x if axis == x.ndim - 1 else np.moveaxis(x, axis, -1))


def softmax_kernels(reference: Mapping[str, Kernel], /) -> dict[str, Kernel]:
    """Return the compiled kernels of these primitives.

    Parameters
    ----------
    reference
        Kernels by primitive that take what the compiled ones leave.

    Returns
    -------
    dict
        From the primitive's name to its kernel.
    """

    def from_rows(out: Array, axis: int) -> Array:
        return out if axis == out.ndim - 1 else np.moveaxis(out, -1, axis)

    def softmax(x: Array, *, axis: int) -> Array:
        if _is_small(x):
            return reference["softmax"](x, axis=axis)
        rows = _rows(x, axis)
        n, out = rows.shape[-1], np.empty(rows.shape, x.dtype)
        height, parts, lanes = _groups(x.size // n, n, x.dtype)
        _softmax[x.dtype](parts, rows.ravel(), n, height, parts, lanes, out.ravel())
        return from_rows(out, axis)

    def log_softmax(x: Array, *, axis: int) -> Array:
        if _is_small(x):
            return reference["log_softmax"](x, axis=axis)
        rows = _rows(x, axis)
        n, out = rows.shape[-1], np.empty(rows.shape, x.dtype)
        height, parts, lanes = _groups(x.size // n, n, x.dtype)
        peaks = np.empty(x.size // n, x.dtype)
        _log_softmax[x.dtype](parts, rows.ravel(), n, height, parts, lanes, peaks, out.ravel())
        return from_rows(out, axis)

    def gradient(name: str, kernel: Any) -> Kernel:
        def run(g: Array, y: Array, *, axis: int) -> Array:
            if _is_small(y):
                return reference[name](g, y, axis=axis)
            g_rows, rows = _rows(g, axis), _rows(y, axis)
            n, out = rows.shape[-1], np.empty(rows.shape, y.dtype)
            height, parts, lanes = _groups(y.size // n, n, y.dtype)
            arrays = (g_rows.ravel(), rows.ravel())
            kernel[y.dtype](parts, *arrays, n, height, parts, lanes, out.ravel())
            return from_rows(out, axis)

        return run

    def losses(
        x: Array,
        rows: int,
        n: int,
        labels: Array,
        limit: float,
        ignore_index: int = 0,
        label_smoothing: float = 0.0,
    ) -> Array:
        height, parts, lanes = _groups(rows, n, x.dtype)
        scratch, peaks, out = (np.empty(s, x.dtype) for s in (parts * TILE, rows, rows))
        means = np.empty(rows if label_smoothing else 0, x.dtype)
        numbers = (n, height, parts, ignore_index, label_smoothing, n, limit)
        arrays = (lanes, scratch, peaks, means, out)
        _cross_entropy[x.dtype](parts, x.ravel(), labels, *numbers, *arrays)
        return out

    def logsumexp(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
        kept = [i for i in range(x.ndim) if i not in axis]
        if _is_small(x) or not axis:
            return reference["logsumexp"](x, axis=axis, keepdims=keepdims)
        moved = contiguous(np.permute_dims(x, (*kept, *axis)))
        rows, n = math.prod(x.shape[i] for i in kept), math.prod(x.shape[i] for i in axis)
        out = losses(moved, rows, n, np.empty(0, np.int64), float(np.finfo(x.dtype).max))
        shape = [1 if i in axis else s for i, s in enumerate(x.shape) if keepdims or i not in axis]
        return out.reshape(shape)

    def cross_entropy(
        logits: Array, labels: Array, *, ignore_index: int, label_smoothing: float
    ) -> Array:
        static = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
        if _is_small(logits):
            return reference["cross_entropy"](logits, labels, **static)
        rows, n = logits.shape
        check_labels("cross_entropy", labels, n, ignore_index)
        indices = contiguous(labels.astype(np.int64, copy=False))
        return losses(contiguous(logits), rows, n, indices, math.inf, ignore_index, label_smoothing)

    def cross_entropy_grad(
        g: Array, logits: Array, labels: Array, *, ignore_index: int, label_smoothing: float
    ) -> Array:
        static = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
        if _is_small(logits):
            return reference["cross_entropy_grad"](g, logits, labels, **static)
        rows, n = logits.shape
        check_labels("cross_entropy_grad", labels, n, ignore_index)
        out = np.empty(logits.shape, logits.dtype)
        height, parts, lanes = _groups(rows, n, logits.dtype)
        _cross_entropy_grad[logits.dtype](
            parts,
            contiguous(g),
            contiguous(logits).ravel(),
            contiguous(labels.astype(np.int64, copy=False)),
            n,
            height,
            parts,
            ignore_index,
            1.0 - label_smoothing,
            label_smoothing / n,
            lanes,
            out.ravel(),
        )
        return out

    return {
        "softmax": softmax,
        "softmax_grad": gradient("softmax_grad", _softmax_grad),
        "log_softmax": log_softmax,
        "log_softmax_grad": gradient("log_softmax_grad", _log_softmax_grad),
        "logsumexp": logsumexp,
        "cross_entropy": cross_entropy,
        "cross_entropy_grad": cross_entropy_grad,
    }
