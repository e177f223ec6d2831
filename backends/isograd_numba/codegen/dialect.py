"""The dialect: what each elementwise primitive is, on numbers that write code."""

# Rows are lambdas on numbers, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from isograd_numba.codegen.numbers import Number, function, select

__all__ = ["CAST", "DTYPES", "EXPENSIVE", "apply", "knows", "speaks"]

#: Dtypes that code is written for.
DTYPES: Final = frozenset(
    {"float32", "float64", "bool"}
    | {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
)
CAST: Final = "astype"


def _math(name: str) -> Callable[..., Number]:
    return lambda *xs: function(name, xs[0].dtype)(*xs)


def _intrinsic(name: str) -> Callable[..., Number]:
    return lambda *xs: xs[0].writer.intrinsic(name, list(_wide(xs)))


def _wide(xs: Any) -> Any:
    width = max(x.width for x in xs)
    return [x.writer.splat(x, width) if width else x for x in xs]


def _sign(x: Number) -> Number:
    positive = select(x > 0, x.writer.number(1, x.dtype), x.writer.number(0, x.dtype))
    out = select(x < 0, x.writer.number(-1, x.dtype), positive)
    return select(x != x, x, out)


def _maximum(x: Number, y: Number) -> Number:
    return select((x > y) | (x != x), x, y)


def _minimum(x: Number, y: Number) -> Number:
    return select((x < y) | (x != x), x, y)


def _relu(x: Number) -> Number:
    return select(x <= 0, x.writer.number(0, x.dtype), x)


def _relu_grad(g: Number, x: Number) -> Number:
    return select(x <= 0, x.writer.number(0, x.dtype), g)


def _isinf(x: Number) -> Number:
    return _math("absolute")(x) == float("inf")


def _isfinite(x: Number) -> Number:
    return _math("absolute")(x) < float("inf")


def _gelu(x: Number, *, approximate: str) -> Number:
    return _math("gelu_tanh" if approximate == "tanh" else "gelu")(x)


def _gelu_grad(g: Number, x: Number, *, approximate: str) -> Number:
    return g * _math("gelu_tanh_slope" if approximate == "tanh" else "gelu_slope")(x)


def _softplus(x: Number, *, beta: float, threshold: float) -> Number:
    z = x * beta
    return select(z > threshold, x, _math("softplus")(z) / beta)


def _shift_amount(x: Number, y: Number) -> tuple[Number, Number]:
    """Return whether a shift leaves bits of ``x``, and a number that hardware can shift by."""
    bits = np.dtype(x.dtype).itemsize * 8
    inside = (y >= 0) & (y < bits)
    return inside, select(inside, y, y.writer.number(bits - 1, y.dtype))


def _shift_left(x: Number, y: Number) -> Number:
    inside, amount = _shift_amount(x, y)
    return select(inside, x << amount, x.writer.number(0, x.dtype))


def _shift_right(x: Number, y: Number) -> Number:
    inside, amount = _shift_amount(x, y)
    out = x >> amount  # of all bits but one, which leaves the sign
    return out if x.is_signed else select(inside, out, x.writer.number(0, x.dtype))


_FLOAT: Final[dict[str, Callable[..., Number]]] = {
    "div": lambda x, y: x / y,
    "abs": _math("absolute"),
    "sign": _sign,
    "exp": _math("exp"),
    "expm1": _math("expm1"),
    "log": _math("log"),
    "log1p": _math("log1p"),
    "logaddexp": _math("logaddexp"),
    "tanh": _math("tanh"),
    "erf": _math("erf"),
    "sqrt": _intrinsic("sqrt"),
    "sin": _intrinsic("sin"),
    "cos": _intrinsic("cos"),
    "pow": _intrinsic("pow"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"),
    "round": _intrinsic("rint"),
    "copysign": _intrinsic("copysign"),
    "maximum": _maximum,
    "minimum": _minimum,
    "isnan": lambda x: x != x,
    "isinf": _isinf,
    "isfinite": _isfinite,
    "relu": _relu,
    "relu_grad": _relu_grad,
    "sigmoid": _math("sigmoid"),
    "sigmoid_grad": lambda g, out: g * out * (1.0 - out),
    "tanh_grad": lambda g, out: g * ((1.0 - out) * (1.0 + out)),
    "silu": _math("silu"),
    "silu_grad": lambda g, x: g * _math("silu_slope")(x),
    "softplus": _softplus,
    "gelu": _gelu,
    "gelu_grad": _gelu_grad,
}
_NUMERIC: Final[dict[str, Callable[..., Number]]] = {
    "neg": lambda x: -x,
    "square": lambda x: x * x,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
}
_ANY: Final[dict[str, Callable[..., Number]]] = {
    "equal": lambda x, y: x == y,
    "not_equal": lambda x, y: x != y,
    "where": select,
}
_BITS: Final[dict[str, Callable[..., Number]]] = {
    "bitwise_and": lambda x, y: x & y,
    "bitwise_or": lambda x, y: x | y,
    "bitwise_xor": lambda x, y: x ^ y,
    "bitwise_invert": lambda x: ~x,
    "bitwise_left_shift": _shift_left,
    "bitwise_right_shift": _shift_right,
}
_TABLE: Final = {**_FLOAT, **_NUMERIC, **_ANY, **_BITS}

#: What is better kept than computed again.
EXPENSIVE: Final = frozenset(
    {"div", "exp", "expm1", "log", "log1p", "tanh", "erf", "sqrt", "sin", "cos", "pow"}
    | {"sigmoid", "silu", "silu_grad", "gelu", "gelu_grad", "logaddexp", "softplus", "gather"}
)


def knows(name: str) -> bool:
    """Tell whether a primitive has code here, for some dtypes."""
    return name in _TABLE


def speaks(name: str, dtypes: list[str]) -> bool:
    """Tell whether a primitive of these operands (dtypes, the result's last) has code here."""
    if not DTYPES.issuperset(dtypes):
        return False
    if name == CAST:
        return not (dtypes[0].startswith("float") and dtypes[1].startswith("uint"))
    kind = dtypes[-2] if len(dtypes) > 1 else dtypes[-1]
    if name in _FLOAT:
        return kind.startswith("float")
    if name in _NUMERIC:
        return kind != "bool"
    if name in _BITS:
        return not kind.startswith("float")
    return name in _ANY


def apply(name: str, args: list[Number], static: dict[str, Any]) -> Number:
    """Write a primitive's instructions."""
    if name == "where" and args[0].width < max(a.width for a in args) and args[0].width:
        args = _wide(args)
    return _TABLE[name](*args, **static)
