"""Rows of recurrent networks: the loop over a sequence, and its gradient."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.contractions import BLAS
from isograd.testing.op_db.generate import bad, bound, draw
from isograd.testing.op_db.spec import OpSpec, Sample, Samples, Scale

__all__ = ["RECURRENCES"]

Array = Any


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _order(x: Array, reverse: bool) -> list[int]:
    return list(range(len(x)))[:: -1 if reverse else 1]


def _bias(rest: tuple[Array, ...], kind: str) -> Array:
    """Return the bias, or 0, which follows one or two states."""
    states = 2 if kind == "LSTM" else 1
    return rest[states] if len(rest) > states else 0.0


def _recurrent(x: Array, hh: Array, *rest: Array, kind: str, reverse: bool) -> tuple[Array, ...]:
    bias, h, c = _bias(rest, kind), rest[0], rest[-1]
    if kind == "LSTM":
        c = rest[1]
    hs = np.zeros((len(x), *h.shape))
    cs = np.zeros_like(hs)
    for t in _order(x, reverse):
        v = h @ hh + bias
        if kind == "LSTM":
            i, f, g, o = np.split(x[t] + v, 4, axis=1)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
        elif kind == "GRU":
            (r_x, u_x, n_x), (r_v, u_v, n_v) = np.split(x[t], 3, axis=1), np.split(v, 3, axis=1)
            u = _sigmoid(u_x + u_v)
            h = (1 - u) * np.tanh(n_x + _sigmoid(r_x + r_v) * n_v) + u * h
        else:
            h = np.tanh(x[t] + v) if kind == "RNN_TANH" else np.maximum(x[t] + v, 0)
        hs[t], cs[t] = h, c if kind == "LSTM" else 0
    return (hs, cs) if kind == "LSTM" else (hs,)


def _recurrent_grad(
    *arrays: Array, kind: str, reverse: bool, given: tuple[bool, ...]
) -> tuple[Array, ...]:
    """Go back through the steps, one at a time."""
    states, first = (2 if kind == "LSTM" else 1), sum(given)
    cts, (x, hh, *rest) = list(arrays[:first]), arrays[first : len(arrays) - states]
    bias = _bias(tuple(rest), kind)
    outs = arrays[len(arrays) - states :]
    g_outs = [cts.pop(0) if g else np.zeros_like(o) for g, o in zip(given, outs, strict=True)]
    g_x, g_hh, g_bias = np.zeros_like(x), np.zeros_like(hh), np.zeros(hh.shape[1])
    g_h, g_c = np.zeros_like(rest[0]), np.zeros_like(rest[0])
    order = _order(x, reverse)
    for place in range(len(order) - 1, -1, -1):
        t = order[place]
        h = outs[0][order[place - 1]] if place else rest[0]
        v = h @ hh + bias
        g_h = g_h + g_outs[0][t]
        straight = 0.0
        if kind == "LSTM":
            c = outs[1][order[place - 1]] if place else rest[1]
            i, f, n, o = np.split(x[t] + v, 4, axis=1)
            g_c = g_c + g_outs[1][t] + g_h * _sigmoid(o) * (1 - np.tanh(outs[1][t]) ** 2)
            parts = [
                g_c * np.tanh(n) * _sigmoid(i) * _sigmoid(-i),
                g_c * c * _sigmoid(f) * _sigmoid(-f),
                g_c * _sigmoid(i) / np.cosh(n) ** 2,
                g_h * np.tanh(outs[1][t]) * _sigmoid(o) * _sigmoid(-o),
            ]
            g_c = g_c * _sigmoid(f)
            g_x[t] = g_v = np.concatenate(parts, axis=1)
        elif kind == "GRU":
            (r_x, u_x, n_x), (r_v, u_v, n_v) = np.split(x[t], 3, axis=1), np.split(v, 3, axis=1)
            r, u = _sigmoid(r_x + r_v), _sigmoid(u_x + u_v)
            n = n_x + r * n_v
            g_n = g_h * (1 - u) / np.cosh(n) ** 2
            both = [g_n * n_v * r * (1 - r), g_h * (h - np.tanh(n)) * u * (1 - u)]
            g_x[t], g_v = np.concatenate([*both, g_n], 1), np.concatenate([*both, g_n * r], 1)
            straight = g_h * u
        else:
            slope = 1 - outs[0][t] ** 2 if kind == "RNN_TANH" else outs[0][t] > 0
            g_x[t] = g_v = g_h * slope
        g_hh, g_bias = g_hh + h.T @ g_v, g_bias + g_v.sum(0)
        g_h = g_v @ hh.T + straight
    return (g_x, g_hh, *[g_h, g_c][:states], *[g_bias] * (len(rest) - states))


# (kind, steps, N, width, bias, reverse)
SEQUENCES = (
    ("LSTM", 3, 2, 2, False, False),
    ("LSTM", 2, 1, 3, True, True),
    ("GRU", 3, 2, 2, True, False),
    ("GRU", 2, 1, 1, False, True),
    ("RNN_TANH", 3, 2, 2, True, True),
    ("RNN_RELU", 2, 2, 3, False, False),
    ("LSTM", 1, 0, 2, False, False),
    ("LSTM", 9, 17, 35, True, True),
    ("GRU", 9, 17, 35, True, False),
    ("RNN_TANH", 9, 17, 35, False, False),
    ("RNN_RELU", 9, 17, 35, True, True),
)


def _samples(cotangent: bool) -> Samples:
    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for kind, steps, n, width, bias, reverse in SEQUENCES:
            gates, states = {"LSTM": (4, 2), "GRU": (3, 1)}.get(kind, (1, 1))
            small = steps * n * width < 100
            near, weight = draw(-1.0, 1.0), draw(-0.8, 0.8) if small else draw(-0.1, 0.1)
            args = [near(rng, (steps, n, gates * width), dtype)]
            args.append(weight(rng, (width, gates * width), dtype))
            args += [near(rng, (n, width), dtype) for _ in range(states)]
            args += [near(rng, (gates * width,), dtype)] * bias
            static: dict[str, Any] = {"kind": kind, "reverse": reverse}
            if cotangent:
                stacks = _recurrent(*[a.astype(np.float64) for a in args], **static)
                static["given"] = (True,) + (reverse,) * (states - 1)
                cts = [near(rng, stacks[0].shape, dtype) for _ in range(sum(static["given"]))]
                # States at which a step of relu has a slope.
                stacks = [np.where(s == 0, -0.3, s) for s in stacks]
                args = [*cts, *args, *[s.astype(dtype) for s in stacks]]
            label = "" if small else "large"
            yield Sample(tuple(args), static, label=label, grad=small, layouts=small)

    return samples


def _magnitude(*arrays: Array, **static: Any) -> Array:
    """Return one number for all outputs: errors of a step go through those after it."""
    return np.asarray(max([float(np.max(np.abs(a), initial=1.0)) for a in arrays]) * 8.0)


def _terms(*arrays: Array, **static: Any) -> int:
    return max([a.shape[-1] * a.shape[0] for a in arrays])


_PLAIN = {"kind": "LSTM", "reverse": False}

RECURRENCES: tuple[OpSpec, ...] = (
    OpSpec(
        name="recurrent",
        fn=bound("recurrent"),
        reference=_recurrent,
        samples=_samples(cotangent=False),
        dtypes=("float64", "float32"),
        grad_args=(0, 1, 2, 3, 4),
        known=(BLAS,),
        scale=Scale("sum", _magnitude, _terms),
        errors=(
            bad(
                *((3, 2, 8), (2, 8), (2, 2), (2, 3)),
                **_PLAIN,
                error=ShapeError,
                says=("recurrent", "(3, 2, 8)", "(2, 3)"),
            ),
            bad(
                *((3, 2, 8), (2, 8), (2, 2), np.zeros((2, 2), np.float16)),
                **_PLAIN,
                error=DTypeError,
                says=("recurrent", "float16"),
            ),
        ),
    ),
    OpSpec(
        name="recurrent_grad",
        fn=bound("recurrent_grad"),
        reference=_recurrent_grad,
        samples=_samples(cotangent=True),
        dtypes=("float64", "float32"),
        grad_args=(0, 1, 2, 3, 4, 5, 6, 7),
        known=(BLAS,),
        scale=Scale("sum", _magnitude, _terms),
        errors=(
            bad(
                *((3, 2, 1), (3, 2, 8), (2, 8), (2, 2), (2, 2), (3, 2, 2), (3, 2, 2)),
                **_PLAIN,
                given=(True, False),
                error=ShapeError,
                says=("recurrent_grad", "[3, 2, 1]", "[3, 2, 2]"),
            ),
        ),
    ),
)
