"""Rows of the fused primitives: activations and the softmax family."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core.errors import IndexOutOfRangeError, ShapeError
from isograd.testing.op_db.contractions import LINEAR
from isograd.testing.op_db.generate import LARGE, Draw, bad, bound, draw
from isograd.testing.op_db.spec import OpSpec, Sample, Samples, Scale

__all__ = ["FUSED"]

Array = Any
Static = dict[str, Any]

INF, NAN = math.inf, math.nan
SPECIAL = (
    0.0,
    -0.0,
    1e-40,
    -1e-8,
    1.0,
    -1.0,
    20.0,
    -20.0,
    87.0,
    -87.0,
    104.0,
    -104.0,
    1000.0,
    -1000.0,
    INF,
    -INF,
    NAN,
)
CLOSE = Scale("elementwise")
SATURATED = (
    0.0,
    -0.0,
    1e-40,
    -1e-8,
    20.0,
    -20.0,
    104.0,
    -104.0,
    1000.0,
    -1000.0,
    1e15,
    -1e15,
    1e30,
    -1e30,
)


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def _times(a: Array, b: Array) -> Array:
    """Multiply, with 0 * inf = 0: the limit for functions that vanish exponentially."""
    return np.where((a == 0) | (b == 0), 0.0, a * b)


def _phi(x: Array) -> Array:
    return np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


_CUBIC, _ROOT = 0.044715, math.sqrt(2.0 / math.pi)


def _normal_below(x: Array) -> Array:
    """Return the normal distribution function, without cancellation for negative arguments."""
    return 0.5 * np.vectorize(math.erfc, otypes=[np.float64])(-x / math.sqrt(2.0))


def _gelu(x: Array, *, approximate: str) -> Array:
    if approximate == "none":
        return x * _normal_below(x)
    return x * _sigmoid(2.0 * _ROOT * (x + _CUBIC * x**3))


def _gelu_slope(x: Array, *, approximate: str) -> Array:
    if approximate == "none":
        return _normal_below(x) + _times(x, _phi(x))
    inner = 2.0 * _ROOT * (x + _CUBIC * x**3)
    s = _sigmoid(inner)
    return s + _times(x * (2.0 * _ROOT * (1.0 + 3.0 * _CUBIC * x * x)), s * _sigmoid(-inner))


def _silu(x: Array) -> Array:
    return x * _sigmoid(x)


def _silu_slope(x: Array) -> Array:
    s = _sigmoid(x)
    return s + _times(x, s * _sigmoid(-x))


def _softplus(x: Array, *, beta: float, threshold: float) -> Array:
    z = beta * x
    return np.where(z > threshold, x, (np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))) / beta)


def _activation(
    name: str, reference: Callable[..., Array], source: Draw, *statics: Static, scale: Scale
) -> OpSpec:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for static in statics or ({},):
            for shape in ((3, 4), (), (5,), (2, 0), (2, 1, 3)):
                yield Sample((source(rng, shape, dtype),), static)
            yield Sample(
                (source(rng, (LARGE,), dtype),), static, label="large", grad=False, layouts=False
            )

    def extreme(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for static in statics or ({},):
            with np.errstate(all="ignore"):
                yield Sample(
                    (np.array(SPECIAL).astype(dtype),), static, label="extreme", grad=False
                )

    return OpSpec(name, bound(name), reference, samples, extreme, scale=scale)


def _pullback(
    name: str,
    reference: Callable[..., Array],
    g: Draw,
    x: Draw,
    *statics: Static,
    scale: Scale = CLOSE,
    order: int = 1,
    values: tuple[float, ...] = SATURATED,
) -> OpSpec:
    """Return the row of an activation's gradient: a function of the cotangent and one array."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for static in statics or ({},):
            for shape in ((3, 4), (), (5,), (2, 0)):
                yield Sample((g(rng, shape, dtype), x(rng, shape, dtype)), static)
            big = g(rng, (LARGE,), dtype), x(rng, (LARGE,), dtype)
            yield Sample(big, static, label="large", grad=False, layouts=False)

    def extreme(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        with np.errstate(all="ignore"):
            saturated = np.array([*values, NAN]).astype(dtype)
        saturated = saturated[~np.isinf(saturated)]
        for static in statics or ({},):
            yield Sample((np.ones_like(saturated), saturated), static, label="extreme", grad=False)

    return OpSpec(
        name, bound(name), reference, samples, extreme, grad_args=(0, 1), order=order, scale=scale
    )


#: 1 - out*out and the like cancel where the function saturates: the scale is that of the cotangent.
_COTANGENT = Scale("elementwise", lambda g, *_, **__: np.abs(g))


def _conditioned(reference: Callable[..., Array], slope: Callable[..., Array]) -> Scale:
    """Return the scale of x times a factor: the response to rounding x, and to underflow."""

    def scale(x: Array, **static: Any) -> Array:
        response = np.abs(reference(x, **static)) + np.abs(_times(x, slope(x, **static)))
        return np.maximum(response, np.abs(x) * 1.2e-38)

    return Scale(of=scale)


_ANY, _OUT = draw(-3.0, 3.0), draw(0.05, 0.95)
_SIGNED_OUT = draw(-0.9, 0.9)
_OFF_ZERO = draw(-3.0, 3.0, avoid=[0.0])

ACTIVATIONS: tuple[OpSpec, ...] = (
    _activation(
        "relu", lambda x: np.where(x <= 0, x.dtype.type(0), x), _OFF_ZERO, scale=Scale("equal")
    ),
    _pullback(
        "relu_grad",
        lambda g, x: np.where(x <= 0, g.dtype.type(0), g),
        _ANY,
        _OFF_ZERO,
        scale=Scale("equal"),
    ),
    _activation("sigmoid", _sigmoid, _ANY, scale=CLOSE),
    _pullback(
        "sigmoid_grad",
        lambda g, out: g * out * (1.0 - out),
        _ANY,
        _OUT,
        order=2,
        values=(0.0, 1.0, 1e-30),
    ),
    _pullback(
        "tanh_grad",
        lambda g, out: g * (1.0 - out * out),
        _ANY,
        _SIGNED_OUT,
        scale=_COTANGENT,
        order=2,
        values=(0.0, 1.0, -1.0, 1e-30),
    ),
    _activation("silu", _silu, _ANY, scale=_conditioned(_silu, _silu_slope)),
    _pullback("silu_grad", lambda g, x: g * _silu_slope(x), _ANY, _ANY, scale=_COTANGENT, order=2),
    _activation(
        "gelu",
        _gelu,
        _ANY,
        {"approximate": "none"},
        {"approximate": "tanh"},
        scale=_conditioned(_gelu, _gelu_slope),
    ),
    _pullback(
        "gelu_grad",
        lambda g, x, *, approximate: g * _gelu_slope(x, approximate=approximate),
        _ANY,
        _ANY,
        {"approximate": "none"},
        {"approximate": "tanh"},
        scale=_COTANGENT,
        order=2,
    ),
    _activation(
        "softplus",
        _softplus,
        _ANY,
        {"beta": 1.0, "threshold": 20.0},
        {"beta": 2.0, "threshold": 3.0},
        scale=CLOSE,
    ),
)


def _softmax(x: Array, *, axis: int) -> Array:
    powers = np.exp(x - np.max(x, axis, keepdims=True, initial=-INF))
    return powers / np.sum(powers, axis, keepdims=True)


def _log_sum_exp(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    top = np.max(x, axis, keepdims=True, initial=-INF)
    safe = np.where(np.isfinite(top), top, 0.0)
    out = safe + np.log(np.sum(np.exp(x - safe), axis, keepdims=True))
    return out if keepdims else np.squeeze(out, axis)


def _log_softmax(x: Array, *, axis: int) -> Array:
    top = np.max(x, axis, keepdims=True, initial=-INF)
    shifted = x - top
    return shifted - np.log(np.sum(np.exp(shifted), axis, keepdims=True))


def _rows(
    *, cotangent: bool = False, tuple_axis: bool = False, probabilities: bool = False
) -> Samples:
    """Return samples of functions along one axis, with a cotangent first where asked for."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shape, axis in (
            ((3, 4), 1),
            ((3, 4), 0),
            ((5,), 0),
            ((2, 3, 4), 1),
            ((0, 3), 1),
            ((4, 1), 1),
            ((50, 200), 1),
            ((3, 5000), 1),
        ):
            small = int(np.prod(shape)) < 200
            x = draw(-3.0, 3.0)(rng, shape, dtype)
            if probabilities:
                x = _softmax(x.astype(np.float64), axis=axis).astype(dtype)
            args = (draw()(rng, shape, dtype), x) if cotangent else (x,)
            label = "" if small else "large"
            if not tuple_axis:
                yield Sample(args, {"axis": axis}, label=label, grad=small)
                continue
            for keepdims in (False, True):
                yield Sample(args, {"axis": (axis,), "keepdims": keepdims}, label=label, grad=small)
        if tuple_axis:
            yield Sample((draw()(rng, (2, 3, 4), dtype),), {"axis": (0, 2), "keepdims": False})
            yield Sample((draw()(rng, (), dtype),), {"axis": (), "keepdims": False})

    return samples


def _rows_special(tuple_axis: bool) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        rows = (
            (1000.0, 1000.0, -INF),
            (-INF, -INF, -INF),
            (-INF, 1.0, 2.0),
            (NAN, 1.0, 2.0),
            (-1000.0, -1001.0, -INF),
            (60000.0, 1.0, -60000.0),
        )
        static: Static = {"axis": (1,), "keepdims": False} if tuple_axis else {"axis": 1}
        yield Sample((np.array(rows, dtype),), static, label="extreme", grad=False)
        if tuple_axis:
            yield Sample(
                (np.array([[INF, 1.0], [INF, -INF]], dtype),), static, label="inf", grad=False
            )

    return samples


def _largest(x: Array, axis: int | tuple[int, ...], *, keepdims: bool) -> Array:
    """Return the largest finite magnitude, at least 1: what is subtracted before exponentials."""
    return np.max(np.abs(x), axis, keepdims=keepdims, initial=1.0, where=np.isfinite(x))


def _pull_softmax(g: Array, out: Array, *, axis: int) -> Array:
    return out * (g - np.sum(g * out, axis, keepdims=True))


def _pull_log_softmax(g: Array, out: Array, *, axis: int) -> Array:
    return g - np.exp(out) * np.sum(g, axis, keepdims=True)


def _with_logs(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    for sample in _rows(cotangent=True)(rng, dtype):
        g, x = sample.args
        out = _log_softmax(x.astype(np.float64), axis=sample.kwargs["axis"]).astype(dtype)
        yield Sample((g, out), sample.kwargs, sample.label, sample.grad)


SOFTMAXES: tuple[OpSpec, ...] = (
    OpSpec(
        name="softmax",
        fn=bound("softmax"),
        reference=_softmax,
        samples=_rows(),
        extreme=_rows_special(False),
        scale=Scale("sum", terms=lambda x, *, axis: 16 + x.shape[axis]),
    ),
    OpSpec(
        name="softmax_grad",
        fn=bound("softmax_grad"),
        reference=_pull_softmax,
        samples=_rows(cotangent=True, probabilities=True),
        grad_args=(0, 1),
        scale=Scale(
            "sum",
            lambda g, out, *, axis: (
                np.abs(out) * (np.abs(g) + np.sum(np.abs(g * out), axis, keepdims=True))
            ),
            lambda g, out, *, axis: 4 + g.shape[axis],
        ),
    ),
    OpSpec(
        name="log_softmax",
        fn=bound("log_softmax"),
        reference=_log_softmax,
        samples=_rows(),
        extreme=_rows_special(False),
        scale=Scale(
            "sum",
            lambda x, *, axis: np.abs(x) + _largest(x, axis, keepdims=True),
            lambda x, *, axis: 4,
        ),
    ),
    OpSpec(
        name="log_softmax_grad",
        fn=bound("log_softmax_grad"),
        reference=_pull_log_softmax,
        samples=_with_logs,
        grad_args=(0, 1),
        scale=Scale(
            "sum",
            lambda g, out, *, axis: (
                np.abs(g) + np.exp(out) * (1 + np.abs(out)) * np.sum(np.abs(g), axis, keepdims=True)
            ),
            lambda g, out, *, axis: 4 + g.shape[axis],
        ),
    ),
    OpSpec(
        name="logsumexp",
        fn=bound("logsumexp"),
        reference=_log_sum_exp,
        samples=_rows(tuple_axis=True),
        extreme=_rows_special(True),
        scale=Scale(
            "sum",
            lambda x, *, axis, keepdims: _largest(x, axis, keepdims=keepdims),
            lambda x, **_: 4,
        ),
    ),
)


def _smooth(
    logits: Array, labels: Array, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array]:
    """Return the target distribution of each row, and which rows count."""
    rows, classes = logits.shape
    target = np.full((rows, classes), label_smoothing / max(classes, 1))
    counted = labels != ignore_index
    for i in range(rows):
        if counted[i]:
            target[i, int(labels[i])] += 1.0 - label_smoothing
    return target, counted


def _cross_entropy(
    logits: Array, labels: Array, *, ignore_index: int, label_smoothing: float
) -> Array:
    target, counted = _smooth(logits, labels, ignore_index, label_smoothing)
    return np.where(counted, -np.sum(_times(target, _log_softmax(logits, axis=1)), 1), 0.0)


def _pull_cross_entropy(
    g: Array, logits: Array, labels: Array, *, ignore_index: int, label_smoothing: float
) -> Array:
    target, counted = _smooth(logits, labels, ignore_index, label_smoothing)
    return np.where(counted[:, None], g[:, None] * (_softmax(logits, axis=1) - target), 0.0)


def _label_samples(cotangent: bool) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for rows, classes in ((3, 4), (1, 2), (5, 10), (0, 3), (300, 10), (20, 500)):
            for smoothing in (0.0, 0.1):
                logits = draw(-3.0, 3.0)(rng, (rows, classes), dtype)
                labels = rng.integers(0, classes, rows)
                ignore = -100
                if rows > 2:
                    labels[1] = ignore = classes if smoothing else -100
                static = {"ignore_index": ignore, "label_smoothing": smoothing}
                args = (
                    (draw()(rng, (rows,), dtype), logits, labels) if cotangent else (logits, labels)
                )
                small = rows * classes < 100
                yield Sample(args, static, label="" if small else "large", grad=small)

    return samples


def _label_special(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    logits = np.array(
        [[1000.0, 0.0, -1000.0], [-INF, 0.0, 1.0], [NAN, 0.0, 1.0], [NAN, INF, 1.0]], dtype
    )
    static = {"ignore_index": -1, "label_smoothing": 0.0}
    yield Sample((logits, np.array([0, 1, 2, -1])), static, label="extreme", grad=False)


_PLAIN = {"ignore_index": -100, "label_smoothing": 0.0}

CROSS_ENTROPIES: tuple[OpSpec, ...] = (
    OpSpec(
        name="cross_entropy",
        fn=bound("cross_entropy"),
        reference=_cross_entropy,
        samples=_label_samples(cotangent=False),
        extreme=_label_special,
        scale=Scale(
            "sum",
            lambda logits, labels, **_: 2.0 * _largest(logits, 1, keepdims=False),
            lambda *_, **__: 4,
        ),
        errors=(
            bad(
                (2, 3),
                np.array([0, 7]),
                **_PLAIN,
                error=IndexOutOfRangeError,
                says=("cross_entropy", "7", "3"),
            ),
            bad(
                (2, 3),
                np.array([0, -1]),
                **_PLAIN,
                error=IndexOutOfRangeError,
                says=("cross_entropy", "-1"),
            ),
            bad(
                (2, 3),
                np.array([0, 1, 2]),
                **_PLAIN,
                error=ShapeError,
                says=("cross_entropy", "(2, 3)", "(3,)"),
            ),
        ),
    ),
    OpSpec(
        name="cross_entropy_grad",
        fn=bound("cross_entropy_grad"),
        reference=_pull_cross_entropy,
        samples=_label_samples(cotangent=True),
        grad_args=(0, 1),
        scale=Scale(
            "sum",
            lambda g, logits, labels, **_: np.abs(g)[:, None],
            lambda g, logits, *_, **__: 4 + logits.shape[1],
        ),
        errors=(
            bad(
                (2,),
                (2, 3),
                np.array([0, 7]),
                **_PLAIN,
                error=IndexOutOfRangeError,
                says=("cross_entropy", "7"),
            ),
        ),
    ),
)


FUSED: tuple[OpSpec, ...] = (
    *ACTIVATIONS,
    *SOFTMAXES,
    *CROSS_ENTROPIES,
    LINEAR,
)
