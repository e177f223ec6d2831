"""Recurrent layers against torch: state, outputs, all gradients; and what lengths do."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.nn.utils import rnn

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

pytestmark = pytest.mark.oracle

Row = tuple[str, dict[str, Any], tuple[int, ...]]

LAYERS: list[Row] = [
    ("LSTM", {}, (5, 2, 3)),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}, (2, 4, 3)),
    ("LSTM", {"proj_size": 2, "num_layers": 2, "bias": False}, (4, 2, 3)),
    ("LSTM", {"proj_size": 1, "bidirectional": True}, (4, 3)),
    ("GRU", {}, (5, 2, 3)),
    ("GRU", {"num_layers": 2, "bidirectional": True, "bias": False}, (4, 2, 3)),
    ("GRU", {"batch_first": True}, (4, 3)),
    ("RNN", {}, (5, 2, 3)),
    ("RNN", {"nonlinearity": "relu", "num_layers": 3, "batch_first": True}, (2, 4, 3)),
    ("RNN", {"bidirectional": True, "dropout": 0.5, "num_layers": 2}, (4, 1, 3)),
]
IDS = [f"{name}-{kwargs}-{shape}" for name, kwargs, shape in LAYERS]


def pair(name: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    theirs = getattr(torch.nn, name)(*args, **kwargs).to(torch.float64)
    ours = getattr(nn, name)(*args, **kwargs).to("float64")
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    return ours, theirs


def close(ours: Any, theirs: Any) -> None:
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-10, atol=1e-12)


def leaves(made: Any) -> list[Any]:
    return [t for part in made for t in leaves(part)] if isinstance(made, tuple) else [made]


def compare(made: Any, made_torch: Any, rng: np.random.Generator) -> None:
    """Compare all outputs, and go back from all of them."""
    total: Any = 0.0
    total_torch: Any = 0.0
    for a, b in zip(leaves(made), leaves(made_torch), strict=True):
        close(a, b)
        seed = rng.normal(size=a.shape)
        total = total + (a * ig.tensor(seed)).sum()
        total_torch = total_torch + (b * torch.tensor(seed)).sum()
    total.backward()
    total_torch.backward()


def inputs(*arrays: Any) -> tuple[list[Any], list[Any]]:
    return (
        [ig.tensor(a, requires_grad=True) for a in arrays],
        [torch.tensor(a, requires_grad=True) for a in arrays],
    )


def compare_gradients(ours: Any, theirs: Any, xs: list[Any], xs_torch: list[Any]) -> None:
    for a, b in zip(xs, xs_torch, strict=True):
        close(a.grad, b.grad)
    for (key, a), (key_torch, b) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert key == key_torch
        close(a.grad, b.grad)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(("name", "kwargs", "shape"), LAYERS, ids=IDS)
def test_layer(
    backend: str,
    rng: np.random.Generator,
    name: str,
    kwargs: dict[str, Any],
    shape: tuple[int, ...],
    given: bool,
) -> None:
    ours, theirs = pair(name, 3, 4, **kwargs)
    ours.eval(), theirs.eval()
    count = kwargs.get("num_layers", 1) * (1 + kwargs.get("bidirectional", False))
    batch = () if len(shape) == 2 else (shape[0 if kwargs.get("batch_first") else 1],)
    arrays = [rng.normal(size=shape)]
    if given:
        arrays.append(rng.normal(size=(count, *batch, kwargs.get("proj_size") or 4)))
        if name == "LSTM":
            arrays.append(rng.normal(size=(count, *batch, 4)))
    xs, xs_torch = inputs(*arrays)

    def call(layer: Any, given: list[Any]) -> Any:
        x, *states = given
        return layer(x, tuple(states) if len(states) > 1 else states[0]) if states else layer(x)

    compare(call(ours, xs), call(theirs, xs_torch), rng)
    compare_gradients(ours, theirs, xs, xs_torch)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_packed_sequences(
    backend: str, rng: np.random.Generator, name: str, enforce_sorted: bool
) -> None:
    ours, theirs = pair(name, 3, 4, num_layers=2, bidirectional=True)
    lengths = [4, 2, 1] if enforce_sorted else [2, 4, 1]
    xs, xs_torch = inputs(rng.normal(size=(5, 3, 3)))
    packed = rnn.pack_padded_sequence(xs[0], lengths, enforce_sorted=enforce_sorted)
    torch_rnn = torch.nn.utils.rnn
    packed_torch = torch_rnn.pack_padded_sequence(
        xs_torch[0], torch.tensor(lengths), enforce_sorted=enforce_sorted
    )
    for part, part_torch in zip(packed, packed_torch, strict=True):
        if part is not None:
            close(part, part_torch)
    out, states = ours(packed)
    out_torch, states_torch = theirs(packed_torch)
    padded, found = rnn.pad_packed_sequence(out, padding_value=-1.0, total_length=6)
    padded_torch, found_torch = torch_rnn.pad_packed_sequence(
        out_torch, padding_value=-1.0, total_length=6
    )
    close(found, found_torch)
    compare((padded, states), (padded_torch, states_torch), rng)
    compare_gradients(ours, theirs, xs, xs_torch)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_lengths_are_packed_sequences(backend: str, rng: np.random.Generator, name: str) -> None:
    layer = getattr(nn, name)(3, 4, bidirectional=True).to("float64")
    values = rng.normal(size=(5, 3, 3))
    values[2:, 0] = np.nan  # behind the end of the first sequence
    x = ig.tensor(values)
    out, states = layer(x, lengths=[2, 5, 3])
    packed, packed_states = layer(rnn.pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False))
    padded, _ = rnn.pad_packed_sequence(packed)
    for a, b in zip(leaves((out, states)), leaves((padded, packed_states)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert (out.numpy()[2:, 0] == 0).all()
    out.sum().backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in layer.parameters())


@pytest.mark.parametrize("shape", [(2, 3), (3,)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
def test_cell(
    backend: str, rng: np.random.Generator, name: str, bias: bool, shape: tuple[int, ...]
) -> None:
    more = {"nonlinearity": "relu"} if name == "RNNCell" and bias else {}
    ours, theirs = pair(name, 3, 4, bias=bias, **more)
    for count in (1, 2):
        arrays = [rng.normal(size=shape)]
        if count == 2:
            arrays += [rng.normal(size=(*shape[:-1], 4))] * (1 + (name == "LSTMCell"))
        xs, xs_torch = inputs(*arrays)

        def call(cell: Any, given: list[Any]) -> Any:
            x, *states = given
            return cell(x, tuple(states) if len(states) > 1 else states[0]) if states else cell(x)

        compare(call(ours, xs), call(theirs, xs_torch), rng)
        compare_gradients(ours, theirs, xs, xs_torch)


ORDERS = {
    "LSTM": "input_size hidden_size num_layers bias batch_first dropout bidirectional proj_size",
    "GRU": "input_size hidden_size num_layers bias batch_first dropout bidirectional",
    "RNN": "input_size hidden_size num_layers nonlinearity bias batch_first dropout bidirectional",
}


@pytest.mark.parametrize("name", ORDERS)
def test_arguments_are_those_of_torch(name: str) -> None:
    # torch takes *args here, and documents these.
    found = list(inspect.signature(getattr(nn, name)).parameters)
    assert found == [*ORDERS[name].split(), "device", "dtype"]


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
def test_arguments_of_cells_are_those_of_torch(name: str) -> None:
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    assert list(ours) == list(theirs)


def test_sequences_are_padded_as_in_torch(rng: np.random.Generator) -> None:
    arrays = [rng.normal(size=(n, 2)) for n in (3, 1, 2)]
    for options in ({}, {"batch_first": True, "padding_value": 5.0}, {"padding_side": "left"}):
        close(
            rnn.pad_sequence([ig.tensor(a) for a in arrays], **options),
            torch.nn.utils.rnn.pad_sequence([torch.tensor(a) for a in arrays], **options),
        )
    packed = rnn.pack_sequence([ig.tensor(a) for a in arrays], enforce_sorted=False)
    packed_torch = torch.nn.utils.rnn.pack_sequence(
        [torch.tensor(a) for a in arrays], enforce_sorted=False
    )
    for part, part_torch in zip(packed, packed_torch, strict=True):
        close(part, part_torch)
    for found, wanted in zip(rnn.unpack_sequence(packed), arrays, strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted)
