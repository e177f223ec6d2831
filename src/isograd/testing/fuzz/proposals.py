"""What a random program may do next: each proposal adds an input or a few steps, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from isograd.testing.fuzz.generate import Builder
from isograd.testing.fuzz.program import Ref

__all__ = ["FIRST", "PROPOSALS", "WEIGHTS"]

Proposal = Callable[[Builder], object]

_ANY = ["exp", "expm1", "sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "asinh", "erf"]
_TAME = ["negative", "abs", "square", "floor", "ceil", "trunc", "round", "sign", "positive"]
_POSITIVE = ["log", "log2", "log10", "sqrt", "log1p", "rsqrt", "reciprocal"]
_UNIT = ["asin", "acos", "atanh"]
_ACTIVATIONS = ["relu", "sigmoid", "silu", "gelu", "softplus", "tanh"]
_BINARY = [
    *("add", "add", "add", "subtract", "subtract", "multiply", "multiply", "multiply", "divide"),
    *("maximum", "minimum", "hypot", "atan2", "logaddexp", "copysign", "remainder"),
    "floor_divide",
]
_COMPARISONS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
_SUMS = [
    *("sum", "sum", "sum", "mean", "mean", "prod", "var", "std", "norm", "logsumexp", "max", "min"),
]


def float_input(b: Builder) -> None:
    """Add floats."""
    style = b.choice(["normal", "normal", "normal", "whole"])
    if b.special and b.chance(0.4):
        style = "special"
    b.input(b.choice(b.floats), b.shape(), style=style)


def other_input(b: Builder) -> None:
    """Add ints, bools or a Python number."""
    match b.below(3):
        case 0:
            dtype = b.choice(["int64", "int64", "int32", "int8", "uint8"])
            b.input(dtype, b.shape(), style="whole", low=0 if dtype == "uint8" else -5, high=9)
        case 1:
            b.input("bool", b.shape(), style="whole", low=0, high=2)
        case _:
            b.input("float64", (), kind="number")


# -- elementwise -----------------------------------------------------------------------------------


def unary(b: Builder) -> None:
    """Apply a function of one float, after bringing its argument into the function's domain."""
    x = b.pick()
    if x is None:
        return
    wild = b.special and b.chance(0.3)
    largest = np.abs(b[x].numpy()).max(initial=0.0)
    match b.below(5):
        case 0:
            name = b.choice(_ANY)
            if not wild and largest > 6.0:
                x = b.step("ig.tanh", x)
        case 1:
            name = b.choice(_TAME)
        case 2:
            name = b.choice(_POSITIVE)
            made = x if wild else b.step("ig.abs", x)
            x = made if made is None or wild else b.step("ig.add", made, 0.25)
        case 3:
            name = b.choice(_UNIT)
            made = x if wild else b.step("ig.sin", x)
            x = made if made is None or wild else b.step("ig.multiply", made, 0.875)
        case _:
            name = b.choice(_ACTIVATIONS)
            b.step(f"F.{name}", x)
            return
    if x is not None:
        b.step(f"ig.{name}", x)


def binary(b: Builder) -> None:
    """Apply a function of two numbers, of which one may be Python's."""
    x = b.pick("fffi")
    if x is None:
        return
    name = b.choice(_BINARY)
    number: Any = b.choice([2.0, 0.5, -1.5, 3, -2, 0.0 if name in ("add", "multiply") else 1.0])
    if b.numbers and b.chance(0.5):
        y: Any = b.choice(b.numbers)
    elif b.chance(0.3):
        y = number
    else:
        y = b.partner(b[x], "fffi")
    if y is None:
        return
    if b[x].dtype.kind != "f" and isinstance(y, int):
        if name not in ("add", "subtract", "multiply", "maximum", "floor_divide", "remainder"):
            return
        y = 3
    if b.chance(0.3):
        x, y = y, x
    b.step(f"ig.{name}", x, y)


def power(b: Builder) -> None:
    """Raise to a power: any base to a whole one, positive ones to others."""
    x = b.pick()
    if x is None:
        return
    exponent: Any = b.choice([2, 3, 2.0, -1.0, 0.5, 1.5, 0.0, -2, 1])
    if not float(exponent).is_integer() or b.chance(0.3):
        x = b.step("ig.abs", x)
        x = None if x is None else b.step("ig.add", x, 0.125)
        other = None if x is None else b.partner(b[x])
        if other is not None and b.chance(0.5):
            exponent = b.step("ig.sin", other)
    if x is not None and exponent is not None:
        b.step("ig.pow", x, exponent)


def whole(b: Builder) -> None:
    """Compute with ints and bools."""
    x = b.pick("iub")
    if x is None:
        return
    boolean = b[x].dtype.kind == "b"
    if b.chance(0.3):
        names = ["logical_not"] if boolean else ["abs", "sign", "square"]
        b.step(f"ig.{b.choice([*names, 'bitwise_invert'])}", x)
        return
    y = b.partner(b[x], b[x].dtype.kind)
    if y is None or b[y].dtype != b[x].dtype:
        return
    names = ["bitwise_and", "bitwise_or", "bitwise_xor"]
    names += [] if boolean else ["add", "subtract", "multiply", "maximum", "floor_divide"]
    b.step(f"ig.{b.choice(names)}", x, y)


def compare(b: Builder) -> None:
    """Compare two values, or ask something about one."""
    x = b.pick("fi")
    if x is None:
        return
    if b.chance(0.2) and b[x].dtype.kind == "f":
        b.step(f"ig.{b.choice(['isnan', 'isfinite', 'signbit'])}", x)
        return
    y: Any = b.choice([0.0, 1, 0.5]) if b.chance(0.3) else b.partner(b[x], "fi")
    if y is not None:
        b.step(f"ig.{b.choice(_COMPARISONS)}", x, y)


def select(b: Builder) -> None:
    """Choose between two values, or clip one."""
    x = b.pick()
    if x is None:
        return
    if b.chance(0.4):
        low, high = b.choice([(-1.0, 1.0), (0, None), (None, 0.5), (-0.5, 2)])
        b.step("ig.clip", x, low, high)
        return
    condition = b.partner(b[x], "b")
    if condition is None:
        compare(b)
        condition = b.partner(b[x], "b")
    y: Any = b.choice([0.0, -1.0, 2]) if b.chance(0.4) else b.partner(b[x])
    if condition is None or y is None:
        return
    x, y = (y, x) if b.chance(0.5) else (x, y)
    shapes = [b[r].shape for r in (condition, x, y) if isinstance(r, Ref)]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return
    b.step("ig.where", condition, x, y)


def convert(b: Builder) -> None:
    """Change the dtype."""
    x = b.pick("fiub")
    if x is None:
        return
    dtype = b.choice([*b.floats, *b.floats, "int64", "int32", "float64", "bool"])
    finite = b[x].dtype.kind != "f" or bool(np.isfinite(b[x].numpy()).all())
    if dtype.startswith("int") and (b.special or not finite):
        return
    b.step("ig.astype", x, dtype)


# -- reductions ------------------------------------------------------------------------------------


def reduce(b: Builder) -> None:
    """Reduce axes."""
    x = b.pick("ffffib")
    if x is None:
        return
    kind = b[x].dtype.kind
    name = b.choice({"f": _SUMS, "i": ["sum", "max", "min"], "b": ["any", "all"]}[kind])
    if b[x].size == 0 and name not in ("sum", "any", "all"):
        return
    b.step(f"ig.{name}", x, axis=b.axes(b[x]), keepdims=b.chance(0.4))


def along(b: Builder) -> None:
    """Scan, sort, or find along an axis."""
    x = b.pick("fffi", lambda x: x.ndim > 0 and x.size > 0)
    if x is None:
        return
    axis = b.axis(b[x])
    if b[x].dtype.kind == "f" and b.chance(0.4):
        if b.chance(0.2):
            b.step("F.linear", x, b.input(str(b[x].dtype), (3, b[x].shape[-1])))
            return
        b.step(f"F.{b.choice(['softmax', 'softmax', 'log_softmax'])}", x, axis)
        return
    names = ["argmax", "argmin", "argsort", "cumulative_sum", "cumulative_prod", "sort"]
    b.step(f"ig.{b.choice(names)}", x, axis=axis)


def loss(b: Builder) -> None:
    """Compute a loss, of classes or of a difference."""
    x = b.pick("f", lambda x: x.ndim == 2 and x.size > 0)
    if x is None:
        return
    reduction = b.choice(["mean", "sum", "none"])
    if b.chance(0.3):
        y = b.input(str(b[x].dtype), b[x].shape)
        b.step(f"F.{b.choice(['mse_loss', 'l1_loss'])}", x, y, reduction=reduction)
        return
    rows, classes = b[x].shape
    labels = b.input("int64", (rows,), style="whole", low=0, high=classes)
    smoothing = b.choice([0.0, 0.1])
    b.step("F.cross_entropy", x, labels, reduction=reduction, label_smoothing=smoothing)


# -- movement --------------------------------------------------------------------------------------


def rearrange(b: Builder) -> None:
    """Reshape or permute."""
    x = b.pick("fffib")
    if x is None:
        return
    shape = list(b[x].shape)
    match b.below(4):
        case 0 if shape:
            b.step("ig.permute_dims", x, b.order(len(shape)))
        case 1 if len(shape) > 1:
            at = b.below(len(shape) - 1)
            b.step("ig.reshape", x, (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :]))
        case 2:
            at = b.below(len(shape) + 1)
            b.step("ig.reshape", x, (*shape[:at], 1, *shape[at:]))
        case _:
            size = prod(shape)
            factors = [n for n in (2, 3, 4, 5, 7) if size and size % n == 0]
            first = b.choice([*factors, 1])
            b.step("ig.reshape", x, (first, size // first))


def view(b: Builder) -> None:
    """Slice, flip, roll or widen."""
    x = b.pick("fffib", lambda x: x.ndim > 0)
    if x is None:
        return
    match b.below(6):
        case 0:
            b.step("ig.flip", x, axis=b.choice([None, b.axis(b[x])]))
        case 1:
            b.step("ig.roll", x, b.below(5) - 2, axis=b.axis(b[x]))
        case 2:
            b.step("ig.broadcast_to", x, (b.choice([1, 2, 3]), *b[x].shape))
        case 3 if b[x].ndim > 1:
            b.step(f"ig.{b.choice(['tril', 'triu'])}", x, k=b.below(3) - 1)
        case _:
            b.step("x[]", x, basic_index(b, b[x].shape))


def basic_index(b: Builder, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return an index of slices, ints, None and ``...``."""
    items: list[Any] = []
    for n in shape:
        match b.below(6):
            case 0 if n:
                items.append(b.below(2 * n) - n)
            case 1:
                items.append(slice(None, None, b.choice([-1, 2, -2, 3])))
            case 2 if n > 1:
                items.append(slice(b.below(n), None))
            case 3 if n > 1:
                items.append(slice(None, -b.below(n) or None))
            case 4:
                items += [None, slice(None)] if b.chance(0.3) else [slice(None)]
            case _:
                items.append(slice(None))
    if b.chance(0.2):
        items = [*items[: b.below(len(items) + 1)], Ellipsis]
    return tuple(items)


def enlarge(b: Builder) -> None:
    """Pad, join or repeat."""
    x = b.pick("fffib", lambda x: x.ndim > 0)
    if x is None:
        return
    axis = b.axis(b[x])
    match b.below(5):
        case 0:
            widths = [(b.below(3), b.below(2)) for _ in b[x].shape]
            b.step("ig.pad", x, widths, constant_values=b.choice([0, 1, -2]))
        case 1 | 2:
            wanted = b[x]

            def fits(y: Any) -> bool:
                at = axis % wanted.ndim
                return y.ndim == wanted.ndim and all(
                    n == m or i == at
                    for i, (n, m) in enumerate(zip(y.shape, wanted.shape, strict=True))
                )

            others = [b.pick(wanted.dtype.kind, fits) for _ in range(b.below(2) + 1)]
            b.step("ig.concat", [x, *[o for o in others if o is not None]], axis=axis)
        case 3:
            same = b[x].shape
            other = b.pick(b[x].dtype.kind, lambda y: y.shape == same)
            b.step("ig.stack", [x, x if other is None else other], axis=b.axis(b[x]))
        case _:
            b.step("ig.repeat", x, b.below(2) + 1, axis=axis)


# -- indexing, contraction, random numbers ---------------------------------------------------------


def gather(b: Builder) -> None:
    """Read at indices that are data."""
    x = b.pick("ffffi", lambda x: x.ndim > 0 and x.size > 0)
    if x is None:
        return
    shape = b[x].shape
    match b.below(4):
        case 0:
            axis = b.axis(b[x])
            b.step("ig.take", x, b.indices(shape[axis]), axis=axis)
        case 1:
            axis = b.axis(b[x])
            order = b.step("ig.argsort", x, axis=axis)
            if order is not None:
                b.step("ig.take_along_axis", x, order, axis=axis)
        case 2 if len(shape) > 1:
            common: tuple[int, ...] = b.choice([(2,), (3,), (2, 2)])
            index = [b.indices(n, common) for n in shape[:2]]
            b.step("x[]", x, tuple(index) if b.chance(0.6) else (index[0], slice(None)))
        case _:
            b.step("x[]", x, (..., b.indices(shape[-1])))


def put(b: Builder) -> None:
    """Write at indices."""
    x = b.pick("ffffi", lambda x: x.ndim > 0 and x.size > 0)
    if x is None:
        return
    shape = b[x].shape
    function = b.choice(["x.at[].set", "x.at[].add"])
    whole = b[x].dtype.kind == "i"
    if b.chance(0.4):
        index: Any = basic_index(b, shape)
        b.step(function, x, index, 2 if whole else b.choice([0.5, -1.0]))
        return
    index = b.indices(shape[0])
    if b.chance(0.4) or whole:
        b.step(function, x, (index,), 3)
        return
    updates = b.input(str(b[x].dtype), (*b[index].shape, *shape[1:]))
    if b[index].ndim != 1 or b.chance(0.5):
        b.step(function, x, (index,), updates)
    else:
        b.step("ig.index_add", x, 0, index, updates)


def contract(b: Builder) -> None:
    """Multiply matrices, or vectors."""
    x = b.pick("f", lambda x: x.ndim > 0)
    if x is None:
        return
    shape, dtype = b[x].shape, str(b[x].dtype)
    match b.below(6):
        case 0 if len(shape) > 1:
            turned = b.step("ig.matrix_transpose", x)
            if turned is not None:
                b.step("ig.matmul", *b.choice([(x, turned), (turned, x)]))
        case 1 if len(shape) == 1:
            b.step("ig.outer", x, b.input(dtype, b.shape(1)))
        case 2:
            b.step("ig.vecdot", x, b.input(dtype, shape), axis=b.axis(b[x]))
        case 3:
            b.step("ig.tensordot", x, b.input(dtype, (shape[-1], 2)), axes=1)
        case 4 if len(shape) > 1:
            weight = b.input(dtype, (b.choice(b.sizes), shape[-1]))
            b.step("F.linear", x, weight, b.input(dtype, (b[weight].shape[0],)))
        case _:
            other = b.choice([(shape[-1],), (shape[-1], 3), (1, shape[-1], 2)])
            b.step("ig.matmul", x, b.input(dtype, other))


def draw(b: Builder) -> None:
    """Draw random numbers, or drop some elements."""
    dtype = b.choice(b.floats)
    match b.below(5):
        case 0:
            b.step("ig.random.normal", b.shape(), dtype=dtype)
        case 1:
            b.step("ig.random.uniform", b.shape(), low=-1.0, high=2.0, dtype=dtype)
        case 2:
            b.step("ig.random.integers", -3, 5, b.shape())
        case _:
            x = b.pick()
            if x is not None:
                b.step("F.dropout", x, b.choice([0.3, 0.5, 0.0]))


def create(b: Builder) -> None:
    """Make values that depend on no input."""
    match b.below(4):
        case 0:
            b.step("ig.arange", b.choice(b.sizes), dtype=b.choice(["int64", *b.floats]))
        case 1:
            b.step("ig.full", b.shape(), b.choice([0.0, -0.0, 1.0, 2.5]), dtype=b.choice(b.floats))
        case 2:
            b.step("ig.eye", b.choice([1, 2, 3]), b.choice([2, 3]), dtype=b.choice(b.floats))
        case _:
            x = b.pick()
            if x is not None:
                b.step("ig.zeros_like", x)


FIRST: Proposal = float_input

_CHANCES: dict[Proposal, int] = {
    float_input: 6,
    other_input: 3,
    unary: 16,
    binary: 20,
    power: 3,
    whole: 3,
    compare: 4,
    select: 6,
    convert: 3,
    reduce: 12,
    along: 7,
    loss: 2,
    rearrange: 8,
    view: 8,
    enlarge: 7,
    gather: 6,
    put: 5,
    contract: 8,
    draw: 4,
    create: 4,
}
PROPOSALS = tuple(_CHANCES)
WEIGHTS = np.array(list(_CHANCES.values())) / sum(_CHANCES.values())
