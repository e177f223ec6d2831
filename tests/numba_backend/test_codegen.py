"""Native code of compiled programs against float64 references, for every layout and width."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

import isograd as ig
from isograd.backend.schedule import Buffer, Loop, Place, Schedule
from isograd.compiler.kernels import Builder
from isograd_numba.codegen import dialect
from isograd_numba.codegen.program import NativeProgram

Array = Any
FLOATS = ("float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
INTEGERS = (*SIGNED, "uint8", "uint16", "uint32", "uint64")


@pytest.fixture(autouse=True)
def _native():
    with ig.use_backend("numba"):
        yield


class Loops:
    """Loops over arrays in one program, so that all of them are compiled at once."""

    def __init__(self) -> None:
        self.schedule = Schedule()
        self.arrays: list[Array] = []

    def memory(self, array: Array, role: str) -> int:
        self.schedule.buffers.append(Buffer(array.dtype.name, array.size, role))
        number = len(self.schedule.buffers) - 1
        if role == "input":
            self.schedule.inputs.append(number)
            self.arrays.append(array)
        else:
            self.schedule.returned.append((len(self.schedule.outputs), array.shape))
            self.schedule.outputs.append(number)
        return number

    def add(
        self,
        op: str,
        operands: list[Array],
        out: str,
        *,
        static: tuple[Any, ...] = (),
        reduced: tuple[int, ...] = (),
        out_order: tuple[int, ...] | None = None,
    ) -> None:
        """Add one operation on arrays, whose strides become those of loads.

        What is between their elements in memory is passed along, and is NaN.
        """
        shape = np.broadcast_shapes(*[a.shape for a in operands])
        builder = Builder(shape, [i in reduced for i in range(len(shape))])
        args: list[int] = []
        for array in operands:
            place = self._place(np.broadcast_to(array, shape))
            args.append(builder.load(place, place.strides))
        node = builder.add(op, args, out, static)
        kept = [1 if i in reduced else n for i, n in enumerate(shape)]
        order = out_order or tuple(range(len(shape)))
        result = np.empty([kept[i] for i in order], out)
        buffer = self.memory(result, "output")
        steps = [0] * len(shape)
        for i, axis in enumerate(order):
            steps[axis] = result.strides[i] // result.itemsize if kept[axis] > 1 else 0
        builder.store(Place(buffer, 0, tuple(kept), tuple(steps), out), tuple(steps), node)
        kernel = builder.kernel()
        self.schedule.steps.append(Loop(kernel, tuple(builder.params), tuple(builder.checks)))

    def _place(self, array: Array) -> Place:
        base: Array = array
        while base.base is not None:
            base = base.base
        start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        number = self.memory(base, "input")
        steps = tuple([s // array.itemsize for s in array.strides])
        return Place(number, start // array.itemsize, array.shape, steps, array.dtype.name)

    def run(self) -> list[Array]:
        program = NativeProgram(self.schedule, lambda equation: equation)
        with np.errstate(all="ignore"):
            return program.run([a.reshape(-1) for a in self.arrays])


def laid_out(x: Array) -> dict[str, Array]:
    """Return arrays of the values of a matrix in other places of memory."""
    rows, columns = x.shape
    wide = np.full((2 * rows, 3 * columns), 7, x.dtype)
    wide[::2, ::3] = x
    return {
        "contiguous": x.copy(),
        "transposed": x.T.copy().T,
        "sliced": wide[::2, ::3],
        "reversed": np.flip(np.flip(x).copy()),
        "one row": np.broadcast_to(x[:1].copy(), x.shape),
        "one column": np.broadcast_to(x[:, :1].copy(), x.shape),
        "one number": np.broadcast_to(x[:1, :1].copy(), x.shape),
    }


# -- elementwise -----------------------------------------------------------------------------------

erf = np.vectorize(math.erf, otypes=[np.float64])
erfc = np.vectorize(math.erfc, otypes=[np.float64])


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def gelu(x: Array, approximate: str = "none") -> Array:
    if approximate == "tanh":
        return x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    return 0.5 * x * erfc(-x / math.sqrt(2))


def gelu_slope(x: Array, approximate: str = "none") -> Array:
    if approximate == "tanh":
        c = math.sqrt(2 / math.pi)
        s = sigmoid(2 * c * (x + 0.044715 * x**3))
        return s + x * s * (1 - s) * 2 * c * (1 + 3 * 0.044715 * x**2)
    return 0.5 * erfc(-x / math.sqrt(2)) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def silu_slope(x: Array) -> Array:
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


def softplus(x: Array) -> Array:
    return np.where(2 * x > 15, x, np.logaddexp(0, 2 * x) / 2)


def bounded(low: float, high: float) -> Callable[[Any, Any], Array]:
    return lambda rng, shape: rng.uniform(low, high, shape)


def spread(rng: Any, shape: Any) -> Array:
    """Return numbers of all sizes, of both signs."""
    return rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 6, shape)


def tail(x: Array) -> Array:
    """Return a scale for gelu: a rounding of x is felt 1 + x**2 times where the tail is thin."""
    return np.abs(gelu(x)) * (1 + x * x)


unit = bounded(-1, 1)
middle = bounded(-12, 12)

#: Primitives that round at most once: their results are those of NumPy in the same dtype.
EXACT: dict[str, tuple[Callable[..., Array], int]] = {
    "abs": (np.abs, 1),
    "sign": (np.sign, 1),
    "sqrt": (lambda x: np.sqrt(x), 1),
    "floor": (np.floor, 1),
    "ceil": (np.ceil, 1),
    "trunc": (np.trunc, 1),
    "round": (np.rint, 1),
    "isnan": (np.isnan, 1),
    "isinf": (np.isinf, 1),
    "isfinite": (np.isfinite, 1),
    "neg": (np.negative, 1),
    "square": (np.square, 1),
    "add": (np.add, 2),
    "sub": (np.subtract, 2),
    "mul": (np.multiply, 2),
    "div": (np.divide, 2),
    "copysign": (np.copysign, 2),
    "maximum": (np.maximum, 2),
    "minimum": (np.minimum, 2),
    "less": (np.less, 2),
    "less_equal": (np.less_equal, 2),
    "greater": (np.greater, 2),
    "greater_equal": (np.greater_equal, 2),
    "equal": (np.equal, 2),
    "not_equal": (np.not_equal, 2),
    "relu": (lambda x: np.where(x <= 0, x.dtype.type(0), x), 1),
    "relu_grad": (lambda g, x: np.where(x <= 0, x.dtype.type(0), g), 2),
}
#: Others: a float64 reference, what is drawn for each operand, parameters; a scale where the result
#: is a difference of larger numbers.
CLOSE: dict[str, tuple[Any, ...]] = {
    "exp": (np.exp, (bounded(-80, 80),)),
    "expm1": (np.expm1, (bounded(-30, 30),)),
    "log": (np.log, (bounded(1e-3, 50),)),
    "log1p": (np.log1p, (bounded(-0.99, 50),)),
    "tanh": (np.tanh, (middle,)),
    "erf": (erf, (bounded(-5, 5),)),
    "sin": (np.sin, (middle,)),
    "cos": (np.cos, (middle,)),
    "pow": (np.power, (bounded(0.01, 9), bounded(-5, 5))),
    "sigmoid": (sigmoid, (middle,)),
    "sigmoid_grad": (lambda g, out: g * out * (1 - out), (middle, bounded(0.01, 0.99))),
    "tanh_grad": (lambda g, out: g * (1 - out * out), (middle, unit), {}, lambda g, out: np.abs(g)),
    "silu": (lambda x: x * sigmoid(x), (middle,)),
    "silu_grad": (lambda g, x: g * silu_slope(x), (unit, middle), {}, lambda g, x: np.abs(g)),
    "logaddexp": (np.logaddexp, (middle, middle), {}, lambda x, y: np.abs(x) + np.abs(y)),
    "softplus": (softplus, (bounded(-9, 9),), {"beta": 2.0, "threshold": 15.0}),
    "gelu": (gelu, (bounded(-4, 8),), {"approximate": "none"}, tail),
    "gelu_grad": (
        lambda g, x: g * gelu_slope(x),
        (unit, bounded(-4, 8)),
        {"approximate": "none"},
        lambda g, x: np.abs(g) * (1 + x * x),
    ),
}
#: The same primitives with other parameters.
MORE: dict[str, tuple[Any, ...]] = {
    "gelu": (lambda x: gelu(x, "tanh"), (bounded(-4, 8),), {"approximate": "tanh"}, tail),
    "gelu_grad": (
        lambda g, x: g * gelu_slope(x, "tanh"),
        (unit, bounded(-4, 8)),
        {"approximate": "tanh"},
        lambda g, x: np.abs(g) * (1 + x * x),
    ),
}
BITS = {
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_invert": np.invert,
}
SHIFTS = {"bitwise_left_shift": np.left_shift, "bitwise_right_shift": np.right_shift}
NUMERIC = ("neg", "square", "add", "sub", "mul", "equal", "not_equal")
COMPARED = ("less", "less_equal", "greater", "greater_equal")
BOOLEANS = ("isnan", "isinf", "isfinite", "equal", "not_equal", *COMPARED)
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-45, -1e-40, 3e38, 0.5, -2.5]


def test_every_primitive_of_the_dialect_is_tested_here() -> None:
    assert {*EXACT, *CLOSE, *BITS, *SHIFTS, "where"} == set(dialect._TABLE)


def equal(found: Array, due: Array) -> bool:
    """Compare bit for bit, except that one NaN is as good as another."""
    if found.dtype.kind == "f":
        same = (found == due) & (np.signbit(found) == np.signbit(due))
        return bool(np.all(same | (np.isnan(found) & np.isnan(due))))
    return found.dtype == due.dtype and np.array_equal(found, due)


def due_dtype(name: str, dtype: str) -> str:
    return "bool" if name in BOOLEANS else dtype


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", EXACT)
def test_exact_primitives(name: str, dtype: str, rng: Any) -> None:
    function, count = EXACT[name]
    loops, due = Loops(), []
    special = np.array(SPECIAL, np.float64).astype(dtype)
    pairs = [special, np.repeat(special, len(special))]
    pairs = [np.resize(p, len(special) ** 2) for p in pairs]
    widths = (1, 15, 16, 17, 31, 32, 33, 70)
    cases = [pairs[:count]]
    cases += [[spread(rng, width).astype(dtype) for _ in range(count)] for width in widths]
    with np.errstate(all="ignore"):
        for operands in cases:
            loops.add(name, operands, due_dtype(name, dtype))
            due.append(function(*operands))
        matrix = [laid_out(spread(rng, (5, 37)).astype(dtype)) for _ in range(count)]
        names = list(matrix[0])
        for number, layout in enumerate(names):
            operands = [m[names[(number + i) % len(names)]] for i, m in enumerate(matrix)]
            loops.add(
                name, operands, due_dtype(name, dtype), out_order=(number % 2, 1 - number % 2)
            )
            right = function(*operands)
            due.append(right.T if number % 2 else right)
            assert layout
    for found, right in zip(loops.run(), due, strict=True):
        assert equal(found, right), name


def check_close(found: Array, right: Array, scale: Array) -> None:
    """Allow eight roundings of the result, beside what is smaller than any normal number."""
    info = np.finfo(found.dtype)
    error = np.abs(found.astype(np.float64) - right)
    bound = 8 * float(info.eps) * scale + 4 * float(info.smallest_normal)
    worst = np.argmax(error - bound)
    assert np.all(error <= bound), (found.flat[worst], right.flat[worst], worst)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", [*CLOSE.items(), *MORE.items()], ids=lambda c: c[0])
def test_other_primitives(case: Any, dtype: str, rng: Any) -> None:
    name, (function, draws, *rest) = case
    static = tuple(rest[0].items()) if rest else ()
    loops, due, scales = Loops(), [], []

    def add(operands: list[Array], order: tuple[int, ...]) -> None:
        loops.add(name, operands, dtype, static=static, out_order=order)
        exact = [a.astype(np.float64) for a in operands]
        right = function(*exact)
        scale = rest[1](*exact) if len(rest) > 1 else np.abs(right)
        due.append(np.transpose(right, order))
        scales.append(np.transpose(np.maximum(scale, np.abs(right)), order))

    for width in (1, 15, 16, 17, 31, 32, 33, 70):
        add([draw(rng, width).astype(dtype) for draw in draws], (0,))
    matrix = [laid_out(draw(rng, (5, 37)).astype(dtype)) for draw in draws]
    names = list(matrix[0])
    for number in range(len(names)):
        operands = [m[names[(number + i) % len(names)]] for i, m in enumerate(matrix)]
        add(operands, (number % 2, 1 - number % 2))
    for found, right, scale in zip(loops.run(), due, scales, strict=True):
        check_close(found, right, scale)


INF, NAN = math.inf, math.nan
#: Arguments with results that are known.
LIMITS: dict[str, list[tuple[float, float]]] = {
    "exp": [(-INF, 0.0), (INF, INF), (0.0, 1.0), (1e4, INF), (-1e4, 0.0)],
    "expm1": [(-INF, -1.0), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (-1e4, -1.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-1.0, NAN)],
    "log1p": [(-1.0, -INF), (0.0, 0.0), (-0.0, -0.0), (INF, INF), (-2.0, NAN)],
    "tanh": [(-INF, -1.0), (INF, 1.0), (0.0, 0.0), (-0.0, -0.0)],
    "erf": [(-INF, -1.0), (INF, 1.0), (0.0, 0.0), (-0.0, -0.0)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN)],
    "cos": [(0.0, 1.0), (INF, NAN)],
    "sigmoid": [(-INF, 0.0), (INF, 1.0), (0.0, 0.5), (-1e4, 0.0), (1e4, 1.0)],
    "silu": [(0.0, 0.0), (INF, INF), (1e4, 1e4)],
    "gelu": [(0.0, 0.0), (INF, INF), (1e4, 1e4)],
    "softplus": [(-INF, 0.0), (INF, INF), (1e4, 1e4), (-1e4, 0.0)],
}
STATIC: dict[str, dict[str, Any]] = {
    "gelu": {"approximate": "none"},
    "softplus": {"beta": 1.0, "threshold": 20.0},
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str, dtype: str) -> None:
    x, due = np.array([*LIMITS[name], (NAN, NAN)], dtype).T
    loops = Loops()
    loops.add(name, [np.tile(x, 9)], dtype, static=tuple(STATIC.get(name, {}).items()))
    (found,) = loops.run()
    assert equal(found, np.tile(due, 9))


def test_limits_of_logaddexp() -> None:
    x, y, due = np.array(
        [(INF, INF, INF), (-INF, -INF, -INF), (INF, -INF, INF), (-INF, 2.0, 2.0), (NAN, 1.0, NAN)]
    ).T
    loops = Loops()
    loops.add("logaddexp", [x, y], "float64")
    loops.add("logaddexp", [y, x], "float64")
    assert all(equal(found, due) for found in loops.run())


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_around(dtype: str, rng: Any) -> None:
    info = np.iinfo(dtype)
    edge = np.array([info.min, info.max, 0, 1, info.max // 2, info.min // 2], dtype)
    some = rng.integers(info.min, info.max, 70, dtype=dtype, endpoint=True)
    loops, due = Loops(), []
    table = {**{n: EXACT[n] for n in (*NUMERIC, *COMPARED)}, **{n: (f, 2) for n, f in BITS.items()}}
    table["bitwise_invert"] = (np.invert, 1)
    with np.errstate(all="ignore"):
        for name, (function, count) in table.items():
            for one in (np.repeat(edge, 6), some, some[:1]):
                two = np.resize(edge, one.shape)
                operands = [one, two][:count]
                loops.add(name, operands, due_dtype(name, dtype))
                due.append(function(*operands))
    for found, right in zip(loops.run(), due, strict=True):
        assert equal(found, right)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_by_more_than_the_width_shift_every_bit_out(dtype: str, rng: Any) -> None:
    info = np.iinfo(dtype)
    some = rng.integers(info.min, info.max, (5, 37), dtype=dtype, endpoint=True)
    some[0, :3] = [info.min, info.max, 0]
    amounts = np.resize([0, 1, info.bits - 1, info.bits, 100, 3, 5], (5, 37)).astype(dtype)
    if info.min < 0:
        amounts[1, ::3] = -1
    loops = Loops()
    for name in SHIFTS:
        loops.add(name, [some, amounts], dtype)
    for found, function in zip(loops.run(), SHIFTS.values(), strict=True):
        assert equal(found, function(some, amounts))


def test_booleans() -> None:
    x = np.tile([False, False, True, True], 11)
    y = np.tile([False, True, False, True], 11)
    loops, due = Loops(), []
    for name, function in [*BITS.items(), ("equal", np.equal), ("not_equal", np.not_equal)]:
        operands = [x] if name == "bitwise_invert" else [x, y]
        loops.add(name, operands, "bool")
        due.append(np.logical_not(x) if name == "bitwise_invert" else function(*operands))
    for found, right in zip(loops.run(), due, strict=True):
        assert found.dtype == bool
        assert np.array_equal(found, right)
        assert set(found.view(np.uint8)) <= {0, 1}


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "bool"])
def test_where_in_every_layout(dtype: str, rng: Any) -> None:
    c = laid_out(rng.integers(0, 2, (5, 37)).astype(bool))
    x, y = (laid_out(rng.integers(0, 2, (5, 37)).astype(dtype)) for _ in range(2))
    names = list(c)
    loops, due = Loops(), []
    for number in range(len(names)):
        operands = [
            c[names[number]],
            x[names[(number + 1) % len(names)]],
            y[names[(number + 3) % len(names)]],
        ]
        loops.add("where", operands, dtype)
        due.append(np.where(*operands))
    for found, right in zip(loops.run(), due, strict=True):
        assert equal(found, right)


def test_casts_between_all_dtypes(rng: Any) -> None:
    loops, due = Loops(), []
    every = sorted(dialect.DTYPES)
    for source in every:
        for target in every:
            if source == target or not dialect.speaks("astype", [source, target]):
                continue
            low = 0 if "u" in source + target or "bool" in source else -100
            whole = rng.integers(low, 2 if "bool" in source else 100, 70)
            x = whole.astype(source)
            if source.startswith("float"):
                x = x + x.dtype.type(0.25)
            loops.add("astype", [x], target)
            due.append(x.astype(target))
    assert len(due) > 100
    for found, right in zip(loops.run(), due, strict=True):
        assert equal(found, right), (right.dtype, found, right)


def test_casts_from_integers_round_to_nearest() -> None:
    x = np.array([2**24 + 1, -(2**24) - 3, 2**53 + 1, -(2**53) - 1, 2**63 - 1], np.int64)
    u = np.array([2**64 - 1, 2**63 + 2**39 + 1, 2**24 + 1], np.uint64)
    loops, due = Loops(), []
    for array in (np.tile(x, 7), np.tile(u, 7)):
        for target in FLOATS:
            loops.add("astype", [array], target)
            due.append(array.astype(target))
    for found, right in zip(loops.run(), due, strict=True):
        assert equal(found, right)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int16", "bool"])
def test_every_width(dtype: str, rng: Any) -> None:
    loops, due = Loops(), []
    op = "bitwise_xor" if dtype == "bool" else "add"
    for width in range(1, 71):
        x, y = (rng.integers(0, 2, (2, width)).astype(dtype) for _ in range(2))
        loops.add(op, [x, y[:1]], dtype)
        due.append(np.bitwise_xor(x, y[:1]) if dtype == "bool" else x + y[:1])
    for found, right in zip(loops.run(), due, strict=True):
        assert equal(found, right)


# -- reductions ------------------------------------------------------------------------------------

SIZES = (1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 95, 97, 127, 128, 129, 500, 1023, 1025, 4097)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["sum", "max", "min"])
@pytest.mark.parametrize("where", ["rows", "columns", "transposed rows", "all", "reversed"])
def test_reductions(op: str, where: str, dtype: str, rng: Any) -> None:
    loops, due, scales = Loops(), [], []
    function = {"sum": np.sum, "max": np.max, "min": np.min}[op]
    for n in SIZES:
        x = rng.standard_normal((3, n)).astype(dtype)
        axes: tuple[int, ...] = (1,)
        if where == "columns":
            x, axes = np.ascontiguousarray(x.T), (0,)
        elif where == "transposed rows":
            x = np.asfortranarray(x)
            x = x.T.copy().T
        elif where == "all":
            axes = (0, 1)
        elif where == "reversed":
            x = np.flip(np.flip(x).copy())
        loops.add(op, [x], dtype, reduced=axes)
        exact = x.astype(np.float64)
        due.append(function(exact, axis=axes, keepdims=True))
        scales.append(np.sum(np.abs(exact), axis=axes, keepdims=True))
    eps = float(np.finfo(dtype).eps)
    for n, found, right, scale in zip(SIZES, loops.run(), due, scales, strict=True):
        if op == "sum":
            bound = 4 * math.sqrt(n * (3 if where == "all" else 1)) * eps * scale
            assert np.all(np.abs(found - right) <= bound), n
        else:
            assert np.array_equal(found, right.astype(dtype)), n


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["max", "min"])
def test_nan_is_found_wherever_it_is(op: str, dtype: str, rng: Any) -> None:
    loops = Loops()
    for n in (1, 16, 33, 70):
        for at in range(n):
            x = rng.standard_normal(n).astype(dtype)
            x[at] = math.nan
            loops.add(op, [x], dtype, reduced=(0,))
    assert all(np.isnan(found).all() for found in loops.run())


def test_sums_of_infinities_and_of_nothing_but_zeros() -> None:
    loops = Loops()
    for n in (1, 33, 70):
        for value in (math.inf, -math.inf, -0.0):
            loops.add("sum", [np.full(n, value, "float32")], "float32", reduced=(0,))
    found = [float(f.item()) for f in loops.run()]
    assert found == [math.inf, -math.inf, 0.0] * 3


@pytest.mark.parametrize("op", ["any", "all"])
def test_reductions_of_booleans(op: str) -> None:
    loops, due = Loops(), []
    for n in (1, 31, 32, 33, 70):
        for at in range(n):
            x = np.full((2, n), op == "all")
            x[1, at] = op == "any"
            loops.add(op, [x], "bool", reduced=(1,))
            due.append(getattr(np, op)(x, axis=1, keepdims=True))
    for found, right in zip(loops.run(), due, strict=True):
        assert np.array_equal(found, right)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_sums_of_integers_are_exact(dtype: str, rng: Any) -> None:
    loops, due = Loops(), []
    for n in (1, 33, 1000):
        x = rng.integers(0, 100, (n, 3)).astype(dtype)
        loops.add("sum", [x], dtype, reduced=(0,))
        due.append(x.sum(axis=0, keepdims=True, dtype=dtype))
    for found, right in zip(loops.run(), due, strict=True):
        assert equal(found, right)


# -- gathers ---------------------------------------------------------------------------------------


def test_gathers_of_every_width(rng: Any) -> None:
    table = rng.standard_normal((11, 3)).astype("float32")
    widths = range(1, 71)
    indices = [rng.integers(-11, 11, n) for n in widths]
    fn = ig.compile(lambda t, *indices: [ig.exp(t[i]) for i in indices])
    found = fn(ig.tensor(table), *[ig.tensor(i) for i in indices])
    for out, i in zip(found, indices, strict=True):
        right = np.exp(table[i].astype(np.float64))
        check_close(out.numpy(), right, np.abs(right))


@pytest.mark.parametrize("width", [1, 16, 31, 32, 33, 70])
@pytest.mark.parametrize("bad", [9, -10, 2**40, -(2**62)])
def test_an_index_out_of_range_is_found_wherever_it_is(width: int, bad: int) -> None:
    take = ig.compile(lambda t, i: t[i] * 2.0)
    along = ig.compile(lambda t, i: ig.take_along_axis(t * 1.0, i, axis=0))
    t = ig.ones(9)
    for at in {0, width // 2, width - 1}:
        i = np.zeros(width, np.int64)
        i[at] = bad
        for fn in (take, along):
            with pytest.raises(ig.IndexOutOfRangeError, match=rf"index {bad} is out of range"):
                fn(t, ig.tensor(i))
            # Nothing of that is left for the next call.
            assert fn(t, ig.tensor(np.zeros(width, np.int64))).shape == (width,)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8"])
def test_indices_of_other_dtypes(dtype: str) -> None:
    fn = ig.compile(lambda t, i: t[i])
    i = np.array([0, 3, 8] * 20, dtype)
    assert fn(ig.arange(9), ig.tensor(i)).tolist() == i.tolist()
    i[41] = 100
    with pytest.raises(ig.IndexOutOfRangeError, match="index 100"):
        fn(ig.arange(9), ig.tensor(i))


# -- products --------------------------------------------------------------------------------------

SHAPES = [
    (rows, depth, columns)
    for rows, depth, columns in [
        (1, 1, 1), (1, 7, 33), (2, 3, 1), (3, 257, 31), (5, 16, 32), (6, 1, 65), (7, 5, 17),
        (13, 300, 16), (14, 8, 64), (15, 2, 63), (27, 33, 29), (28, 256, 96), (29, 1, 70),
        (43, 12, 7), (193, 11, 33), (195, 513, 1),
    ]
]  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_tiles_with_odd_rows_and_columns(turned: tuple[bool, bool], dtype: str, rng: Any) -> None:
    arrays = []
    for rows, depth, columns in SHAPES:
        x = rng.standard_normal((depth, rows) if turned[0] else (rows, depth)).astype(dtype)
        y = rng.standard_normal((columns, depth) if turned[1] else (depth, columns)).astype(dtype)
        b = rng.standard_normal(columns).astype(dtype)
        r = rng.standard_normal((rows, columns)).astype(dtype)
        arrays.append((x, y, b, r))

    @ig.compile
    def fn(cases):
        found = []
        for x, y, b, r in cases:
            out = (x.mT if turned[0] else x) @ (y.mT if turned[1] else y) + b
            found.append((out, ig.where(out > 0, out, 0.0) * r))
        return found

    found = fn([tuple(ig.tensor(a) for a in case) for case in arrays])
    eps = float(np.finfo(dtype).eps)
    for (x, y, b, r), outs in zip(arrays, found, strict=True):
        wide = [a.astype(np.float64) for a in (x.T if turned[0] else x, y.T if turned[1] else y)]
        right = wide[0] @ wide[1] + b
        scale = np.abs(wide[0]) @ np.abs(wide[1]) + np.abs(b)
        bound = 4 * math.sqrt(wide[0].shape[1]) * eps * scale + 8 * eps * np.abs(right)
        assert np.all(np.abs(outs[0].numpy() - right) <= bound)
        due = np.maximum(right, 0) * r
        assert np.all(np.abs(outs[1].numpy() - due) <= bound * np.abs(r) + 8 * eps * np.abs(due))


def test_batches_of_products_are_those_of_each(rng: Any) -> None:
    x = rng.standard_normal((2, 1, 5, 7)).astype("float32")
    y = rng.standard_normal((3, 7, 33)).astype("float32")
    out = ig.compile(lambda x, y: ig.tanh(x @ y) + 1.0)(ig.tensor(x), ig.tensor(y))
    right = np.tanh(x.astype(np.float64) @ y) + 1
    assert out.shape == (2, 3, 5, 33)
    np.testing.assert_allclose(out.numpy(), right, rtol=0, atol=2e-5)


# -- threads ---------------------------------------------------------------------------------------


def test_bits_do_not_depend_on_the_number_of_threads(for_any_threads: Any, rng: Any) -> None:
    x = ig.tensor(rng.standard_normal((700, 301)).astype("float32"))
    w = ig.tensor(rng.standard_normal((301, 530)).astype("float32"))
    n = ig.tensor(rng.standard_normal((1 << 18) + 5).astype("float32"))

    def everything(x: Any, w: Any, n: Any) -> Any:
        h = ig.tanh(x @ w)
        return (
            h,
            h.mT @ x,
            ig.sum(h, axis=0),
            ig.sum(h * h, axis=1),
            ig.max(h),
            ig.sum(n * n),
            ig.exp(n),
            ig.nn.functional.softmax(h, dim=-1),
        )

    def run() -> tuple[Array, ...]:
        # Work is divided when a program is first called, so each run makes its own.
        return tuple(out.numpy() for out in ig.compile(lambda *a: everything(*a))(x, w, n))

    for_any_threads(run)


# -- the cache -------------------------------------------------------------------------------------

_PROGRAM = """
import isograd as ig
from isograd_numba.codegen import driver, program

count = 0
make = program.object_code

def counted(module, names):
    global count
    count += 1
    return make(module, names)

program.object_code = driver.object_code = counted
model = ig.nn.Linear(5, 3)
optimizer = ig.optim.Adam(model.parameters())

@ig.compile(state=(model, optimizer))
def step(x):
    loss = (ig.tanh(model(x)) ** 2).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss

with ig.use_backend("numba"):
    losses = [step(ig.ones((4, 5))).item() for _ in range(5)]
assert losses[-1] < losses[0], losses
print(count)
"""


def _in_a_process(folder: Path, cache: Path) -> tuple[int, str]:
    (folder / "program.py").write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, str(folder / "program.py")],
        env={**os.environ, "ISOGRAD_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout), done.stderr


def test_a_second_process_loads_programs_and_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert _in_a_process(tmp_path, cache)[0] == 2  # the driver, and all kernels at once
    assert _in_a_process(tmp_path, cache)[0] == 0
    files = list((cache / "numba").iterdir())
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 255
        file.write_bytes(content)
    assert _in_a_process(tmp_path, cache)[0] == 2
    assert _in_a_process(tmp_path, cache)[0] == 0


def test_programs_run_without_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert _in_a_process(tmp_path, tmp_path / "file" / "cache") == (2, "")


@pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are of POSIX")
def test_a_folder_that_others_can_write_is_not_used_and_named_once(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    count, errors = _in_a_process(tmp_path, cache)
    assert count == 2
    assert errors.count("is writable by other users") == 1
    assert not list(cache.rglob("*.o"))


@pytest.mark.parametrize("shape", [(4, 1), (3, 2, 1), (4, 1, 1), (4, 3)])
def test_costly_values_that_do_not_change_along_the_lanes_are_kept_as_numbers(
    shape: tuple[int, ...], rng: Any
) -> None:
    def spread(x: ig.Tensor, at: ig.Tensor) -> ig.Tensor:
        return ig.var(ig.take(ig.repeat(x, 2, axis=-1), at, axis=0), axis=0, keepdims=True)

    x, at = ig.tensor(rng.standard_normal(shape)), ig.tensor([0, 1, 0, 2])
    due = np.var(np.repeat(x.numpy(), 2, axis=-1)[[0, 1, 0, 2]], axis=0, keepdims=True)
    # Float64, sums of four terms.
    np.testing.assert_allclose(ig.compile(spread)(x, at).numpy(), due, rtol=1e-13)
