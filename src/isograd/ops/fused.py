"""Fused primitives: several operations that backends may compute in one pass.

Each has a decomposition in other functions of the library. That is its definition, its fallback,
its test oracle, and the source of every derivative for which no rule stands here.
"""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi
from math import sqrt as root
from typing import Any

from isograd.core import dtypes
from isograd.core.errors import DTypeError, ShapeError
from isograd.ir import Aval, Primitive, Rule
from isograd.ops import creation, infer
from isograd.ops import math as m
from isograd.ops import primitives as p
from isograd.ops import reductions as r
from isograd.ops.convert import cast
from isograd.ops.indexing import take_along_axis
from isograd.ops.linear import matmul
from isograd.ops.movement import expand_dims, matrix_transpose, reshape, squeeze
from isograd.runtime.bind import bind
from isograd.runtime.rules import Elementwise, General, Linear
from isograd.runtime.tensor import Tensor

__all__ = [
    "adam_update",
    "cross_entropy",
    "dropout",
    "gelu",
    "linear",
    "log_softmax",
    "random_normal",
    "relu",
    "sgd_update",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]


def _fused(
    name: str,
    infer: Callable[..., Any],
    decompose: Callable[..., Any],
    rule: Rule | None = None,
    **options: Any,
) -> Primitive:
    made = p.enter(name, infer, decompose=decompose, **options)
    made.rule = rule
    return made


def _activation(name: str, decompose: Callable[..., Any], row: Callable[..., Any]) -> Primitive:
    def infer_activation(x: Aval, **static: Any) -> Aval:
        infer.require(name, x, "float")
        return x

    return _fused(name, infer_activation, decompose, Elementwise(row))


def _gradient(name: str, decompose: Callable[..., Any]) -> Primitive:
    """Make the primitive of a gradient; its own derivative comes from the decomposition."""

    def infer_gradient(g: Aval, x: Aval, **static: Any) -> Aval:
        infer.require(name, x, "float")
        if g != x:
            raise ShapeError(
                f"{name}: the cotangent is {g}, the value {x}; they must be equal in shape and "
                "dtype"
            )
        return x

    return _fused(name, infer_gradient, decompose)


# -- activations
# -----------------------------------------------------------------------------------------


def _relu(x: Tensor) -> Tensor:
    return m.where(m.less_equal(x, 0), 0, x)  # NaN stays NaN


def _relu_grad(g: Tensor, x: Tensor) -> Tensor:
    return m.where(m.less_equal(x, 0), 0, g)


def _sigmoid(x: Tensor) -> Tensor:
    z = m.exp(-m.abs(x))
    return m.where(m.less(x, 0), z, 1.0) / (1.0 + z)


def _silu(x: Tensor) -> Tensor:
    return x * sigmoid(x)


def _silu_grad(g: Tensor, x: Tensor) -> Tensor:
    s = sigmoid(x)
    return g * (s * (1.0 + x * (1.0 - s)))


_CUBIC = 0.044715


def _gelu(x: Tensor, *, approximate: str) -> Tensor:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + m.tanh(root(2 / pi) * (x + _CUBIC * x * m.square(x))))
    return 0.5 * x * (1.0 + m.erf(x * root(0.5)))


def _gelu_grad(g: Tensor, x: Tensor, *, approximate: str) -> Tensor:
    if approximate == "tanh":
        t = m.tanh(root(2 / pi) * (x + _CUBIC * x * m.square(x)))
        inner = root(2 / pi) * (1.0 + 3.0 * _CUBIC * m.square(x))
        return g * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - m.square(t)) * inner)
    density = root(0.5 / pi) * m.exp(-0.5 * m.square(x))
    return g * (0.5 * (1.0 + m.erf(x * root(0.5))) + x * density)


def _softplus(x: Tensor, *, beta: float, threshold: float) -> Tensor:
    z = x * beta
    linear_part = m.greater(z, threshold)
    return m.where(linear_part, x, m.logaddexp(m.where(linear_part, 0, z), 0.0) / beta)


def _softplus_rule(g: Tensor, x: Tensor, *, beta: float, threshold: float) -> Tensor:
    z = x * beta
    return m.where(m.greater(z, threshold), g, g * sigmoid(z))


relu_grad_p = _gradient("relu_grad", _relu_grad)
sigmoid_grad_p = _gradient("sigmoid_grad", lambda g, out: g * out * (1.0 - out))
tanh_grad_p = _gradient("tanh_grad", lambda g, out: g * ((1.0 - out) * (1.0 + out)))
silu_grad_p = _gradient("silu_grad", _silu_grad)
gelu_grad_p = _gradient("gelu_grad", _gelu_grad)

relu_p = _activation("relu", _relu, lambda g, x: bind(relu_grad_p, g, x))
sigmoid_p = _activation("sigmoid", _sigmoid, lambda g, out: bind(sigmoid_grad_p, g, out))
silu_p = _activation("silu", _silu, lambda g, x: bind(silu_grad_p, g, x))
gelu_p = _activation(
    "gelu", _gelu, lambda g, x, *, approximate: bind(gelu_grad_p, g, x, approximate=approximate)
)
softplus_p = _activation("softplus", _softplus, _softplus_rule)


def tanh_grad(g: Tensor, out: Tensor) -> Tensor:
    """Return ``g * (1 - out**2)``: the derivative of tanh from its output."""
    return bind(tanh_grad_p, g, out)


def _as_float(function: str, x: Any) -> Tensor:
    from isograd.ops.convert import as_tensor

    t = as_tensor(function, x)
    return t if dtypes.is_floating(t.dtype) else cast(t, dtypes.default_float())


def relu(x: Any, /) -> Tensor:
    """Return x where it is positive, else 0; the derivative at 0 is 0.

    >>> relu(tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return bind(relu_p, _as_float("relu", x))


def sigmoid(x: Any, /) -> Tensor:
    """Return 1 / (1 + exp(-x)) without overflow.

    >>> sigmoid(tensor([0.0])).tolist()
    [0.5]
    """
    return bind(sigmoid_p, _as_float("sigmoid", x))


def silu(x: Any, /) -> Tensor:
    """Return x * sigmoid(x).

    >>> silu(tensor([0.0])).tolist()
    [0.0]
    """
    return bind(silu_p, _as_float("silu", x))


def gelu(x: Any, /, *, approximate: str = "none") -> Tensor:
    """Return x times the standard normal distribution function of x (Hendrycks and Gimpel, 2016).

    Parameters
    ----------
    approximate
        ``"none"`` for the exact function, ``"tanh"`` for the paper's approximation.

    >>> gelu(tensor([0.0])).tolist()
    [0.0]
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate is {approximate!r}; pass 'none' or 'tanh'")
    return bind(gelu_p, _as_float("gelu", x), approximate=approximate)


def softplus(x: Any, /, *, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return log(1 + exp(beta * x)) / beta, and x itself where beta * x exceeds the threshold.

    >>> softplus(tensor([1000.0])).tolist()
    [1000.0]
    """
    return bind(softplus_p, _as_float("softplus", x), beta=float(beta), threshold=float(threshold))


# -- softmax family
# --------------------------------------------------------------------------------------


def _along_axis(name: str) -> Callable[..., Aval]:
    def infer_along(x: Aval, y: Aval | None = None, *, axis: int) -> Aval:
        infer.require(name, x, "float")
        if y is not None and x != y:
            raise ShapeError(
                f"{name}: the cotangent is {x}, the output {y}; they must be equal in shape and "
                "dtype"
            )
        return x

    return infer_along


def _peak(x: Tensor, axis: Any) -> Tensor:
    """Return the maximum along axes as a constant; 0 for empty axes."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    if 0 in [x.shape[i] for i in axes]:
        shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
        return creation.zeros(shape, dtype=x.dtype, device=x.device)
    return m.stop_gradient(r.max(x, axis=axis, keepdims=True))


def _widened(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compute a decomposition of 16-bit floats in float32 and round once."""

    def widened(*xs: Tensor, **static: Any) -> Tensor:
        dtype = xs[0].dtype
        if not dtypes.is_half(dtype):
            return fn(*xs, **static)
        return cast(
            fn(*[cast(x, dtypes.float32) if x.dtype == dtype else x for x in xs], **static), dtype
        )

    return widened


@_widened
def _softmax(x: Tensor, *, axis: int) -> Tensor:
    e = m.exp(x - _peak(x, axis))
    return e / r.sum(e, axis=axis, keepdims=True)


@_widened
def _softmax_grad(g: Tensor, out: Tensor, *, axis: int) -> Tensor:
    return out * (g - r.sum(g * out, axis=axis, keepdims=True))


@_widened
def _log_softmax(x: Tensor, *, axis: int) -> Tensor:
    shifted = x - _peak(x, axis)
    return shifted - m.log(r.sum(m.exp(shifted), axis=axis, keepdims=True))


@_widened
def _log_softmax_grad(g: Tensor, out: Tensor, *, axis: int) -> Tensor:
    return g - m.exp(out) * r.sum(g, axis=axis, keepdims=True)


@_widened
def _logsumexp(x: Tensor, *, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    peak = _peak(x, axis)
    safe = m.where(m.isfinite(peak), peak, 0)
    out = m.log(r.sum(m.exp(x - safe), axis=axis, keepdims=True)) + safe
    return out if keepdims else squeeze(out, axis)


def _logsumexp_rule(
    g: Tensor, out: Tensor, x: Tensor, *, axis: tuple[int, ...], keepdims: bool
) -> Tensor:
    total = r.restore(out, x.shape, axis, keepdims)
    same = m.equal(x, total)
    # An infinite sum has one term that made it, or none.
    weight = m.where(
        same, m.where(m.equal(x, -float("inf")), 0, 1), m.exp(m.where(same, 0, x - total))
    )
    return r.restore(g, x.shape, axis, keepdims) * weight


softmax_grad_p = _fused("softmax_grad", _along_axis("softmax_grad"), _softmax_grad)
log_softmax_grad_p = _fused("log_softmax_grad", _along_axis("log_softmax_grad"), _log_softmax_grad)
softmax_p = _fused(
    "softmax",
    _along_axis("softmax"),
    _softmax,
    General(lambda g, out, *, axis: bind(softmax_grad_p, g, out, axis=axis)),
)
log_softmax_p = _fused(
    "log_softmax",
    _along_axis("log_softmax"),
    _log_softmax,
    General(lambda g, out, *, axis: bind(log_softmax_grad_p, g, out, axis=axis)),
)
logsumexp_p = _fused(
    "logsumexp", infer.reduction("logsumexp", "float"), _logsumexp, General(_logsumexp_rule)
)


def softmax(x: Any, /, *, axis: int = -1) -> Tensor:
    """Return exp(x) normalised to sum 1 along an axis, without overflow.

    >>> softmax(tensor([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    return _softmax_like(softmax_p, x, axis)


def log_softmax(x: Any, /, *, axis: int = -1) -> Tensor:
    """Return the logarithm of `softmax`, accurate where that is tiny.

    >>> log_softmax(tensor([0.0])).tolist()
    [0.0]
    """
    return _softmax_like(log_softmax_p, x, axis)


def _softmax_like(prim: Primitive, x: Any, axis: int) -> Tensor:
    from isograd.ops.convert import axis_of

    t = _as_float(prim.name, x)
    return bind(prim, t, axis=axis_of(prim.name, axis, t.ndim))


# -- cross-entropy
# ---------------------------------------------------------------------------------------


def _check_rows(function: str, logits: Aval, labels: Aval) -> None:
    infer.require(function, logits, "float", "the argument logits")
    if len(logits.shape) != 2 or labels.shape != logits.shape[:1]:
        raise ShapeError(
            f"{function}: logits have shape {logits.shape} and labels {labels.shape}; pass (N, C) "
            "and (N,)"
        )
    if labels.dtype not in (dtypes.int32, dtypes.int64):
        raise DTypeError(
            f"{function}: labels are {labels}; convert them with .astype(isograd.int64)"
        )


def _infer_cross_entropy(logits: Aval, labels: Aval, **static: Any) -> Aval:
    _check_rows("cross_entropy", logits, labels)
    return Aval(labels.shape, logits.dtype)


def _infer_cross_entropy_grad(g: Aval, logits: Aval, labels: Aval, **static: Any) -> Aval:
    _check_rows("cross_entropy_grad", logits, labels)
    if g != Aval(labels.shape, logits.dtype):
        raise ShapeError(
            f"cross_entropy_grad: the cotangent is {g}; pass one number for each row of {logits}"
        )
    return logits


def _labels_in_range(labels: Tensor, valid: Tensor, classes: int) -> Tensor:
    """Return labels with 0 where ignored; negative ones are sent out of range, not wrapped."""
    wrapped = m.where(m.less(labels, 0), classes, labels)
    return m.where(valid, wrapped, 0)


@_widened
def _cross_entropy(
    logits: Tensor, labels: Tensor, *, ignore_index: int, label_smoothing: float
) -> Tensor:
    valid = m.not_equal(labels, ignore_index)
    if logits.shape[0] == 0:
        return r.sum(logits, axis=1)
    log_p = log_softmax(logits, axis=1)
    at = expand_dims(_labels_in_range(labels, valid, logits.shape[1]), axis=1)
    loss = -(1.0 - label_smoothing) * squeeze(take_along_axis(log_p, at, axis=1), 1)
    if label_smoothing:
        loss = loss - label_smoothing * r.mean(log_p, axis=1)
    return m.where(valid, loss, 0)


@_widened
def _cross_entropy_grad(
    g: Tensor, logits: Tensor, labels: Tensor, *, ignore_index: int, label_smoothing: float
) -> Tensor:
    classes = logits.shape[1]
    valid = m.not_equal(labels, ignore_index)
    hot = m.equal(
        expand_dims(labels, axis=1),
        creation.arange(classes, dtype=labels.dtype, device=labels.device),
    )
    target = (1.0 - label_smoothing) * cast(hot, logits.dtype) + label_smoothing / max(classes, 1)
    ct = expand_dims(g, axis=1) * (softmax(logits, axis=1) - target)
    return m.where(expand_dims(valid, axis=1), ct, 0)


cross_entropy_grad_p = _fused("cross_entropy_grad", _infer_cross_entropy_grad, _cross_entropy_grad)
cross_entropy_p = _fused(
    "cross_entropy",
    _infer_cross_entropy,
    _cross_entropy,
    General(
        lambda g, logits, labels, *, ignore_index, label_smoothing: bind(
            cross_entropy_grad_p,
            g,
            logits,
            labels,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        ),
        None,
        names=("logits", "labels"),
    ),
)


def cross_entropy(
    logits: Tensor, labels: Tensor, /, *, ignore_index: int = -100, label_smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy of each row of logits with its label.

    Parameters
    ----------
    logits
        Shape ``(N, C)``, floating-point, not normalised.
    labels
        Shape ``(N,)``, integers in ``[0, C - 1]``, or ``ignore_index`` for rows whose loss is
        exactly 0.
    label_smoothing
        The share, from 0 to 1, of the target that is spread evenly over all classes.

    Raises
    ------
    IndexOutOfRangeError
        If a label is no class.

    >>> cross_entropy(tensor([[0.0, 0.0]]), tensor([1])).tolist()
    [0.6931471824645996]
    """
    integers = (
        labels
        if labels.dtype in (dtypes.int32, dtypes.int64)
        else _integers("cross_entropy", labels)
    )
    return bind(
        cross_entropy_p,
        logits,
        integers,
        ignore_index=int(ignore_index),
        label_smoothing=float(label_smoothing),
    )


def _integers(function: str, labels: Tensor) -> Tensor:
    if not dtypes.is_integer(labels.dtype):
        raise DTypeError(f"{function}: labels are {labels.aval}; pass integer class numbers")
    return cast(labels, dtypes.int64)


# -- affine maps
# -----------------------------------------------------------------------------------------


def _infer_linear(x: Aval, w: Aval, b: Aval) -> Aval:
    infer.require("linear", x, "float")
    infer.same_dtype("linear", x, w, b)
    if not x.shape or len(w.shape) != 2 or x.shape[-1] != w.shape[1] or b.shape != w.shape[:1]:
        raise ShapeError(
            f"linear: input {x.shape}, weight {w.shape} and bias {b.shape} do not fit; pass (..., "
            "in), (out, in) and "
            "(out,)"
        )
    return Aval((*x.shape[:-1], w.shape[0]), x.dtype)


def _rows(x: Tensor) -> Tensor:
    """Flatten all axes but the last into one."""
    count = x.size // x.shape[-1] if x.shape[-1] else _count(x.shape[:-1])
    return x if x.ndim == 2 else reshape(x, (count, x.shape[-1]))


def _count(shape: tuple[int, ...]) -> int:
    out = 1
    for n in shape:
        out *= n
    return out


def _linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return reshape(matmul(_rows(x), matrix_transpose(w)) + b, (*x.shape[:-1], w.shape[0]))


linear_p = _fused(
    "linear",
    _infer_linear,
    _linear,
    General(
        lambda g, x_shape, w: reshape(matmul(_rows(g), w), x_shape),
        lambda g, x: matmul(matrix_transpose(_rows(g)), _rows(x)),
        lambda g: r.sum(_rows(g), axis=0),
        names=("x", "w", "b"),
    ),
)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, /) -> Tensor:
    """Return ``x @ weight.T + bias``.

    Parameters
    ----------
    x, weight, bias
        Shapes ``(..., in)``, ``(out, in)`` and ``(out,)``, of one floating-point dtype.

    Returns
    -------
    Tensor
        Shape ``(..., out)``.

    >>> linear(tensor([1.0, 2.0]), tensor([[3.0, 4.0]]), tensor([5.0])).tolist()
    [16.0]
    """
    if bias is None:
        if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
            raise ShapeError(
                f"linear: input {x.shape} and weight {weight.shape} do not fit; pass (..., in) and "
                "(out, in)"
            )
        return reshape(matmul(_rows(x), matrix_transpose(weight)), (*x.shape[:-1], weight.shape[0]))
    return bind(linear_p, x, weight, bias)


# -- random
# ----------------------------------------------------------------------------------------------


def _random_normal(key: Tensor, *, shape: tuple[int, ...], dtype: dtypes.DType) -> Tensor:
    from isograd import ops
    from isograd.backend.normal import normal_from_uniform

    words = bind(p.random_bits, key, shape=shape, bits=64)
    high = cast(m.bitwise_right_shift(words, 12), dtypes.float64)
    z = normal_from_uniform(ops, (high - (2.0**51 - 0.5)) * 2.0**-52)
    return cast(cast(z, dtypes.float32), dtype) if dtypes.is_half(dtype) else cast(z, dtype)


random_normal_p = _fused("random_normal", p.key_to_floats, _random_normal)


def random_normal(key: Tensor, /, *, shape: tuple[int, ...], dtype: dtypes.DType) -> Tensor:
    """Return standard normal numbers for a random key, the same bits on every backend."""
    return bind(random_normal_p, key, shape=shape, dtype=dtype)


def _infer_dropout(x: Aval, key: Aval, *, p: float) -> Aval:
    infer.require("dropout", x, "float")
    infer.check_key("dropout", key)
    return x


def _dropout(x: Tensor, key: Tensor, *, p: float) -> Tensor:
    if p >= 1.0:
        return creation.zeros_like(x)
    words = _random_words(key, x.shape)
    keep = m.greater_equal(words, int(p * 2**32))
    return m.where(keep, x * (1.0 / (1.0 - p)), 0)


def _random_words(key: Tensor, shape: tuple[int, ...]) -> Tensor:
    return bind(p.random_bits, key, shape=shape, bits=32)


dropout_p = _fused(
    "dropout",
    _infer_dropout,
    _dropout,
    Linear(lambda g, key, *, p: bind(dropout_p, g, key, p=p), None, names=("x", "key"), joint=True),
)


def dropout(x: Tensor, key: Tensor, /, *, p: float) -> Tensor:
    """Return x with a share ``p`` of its elements set to 0, the others divided by ``1 - p``.

    The mask is a function of the key and the position, so the backward pass makes it again instead
    of keeping it.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p is {p}; pass a probability from 0 to 1")
    return bind(dropout_p, x, key, p=float(p))


# -- optimizer updates
# -----------------------------------------------------------------------------------


def _groups(tensors: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """Split a flat list into ``count`` groups of equal length."""
    n = len(tensors) // count
    return [tensors[i * n : (i + 1) * n] for i in range(count)]


def _check_groups(function: str, avals: Sequence[Aval], count: int) -> None:
    groups = _groups(avals, count)
    if len(avals) % count:
        raise ShapeError(
            f"{function}: {len(avals)} tensors do not make {count} groups; pass as many of each "
            "kind"
        )
    for row in zip(*groups, strict=True):
        infer.require(function, row[0], "float", "a parameter")
        if any(aval != row[0] for aval in row):
            raise ShapeError(
                f"{function}: a parameter is {row[0]}, but what belongs to it is "
                f"{', '.join(map(str, row[1:]))}; they "
                "must be equal in shape and dtype"
            )


def _infer_sgd(lr: Aval, *avals: Aval, momentum: float, **static: Any) -> tuple[Aval, ...]:
    kinds = 3 if momentum else 2
    _check_groups("sgd_update", avals, kinds)
    n = len(avals) // kinds
    return (*avals[:n], *avals[2 * n :])


def _sgd(
    lr: Tensor,
    *tensors: Tensor,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    maximize: bool,
    first: bool,
) -> tuple[Tensor, ...]:
    params, grads, *rest = _groups(tensors, 3 if momentum else 2)
    new_params: list[Tensor] = []
    new_momenta: list[Tensor] = []
    for i, (w, g) in enumerate(zip(params, grads, strict=True)):
        step = -g if maximize else g
        if weight_decay:
            step = step + weight_decay * w
        if momentum:
            v = step if first else momentum * rest[0][i] + (1.0 - dampening) * step
            new_momenta.append(v)
            step = step + momentum * v if nesterov else v
        new_params.append(w - cast(lr, w.dtype) * step)
    return (*new_params, *new_momenta)


sgd_update_p = _fused("sgd_update", _infer_sgd, _sgd, multiple=True)


def sgd_update(
    lr: Tensor,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    momenta: Sequence[Tensor],
    /,
    *,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    maximize: bool = False,
    first: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return all parameters and momenta after a step of stochastic gradient descent.

    With ``first`` the momenta start as the gradients. ``momenta`` is empty where ``momentum`` is 0.
    """
    out = bind(
        sgd_update_p,
        lr,
        *params,
        *grads,
        *momenta,
        momentum=momentum,
        dampening=dampening,
        nesterov=nesterov,
        weight_decay=weight_decay,
        maximize=maximize,
        first=first,
    )
    n = len(params)
    return list(out[:n]), list(out[n:])


def _infer_adam(lr: Aval, step: Aval, *avals: Aval, **static: Any) -> tuple[Aval, ...]:
    _check_groups("adam_update", avals, 4)
    n = len(avals) // 4
    return (*avals[:n], *avals[2 * n :])


def _adam(
    lr: Tensor,
    step: Tensor,
    *tensors: Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    params, grads, means, squares = _groups(tensors, 4)
    beta1, beta2 = betas
    count = cast(step, dtypes.float64)
    rate = lr / (1.0 - m.pow(beta1, count))
    scale = m.sqrt(1.0 - m.pow(beta2, count))
    new: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for w, g, mean, square in zip(params, grads, means, squares, strict=True):
        direction = -g if maximize else g
        start = w
        if weight_decay and decoupled:
            start = w * cast(1.0 - lr * weight_decay, w.dtype)
        elif weight_decay:
            direction = direction + weight_decay * w
        mean = mean + (1.0 - beta1) * (direction - mean)
        square = beta2 * square + (1.0 - beta2) * m.square(direction)
        width = m.sqrt(square) / cast(scale, w.dtype) + eps
        new[0].append(start - cast(rate, w.dtype) * (mean / width))
        new[1].append(mean)
        new[2].append(square)
    return (*new[0], *new[1], *new[2])


adam_update_p = _fused("adam_update", _infer_adam, _adam, multiple=True)


def adam_update(
    lr: Tensor,
    step: Tensor,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    /,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return all parameters and moments after a step of Adam (Kingma and Ba, 2015).

    ``step`` is 1 at the first update. With ``decoupled``, weight decay is AdamW's (Loshchilov and
    Hutter, 2019).
    """
    out = bind(
        adam_update_p,
        lr,
        step,
        *params,
        *grads,
        *exp_avgs,
        *exp_avg_sqs,
        betas=tuple(betas),
        eps=eps,
        weight_decay=weight_decay,
        decoupled=decoupled,
        maximize=maximize,
    )
    n = len(params)
    return list(out[:n]), list(out[n : 2 * n]), list(out[2 * n :])
