"""Maxima and sums of windows, as elementwise operations of strided slices, and their gradients."""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import product
from math import prod
from typing import Any

from isograd.core import dtypes
from isograd.core.errors import ShapeError
from isograd.ir import Aval
from isograd.ops import creation, infer
from isograd.ops import elementwise as m
from isograd.ops import primitives as p
from isograd.ops import reductions as r
from isograd.ops.fused.common import fused, widened
from isograd.ops.movement import pad, repeat, reshape, slice_axis, strided_slice, unfold
from isograd.runtime.bind import bind
from isograd.runtime.rules import General, Linear
from isograd.runtime.tensor import Tensor

__all__ = ["max_pool", "max_pool_indices", "window_sum"]

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def _counts(
    function: str, x: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Shape:
    """Return the output's shape, or raise."""
    k = len(kernel)
    if not 1 <= k <= len(x) or len(padding) != k or min([min(pair) for pair in padding]) < 0:
        raise ShapeError(
            f"{function}: kernel {kernel} and padding {padding} do not fit a tensor of shape {x}; "
            "give a number, and a pair of numbers of at least 0, for each of the last axes"
        )
    first = len(x) - k
    size = tuple([n + a + b for n, (a, b) in zip(x[first:], padding, strict=True)])
    return (*x[:first], *infer.window_counts(function, size, kernel, stride, dilation))


def _infer_max_pool(x: Aval, **static: Any) -> Aval:
    infer.require("max_pool", x, "float")
    return Aval(_counts("max_pool", x.shape, **static), x.dtype)


def _infer_max_pool_indices(x: Aval, out: Aval, **static: Any) -> Aval:
    _check_pooled("max_pool_indices", x, out, static)
    return Aval(out.shape, dtypes.int64)


def _infer_max_pool_grad(g: Aval, x: Aval, out: Aval, **static: Any) -> Aval:
    _check_pooled("max_pool_grad", x, out, static)
    _check_pooled("max_pool_grad", x, g, static)
    return x


def _check_pooled(function: str, x: Aval, out: Aval, static: dict[str, Any]) -> None:
    infer.require(function, x, "float")
    wanted = Aval(_counts(function, x.shape, **static), x.dtype)
    if out != wanted:
        raise ShapeError(f"{function}: got {out} for {wanted}; pass what max_pool returned for {x}")


def _around(x: Tensor, padding: Pairs, value: Any) -> Tensor:
    if not any(map(any, padding)):
        return x
    return pad(x, [(0, 0)] * (x.ndim - len(padding)) + list(padding), value=value)


def _elements(
    x: Tensor, places: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> Iterator[tuple[Shape, Tensor]]:
    """Yield each position in the window with that element of every window."""
    first = x.ndim - len(kernel)
    steps = (1,) * first + stride
    for position in product(*map(range, kernel)):
        start = [at * d for at, d in zip(position, dilation, strict=True)]
        stop = [
            a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, places, stride, strict=True)
        ]
        yield (
            position,
            strided_slice(x, (0,) * first + tuple(start), (*x.shape[:first], *stop), steps),
        )


def _max_pool(
    x: Tensor, *, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Tensor:
    places = _counts("max_pool", x.shape, kernel, stride, padding, dilation)[-len(kernel) :]
    wide = _around(x, padding, -float("inf"))
    parts = [part for _, part in _elements(wide, places, kernel, stride, dilation)]
    return reduce(m.maximum, parts)


def _hits(
    x: Tensor, out: Tensor, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Iterator[tuple[Shape, Tensor]]:
    """Yield each position in the window with whether it is the first that has the maximum."""
    places = out.shape[out.ndim - len(kernel) :]
    wide = _around(x, padding, -float("inf"))
    real = _around(creation.ones(x.shape, dtype=dtypes.bool, device=x.device), padding, False)
    masks = _elements(real, places, kernel, stride, dilation)
    taken: Tensor | None = None
    for position, part in _elements(wide, places, kernel, stride, dilation):
        hit = m.logical_or(m.equal(part, out), m.isnan(part))
        _, inside = next(masks)
        if wide is not x:
            hit = m.logical_and(hit, inside)
        yield position, hit if taken is None else m.logical_and(hit, m.logical_not(taken))
        taken = hit if taken is None else m.logical_or(taken, hit)


def _max_pool_indices(
    x: Tensor, out: Tensor, *, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Tensor:
    size = x.shape[x.ndim - len(kernel) :]
    places = out.shape[out.ndim - len(kernel) :]
    total = creation.zeros(out.shape, dtype=dtypes.int64, device=x.device)
    for position, hit in _hits(x, out, kernel, stride, padding, dilation):
        flat = creation.zeros((), dtype=dtypes.int64, device=x.device)
        for i, count in enumerate(places):
            step = prod(size[i + 1 :])
            start = (position[i] * dilation[i] - padding[i][0]) * step
            along = creation.arange(count, dtype=dtypes.int64, device=x.device)
            shaped = reshape(along, (count, *(1,) * (len(places) - i - 1)))
            flat = flat + (shaped * (stride[i] * step) + start)
        total = m.where(hit, flat, total)
    return total


def _max_pool_grad(
    g: Tensor,
    x: Tensor,
    out: Tensor,
    *,
    kernel: Shape,
    stride: Shape,
    padding: Pairs,
    dilation: Shape,
) -> Tensor:
    """Send the cotangent to the first element that has the maximum (policy P3)."""
    first = x.ndim - len(kernel)
    wide = [n + a + b for n, (a, b) in zip(x.shape[first:], padding, strict=True)]
    total: Tensor | None = None
    for position, hit in _hits(x, out, kernel, stride, padding, dilation):
        low = [at * d for at, d in zip(position, dilation, strict=True)]
        spans = [(n - 1) * s + 1 if n else 0 for n, s in zip(g.shape[first:], stride, strict=True)]
        high = [n - a - span for n, a, span in zip(wide, low, spans, strict=True)]
        part = bind(
            p.pad,
            m.where(hit, g, 0),
            low=(0,) * first + tuple(low),
            high=(0,) * first + tuple(high),
            interior=(0,) * first + tuple([s - 1 for s in stride]),
            value=0.0,
        )
        total = part if total is None else total + part
    assert total is not None
    return _inside(total, x.shape, padding)


def _inside(x: Tensor, shape: Shape, padding: Pairs) -> Tensor:
    """Cut the padding off."""
    for axis, (low, _) in enumerate(padding, start=x.ndim - len(padding)):
        if x.shape[axis] != shape[axis]:
            x = slice_axis(x, axis, low, low + shape[axis])
    return x


_max_pool_grad_p = fused("max_pool_grad", _infer_max_pool_grad, _max_pool_grad)
_max_pool_indices_p = fused("max_pool_indices", _infer_max_pool_indices, _max_pool_indices)
_max_pool_p = fused(
    "max_pool",
    _infer_max_pool,
    _max_pool,
    General(
        lambda g, x, out, *, kernel, stride, padding, dilation: bind(
            _max_pool_grad_p,
            g,
            x,
            out,
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
        )
    ),
)


def max_pool(x: Tensor, /, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape) -> Tensor:
    """Return the maximum of each window over the last axes; padding never wins.

    >>> max_pool(tensor([1.0, 3.0, 2.0]), (2,), (1,), ((0, 1),), (1,)).tolist()
    [3.0, 3.0, 2.0]
    """
    return bind(_max_pool_p, x, kernel=kernel, stride=stride, padding=padding, dilation=dilation)


def max_pool_indices(
    x: Tensor, out: Tensor, /, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Tensor:
    """Return where the maxima are, as numbers of elements of the window axes in row-major order.

    >>> x = tensor([1.0, 3.0, 3.0])
    >>> window = (2,), (1,), ((0, 0),), (1,)
    >>> max_pool_indices(x, max_pool(x, *window), *window).tolist()
    [1, 1]
    """
    return bind(
        _max_pool_indices_p,
        x,
        out,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )


# -- sums ------------------------------------------------------------------------------------------


def _infer_window_sum(x: Aval, *, kernel: Shape, stride: Shape, padding: Pairs) -> Aval:
    infer.require("window_sum", x, "float")
    return Aval(
        _counts("window_sum", x.shape, kernel, stride, padding, (1,) * len(kernel)), x.dtype
    )


def _infer_window_spread(
    g: Aval, *, size: Shape, kernel: Shape, stride: Shape, padding: Pairs
) -> Aval:
    infer.require("window_spread", g, "float")
    x = (*g.shape[: len(g.shape) - len(size)], *size)
    wanted = _counts("window_spread", x, kernel, stride, padding, (1,) * len(kernel))
    if g.shape != wanted:
        raise ShapeError(
            f"window_spread: sums have shape {g.shape}, but axes of lengths {size} give {wanted}; "
            "pass what fits the output of window_sum"
        )
    return Aval(x, g.dtype)


@widened
def _window_sum(x: Tensor, *, kernel: Shape, stride: Shape, padding: Pairs) -> Tensor:
    windows = unfold(_around(x, padding, 0.0), kernel, stride=stride)
    return r.sum(windows, axis=tuple(range(x.ndim, x.ndim + len(kernel))))


@widened
def _window_spread(
    g: Tensor, *, size: Shape, kernel: Shape, stride: Shape, padding: Pairs
) -> Tensor:
    first = g.ndim - len(size)
    wide = [n + a + b for n, (a, b) in zip(size, padding, strict=True)]
    left = list(kernel)
    for i, (k, s, n) in enumerate(zip(kernel, stride, wide, strict=True)):
        if g.shape[first + i] == 1 or s == k:  # no two windows share an element
            g, left[i] = repeat(g, k, axis=first + i), 1
            behind = [n - m if axis == first + i else 0 for axis, m in enumerate(g.shape)]
            g = pad(g, [(0, more) for more in behind])
    if any(k > 1 for k in left):
        # What an element gets are the sums whose windows begin at most k - 1 elements before it.
        steps = [1 if k == 1 else s for k, s in zip(left, stride, strict=True)]
        low = [k - 1 for k in left]
        spans = [(m - 1) * s + 1 for m, s in zip(g.shape[first:], steps, strict=True)]
        high = [n - span for n, span in zip(wide, spans, strict=True)]
        spread = bind(
            p.pad,
            g,
            low=(0,) * first + tuple(low),
            high=(0,) * first + tuple(high),
            interior=(0,) * first + tuple([s - 1 for s in steps]),
            value=0.0,
        )
        windows = unfold(spread, left)
        g = r.sum(windows, axis=tuple(range(g.ndim, windows.ndim)))
    return _inside(g, (*g.shape[:first], *size), padding)


_window_sum_p = fused(
    "window_sum",
    _infer_window_sum,
    _window_sum,
    Linear(
        lambda g, x_shape, *, kernel, stride, padding: bind(
            _window_spread_p,
            g,
            size=x_shape[len(x_shape) - len(kernel) :],
            kernel=kernel,
            stride=stride,
            padding=padding,
        )
    ),
)
_window_spread_p = fused(
    "window_spread",
    _infer_window_spread,
    _window_spread,
    Linear(
        lambda g, *, kernel, stride, padding: window_sum(g, kernel, stride, padding), names=("g",)
    ),
)


def window_sum(x: Tensor, /, kernel: Shape, stride: Shape, padding: Pairs) -> Tensor:
    """Return the sum of each window over the last axes.

    >>> window_sum(tensor([1.0, 3.0, 2.0]), (2,), (1,), ((0, 1),)).tolist()
    [4.0, 5.0, 2.0]
    """
    return bind(_window_sum_p, x, kernel=kernel, stride=stride, padding=padding)
