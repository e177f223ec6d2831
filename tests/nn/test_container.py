"""Lists and dicts of modules and of parameters."""

from __future__ import annotations

import pytest

import isograd as ig
from isograd import nn


def test_lists_of_modules() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    model += [nn.Linear(3, 1)]
    longer = model + nn.Sequential(nn.Tanh())
    assert [len(model), len(longer)] == [3, 4]
    assert longer[0] is model[0]
    assert isinstance(longer.pop(), nn.Tanh)
    assert isinstance(longer.pop(1), nn.ReLU)
    assert list(longer.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_a_list_shows_equal_neighbours_once() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU()])
    assert repr(layers) == (
        "ModuleList(\n  (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)\n"
        "  (2): ReLU()\n)"
    )
    assert repr(nn.ModuleList()) == "ModuleList()"


def test_dicts_of_modules() -> None:
    heads = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    assert isinstance(heads.pop("a"), nn.ReLU)
    with pytest.raises(KeyError):
        heads.pop("a")
    heads.clear()
    assert len(heads) == 0


def test_lists_of_parameters() -> None:
    params = nn.ParameterList([ig.ones(2), nn.Parameter(ig.ones(3))])
    params.append(ig.zeros(1))
    params[-1] = ig.ones(4)
    assert [p.shape for p in params] == [(2,), (3,), (4,)]
    assert len(params[1:]) == 2
    assert list(params.state_dict()) == ["0", "1", "2"]
    assert all(isinstance(p, nn.Parameter) for p in params)
    assert repr(params) == (
        "ParameterList(\n  (0): float32[2]\n  (1): float32[3]\n  (2): float32[4]\n)"
    )
    with pytest.raises(IndexError):
        params[3] = ig.ones(1)


def test_dicts_of_parameters() -> None:
    params = nn.ParameterDict({"a": ig.ones(2)})
    params["b"] = ig.ones(3)
    params["a"] = ig.zeros(5)
    assert {key: p.shape for key, p in params.items()} == {"a": (5,), "b": (3,)}
    assert "b" in params
    assert params.pop("b").shape == (3,)
    del params["a"]
    assert (len(params), list(params), params.values()) == (0, [], [])


def test_conversions_and_buffers() -> None:
    model = nn.Sequential(nn.Linear(2, 1))
    model.register_buffer("steps", ig.zeros(3))
    assert model.get_buffer("steps").shape == (3,)
    with pytest.raises(AttributeError, match="get_buffer: there is no buffer 'missing'"):
        model.get_buffer("missing")
    for method, dtype in (("double", ig.float64), ("half", ig.float16), ("float", ig.float32)):
        assert getattr(model, method)()[0].weight.dtype == dtype
        assert model.steps.dtype == dtype
    assert model.cpu()[0].weight.device == ig.device("cpu")
