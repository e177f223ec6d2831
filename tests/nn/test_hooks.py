"""Hooks around forward, backward and state, with torch's signatures and order of calls."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn


def test_forward_hooks_may_change_arguments_and_output() -> None:
    layer, order = nn.Identity(), []

    def pre(name: str, factor: float) -> Any:
        return lambda m, args: order.append(name) or (args[0] * factor,)

    def post(name: str, factor: float) -> Any:
        return lambda m, args, out: order.append(name) or out * factor

    layer.register_forward_pre_hook(pre("a", 2.0))
    layer.register_forward_pre_hook(pre("b", 3.0), prepend=True)
    layer.register_forward_hook(post("c", 5.0))
    last = layer.register_forward_hook(post("d", 7.0), prepend=True)
    assert layer(ig.ones(())).item() == 210.0
    assert order == ["b", "a", "d", "c"]
    last.remove()
    last.remove()
    assert layer(ig.ones(())).item() == 30.0
    assert copy.deepcopy(layer)(ig.ones(())).item() == 30.0


def test_forward_hooks_with_keywords() -> None:
    class Scale(nn.Module):
        def forward(self, x: ig.Tensor, *, factor: float) -> ig.Tensor:
            return x * factor

    layer = Scale()
    layer.register_forward_pre_hook(
        lambda m, a, k: (a, {"factor": k["factor"] + 1}), with_kwargs=True
    )
    layer.register_forward_hook(lambda m, a, k, out: out + k["factor"], with_kwargs=True)
    assert layer(ig.ones(()), factor=2.0).item() == 6.0
    layer.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True)
    with pytest.raises(TypeError, match="pre-hook with kwargs returned 1 values; return None or"):
        layer(ig.ones(()), factor=2.0)
    with pytest.raises(TypeError, match="Scale: a hook is a int; pass a function"):
        layer.register_forward_hook(3)  # pyright: ignore[reportArgumentType]


def test_always_call_hooks_run_after_errors() -> None:
    layer, seen = nn.Linear(2, 2), []
    layer.register_forward_hook(lambda m, a, out: seen.append(out), always_call=True)
    layer.register_forward_hook(lambda m, a, out: seen.append("never"))
    with pytest.raises(ig.ShapeError):
        layer(ig.ones(3))
    assert seen == [None]


def test_backward_hooks_see_and_change_gradients() -> None:
    layer = nn.Linear(3, 2)
    seen: dict[str, Any] = {}
    layer.register_full_backward_pre_hook(lambda m, go: (go[0] * 2.0,))

    def hook(module: nn.Module, grad_input: Any, grad_output: Any) -> Any:
        seen.update(input=grad_input, output=grad_output)
        return (grad_input[0] * 10.0,)

    layer.register_full_backward_hook(hook)
    x = ig.tensor(np.ones((4, 3), np.float32), requires_grad=True)
    layer(x).sum().backward()
    weight = layer.weight.numpy()
    np.testing.assert_array_equal(seen["output"][0].numpy(), np.full((4, 2), 2.0))
    np.testing.assert_allclose(seen["input"][0].numpy()[0], 2 * weight.sum(0), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy()[0], 20 * weight.sum(0), rtol=1e-6)
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.full((2, 3), 8.0))


def test_backward_hooks_without_gradient_of_the_input() -> None:
    layer, seen = nn.Linear(3, 2), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].shape)))
    layer(ig.ones((4, 3))).sum().backward()
    assert seen == [((None,), (4, 2))]
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    with pytest.raises(ig.AutodiffError, match="hook returned 2 gradients where there are 1"):
        layer(ig.tensor(np.ones((4, 3)), dtype=ig.float32, requires_grad=True)).sum().backward()


def test_backward_hooks_compile() -> None:
    layer, x = nn.Linear(3, 2), ig.ones((4, 3))
    layer.register_full_backward_pre_hook(lambda m, go: (go[0] * 2.0,))

    @ig.compile(state=layer)
    def step(x: ig.Tensor) -> ig.Tensor:
        loss = layer(x).sum()
        loss.backward()
        return loss

    step(x)
    assert layer.bias is not None
    assert layer.bias.grad is not None
    assert layer.bias.grad.tolist() == [8.0, 8.0]


def test_state_hooks_may_rename() -> None:
    model = nn.Sequential(nn.Linear(2, 1, bias=False))
    order: list[str] = []
    inner = model[0]
    inner.register_state_dict_pre_hook(lambda m, prefix, keep: order.append(f"pre {prefix}"))
    inner.register_state_dict_post_hook(
        lambda m, state, prefix, meta: state.update(
            {prefix + "kernel": state.pop(prefix + "weight")}
        )
    )
    inner.register_load_state_dict_pre_hook(
        lambda m, state, prefix, *_: state.update({prefix + "weight": state.pop(prefix + "kernel")})
    )
    state = model.state_dict(prefix="net.")
    assert list(state) == ["net.0.kernel"]
    assert order == ["pre net.0."]
    model.load_state_dict({"0.kernel": ig.ones((1, 2))})
    assert model[0].weight.tolist() == [[1.0, 1.0]]


def test_hooks_after_loading_may_accept_names() -> None:
    layer = nn.Linear(2, 1)
    before = layer.weight.tolist()
    seen: list[Any] = []
    handle = layer.register_load_state_dict_post_hook(
        lambda m, keys: seen.append((m.weight.tolist(), list(keys.missing_keys)))
    )
    with pytest.raises(ig.StateDictError, match="missing: bias"):
        layer.load_state_dict({"weight": ig.ones((1, 2))})
    assert seen == [([[1.0, 1.0]], ["bias"])]
    assert layer.weight.tolist() == before
    handle.remove()
    layer.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    assert layer.load_state_dict({"weight": ig.ones((1, 2))}) == ([], [])
    assert layer.weight.tolist() == [[1.0, 1.0]]


@pytest.mark.oracle
def test_hooks_are_called_as_torchs_are() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")

    def trace(framework: Any, x: Any) -> list[str]:
        model = framework.nn.Sequential(framework.nn.Tanh(), framework.nn.Tanh())
        calls: list[str] = []
        for name, module in model.named_modules():
            name = name or "all"
            module.register_forward_pre_hook(lambda m, a, n=name: calls.append(f"pre {n}"))
            module.register_forward_hook(lambda m, a, o, n=name: calls.append(f"post {n}"))
            module.register_full_backward_pre_hook(lambda m, g, n=name: calls.append(f"bpre {n}"))
            module.register_full_backward_hook(
                lambda m, gi, go, n=name: calls.append(f"back {n} {len(gi)} {len(go)}")
            )
        model(x).sum().backward()
        return calls

    ours = trace(ig, ig.tensor([0.0], requires_grad=True))
    assert ours == trace(torch, torch.zeros(1, requires_grad=True))
