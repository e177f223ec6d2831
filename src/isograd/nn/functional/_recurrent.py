"""Recurrent steps, and runs of them over a sequence: one loop, which compiles to one piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops.control import scan
from isograd.ops.convert import cast
from isograd.ops.linear import matmul
from isograd.ops.movement import matrix_transpose
from isograd.runtime.tensor import Tensor

__all__ = ["STEPS", "Carry", "Weights", "rnn_step", "run"]

Carry = tuple[Tensor, ...]
"""The hidden state, and for LSTM the cell state after it."""


class Weights:
    """The weights of one layer in one direction: biases and the projection may be absent."""

    def __init__(
        self,
        ih: Tensor,
        hh: Tensor,
        bias_ih: Tensor | None,
        bias_hh: Tensor | None,
        hr: Tensor | None = None,
    ) -> None:
        self.ih = ih
        self.hh = hh
        self.bias_ih = bias_ih
        self.bias_hh = bias_hh
        self.hr = hr


def rnn_step(total: Tensor, nonlinearity: str) -> Tensor:
    """Return the next hidden state."""
    return fused.relu(total) if nonlinearity == "relu" else m.tanh(total)


Step = Callable[[Tensor, Carry, Tensor, Weights], Carry]


def _lstm(of_input: Tensor, carry: Carry, hh: Tensor, weights: Weights) -> Carry:
    hidden, cell = fused.lstm_cell(of_input + matmul(carry[0], hh), carry[1])
    if weights.hr is not None:
        hidden = matmul(hidden, matrix_transpose(weights.hr))
    return hidden, cell


def _gru(of_input: Tensor, carry: Carry, hh: Tensor, weights: Weights) -> Carry:
    of_hidden = matmul(carry[0], hh)
    if weights.bias_hh is not None:
        of_hidden = of_hidden + weights.bias_hh
    return (fused.gru_cell(of_input, of_hidden, carry[0]),)


def _rnn(nonlinearity: str) -> Step:
    def step(of_input: Tensor, carry: Carry, hh: Tensor, weights: Weights) -> Carry:
        return (rnn_step(of_input + matmul(carry[0], hh), nonlinearity),)

    return step


STEPS: dict[str, Step] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN_TANH": _rnn("tanh"),
    "RNN_RELU": _rnn("relu"),
}
"""How each kind goes on, given what the input contributes and the transposed hidden weight."""


def run(
    kind: str,
    x: Tensor,
    carry: Carry,
    weights: Weights,
    *,
    reverse: bool = False,
    mask: Tensor | None = None,
) -> tuple[Tensor, Carry]:
    """Run one layer in one direction.

    Parameters
    ----------
    kind
        A key of `STEPS`.
    x
        Shape ``(T, N, inputs)``.
    carry
        The first states, each ``(N, width)``.
    weights
        The layer's weights.
    reverse
        Whether to begin at the end.
    mask
        Shape ``(T, N, 1)``, bool: where it is False the state stays, and the output is 0.

    Returns
    -------
    outputs, carry
        Shape ``(T, N, width)``, and the last states.
    """
    # The input's share of all steps is one product.
    bias = weights.bias_ih
    if kind != "GRU" and bias is not None and weights.bias_hh is not None:
        bias = bias + weights.bias_hh
    of_input = fused.linear(x, weights.ih, bias)
    step, hh = STEPS[kind], matrix_transpose(weights.hh)

    def following(carry: Carry, of_input: Tensor) -> Carry:
        # States keep their dtype where autocast narrows the products.
        new = step(of_input, carry, hh, weights)
        return tuple([cast(a, b.dtype) for a, b in zip(new, carry, strict=True)])

    def plain(carry: Carry, of_input: Tensor) -> tuple[Carry, Tensor]:
        new = following(carry, of_input)
        return new, new[0]

    def masked(carry: Carry, xs: tuple[Tensor, Tensor]) -> tuple[Carry, Tensor]:
        part, real = xs
        new = following(carry, part)
        kept = tuple([m.where(real, a, b) for a, b in zip(new, carry, strict=True)])
        return kept, m.where(real, new[0], 0)

    found: Any = (
        scan(plain, carry, of_input, reverse=reverse)
        if mask is None
        else scan(masked, carry, (of_input, mask), reverse=reverse)
    )
    return found[1], found[0]
