"""Rows of normalisation and attention."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.contractions import BLAS
from isograd.testing.op_db.generate import bad, bound, draw
from isograd.testing.op_db.spec import OpSpec, Sample, Samples, Scale

__all__ = ["BLOCKS"]

Array = Any
Shape = tuple[int, ...]
Static = dict[str, Any]

INF = math.inf


def _moments(x: Array, axis: Shape, centred: bool) -> tuple[Array, Array]:
    mean = np.mean(x, axis, keepdims=True) if centred and x.size else np.zeros((1,) * x.ndim)
    square = np.mean((x - mean) ** 2, axis, keepdims=True) if x.size else np.ones((1,) * x.ndim)
    return mean, square


def _standardize(x: Array, *, axis: Shape, eps: float, centred: bool) -> Array:
    mean, square = _moments(x, axis, centred)
    return (x - mean) / np.sqrt(square + eps)


def _standardize_grad(g: Array, x: Array, *, axis: Shape, eps: float, centred: bool) -> Array:
    """Multiply by the Jacobian of each row: ``C / root - C u u^T / (n root^3)``, ``u = C x``."""
    if not x.size:
        return np.zeros(x.shape)
    rest = tuple(i for i in range(x.ndim) if i not in axis)
    order = (*rest, *axis)
    rows = [np.transpose(a, order).reshape(-1, math.prod(x.shape[i] for i in axis)) for a in (g, x)]
    n = rows[0].shape[1]
    out = np.zeros_like(rows[0])

    def centre(v: Array) -> Array:
        return v - np.sum(v) / n if centred else v

    for i, (ct, row) in enumerate(zip(*rows, strict=True)):
        u = centre(row)
        root = np.sqrt(u @ u / n + eps)
        out[i] = centre(ct) / root - centre(u) * (u @ ct) / (n * root**3)
    shape = [x.shape[i] for i in order]
    return np.transpose(out.reshape(shape), np.argsort(order))


def _axes_of(*shapes: tuple[Shape, Shape], cotangent: bool) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for shape, axis in shapes:
            for centred in (True, False):
                static = {"axis": axis, "eps": 1e-2, "centred": centred}
                x = draw(-1.0, 2.0)(rng, shape, dtype)
                args = (draw()(rng, shape, dtype), x) if cotangent else (x,)
                small = math.prod(shape) < 200
                yield Sample(args, static, label="" if small else "large", grad=small)

    return samples


_ROWS = (
    ((3, 4), (1,)),
    ((3, 4), (0,)),
    ((2, 3, 2, 2), (0, 2, 3)),
    ((2, 3, 4), (1, 2)),
    ((0, 3), (1,)),
    ((3, 0), (1,)),
    ((5, 300), (1,)),
    ((4, 8, 9, 7), (0, 2, 3)),
)


def _deviation_scale(x: Array, *, axis: Shape, eps: float, centred: bool) -> Array:
    """Return what rounding acts on: each element and the mean, over the root."""
    _, square = _moments(x, axis, centred)
    spread = np.max(np.abs(x), axis, keepdims=True, initial=0.0)
    return (np.abs(x) + spread) / np.sqrt(square + eps) * 2.0


def _pull_scale(g: Array, x: Array, *, axis: Shape, eps: float, centred: bool) -> Array:
    _, square = _moments(x, axis, centred)
    peak = np.max(np.abs(g), axis, keepdims=True, initial=0.0)
    deviation = _deviation_scale(x, axis=axis, eps=eps, centred=centred)
    most = np.max(deviation, axis, keepdims=True, initial=0.0)
    return (np.abs(g) + peak * (1.0 + most**2)) / np.sqrt(square + eps)


def _constant_rows(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    x = np.array([[3.0] * 4, [0.0] * 4, [np.nan, 1.0, 2.0, 3.0]], dtype)
    shifted = draw(999.0, 1001.0)(rng, (3, 1500), dtype)
    for rows in (x, shifted):
        static = {"axis": (1,), "eps": 1e-5, "centred": True}
        yield Sample((rows,), static, label="extreme", grad=False)


NORMS: tuple[OpSpec, ...] = (
    OpSpec(
        name="standardize",
        fn=bound("standardize"),
        reference=_standardize,
        samples=_axes_of(*_ROWS, cotangent=False),
        extreme=_constant_rows,
        scale=Scale("sum", _deviation_scale, lambda *_, **__: 8),
        errors=(
            bad(
                np.zeros((2, 3), np.int64),
                axis=(1,),
                eps=1e-5,
                centred=True,
                error=DTypeError,
                says=("standardize", "int64"),
            ),
        ),
    ),
    OpSpec(
        name="standardize_grad",
        fn=bound("standardize_grad"),
        reference=_standardize_grad,
        samples=_axes_of(*_ROWS, cotangent=True),
        grad_args=(0, 1),
        scale=Scale("sum", _pull_scale, lambda *_, **__: 8),
        errors=(
            bad(
                (2, 3),
                (2, 4),
                axis=(1,),
                eps=1e-5,
                centred=True,
                error=ShapeError,
                says=("standardize_grad", "[2, 3]", "[2, 4]"),
            ),
        ),
    ),
)


def _scores(q: Array, k: Array, mask: Array | None, causal: bool, scale: float) -> Array:
    scores = np.einsum("...le,...se->...ls", q, k) * scale
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -INF)
    if mask is not None:
        scores = np.where(mask, scores, -INF) if mask.dtype == np.bool_ else scores + mask
    return scores


def _weights(scores: Array) -> Array:
    """Return the softmax of each row, and 0 for a row of -inf."""
    top = np.max(scores, -1, keepdims=True, initial=-INF)
    powers = np.where(scores == -INF, 0.0, np.exp(scores - np.where(np.isfinite(top), top, 0.0)))
    total = np.sum(powers, -1, keepdims=True)
    return powers / np.where(total == 0, 1.0, total)


def _attention(
    q: Array, k: Array, v: Array, mask: Array | None = None, *, causal: bool, scale: float
) -> Array:
    return np.einsum("...ls,...sd->...ld", _weights(_scores(q, k, mask, causal, scale)), v)


def _attention_grad(
    g: Array,
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    *,
    causal: bool,
    scale: float,
) -> tuple[Array, Array, Array]:
    p = _weights(_scores(q, k, mask, causal, scale))
    of_p = np.einsum("...ld,...sd->...ls", g, v)
    of_s = p * (of_p - np.einsum("...ls,...ls->...l", p, of_p)[..., None])
    return (
        np.einsum("...ls,...se->...le", of_s, k) * scale,
        np.einsum("...ls,...le->...se", of_s, q) * scale,
        np.einsum("...ls,...ld->...sd", p, g),
    )


# (leading axes, L, S, E, D, kind of mask, causal)
ATTENTIONS: tuple[tuple[Shape, int, int, int, int, str, bool], ...] = (
    ((), 3, 3, 2, 2, "", True),
    ((2,), 3, 4, 2, 3, "", False),
    ((2, 2), 4, 3, 2, 1, "bool", False),
    ((1, 2), 2, 4, 3, 2, "float", False),
    ((), 4, 2, 1, 2, "", True),
    ((2,), 0, 3, 2, 2, "", False),
    ((3,), 33, 40, 8, 8, "bool", False),
    ((2, 2), 64, 64, 16, 16, "", True),
    ((2,), 5, 200, 4, 3, "float", True),
)


def _attention_samples(cotangent: bool) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for batch, rows, columns, width, depth, kind, causal in ATTENTIONS:
            shapes = (
                (*batch, rows, depth),
                (*batch, rows, width),
                (*batch, columns, width),
                (*batch, columns, depth),
            )
            args = [draw()(rng, shape, dtype) for shape in shapes][0 if cotangent else 1 :]
            if kind == "bool":
                mask = rng.random((*batch, rows, columns)) < 0.6
                mask[..., 0, :] = False
                args.append(mask)
            elif kind:
                args.append(draw(-1.0, 1.0)(rng, (rows, columns), dtype))
                args[-1][0, :] = -INF
            small = rows * columns < 100
            static = {"causal": causal, "scale": 0.5}
            # Other layouts of a mask that broadcasts are other masks.
            label = "" if small else "large"
            yield Sample(tuple(args), static, label=label, grad=small)

    return samples


def _magnitude(*arrays: Array, **static: Any) -> Array:
    """Return one number for all outputs: the largest terms of the sums, times their condition."""
    floats = [a for a in arrays if a.dtype != np.bool_ and np.all(np.isfinite(a))]
    width, longest = floats[0].shape[-1], max([n for a in floats for n in a.shape], default=1)
    peak = max([float(np.max(np.abs(a), initial=0.0)) for a in floats], default=1.0)
    return np.asarray(max(peak, 1.0) ** 2 * (1.0 + width * peak) * math.sqrt(longest))


_PLAIN = {"causal": False, "scale": 1.0}

ATTENTION: tuple[OpSpec, ...] = (
    OpSpec(
        name="attention",
        fn=bound("attention"),
        reference=_attention,
        samples=_attention_samples(cotangent=False),
        grad_args=(0, 1, 2),
        known=(BLAS,),
        scale=Scale("sum", _magnitude, lambda q, k, *_, **__: k.shape[-2]),
        errors=(
            bad(
                (2, 3),
                (4, 5),
                (4, 3),
                **_PLAIN,
                error=ShapeError,
                says=("attention", "(2, 3)", "(4, 5)"),
            ),
            bad(
                (2, 3),
                (4, 3),
                (4, 3),
                np.zeros((2, 4), np.int64),
                **_PLAIN,
                error=DTypeError,
                says=("attention", "mask", "int64"),
            ),
            bad(
                (2, 3),
                (4, 3),
                (4, 3),
                np.zeros((5, 2, 4), bool),
                **_PLAIN,
                error=ShapeError,
                says=("attention", "mask", "(5, 2, 4)"),
            ),
        ),
    ),
    OpSpec(
        name="attention_grad",
        fn=bound("attention_grad"),
        reference=_attention_grad,
        samples=_attention_samples(cotangent=True),
        grad_args=(0, 1, 2, 3),
        known=(BLAS,),
        scale=Scale("sum", _magnitude, lambda g, q, k, *_, **__: k.shape[-2]),
        errors=(
            bad(
                (2, 4),
                (2, 3),
                (4, 3),
                (4, 3),
                **_PLAIN,
                error=ShapeError,
                says=("attention_grad", "[2, 4]", "[2, 3]"),
            ),
        ),
    ),
)

BLOCKS: tuple[OpSpec, ...] = (*NORMS, *ATTENTION)
