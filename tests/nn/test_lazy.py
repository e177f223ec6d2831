"""Lazy layers: what they become, from a batch or from a state, and what they refuse before."""

from __future__ import annotations

from typing import Any

import pytest

import isograd as ig
from isograd import nn, optim

# (lazy layer, its arguments, the input's shape, the layer that it becomes)
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...], tuple[Any, ...]]] = [
    ("Linear", {"out_features": 3, "bias": False}, (2, 5), (5, 3, False)),
    ("Conv1d", {"out_channels": 4, "kernel_size": 2, "groups": 2}, (2, 6, 5), (6, 4, 2)),
    ("Conv2d", {"out_channels": 4, "kernel_size": 2}, (3, 5, 5), (3, 4, 2)),
    ("Conv3d", {"out_channels": 4, "kernel_size": 1}, (1, 3, 2, 2, 2), (3, 4, 1)),
    ("ConvTranspose1d", {"out_channels": 4, "kernel_size": 2, "groups": 2}, (2, 6, 5), (6, 4, 2)),
    ("ConvTranspose2d", {"out_channels": 4, "kernel_size": 2}, (1, 3, 5, 5), (3, 4, 2)),
    ("ConvTranspose3d", {"out_channels": 4, "kernel_size": 1}, (3, 2, 2, 2), (3, 4, 1)),
    ("BatchNorm1d", {}, (4, 3), (3,)),
    ("BatchNorm2d", {"affine": False}, (4, 3, 2, 2), (3,)),
    ("BatchNorm3d", {"eps": 0.1}, (4, 3, 2, 2, 2), (3,)),
    ("InstanceNorm1d", {}, (4, 3, 5), (3,)),
    ("InstanceNorm2d", {}, (3, 5, 5), (3,)),
    ("InstanceNorm3d", {}, (4, 3, 2, 2, 2), (3,)),
]


def twins(name: str, kwargs: dict[str, Any], args: tuple[Any, ...]) -> tuple[Any, Any]:
    extra = {"affine": True, "track_running_stats": True} if "Instance" in name else {}
    rest = {k: v for k, v in kwargs.items() if k in ("groups", "affine", "eps")}
    return getattr(nn, f"Lazy{name}")(**kwargs), getattr(nn, name)(*args, **rest, **extra)


@pytest.mark.parametrize(("name", "kwargs", "shape", "args"), LAYERS)
def test_a_lazy_layer_becomes_what_fits(
    name: str, kwargs: dict[str, Any], shape: tuple[int, ...], args: tuple[Any, ...]
) -> None:
    x = ig.random.normal(shape)
    lazy, wanted = twins(name, kwargs, args)
    assert lazy.has_uninitialized_params()
    out = lazy(x)
    assert type(lazy) is type(wanted)
    assert repr(lazy) == repr(wanted)
    assert out.shape == wanted(x).shape
    loaded, _ = twins(name, kwargs, args)
    loaded.load_state_dict(wanted.state_dict())
    assert type(loaded) is type(wanted)
    assert (loaded.eval()(x) == wanted.eval()(x)).all()


def test_a_lazy_layer_has_no_parameters_to_give() -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(2)).eval()
    assert repr(model[0]) == "LazyLinear(out_features=3)"
    for use in (
        lambda: optim.SGD(model.parameters(), lr=0.1),
        model.state_dict,
        lambda: model.to("float64"),
    ):
        with pytest.raises(ValueError, match=r"LazyLinear: .* call the model with a batch first"):
            use()
    step = ig.compile(model, state=model)
    with pytest.raises((ValueError, ig.ConcretizationError), match="LazyLinear"):
        step(ig.ones((2, 4)))
    model(ig.ones((2, 4)))
    assert [p.shape for p in model.parameters()] == [(3, 4), (3,), (2, 3), (2,)]
    assert not model[0].training


def test_hooks_stay_and_slips_are_told_at_once() -> None:
    seen: list[str] = []
    layer = nn.LazyLinear(3)
    layer.register_forward_hook(lambda module, args, out: seen.append(type(module).__name__))
    layer(ig.ones((2, 4)))
    assert seen == ["Linear"]
    with pytest.raises(TypeError, match="LazyConv2d: missing a required argument: 'kernel_size'"):
        nn.LazyConv2d(3)
    with pytest.raises(ValueError, match="groups=2 does not divide in_channels=3"):
        nn.LazyConv1d(4, 2, groups=2)(ig.ones((2, 3, 5)))
