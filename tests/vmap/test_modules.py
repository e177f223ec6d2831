"""Per-example gradients of modules, ensembles of them, and what depends on the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn

SIZE = 3


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        self.cell = kind(4, 5)

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return self.cell(x)[0]


class Attention(nn.Module):
    def __init__(self) -> None:
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return self.attend(x, x, x, need_weights=False)[0]


# A model, and the shape of one example; those of integers are indices below 7.
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)), (4,)),
    "rows": (lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.SiLU()), (5, 4)),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.MaxPool2d(2)
        ),
        (1, 2, 6, 6),
    ),
    "groups": (lambda: nn.Conv1d(4, 6, 3, stride=2, dilation=2, groups=2), (1, 4, 9)),
    "unbatched": (lambda: nn.Conv1d(2, 3, 3), (2, 7)),
    "transposed": (
        lambda: nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, groups=2),
        (1, 4, 4, 3),
    ),
    "embedding": (lambda: nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 3)), (5,)),
    "attention": (Attention, (1, 5, 8)),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
        (1, 5, 8),
    ),
    "rnn": (lambda: Recurrent(nn.RNN), (5, 1, 4)),
    "lstm": (lambda: Recurrent(nn.LSTM), (5, 1, 4)),
    "gru": (lambda: Recurrent(nn.GRU), (5, 1, 4)),
    "batch norm": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval(), (2, 4)),
}


def made(name: str) -> tuple[nn.Module, ig.Tensor]:
    ig.manual_seed(0)
    build, shape = MODELS[name]
    model = build().to(ig.float64)
    rng = np.random.default_rng(0)
    if name == "embedding":
        return model, ig.tensor(rng.integers(0, 7, (SIZE, *shape)))
    return model, ig.tensor(rng.normal(size=(SIZE, *shape)))


def loss(model: nn.Module, x: ig.Tensor) -> ig.Tensor:
    return (ig.sin(model(x)) ** 2).sum()


def same(a: dict[str, ig.Tensor], b: dict[str, ig.Tensor]) -> None:
    assert list(a) == list(b)
    for name, value in a.items():
        np.testing.assert_allclose(value.numpy(), b[name].numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_per_example_gradients(name: str) -> None:
    model, x = made(name)
    per_example = ig.vmap(ig.grad(loss), in_axes=(None, 0))
    rows = [ig.grad(loss)(model, x[i]) for i in range(SIZE)]
    wanted = {key: ig.stack([row[key] for row in rows]) for key in rows[0]}
    found = per_example(model, x)
    same(found, wanted)
    assert not any(value.requires_grad for value in found.values())
    same(ig.compile(per_example, state=model)(model, x), wanted)

    def of_parameters(parameters: dict[str, ig.Tensor], x: ig.Tensor) -> ig.Tensor:
        return (ig.sin(nn.functional_call(model, parameters, x)) ** 2).sum()

    parameters = {key: value.detach() for key, value in model.named_parameters()}
    same(ig.vmap(ig.grad(of_parameters), in_axes=(None, 0))(parameters, x), wanted)
    # Backward through the mapped loss sums what was computed for each example.
    ig.vmap(lambda x: loss(model, x))(x).sum().backward()
    same(
        {key: value.grad for key, value in model.named_parameters()},
        {key: value.sum(axis=0) for key, value in wanted.items()},
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shared", [True, False], ids=["one input", "an input each"])
def test_ensembles(name: str, shared: bool) -> None:
    _, x = made(name)
    models = [MODELS[name][0]().to(ig.float64) for _ in range(SIZE)]
    for model in models:
        model.train(name != "batch norm")
    parameters, buffers = nn.stack_module_state(models)

    def call(parameters: Any, buffers: Any, x: ig.Tensor) -> ig.Tensor:
        return nn.functional_call(models[0], {**parameters, **buffers}, x)

    def of_one(parameters: Any, buffers: Any, x: ig.Tensor) -> ig.Tensor:
        return (ig.sin(call(parameters, buffers, x)) ** 2).sum()

    axes = (0, 0, None if shared else 0)
    given = x[0] if shared else x
    inputs = [given if shared else given[i] for i in range(SIZE)]
    pairs = list(zip(models, inputs, strict=True))
    outs = ig.vmap(call, axes)(parameters, buffers, given)
    np.testing.assert_allclose(
        outs.numpy(), np.stack([model(x).numpy() for model, x in pairs]), rtol=1e-9, atol=1e-11
    )
    rows = [ig.grad(loss)(model, x) for model, x in pairs]
    wanted = {key: ig.stack([row[key] for row in rows]) for key in rows[0]}
    same(ig.vmap(ig.grad(of_one), axes)(parameters, buffers, given), wanted)


def test_penalties_of_per_example_gradients() -> None:
    """Differentiate the per-example gradients again, with respect to inputs and parameters."""
    model, x = made("perceptron")
    parameters = {key: value.detach() for key, value in model.named_parameters()}

    def of_parameters(parameters: dict[str, ig.Tensor], x: ig.Tensor) -> ig.Tensor:
        return (ig.sin(nn.functional_call(model, parameters, x)) ** 2).sum()

    def squares(slopes: dict[str, ig.Tensor]) -> ig.Tensor:
        return ig.stack([(value**2).sum() for value in slopes.values()]).sum()

    def mapped(parameters: Any, x: ig.Tensor) -> ig.Tensor:
        return squares(ig.vmap(ig.grad(of_parameters), (None, 0))(parameters, x))

    def looped(parameters: Any, x: ig.Tensor) -> ig.Tensor:
        return ig.stack([squares(ig.grad(of_parameters)(parameters, row)) for row in x]).sum()

    found, wanted = ig.grad(mapped, (0, 1))(parameters, x), ig.grad(looped, (0, 1))(parameters, x)
    same(found[0], wanted[0])
    same({"x": found[1]}, {"x": wanted[1]})

    def of_model(x: ig.Tensor) -> ig.Tensor:
        return squares(ig.vmap(ig.grad(loss), (None, 0))(model, x))

    same({"x": ig.grad(of_model)(x)}, {"x": wanted[1]})


def test_what_does_not_stack() -> None:
    with pytest.raises(ig.StateDictError, match="there are no modules"):
        nn.stack_module_state([])
    with pytest.raises(ig.StateDictError, match="module 1 is a ReLU in training, the first a"):
        nn.stack_module_state([nn.GELU(), nn.ReLU()])
    with pytest.raises(ig.StateDictError, match="in evaluation"):
        nn.stack_module_state([nn.ReLU(), nn.ReLU().eval()])
    with pytest.raises(
        ig.StateDictError, match=r"'weight' is float32\[2, 4\] in module 1, and float32\[2, 3\]"
    ):
        nn.stack_module_state([nn.Linear(3, 2), nn.Linear(4, 2)])
    with pytest.raises(ig.StateDictError, match="'bias' is missing in module 1"):
        nn.stack_module_state([nn.Linear(3, 2), nn.Linear(3, 2, bias=False)])


def test_batch_norm_of_each_example_by_its_own_statistics() -> None:
    model = nn.BatchNorm1d(3)
    x = ig.tensor(np.random.default_rng(0).normal(size=(SIZE, 5, 3)).astype(np.float32))
    buffers = {name: value.detach() for name, value in model.named_buffers()}

    def call(buffers: dict[str, ig.Tensor], x: ig.Tensor) -> ig.Tensor:
        return nn.functional_call(model, buffers, x)

    got = ig.vmap(call, (None, 0))(buffers, x)
    wanted = ig.stack([nn.BatchNorm1d(3)(x[i]) for i in range(SIZE)])
    np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert model.num_batches_tracked.item() == 0
    assert model.running_mean.tolist() == [0.0] * 3


def test_dropout_layers_follow_the_policy() -> None:
    model = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5))
    x = ig.ones((SIZE, 4))
    with pytest.raises(ig.NonMappableError, match="randomness"):
        ig.vmap(model)(x)
    same = ig.vmap(model, randomness="same")(x)
    assert (same == same[:1]).all()
    assert not (ig.vmap(model, randomness="different")(x)[0] == same[0]).all()


@pytest.mark.oracle
def test_per_example_gradients_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch.func")
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(0), nn.Linear(48, 10)).to(
        ig.float64
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(0), torch.nn.Linear(48, 10)
    ).double()
    theirs.load_state_dict(
        {name: torch.tensor(value.numpy().copy()) for name, value in model.state_dict().items()}
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 1, 6, 6)), rng.integers(0, 10, 5)

    def ours(model: nn.Module, x: ig.Tensor, y: ig.Tensor) -> ig.Tensor:
        return nn.functional.cross_entropy(model(x), y)

    def of_theirs(parameters: Any, x: Any, y: Any) -> Any:
        out = torch.func.functional_call(theirs, parameters, (x,))
        return torch.nn.functional.cross_entropy(out, y)

    found = ig.vmap(ig.grad(ours), in_axes=(None, 0, 0))(model, ig.tensor(x), ig.tensor(y))
    wanted = torch.func.vmap(torch.func.grad(of_theirs), in_dims=(None, 0, 0))(
        {name: p.detach() for name, p in theirs.named_parameters()},
        torch.tensor(x),
        torch.tensor(y),
    )
    assert list(found) == list(wanted)
    for name, value in found.items():
        np.testing.assert_allclose(value.numpy(), wanted[name].numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.oracle
def test_per_example_gradients_and_hessians_of_jax() -> None:
    jax = pytest.importorskip("jax", reason="compares with jax.vmap")
    jnp = jax.numpy
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(3, 2)), rng.normal(size=(5, 3))

    def loss_of(m: Any) -> Callable[[Any, Any], Any]:
        return lambda w, x: (m.tanh(x @ w) ** 2).sum()

    with jax.enable_x64(True):
        theirs = loss_of(jnp)
        wanted = [
            np.asarray(jax.vmap(jax.grad(theirs), (None, 0))(w, x)),
            np.asarray(jax.vmap(jax.hessian(theirs, 1), (None, 0), 1)(w, x)),
        ]
    ours = loss_of(ig)
    found = [
        ig.vmap(ig.grad(ours), (None, 0))(ig.tensor(w), ig.tensor(x)),
        ig.vmap(ig.hessian(ours, 1), (None, 0), 1)(ig.tensor(w), ig.tensor(x)),
    ]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-10, atol=1e-12)
