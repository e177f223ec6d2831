"""What LSTM and GRU do in a step behind their matrix products, and the gradients of that."""

from __future__ import annotations

from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import in_float32

__all__ = ["recurrent_kernels"]


def recurrent_kernels(xp: Any, sigmoid: Kernel, /) -> dict[str, Kernel]:
    """Return the kernels over an array namespace, given that of the logistic function."""

    def parts(gates: Array, count: int) -> list[Array]:
        width = gates.shape[-1] // count
        return [gates[..., i * width : (i + 1) * width] for i in range(count)]

    def lstm_gates(gates: Array) -> tuple[Array, Array, Array, Array]:
        i, f, _, o = parts(sigmoid(gates), 4)
        return i, f, xp.tanh(parts(gates, 4)[2]), o

    def lstm_cell(gates: Array, cell: Array) -> tuple[Array, Array]:
        i, f, g, o = lstm_gates(gates)
        new = f * cell + i * g
        return o * xp.tanh(new), new

    def lstm_cell_grad(
        g_hidden: Array, g_cell: Array, gates: Array, cell: Array, new: Array
    ) -> tuple[Array, Array]:
        i, f, g, o = lstm_gates(gates)
        t = xp.tanh(new)
        ct = g_cell + g_hidden * o * ((1.0 - t) * (1.0 + t))
        of_gates = [
            ct * g * (i * (1.0 - i)),
            ct * cell * (f * (1.0 - f)),
            ct * i * ((1.0 - g) * (1.0 + g)),
            g_hidden * t * (o * (1.0 - o)),
        ]
        return xp.concat(of_gates, axis=-1), ct * f

    def gru_gates(of_input: Array, of_hidden: Array) -> tuple[Array, Array, Array]:
        r, z, _ = parts(sigmoid(of_input + of_hidden), 3)
        return r, z, xp.tanh(parts(of_input, 3)[2] + r * parts(of_hidden, 3)[2])

    def gru_cell(of_input: Array, of_hidden: Array, hidden: Array) -> Array:
        _, z, n = gru_gates(of_input, of_hidden)
        return n + z * (hidden - n)

    def gru_cell_grad(
        g: Array, of_input: Array, of_hidden: Array, hidden: Array
    ) -> tuple[Array, Array, Array]:
        r, z, n = gru_gates(of_input, of_hidden)
        of_n = g * (1.0 - z) * ((1.0 - n) * (1.0 + n))
        of_r = of_n * parts(of_hidden, 3)[2] * (r * (1.0 - r))
        of_z = g * (hidden - n) * (z * (1.0 - z))
        to_input = xp.concat([of_r, of_z, of_n], axis=-1)
        return to_input, xp.concat([of_r, of_z, of_n * r], axis=-1), g * z

    return {
        "lstm_cell": in_float32(xp, lstm_cell),
        "lstm_cell_grad": in_float32(xp, lstm_cell_grad),
        "gru_cell": in_float32(xp, gru_cell),
        "gru_cell_grad": in_float32(xp, gru_cell_grad),
    }
