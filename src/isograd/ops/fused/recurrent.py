"""What LSTM and GRU do in a step behind their matrix products, and the gradients of that."""

# Rules are lambdas whose parameters the engine finds by name, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from isograd.core.errors import ShapeError
from isograd.ir import Aval
from isograd.ops import elementwise as m
from isograd.ops import infer
from isograd.ops.convert import cast
from isograd.ops.creation import zeros_like
from isograd.ops.fused.activations import sigmoid
from isograd.ops.fused.common import fused, widened
from isograd.ops.movement import concat, split
from isograd.runtime.bind import bind
from isograd.runtime.rules import Shared
from isograd.runtime.tensor import Tensor

__all__ = ["gru_cell", "lstm_cell"]


def _check(name: str, gates: Aval, state: Aval, count: int) -> None:
    """Raise unless the gates have ``count`` parts of the state's shape."""
    infer.require(name, gates, "float")
    infer.same_dtype(name, gates, state)
    wanted = (*state.shape[:-1], count * state.shape[-1]) if state.shape else ()
    if not state.shape or gates.shape != wanted:
        raise ShapeError(
            f"{name}: the gates have shape {gates.shape} and the state {state.shape}; the last "
            f"axis of the gates must be {count} times that of the state, and the others equal"
        )


# -- LSTM ------------------------------------------------------------------------------------------


def _infer_lstm(gates: Aval, cell: Aval) -> tuple[Aval, Aval]:
    _check("lstm_cell", gates, cell, 4)
    return cell, cell


def _infer_lstm_grad(
    g_hidden: Aval, g_cell: Aval, gates: Aval, cell: Aval, new: Aval
) -> tuple[Aval, Aval]:
    _check("lstm_cell_grad", gates, cell, 4)
    _check_like("lstm_cell_grad", cell, g_hidden, g_cell, new)
    return gates, cell


def _check_like(name: str, state: Aval, *others: Aval) -> None:
    for other in others:
        if other != state:
            raise ShapeError(
                f"{name}: the state is {state}, a cotangent or a new state {other}; they must be "
                "equal in shape and dtype"
            )


@widened
def _lstm(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = split(gates, 4, axis=-1)
    new = m.add(sigmoid(f) * cell, sigmoid(i) * m.tanh(g))
    return sigmoid(o) * m.tanh(new), new


@widened
def _lstm_grad(
    g_hidden: Tensor, g_cell: Tensor, gates: Tensor, cell: Tensor, new: Tensor
) -> tuple[Tensor, Tensor]:
    i, f, g, o = split(gates, 4, axis=-1)
    i, f, g, o, t = sigmoid(i), sigmoid(f), m.tanh(g), sigmoid(o), m.tanh(new)
    ct = g_cell + g_hidden * o * ((1.0 - t) * (1.0 + t))
    parts = [
        ct * g * (i * (1.0 - i)),
        ct * cell * (f * (1.0 - f)),
        ct * i * ((1.0 - g) * (1.0 + g)),
        g_hidden * t * (o * (1.0 - o)),
    ]
    return concat(parts, axis=-1), ct * f


_lstm_grad_p = fused("lstm_cell_grad", _infer_lstm_grad, _lstm_grad, multiple=True)


def _lstm_rule(
    g: tuple[Tensor | None, Tensor | None],
    gates: Tensor,
    cell: Tensor,
    out: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    given = [zeros_like(cell) if ct is None else ct for ct in g]
    return bind(_lstm_grad_p, *given, gates, cell, out[1])


_lstm_p = fused(
    "lstm_cell", _infer_lstm, _lstm, Shared(_lstm_rule, names=("gates", "cell")), multiple=True
)


def lstm_cell(gates: Tensor, cell: Tensor, /) -> tuple[Tensor, Tensor]:
    """Return the next hidden and cell state, ``c = f c + i g`` and ``h = o tanh(c)``.

    Parameters
    ----------
    gates
        Shape ``(..., 4 * width)``: those of input, forgetting, candidate and output, side by side,
        before their activations. They take the dtype of the cell state.
    cell
        Shape ``(..., width)``.

    >>> hidden, cell = lstm_cell(zeros((1, 4)), ones((1, 1)))
    >>> cell.tolist()
    [[0.5]]
    """
    return bind(_lstm_p, cast(gates, cell.dtype), cell)


# -- GRU -------------------------------------------------------------------------------------------


def _infer_gru(of_input: Aval, of_hidden: Aval, hidden: Aval) -> Aval:
    _check("gru_cell", of_input, hidden, 3)
    _check("gru_cell", of_hidden, hidden, 3)
    return hidden


def _infer_gru_grad(
    g: Aval, of_input: Aval, of_hidden: Aval, hidden: Aval
) -> tuple[Aval, Aval, Aval]:
    _check("gru_cell_grad", of_input, hidden, 3)
    _check("gru_cell_grad", of_hidden, hidden, 3)
    _check_like("gru_cell_grad", hidden, g)
    return of_input, of_hidden, hidden


@widened
def _gru(of_input: Tensor, of_hidden: Tensor, hidden: Tensor) -> Tensor:
    r_x, z_x, n_x = split(of_input, 3, axis=-1)
    r_h, z_h, n_h = split(of_hidden, 3, axis=-1)
    n = m.tanh(n_x + sigmoid(r_x + r_h) * n_h)
    return n + sigmoid(z_x + z_h) * (hidden - n)


@widened
def _gru_grad(
    g: Tensor, of_input: Tensor, of_hidden: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    r_x, z_x, n_x = split(of_input, 3, axis=-1)
    r_h, z_h, n_h = split(of_hidden, 3, axis=-1)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    n = m.tanh(n_x + r * n_h)
    of_n = g * (1.0 - z) * ((1.0 - n) * (1.0 + n))
    of_r = of_n * n_h * (r * (1.0 - r))
    of_z = g * (hidden - n) * (z * (1.0 - z))
    return (
        concat([of_r, of_z, of_n], axis=-1),
        concat([of_r, of_z, of_n * r], axis=-1),
        g * z,
    )


_gru_grad_p = fused("gru_cell_grad", _infer_gru_grad, _gru_grad, multiple=True)
_gru_p = fused(
    "gru_cell",
    _infer_gru,
    _gru,
    Shared(
        lambda g, of_input, of_hidden, hidden: bind(_gru_grad_p, g, of_input, of_hidden, hidden),
        names=("of_input", "of_hidden", "hidden"),
    ),
)


def gru_cell(of_input: Tensor, of_hidden: Tensor, hidden: Tensor, /) -> Tensor:
    """Return the next hidden state ``(1 - z) n + z h``.

    Parameters
    ----------
    of_input, of_hidden
        Shape ``(..., 3 * width)``: what the input and the state contribute to the gates of reset,
        update and candidate, side by side, before their activations. They take the dtype of the
        state.
    hidden
        Shape ``(..., width)``.

    >>> gru_cell(zeros((1, 3)), zeros((1, 3)), ones((1, 1))).tolist()
    [[0.5]]
    """
    of_input, of_hidden = cast(of_input, hidden.dtype), cast(of_hidden, hidden.dtype)
    return bind(_gru_p, of_input, of_hidden, hidden)
