"""Normalised weights and parameters as a vector, also against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.nn import utils


@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_weight_norm_keeps_the_weight(dim: int | None, backend: str) -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.numpy()
    assert utils.weight_norm(layer, dim=dim) is layer
    assert list(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    np.testing.assert_allclose(layer.weight.numpy(), before, rtol=1e-6)
    layer(ig.ones((1, 3))).sum().backward()
    assert layer.weight_g.grad is not None
    utils.remove_weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(layer.weight.numpy(), before, rtol=1e-6)


def test_spectral_norm_finds_the_largest_singular_value(backend: str) -> None:
    layer = utils.spectral_norm(nn.Linear(5, 4), n_power_iterations=50)
    layer(ig.ones((1, 5)))
    assert np.linalg.norm(layer.weight.numpy(), 2) == pytest.approx(1.0, rel=1e-4)
    u = layer.weight_u.tolist()
    layer.eval()(ig.ones((1, 5)))
    assert layer.weight_u.tolist() == u
    weight = layer.weight.tolist()
    utils.remove_spectral_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert layer.weight.tolist() == weight
    assert not layer._hooks["forward_pre"]
    assert not list(layer.buffers())


@pytest.mark.parametrize("norm", [utils.weight_norm, utils.spectral_norm])
def test_normalised_layers_train_compiled_as_eager(norm: Any) -> None:
    losses: list[list[float]] = []
    for compiled in (False, True):
        ig.manual_seed(3)
        layer = norm(nn.Linear(3, 2))
        optimizer = ig.optim.SGD(layer.parameters(), lr=0.1)

        def step(x: ig.Tensor, layer: Any = layer, optimizer: Any = optimizer) -> ig.Tensor:
            loss = (layer(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        run = ig.compile(lambda x, s=step: s(x), state=(layer, optimizer)) if compiled else step
        losses.append([run(ig.ones((4, 3))).item() for _ in range(4)])
        assert isinstance(layer.weight.numpy(), np.ndarray)
    # Two orders of summation differ by roundings of the first loss, a hundred times the last one.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6, atol=1e-7)


def test_wrong_uses() -> None:
    layer = utils.weight_norm(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="spectral_norm: 'weight' of Linear is normalised already"):
        utils.spectral_norm(layer)
    with pytest.raises(ValueError, match="weight_norm: Linear has no parameter 'gain'"):
        utils.weight_norm(layer, "gain")
    with pytest.raises(ValueError, match="remove_spectral_norm: 'weight' of Linear is not"):
        utils.remove_spectral_norm(layer)
    with pytest.raises(ValueError, match="n_power_iterations=0 is not positive"):
        utils.spectral_norm(nn.Linear(3, 2), n_power_iterations=0)
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'gain'"):
        _ = layer.gain


def test_vectors() -> None:
    layer = nn.Linear(3, 2)
    vector = utils.parameters_to_vector(layer.parameters())
    utils.vector_to_parameters(vector * 2, layer.parameters())
    assert utils.parameters_to_vector(layer.parameters()).tolist() == (vector * 2).tolist()
    with pytest.raises(ig.ShapeError, match=r"the parameters hold 8 elements; .* shape \(8,\)"):
        utils.vector_to_parameters(vector[1:], layer.parameters())


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("dim", [0, 1, None])
def test_norms_match_torch(kind: str, dim: int | None) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    theirs = getattr(torch.nn.utils, kind)(torch.nn.Linear(4, 3).double(), dim=dim)
    ours = getattr(utils, kind)(nn.Linear(4, 3).double(), dim=dim)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({name: t.numpy().copy() for name, t in theirs.state_dict().items()})
    x = np.random.default_rng(1).normal(size=(5, 4))
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        out = ours(ig.tensor(x))
        want = theirs(torch.tensor(x))
        np.testing.assert_allclose(out.detach().numpy(), want.detach().numpy(), rtol=1e-12)
        (out * out).sum().backward()
        (want * want).sum().backward()
    for name, param in theirs.named_parameters():
        np.testing.assert_allclose(
            ours.get_parameter(name).grad.numpy(), param.grad.numpy(), rtol=1e-10, atol=1e-12
        )
    for name, buffer in theirs.named_buffers():
        np.testing.assert_allclose(ours.get_buffer(name).numpy(), buffer.numpy(), rtol=1e-12)
