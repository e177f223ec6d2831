"""Rows of the steps of recurrent networks. Their gradients are checked by complex steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.generate import bad, bound, draw
from isograd.testing.op_db.spec import OpSpec, Sample, Samples, Scale

__all__ = ["RECURRENT"]

Array = Any

#: Far below what could change a real part; imaginary parts are derivatives to the last bit.
_STEP = 1e-100

# (leading axes, width)
SHAPES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((2,), 3),
    ((), 2),
    ((2, 1), 1),
    ((0,), 2),
    ((3,), 0),
    ((33,), 17),
)


def _logistic(x: Array) -> Array:
    return (1 + np.tanh(x / 2)) / 2


def _lstm(gates: Array, cell: Array) -> tuple[Array, Array]:
    i, f, g, o = np.split(gates, 4, axis=-1)
    new = _logistic(f) * cell + _logistic(i) * np.tanh(g)
    return _logistic(o) * np.tanh(new), new


def _gru(of_input: Array, of_hidden: Array, hidden: Array) -> Array:
    r_x, z_x, n_x = np.split(of_input, 3, axis=-1)
    r_h, z_h, n_h = np.split(of_hidden, 3, axis=-1)
    z = _logistic(z_x + z_h)
    return (1 - z) * np.tanh(n_x + _logistic(r_x + r_h) * n_h) + z * hidden


def _slopes(fn: Callable[..., Array], args: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return the gradients of the sum of a function whose columns do not see each other."""
    width = args[-1].shape[-1]
    found: list[Array] = []
    for number, x in enumerate(args):
        parts: list[Array] = []
        for start in range(0, x.shape[-1], max(width, 1)):
            moved = [a.astype(np.complex128) for a in args]
            moved[number][..., start : start + width] += 1j * _STEP
            parts.append(fn(*moved).imag / _STEP)
        found.append(np.concatenate(parts, axis=-1) if parts else np.zeros(x.shape))
    return tuple(found)


def _lstm_grad(
    g_hidden: Array, g_cell: Array, gates: Array, cell: Array, new: Array
) -> tuple[Array, ...]:
    def pulled(gates: Array, cell: Array) -> Array:
        state = _lstm(gates, cell)[1]
        state = new + (state - state.real)  # the new state is an argument: only slopes are found
        o = np.split(gates, 4, axis=-1)[3]
        return g_hidden * _logistic(o) * np.tanh(state) + g_cell * state

    return _slopes(pulled, (gates, cell))


def _gru_grad(g: Array, of_input: Array, of_hidden: Array, hidden: Array) -> tuple[Array, ...]:
    return _slopes(lambda *args: g * _gru(*args), (of_input, of_hidden, hidden))


def _samples(*widths: int, new: bool = False) -> Samples:
    """Return samples of arrays whose last axes are multiples of a width."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for lead, width in SHAPES:
            args = [draw(-2.0, 2.0)(rng, (*lead, width * n), dtype) for n in widths]
            if new:  # the state that the arguments lead to
                args.append(_lstm(*[a.astype(np.float64) for a in args[2:]])[1].astype(dtype))
            large = len(lead) == 1 and lead[0] > 8
            label = "large" if large else ""
            yield Sample(tuple(args), label=label, grad=not large)

    return samples


def _magnitude(*arrays: Array) -> Array:
    """Return one number for all outputs: cotangents times what they are multiplied by."""
    peaks = [1.0 + float(np.max(np.abs(a), initial=0.0)) for a in arrays]
    return np.asarray(float(np.prod(peaks[:2])))


_SCALE = Scale("sum", _magnitude, lambda *_: 8)

RECURRENT: tuple[OpSpec, ...] = (
    OpSpec(
        name="lstm_cell",
        fn=bound("lstm_cell"),
        reference=_lstm,
        samples=_samples(4, 1),
        grad_args=(0, 1),
        scale=_SCALE,
        errors=(
            bad((2, 8), (2, 3), error=ShapeError, says=("lstm_cell", "(2, 8)", "(2, 3)", "4")),
            bad((8,), (), error=ShapeError, says=("lstm_cell", "(8,)", "()")),
            bad(
                np.zeros((2, 4), np.int64),
                np.zeros((2, 1), np.int64),
                error=DTypeError,
                says=("lstm_cell", "int64"),
            ),
        ),
    ),
    OpSpec(
        name="lstm_cell_grad",
        fn=bound("lstm_cell_grad"),
        reference=_lstm_grad,
        samples=_samples(1, 1, 4, 1, new=True),
        grad_args=(0, 1, 2, 3, 4),
        scale=_SCALE,
        errors=(
            bad(
                *((2, 3), (2, 1), (2, 4), (2, 1), (2, 1)),
                error=ShapeError,
                says=("lstm_cell_grad", "[2, 3]", "[2, 1]"),
            ),
        ),
    ),
    OpSpec(
        name="gru_cell",
        fn=bound("gru_cell"),
        reference=_gru,
        samples=_samples(3, 3, 1),
        grad_args=(0, 1, 2),
        scale=_SCALE,
        errors=(
            bad((2, 6), (2, 3), (2, 2), error=ShapeError, says=("gru_cell", "(2, 3)", "(2, 2)")),
        ),
    ),
    OpSpec(
        name="gru_cell_grad",
        fn=bound("gru_cell_grad"),
        reference=_gru_grad,
        samples=_samples(1, 3, 3, 1),
        grad_args=(0, 1, 2, 3),
        scale=_SCALE,
        errors=(
            bad(
                *((2, 3), (2, 6), (2, 6), (2, 2)),
                error=ShapeError,
                says=("gru_cell_grad", "[2, 2]", "[2, 3]"),
            ),
        ),
    ),
)
