"""Rows of losses and distances that are composites of other functions."""

# References are lambdas, whose parameters have no annotations.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, IndexOutOfRangeError, ShapeError
from isograd.testing.op_db.generate import Draw, bad, draw, public
from isograd.testing.op_db.spec import ErrorCase, OpSpec, Sample, Samples, Scale

__all__ = ["LOSSES", "Source", "calls"]

Array = Any
Static = dict[str, Any]
Source = Draw | Callable[[np.random.Generator, tuple[int, ...], np.dtype[Any]], Array]


def reduced(losses: Array, reduction: str = "mean") -> Array:
    """Return what a reduction makes of losses."""
    if reduction == "none":
        return losses
    return np.mean(losses) if reduction == "mean" else np.sum(losses)


def signs(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Draw 1 and -1."""
    return np.asarray(rng.choice((-1.0, 1.0), shape)).astype(dtype)


def bits(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Draw 0 and 1."""
    return np.asarray(rng.choice((0.0, 1.0), shape)).astype(dtype)


def labels(classes: int) -> Source:
    """Return a source of labels."""
    return lambda rng, shape, dtype: np.asarray(rng.integers(0, classes, shape))


def calls(*rows: tuple[tuple[tuple[Source, tuple[int, ...]], ...], Static]) -> Samples:
    """Return samples from sources and shapes of the arguments, and static arguments."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for arguments, static in rows:
            small = all(np.prod(shape) < 100 for _, shape in arguments)
            arrays = tuple(source(rng, shape, dtype) for source, shape in arguments)
            yield Sample(arrays, static, label="" if small else "large", grad=small)

    return samples


def _many(arguments: tuple[Source, ...], *statics: Static) -> Samples:
    """Return samples of elementwise losses in several shapes."""
    rows = [
        (tuple((source, shape) for source in arguments), {"reduction": reduction, **static})
        for static in statics or ({},)
        for shape, reduction in (((3, 4), "none"), ((5,), "mean"), ((2, 3), "sum"))
    ]
    rows.append((tuple((source, (30, 70)) for source in arguments), {**(statics or ({},))[0]}))
    return calls(*rows)


def loss(
    name: str,
    reference: Callable[..., Array],
    samples: Samples,
    *,
    size: Callable[..., Array] | None = None,
    grad_args: tuple[int, ...] = (0, 1),
    errors: tuple[ErrorCase, ...] = (),
    dtypes: tuple[str, ...] = ("float64", "float32", "float16"),
) -> OpSpec:
    """Write the row of a loss; `size` bounds the terms that it sums."""
    path = f"nn.functional.{name}"

    def magnitude(*args: Array, **static: Any) -> Array:
        right = np.abs(reference(*args, **static))
        return right + (0.0 if size is None else size(*args, **static))

    return OpSpec(
        name=path,
        fn=public(path),
        reference=reference,
        samples=samples,
        errors=errors,
        dtypes=dtypes,
        grad_args=grad_args,
        scale=Scale("sum", magnitude, lambda x, *_, **__: 16 + 4 * x.size),
        budget=6,
        primitive=False,
    )


def _largest(*args: Array, **_: Any) -> Array:
    """Return a bound of the terms of losses that are products of their arguments."""
    floats = [np.max(np.abs(x), initial=1.0) for x in args if x.dtype.kind == "f"]
    return np.prod(floats) * max(args[0].size, 1) ** 0.5


def _huber(x: Array, t: Array, delta: float) -> Array:
    d = np.abs(x - t)
    return np.where(d < delta, d**2 / 2, delta * (d - delta / 2))


def _bce(x: Array, t: Array) -> Array:
    return -(t * np.log(x) + (1 - t) * np.log(1 - x))


def _log1p_exp(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _logit_loss(x: Array, t: Array, w: Array | None = None) -> Array:
    positive = 1.0 if w is None else w
    return positive * t * _log1p_exp(-x) + (1 - t) * _log1p_exp(x)


def _kl(x: Array, t: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    p, log_p = (np.exp(t), t) if log_target else (t, np.log(t))
    terms = p * (log_p - x)
    if reduction == "batchmean":
        return np.sum(terms) / x.shape[0]
    return reduced(terms, reduction)


def _poisson(
    x: Array,
    t: Array,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Array:
    terms = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    if full:
        big = np.maximum(t, 1.0)
        tail = big * np.log(big) - big + np.log(2 * math.pi * big) / 2
        terms = terms + np.where(t > 1, tail, 0)
    return reduced(terms, reduction)


def _gaussian(
    x: Array,
    t: Array,
    var: Array,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Array:
    if var.ndim < x.ndim:
        var = var[..., None]
    terms = (np.log(var) + (x - t) ** 2 / var) / 2 + (np.log(2 * math.pi) / 2 if full else 0)
    return reduced(terms, reduction)


def _multi_margin(
    x: Array, y: Array, *weight: Array, p: int = 1, margin: float = 1.0, reduction: str = "mean"
) -> Array:
    rows, targets = np.atleast_2d(x), np.atleast_1d(y)
    out: list[float] = []
    for row, target in zip(rows, targets, strict=True):
        terms = [
            max(0.0, margin - row[target] + row[i]) ** p for i in range(row.size) if i != target
        ]
        out.append(sum(terms) / row.size * (weight[0][target] if weight else 1.0))
    return reduced(np.array(out).reshape(y.shape), reduction)


def _multilabel_margin(x: Array, y: Array, reduction: str = "mean") -> Array:
    out: list[float] = []
    for row, targets in zip(np.atleast_2d(x), np.atleast_2d(y), strict=True):
        known = list(targets[: np.argmax(targets < 0)]) if (targets < 0).any() else list(targets)
        others = [i for i in range(row.size) if i not in known]
        out.append(sum(max(0.0, 1 - row[k] + row[i]) for k in known for i in others) / row.size)
    return reduced(np.array(out).reshape(x.shape[:-1]), reduction)


def _some_labels(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    out = np.full(shape, -1)
    for row in out.reshape(-1, shape[-1]):
        count = int(rng.integers(0, shape[-1]))
        row[:count] = rng.permutation(shape[-1])[:count]
        row[count + 1 :] = 0  # does not count
    return out


def _norm(x: Array, p: float = 2.0, keepdims: bool = False) -> Array:
    return np.linalg.norm(x, p, -1, keepdims)


def _cosine_embedding(
    a: Array, b: Array, t: Array, margin: float = 0.0, reduction: str = "mean"
) -> Array:
    least = 1e-12  # torch's, beside the squares
    squares = (np.sum(a * a, -1) + least) * (np.sum(b * b, -1) + least)
    cosine = np.sum(a * b, -1) / np.sqrt(squares)
    return reduced(np.where(t > 0, 1 - cosine, np.maximum(cosine - margin, 0)), reduction)


def _distance(
    a: Array, b: Array, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Array:
    return _norm(a - b + eps, p, keepdim)


def _triplet(
    a: Array,
    p: Array,
    n: Array,
    margin: float = 1.0,
    order: float = 2.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Array:
    far = _distance(a, n, order)
    far = np.minimum(far, _distance(p, n, order)) if swap else far
    return reduced(np.maximum(0, margin + _distance(a, p, order) - far), reduction)


def _pdist(x: Array, p: float = 2.0) -> Array:
    pairs = [_norm(x[i] - x[j], p) for i in range(len(x)) for j in range(i + 1, len(x))]
    return np.array(pairs)


_X, _AWAY = draw(-1.0, 1.0), draw(2.0, 4.0)
_UNIT = draw(0.1, 0.9)
_SHAPES = bad((4, 1), (4,), error=ShapeError, says=("(4, 1)", "(4,)"))
_REDUCTION = bad((2,), (2,), reduction="avg", error=ValueError, says=("reduction 'avg'",))

ELEMENTWISE: tuple[OpSpec, ...] = (
    loss(
        "mse_loss",
        lambda x, t, reduction="mean": reduced((x - t) ** 2, reduction),
        _many((_X, _AWAY)),
        errors=(_SHAPES, _REDUCTION),
    ),
    loss(
        "l1_loss",
        lambda x, t, reduction="mean": reduced(np.abs(x - t), reduction),
        _many((_X, _AWAY)),
        errors=(_SHAPES, _REDUCTION),
    ),
    loss(
        "smooth_l1_loss",
        lambda x, t, beta=1.0, reduction="mean": reduced(_huber(x, t, beta) / beta, reduction),
        _many((_X, _AWAY), {}, {"beta": 6.0}),
        errors=(
            _SHAPES,
            _REDUCTION,
            bad((2,), (2,), beta=-1, error=ValueError, says=("smooth_l1_loss", "beta=-1")),
        ),
    ),
    loss(
        "huber_loss",
        lambda x, t, delta=1.0, reduction="mean": reduced(_huber(x, t, delta), reduction),
        _many((_X, _AWAY), {}, {"delta": 6.0}),
        errors=(
            _SHAPES,
            bad((2,), (2,), delta=0, error=ValueError, says=("huber_loss", "delta=0")),
        ),
    ),
    loss(
        "binary_cross_entropy",
        lambda x, t, reduction="mean": reduced(_bce(x, t), reduction),
        _many((_UNIT, _UNIT)),
        size=_largest,
        errors=(
            _SHAPES,
            _REDUCTION,
            bad(np.array([1.5]), np.array([1.0]), error=ValueError, says=("not in [0, 1]",)),
        ),
    ),
    loss(
        "binary_cross_entropy_with_logits",
        lambda x, t, reduction="mean": reduced(_logit_loss(x, t), reduction),
        _many((draw(-4.0, 4.0), _UNIT)),
        size=_largest,
        errors=(_SHAPES, _REDUCTION),
    ),
    loss(
        "soft_margin_loss",
        lambda x, t, reduction="mean": reduced(_log1p_exp(-t * x), reduction),
        _many((draw(-4.0, 4.0), signs)),
        size=_largest,
        errors=(_SHAPES, _REDUCTION),
    ),
    loss(
        "multilabel_soft_margin_loss",
        lambda x, t, reduction="mean": reduced(np.mean(_logit_loss(x, t), -1), reduction),
        _many((draw(-4.0, 4.0), _UNIT)),
        size=_largest,
        errors=(_SHAPES, _REDUCTION),
    ),
    loss(
        "kl_div",
        _kl,
        _many((draw(-3.0, -0.1), _UNIT), {}, {"log_target": True}),
        size=_largest,
        errors=(_SHAPES, _REDUCTION),
    ),
    loss(
        "poisson_nll_loss",
        _poisson,
        _many((_UNIT, _AWAY), {}, {"log_input": False, "full": True}, {"full": True}),
        size=lambda x, t, **_: 8.0 * _largest(x, t),
        errors=(_SHAPES, _REDUCTION),
    ),
    loss(
        "gaussian_nll_loss",
        _gaussian,
        calls(
            (((_X, (3, 4)), (_X, (3, 4)), (_UNIT, (3, 4))), {}),
            (((_X, (3, 4)), (_X, (3, 4)), (_UNIT, (3, 1))), {"reduction": "none", "full": True}),
            (((_X, (3, 4)), (_X, (3, 4)), (_UNIT, (3,))), {"reduction": "sum"}),
        ),
        size=lambda *args, **_: 40.0 * _largest(*args),
        grad_args=(0, 1, 2),
        errors=(
            bad((2, 3), (2, 3), (3, 2), error=ShapeError, says=("(3, 2)", "(2, 3)")),
            bad((2,), (2,), np.array([-1.0, 1.0]), error=ValueError, says=("negative",)),
            bad((2,), (2,), (2,), eps=0, error=ValueError, says=("eps=0",)),
        ),
    ),
)

HINGES: tuple[OpSpec, ...] = (
    loss(
        "margin_ranking_loss",
        lambda a, b, t, margin=0.0, reduction="mean": reduced(
            np.maximum(0, margin - t * (a - b)), reduction
        ),
        _many((_X, _AWAY, signs), {}, {"margin": 0.5}),
        size=_largest,
        errors=(
            bad((2,), (3,), (2,), error=ShapeError, says=("margin_ranking_loss", "(3,)")),
            bad((2,), (2,), (3,), error=ShapeError, says=("target (3,)",)),
        ),
    ),
    loss(
        "hinge_embedding_loss",
        lambda x, t, margin=1.0, reduction="mean": reduced(
            np.where(t > 0, x, np.maximum(0, margin - x)), reduction
        ),
        _many((_UNIT, signs), {}, {"margin": 0.0}),
        size=_largest,
        grad_args=(0,),
        errors=(_SHAPES, _REDUCTION),
    ),
    loss(
        "multi_margin_loss",
        _multi_margin,
        calls(
            (((_X, (3, 4)), (labels(4), (3,))), {}),
            (((_X, (3, 4)), (labels(4), (3,))), {"p": 2, "margin": 3.0, "reduction": "none"}),
            (((_X, (5,)), (labels(5), ())), {"reduction": "sum"}),
            (((_X, (60, 10)), (labels(10), (60,))), {}),
        ),
        size=lambda x, *_, **static: np.float64(64.0 * x.size**0.5),
        grad_args=(0,),
        errors=(
            bad((2, 3), np.array([0, 3]), error=IndexOutOfRangeError, says=("label 3", "3 cl")),
            bad((2, 3), np.array([0, -1]), error=IndexOutOfRangeError, says=("label -1",)),
            bad((2, 3), np.array([0]), error=ShapeError, says=("(1,)", "(2, 3)")),
            bad((2, 3), (2,), error=DTypeError, says=("float32",)),
            bad((2, 3), np.array([0, 1]), p=3, error=ValueError, says=("p=3",)),
        ),
    ),
    loss(
        "multilabel_margin_loss",
        _multilabel_margin,
        calls(
            (((_X, (3, 4)), (_some_labels, (3, 4))), {"reduction": "none"}),
            (((_X, (5, 3)), (_some_labels, (5, 3))), {}),
            (((_X, (6,)), (_some_labels, (6,))), {"reduction": "sum"}),
        ),
        size=_largest,
        grad_args=(0,),
        errors=(
            bad((1, 2), np.array([[0, 2]]), error=IndexOutOfRangeError, says=("label 2",)),
            bad((1, 2), np.array([0, 1]), error=ShapeError, says=("(2,)", "(1, 2)")),
        ),
    ),
)

DISTANCES: tuple[OpSpec, ...] = (
    loss(
        "normalize",
        lambda x, p=2.0, dim=1, eps=1e-12: (
            x / np.maximum(np.linalg.norm(x, p, dim, keepdims=True), eps)
        ),
        calls(
            (((_X, (3, 4)),), {}),
            (((_X, (3, 4)),), {"p": 3.0, "dim": 0}),
            (((_X, (3, 4)),), {"p": 1.0, "dim": -1}),
            (((_X, (5,)),), {"dim": 0, "eps": 10.0}),
            (((_X, (40, 60)),), {}),
        ),
        grad_args=(0,),
    ),
    loss(
        "pairwise_distance",
        _distance,
        calls(
            (((_X, (3, 4)), (_AWAY, (3, 4))), {}),
            (((_X, (3, 4)), (_AWAY, (4,))), {"p": 3.0, "keepdim": True}),
            (((_X, (4,)), (_AWAY, (4,))), {"p": 1.0, "eps": 0.1}),
            (((_X, (50, 40)), (_AWAY, (50, 40))), {}),
        ),
        size=_largest,
    ),
    loss(
        "pdist",
        _pdist,
        calls((((_X, (4, 3)),), {}), (((_X, (3, 2)),), {"p": 3.0}), (((_X, (1, 2)),), {})),
        size=lambda x, **_: 1.0,
        grad_args=(0,),
        errors=(
            bad((3,), error=ShapeError, says=("pdist", "(3,)")),
            bad((3, 2), p=-1, error=ValueError, says=("p=-1",)),
        ),
    ),
    loss(
        "cosine_similarity",
        lambda a, b, dim=1, eps=1e-8: (
            np.sum(a * b, dim) / (np.linalg.norm(a, 2, dim) * np.linalg.norm(b, 2, dim))
        ),
        calls(
            (((_X, (3, 4)), (_AWAY, (3, 4))), {}),
            (((_X, (3, 4)), (_AWAY, (3, 4))), {"dim": 0}),
            (((_X, (2, 3, 4)), (_AWAY, (2, 3, 4))), {"dim": -1}),
            (((_X, (50, 40)), (_AWAY, (50, 40))), {}),
        ),
        size=lambda *_, **__: 1.0,
    ),
    loss(
        "cosine_embedding_loss",
        _cosine_embedding,
        calls(
            (((_X, (5, 4)), (_X, (5, 4)), (signs, (5,))), {"margin": -2.0}),
            (((_X, (5, 4)), (_X, (5, 4)), (signs, (5,))), {"margin": -1.5, "reduction": "none"}),
            (((_X, (4,)), (_X, (4,)), (signs, ())), {"margin": -2.0, "reduction": "sum"}),
        ),
        size=lambda *_, **__: 4.0,
        errors=(
            bad((2, 3), (2, 3), (3,), error=ShapeError, says=("cosine_embedding_loss", "(3,)")),
        ),
    ),
    loss(
        "triplet_margin_loss",
        lambda a, p, n, **static: _triplet(
            a, p, n, **{"order" if key == "p" else key: value for key, value in static.items()}
        ),
        calls(
            (((_X, (4, 3)), (_AWAY, (4, 3)), (_X, (4, 3))), {}),
            (((_X, (4, 3)), (_AWAY, (4, 3)), (_X, (4, 3))), {"swap": True, "reduction": "none"}),
            (((_X, (3,)), (_AWAY, (3,)), (_X, (3,))), {"margin": 9.0, "reduction": "sum"}),
        ),
        size=_largest,
        grad_args=(0, 1, 2),
        errors=(
            bad((2, 3), (3,), (2, 3), error=ShapeError, says=("triplet_margin_loss", "(3,)")),
            bad((2,), (2,), (2,), margin=0, error=ValueError, says=("margin=0",)),
        ),
    ),
)


def _ctc(
    log_probs: Array,
    targets: Array,
    inputs: Array,
    sizes: Array,
    *,
    blank: int = 0,
    reduction: str = "mean",
) -> Array:
    """Add up the probabilities of all paths that spell the target, one by one."""
    out: list[float] = []
    for n in range(log_probs.shape[1]):
        wanted = tuple(targets[n, : sizes[n]])
        ways = {((), blank): 0.0}  # what was spelt, and the last class: log-probability
        for t in range(inputs[n]):
            new: dict[Any, list[float]] = {}
            for (spelt, last), value in ways.items():
                for c in range(log_probs.shape[2]):
                    word = spelt if c in (blank, last) else (*spelt, c)
                    if word == wanted[: len(word)]:
                        new.setdefault((word, c), []).append(value + log_probs[t, n, c])
            ways = {key: float(np.logaddexp.reduce(values)) for key, values in new.items()}
        found = [value for (word, _), value in ways.items() if word == wanted]
        out.append(-float(np.logaddexp.reduce(found)) if found else math.inf)
    losses = np.array(out)
    if reduction == "mean":
        return np.mean(losses / np.maximum(sizes, 1))
    return reduced(losses, reduction)


def _ctc_samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    x = draw(-3.0, -0.1)
    given = np.array([[1, 1, 2], [2, 1, 99]]), np.array([6, 5]), np.array([3, 2])
    for reduction in ("none", "mean", "sum"):
        yield Sample((x(rng, (6, 2, 3), dtype), *given), {"reduction": reduction}, layouts=False)
    given = np.array([[0, 1], [-5, 7]]), np.array([3, 4]), np.array([2, 0])
    yield Sample((x(rng, (4, 2, 3), dtype), *given), {"blank": 2, "reduction": "none"})


CTC = loss(
    "ctc_loss",
    _ctc,
    _ctc_samples,
    size=lambda x, *_, **__: 40.0,
    grad_args=(0,),
    dtypes=("float64", "float32"),
    errors=(
        bad(
            (4, 1, 3),
            np.array([[3]]),
            np.array([4]),
            np.array([1]),
            error=IndexOutOfRangeError,
            says=("ctc_loss", "label 3", "3 classes"),
        ),
        bad(
            (4, 1, 3),
            np.array([[0]]),
            np.array([4]),
            np.array([1]),
            error=IndexOutOfRangeError,
            says=("label 0", "the blank 0"),
        ),
        bad(
            (4, 1, 3),
            np.array([[1]]),
            np.array([5]),
            np.array([1]),
            error=ValueError,
            says=("input_lengths have 5", "[0, 4]"),
        ),
        bad(
            (4, 1, 3),
            np.array([[1]]),
            np.array([4]),
            np.array([2]),
            error=ValueError,
            says=("target_lengths have 2", "[0, 1]"),
        ),
        bad(
            (4, 1, 3),
            np.array([[1]]),
            np.array([4]),
            np.array([1]),
            blank=3,
            error=IndexOutOfRangeError,
            says=("blank=3",),
        ),
        bad(
            (3,),
            np.array([[1]]),
            np.array([4]),
            np.array([1]),
            error=ShapeError,
            says=("ctc_loss", "(T, N, C)"),
        ),
    ),
)

LOSSES: tuple[OpSpec, ...] = (*ELEMENTWISE, *HINGES, *DISTANCES, CTC)
