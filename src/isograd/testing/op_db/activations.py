"""Rows of the activations that are composites of other functions."""

# References are lambdas, whose parameters have no annotations.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.generate import bad, draw, public, specials
from isograd.testing.op_db.public import case, row
from isograd.testing.op_db.spec import FLOATS, ErrorCase, OpSpec, Sample, Samples, Scale

__all__ = ["ACTIVATIONS"]

Array = Any
Static = dict[str, Any]

INF, NAN = math.inf, math.nan
_EXTREMES = (NAN, INF, -INF, 0.0, -0.0, 1000.0, -1000.0, 1e-30, -1e-30)


def _samples(kinks: Sequence[float], statics: Sequence[Static]) -> Samples:
    source = draw(-4.0, 4.0, avoid=kinks)

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for static in statics:
            for shape in ((3, 4), (), (0, 2)):
                yield Sample((source(rng, shape, dtype),), static)
        yield Sample((source(rng, (45, 47), dtype),), statics[0], label="medium", grad=False)

    return samples


def _pointwise(
    name: str,
    reference: Callable[..., Array],
    *statics: Static,
    kinks: Sequence[float] = (),
    extremes: Sequence[float] = _EXTREMES,
    of: Callable[..., Array] | None = None,
    errors: tuple[ErrorCase, ...] = (),
) -> OpSpec:
    """Write the row of a function of one tensor and numbers."""
    path = f"nn.functional.{name}"

    def quiet(x: Array, **static: Any) -> Array:
        with np.errstate(all="ignore"):
            return reference(x, **static)

    return OpSpec(
        name=path,
        fn=public(path),
        reference=quiet,
        samples=_samples(kinks, statics or ({},)),
        extreme=specials(extremes) if not statics or not statics[0] else _none,
        errors=errors,
        dtypes=FLOATS,
        scale=Scale(of=of),
        budget=6,
        primitive=False,
    )


def _none(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    return ()


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(x))


def _celu(x: Array, alpha: float = 1.0) -> Array:
    return np.maximum(0, x) + np.minimum(0, alpha * np.expm1(x / alpha))


def _selu(x: Array) -> Array:
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543773 * np.expm1(x))


def _log1p_exp(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x: Array) -> Array:
    return np.exp(-_log1p_exp(-x))


def _glu(x: Array, dim: int = -1) -> Array:
    a, b = np.split(x, 2, axis=dim)
    return a * _sigmoid(b)


def _softmin(x: Array, dim: int) -> Array:
    e = np.exp(np.min(x, dim, keepdims=True, initial=INF) - x)
    return e / np.sum(e, dim, keepdims=True)


def _prelu(x: Array, weight: Array) -> Array:
    slopes = weight if weight.size == 1 else weight.reshape((-1,) + (1,) * (x.ndim - 2))
    return np.where(x > 0, x, slopes * x)


def _shifted(x: Array, **_: Any) -> Array:
    return 1.0 + np.abs(x)


ACTIVATIONS: tuple[OpSpec, ...] = (
    _pointwise(
        "threshold",
        lambda x, threshold, value: np.where(x <= threshold, value, x),
        {"threshold": 0.5, "value": -2.0},
        kinks=(0.5,),
    ),
    _pointwise("relu6", lambda x: np.clip(x, 0, 6), kinks=(0.0, 6.0)),
    _pointwise(
        "hardtanh",
        lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        {},
        {"min_val": -0.5, "max_val": 2.0},
        kinks=(-1.0, 1.0, -0.5, 2.0),
        errors=(
            bad((2,), min_val=1.0, max_val=0.0, error=ValueError, says=("hardtanh", "min_val=1")),
        ),
    ),
    _pointwise("hardsigmoid", lambda x: np.clip(x + 3, 0, 6) / 6, kinks=(-3.0, 3.0), of=_shifted),
    _pointwise(
        "hardswish",
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        kinks=(-3.0, 3.0),
        of=lambda x: (1.0 + np.abs(x)) ** 2,
    ),
    _pointwise("elu", _elu, {}, {"alpha": 0.3}, kinks=(0.0,)),
    _pointwise("selu", _selu, kinks=(0.0,)),
    _pointwise(
        "celu",
        _celu,
        {},
        {"alpha": 0.3},
        kinks=(0.0,),
        errors=(bad((2,), alpha=0, error=ValueError, says=("celu", "alpha=0")),),
    ),
    _pointwise(
        "leaky_relu",
        lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        {},
        {"negative_slope": 0.5},
        kinks=(0.0,),
    ),
    _pointwise(
        "rrelu",
        lambda x, lower=1 / 8, upper=1 / 3: np.where(x > 0, x, (lower + upper) / 2 * x),
        {},
        {"lower": 0.5, "upper": 0.6},
        kinks=(0.0,),
        errors=(bad((2,), lower=0.5, error=ValueError, says=("rrelu", "lower=0.5")),),
    ),
    _pointwise("logsigmoid", lambda x: -_log1p_exp(-x), of=_shifted),
    _pointwise("mish", lambda x: x * np.tanh(_log1p_exp(x)), extremes=(NAN, INF, 0.0, 1000.0)),
    _pointwise(
        "hardshrink",
        lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x),
        {},
        {"lambd": 1.5},
        kinks=(-0.5, 0.5, -1.5, 1.5),
    ),
    _pointwise(
        "softshrink",
        lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0),
        {},
        {"lambd": 1.5},
        kinks=(-0.5, 0.5, -1.5, 1.5),
        errors=(bad((2,), lambd=-1, error=ValueError, says=("softshrink", "lambd=-1")),),
        of=_shifted,
    ),
    _pointwise(
        "softsign",
        lambda x: x / (1 + np.abs(x)),
        kinks=(0.0,),
        extremes=(NAN, 0.0, -0.0, 1000.0, -1000.0),
    ),
    _pointwise("tanhshrink", lambda x: x - np.tanh(x), of=_shifted),
    row(
        "nn.functional.glu",
        _glu,
        case((3, 4)),
        case((4, 3), dim=0),
        case((6,)),
        case((40, 120)),
        scale=Scale(of=lambda x, dim=-1: np.abs(np.split(x, 2, axis=dim)[0])),
        errors=(bad((3, 3), error=ShapeError, says=("glu", "(3, 3)", "odd")),),
    ),
    row(
        "nn.functional.softmin",
        _softmin,
        case((3, 4), dim=1),
        case((2, 3, 4), dim=0),
        scale=Scale("sum", terms=lambda x, dim: 16 + x.shape[dim]),
    ),
    row(
        "nn.functional.prelu",
        _prelu,
        case((3, 4), (1,)),
        case((3, 4), (4,)),
        case((2, 3, 2, 2), (3,)),
        case((5,), (1,)),
        source=draw(avoid=(0.0,)),
        grad_args=(0, 1),
        scale=Scale(),
        errors=(
            bad((3, 4), (3,), error=ShapeError, says=("prelu", "(3,)", "(3, 4)")),
            bad((3, 4), np.zeros(4), error=DTypeError, says=("prelu", "float64")),
        ),
    ),
)
