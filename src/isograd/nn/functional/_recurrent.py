"""Runs of recurrent steps over a sequence: one loop, which compiles to one piece."""

from __future__ import annotations

from typing import Any

from isograd.core.config import modes
from isograd.core.dtypes import is_half
from isograd.ops import elementwise as m
from isograd.ops import fused
from isograd.ops.control import scan
from isograd.ops.convert import cast
from isograd.ops.linear import matmul
from isograd.ops.movement import matrix_transpose
from isograd.ops.recurrent import STEPS, recurrent, rnn_step
from isograd.runtime.tensor import Tensor

__all__ = ["Carry", "Weights", "rnn_step", "run"]

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
        A key of `isograd.ops.recurrent.SIZES`.
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
    # The input's share of all steps is one product, and has the biases where they may be added up.
    bias, bias_hh = weights.bias_ih, weights.bias_hh
    if kind != "GRU" and bias is not None and bias_hh is not None:
        bias, bias_hh = bias + bias_hh, None
    of_input = fused.linear(x, weights.ih, bias)
    hh, hr = matrix_transpose(weights.hh), weights.hr
    wide = not is_half(x.dtype) and {of_input.dtype} == {t.dtype for t in carry}
    # A compiled loop is one piece that is fused with what is around it.
    if modes.trace is None and wide and mask is None and hr is None:
        stacks = recurrent(kind, of_input, hh, carry, bias_hh, reverse=reverse)
        return stacks[0], tuple([stack[0 if reverse else -1] for stack in stacks])

    def following(carry: Carry, of_input: Tensor) -> Carry:
        of_hidden = matmul(carry[0], hh)
        if bias_hh is not None:
            of_hidden = of_hidden + bias_hh
        new = STEPS[kind](of_input, of_hidden, carry)
        if hr is not None:
            new = (matmul(new[0], matrix_transpose(hr)), *new[1:])
        # States keep their dtype where autocast narrows the products.
        return tuple([cast(a, b.dtype) for a, b in zip(new, carry, strict=True)])

    def step(carry: Carry, of_input: Tensor) -> tuple[Carry, Tensor]:
        new = following(carry, of_input)
        return new, new[0]

    def masked(carry: Carry, xs: tuple[Tensor, Tensor]) -> tuple[Carry, Tensor]:
        part, real = xs
        new = following(carry, part)
        kept = tuple([m.where(real, a, b) for a, b in zip(new, carry, strict=True)])
        return kept, m.where(real, new[0], 0)

    found: Any = (
        scan(step, carry, of_input, reverse=reverse)
        if mask is None
        else scan(masked, carry, (of_input, mask), reverse=reverse)
    )
    return found[1], found[0]
