"""Rows of structured layers that are composites: windows, norms, look-up, attention, recurrence."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.errors import IndexOutOfRangeError, ShapeError
from isograd.nn.functional import _recurrent
from isograd.testing.op_db.generate import Draw, bad, distinct, draw, public
from isograd.testing.op_db.losses import Source, calls
from isograd.testing.op_db.spec import ErrorCase, OpSpec, Samples, Scale

__all__ = ["LAYERS"]

Array = Any
Shape = tuple[int, ...]


def _layer(
    name: str,
    reference: Callable[..., Array],
    samples: Samples,
    *,
    fn: Callable[..., Any] | None = None,
    magnitude: Callable[..., Array] | None = None,
    grad_args: tuple[int, ...] = (0,),
    errors: tuple[ErrorCase, ...] = (),
    order: int = 2,
) -> OpSpec:
    """Write a row; `magnitude` bounds the terms of the sums, by default 1 plus the result."""

    def scale(*args: Array, **static: Any) -> Array:
        right = np.abs(reference(*args, **static))
        return right + (1.0 if magnitude is None else magnitude(*args, **static))

    path = f"nn.functional.{name}" if fn is None else name
    return OpSpec(
        name=path,
        fn=public(path) if fn is None else fn,
        reference=reference,
        samples=samples,
        errors=errors,
        dtypes=("float64", "float32"),
        grad_args=grad_args,
        order=order,
        scale=Scale("sum", scale, lambda *args, **_: 16 + 4 * max([x.size for x in args])),
        budget=4,
        primitive=False,
    )


_ANY: Draw = draw()


def _ids(rows: int) -> Source:
    return lambda rng, shape, dtype: np.asarray(rng.integers(0, rows, shape))


# -- windows ---------------------------------------------------------------------------------------


def _conv_transpose1d(
    x: Array,
    w: Array,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    """Send each input to the outputs that it reaches."""
    n, channels, length = x.shape
    outputs, kernel = w.shape[1:]
    size = (length - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
    out = np.zeros((n, outputs * groups, size))
    for i in range(length):
        for j in range(kernel):
            at = i * stride + j * dilation - padding
            if not 0 <= at < size:
                continue
            for c in range(channels):
                g = c * groups // channels
                part = slice(g * outputs, (g + 1) * outputs)
                out[:, part, at] += x[:, c, i, None] * w[c, :, j]
    return out


def _bounds(n: int, count: int) -> list[tuple[int, int]]:
    return [(i * n // count, math.ceil((i + 1) * n / count)) for i in range(count)]


def _adaptive(pool: Callable[..., Array]) -> Callable[..., Array]:
    def reference(x: Array, *, output_size: Shape) -> Array:
        rows, columns = output_size
        out = np.zeros((*x.shape[:2], rows, columns))
        for i, (top, bottom) in enumerate(_bounds(x.shape[2], rows)):
            for j, (left, right) in enumerate(_bounds(x.shape[3], columns)):
                out[:, :, i, j] = pool(x[:, :, top:bottom, left:right], axis=(2, 3))
        return out

    return reference


def _avg_pool1d(
    x: Array,
    *,
    kernel_size: int,
    stride: int,
    padding: int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Average window by window; windows must begin in the input or the padding before it."""
    n, columns = x.shape[2], []
    start = -padding
    while start + kernel_size <= n + padding or (ceil_mode and start < n):
        stop = min(start + kernel_size, n + padding)
        inside = x[:, :, max(start, 0) : min(stop, n)]
        count = stop - start if count_include_pad else inside.shape[2]
        columns.append(inside.sum(2) / count)
        start += stride
    return np.stack(columns, axis=2)


def _unfold(x: Array, *, kernel_size: int, stride: int = 1) -> Array:
    n, channels, rows, columns = x.shape
    found = []
    for i in range(0, rows - kernel_size + 1, stride):
        for j in range(0, columns - kernel_size + 1, stride):
            part = x[:, :, i : i + kernel_size, j : j + kernel_size]
            found.append(part.reshape(n, channels * kernel_size**2))
    return np.stack(found, axis=2)


_WINDOWS: tuple[OpSpec, ...] = (
    _layer(
        "conv_transpose1d",
        _conv_transpose1d,
        calls(
            (((_ANY, (2, 3, 4)), (_ANY, (3, 2, 3))), {"stride": 2, "output_padding": 1}),
            (
                ((_ANY, (2, 4, 5)), (_ANY, (4, 1, 2))),
                {"padding": 1, "dilation": 3, "output_padding": 2, "groups": 2},
            ),
        ),
        magnitude=lambda x, w, **_: w[0].size * x.shape[1],
        grad_args=(0, 1),
        errors=(
            bad(
                (1, 3, 4),
                (3, 2, 3),
                output_padding=1,
                error=ValueError,
                says=("conv_transpose1d", "output_padding"),
            ),
            bad((1, 2, 4), (3, 2, 3), error=ShapeError, says=("(1, 2, 4)", "(3, 2, 3)")),
        ),
    ),
    _layer(
        "avg_pool1d",
        _avg_pool1d,
        calls(
            (((_ANY, (2, 3, 8)),), {"kernel_size": 3, "stride": 2, "padding": 1}),
            (((_ANY, (2, 2, 8)),), {"kernel_size": 3, "stride": 3, "ceil_mode": True}),
            (
                ((_ANY, (1, 2, 7)),),
                {
                    "kernel_size": 4,
                    "stride": 2,
                    "padding": 2,
                    "ceil_mode": True,
                    "count_include_pad": False,
                },
            ),
        ),
        errors=(
            bad(
                (1, 2, 4),
                kernel_size=2,
                padding=2,
                error=ShapeError,
                says=("avg_pool1d", "padding", "half"),
            ),
        ),
    ),
    _layer(
        "adaptive_avg_pool2d",
        _adaptive(np.mean),
        calls(
            (((_ANY, (2, 1, 5, 7)),), {"output_size": (2, 3)}),
            (((_ANY, (1, 2, 4, 6)),), {"output_size": (2, 3)}),
            (((_ANY, (1, 1, 2, 3)),), {"output_size": (3, 2)}),
        ),
        errors=(bad((1, 2, 3, 3), output_size=(1, 2, 3), error=ShapeError, says=("output_size",)),),
    ),
    _layer(
        "adaptive_max_pool2d",
        _adaptive(np.max),
        calls(
            (((distinct(), (2, 1, 5, 7)),), {"output_size": (2, 3)}),
            (((distinct(), (1, 2, 4, 6)),), {"output_size": (2, 3)}),
        ),
        magnitude=lambda x, **_: 0.0,
    ),
    _layer(
        "unfold",
        _unfold,
        calls((((_ANY, (2, 2, 4, 5)),), {"kernel_size": 2, "stride": 2})),
        magnitude=lambda x, **_: 0.0,
    ),
)


# -- norms -----------------------------------------------------------------------------------------


def _normal(x: Array, axis: Shape, eps: float) -> Array:
    mean = x.mean(axis, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis, keepdims=True) + eps)


def _channel(t: Array, x: Array) -> Array:
    return t.reshape(-1, *(1,) * (x.ndim - 2))


def _batch_norm(x: Array, weight: Array, bias: Array) -> Array:
    out = _normal(x, (0, *range(2, x.ndim)), 0.1)
    return out * _channel(weight, x) + _channel(bias, x)


def _group_norm(x: Array, weight: Array, bias: Array, *, num_groups: int) -> Array:
    split = x.reshape(x.shape[0], num_groups, -1)
    return _normal(split, (2,), 0.1).reshape(x.shape) * _channel(weight, x) + _channel(bias, x)


def _local_response_norm(x: Array, *, size: int, alpha: float, beta: float, k: float) -> Array:
    out = np.zeros(x.shape)
    for c in range(x.shape[1]):
        near = x[:, max(c - size // 2, 0) : c + (size - 1) // 2 + 1]
        out[:, c] = x[:, c] / (k + alpha * (near**2).sum(1) / size) ** beta
    return out


def _in_order(name: str, **options: Any) -> Callable[..., Any]:
    """Return a function of ``nn.functional`` whose weight and bias come after the input."""

    def call(x: Any, weight: Any, bias: Any, **static: Any) -> Any:
        fn = getattr(ig.nn.functional, name)
        return fn(x, weight=weight, bias=bias, **options, **static)

    call.__name__ = name
    return call


_NORMS: tuple[OpSpec, ...] = (
    _layer(
        "nn.functional.batch_norm",
        _batch_norm,
        calls(
            (((_ANY, (4, 3)), (_ANY, (3,)), (_ANY, (3,))), {}),
            (((_ANY, (2, 2, 3, 2)), (_ANY, (2,)), (_ANY, (2,))), {}),
        ),
        fn=_in_order("batch_norm", running_mean=None, running_var=None, training=True, eps=0.1),
        magnitude=lambda x, *_: 20.0,
        grad_args=(0, 1, 2),
        errors=(
            bad((1, 3), (3,), (3,), error=ShapeError, says=("batch_norm", "(1, 3)", "eval()")),
            bad((2, 3), (4,), (3,), error=ShapeError, says=("batch_norm", "weight", "(4,)")),
        ),
    ),
    _layer(
        "nn.functional.group_norm",
        _group_norm,
        calls((((_ANY, (2, 4, 3)), (_ANY, (4,)), (_ANY, (4,))), {"num_groups": 2})),
        fn=_in_order("group_norm", eps=0.1),
        magnitude=lambda x, *_, **__: 20.0,
        grad_args=(0, 1, 2),
        errors=(
            bad(
                (2, 4),
                (4,),
                (4,),
                num_groups=3,
                error=ShapeError,
                says=("group_norm", "num_groups=3", "4 channels"),
            ),
        ),
    ),
    _layer(
        "nn.functional.layer_norm",
        lambda x, weight, bias: _normal(x, (-1,), 0.1) * weight + bias,
        calls((((_ANY, (2, 3, 4)), (_ANY, (4,)), (_ANY, (4,))), {})),
        fn=_in_order("layer_norm", normalized_shape=4, eps=0.1),
        magnitude=lambda x, *_: 20.0,
        grad_args=(0, 1, 2),
        errors=(bad((2, 3), (4,), (4,), error=ShapeError, says=("layer_norm", "(2, 3)", "(4,)")),),
    ),
    _layer(
        "local_response_norm",
        _local_response_norm,
        calls(
            (((_ANY, (2, 4, 3)),), {"size": 3, "alpha": 0.5, "beta": 0.75, "k": 1.0}),
            (((_ANY, (1, 3, 2, 2)),), {"size": 2, "alpha": 0.5, "beta": 0.5, "k": 2.0}),
        ),
    ),
)


# -- look-up and attention -------------------------------------------------------------------------


def _embedding(ids: Array, weight: Array) -> Array:
    out = np.zeros((*ids.shape, weight.shape[1]))
    for at in np.ndindex(ids.shape):
        out[at] = weight[int(ids[at])]
    return out


def _embedding_bag(ids: Array, weight: Array, *, mode: str, padding_idx: int | None) -> Array:
    out = np.zeros((ids.shape[0], weight.shape[1]))
    for i, bag in enumerate(ids):
        members = [weight[int(j)] for j in bag if j != padding_idx]
        if members:
            out[i] = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](members, axis=0)
    return out


def _gqa(q: Array, k: Array, v: Array) -> Array:
    k, v = [np.repeat(t, q.shape[-3] // t.shape[-3], axis=-3) for t in (k, v)]
    scores = np.einsum("...le,...se->...ls", q, k) / math.sqrt(q.shape[-1])
    scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -np.inf)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("...ls,...sd->...ld", powers / powers.sum(-1, keepdims=True), v)


def _attend(q: Any, k: Any, v: Any) -> Any:
    fn = ig.nn.functional.scaled_dot_product_attention
    return fn(q, k, v, is_causal=True, enable_gqa=True)


_REST: tuple[OpSpec, ...] = (
    _layer(
        "embedding",
        _embedding,
        calls((((_ids(4), (5,)), (_ANY, (4, 3))), {}), (((_ids(4), (2, 3)), (_ANY, (4, 2))), {})),
        magnitude=lambda *_: 0.0,
        grad_args=(1,),
        errors=(
            bad(
                np.array([0, 7]),
                (3, 2),
                error=IndexOutOfRangeError,
                says=("7", "size 3"),
            ),
        ),
    ),
    _layer(
        "embedding_bag",
        _embedding_bag,
        calls(
            (((_ids(4), (3, 4)), (distinct(), (4, 3))), {"mode": "mean", "padding_idx": 1}),
            (((_ids(4), (3, 2)), (distinct(), (4, 2))), {"mode": "max", "padding_idx": None}),
        ),
        magnitude=lambda ids, *_, **__: ids.shape[1],
        grad_args=(1,),
    ),
    _layer(
        "nn.functional.scaled_dot_product_attention",
        _gqa,
        calls((((_ANY, (4, 3, 2)), (_ANY, (2, 3, 2)), (_ANY, (2, 3, 2))), {})),
        fn=_attend,
        magnitude=lambda *_: 20.0,
        grad_args=(0, 1, 2),
    ),
)


# -- recurrence ------------------------------------------------------------------------------------


def _sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def _lstm(x: Array, ih: Array, hh: Array, bias: Array) -> Array:
    width = hh.shape[1]
    h, c, out = np.zeros((x.shape[1], width)), np.zeros((x.shape[1], width)), []
    for part in x:
        i, f, g, o = np.split(part @ ih.T + h @ hh.T + 2 * bias, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out)


def _gru(x: Array, ih: Array, hh: Array, bias: Array) -> Array:
    h, out = np.zeros((x.shape[1], hh.shape[1])), []
    for part in x:
        r_x, z_x, n_x = np.split(part @ ih.T + bias, 3, axis=1)
        r_h, z_h, n_h = np.split(h @ hh.T + bias, 3, axis=1)
        r, z = _sigmoid(r_x + r_h), _sigmoid(z_x + z_h)
        h = (1 - z) * np.tanh(n_x + r * n_h) + z * h
        out.append(h)
    return np.stack(out)


def _rnn(x: Array, ih: Array, hh: Array, bias: Array) -> Array:
    h, out = np.zeros((x.shape[1], hh.shape[1])), []
    for part in x[::-1]:
        h = np.tanh(part @ ih.T + h @ hh.T + 2 * bias)
        out.append(h)
    return np.stack(out[::-1])


def _recurrence(
    name: str, kind: str, reference: Callable[..., Array], states: int, gates: int, reverse: bool
) -> OpSpec:
    """Write the row of a layer that begins with zeros, with one bias in both places."""

    def fn(x: Any, ih: Any, hh: Any, bias: Any) -> Any:
        first = ig.zeros((x.shape[1], hh.shape[1]), dtype=x.dtype)
        weights = _recurrent.Weights(ih, hh, bias, bias)
        return _recurrent.run(kind, x, (first,) * states, weights, reverse=reverse)[0]

    small = draw(-0.8, 0.8)
    rows = gates * 2
    shapes: tuple[Shape, ...] = ((3, 2, 3), (rows, 3), (rows, 2), (rows,))
    return _layer(
        name,
        reference,
        calls((tuple((small, shape) for shape in shapes), {})),
        fn=fn,
        magnitude=lambda *_: 4.0,
        grad_args=(0, 1, 2, 3),
    )


_RECURRENT: tuple[OpSpec, ...] = (
    _recurrence("nn.LSTM", "LSTM", _lstm, 2, 4, False),
    _recurrence("nn.GRU", "GRU", _gru, 1, 3, False),
    _recurrence("nn.RNN, backwards", "RNN_TANH", _rnn, 1, 1, True),
)

LAYERS: tuple[OpSpec, ...] = (*_WINDOWS, *_NORMS, *_REST, *_RECURRENT)
