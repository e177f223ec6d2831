"""Rows of the edge policy about structured layers: windows, norms, look-up, recurrence."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import isograd as ig
from isograd.testing.edge_claims import differs, first, raises, tensor
from isograd.testing.edge_spec import EdgeCase, EdgeRow

__all__ = ["LAYER_ROWS"]

Array = Any


def _functional(name: str, **options: Any) -> Callable[..., Any]:
    """Return a function of ``nn.functional`` for one sample of one channel."""

    def call(x: Any) -> Any:
        return getattr(ig.nn.functional, name)(ig.reshape(x, (1, 1, -1)), **options)[0, 0]

    return call


def bad_convolutions(dtype: str) -> str:
    """Check that numbers that do not fit are refused, naming the argument."""
    functional, nn = ig.nn.functional, ig.nn
    x, w = tensor(np.zeros((1, 3, 4)), dtype), tensor(np.zeros((2, 3, 2)), dtype)
    wide = tensor(np.zeros((2, 3, 5)), dtype)
    return first(
        raises(lambda: functional.conv1d(x, w, dilation=0), ValueError, "conv1d", "dilation"),
        raises(lambda: functional.conv1d(x, w, stride=0), ValueError, "conv1d", "stride"),
        raises(lambda: functional.conv1d(x, w, padding=-1), ValueError, "conv1d", "padding"),
        raises(lambda: functional.conv1d(x, wide), ValueError, "conv1d", "kernel"),
        raises(lambda: functional.conv1d(x, w, groups=2), ValueError, "conv1d", "groups"),
        raises(lambda: functional.conv1d(x, w, groups=3), ValueError, "conv1d", "groups"),
        raises(lambda: nn.Conv1d(3, 4, 2, groups=2), ValueError, "Conv1d", "groups"),
        raises(lambda: nn.Conv1d(4, 3, 2, groups=2), ValueError, "Conv1d", "groups"),
        raises(lambda: nn.Conv1d(3, 2, 2, dilation=0), ValueError, "Conv1d", "dilation"),
        raises(lambda: nn.Conv1d(3, 2, 5).to(dtype)(x), ValueError, "Conv1d", "kernel"),
    )


def adjoint(dtype: str) -> str:
    """Check ``<A x, y> == <x, A' y>`` of convolution and transposed convolution."""
    rng = np.random.default_rng(0)
    functional = ig.nn.functional
    rows: tuple[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
        ((7,), (3,), {"stride": 2, "padding": 1}),
        ((6, 5), (2, 3), {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2), "groups": 2}),
        ((4, 3, 4), (2, 2, 3), {"padding": 1}),
    )
    for size, kernel, options in rows:
        axes, groups = len(size), options.get("groups", 1)
        x = tensor(rng.normal(size=(2, 4, *size)), dtype)
        w = tensor(rng.normal(size=(6, 4 // groups, *kernel)), dtype)
        forward = getattr(functional, f"conv{axes}d")(x, w, **options)
        y = tensor(rng.normal(size=forward.shape), dtype)
        back = getattr(functional, f"conv_transpose{axes}d")(y, w, **options)
        # A stride may leave elements of x unseen: the adjoint has 0 there.
        seen = tuple(slice(0, n) for n in back.shape)
        left = float((forward * y).sum())
        right = float((x[seen] * back).sum())
        scale = float((ig.abs(forward) * ig.abs(y)).sum())
        if abs(left - right) > (1e-12 if dtype == "float64" else 1e-5) * scale:
            return f"{axes} axes: <Ax, y> is {left!r}, <x, A'y> {right!r}"
    return ""


def batch_norm_of_one_value(dtype: str) -> str:
    """Check that training on one value per channel changes nothing."""
    layer = ig.nn.BatchNorm1d(2).to(dtype)
    before = {key: value.tolist() for key, value in layer.state_dict().items()}
    wrong = raises(lambda: layer(tensor([[1.0, 2.0]], dtype)), ValueError, "BatchNorm1d", "(1, 2)")
    after = {key: value.tolist() for key, value in layer.state_dict().items()}
    return wrong or differs("state", after, before)


def running_statistics(dtype: str) -> str:
    """Check the running mean and the unbiased running variance after one batch."""
    layer: Any = ig.nn.BatchNorm1d(1, momentum=0.1).to(dtype)
    layer(tensor([[0.0], [2.0]], dtype))
    found = [float(layer.running_mean), float(layer.running_var), layer.num_batches_tracked.item()]
    close = np.allclose(found, [0.1, 1.1, 1], rtol=1e-6 if dtype == "float32" else 1e-14)
    return "" if close else f"running statistics {found} where [0.1, 1.1, 1] is right"


def padding_row(dtype: str) -> str:
    """Check that the padding row gets no gradient, and other rows their number."""
    table = tensor(np.ones((3, 2)), dtype, requires_grad=True)
    ids = ig.tensor([1, 2, 2, 1])
    ig.nn.functional.embedding(ids, table, padding_idx=1).sum().backward()
    assert table.grad is not None
    return differs("gradient", table.grad.tolist(), [[0.0, 0.0], [0.0, 0.0], [2.0, 2.0]])


def lengths(dtype: str) -> str:
    """Check that a padded batch equals runs without padding, and that lengths are checked."""
    rng = np.random.default_rng(0)
    layer: Any = ig.nn.LSTM(2, 3).to(dtype)
    values = rng.normal(size=(3, 2, 2))
    values[1:, 1] = np.nan
    x = tensor(values, dtype)
    out, (h, c) = layer(x, lengths=[3, 1])
    single, (h1, c1) = layer(tensor(values[:1, 1:], dtype))
    long, (h3, c3) = layer(tensor(values[:, :1], dtype))
    bound = 1e-12 if dtype == "float64" else 1e-6
    pairs = (
        ("outputs of the short one", out[:1, 1:], single),
        ("outputs of the long one", out[:, :1], long),
        ("states", h, ig.concat([h3, h1], axis=1)),
        ("cells", c, ig.concat([c3, c1], axis=1)),
    )
    for what, got, wanted in pairs:
        if not np.allclose(got.numpy(), wanted.numpy(), rtol=bound, atol=bound):
            return f"{what}: {got.tolist()} where {wanted.tolist()} is right"
    if np.any(out.numpy()[1:, 1] != 0):
        return f"outputs behind the end are {out[1:, 1].tolist()} where 0 is right"
    out.sum().backward()
    for name, p in layer.named_parameters():
        if not np.all(np.isfinite(p.grad.numpy())):
            return f"what stands behind the end reaches the gradient of {name}"
    pack = ig.nn.utils.rnn.pack_padded_sequence
    return first(
        raises(lambda: layer(x, lengths=[3, 0]), ValueError, "LSTM", "[3, 0]"),
        raises(lambda: layer(x, lengths=[4, 1]), ValueError, "LSTM", "[4, 1]"),
        raises(lambda: pack(x, [3, 0]), ValueError, "pack_padded_sequence", "[3, 0]"),
    )


def empty_batch_of_layers(dtype: str) -> str:
    """Check that a batch of 0 gives right shapes and zero parameter gradients."""
    nn = ig.nn
    for layer, shape, wanted in (
        (nn.Conv2d(3, 4, 3, padding=1), (0, 3, 5, 6), (0, 4, 5, 6)),
        (nn.ConvTranspose1d(3, 4, 2, stride=2), (0, 3, 5), (0, 4, 10)),
        (nn.LayerNorm(4), (0, 4), (0, 4)),
        (nn.GroupNorm(2, 4), (0, 4, 3), (0, 4, 3)),
        (nn.MaxPool2d(2), (0, 3, 4, 4), (0, 3, 2, 2)),
        (nn.AvgPool2d(2), (0, 3, 4, 4), (0, 3, 2, 2)),
        (nn.MultiheadAttention(4, 2), (3, 0, 4), (3, 0, 4)),
        (nn.LSTM(3, 2), (4, 0, 3), (4, 0, 2)),
    ):
        layer.to(dtype)
        name = type(layer).__name__
        x = tensor(np.zeros(shape), dtype)
        out = layer(x, x, x)[0] if name == "MultiheadAttention" else layer(x)
        out = out[0] if isinstance(out, tuple) else out
        if out.shape != wanted:
            return f"{name} returned shape {out.shape} where {wanted} is right"
        if not list(layer.parameters()):
            continue
        out.sum().backward()
        for key, p in layer.named_parameters():
            if p.grad is None or p.grad.shape != p.shape or np.any(p.grad.numpy() != 0):
                return f"{name}: the gradient of {key} is {p.grad} where zeros are right"
    return ""


def unseen_rows(dtype: str) -> str:
    """Check that a row of attention that sees nothing is 0, with gradient 0."""
    q, k, v = [tensor(np.ones((2, 2)), dtype, requires_grad=True) for _ in range(3)]
    mask = ig.tensor([[True, False], [False, False]])
    out = ig.nn.functional.scaled_dot_product_attention(q, k, v, mask)
    out.sum().backward()
    found = [t.grad.tolist() for t in (q, k, v)]
    zero = [[0.0, 0.0], [0.0, 0.0]]
    return first(
        differs("value", out.tolist(), [[1.0, 1.0], [0.0, 0.0]]),
        differs("gradients", found, [zero, zero, [[1.0, 1.0], [0.0, 0.0]]]),
    )


LAYER_ROWS: tuple[EdgeRow, ...] = (
    EdgeRow(
        "a batch of 0 through convolution, norms, pooling, attention and recurrence",
        "right shapes, zero parameter gradients",
        claims=(empty_batch_of_layers,),
    ),
    EdgeRow(
        "convolution with dilation 0, a kernel larger than the input, groups that do not divide",
        "ValueError that names the argument",
        claims=(bad_convolutions,),
    ),
    EdgeRow(
        "transposed convolution",
        "the adjoint of convolution: <Ax, y> = <x, A'y>",
        claims=(adjoint,),
    ),
    EdgeRow(
        "max_pool with kernel 2 and stride 2 on [1, 1, 2, 2]",
        "[1, 2], gradient [1, 0, 1, 0]",
        "P3",
        (
            EdgeCase(
                _functional("max_pool1d", kernel_size=2),
                ([1.0, 1.0, 2.0, 2.0],),
                [1.0, 2.0],
                ([1.0, 0.0, 1.0, 0.0],),
            ),
            EdgeCase(
                _functional("max_pool1d", kernel_size=2),
                ([np.nan, 1.0, -np.inf, -np.inf],),
                [np.nan, -np.inf],
                ([1.0, 0.0, 1.0, 0.0],),
            ),
            EdgeCase(
                _functional("adaptive_max_pool1d", output_size=2),
                ([1.0, 1.0, 2.0, 2.0],),
                [1.0, 2.0],
                ([1.0, 0.0, 1.0, 0.0],),
            ),
        ),
    ),
    EdgeRow(
        "avg_pool with kernel 3, stride 1, padding 1 on ones(3), count_include_pad true; false",
        "[2/3, 1, 2/3]; ones; gradient [2/3, 1, 2/3]; [5/6, 4/3, 5/6]",
        "",
        (
            EdgeCase(
                _functional("avg_pool1d", kernel_size=3, stride=1, padding=1),
                ([1.0, 1.0, 1.0],),
                [2 / 3, 1.0, 2 / 3],
                ([2 / 3, 1.0, 2 / 3],),
            ),
            EdgeCase(
                _functional(
                    "avg_pool1d", kernel_size=3, stride=1, padding=1, count_include_pad=False
                ),
                ([1.0, 1.0, 1.0],),
                [1.0, 1.0, 1.0],
                ([5 / 6, 4 / 3, 5 / 6],),
            ),
        ),
    ),
    EdgeRow(
        "BatchNorm in training with one value per channel",
        "ValueError before any state changes",
        claims=(batch_norm_of_one_value,),
    ),
    EdgeRow(
        "BatchNorm running statistics after [0, 2], momentum .1",
        "mean .1, variance 1.1 (unbiased)",
        claims=(running_statistics,),
    ),
    EdgeRow(
        "LayerNorm of a constant row",
        "0, gradient 0",
        "",
        (
            EdgeCase(
                lambda x: ig.nn.functional.layer_norm(x, 3),
                ([[2.0, 2.0, 2.0]],),
                [[0.0, 0.0, 0.0]],
                ([[0.0, 0.0, 0.0]],),
                rows=True,
            ),
        ),
    ),
    EdgeRow(
        "embedding with padding_idx=1, ids [1, 2, 2, 1]",
        "gradient of row 1 exactly 0, of row 2 equal to 2",
        claims=(padding_row,),
    ),
    EdgeRow(
        "attention: a row that sees nothing",
        "0, gradient 0",
        claims=(unseen_rows,),
    ),
    EdgeRow(
        "LSTM with lengths [3, 1] and garbage behind the end; length 0",
        "equals the unpadded run, exact 0 behind the end; ValueError",
        claims=(lengths,),
    ),
)
"""Rows in the order of the policy."""
