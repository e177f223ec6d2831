"""Padding, resizing, shuffling, sampling and bilinear maps against torch: values and gradients."""

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

# torch computes positions in the dtype of the input, we in float64.
PLACES = {"float64": 1e-11, "float32": 1e-4}


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    arrays: list[Any],
    bound: float,
) -> None:
    xs = [ig.tensor(x, requires_grad=True) for x in arrays]
    ys = [torch.tensor(x, requires_grad=True) for x in arrays]
    out, out_torch = ours(*xs), theirs(*ys)
    assert out.shape == tuple(out_torch.shape)
    assert out.dtype == xs[0].dtype
    np.testing.assert_allclose(out.numpy(), out_torch.detach().numpy(), rtol=bound, atol=bound)
    seed = np.cos(np.arange(out.size)).reshape(out.shape).astype(arrays[0].dtype)
    out.backward(ig.tensor(seed))
    out_torch.backward(torch.tensor(seed))
    for x, y in zip(xs, ys, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=10 * bound, atol=10 * bound)


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "float64") -> Any:
    return rng.normal(size=shape).astype(dtype)


# -- pad -------------------------------------------------------------------------------------------

PADS: list[tuple[tuple[int, ...], tuple[int, ...], str, float | None]] = [
    ((2, 3), (1, 2), "constant", None),
    ((2, 3, 4), (1, 0, 2, 1), "constant", 2.5),
    ((2, 3, 4, 5), (-1, 2, 0, -1, 1, 1), "constant", -1.0),
    ((3,), (-1, -1), "constant", None),
    ((2, 3, 4), (0, 0), "constant", None),
    ((2, 3, 5), (2, 1), "reflect", None),
    ((2, 3, 5), (-1, 2), "reflect", None),
    ((2, 3, 4, 5), (4, 2, 1, 3), "reflect", None),
    ((1, 2, 3, 4, 5), (1, 1, 2, 0, 0, 2), "reflect", None),
    ((2, 3, 5), (4, 7), "replicate", None),
    ((2, 3, 4, 5), (1, -2, 0, 3), "replicate", None),
    ((1, 2, 3, 4, 5), (1, 1, 2, 0, 0, 2), "replicate", None),
    ((2, 3, 5), (5, 2), "circular", None),
    ((2, 3, 4, 5), (1, 2, 0, 3), "circular", None),
    ((1, 2, 3, 4, 5), (1, 1, 2, 0, 0, 2), "circular", None),
]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("shape", "pad", "mode", "value"), PADS, ids=str)
def test_pad(
    backend: str,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    pad: tuple[int, ...],
    mode: str,
    value: float | None,
    dtype: str,
) -> None:
    compare(
        lambda x: F.pad(x, pad, mode, value),
        lambda x: torch.nn.functional.pad(x, pad, mode, value),
        [draw(rng, shape, dtype)],
        TOLERANCE[dtype],
    )


# A layer, its arguments, and the input's shape.
LAYERS: list[tuple[str, tuple[Any, ...], tuple[int, ...]]] = [
    *[
        (f"{kind}Pad{n}d", arguments, (2, *(5, 6, 7)[: n + 1])[: n + 2])
        for kind in ("Zero", "Reflection", "Replication", "Circular")
        for n in (1, 2, 3)
        for arguments in ((1,), ((1, 2, 0, 1, 2, 1)[: 2 * n],))
    ],
    *[(f"ConstantPad{n}d", (2, 3.5), (2, *(5, 6, 7)[:n])) for n in (1, 2, 3)],
    ("PixelShuffle", (2,), (2, 8, 3, 2)),
    ("PixelShuffle", (3,), (9, 1, 2)),
    ("PixelUnshuffle", (2,), (2, 3, 4, 6)),
    ("ChannelShuffle", (3,), (2, 6, 3, 2)),
    ("Upsample", (5,), (1, 2, 3)),
    ("Upsample", ((5, 4),), (1, 2, 3, 3)),
    ("Upsample", (None, 2.5), (1, 2, 3, 3)),
    ("Upsample", (None, (2.0, 1.5), "bilinear"), (1, 2, 3, 3)),
    ("Upsample", (None, 1.5, "bicubic", True, True), (1, 2, 3, 5)),
    ("UpsamplingNearest2d", (None, 2), (1, 2, 3, 3)),
    ("UpsamplingBilinear2d", ((5, 7),), (1, 2, 3, 3)),
]


@pytest.mark.parametrize(("name", "arguments", "shape"), LAYERS, ids=str)
def test_layer(
    rng: np.random.Generator, name: str, arguments: tuple[Any, ...], shape: tuple[int, ...]
) -> None:
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    assert repr(ours) == repr(theirs)
    compare(ours, theirs, [draw(rng, shape)], 1e-11)


@pytest.mark.parametrize("name", sorted({name for name, *_ in LAYERS} | {"Bilinear"}))
def test_arguments_have_the_names_and_defaults_of_torch(name: str) -> None:
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


# -- interpolate -----------------------------------------------------------------------------------

SIZES: dict[int, list[tuple[tuple[int, ...], dict[str, Any]]]] = {
    1: [
        ((2, 3, 5), {"size": 8}),
        ((2, 3, 5), {"size": 3}),
        ((2, 3, 7), {"scale_factor": 1.7}),
        ((1, 1, 1), {"size": 4}),
        ((2, 3, 6), {"size": 1}),
    ],
    2: [
        ((2, 3, 4, 5), {"size": (7, 3)}),
        ((2, 3, 4, 5), {"scale_factor": 2}),
        ((1, 2, 9, 7), {"scale_factor": (0.5, 1.3)}),
        ((1, 2, 9, 7), {"scale_factor": (0.6, 1.3), "recompute_scale_factor": True}),
        ((1, 1, 1, 1), {"size": 3}),
    ],
    3: [((1, 2, 3, 4, 5), {"size": (4, 3, 7)}), ((1, 2, 3, 4, 5), {"scale_factor": 1.5})],
}
SMOOTH = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}
RESIZED: list[tuple[tuple[int, ...], dict[str, Any]]] = (
    [
        (shape, {**size, **options})
        for count, sizes in SIZES.items()
        for shape, size in sizes
        for options in (
            *({"mode": mode} for mode in ("nearest", "nearest-exact", "area")),
            *(
                {"mode": mode, "align_corners": align}
                for mode in SMOOTH[count]
                for align in (None, False, True)
            ),
        )
    ]
    + [
        ((1, 2, 9, 8), {"mode": mode, "antialias": True, **size})
        for mode in ("bilinear", "bicubic", "lanczos")
        for size in ({"size": (4, 3)}, {"size": (12, 9)}, {"scale_factor": 0.4}, {"size": (1, 8)})
    ]
    + [
        (
            (1, 2, 9, 8),
            {"mode": "bicubic", "antialias": True, "size": (4, 3), "align_corners": True},
        )
    ]
)


@pytest.mark.parametrize(("shape", "options"), RESIZED, ids=str)
def test_interpolate(
    rng: np.random.Generator, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    for dtype, bound in PLACES.items():
        compare(
            lambda x: F.interpolate(x, **options),
            lambda x: torch.nn.functional.interpolate(x, **options),
            [draw(rng, shape, dtype)],
            bound,
        )


@pytest.mark.filterwarnings("ignore")
def test_older_names(rng: np.random.Generator) -> None:
    x = [draw(rng, (1, 2, 3, 4))]
    theirs = torch.nn.functional
    compare(lambda x: F.upsample(x, 5), lambda x: theirs.upsample(x, 5), x, 1e-12)
    compare(
        lambda x: F.upsample_nearest(x, scale_factor=3),
        lambda x: theirs.upsample_nearest(x, scale_factor=3),
        x,
        1e-12,
    )
    compare(
        lambda x: F.upsample_bilinear(x, (5, 2)),
        lambda x: theirs.upsample_bilinear(x, (5, 2)),
        x,
        1e-12,
    )


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_elements_are_those_of_torch(mode: str) -> None:
    for n in (1, 3, 7, 10):
        x = np.arange(float(n)).reshape(1, 1, n)
        for size in range(1, 40):
            ours = F.interpolate(ig.tensor(x), size, mode=mode).numpy()
            theirs = torch.nn.functional.interpolate(torch.tensor(x), size, mode=mode).numpy()
            np.testing.assert_array_equal(ours, theirs)


# -- grids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(
    ("mode", "count"), [("bilinear", 2), ("bilinear", 3), ("nearest", 2), ("bicubic", 2)]
)
def test_grid_sample(
    backend: str, rng: np.random.Generator, mode: str, count: int, padding: str, align: bool
) -> None:
    x = draw(rng, (2, 3, *(4, 5, 3)[:count]))
    grid = rng.uniform(-2.2, 2.2, size=(2, *(3, 6, 2)[:count], count))
    compare(
        lambda x, g: F.grid_sample(x, g, mode, padding, align),
        lambda x, g: torch.nn.functional.grid_sample(x, g, mode, padding, align),
        [x, grid],
        1e-10,
    )


@pytest.mark.parametrize("align", [False, True])
def test_places_that_are_no_numbers(align: bool) -> None:
    x = np.arange(6.0).reshape(1, 1, 2, 3)
    grid = np.array([[[[np.nan, 0.0], [0.0, np.inf], [1e30, -1e30]]]])
    ours = F.grid_sample(ig.tensor(x), ig.tensor(grid), align_corners=align)
    assert ours.tolist() == [[[[0.0, 0.0, 0.0]]]]


@pytest.mark.filterwarnings("ignore:Since version 1.3.0")
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 3, 1, 5), (1, 2, 3, 4, 5)])
def test_affine_grid(rng: np.random.Generator, size: tuple[int, ...], align: bool) -> None:
    count = len(size) - 2
    compare(
        lambda t: F.affine_grid(t, size, align),
        lambda t: torch.nn.functional.affine_grid(t, size, align),
        [draw(rng, (size[0], count, count + 1))],
        1e-12,
    )


# -- bilinear --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_bilinear(
    backend: str, rng: np.random.Generator, batch: tuple[int, ...], bias: bool
) -> None:
    theirs = torch.nn.Bilinear(3, 2, 4, bias).double()
    ours = nn.Bilinear(3, 2, 4, bias).to("float64")
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    compare(ours, theirs, [draw(rng, (*batch, 3)), draw(rng, (*batch, 2))], 1e-12)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-11, atol=1e-12)
