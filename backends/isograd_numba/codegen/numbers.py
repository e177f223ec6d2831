"""Numbers that write LLVM instructions: operators on them build the code of a loop's body.

A `Number` is a scalar or a vector register of one dtype. The functions of `isograd_numba._math` are
Python functions of numbers, so running one on a `Number` writes its instructions; where they choose
(``a if x > 0 else b``) a select is written, which needs their syntax tree.
"""

# Rows are lambdas on numbers, so their types are not written out.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import ast
import functools
import tokenize
import types
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from isograd_numba import _math
from isograd_numba._jit import ByDtype, Inlined
from isograd_numba._llvm import ir as _llvm_ir
from isograd_numba._tile import shape_for

__all__ = ["Number", "Writer", "function", "select"]

Instruction = Any

_COMPARE: Final = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "==": "==", "!=": "!="}


class Writer:
    """Where instructions go, with types and constants."""

    def __init__(self, builder: Any) -> None:
        self.ir = _llvm_ir()
        self.builder = builder
        self.i64 = self.ir.IntType(64)
        self.i32 = self.ir.IntType(32)
        self.byte = self.ir.IntType(8)

    def scalar_type(self, dtype: str) -> Any:
        """Return the type of a value in a register."""
        if dtype == "float32":
            return self.ir.FloatType()
        if dtype == "float64":
            return self.ir.DoubleType()
        return self.ir.IntType(1 if dtype == "bool" else 8 * np.dtype(dtype).itemsize)

    def type(self, dtype: str, width: int) -> Any:
        """Return the type of a register of ``width`` values; 0 is a scalar."""
        scalar = self.scalar_type(dtype)
        return self.ir.VectorType(scalar, width) if width else scalar

    def const(self, value: int) -> Any:
        return self.ir.Constant(self.i64, value)

    def number(self, value: Any, dtype: str, width: int = 0) -> Number:
        """Return a constant."""
        kind = self.scalar_type(dtype)
        if dtype in ("float32", "float64"):
            plain: Any = float(np.asarray(value, dtype))
        elif dtype == "bool":
            plain = int(bool(value))
        elif np.dtype(dtype).kind in "iu":
            plain = int(value)
        else:  # bits that are only moved
            plain = int.from_bytes(np.asarray(value, dtype).tobytes(), "little")
        constant = self.ir.Constant(kind, plain)
        if width:
            constant = self.ir.Constant(self.ir.VectorType(kind, width), [plain] * width)
        return Number(self, constant, dtype, width)

    def splat(self, x: Number, width: int) -> Number:
        """Return a register with the scalar in all places."""
        if x.width == width:
            return x
        assert x.width == 0, (x.width, width)
        kind = self.ir.VectorType(x.value.type, width)
        undefined = self.ir.Constant(kind, self.ir.Undefined)
        first = self.builder.insert_element(undefined, x.value, self.i32(0))
        order = self.ir.Constant(self.ir.VectorType(self.i32, width), [0] * width)
        value = self.builder.shuffle_vector(first, undefined, order)
        return Number(self, value, x.dtype, width)

    def intrinsic(self, name: str, args: list[Number]) -> Number:
        """Call an LLVM intrinsic that takes and returns values of one float type."""
        x = args[0]
        suffix = "f32" if x.dtype == "float32" else "f64"
        if x.width:
            suffix = f"v{x.width}{suffix}"
        kind = x.value.type
        full = f"llvm.{name}.{suffix}"
        module = self.builder.module
        if full not in module.globals:
            self.ir.Function(module, self.ir.FunctionType(kind, [kind] * len(args)), full)
        made = self.builder.call(module.globals[full], [a.value for a in args])
        return Number(self, made, x.dtype, x.width)


class Number:
    """A value in a register."""

    __array_ufunc__ = None  # NumPy's scalars leave operators to this class
    __slots__ = ("dtype", "value", "width", "writer")

    def __init__(self, writer: Writer, value: Instruction, dtype: str, width: int) -> None:
        self.writer = writer
        self.value = value
        self.dtype = dtype
        self.width = width

    # -- helpers -----------------------------------------------------------------------------------

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def is_signed(self) -> bool:
        return self.dtype.startswith("int")

    def _pair(self, other: Any) -> tuple[Any, Any, int]:
        y = other if isinstance(other, Number) else self.writer.number(other, self.dtype)
        assert y.dtype == self.dtype, (y.dtype, self.dtype)
        width = max(self.width, y.width)
        if not width:
            return self.value, y.value, 0
        x = self.writer.splat(self, width)
        return x.value, self.writer.splat(y, width).value, width

    def _made(self, value: Instruction, width: int, dtype: str | None = None) -> Number:
        return Number(self.writer, value, dtype or self.dtype, width)

    def _binary(self, other: Any, real: str, integer: str) -> Number:
        x, y, width = self._pair(other)
        build = getattr(self.writer.builder, real if self.is_float else integer)
        return self._made(build(x, y), width)

    def compare(self, sign: str, other: Any) -> Number:
        """Return a bool: an ordered comparison, except that ``!=`` is true for NaN."""
        x, y, width = self._pair(other)
        b = self.writer.builder
        if self.is_float:
            build = b.fcmp_unordered if sign == "!=" else b.fcmp_ordered
        else:
            build = b.icmp_signed if self.is_signed else b.icmp_unsigned
        return self._made(build(sign, x, y), width, "bool")

    # -- operators ---------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Number:
        return self._binary(other, "fadd", "add")

    __radd__ = __add__

    def __sub__(self, other: Any) -> Number:
        return self._binary(other, "fsub", "sub")

    def __rsub__(self, other: Any) -> Number:
        return self.writer.number(other, self.dtype) - self

    def __mul__(self, other: Any) -> Number:
        return self._binary(other, "fmul", "mul")

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Number:
        return self._binary(other, "fdiv", "fdiv")

    def __rtruediv__(self, other: Any) -> Number:
        return self.writer.number(other, self.dtype) / self

    def __and__(self, other: Any) -> Number:
        return self._binary(other, "and_", "and_")

    __rand__ = __and__

    def __or__(self, other: Any) -> Number:
        return self._binary(other, "or_", "or_")

    __ror__ = __or__

    def __xor__(self, other: Any) -> Number:
        return self._binary(other, "xor", "xor")

    __rxor__ = __xor__

    def __lshift__(self, other: Any) -> Number:
        return self._binary(other, "shl", "shl")

    def __rshift__(self, other: Any) -> Number:
        return self._binary(other, "ashr", "ashr" if self.is_signed else "lshr")

    def __neg__(self) -> Number:
        b = self.writer.builder
        if self.is_float:
            return self._made(b.fneg(self.value), self.width)
        return self.writer.number(0, self.dtype, self.width) - self

    def __invert__(self) -> Number:
        return self._made(self.writer.builder.not_(self.value), self.width)

    def __lt__(self, other: Any) -> Number:
        return self.compare("<", other)

    def __le__(self, other: Any) -> Number:
        return self.compare("<=", other)

    def __gt__(self, other: Any) -> Number:
        return self.compare(">", other)

    def __ge__(self, other: Any) -> Number:
        return self.compare(">=", other)

    def __eq__(self, other: object) -> Any:
        return self.compare("==", other)

    def __ne__(self, other: object) -> Any:
        return self.compare("!=", other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __bool__(self) -> bool:
        raise TypeError("a number of generated code has no truth value; write a select")

    # -- casts -------------------------------------------------------------------------------------

    def bits(self, dtype: str) -> Number:
        """Return the same bits as another dtype."""
        kind = self.writer.type(dtype, self.width)
        return self._made(self.writer.builder.bitcast(self.value, kind), self.width, dtype)

    def astype(self, dtype: str) -> Number:
        """Convert, as C does."""
        if dtype == self.dtype:
            return self
        b, kind = self.writer.builder, self.writer.type(dtype, self.width)
        if dtype == "bool":
            return self != 0
        to_float = dtype.startswith("float")
        if self.is_float and to_float:
            build = b.fpext if dtype == "float64" else b.fptrunc
        elif self.is_float:
            build = b.fptosi if dtype.startswith("int") else b.fptoui
        elif to_float:
            build = b.sitofp if self.is_signed else b.uitofp
        else:
            mine = 1 if self.dtype == "bool" else 8 * np.dtype(self.dtype).itemsize
            wide = 8 * np.dtype(dtype).itemsize
            if mine == wide:
                return self._made(self.value, self.width, dtype)
            build = b.trunc if wide < mine else b.sext if self.is_signed else b.zext
        return self._made(build(self.value, kind), self.width, dtype)


def select(condition: Number, one: Any, other: Any) -> Number:
    """Return ``one`` where the condition holds, else ``other``."""
    writer = condition.writer
    sample = one if isinstance(one, Number) else other
    dtype = sample.dtype if isinstance(sample, Number) else np.asarray(one).dtype.name
    x, y = [v if isinstance(v, Number) else writer.number(v, dtype) for v in (one, other)]
    width = max(condition.width, x.width, y.width)
    if width:
        x, y = writer.splat(x, width), writer.splat(y, width)
        if condition.width:
            condition = writer.splat(condition, width)
    return Number(writer, writer.builder.select(condition.value, x.value, y.value), dtype, width)


def multiply_add(x: Number, y: Number, z: Number) -> Number:
    """Return ``x * y + z``, rounded once where the CPU can do that at once."""
    if not shape_for(x.dtype).fma:
        return x * y + z
    width = max(x.width, y.width, z.width)
    parts = [x.writer.splat(v, width) if width else v for v in (x, y, z)]
    return x.writer.intrinsic("fma", parts)


# -- functions of _math ----------------------------------------------------------------------------


class _Straight(ast.NodeTransformer):
    """Rewrites choices and conjunctions as calls and operators that work on `Number`."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        parts = [self.visit(node.test), self.visit(node.body), self.visit(node.orelse)]
        return ast.Call(ast.Name("__select__", ast.Load()), parts, [])

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        made = self.visit(node.values[0])
        operator = ast.BitOr() if isinstance(node.op, ast.Or) else ast.BitAnd()
        for value in node.values[1:]:
            made = ast.BinOp(made, operator, self.visit(value))
        return made


@functools.cache
def _definitions(path: str) -> dict[str, ast.FunctionDef]:
    """Return the functions of a file by name."""
    with tokenize.open(path) as file:
        body = ast.parse(file.read()).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


@functools.cache
def _code(python: types.FunctionType) -> types.CodeType:
    path, first = python.__code__.co_filename, python.__code__.co_firstlineno
    definition = _definitions(path).get(python.__name__)
    if definition is None or definition.decorator_list[0].lineno != first:
        raise RuntimeError(f"{path} was changed while the program runs; start it again")
    definition.decorator_list = []
    tree = ast.fix_missing_locations(_Straight().visit(ast.Module([definition], [])))
    module = compile(tree, "<scalar>", "exec")
    return next(c for c in module.co_consts if isinstance(c, types.CodeType))


def _horner(x: Number, c: Sequence[Any]) -> Number:
    """Evaluate a polynomial with one rounding a step, where the CPU has such an instruction."""
    out = x.writer.number(c[0], x.dtype)
    for coefficient in c[1:]:
        out = multiply_add(out, x, x.writer.number(coefficient, x.dtype))
    return out


def _horner_of_cubics(x: Number, c: Sequence[Any]) -> Number:
    square = x * x
    fourth = square * square
    first = (len(c) - 1) % 4 + 1
    out = _horner(x, c[:first])
    for i in range(first, len(c), 4):
        low, high = _horner(x, c[i + 2 : i + 4]), _horner(x, c[i : i + 2])
        out = multiply_add(out, fourth, multiply_add(high, square, low))
    return out


#: Functions that no operators say: of bits, and polynomials, which are most of the work.
_SPECIAL: Final = {
    "_horner": _horner,
    "_horner_of_cubics": _horner_of_cubics,
    "_bits32": lambda x: x.bits("int32"),
    "_bits64": lambda x: x.bits("int64"),
    "_number32": lambda x: x.bits("float32"),
    "_number64": lambda x: x.bits("float64"),
    "_integer32": lambda x: x,
    "_integer64": lambda x: x,
}


@functools.cache
def _function(inlined: Any, dtype: str) -> Callable[..., Any]:
    python = inlined.function
    if python.__name__ in _SPECIAL:
        return _SPECIAL[python.__name__]
    code = _code(python)
    names: dict[str, Any] = {"__select__": select, "__builtins__": {"range": range, "len": len}}
    for name in code.co_names:
        value = python.__globals__.get(name)
        if isinstance(value, ByDtype):
            value = value[dtype]
        if isinstance(value, Inlined):
            value = _function(value, dtype)
        if value is not None:
            names[name] = value
    return types.FunctionType(code, names)


def function(name: str, dtype: str) -> Callable[..., Number]:
    """Return a function of `isograd_numba._math` that takes and returns numbers."""
    return _function(getattr(_math, name), dtype)
