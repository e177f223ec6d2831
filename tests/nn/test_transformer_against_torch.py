"""Attention and transformer layers against torch: state, outputs, all gradients, masks."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:Support for mismatched"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]

LEFT = np.tri(4, dtype=bool)


def close(ours: Any, theirs: Any) -> None:
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9, atol=1e-10)


def pair(name: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    theirs = getattr(torch.nn, name)(*args, **kwargs).to(torch.float64)
    ours = getattr(nn, name)(*args, **kwargs).to("float64")
    for p in theirs.parameters():
        torch.nn.init.uniform_(p, -0.7, 0.7)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs


def compare(ours: Any, theirs: Any, arrays: list[Any], rng: np.random.Generator, masks: Any) -> Any:
    """Compare outputs and gradients; equal arrays are one tensor."""
    xs: dict[int, Any] = {id(a): ig.tensor(a, requires_grad=True) for a in arrays}
    xs_torch: dict[int, Any] = {id(a): torch.tensor(a, requires_grad=True) for a in arrays}
    tensors = {key: ig.tensor(m) if isinstance(m, np.ndarray) else m for key, m in masks.items()}
    torches = {key: torch.tensor(m) if isinstance(m, np.ndarray) else m for key, m in masks.items()}
    made = ours(*[xs[id(a)] for a in arrays], **tensors)
    made_torch = theirs(*[xs_torch[id(a)] for a in arrays], **torches)
    if isinstance(made, tuple):
        assert (made[1] is None) == (made_torch[1] is None)
        if made[1] is not None:
            close(made[1], made_torch[1])
        made, made_torch = made[0], made_torch[0]
    close(made, made_torch)
    seed = rng.normal(size=made.shape)
    (made * ig.tensor(seed)).sum().backward()
    (made_torch * torch.tensor(seed)).sum().backward()
    for a in arrays:
        close(xs[id(a)].grad, xs_torch[id(a)].grad)
    for (key, p), (key_torch, p_torch) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert key == key_torch
        close(p.grad, p_torch.grad)


# (arguments, query, key, value; None for the query itself; how it is called)
ATTENTIONS: list[tuple[dict[str, Any], Any, Any, Any, dict[str, Any]]] = [
    ({}, (4, 2, 6), None, None, {}),
    ({"batch_first": True}, (2, 4, 6), None, None, {"average_attn_weights": False}),
    ({"bias": False}, (4, 2, 6), (5, 2, 6), (5, 2, 6), {"need_weights": False}),
    ({"kdim": 3, "vdim": 5}, (4, 2, 6), (3, 2, 3), (3, 2, 5), {}),
    ({}, (4, 6), None, None, {"attn_mask": ~LEFT}),
    ({}, (4, 2, 6), None, None, {"attn_mask": ~LEFT, "is_causal": True, "need_weights": False}),
    (
        {"batch_first": True},
        (2, 4, 6),
        None,
        None,
        {"key_padding_mask": np.array([[False] * 4, [False, True, True, False]])},
    ),
    (
        {"add_bias_kv": True, "add_zero_attn": True},
        (4, 2, 6),
        None,
        None,
        {"key_padding_mask": np.array([[False] * 4, [False, True, True, False]])},
    ),
    ({"add_zero_attn": True}, (4, 2, 6), None, None, {"attn_mask": np.where(LEFT, 0.3, -np.inf)}),
    ({}, (4, 2, 6), None, None, {"attn_mask": np.broadcast_to(~LEFT, (4, 4, 4)).copy()}),
]


@pytest.mark.parametrize(("options", "query", "key", "value", "call"), ATTENTIONS)
def test_attention(
    backend: str,
    rng: np.random.Generator,
    options: dict[str, Any],
    query: Any,
    key: Any,
    value: Any,
    call: dict[str, Any],
) -> None:
    ours, theirs = pair("MultiheadAttention", 6, 2, **options)
    q = rng.normal(size=query)
    arrays = [q, q if key is None else rng.normal(size=key)]
    arrays.append(q if value is None else rng.normal(size=value))
    compare(ours, theirs, arrays, rng, call)


LAYER_OPTIONS: list[dict[str, Any]] = [
    {},
    {"norm_first": True, "activation": "gelu", "batch_first": True},
    {"bias": False, "layer_norm_eps": 0.1},
]


@pytest.mark.parametrize("options", LAYER_OPTIONS, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_encoder_layer(
    backend: str, rng: np.random.Generator, options: dict[str, Any], masked: bool
) -> None:
    ours, theirs = pair("TransformerEncoderLayer", 6, 2, 5, 0.0, **options)
    shape = (2, 4, 6) if options.get("batch_first") else (4, 2, 6)
    masks: dict[str, Any] = {}
    if masked:
        padding = np.array([[False] * 4, [False, False, True, True]])
        masks = {"src_mask": ~LEFT, "src_key_padding_mask": padding, "is_causal": True}
    compare(ours, theirs, [rng.normal(size=shape)], rng, masks)


@pytest.mark.parametrize("options", LAYER_OPTIONS, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_decoder_layer(
    backend: str, rng: np.random.Generator, options: dict[str, Any], masked: bool
) -> None:
    ours, theirs = pair("TransformerDecoderLayer", 6, 2, 5, 0.0, **options)
    swap = (1, 0, 2) if options.get("batch_first") else (0, 1, 2)
    arrays = [
        np.ascontiguousarray(rng.normal(size=shape).transpose(swap))
        for shape in ((4, 2, 6), (3, 2, 6))
    ]
    masks: dict[str, Any] = {}
    if masked:
        padding = np.array([[False] * 3, [False, False, True]])
        masks = {"tgt_mask": ~LEFT, "memory_key_padding_mask": padding}
    compare(ours, theirs, arrays, rng, masks)


def test_stacks(backend: str, rng: np.random.Generator) -> None:
    def build(lib: Any) -> Any:
        layer = lib.TransformerEncoderLayer(6, 2, 5, 0.0, batch_first=True)
        return lib.TransformerEncoder(layer, 2, lib.LayerNorm(6), enable_nested_tensor=False)

    ours, theirs = build(nn).to("float64"), build(torch.nn).to(torch.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    compare(ours, theirs, [rng.normal(size=(2, 4, 6))], rng, {"mask": ~LEFT})


def test_the_whole_model(backend: str, rng: np.random.Generator) -> None:
    ours, theirs = pair("Transformer", 6, 2, 1, 2, 5, 0.0)
    arrays = [rng.normal(size=(3, 2, 6)), rng.normal(size=(4, 2, 6))]
    compare(ours, theirs, arrays, rng, {"tgt_mask": ~LEFT})
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    np.testing.assert_array_equal(
        mask.numpy(), torch.nn.Transformer.generate_square_subsequent_mask(3).numpy()
    )


@pytest.mark.parametrize(
    "name",
    [
        "MultiheadAttention",
        "TransformerEncoderLayer",
        "TransformerDecoderLayer",
        "TransformerEncoder",
        "TransformerDecoder",
        "Transformer",
    ],
)
def test_arguments_are_those_of_torch(name: str) -> None:
    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    for a, b in ((ours, theirs), (ours.forward, theirs.forward)):
        found, wanted = inspect.signature(a).parameters, inspect.signature(b).parameters
        assert list(found) == list(wanted)
        for key, parameter in found.items():
            if key != "activation":
                assert parameter.default == wanted[key].default, key


def test_weights_start_as_in_torch() -> None:
    ours = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    theirs = torch.nn.MultiheadAttention(64, 4, add_bias_kv=True)
    for key, value in ours.state_dict().items():
        wanted = theirs.state_dict()[key].numpy()
        assert value.numpy().std() == pytest.approx(wanted.std(), rel=0.4), key
