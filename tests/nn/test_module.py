"""Finding, naming, saving and changing a module's parts."""

from __future__ import annotations

import copy
import re
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.core.dtypes import bfloat16
from isograd.core.names import HERE


class Net(nn.Module):
    """A bit of everything: a parameter of its own, buffers, a shared layer, a left-out bias."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(ig.ones(3))
        self.register_buffer("count", ig.zeros(()))
        self.register_buffer("scratch", ig.zeros(2), persistent=False)
        self.first = nn.Linear(3, 3)
        self.body = nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU(), self.first)
        self.note = "not a part"

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        self.count = self.count + 1
        return self.body[0](self.first(x * self.scale))


def values(module: nn.Module) -> dict[str, Any]:
    return {name: t.tolist() for name, t in module.state_dict().items()}


def test_names() -> None:
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale",
        "first.weight",
        "first.bias",
        "body.0.weight",
    ]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.named_parameters("net", remove_duplicate=False)][-2:] == [
        "net.body.2.weight",
        "net.body.2.bias",
    ]
    assert [n for n, _ in net.named_buffers()] == ["count", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "body", "body.0", "body.1"]
    assert [n for n, _ in net.named_children()] == ["first", "body"]
    assert len(list(net.parameters())) == 4
    assert len(list(net.buffers())) == 2
    assert list(net.modules())[1] is net.first
    assert next(iter(net.children())) is net.first
    assert net.get_submodule("body.0") is net.body[0]
    assert net.get_submodule("") is net
    assert net.get_parameter("body.0.weight") is net.body[0].weight


@pytest.mark.parametrize("target", ["nowhere", "body.7", "first.weight"])
def test_submodules_that_are_not_there(target: str) -> None:
    with pytest.raises(AttributeError, match=r"get_submodule: .* has no submodule"):
        Net().get_submodule(target)
    with pytest.raises(AttributeError, match=r"get_parameter: there is no parameter 'first\.wait'"):
        Net().get_parameter("first.wait")


def test_registering() -> None:
    module = nn.Module()
    module.register_parameter("weight", nn.Parameter(ig.ones(2)))
    module.register_parameter("bias", None)
    module.add_module("inner", nn.Identity())
    assert module.bias is None
    assert [n for n, _ in module.named_parameters()] == ["weight"]
    for function, good in (
        (module.register_parameter, nn.Parameter(ig.ones(1))),
        (module.register_buffer, ig.ones(1)),
        (module.add_module, nn.Identity()),
    ):
        for name in ("", "a.b", "weight", "forward"):
            with pytest.raises(ValueError, match=f"{function.__name__}: "):
                function(name, good)
        with pytest.raises(TypeError, match=f"{function.__name__}: 'fine' is a int, not a "):
            function("fine", 3)


def test_a_tensor_cannot_silently_replace_a_parameter() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"'weight' is a Parameter.*assign_"):
        layer.weight = layer.weight - 0.1  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(layer.weight, nn.Parameter)
    layer.weight = nn.Parameter(ig.zeros((2, 2)))
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]
    net = Net()
    with pytest.raises(TypeError, match="'count' is a buffer, got int; assign a Tensor"):
        net.count = 3


def test_state_dict_is_a_snapshot() -> None:
    net = Net()
    state = net.state_dict()
    assert list(state) == [
        "scale",
        "count",
        "first.weight",
        "first.bias",
        "body.0.weight",
        "body.2.weight",
        "body.2.bias",
    ]
    before = values(net)
    assert not any(t.requires_grad for t in state.values())
    net.scale.assign_(ig.zeros(3))
    net(ig.ones((1, 3)))
    assert {name: t.tolist() for name, t in state.items()} == before
    assert values(net) != before
    assert list(net.first.state_dict(prefix="p.")) == ["p.weight", "p.bias"]


def test_load_state_dict() -> None:
    source, target = Net(), Net()
    scale = target.scale
    result = target.load_state_dict(source.state_dict())
    assert result == ([], [])
    assert values(target) == values(source)
    assert target.scale is scale
    assert target.scale.requires_grad
    arrays = {name: t.numpy() for name, t in source.state_dict().items()}
    target = Net()
    target.load_state_dict(arrays)
    assert values(target) == values(source)


def test_load_state_dict_lists_everything_and_loads_nothing() -> None:
    net = Net()
    before = values(net)
    state: dict[str, Any] = {name: t + 1 for name, t in net.state_dict().items()}
    del state["count"], state["first.bias"]
    state["surplus"] = ig.ones(1)
    state["scale"] = ig.ones((4, 3))
    state["first.weight"] = ig.zeros((3, 3), dtype=ig.float64)
    state["body.2.bias"] = "not a tensor"
    with pytest.raises(ig.StateDictError) as error:
        net.load_state_dict(state)
    text = str(error.value)
    for line in (
        "load_state_dict: the state does not fit Net, nothing was loaded",
        "missing: count float32[]",
        "missing: first.bias float32[3]",
        "unexpected: surplus",
        "shape of scale: (4, 3) in the state, (3,) in the module",
        "dtype of first.weight: float64 in the state, float32 in the module",
        "not a tensor: body.2.bias is a str",
    ):
        assert line in text
    assert values(net) == before


def test_load_state_dict_that_is_not_strict() -> None:
    net = Net()
    result = net.load_state_dict({"scale": ig.zeros(3), "surplus": ig.ones(1)}, strict=False)
    assert result.unexpected_keys == ["surplus"]
    assert "count" in result.missing_keys
    assert net.scale.tolist() == [0, 0, 0]
    with pytest.raises(ig.StateDictError, match=r"shape of scale: \(2,\)"):
        net.load_state_dict({"scale": ig.zeros(2)}, strict=False)


def test_train_and_eval_reach_every_module() -> None:
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())


def test_gradients_are_forgotten() -> None:
    net = Net()
    net(ig.ones((2, 3))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(p.grad.tolist() == ig.zeros_like(p).tolist() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_frozen_parameters() -> None:
    net = Net()
    net.first.requires_grad_(False)
    net(ig.ones((2, 3))).sum().backward()
    assert net.first.weight.grad is None
    assert net.scale.grad is not None
    net.first.requires_grad_()
    assert net.first.weight.requires_grad


def test_to() -> None:
    net = Net()
    net.register_buffer("steps", ig.zeros((), dtype=ig.int64))
    weight = net.first.weight
    numbers = weight.tolist()
    assert net.to(ig.float64) is net
    assert net.first.weight is weight
    assert weight.tolist() == numbers
    assert {t.dtype for t in (*net.parameters(), net.count, net.scratch)} == {ig.float64}
    assert net.steps.dtype == ig.int64
    net(ig.ones((1, 3), dtype=ig.float64)).sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == ig.float64
    assert net.to("cpu", dtype="float32").scale.dtype == ig.float32
    assert net.to(ig.device("cpu")).scale.device == ig.device("cpu")
    with pytest.raises(ig.DTypeError, match="cannot be converted to int64"):
        net.to(ig.int64)
    with pytest.raises(ig.UnknownDeviceError):
        net.to("nowhere")


def test_apply_goes_bottom_up() -> None:
    seen: list[str] = []
    nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())).apply(
        lambda m: seen.append(type(m).__name__)
    )
    assert seen == ["ReLU", "Tanh", "Sequential", "Sequential"]


def test_deepcopy_is_independent() -> None:
    net = Net()
    twin = copy.deepcopy(net)
    assert values(twin) == values(net)
    assert twin.first is twin.body[2]
    twin.scale.assign_(ig.zeros(3))
    assert net.scale.tolist() == [1, 1, 1]


def test_forward_that_is_missing() -> None:
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward; define it"):
        Empty()(1)


def test_init_need_not_be_called() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(ig.ones(1))

        def forward(self, x: ig.Tensor) -> ig.Tensor:
            return x * self.weight

    bare = Bare().eval()
    assert not bare.training
    assert nn.Module.training
    assert list(bare.state_dict()) == ["weight"]
    assert bare(ig.ones(1)).item() == 1


def test_repr() -> None:
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(in_features=3, out_features=3, bias=True)\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=3, out_features=2, bias=False)\n"
        "    (1): ReLU()\n"
        "    (2): Linear(in_features=3, out_features=3, bias=True)\n"
        "  )\n"
        ")"
    )


def test_sequential() -> None:
    model = nn.Sequential(OrderedDict(hidden=nn.Linear(4, 3), act=nn.Tanh(), out=nn.Linear(3, 2)))
    assert list(model.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    assert model.hidden is model[0]
    assert model[-1].out_features == 2
    assert isinstance(model[:2], nn.Sequential)
    assert list(model[1:].state_dict()) == ["out.weight", "out.bias"]
    assert [type(m).__name__ for m in model] == ["Linear", "Tanh", "Linear"]
    model.append(nn.ReLU())
    assert list(dict(model.named_children())) == ["hidden", "act", "out", "3"]
    assert model(ig.ones((5, 4))).shape == (5, 2)
    with pytest.raises(
        IndexError,
        match=r"Sequential: index 4 is out of range for 4 modules; use indices in \[-4, 3\]",
    ):
        model[4]
    with pytest.raises(
        TypeError, match="add_module: '1' is a builtin_function_or_method, not a Mod"
    ):
        nn.Sequential(nn.ReLU(), abs)  # pyright: ignore[reportArgumentType]


def test_changing_a_sequential() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(2, 2), relu, nn.Linear(2, 2), relu)
    assert len(model) == 4
    model[1] = nn.Tanh()
    del model[0]
    assert repr(model) == (
        "Sequential(\n  (0): Tanh()\n  (1): Linear(in_features=2, out_features=2, bias=True)\n  "
        "(2): ReLU()\n)"
    )
    model.insert(1, nn.Identity()).extend([nn.SiLU()])
    assert [type(m).__name__ for m in model] == ["Tanh", "Identity", "Linear", "ReLU", "SiLU"]
    assert nn.Sequential()(3) == 3


def test_module_list_and_dict() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    assert list(layers.state_dict())[:2] == ["0.weight", "0.bias"]
    assert layers[1:][0] is layers[1]
    assert len(layers.append(nn.ReLU())) == 4
    heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    heads["b"] = nn.Linear(2, 3)
    heads["a"] = nn.Linear(2, 5)
    assert list(heads) == ["a", "b"]
    assert heads["a"].out_features == 5
    assert "b" in heads
    del heads["b"]
    assert len(heads) == 1
    assert [k for k, _ in heads.items()] == heads.keys() == ["a"]
    assert heads.values() == [heads["a"]]
    with pytest.raises(ValueError, match="add_module: ModuleDict has a 'keys' already"):
        heads["keys"] = nn.ReLU()


def test_a_module_is_a_differentiable_argument(backend: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = ig.tensor(np.linspace(-1, 1, 15).reshape(5, 3).astype("f4"))

    def loss(model: nn.Module, x: ig.Tensor) -> ig.Tensor:
        return (model(x) ** 2).sum()

    value, grads = ig.value_and_grad(loss)(model, x)
    expected = loss(model, x)
    expected.backward()
    assert value.item() == expected.item()
    assert list(grads) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for name, p in model.named_parameters():
        assert p.grad is not None
        assert grads[name].tolist() == p.grad.tolist()
    both = ig.grad(loss, argnums=(0, 1))(model, x)
    assert both[0]["0.weight"].tolist() == grads["0.weight"].tolist()
    assert both[1].shape == x.shape


def test_functional_call() -> None:
    net = Net()
    before = values(net)
    x = ig.ones((2, 3))
    zeros = {"scale": ig.zeros(3), "first.bias": ig.zeros(3), "count": ig.zeros(())}
    assert nn.functional_call(net, zeros, (x,)).tolist() == [[0, 0], [0, 0]]
    assert nn.functional_call(net, zeros, x).tolist() == [[0, 0], [0, 0]]
    assert values(net) == before


def test_functional_call_replaces_shared_parameters_everywhere() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, layer)
    new = {"0.weight": 2 * ig.eye(2), "0.bias": ig.zeros(2)}
    assert nn.functional_call(model, new, ig.ones((1, 2))).tolist() == [[4, 4]]
    assert model[0].weight is layer.weight


def test_functional_call_with_what_does_not_fit() -> None:
    net = Net()
    before = values(net)
    with pytest.raises(
        ig.StateDictError, match="functional_call: Net has no parameter or buffer 'wait'"
    ):
        nn.functional_call(net, {"scale": ig.zeros(3), "wait": ig.zeros(3)}, ig.ones(3))
    with pytest.raises(ig.ShapeError, match=r"'scale' has shape \(4,\), in the module \(3,\)"):
        nn.functional_call(net, {"scale": ig.zeros(4)}, ig.ones(3))
    with pytest.raises(ig.ShapeError):
        nn.functional_call(net, {"scale": ig.zeros(3), "count": net.count}, ig.ones((2, 5)))
    assert values(net) == before
    assert isinstance(net.scale, nn.Parameter)


def test_functional_call_can_be_differentiated() -> None:
    model = nn.Linear(3, 1)
    x = ig.ones((4, 3))

    def loss(parameters: dict[str, ig.Tensor]) -> ig.Tensor:
        return (nn.functional_call(model, parameters, x) ** 2).mean()

    parameters = {name: p.detach() for name, p in model.named_parameters()}
    grads = ig.grad(loss)(parameters)
    (model(x) ** 2).mean().backward()
    assert grads["weight"].tolist() == model.weight.grad.tolist()
    _, tangent = ig.jvp(loss, (parameters,), (grads,))
    assert tangent.item() > 0


def test_modules_in_a_plain_list_are_warned_of() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            self.layers = [nn.Linear(2, 2)]
            self._hidden = [nn.Linear(2, 2)]
            self.sizes = [2, 2]

    model = Deep()
    with pytest.warns(UserWarning, match=r"Deep.layers is a list .* nn.ModuleList") as found:
        assert not list(model.parameters())
    assert found[0].filename == __file__
    model.first = model.layers[0]
    assert len(list(model.parameters())) == 2


def test_an_array_is_not_taken_for_a_tensor() -> None:
    with pytest.raises(TypeError, match=r"linear: argument 0 is a ndarray, .* isograd.asarray"):
        nn.Linear(2, 2)(np.ones((3, 2), np.float32))


def test_names_of_torch_are_explained() -> None:
    with pytest.raises(AttributeError, match=r"Tensor has no attribute 'view'; write x.reshape"):
        ig.ones(4).view(2, 2)  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"'isograd' has no attribute 'cat'; write .*concat"):
        ig.cat([ig.ones(1)])  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"Tensor has no attribute 'log1p'; .* isograd.log1p"):
        ig.ones(4).log1p()  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"'det'; write isograd.linalg.det"):
        ig.ones((2, 2)).det()  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"'mul_'; write isograd.multiply.* do not change"):
        ig.ones(4).mul_(2.0)  # type: ignore[attr-defined]
    assert not hasattr(nn.Parameter(ig.ones(1)), "nothing")


def test_what_a_name_of_torch_is_called_here_is_there() -> None:
    for name, here in HERE.items():
        for path in re.findall(r"isograd((?:\.[a-z_0-9]+)+)", here):
            if path == ".bfloat16" and bfloat16() is None:  # it needs ml-dtypes
                continue
            found: Any = ig
            for part in path[1:].split("."):
                found = getattr(found, part)
            assert found is not None, (name, path)
