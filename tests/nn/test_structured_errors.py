"""What structured layers refuse, and that nothing changes then."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn
from isograd.nn import functional as F
from isograd.nn.utils import rnn

z = ig.zeros

# (what must fail, words of the message)
ERRORS: list[tuple[Callable[[], Any], tuple[str, ...]]] = [
    (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ("Conv2d", "kernel_size")),
    (lambda: nn.Conv2d(3, 4, 3, stride=0), ("Conv2d", "stride")),
    (lambda: nn.Conv2d(3, 4, 3, 2, "same"), ("Conv2d", "same", "stride")),
    (lambda: nn.Conv2d(3, 4, 3, padding="all"), ("Conv2d", "'all'", "valid")),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ("Conv2d", "mirror", "reflect")),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), ("ConvTranspose2d", "zeros")),
    (lambda: nn.Conv2d(3, 4, 3)(z((2, 5, 8, 8))), ("Conv2d", "(2, 5, 8, 8)", "3 channels")),
    (lambda: nn.Conv2d(3, 4, 3)(z((3, 8))), ("Conv2d", "(3, 8)", "(N, C, *size)")),
    (lambda: nn.Conv1d(1, 1, 3, padding=4, padding_mode="reflect")(z((1, 3))), ("reflect", "2")),
    (lambda: F.conv1d(z((1, 2, 5)), z((3, 2))), ("conv1d", "(3, 2)")),
    (lambda: F.conv1d(z((1, 2, 5)), z((3, 2, 2)), z((3, 1))), ("conv1d", "bias")),
    (
        lambda: nn.ConvTranspose1d(1, 1, 2, stride=2)(z((1, 3)), output_size=(9,)),
        ("ConvTranspose1d", "(9,)", "[6]"),
    ),
    (lambda: F.conv_transpose1d(z((1, 1, 2)), z((1, 1, 2)), padding=2), ("padding",)),
    (lambda: F.max_pool2d(z((1, 4, 4)), 2, padding=2), ("max_pool2d", "padding", "half")),
    (lambda: F.max_pool2d(z((1, 4, 4)), 5), ("max_pool2d", "kernel", "(4, 4)")),
    (lambda: F.avg_pool2d(z((1, 4, 4)), 2, divisor_override=0), ("divisor_override",)),
    (lambda: F.adaptive_avg_pool1d(z((1, 4)), -1), ("adaptive_avg_pool1d", "output_size")),
    (lambda: F.adaptive_avg_pool1d(z((1, 0)), 2), ("adaptive_avg_pool1d", "(0,)")),
    (lambda: F.max_unpool1d(z((1, 1, 2)), ig.tensor([[[0]]]), 2), ("max_unpool1d", "(1, 1, 1)")),
    (
        lambda: F.max_unpool1d(z((1, 1, 2)), ig.tensor([[[0, 2]]]), 2, output_size=(8,)),
        ("max_unpool1d", "output_size"),
    ),
    (lambda: nn.BatchNorm2d(3)(z((2, 3))), ("BatchNorm2d", "(2, 3)", "4 axes")),
    (lambda: nn.BatchNorm1d(3)(z((2, 4))), ("BatchNorm1d", "4 channels", "num_features=3")),
    (lambda: F.batch_norm(z((2, 3)), None, None), ("batch_norm", "running_mean")),
    (lambda: nn.InstanceNorm1d(3)(z((2, 3, 1))), ("InstanceNorm1d", "(2, 3, 1)")),
    (lambda: nn.LayerNorm((2, 3))(z((3, 2))), ("layer_norm", "(3, 2)", "(2, 3)")),
    (lambda: nn.GroupNorm(3, 4), ("GroupNorm", "num_groups=3", "num_channels=4")),
    (lambda: F.local_response_norm(z((2, 3)), 1), ("local_response_norm", "(2, 3)")),
    (lambda: nn.Embedding(3, 2, padding_idx=3), ("Embedding", "padding_idx=3")),
    (lambda: nn.Embedding(3, 2)(z((2,))), ("embedding", "float32", "integers")),
    (lambda: nn.Embedding(3, 2)(ig.tensor([0, 5])), ("5", "size 3")),
    (lambda: nn.EmbeddingBag(3, 2)(ig.tensor([0, 1])), ("embedding_bag", "offsets")),
    (lambda: nn.EmbeddingBag(3, 2, mode="last")(z((1, 1), dtype=ig.int64)), ("mode", "'last'")),
    (
        lambda: nn.EmbeddingBag(3, 2)(ig.tensor([0, 1]), ig.tensor([1])),
        ("embedding_bag", "offsets [1]"),
    ),
    (
        lambda: F.scaled_dot_product_attention(z((2, 3)), z((2, 4)), z((2, 4))),
        ("attention", "(2, 3)", "(2, 4)"),
    ),
    (
        lambda: F.scaled_dot_product_attention(
            z((2, 3)), z((2, 3)), z((2, 3)), z((2, 2)), is_causal=True
        ),
        ("attn_mask", "is_causal"),
    ),
    (lambda: nn.MultiheadAttention(6, 4), ("MultiheadAttention", "num_heads=4", "embed_dim=6")),
    (
        lambda: nn.MultiheadAttention(4, 2)(z((3, 2, 4)), z((3, 1, 4)), z((3, 1, 4))),
        ("MultiheadAttention", "(3, 1, 4)"),
    ),
    (
        lambda: nn.MultiheadAttention(4, 2)(*[z((3, 2, 4))] * 3, key_padding_mask=z((3, 2))),
        ("key_padding_mask", "(3, 2)", "(2, 3)"),
    ),
    (lambda: nn.TransformerEncoderLayer(4, 2, activation="elu"), ("'elu'", "gelu")),
    (lambda: nn.Transformer(4, 2, 1, 1)(z((3, 2, 4)), z((3, 2, 5))), ("Transformer", "d_model=4")),
    (lambda: nn.LSTM(3, 4)(z((5, 2, 2))), ("LSTM", "(5, 2, 2)")),
    (lambda: nn.LSTM(3, 4)(z((0, 2, 3))), ("LSTM", "no steps")),
    (lambda: nn.LSTM(3, 4)(z((5, 2, 3)), (z((1, 2, 3)),) * 2), ("LSTM", "(1, 2, 3)", "(1, 2, 4)")),
    (lambda: nn.LSTM(3, 4, proj_size=4), ("LSTM", "proj_size=4")),
    (lambda: nn.LSTM(3, 4)(z((5, 2, 3)), lengths=[5]), ("LSTM", "lengths", "(1,)")),
    (lambda: nn.RNN(3, 4, nonlinearity="sin"), ("RNN", "'sin'", "relu")),
    (lambda: nn.GRUCell(3, 4)(z((2, 3)), z((2, 3))), ("GRUCell", "(2, 4)")),
    (lambda: rnn.pack_padded_sequence(z((3, 2)), [1, 2]), ("increase", "enforce_sorted")),
    (lambda: rnn.pad_sequence([]), ("pad_sequence", "0 sequences")),
    (lambda: nn.Dropout2d(-0.1), ("Dropout2d", "-0.1")),
    (lambda: nn.Dropout1d()(z((3,))), ("dropout1d", "(3,)")),
    (lambda: F.fold(z((1, 8, 3)), (2, 2), 2), ("fold", "(1, 8, 3)", "1 windows")),
    (lambda: nn.Bilinear(2, 3, 4)(z((5, 2)), z((5, 2))), ("bilinear", "(5, 2)", "(4, 2, 3)")),
]


@pytest.mark.parametrize(("call", "words"), ERRORS, ids=[" ".join(words) for _, words in ERRORS])
def test_an_error_says_what_where_and_what_to_do(
    call: Callable[[], Any], words: tuple[str, ...]
) -> None:
    with pytest.raises((ValueError, TypeError, IndexError)) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert isinstance(caught.value, ValueError | ig.IsogradError | IndexError)


def test_an_index_that_is_no_row_leaves_a_table_with_max_norm_alone(backend: str) -> None:
    layer = nn.Embedding(3, 2, max_norm=0.1)
    before = layer.weight.numpy().copy()
    with pytest.raises(IndexError, match="size 3"):
        layer(ig.tensor([0, 5]))
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_attention_keeps_no_scores(backend: str) -> None:
    """All scores would take 64 MB; there are those of a block, 4 MB, and what is made of them."""
    values = np.random.default_rng(0).normal(size=(4096, 4)).astype("f4")
    q = ig.tensor(values, requires_grad=True)
    tracemalloc.start()
    F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6


def test_running_statistics_given_to_the_function_are_moved(backend: str) -> None:
    mean, var = ig.zeros(1), ig.ones(1)
    F.batch_norm(ig.tensor([[0.0], [2.0]]), mean, var, training=True, momentum=0.5)
    assert (mean.tolist(), var.tolist()) == ([0.5], [1.5])
