"""Elementwise primitives: a row each, rendered into one module of CUDA C for every dtype."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from isograd.backend import Kernel
from isograd_cupy._launch import C_TYPES, Kernels, read
from isograd_cupy._layout import broadcast, c_type, compute_type, empty, is_half, layout_of

__all__ = [
    "ELEMENTWISE",
    "WHOLE",
    "cast",
    "cast_module",
    "contiguous",
    "copy_into",
    "elementwise_module",
    "expression_of",
    "in_float32",
    "kernel_text",
    "run",
    "widened",
]

#: Functions of one float that CUDA, or math.cu, has under the primitive's name.
_FUNCTIONS: Final = (
    *("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "asin", "acos"),
    *("atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "floor", "ceil", "trunc"),
    *("sigmoid", "erfc"),
)
#: Those of them that complex numbers have not.
_REAL: Final = frozenset({"erf", "floor", "ceil", "trunc", "sigmoid", "erfc"})
#: Primitive -> kinds of dtypes (f floats, c complex, i signed and u unsigned integers, b bool) and
#: expression in x and y of the type to compute in; the result has the dtype of the arguments.
_UNARY: Final = {
    **{name: ("f" if name in _REAL else "fc", f"{name}(x)") for name in _FUNCTIONS},
    "round": ("fc", "rint(x)"),
    "neg": ("fciu", "-x"),
    "conj": ("c", "conjugate(x)"),
    "sign": ("fiu", "sign_of(x)"),
    "square": ("fciu", "x * x"),
    "bitwise_invert": ("iu", "~x"),
    "relu": ("fiu", "x <= A(0) ? A(0) : x"),
    "silu": ("f", "x * sigmoid(x)"),
    "gelu_none": ("f", "gelu(x)"),
    "gelu_tanh": ("f", "gelu_tanh(x)"),
    "copy": ("fciub", "x"),
}
_BINARY: Final = {
    "add": ("fciu", "x + y"),
    "sub": ("fciu", "x - y"),
    "mul": ("fciu", "x * y"),
    "div": ("fc", "x / y"),
    "maximum": ("fiu", "larger(x, y)"),
    "minimum": ("fiu", "smaller(x, y)"),
    "atan2": ("f", "atan2(x, y)"),
    "hypot": ("f", "hypot(x, y)"),
    "logaddexp": ("f", "log_add_exp(x, y)"),
    "copysign": ("f", "copysign(x, y)"),
    "bitwise_and": ("iub", "x & y"),
    "bitwise_or": ("iub", "x | y"),
    "bitwise_xor": ("iub", "x ^ y"),
    "bitwise_left_shift": ("iu", "shift_left(x, y)"),
    "bitwise_right_shift": ("iu", "shift_right(x, y)"),
    "relu_grad": ("fiu", "y <= A(0) ? A(0) : x"),
    "sigmoid_grad": ("f", "x * (y * (A(1) - y))"),
    "tanh_grad": ("f", "x * ((A(1) - y) * (A(1) + y))"),
    "silu_grad": ("f", "x * (sigmoid(y) * (A(1) + y * sigmoid(-y)))"),
    "gelu_grad_none": ("f", "x * gelu_slope(y)"),
    "gelu_grad_tanh": ("f", "x * gelu_tanh_slope(y)"),
}
#: Primitives whose expression depends on the kind of the dtype.
_BY_KIND: Final = {
    "abs": {"f": "fabs(x)", "i": "x < A(0) ? -x : x", "u": "x"},
    "pow": {"fc": "pow(x, y)", "iu": "integer_power(x, y)"},
    "floor_divide": {"f": "float_floor_divide(x, y)", "iu": "integer_floor_divide(x, y)"},
    "remainder": {"f": "float_remainder(x, y)", "iu": "integer_remainder(x, y)"},
}
_BOOL: Final = {
    "add": "x || y",
    "mul": "x && y",
    "maximum": "x || y",
    "minimum": "x && y",
    "bitwise_invert": "!x",
}
#: Those whose result is a bool.
_TESTS: Final = {
    "isnan": {"fc": "isnan(x)", "iub": "false"},
    "isinf": {"fc": "isinf(x)", "iub": "false"},
    "isfinite": {"fc": "isfinite(x)", "iub": "true"},
    "signbit": {"f": "signbit(x)", "i": "x < A(0)", "ub": "false"},
    "equal": {"fciub": "x == y"},
    "not_equal": {"fciub": "x != y"},
    "less": {"fiub": "x < y"},
    "less_equal": {"fiub": "x <= y"},
    "greater": {"fiub": "x > y"},
    "greater_equal": {"fiub": "x >= y"},
}


def _arity(expression: str) -> int:
    words = set("".join(c if c.isalnum() or c == "_" else " " for c in expression).split())
    return 2 if "y" in words else 1


def _chosen(table: Mapping[str, Mapping[str, str]], kind: str) -> dict[str, str]:
    """Return the expressions of a table for one kind of dtype."""
    found: dict[str, str] = {}
    for name, choices in table.items():
        for kinds, expression in choices.items():
            if kind in kinds:
                found[name] = expression
    return found


def _rows(kind: str) -> dict[str, tuple[str, bool]]:
    """Return (expression, whether its result is a bool) of each primitive for a kind of dtype."""
    rows = {name: (e, False) for name, (kinds, e) in {**_UNARY, **_BINARY}.items() if kind in kinds}
    for name, expression in _chosen(_BY_KIND, kind).items():
        rows[name] = expression, False
    if kind == "b":
        rows.update({name: (e, False) for name, e in _BOOL.items()})
    for name, expression in _chosen(_TESTS, kind).items():
        rows[name] = expression, True
    return rows


#: Tests of one argument.
_ONE: Final = frozenset({"isnan", "isinf", "isfinite", "signbit"})


def kernel_text(name: str, types: tuple[str, ...], result: str, out: str = "T") -> str:
    """Render one kernel: its arguments are called x, y, z and have these types."""
    letters = "xyz"[: len(types)]
    parameters = [f"const {kind}* {n}_in" for n, kind in zip(letters, types, strict=True)]
    loads = " ".join(f"const auto {n} = widen({n}_in[at[{i}]]);" for i, n in enumerate(letters))
    filled = {
        "NAME": f"map_{name}",
        "PARAMETERS": ", ".join([*parameters, f"{out}* out"]),
        "COUNT": str(len(types) + 1),
        "LAST": str(len(types)),
        "LOADS": loads,
        "RESULT": result,
    }
    text = read("elementwise")
    for key, value in filled.items():
        text = text.replace(f"@{key}@", value)
    return text


def _kind(dtype: np.dtype[Any]) -> str:
    return "f" if dtype.name in ("bfloat16",) else dtype.kind


@functools.cache
def elementwise_module(dtype: np.dtype[Any], /) -> Kernels:
    """Return the module with every elementwise kernel of a dtype."""
    kind = _kind(dtype)
    parts = [read("math"), *[read("complex_math")] * (kind == "c")]
    for name, (expression, is_test) in _rows(kind).items():
        count = 1 if name in _ONE else 2 if is_test else _arity(expression)
        result = expression if is_test else f"(A)({expression})"
        parts.append(kernel_text(name, ("T",) * count, result, "bool" if is_test else "T"))
    parts.append(kernel_text("where", ("bool", "T", "T"), "x ? y : z"))
    if kind in "fc":
        factor = kernel_text("scale", ("T",), "scaled(x, factor)")
        parts.append(factor.replace("long long n)", "long long n, double factor)"))
    joined = expression_of("complex", dtype, {})
    if joined is not None:
        parts.append(kernel_text("complex", ("T", "T"), joined, C_TYPES[WHOLE[dtype.name]]))
    if kind == "f":
        # Works on the stored bits, so it loads them itself.
        body = kernel_text("nextafter", ("T", "T"), "").replace("widen(x_in[at[0]])", "x_in[at[0]]")
        body = body.replace("widen(y_in[at[1]])", "y_in[at[1]]")
        parts.append(body.replace("narrow(out + at[2], )", "out[at[2]] = next_after(x, y)"))
        scaled = kernel_text("softplus", ("T",), "softplus(x, (A)beta, (A)threshold)")
        parts.append(scaled.replace("long long n)", "long long n, double beta, double threshold)"))
    return Kernels("\n".join(parts), {"T": c_type(dtype), "A": compute_type(dtype)})


#: The dtype of complex numbers with such parts.
WHOLE: Final = {"float32": "complex64", "float64": "complex128"}
_SINGLE: Final = np.dtype(np.float32)
_LIMITS: Final = {name: np.iinfo(name) for name in C_TYPES if "int" in name}


@functools.cache
def cast_module(dtype: np.dtype[Any], /) -> Kernels:
    """Return the module with the casts from a dtype to every other one."""
    parts = [read("math")]
    for name, kind in C_TYPES.items():
        if dtype.kind == "c" and not name.startswith(("complex", "bool")):
            continue  # isograd has no such cast
        result = _cast_expression(_kind(dtype), name)
        parts.append(kernel_text(f"to_{name}", ("T",), result, kind))
    return Kernels("\n".join(parts), {"T": c_type(dtype), "A": compute_type(dtype)})


def _cast_expression(kind: str, name: str) -> str:
    """Return x, of a kind of dtype, as the dtype of this name."""
    c = C_TYPES[name]
    if name == "bool":
        return "x != A(0)"
    if name in ("float16", "bfloat16"):
        return "(float)x"
    if kind != "f" or "int" not in name:
        return f"({c})x"
    low, high = _LIMITS[name].min, _LIMITS[name].max
    # The literals are the type's own ends; the doubles beside them are powers of two.
    ends = f"({c})({low + 1}LL - 1)" if low else "0", f"({c}){high}ULL"
    return f"clamped<{c}>(x, {float(low)!r}, {float(high)!r}, {ends[0]}, {ends[1]})"


def expression_of(name: str, dtype: np.dtype[Any], static: Mapping[str, Any], /) -> str | None:
    """Return the expression in x and y of an elementwise primitive, or None."""
    kind = _kind(dtype)
    if name == "astype":
        return _cast_expression(kind, static["dtype"].name)
    if name == "softplus" and kind == "f":
        beta, threshold = float(static["beta"]), float(static["threshold"])
        return f"softplus(x, (A){beta!r}, (A){threshold!r})"
    if name == "complex" and dtype.name in WHOLE:
        return f"{C_TYPES[WHOLE[dtype.name]]}(x, y)"
    if name in ("real", "imag") and kind == "c":
        return f"x.{name[:2]}"
    if name in ("gelu", "gelu_grad"):
        name = f"{name}_{static['approximate']}"
    if name == "nextafter" and kind == "f":
        return "next_after(x, y)"
    if name in ("floor", "ceil", "trunc", "round") and kind in "iu":
        return "x"
    row = _rows(kind).get(name)
    return None if row is None else row[0]


def run(module: Kernels, name: str, out: Any, arrays: tuple[Any, ...], *scalars: float) -> Any:
    """Compute one of the kernels into ``out``, to whose shape the arrays broadcast."""
    shape = out.shape
    views = [a if a.shape == shape else broadcast(a, shape) for a in arrays]
    layout = layout_of(shape, [*views, out])
    module.over(f"map_{name}", (*views, out, layout, out.size, *scalars), out.size)
    return out


def _shape_of(arrays: tuple[Any, ...]) -> tuple[int, ...]:
    first = arrays[0].shape
    if all(a.shape == first for a in arrays):
        return first
    return np.broadcast_shapes(*[a.shape for a in arrays])


def _same(name: str) -> Kernel:
    def kernel(*arrays: Any) -> Any:
        dtype = arrays[0].dtype
        out = empty(_shape_of(arrays), dtype)
        return run(elementwise_module(dtype), name, out, arrays)

    return kernel


def _test(name: str) -> Kernel:
    def kernel(*arrays: Any) -> Any:
        out = empty(_shape_of(arrays), np.dtype(bool))
        return run(elementwise_module(arrays[0].dtype), name, out, arrays)

    return kernel


def _where(condition: Any, x: Any, y: Any) -> Any:
    out = empty(_shape_of((condition, x, y)), x.dtype)
    return run(elementwise_module(x.dtype), "where", out, (condition, x, y))


def cast(x: Any, dtype: np.dtype[Any], /) -> Any:
    """Return the values in another dtype; the array itself where it has that dtype."""
    if x.dtype == dtype:
        return x
    return run(cast_module(x.dtype), f"to_{dtype.name}", empty(x.shape, dtype), (x,))


def copy_into(out: Any, x: Any, /) -> Any:
    """Write values to an array of any strides, to whose shape they broadcast."""
    return run(elementwise_module(out.dtype), "copy", out, (x,))


def contiguous(x: Any, /) -> Any:
    """Return the array in C order, itself where it is so."""
    return x if x.flags.c_contiguous else copy_into(empty(x.shape, x.dtype), x)


def _astype(x: Any, *, dtype: np.dtype[Any]) -> Any:
    return cast(x, dtype)


def _unless_integer(kernel: Kernel) -> Kernel:
    def rounded(x: Any) -> Any:
        return x if x.dtype.kind in "iu" else kernel(x)

    return rounded


def _approximate(name: str) -> Kernel:
    def kernel(*arrays: Any, approximate: str) -> Any:
        dtype = arrays[0].dtype
        out = empty(_shape_of(arrays), dtype)
        return run(elementwise_module(dtype), f"{name}_{approximate}", out, arrays)

    return kernel


def _softplus(x: Any, *, beta: float, threshold: float) -> Any:
    out = empty(x.shape, x.dtype)
    return run(elementwise_module(x.dtype), "softplus", out, (x,), float(beta), float(threshold))


def _identity(x: Any) -> Any:
    return x


def widened(x: Any, /) -> Any:
    """Return 16-bit floats as float32, other arrays unchanged."""
    return cast(x, _SINGLE) if is_half(x.dtype) else x


def in_float32(kernel: Callable[..., Any], /) -> Kernel:
    """Make a kernel compute 16-bit floats in float32 and round its result once."""

    def wide(*arrays: Any, **static: Any) -> Any:
        dtype = next((a.dtype for a in arrays if is_half(a.dtype)), None)
        if dtype is None:
            return kernel(*arrays, **static)
        out = kernel(*[widened(a) for a in arrays], **static)
        return cast(out, dtype)

    return wide


_SPECIAL = ("gelu_none", "gelu_tanh", "gelu_grad_none", "gelu_grad_tanh", "copy")

ELEMENTWISE: Final[dict[str, Kernel]] = {
    **{n: _same(n) for n in (*_UNARY, *_BINARY, *_BY_KIND, "nextafter") if n not in _SPECIAL},
    **{n: _test(n) for n in _TESTS},
    **{n: _unless_integer(_same(n)) for n in ("floor", "ceil", "trunc", "round")},
    "where": _where,
    "astype": _astype,
    "stop_gradient": _identity,
    "gelu": _approximate("gelu"),
    "gelu_grad": _approximate("gelu_grad"),
    "softplus": _softplus,
}
