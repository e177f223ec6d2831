"""Recurrent steps, and the primitive that runs them over a sequence: LSTM, GRU and plain networks.

It is a loop with one product in a step. Operation by operation, and back through the tape, most of
the time would go into applying some fifty operations to small arrays at each step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

from isograd.core import dtypes
from isograd.core.errors import DTypeError, ShapeError
from isograd.ir import Aval
from isograd.ops import elementwise as m
from isograd.ops import fused, infer
from isograd.ops import primitives as p
from isograd.ops.control import scan
from isograd.ops.creation import zeros_like
from isograd.ops.fused.common import fused as made
from isograd.ops.linear import matmul
from isograd.ops.movement import concat, expand_dims, matrix_transpose, reshape
from isograd.ops.reductions import sum as sum_
from isograd.runtime.bind import bind
from isograd.runtime.rules import Joint
from isograd.runtime.tensor import Tensor

__all__ = ["SIZES", "STEPS", "recurrent", "rnn_step"]

States = Sequence[Tensor]
"""The hidden state, and for LSTM the cell state after it."""

SIZES: Final = {"LSTM": (4, 2), "GRU": (3, 1), "RNN_TANH": (1, 1), "RNN_RELU": (1, 1)}
"""Of each kind, how many gates it has, and how many states."""


def rnn_step(total: Tensor, nonlinearity: str) -> Tensor:
    """Return the next hidden state."""
    return fused.relu(total) if nonlinearity == "relu" else m.tanh(total)


STEPS: Final[dict[str, Callable[[Tensor, Tensor, States], tuple[Tensor, ...]]]] = {
    "LSTM": lambda of_input, of_hidden, states: fused.lstm_cell(of_input + of_hidden, states[1]),
    "GRU": lambda of_input, of_hidden, states: (fused.gru_cell(of_input, of_hidden, states[0]),),
    "RNN_TANH": lambda of_input, of_hidden, states: (rnn_step(of_input + of_hidden, "tanh"),),
    "RNN_RELU": lambda of_input, of_hidden, states: (rnn_step(of_input + of_hidden, "relu"),),
}
"""How each kind goes on, given what the input and the hidden state contribute."""


def _infer(x: Aval, hh: Aval, *rest: Aval, kind: str, reverse: bool) -> tuple[Aval, ...]:
    infer.require("recurrent", x, "float")
    infer.same_dtype("recurrent", x, hh, *rest)
    if dtypes.is_half(x.dtype):
        raise DTypeError(f"recurrent: the input is {x}; convert all to float32 with .astype")
    gates, count = SIZES[kind]
    width = hh.shape[0] if hh.shape else 0
    state = (*x.shape[1:2], width)
    wanted = [(width, gates * width), *[state] * count, (gates * width,)]
    given = [hh.shape, *[aval.shape for aval in rest]]
    if len(x.shape) != 3 or x.shape[2] != gates * width or given not in (wanted, wanted[:-1]):
        raise ShapeError(
            f"recurrent: {kind} takes of_input (T, N, {gates} * width), a weight (width, {gates} * "
            f"width), {count} of (N, width), and perhaps a bias; the shapes are "
            f"{[x.shape, *given]}; make them fit"
        )
    return (Aval((x.shape[0], *state), x.dtype),) * count


def _split(arrays: Sequence[Any], kind: str, given: tuple[bool, ...]) -> tuple[Any, Any, Any]:
    """Return the cotangents that are given, the operands, and the stacks of states."""
    first, last = sum(given), len(arrays) - SIZES[kind][1]
    return arrays[:first], arrays[first:last], arrays[last:]


def _infer_grad(
    *avals: Aval, kind: str, reverse: bool, given: tuple[bool, ...]
) -> tuple[Aval, ...]:
    cts, operands, stacks = _split(avals, kind, given)
    expected = _infer(*operands, kind=kind, reverse=reverse)
    if any(aval != expected[0] for aval in (*cts, *stacks)):
        listed = ", ".join(map(str, (*cts, *stacks)))
        raise ShapeError(
            f"recurrent_grad: the cotangents and states are {listed}, but each state is "
            f"{expected[0]}; make them equal in shape and dtype"
        )
    return operands


def _recurrent(
    x: Tensor, hh: Tensor, *rest: Tensor, kind: str, reverse: bool
) -> tuple[Tensor, ...]:
    count = SIZES[kind][1]

    def step(states: States, of_input: Tensor) -> tuple[Any, Any]:
        of_hidden = matmul(states[0], hh)
        if len(rest) > count:
            of_hidden = of_hidden + rest[count]
        new = STEPS[kind](of_input, of_hidden, states)
        return new, new

    return scan(step, rest[:count], x, reverse=reverse)[1]


def _step_back(
    kind: str, cts: States, of_input: Tensor, of_hidden: Tensor, old: States, new: States
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Return the cotangents of both contributions, and of the states but for their products."""
    if kind == "GRU":
        found = bind(p.PRIMITIVES["gru_cell_grad"], *cts, of_input, of_hidden, *old)
        return found[0], found[1], (found[2],)
    if kind == "LSTM":
        gates = of_input + of_hidden
        total, cell = bind(p.PRIMITIVES["lstm_cell_grad"], *cts, gates, old[1], new[1])
        return total, total, (zeros_like(cell), cell)
    total = bind(p.PRIMITIVES["relu_grad" if kind == "RNN_RELU" else "tanh_grad"], *cts, *new)
    return total, total, (zeros_like(total),)


def _recurrent_grad(
    *tensors: Tensor, kind: str, reverse: bool, given: tuple[bool, ...]
) -> tuple[Tensor, ...]:
    known, (x, hh, *rest), stacks = _split(tensors, kind, given)
    count, left = SIZES[kind][1], iter(known)
    cts = [next(left) if here else zeros_like(out) for here, out in zip(given, stacks, strict=True)]
    first = [expand_dims(state, axis=0) for state in rest[:count]]
    pairs = zip(first, stacks, strict=True)
    before = [concat([s[1:], a] if reverse else [a, s[:-1]], axis=0) for a, s in pairs]
    of_hidden = matmul(before[0], hh)
    if len(rest) > count:
        of_hidden = of_hidden + rest[count]

    def step(carry: States, parts: Any) -> tuple[Any, Any]:
        now, of_input, of_hidden, old, new = parts
        total = [m.add(a, b) for a, b in zip(carry, now, strict=True)]
        g_input, g_hidden, states = _step_back(kind, total, of_input, of_hidden, old, new)
        hidden = states[0] + matmul(g_hidden, matrix_transpose(hh))
        return (hidden, *states[1:]), (g_input, g_hidden)

    zero = tuple([zeros_like(state) for state in rest[:count]])
    parts = (cts, x, of_hidden, before, list(stacks))
    states, (g_input, g_hidden) = scan(step, zero, parts, reverse=not reverse)
    old = reshape(before[0], (prod(before[0].shape[:-1]), hh.shape[0]))
    rows = reshape(g_hidden, (old.shape[0], hh.shape[1]))
    bias = [sum_(rows, axis=0)] if len(rest) > count else []
    return (g_input, matmul(matrix_transpose(old), rows), *states, *bias)


def _rule(cts: Sequence[Tensor | None], outs: States, *operands: Tensor, **static: Any) -> Any:
    given = tuple([ct is not None for ct in cts])
    known = [ct for ct in cts if ct is not None]
    return bind(_recurrent_grad_p, *known, *operands, *outs, given=given, **static)


_recurrent_grad_p = made("recurrent_grad", _infer_grad, _recurrent_grad, multiple=True)
_recurrent_p = made("recurrent", _infer, _recurrent, Joint(_rule, outputs=True), multiple=True)


def recurrent(
    kind: str,
    of_input: Tensor,
    hh: Tensor,
    states: States,
    bias: Tensor | None = None,
    *,
    reverse: bool = False,
) -> tuple[Tensor, ...]:
    """Run a recurrent network over a sequence, given what the input contributes to each step.

    Parameters
    ----------
    kind
        A key of `SIZES`.
    of_input
        Shape ``(T, N, gates * width)``.
    hh
        The transposed weight of the hidden state, ``(width, gates * width)``.
    states
        The first states, each ``(N, width)``.
    bias
        What is added to the hidden state's product, ``(gates * width,)``.
    reverse
        Whether to begin at the end.

    Returns
    -------
    tuple of Tensor
        Each state after each step, ``(T, N, width)``.

    >>> ones_ = ones((2, 1, 1))
    >>> recurrent("RNN_RELU", ones_, ones_[0], [zeros((1, 1))])[0].tolist()
    [[[1.0]], [[2.0]]]
    """
    operands = (of_input, hh, *states) if bias is None else (of_input, hh, *states, bias)
    return bind(_recurrent_p, *operands, kind=kind, reverse=reverse)
