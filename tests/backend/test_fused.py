"""Fused kernels against their formulas in float64, and their values where formulas break down."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isograd.backend import IndexOutOfRangeError
from isograd.backend.xp.activations import activation_kernels
from isograd.backend.xp.softmax import softmax_kernels

mpmath = pytest.importorskip("mpmath", reason="the reference with more digits")
F16, F32, F64 = np.float16, np.float32, np.float64

Check = Callable[[str, list[dict[str, Any]]], None]
SHAPES: list[Any] = [(3, 5), (), (0, 2)]


def case(expected: Callable[..., Any], *inputs: Any, **options: Any) -> dict[str, Any]:
    """Return a case; what is not an option of the check is a static parameter."""
    chosen = {name: options.pop(name) for name in ("exact", "scale") if name in options}
    return {"inputs": inputs, "expected": expected, "static": options, **chosen}


def activation(function: Callable[..., Any], **options: Any) -> list[dict[str, Any]]:
    return [case(function, shape, **options) for shape in SHAPES]


def gradient(function: Callable[..., Any], **options: Any) -> list[dict[str, Any]]:
    return [case(function, shape, shape, **options) for shape in SHAPES]


def expit(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def normal_cdf(x: np.ndarray) -> np.ndarray:
    return 0.5 * np.vectorize(math.erfc, otypes=[F64])(x * -math.sqrt(0.5))


def gelu(x: np.ndarray, *, approximate: str) -> np.ndarray:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * normal_cdf(x)


def gelu_grad(g: np.ndarray, x: np.ndarray, *, approximate: str) -> np.ndarray:
    if approximate == "none":
        return g * (normal_cdf(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)


def silu_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    s = expit(x)
    return g * (s + x * s * (1 - s))


def softplus(x: np.ndarray, *, beta: float, threshold: float) -> np.ndarray:
    return np.where(x * beta > threshold, x, np.logaddexp(x * beta, 0) / beta)


def total(x: np.ndarray, axis: Any) -> np.ndarray:
    return np.sum(x, axis=axis, keepdims=True)


def softmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    return np.exp(x) / total(np.exp(x), axis)


def log_softmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    return x - np.log(total(np.exp(x), axis))


def softmax_grad(g: np.ndarray, out: np.ndarray, *, axis: int) -> np.ndarray:
    return out * (g - total(g * out, axis))


def log_softmax_grad(g: np.ndarray, out: np.ndarray, *, axis: int) -> np.ndarray:
    return g - np.exp(out) * total(g, axis)


def logsumexp(x: np.ndarray, *, axis: Any, keepdims: bool) -> np.ndarray:
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)) if axis else x


def targets(logits: np.ndarray, labels: np.ndarray, smoothing: float) -> np.ndarray:
    return (1 - smoothing) * np.eye(logits.shape[1])[labels] + smoothing / logits.shape[1]


def cross_entropy(
    logits: np.ndarray, labels: np.ndarray, *, ignore_index: int, label_smoothing: float
) -> np.ndarray:
    losses = -(targets(logits, labels, label_smoothing) * log_softmax(logits, axis=1)).sum(1)
    return np.where(labels == ignore_index, 0, losses)


def cross_entropy_grad(
    g: np.ndarray, logits: np.ndarray, labels: Any, *, ignore_index: int, label_smoothing: float
) -> np.ndarray:
    out = g[:, None] * (softmax(logits, axis=1) - targets(logits, labels, label_smoothing))
    return np.where((labels == ignore_index)[:, None], 0, out)


def copy(x: np.ndarray, **_: Any) -> np.ndarray:
    return x


AXES: list[tuple[Any, int]] = [((3, 5), 1), ((3, 5), 0), ((2, 3, 4), 1), ((1,), 0), ((0, 3), 1)]
LABELS = [np.array([0, 2, 1, 3]), np.array([1, 3, 2, 1], np.int32)]
LOSSES: list[dict[str, Any]] = [
    {"ignore_index": -100, "label_smoothing": 0.0},
    {"ignore_index": 1, "label_smoothing": 0.1},
]
NONE = np.zeros(0, np.int64)

TABLE: dict[str, list[dict[str, Any]]] = {
    "relu": activation(lambda x: np.where(x <= 0, 0, x), exact=True),
    "relu_grad": gradient(lambda g, x: np.where(x <= 0, 0, g), exact=True),
    "sigmoid": activation(expit),
    "sigmoid_grad": gradient(lambda g, out: g * out * (1 - out), scale=4.0),
    "tanh_grad": gradient(lambda g, out: g * (1 - out * out), scale=4.0),
    "silu": activation(lambda x: x * expit(x)),
    "silu_grad": gradient(silu_grad, scale=2.0),
    "gelu": activation(gelu, approximate="none") + activation(gelu, approximate="tanh"),
    "gelu_grad": gradient(gelu_grad, approximate="none", scale=2.0)
    + gradient(gelu_grad, approximate="tanh", scale=4.0),
    "softplus": activation(softplus, beta=1.0, threshold=20.0)
    + activation(softplus, beta=2.0, threshold=1.0),
    "softmax": [case(softmax, shape, axis=axis) for shape, axis in AXES]
    + [case(copy, (3, 0), axis=1)],
    "log_softmax": [case(log_softmax, shape, axis=axis) for shape, axis in AXES]
    + [case(copy, (3, 0), axis=1)],
    "softmax_grad": [case(softmax_grad, s, s, axis=axis, scale=9.0) for s, axis in AXES],
    "log_softmax_grad": [case(log_softmax_grad, s, s, axis=axis, scale=9.0) for s, axis in AXES],
    "logsumexp": [
        case(logsumexp, shape, axis=axis, keepdims=keepdims)
        for shape in ((3, 4, 5), (3, 1), ())
        for count in range(len(shape) + 1)
        for axis in itertools.combinations(range(len(shape)), count)
        for keepdims in (False, True)
    ]
    + [case(logsumexp, (2, 0), axis=(1,), keepdims=False)],
    "cross_entropy": [
        case(cross_entropy, (4, 4), labels, **static) for labels in LABELS for static in LOSSES
    ]
    + [case(cross_entropy, (0, 4), NONE, **LOSSES[1])],
    "cross_entropy_grad": [
        case(cross_entropy_grad, (4,), (4, 4), labels, **static)
        for labels in LABELS
        for static in LOSSES
    ]
    + [
        case(lambda g, logits, *_, **__: logits, (0,), (0, 4), NONE, **LOSSES[1]),
    ],
}


@pytest.mark.parametrize("primitive", TABLE)
def test_kernel_agrees_with_float64(agree: Check, primitive: str) -> None:
    agree(primitive, TABLE[primitive])


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(activation_kernels(np)) | set(softmax_kernels(np))


# -- where formulas break down

NAN, INF = math.nan, math.inf
AXIS: dict[str, Any] = {"axis": 0}
OVER: dict[str, Any] = {"axis": (0,), "keepdims": False}
PLUS: dict[str, Any] = {"beta": 1.0, "threshold": 20.0}
EXACT: dict[str, Any] = {"approximate": "none"}
TANH: dict[str, Any] = {"approximate": "tanh"}

EDGES: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("relu", [[-0.0, 0.0, NAN, -INF, INF, -1.0]], {}, [0.0, 0.0, NAN, 0.0, INF, 0.0]),
    ("relu_grad", [[5.0, 5.0, INF, 2.0], [0.0, -0.0, -1.0, NAN]], {}, [0.0, 0.0, 0.0, 2.0]),
    ("sigmoid", [[1000.0, -1000.0, INF, -INF, NAN]], {}, [1.0, 0.0, 1.0, 0.0, NAN]),
    ("silu", [[1000.0, -1000.0, NAN]], {}, [1000.0, 0.0, NAN]),
    ("silu_grad", [[1.0, 1.0, 1.0], [1000.0, -1000.0, NAN]], {}, [1.0, 0.0, NAN]),
    ("softplus", [[1000.0, -1000.0, INF, -INF, NAN]], PLUS, [1000.0, 0.0, INF, 0.0, NAN]),
    ("gelu", [[1000.0, -1000.0, 1e30, INF, NAN]], EXACT, [1000.0, 0.0, 1e30, INF, NAN]),
    ("gelu", [[1000.0, -1000.0, 1e30, INF, NAN]], TANH, [1000.0, 0.0, 1e30, INF, NAN]),
    ("gelu_grad", [[1.0] * 4, [1000.0, -1000.0, 1e30, NAN]], EXACT, [1.0, 0.0, 1.0, NAN]),
    ("gelu_grad", [[1.0] * 4, [1000.0, -1000.0, 1e30, NAN]], TANH, [1.0, 0.0, 1.0, NAN]),
    ("softmax", [[1000.0, 1000.0, -INF]], AXIS, [0.5, 0.5, 0.0]),
    ("softmax", [[-INF, -INF]], AXIS, [NAN, NAN]),
    ("softmax_grad", [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]], AXIS, [0.25, -0.25, 0.0]),
    ("log_softmax", [[1000.0, 1000.0, -INF]], AXIS, [-math.log(2), -math.log(2), -INF]),
    ("logsumexp", [[-INF, -INF]], OVER, -INF),
    ("logsumexp", [[-INF, 1.0]], OVER, 1.0),
    ("logsumexp", [[INF, 1.0]], OVER, INF),
    ("logsumexp", [[INF, -INF]], OVER, INF),
    ("logsumexp", [[NAN, 1.0]], OVER, NAN),
    ("logsumexp", [[1000.0, 1000.0]], OVER, 1000.0 + math.log(2)),
]


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(("primitive", "inputs", "static", "expected"), EDGES)
def test_edges(
    lib: Any, primitive: str, inputs: Any, static: dict[str, Any], expected: Any, dtype: Any
) -> None:
    arrays = [lib.array(np.array(values, dtype)) for values in inputs]
    out = lib.host(lib.kernel(primitive)(*arrays, **static))
    assert out.dtype == dtype
    np.testing.assert_allclose(out, np.array(expected, dtype), rtol=1e-6)
    if primitive == "relu":
        assert not np.signbit(out).any()


def test_subnormal_results_are_kept(lib: Any) -> None:
    x = lib.array(np.array([-100.0, -90.0], F32))
    out = lib.host(lib.kernel("sigmoid")(x))
    np.testing.assert_allclose(out, np.exp([-100.0, -90.0]), rtol=1e-1)
    assert (out > 0).all()


@pytest.mark.parametrize("dtype", [F32, F64])
def test_lower_tails_keep_their_digits(lib: Any, dtype: Any) -> None:
    x = np.linspace(-12, -1, 45).astype(dtype)
    eps = float(np.finfo(dtype).eps)
    wide = x.astype(F64)
    out = lib.host(lib.kernel("gelu")(lib.array(x), approximate="none"))
    with mpmath.workdps(30):
        expected = [float(mpmath.mpf(v) * mpmath.ncdf(mpmath.mpf(v))) for v in wide.tolist()]
    np.testing.assert_allclose(out, expected, rtol=16 * eps)
    out = lib.host(lib.kernel("sigmoid")(lib.array(5 * x)))
    np.testing.assert_allclose(out, expit(5 * x.astype(F64)), rtol=8 * eps)
    out = lib.host(lib.kernel("softplus")(lib.array(5 * x), beta=1.0, threshold=20.0))
    np.testing.assert_allclose(out, np.log1p(np.exp(5 * x.astype(F64))), rtol=8 * eps)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_cross_entropy_of_the_edge_table(lib: Any, dtype: Any) -> None:
    logits = np.array([[1, 2, 3], [3, 1, 0]], dtype)
    labels = np.array([2, -100])
    static: dict[str, Any] = {"ignore_index": -100, "label_smoothing": 0.1}
    given = lib.array(logits), lib.array(labels)
    losses = lib.host(lib.kernel("cross_entropy")(*given, **static))
    np.testing.assert_allclose(losses, [0.50760596, 0.0], rtol=1e-6)
    assert losses[1] == 0
    g = lib.array(np.ones(2, dtype))
    grad = lib.host(lib.kernel("cross_entropy_grad")(g, *given, **static))
    np.testing.assert_allclose(grad[0], [0.05669724, 0.21139514, -0.26809238], rtol=1e-6)
    assert (grad[1] == 0).all()


def test_an_ignored_row_is_zero_whatever_it_holds(lib: Any) -> None:
    logits = lib.array(np.array([[NAN, INF], [0.0, -INF]], F32))
    labels = lib.array(np.array([-1, 0]))
    static: dict[str, Any] = {"ignore_index": -1, "label_smoothing": 0.0}
    losses = lib.host(lib.kernel("cross_entropy")(logits, labels, **static))
    assert losses.tolist() == [0.0, 0.0]
    g = lib.array(np.ones(2, F32))
    grad = lib.host(lib.kernel("cross_entropy_grad")(g, logits, labels, **static))
    assert grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("label", [7, -1])
def test_a_label_out_of_range_is_refused(lib: Any, label: int) -> None:
    logits, labels = lib.array(np.zeros((2, 3))), lib.array(np.array([0, label]))
    static: dict[str, Any] = {"ignore_index": -100, "label_smoothing": 0.0}
    message = f"cross_entropy: label {label} is out of range for 3 classes; use labels in"
    with pytest.raises(IndexOutOfRangeError, match=message):
        lib.kernel("cross_entropy")(logits, labels, **static)
    with pytest.raises(IndexOutOfRangeError, match="cross_entropy_grad: label"):
        lib.kernel("cross_entropy_grad")(lib.array(np.ones(2)), logits, labels, **static)
