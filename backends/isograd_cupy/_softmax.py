"""The softmax family and cross-entropy: a block for each row."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel, check_labels
from isograd_cupy._checks import settle
from isograd_cupy._elementwise import contiguous, in_float32
from isograd_cupy._launch import kernels
from isograd_cupy._layout import empty, layout_of, result
from isograd_cupy._movement import permuted
from isograd_cupy._sources import fill

__all__ = ["SOFTMAX"]

_INT64 = np.dtype(np.int64)


def _over_rows(name: str) -> Kernel:
    """Make a kernel that works along one axis, on arrays of one shape."""

    def kernel(*arrays: Any, axis: int) -> Any:
        first = arrays[0]
        order = (*[i for i in range(first.ndim) if i != axis], axis)
        rows = [contiguous(permuted(a, order)) for a in arrays]
        last = axis == first.ndim - 1
        out = result(0, first.shape, first.dtype) if last else empty(rows[0].shape, first.dtype)
        _launch(name, first.dtype, [*rows, out], first.shape[axis], out.size)
        return permuted(out, tuple(np.argsort(order).tolist()))

    return in_float32(kernel)


def _launch(name: str, dtype: Any, arrays: list[Any], n: int, size: int, *more: float) -> None:
    if size:
        rows = size // n
        kernels("softmax", dtype).launch(name, (*arrays, rows, n, *more), (min(rows, 1 << 20),))


def _logsumexp(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    if not axis:
        return x
    kept = [i for i in range(x.ndim) if i not in axis]
    shape = tuple([1 if i in axis else n for i, n in enumerate(x.shape) if keepdims or i in kept])
    out = empty(shape, x.dtype)
    n = math.prod(x.shape[i] for i in axis)
    if not n:
        return fill(out, -math.inf)
    rows = contiguous(permuted(x, (*kept, *sorted(axis))))
    _launch("logsumexp", x.dtype, [rows, out], n, x.size)
    return out


def _checked(name: str, labels: Any, classes: int, ignore_index: int) -> Any:
    """Return labels as contiguous int64; a wrong one raises, which waits for the device."""
    out = empty(labels.shape, _INT64)
    if not out.size:
        return out
    wrong = fill(empty((1,), _INT64), out.size)
    arguments = (labels, out, wrong, layout_of(labels.shape, [labels]), classes, ignore_index)
    kernels("wrap", labels.dtype).over("wrap_labels", (*arguments, out.size), out.size)
    settle(wrong, out.size, lambda: check_labels(name, labels.get(), classes, ignore_index))
    return out


def _cross_entropy(x: Any, labels: Any, *, ignore_index: int, label_smoothing: float) -> Any:
    rows, classes = x.shape
    picks = _checked("cross_entropy", labels, classes, ignore_index)
    out = result(0, (rows,), x.dtype)
    if not classes:
        return fill(out, 0)
    arrays = [contiguous(x), picks, out]
    _launch("cross_entropy", x.dtype, arrays, classes, x.size, ignore_index, float(label_smoothing))
    return out


def _cross_entropy_grad(
    g: Any, x: Any, labels: Any, *, ignore_index: int, label_smoothing: float
) -> Any:
    classes = x.shape[1]
    picks = _checked("cross_entropy_grad", labels, classes, ignore_index)
    out = result(0, x.shape, x.dtype)
    arrays = [contiguous(g), contiguous(x), picks, out]
    more = (ignore_index, float(label_smoothing))
    _launch("cross_entropy_grad", x.dtype, arrays, classes, x.size, *more)
    return out


SOFTMAX: Final[dict[str, Kernel]] = {
    **{n: _over_rows(n) for n in ("softmax", "log_softmax", "softmax_grad", "log_softmax_grad")},
    "logsumexp": in_float32(_logsumexp),
    "cross_entropy": in_float32(_cross_entropy),
    "cross_entropy_grad": in_float32(_cross_entropy_grad),
}
