"""What LSTM and GRU do in a step behind their matrix products, and loops over such steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isograd.backend.protocols import Array, Kernel
from isograd.backend.xp.common import in_float32

__all__ = ["loop_kernels", "recurrent_kernels"]


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


def loop_kernels(xp: Any, kernels: Mapping[str, Kernel], /) -> dict[str, Kernel]:
    """Return the kernels of whole recurrent networks over those of products and steps."""
    multiply = kernels["matmul"]

    def contribution(hidden: Array, hh: Array, bias: tuple[Array, ...]) -> Array:
        out = multiply(hidden, hh)
        return out + bias[0] if bias else out

    def advanced(kind: str, x: Array, v: Array, states: tuple[Array, ...]) -> tuple[Array, ...]:
        if kind == "GRU":
            return (kernels["gru_cell"](x, v, states[0]),)
        if kind == "LSTM":
            return kernels["lstm_cell"](x + v, states[1])
        return (kernels["relu" if kind == "RNN_RELU" else "tanh"](x + v),)

    def recurrent(x: Array, hh: Array, *rest: Array, kind: str, reverse: bool) -> tuple[Array, ...]:
        count = 2 if kind == "LSTM" else 1
        states, steps = rest[:count], range(x.shape[0])
        rows: list[tuple[Array, ...]] = []
        for t in reversed(steps) if reverse else steps:
            v = contribution(states[0], hh, rest[count:])
            states = advanced(kind, x[t, ...], v, states)
            rows.append(states)
        order = slice(None, None, -1 if reverse else 1)
        return tuple([xp.stack(column[order]) for column in zip(*rows, strict=True)])

    def recurrent_grad(
        *arrays: Array, kind: str, reverse: bool, given: tuple[bool, ...]
    ) -> tuple[Array, ...]:
        first, count = sum(given), 2 if kind == "LSTM" else 1
        left, (x, hh, *rest), new = iter(arrays[:first]), arrays[first:-count], arrays[-count:]
        of_outputs = [next(left) if known else None for known in given]
        heads = [xp.expand_dims(state, axis=0) for state in rest[:count]]
        pairs = zip(heads, new, strict=True)
        old = [xp.concat([s[1:, ...], a] if reverse else [a, s[:-1, ...]]) for a, s in pairs]
        bias = tuple(rest[count:])
        v = contribution(old[0], hh, bias)
        transposed, steps = hh.T, range(x.shape[0])
        cts = [xp.zeros_like(state) for state in rest[:count]]
        rows: list[tuple[Array, Array]] = []
        for t in steps if reverse else reversed(steps):
            cts = [c if g is None else c + g[t, ...] for c, g in zip(cts, of_outputs, strict=True)]
            if kind == "GRU":
                here = x[t, ...], v[t, ...], old[0][t, ...]
                of_x, of_v, straight = kernels["gru_cell_grad"](cts[0], *here)
                cts = [straight + multiply(of_v, transposed)]
            elif kind == "LSTM":
                here = x[t, ...] + v[t, ...], old[1][t, ...], new[1][t, ...]
                of_x, of_cell = kernels["lstm_cell_grad"](*cts, *here)
                of_v, cts = of_x, [multiply(of_x, transposed), of_cell]
            else:
                of_x = kernels["relu_grad" if kind == "RNN_RELU" else "tanh_grad"](
                    cts[0], new[0][t, ...]
                )
                of_v, cts = of_x, [multiply(of_x, transposed)]
            rows.append((of_x, of_v))
        order = slice(None, None, 1 if reverse else -1)
        of_x, of_v = [xp.stack(column[order]) for column in zip(*rows, strict=True)]
        flat = xp.reshape(of_v, (-1, hh.shape[1]))
        weight = multiply(xp.reshape(old[0], (-1, hh.shape[0])).T, flat)
        of_bias = [kernels["sum"](flat, axis=(0,), keepdims=False) for _ in bias]
        return (of_x, weight, *cts, *of_bias)

    return {"recurrent": recurrent, "recurrent_grad": recurrent_grad}
