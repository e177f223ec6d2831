"""Losses and distances of every kind against torch: values, all gradients, modules, signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.nn import functional as F

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

pytestmark = pytest.mark.oracle

TOLERANCE = {"float64": 1e-11, "float32": 3e-5}
REDUCTIONS = ("mean", "sum", "none")

Array = Any
Source = Callable[[np.random.Generator, tuple[int, ...]], Array]


def real(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return 2 * rng.normal(size=shape)


def unit(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.05, 0.95, size=shape)


def counts(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.poisson(2.0, size=shape).astype(float)


def signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.choice([-1.0, 1.0], size=shape)


def bits(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.choice([0.0, 1.0], size=shape)


def labels(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.integers(0, 4, size=shape)


def several(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    out = np.array([rng.permutation(shape[-1]) for _ in range(int(np.prod(shape[:-1])))])
    out[:, 2:] = -1
    return out.reshape(shape)


SHAPES = ((4, 3), (5,), (2, 3, 4), ())

# A module, its options, the sources of what it takes, how many of these have gradients, and shapes:
# one for all, or one for each.
LOSSES: list[tuple[str, dict[str, Any], tuple[Source, ...], int, tuple[Any, ...]]] = [
    ("SmoothL1Loss", {}, (real, real), 2, SHAPES),
    ("SmoothL1Loss", {"beta": 0.3}, (real, real), 2, SHAPES),
    ("SmoothL1Loss", {"beta": 0.0}, (real, real), 2, SHAPES),
    ("HuberLoss", {}, (real, real), 2, SHAPES),
    ("HuberLoss", {"delta": 2.5}, (real, real), 2, SHAPES),
    ("KLDivLoss", {}, (real, unit), 2, SHAPES),
    ("KLDivLoss", {}, (real, bits), 1, SHAPES),
    ("KLDivLoss", {"log_target": True}, (real, real), 2, SHAPES),
    ("PoissonNLLLoss", {}, (real, counts), 1, SHAPES),
    ("PoissonNLLLoss", {"full": True}, (real, counts), 1, SHAPES),
    ("PoissonNLLLoss", {"log_input": False, "eps": 0.1}, (unit, counts), 1, SHAPES),
    ("GaussianNLLLoss", {}, (real, real, unit), 3, SHAPES),
    ("GaussianNLLLoss", {"full": True, "eps": 0.5}, (real, real, unit), 3, SHAPES),
    ("GaussianNLLLoss", {}, (real, real, unit), 3, (((4, 3), (4, 3), (4, 1)),)),
    ("GaussianNLLLoss", {}, (real, real, unit), 3, (((4, 3), (4, 3), (4,)),)),
    ("BCELoss", {}, (unit, unit), 2, SHAPES),
    ("BCELoss", {"weight": (3,)}, (unit, bits), 1, ((4, 3), (2, 4, 3))),
    ("BCEWithLogitsLoss", {}, (real, unit), 2, SHAPES),
    ("BCEWithLogitsLoss", {"pos_weight": (3,)}, (real, bits), 1, ((4, 3), (2, 4, 3))),
    (
        "BCEWithLogitsLoss",
        {"weight": (4, 3), "pos_weight": (3,)},
        (real, unit),
        2,
        ((4, 3),),
    ),
    ("SoftMarginLoss", {}, (real, signs), 1, SHAPES),
    ("MultiLabelSoftMarginLoss", {}, (real, bits), 1, ((4, 3), (3,), (2, 3, 4))),
    ("MultiLabelSoftMarginLoss", {"weight": (3,)}, (real, unit), 2, ((4, 3),)),
    ("MarginRankingLoss", {}, (real, real, signs), 2, SHAPES),
    ("MarginRankingLoss", {"margin": 0.7}, (real, real, signs), 2, SHAPES),
    ("HingeEmbeddingLoss", {}, (real, signs), 1, SHAPES),
    ("HingeEmbeddingLoss", {"margin": 0.3}, (real, signs), 1, SHAPES),
    ("MultiMarginLoss", {}, (real, labels), 1, (((5, 4), (5,)), ((4,), ()))),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5}, (real, labels), 1, (((5, 4), (5,)),)),
    ("MultiMarginLoss", {"weight": (4,)}, (real, labels), 1, (((5, 4), (5,)),)),
    ("MultiMarginLoss", {"p": 2, "weight": (4,)}, (real, labels), 1, (((5, 4), (5,)),)),
    ("MultiLabelMarginLoss", {}, (real, several), 1, ((5, 4), (4,))),
    (
        "CosineEmbeddingLoss",
        {},
        (real, real, signs),
        2,
        (((5, 4), (5, 4), (5,)), ((4,), (4,), ())),
    ),
    ("CosineEmbeddingLoss", {"margin": -0.5}, (real, real, signs), 2, (((5, 4), (5, 4), (5,)),)),
    ("TripletMarginLoss", {}, (real, real, real), 3, ((5, 4), (4,))),
    ("TripletMarginLoss", {"margin": 3.0, "p": 1.0}, (real, real, real), 3, ((5, 4),)),
    ("TripletMarginLoss", {"swap": True, "eps": 0.1, "p": 3.0}, (real,) * 3, 3, ((5, 4),)),
    ("TripletMarginWithDistanceLoss", {}, (real, real, real), 3, ((5, 4),)),
    ("TripletMarginWithDistanceLoss", {"swap": True, "margin": 2.0}, (real,) * 3, 3, ((5, 4),)),
]
IDS = [f"{name}-{options}" for name, options, *_ in LOSSES]


def assert_close(ours: Any, theirs: Any, dtype: str) -> None:
    assert ours.shape == tuple(theirs.shape)
    assert ours.dtype.name == dtype
    bound = TOLERANCE[dtype]
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=bound, atol=bound)


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    arrays: list[Array],
    differentiable: int,
    dtype: str,
) -> None:
    xs = [ig.tensor(x, requires_grad=i < differentiable) for i, x in enumerate(arrays)]
    ys = [torch.tensor(x, requires_grad=i < differentiable) for i, x in enumerate(arrays)]
    out, out_torch = ours(*xs), theirs(*ys)
    assert_close(out, out_torch, dtype)
    seed = np.linspace(0.5, 2.0, out.size).reshape(out.shape).astype(dtype)
    out.backward(ig.tensor(seed))
    out_torch.backward(torch.tensor(seed))
    for x, y in list(zip(xs, ys, strict=True))[:differentiable]:
        assert_close(x.grad, y.grad, dtype)


def arrays_for(
    rng: np.random.Generator, sources: tuple[Source, ...], shape: Any, dtype: str
) -> list[Array]:
    shapes = shape if shape and isinstance(shape[0], tuple) else (shape,) * len(sources)
    made = [np.asarray(draw(rng, s)) for draw, s in zip(sources, shapes, strict=True)]
    return [x.astype(dtype) if x.dtype.kind == "f" else x for x in made]


@pytest.mark.filterwarnings("ignore:reduction:UserWarning")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("name", "options", "sources", "count", "shapes"), LOSSES, ids=IDS)
def test_loss(
    backend: str,
    rng: np.random.Generator,
    name: str,
    options: dict[str, Any],
    sources: tuple[Source, ...],
    count: int,
    shapes: tuple[Any, ...],
    dtype: str,
) -> None:
    reductions = (*REDUCTIONS, "batchmean") if name == "KLDivLoss" else REDUCTIONS
    factors = {
        key: unit(rng, value).astype(dtype)
        for key, value in options.items()
        if isinstance(value, tuple)
    }
    for reduction in reductions:
        plain = {**options, "reduction": reduction}
        mine = getattr(nn, name)(**{**plain, **{k: ig.tensor(v) for k, v in factors.items()}})
        other = getattr(torch.nn, name)(
            **{**plain, **{k: torch.tensor(v) for k, v in factors.items()}}
        )
        assert list(mine.state_dict()) == list(other.state_dict())
        assert repr(mine) == repr(other)
        for shape in shapes:
            if reduction == "batchmean" and shape == ():
                continue
            compare(mine, other, arrays_for(rng, sources, shape, dtype), count, dtype)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_elements(backend: str, rng: np.random.Generator, name: str) -> None:
    arrays = arrays_for(rng, (real, real, unit), (4, 3), "float64")
    for reduction in REDUCTIONS:
        ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
        compare(
            lambda x, t, w, f=ours, r=reduction: f(x, t, reduction=r, weight=w),
            lambda x, t, w, f=theirs, r=reduction: f(x, t, reduction=r, weight=w),
            arrays,
            3,
            "float64",
        )


def l1(x: Any, y: Any) -> Any:
    return abs(x - y).sum(-1)


def test_a_distance_of_ones_own(rng: np.random.Generator) -> None:
    options = {"distance_function": l1, "margin": 2.0, "swap": True}
    arrays = arrays_for(rng, (real,) * 3, (5, 4), "float64")
    ours = nn.TripletMarginWithDistanceLoss(**options)
    compare(ours, torch.nn.TripletMarginWithDistanceLoss(**options), arrays, 3, "float64")


# Functions, what they take, and their options.
DISTANCES: list[tuple[str, int, tuple[Any, ...], dict[str, Any]]] = [
    ("normalize", 1, ((4, 3),), {}),
    ("normalize", 1, ((4, 3),), {"p": 1.0, "dim": 0}),
    ("normalize", 1, ((2, 4, 3),), {"p": 3.0, "dim": -1}),
    ("normalize", 1, ((4, 3),), {"eps": 5.0}),
    ("normalize", 1, ((4, 3),), {"p": float("inf")}),
    ("pairwise_distance", 2, ((4, 3), (4, 3)), {}),
    ("pairwise_distance", 2, ((4, 3), (1, 3)), {"p": 1.0, "keepdim": True}),
    ("pairwise_distance", 2, ((4, 3), (4, 3)), {"p": 3.5, "eps": 0.1}),
    ("cosine_similarity", 2, ((4, 3), (4, 3)), {}),
    ("cosine_similarity", 2, ((4, 3), (1, 3)), {"dim": -1}),
    ("cosine_similarity", 2, ((4, 3), (4, 3)), {"dim": 0, "eps": 0.5}),
    ("pdist", 1, ((5, 3),), {}),
    ("pdist", 1, ((5, 3),), {"p": 1.0}),
    ("pdist", 1, ((5, 3),), {"p": 3.0}),
]


@pytest.mark.parametrize(("name", "count", "shapes", "options"), DISTANCES, ids=str)
def test_distances(
    backend: str,
    rng: np.random.Generator,
    name: str,
    count: int,
    shapes: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    arrays = arrays_for(rng, (real,) * count, shapes, "float64")
    compare(
        lambda *xs: getattr(F, name)(*xs, **options),
        lambda *xs: getattr(torch.nn.functional, name)(*xs, **options),
        arrays,
        count,
        "float64",
    )


@pytest.mark.parametrize("layer", ["PairwiseDistance", "CosineSimilarity"])
def test_distance_layers(rng: np.random.Generator, layer: str) -> None:
    arrays = arrays_for(rng, (real, real), (4, 3), "float64")
    compare(getattr(nn, layer)(), getattr(torch.nn, layer)(), arrays, 2, "float64")


# -- CTC -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", [0, 3])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("form", ["padded", "joined"])
def test_ctc(
    backend: str,
    rng: np.random.Generator,
    form: str,
    reduction: Any,
    zero_infinity: bool,
    blank: int,
) -> None:
    """Behind log_softmax, before which torch's gradient is that of the function, too."""
    steps, count, classes = 9, 5, 4
    others = [c for c in range(classes) if c != blank]
    targets = rng.choice(others, size=(count, 4))
    targets[1] = targets[1, 0]  # the same label four times
    inputs, sizes = [9, 9, 6, 3, 9], [4, 4, 2, 3 if zero_infinity else 1, 0]
    targets[3, :3] = others[0] if zero_infinity else targets[3, :3]  # needs more than 3 steps
    given = (
        targets
        if form == "padded"
        else np.concatenate([row[:n] for row, n in zip(targets, sizes, strict=True)])
    )
    options = {"blank": blank, "reduction": reduction, "zero_infinity": zero_infinity}
    logits = real(rng, (steps, count, classes))
    compare(
        lambda x: nn.CTCLoss(**options)(F.log_softmax(x, 2), ig.tensor(given), inputs, sizes),
        lambda x: torch.nn.CTCLoss(**options)(
            torch.log_softmax(x, 2), torch.tensor(given), tuple(inputs), tuple(sizes)
        ),
        [logits],
        1,
        "float64",
    )


def test_ctc_of_one_sequence(rng: np.random.Generator) -> None:
    logits, targets = real(rng, (6, 4)), np.array([1, 3, 3])
    compare(
        lambda x: F.ctc_loss(F.log_softmax(x, 1), ig.tensor(targets), [6], [3]),
        lambda x: torch.nn.functional.ctc_loss(
            torch.log_softmax(x, 1), torch.tensor(targets), torch.tensor(6), torch.tensor(3)
        ),
        [logits],
        1,
        "float64",
    )


# -- signatures ------------------------------------------------------------------------------------

MODULES = sorted(
    {name for name, *_ in LOSSES} | {"CTCLoss", "PairwiseDistance", "CosineSimilarity"}
)


@pytest.mark.parametrize("name", MODULES)
def test_arguments_have_the_names_and_defaults_of_torch(name: str) -> None:
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = dict(inspect.signature(getattr(torch.nn, name)).parameters)
    for obsolete in ("size_average", "reduce"):
        theirs.pop(obsolete, None)
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


def test_every_loss_of_torch_is_there() -> None:
    known = {"NLLLoss2d", "LinearCrossEntropyLoss"}  # an old name; a fusion of two functions
    assert set(torch.nn.modules.loss.__all__) - known <= set(nn.__all__)
