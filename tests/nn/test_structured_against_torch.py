"""Structured layers against torch: state, outputs, all gradients, buffers after two steps."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

pytestmark = pytest.mark.oracle

Row = tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]

CONVOLUTIONS: list[Row] = [
    ("Conv1d", (4, 6, 3), {}, (2, 4, 9)),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}, (4, 9)),
    ("Conv1d", (2, 2, 4), {"padding": "same", "dilation": 3}, (3, 2, 11)),
    ("Conv1d", (2, 2, 3), {"padding": 2, "padding_mode": "reflect"}, (3, 2, 6)),
    ("Conv2d", (3, 4, 3), {}, (2, 3, 6, 7)),
    ("Conv2d", (3, 4, (3, 2)), {"stride": (2, 1), "padding": (1, 2), "bias": False}, (2, 3, 6, 7)),
    ("Conv2d", (4, 8, 3), {"groups": 4, "dilation": (1, 2), "padding": "valid"}, (1, 4, 5, 7)),
    ("Conv2d", (2, 3, (2, 3)), {"padding": "same", "padding_mode": "circular"}, (2, 2, 4, 5)),
    ("Conv2d", (2, 3, 3), {"padding": 1, "padding_mode": "replicate"}, (2, 2, 4, 5)),
    ("Conv2d", (2, 3, 3), {"padding": 1}, (0, 2, 4, 5)),
    ("Conv3d", (2, 4, 2), {"stride": (1, 2, 1), "padding": 1, "groups": 2}, (2, 2, 3, 4, 3)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1}, (2, 4, 5)),
    ("ConvTranspose1d", (4, 6, 2), {"dilation": 3, "output_padding": 2, "padding": 1}, (4, 5)),
    ("ConvTranspose2d", (4, 2, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 4, 3, 4)),
    (
        "ConvTranspose2d",
        (2, 3, (2, 3)),
        {"stride": (2, 3), "output_padding": (0, 2), "bias": False},
        (1, 2, 3, 3),
    ),
    ("ConvTranspose3d", (2, 2, 2), {"stride": 2, "padding": (1, 0, 1)}, (1, 2, 3, 2, 3)),
]
POOLS: list[Row] = [
    ("MaxPool1d", (2,), {}, (2, 3, 7)),
    ("MaxPool1d", (3, 2), {"padding": 1, "ceil_mode": True}, (3, 8)),
    ("MaxPool2d", (2,), {}, (2, 3, 6, 7)),
    ("MaxPool2d", ((3, 2),), {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2)}, (2, 9, 8)),
    ("MaxPool2d", (3, 2), {"padding": 1, "ceil_mode": True}, (1, 2, 6, 8)),
    ("MaxPool3d", (2,), {"stride": 1, "padding": 1}, (1, 2, 3, 4, 3)),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, (2, 3, 8)),
    ("AvgPool2d", (2,), {}, (2, 3, 6, 7)),
    (
        "AvgPool2d",
        ((3, 2),),
        {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
        (2, 6, 8),
    ),
    ("AvgPool2d", (3, 2), {"padding": 1, "ceil_mode": True}, (2, 1, 6, 8)),
    ("AvgPool2d", (3,), {"padding": 1, "divisor_override": 2}, (2, 1, 6, 8)),
    ("AvgPool3d", (2,), {"padding": 1, "count_include_pad": False}, (1, 2, 3, 4, 3)),
    ("LPPool1d", (2, 3), {"stride": 2}, (2, 3, 8)),
    ("LPPool2d", (3.0, 2), {"ceil_mode": True}, (2, 1, 5, 6)),
    ("LPPool3d", (2, 2), {}, (1, 1, 4, 4, 4)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveAvgPool2d", ((2, None),), {}, (2, 3, 5, 4)),
    ("AdaptiveAvgPool2d", (2,), {}, (2, 4, 6)),
    ("AdaptiveAvgPool3d", ((2, 3, 1),), {}, (1, 2, 3, 4, 5)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", ((3, None),), {}, (2, 3, 7, 4)),
    ("AdaptiveMaxPool3d", (2,), {}, (1, 2, 3, 4, 5)),
]
NORMS: list[Row] = [
    ("BatchNorm1d", (3,), {}, (5, 3)),
    ("BatchNorm1d", (3,), {"momentum": None, "eps": 0.1}, (4, 3, 5)),
    ("BatchNorm2d", (3,), {}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"affine": False, "momentum": 0.3}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"bias": False}, (2, 3, 4, 5)),
    ("BatchNorm3d", (2,), {}, (2, 2, 2, 3, 2)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 5)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 4, 5)),
    ("InstanceNorm2d", (3,), {"affine": True}, (3, 4, 5)),
    ("InstanceNorm3d", (2,), {"track_running_stats": True, "momentum": None}, (2, 2, 2, 3, 2)),
    ("LayerNorm", (5,), {}, (2, 3, 5)),
    ("LayerNorm", ((3, 5),), {"eps": 0.1, "bias": False}, (2, 3, 5)),
    ("LayerNorm", ((5,),), {"elementwise_affine": False}, (5,)),
    ("RMSNorm", (5,), {}, (2, 3, 5)),
    ("RMSNorm", ((3, 5),), {"eps": 0.1, "elementwise_affine": False}, (2, 3, 5)),
    ("GroupNorm", (2, 4), {}, (3, 4, 5)),
    ("GroupNorm", (2, 4), {"bias": False}, (3, 4, 5)),
    ("GroupNorm", (4, 4), {"affine": False, "eps": 0.1}, (3, 4, 2, 2)),
    ("LocalResponseNorm", (3,), {"alpha": 0.5}, (2, 5, 4)),
    ("LocalResponseNorm", (2, 0.1, 0.5, 2.0), {}, (2, 3, 2, 2)),
]
FOLDS: list[Row] = [
    ("Unfold", (2,), {}, (2, 3, 4, 5)),
    ("Unfold", ((3, 2),), {"dilation": (1, 2), "padding": (1, 0), "stride": 2}, (3, 4, 5)),
    ("Fold", ((4, 5), 2), {}, (2, 12, 12)),
    (
        "Fold",
        ((4, 5), (3, 2)),
        {"dilation": (1, 2), "padding": (1, 0), "stride": 2},
        (12, 4),
    ),
]
SHAPES: list[Row] = [
    ("Unflatten", (1, (2, 3)), {}, (2, 6, 2)),
    ("Unflatten", (-1, (-1, 2)), {}, (2, 6)),
]
LAYERS = [*CONVOLUTIONS, *POOLS, *NORMS, *FOLDS, *SHAPES]


def close(ours: Any, theirs: Any) -> None:
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-10, atol=1e-11)


def same_state(ours: nn.Module, theirs: Any) -> None:
    state, state_torch = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(state_torch)
    for key, value in state.items():
        close(value, state_torch[key])


def pair(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[nn.Module, Any]:
    """Return our layer and torch's in float64, with torch's weights in both."""
    theirs = getattr(torch.nn, name)(*args, **kwargs).to(torch.float64)
    for p in theirs.parameters():
        torch.nn.init.uniform_(p, -1.0, 1.0)
    ours = getattr(nn, name)(*args, **kwargs).to("float64")
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    return ours, theirs


def step(ours: Any, theirs: Any, values: Any, rng: np.random.Generator) -> None:
    """Compare one forward and backward pass."""
    x = ig.tensor(values, requires_grad=True)
    x_torch = torch.tensor(values, requires_grad=True)
    out, out_torch = ours(x), theirs(x_torch)
    close(out, out_torch)
    seed = rng.normal(size=out.shape)
    (out * ig.tensor(seed)).sum().backward()
    (out_torch * torch.tensor(seed)).sum().backward()
    close(x.grad, x_torch.grad)
    for (key, p), (key_torch, p_torch) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert key == key_torch
        close(p.grad, p_torch.grad)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    ("name", "args", "kwargs", "shape"), LAYERS, ids=[f"{r[0]}-{r[1]}-{r[2]}" for r in LAYERS]
)
def test_layer(
    backend: str,
    rng: np.random.Generator,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    shape: tuple[int, ...],
) -> None:
    ours, theirs = pair(name, args, kwargs)
    for _ in range(2):
        step(ours, theirs, rng.normal(size=shape) + 0.5, rng)
        same_state(ours, theirs)
    ours.eval(), theirs.eval()
    step(ours, theirs, rng.normal(size=shape), rng)
    same_state(ours, theirs)


@pytest.mark.parametrize("name", sorted({row[0] for row in LAYERS}))
def test_arguments_are_those_of_torch(name: str) -> None:
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    assert list(ours) == list(theirs)
    for key, parameter in ours.items():
        assert parameter.default == theirs[key].default, key


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose1d"])
def test_weights_start_as_in_torch(name: str) -> None:
    ours = getattr(nn, name)(40, 60, 3, groups=2)
    theirs = getattr(torch.nn, name)(40, 60, 3, groups=2)
    for key, value in ours.state_dict().items():
        wanted = theirs.state_dict()[key]
        assert value.shape == tuple(wanted.shape)
        assert abs(value.numpy()).max() == pytest.approx(float(wanted.abs().max()), rel=0.1)
        assert value.numpy().std() == pytest.approx(float(wanted.std()), rel=0.2)


@pytest.mark.parametrize("name", ["max_pool1d", "max_pool2d", "max_pool3d"])
def test_indices_and_unpooling(backend: str, rng: np.random.Generator, name: str) -> None:
    axes = int(name[-2])
    values = np.round(rng.normal(size=(2, 3, *(7, 6, 5)[:axes])), 1)  # with ties
    out, where = getattr(nn.functional, name)(ig.tensor(values), 2, return_indices=True)
    out_torch, where_torch = getattr(torch.nn.functional, name)(
        torch.tensor(values), 2, return_indices=True
    )
    close(out, out_torch)
    close(where, where_torch)
    back = name.replace("pool", "unpool")
    x, x_torch = ig.tensor(out.numpy(), requires_grad=True), out_torch.clone().requires_grad_()
    size = values.shape[2:]
    full = getattr(nn.functional, back)(x, where, 2, output_size=size)
    full_torch = getattr(torch.nn.functional, back)(x_torch, where_torch, 2, output_size=size)
    close(full, full_torch)
    seed = rng.normal(size=values.shape)
    (full * ig.tensor(seed)).sum().backward()
    (full_torch * torch.tensor(seed)).sum().backward()
    close(x.grad, x_torch.grad)


@pytest.mark.parametrize("name", ["adaptive_max_pool1d", "adaptive_max_pool2d"])
def test_indices_of_adaptive_pooling(backend: str, rng: np.random.Generator, name: str) -> None:
    values = rng.normal(size=(2, 3, *(7, 5)[: int(name[-2])]))
    out, where = getattr(nn.functional, name)(ig.tensor(values), 3, return_indices=True)
    out_torch, where_torch = getattr(torch.nn.functional, name)(
        torch.tensor(values), 3, return_indices=True
    )
    close(out, out_torch)
    close(where, where_torch)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("options", [{"output_size": 3}, {"output_ratio": 0.4}], ids=str)
def test_fractional_pooling(
    backend: str, rng: np.random.Generator, axes: int, options: dict[str, Any]
) -> None:
    name = f"FractionalMaxPool{axes}d"
    values, samples = rng.normal(size=(2, 3, *(9, 8, 7)[:axes])), rng.random((2, 3, axes))
    more = {"return_indices": True, **options}
    ours = getattr(nn, name)(2, **more, _random_samples=ig.tensor(samples))
    theirs = getattr(torch.nn, name)(2, **more, _random_samples=torch.tensor(samples))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x, x_torch = ig.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    (out, where), (out_torch, where_torch) = ours(x), theirs(x_torch)
    close(out, out_torch)
    close(where, where_torch)
    seed = rng.normal(size=out.shape)
    (out * ig.tensor(seed)).sum().backward()
    (out_torch * torch.tensor(seed)).sum().backward()
    close(x.grad, x_torch.grad)
    assert getattr(nn, name)(2, **options)(x).shape == out.shape


def test_output_size_of_transposed_convolution(rng: np.random.Generator) -> None:
    ours, theirs = pair("ConvTranspose2d", (2, 3, 3), {"stride": 3, "padding": 1})
    values = rng.normal(size=(1, 2, 3, 4))
    close(
        ours(ig.tensor(values), output_size=(9, 11)),
        theirs(torch.tensor(values), output_size=(9, 11)),
    )


EMBEDDINGS: list[dict[str, Any]] = [
    {},
    {"padding_idx": 1},
    {"padding_idx": -2, "scale_grad_by_freq": True},
    {"max_norm": 0.7},
    {"max_norm": 0.9, "norm_type": 1.0, "padding_idx": 0},
]


@pytest.mark.parametrize("options", EMBEDDINGS, ids=str)
def test_embedding(backend: str, rng: np.random.Generator, options: dict[str, Any]) -> None:
    ours, theirs = pair("Embedding", (5, 3), options)
    for shape in ((4,), (2, 3), (0,)):
        ids = rng.integers(0, 5, shape)
        out, out_torch = ours(ig.tensor(ids)), theirs(torch.tensor(ids))
        close(out, out_torch)
        seed = rng.normal(size=out.shape)
        (out * ig.tensor(seed)).sum().backward()
        (out_torch * torch.tensor(seed)).sum().backward()
        close(ours.weight.grad, theirs.weight.grad)
        same_state(ours, theirs)


BAGS: list[tuple[dict[str, Any], Any, Any]] = [
    ({}, (3, 4), None),
    ({"mode": "sum", "padding_idx": 1}, (3, 4), None),
    ({"mode": "max"}, (3, 4), None),
    ({"mode": "mean", "padding_idx": -1}, (7,), [0, 2, 2, 5]),
    ({"mode": "max", "padding_idx": 0}, (7,), [0, 2, 2, 5]),
    ({"mode": "sum", "include_last_offset": True}, (7,), [0, 3, 3, 7]),
    ({"mode": "sum", "max_norm": 0.8}, (7,), [0, 3]),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("options", "shape", "offsets"), BAGS, ids=str)
def test_bags(
    backend: str,
    rng: np.random.Generator,
    options: dict[str, Any],
    shape: tuple[int, ...],
    offsets: Any,
    weighted: bool,
) -> None:
    if weighted and options.get("mode") != "sum":
        return
    ours, theirs = pair("EmbeddingBag", (5, 3), options)
    ids = rng.integers(0, 5, shape)
    starts = None if offsets is None else ig.tensor(offsets)
    starts_torch = None if offsets is None else torch.tensor(offsets)
    factors = rng.normal(size=shape)
    more, more_torch = {}, {}
    if weighted:
        more = {"per_sample_weights": ig.tensor(factors, requires_grad=True)}
        more_torch = {"per_sample_weights": torch.tensor(factors, requires_grad=True)}
    out = ours(ig.tensor(ids), starts, **more)
    out_torch = theirs(torch.tensor(ids), starts_torch, **more_torch)
    close(out, out_torch)
    seed = rng.normal(size=out.shape)
    (out * ig.tensor(seed)).sum().backward()
    (out_torch * torch.tensor(seed)).sum().backward()
    close(ours.weight.grad, theirs.weight.grad)
    if weighted:
        close(more["per_sample_weights"].grad, more_torch["per_sample_weights"].grad)
    same_state(ours, theirs)


def test_frequencies_in_bags_are_those_of_embedding(backend: str) -> None:
    # torch 2.13 divides the gradient of a row in a bag by other numbers than its frequency.
    ids, table = ig.tensor([2, 0, 0, 1]), ig.ones((3, 2))
    bag = nn.EmbeddingBag.from_pretrained(table, False, mode="sum", scale_grad_by_freq=True)
    bag(ids, ig.tensor([0, 2])).sum().backward()
    plain = nn.Embedding.from_pretrained(table, False, scale_grad_by_freq=True)
    plain(ids).sum().backward()
    assert bag.weight.grad is not None
    assert plain.weight.grad is not None
    assert bag.weight.grad.tolist() == plain.weight.grad.tolist() == [[1.0, 1.0]] * 3


@pytest.mark.parametrize("bias", [True, False])
def test_bilinear(backend: str, rng: np.random.Generator, bias: bool) -> None:
    ours, theirs = pair("Bilinear", (2, 3, 4), {"bias": bias})
    arrays = rng.normal(size=(5, 2, 2)), rng.normal(size=(5, 2, 3))
    xs = [ig.tensor(a, requires_grad=True) for a in arrays]
    xs_torch = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, out_torch = ours(*xs), theirs(*xs_torch)
    close(out, out_torch)
    seed = rng.normal(size=out.shape)
    (out * ig.tensor(seed)).sum().backward()
    (out_torch * torch.tensor(seed)).sum().backward()
    for a, b in zip([*xs, *ours.parameters()], [*xs_torch, *theirs.parameters()], strict=True):
        close(a.grad, b.grad)


DROPOUTS: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
    ("Dropout1d", (30, 20, 3), (2,)),
    ("Dropout1d", (30, 3), (1,)),
    ("Dropout2d", (30, 20, 2, 3), (2, 3)),
    ("Dropout2d", (30, 20, 3), (2,)),
    ("Dropout3d", (30, 20, 2, 1, 3), (2, 3, 4)),
    ("Dropout3d", (300, 2, 1, 3), (1, 2, 3)),
    ("AlphaDropout", (30, 20), ()),
    ("FeatureAlphaDropout", (30, 20, 3), (2,)),
]


@pytest.mark.filterwarnings("ignore:dropout2d. Received a 3D input")
@pytest.mark.parametrize(("name", "shape", "together"), DROPOUTS)
def test_dropouts(
    backend: str, name: str, shape: tuple[int, ...], together: tuple[int, ...]
) -> None:
    """The two values are those of torch, whole channels have one, about the same share is kept."""
    ours, theirs = getattr(nn, name)(0.3), getattr(torch.nn, name)(0.3)
    assert repr(ours) == repr(theirs)
    x = ig.tensor(np.full(shape, 1.5), requires_grad=True)
    out = ours(x)
    values = np.unique(np.round(out.numpy(), 12))
    many = torch.full((300, 2, *(1,) * (len(shape) - 2)), 1.5, dtype=torch.float64)
    wanted = np.unique(np.round(theirs(many).numpy(), 12))
    np.testing.assert_allclose(values, wanted, atol=1e-11)
    kept = out.numpy() > 1
    assert (kept.all(together) == kept.any(together)).all()
    assert 0.6 < kept.mean() < 0.8
    out.sum().backward()
    assert ((x.grad.numpy() != 0) == kept).all()
    assert ours.eval()(x) is x
    assert (getattr(nn, name)(1.0)(x).numpy() == 0).all()
    with pytest.raises(ValueError, match=r"1\.5"):
        getattr(nn, name)(1.5)


ATTENTIONS: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4, 8), (2, 3, 4, 8), (2, 3, 4, 8), {"is_causal": True}),
    ((2, 5, 4), (2, 3, 4), (2, 3, 6), {"scale": 0.3}),
    ((2, 4, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), {"enable_gqa": True}),
    ((4, 4), (5, 4), (5, 4), {"attn_mask": "bool"}),
    ((2, 3, 4, 4), (2, 3, 5, 4), (2, 3, 5, 4), {"attn_mask": "float"}),
    ((2, 3, 4), (1, 5, 4), (2, 5, 4), {}),
]


@pytest.mark.parametrize(("q", "k", "v", "options"), ATTENTIONS)
def test_attention(
    backend: str, rng: np.random.Generator, q: Any, k: Any, v: Any, options: dict[str, Any]
) -> None:
    arrays = [rng.normal(size=shape) for shape in (q, k, v)]
    more = dict(options)
    more_torch = dict(options)
    if "attn_mask" in options:
        mask = rng.normal(size=(q[-2], k[-2]))
        if options["attn_mask"] == "bool":
            mask = mask > -0.5
            mask[:, 0] = True
        more["attn_mask"], more_torch["attn_mask"] = ig.tensor(mask), torch.tensor(mask)
    ours = [ig.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = nn.functional.scaled_dot_product_attention(*ours, **more)
    out_torch = torch.nn.functional.scaled_dot_product_attention(*theirs, **more_torch)
    close(out, out_torch)
    seed = rng.normal(size=out.shape)
    (out * ig.tensor(seed)).sum().backward()
    (out_torch * torch.tensor(seed)).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad)
