"""Steps of LSTM and GRU behind their matrix products, and their gradients: one pass each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_numba._arrays import FLOAT_DTYPES, contiguous
from isograd_numba._jit import FLOATS, compiled
from isograd_numba._math import ONE, sigmoid, tanh

__all__ = ["recurrent_kernels"]

Array = Any

_GRAIN: Final = 64  # rows that are worth a thread


@compiled("T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1]", T=FLOATS, grain=_GRAIN)
def _lstm(start: int, stop: int, gates: Array, cell: Array, hidden: Array, new: Array) -> None:
    n = cell.shape[1]
    for row in range(start, stop):
        for k in range(n):
            kept = sigmoid(gates[row, n + k]) * cell[row, k]
            new[row, k] = kept + sigmoid(gates[row, k]) * tanh(gates[row, 2 * n + k])
        for k in range(n):
            hidden[row, k] = sigmoid(gates[row, 3 * n + k]) * tanh(new[row, k])


@compiled(
    "T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1]",
    T=FLOATS,
    grain=_GRAIN,
)
def _lstm_grad(
    start: int,
    stop: int,
    g_hidden: Array,
    g_cell: Array,
    gates: Array,
    cell: Array,
    new: Array,
    to_gates: Array,
    to_cell: Array,
) -> None:
    n = cell.shape[1]
    for row in range(start, stop):
        for k in range(n):
            o, t = sigmoid(gates[row, 3 * n + k]), tanh(new[row, k])
            g = g_hidden[row, k]
            to_gates[row, 3 * n + k] = g * t * (o * (ONE - o))
            to_cell[row, k] = g_cell[row, k] + g * o * ((ONE - t) * (ONE + t))
        for k in range(n):
            i, c, ct = sigmoid(gates[row, k]), tanh(gates[row, 2 * n + k]), to_cell[row, k]
            to_gates[row, k] = ct * c * (i * (ONE - i))
            to_gates[row, 2 * n + k] = ct * i * ((ONE - c) * (ONE + c))
        for k in range(n):
            f, ct = sigmoid(gates[row, n + k]), to_cell[row, k]
            to_gates[row, n + k] = ct * cell[row, k] * (f * (ONE - f))
            to_cell[row, k] = ct * f


@compiled("T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1]", T=FLOATS, grain=_GRAIN)
def _gru(start: int, stop: int, x: Array, h: Array, hidden: Array, out: Array) -> None:
    n = hidden.shape[1]
    for row in range(start, stop):
        for k in range(n):
            r = sigmoid(x[row, k] + h[row, k])
            out[row, k] = tanh(x[row, 2 * n + k] + r * h[row, 2 * n + k])
        for k in range(n):
            z, c = sigmoid(x[row, n + k] + h[row, n + k]), out[row, k]
            out[row, k] = c + z * (hidden[row, k] - c)


@compiled(
    "T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1], T[:, ::1]",
    T=FLOATS,
    grain=_GRAIN,
)
def _gru_grad(
    start: int,
    stop: int,
    g: Array,
    x: Array,
    h: Array,
    hidden: Array,
    to_x: Array,
    to_h: Array,
    to_hidden: Array,
) -> None:
    n = hidden.shape[1]
    for row in range(start, stop):
        for k in range(n):
            r, of_h = sigmoid(x[row, k] + h[row, k]), h[row, 2 * n + k]
            z = sigmoid(x[row, n + k] + h[row, n + k])
            c = tanh(x[row, 2 * n + k] + r * of_h)
            of_c = g[row, k] * (ONE - z) * ((ONE - c) * (ONE + c))
            of_r = of_c * of_h * (r * (ONE - r))
            of_z = g[row, k] * (hidden[row, k] - c) * (z * (ONE - z))
            to_x[row, k] = of_r
            to_x[row, n + k] = of_z
            to_x[row, 2 * n + k] = of_c
            to_h[row, k] = of_r
            to_h[row, n + k] = of_z
            to_h[row, 2 * n + k] = of_c * r
            to_hidden[row, k] = g[row, k] * z


#: Kernels, with the positions of the arguments that the results are like.
_KERNELS: Final = {
    "lstm_cell": (_lstm, (1, 1)),
    "lstm_cell_grad": (_lstm_grad, (2, 3)),
    "gru_cell": (_gru, (2,)),
    "gru_cell_grad": (_gru_grad, (1, 2, 3)),
}


def recurrent_kernels(reference: Mapping[str, Kernel], /) -> dict[str, Kernel]:
    """Return the compiled kernels of these primitives.

    Parameters
    ----------
    reference
        Kernels by primitive that take what the compiled ones leave: other dtypes.

    Returns
    -------
    dict
        From the primitive's name to its kernel.
    """

    def made(name: str) -> Kernel:
        kernel, like = _KERNELS[name]

        def run(*arrays: Array) -> Any:
            if arrays[0].dtype not in FLOAT_DTYPES or not arrays[0].size:
                return reference[name](*arrays)
            rows = [contiguous(a).reshape(-1, a.shape[-1]) for a in arrays]
            outs = [np.empty(arrays[i].shape, arrays[i].dtype) for i in like]
            flat = [out.reshape(-1, out.shape[-1]) for out in outs]
            kernel[arrays[0].dtype](len(flat[0]), *rows, *flat)
            return outs[0] if len(outs) == 1 else tuple(outs)

        return run

    return {name: made(name) for name in _KERNELS}
