"""LLVM IR of a kernel's entry: from a Python call to ranges of work items on threads.

A kernel becomes three functions. ``entry`` is a METH_FASTCALL function: it checks the arguments,
reads the arrays' fields and lets go of the GIL for large work. ``team`` runs once on each thread
and computes its range. ``work`` rebuilds the arrays and calls the kernel's body; its pointers are
``noalias``, which is why a kernel's outputs must not overlap its inputs. The symbols named
``isograd_*`` and those of Python's C API are bound when the object code is linked, so object code
holds no address and can be kept on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isograd_numba import _llvm
from isograd_numba._signature import Argument

__all__ = ["build_entry"]

ir = _llvm.ir()
_BYTE = ir.IntType(8)
_PTR = _BYTE.as_pointer()
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_F64 = ir.DoubleType()
_VOID = ir.VoidType()

_EXTERNALS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "PyLong_AsLongLong": (_I64, (_PTR,)),
    "PyLong_AsUnsignedLongLongMask": (_I64, (_PTR,)),
    "PyFloat_AsDouble": (_F64, (_PTR,)),
    "PyErr_Occurred": (_PTR, ()),
    "PyErr_SetString": (_VOID, (_PTR, _PTR)),
    "PyEval_SaveThread": (_PTR, ()),
    "PyEval_RestoreThread": (_VOID, (_PTR,)),
    "Py_IncRef": (_VOID, (_PTR,)),
    "isograd_parallel": (_VOID, (_PTR, _PTR, _I32, _I32)),  # GOMP_parallel
    "isograd_thread": (_I32, ()),  # omp_get_thread_num
    "isograd_team": (_I32, ()),  # omp_get_num_threads
}


def _external(module: Any, name: str) -> Any:
    if name in module.globals:
        return module.globals[name]
    result, parameters = _EXTERNALS[name]
    return ir.Function(module, ir.FunctionType(result, parameters), name)


def _symbol(builder: Any, name: str) -> Any:
    """Return the address of an object, as a byte pointer."""
    variable = builder.module.globals.get(name)
    if variable is None:
        variable = ir.GlobalVariable(builder.module, _BYTE, name)
        variable.linkage = "external"
    return variable


def _field(builder: Any, base: Any, offset: int, kind: Any) -> Any:
    address = builder.gep(base, [_I64(offset)])
    return builder.load(builder.bitcast(address, kind.as_pointer()))


def _parameters(argument: Argument) -> list[Any]:
    """Return the types that ``work`` takes for an argument."""
    if argument.ndim is None:
        return [_F64 if argument.kind == "f" else _I64]
    return [_PTR] + [_I64] * (argument.ndim * (1 if argument.contiguous else 2))


def _type_numbers(dtype: np.dtype[Any]) -> list[int]:
    return sorted({np.dtype(c).num for c in np.typecodes["All"] if np.dtype(c) == dtype})


class _Entry:
    """The functions of one kernel; ``body(builder, start, stop, values)`` calls its code."""

    def __init__(
        self, module: Any, symbol: str, title: str, arguments: list[Argument], grain: int, body: Any
    ) -> None:
        self.module = module
        self.symbol = symbol
        self.title = title
        self.arguments = arguments
        self.grain = grain
        self.header = object.__basicsize__
        self.packed = ir.LiteralStructType(
            [_I64] + [p for a in arguments for p in _parameters(a)],
        )
        self.work = self._work(body)
        self.team = self._team()
        self._entry()

    def _function(self, name: str, result: Any, parameters: list[Any]) -> tuple[Any, Any]:
        function = ir.Function(
            self.module, ir.FunctionType(result, parameters), f"{self.symbol}{name}"
        )
        return function, ir.IRBuilder(function.append_basic_block("entry"))

    def _work(self, body: Any) -> Any:
        """Define ``work(start, stop, *fields)``: rebuild the arguments and run the body."""
        fields = [p for a in self.arguments for p in _parameters(a)]
        function, builder = self._function("_work", _VOID, [_I64, _I64, *fields])
        function.linkage = "internal"
        function.attributes.add("noinline")
        start, stop, *values = function.args
        for value in values:
            if value.type == _PTR:
                value.add_attribute("noalias")
        body(builder, start, stop, values)
        builder.ret_void()
        return function

    def _call_work(self, builder: Any, packed: Any, start: Any, stop: Any) -> None:
        values = [
            builder.load(builder.gep(packed, [_I32(0), _I32(i)]))
            for i in range(1, len(self.packed.elements))
        ]
        builder.call(self.work, [start, stop, *values])

    def _team(self) -> Any:
        """Define ``team(packed)``: run this thread's contiguous range of the work items."""
        function, builder = self._function("_team", _VOID, [_PTR])
        function.linkage = "internal"
        packed = builder.bitcast(function.args[0], self.packed.as_pointer())
        n = builder.load(builder.gep(packed, [_I32(0), _I32(0)]))
        rank = builder.sext(builder.call(_external(self.module, "isograd_thread"), []), _I64)
        size = builder.sext(builder.call(_external(self.module, "isograd_team"), []), _I64)
        start = builder.sdiv(builder.mul(n, rank), size)
        stop = builder.sdiv(builder.mul(n, builder.add(rank, _I64(1))), size)
        self._call_work(builder, packed, start, stop)
        builder.ret_void()
        return function

    def _entry(self) -> None:
        """Define ``entry(self, arguments, count)`` as Python calls it."""
        function, builder = self._function("", _PTR, [_PTR, _PTR.as_pointer(), _I64])
        _, objects, count = function.args
        wrong = function.append_basic_block("wrong")
        packed = builder.alloca(self.packed)

        def require(condition: Any) -> None:
            following = function.append_basic_block()
            builder.cbranch(condition, following, wrong).set_weights([1000, 1])
            builder.position_at_end(following)

        require(builder.icmp_signed("==", count, _I64(len(self.arguments) + 1)))
        values: list[Any] = []
        scalar = Argument("int64", None, contiguous=True)
        for i, argument in enumerate([scalar, *self.arguments]):
            obj = builder.load(builder.gep(objects, [_I64(i)]))
            if argument.ndim is None:
                values.append(self._scalar(builder, obj, argument))
            else:
                values += self._array(builder, obj, argument, require)
        error = builder.call(_external(self.module, "PyErr_Occurred"), [])
        failed = function.append_basic_block("failed")
        following = function.append_basic_block()
        builder.cbranch(builder.icmp_unsigned("==", error, _PTR(None)), following, failed)
        builder.position_at_end(following)
        for i, value in enumerate(values):
            builder.store(value, builder.gep(packed, [_I32(0), _I32(i)]))
        self._run(builder, packed, values[0])
        none = _symbol(builder, "isograd_none")
        builder.call(_external(self.module, "Py_IncRef"), [none])
        builder.ret(none)

        builder.position_at_end(wrong)
        text = f"{self.title}: the arguments of this kernel do not fit its signature\0".encode()
        message = ir.GlobalVariable(
            self.module, ir.ArrayType(_BYTE, len(text)), f"{self.symbol}_message"
        )
        message.linkage = "internal"
        message.global_constant = True
        message.initializer = ir.Constant(message.value_type, bytearray(text))
        builder.call(
            _external(self.module, "PyErr_SetString"),
            [_symbol(builder, "isograd_type_error"), builder.bitcast(message, _PTR)],
        )
        builder.branch(failed)
        builder.position_at_end(failed)
        builder.ret(_PTR(None))

    def _scalar(self, builder: Any, obj: Any, argument: Argument) -> Any:
        convert = {"f": "PyFloat_AsDouble", "u": "PyLong_AsUnsignedLongLongMask"}
        name = convert.get(argument.kind, "PyLong_AsLongLong")
        return builder.call(_external(self.module, name), [obj])

    def _array(self, builder: Any, obj: Any, argument: Argument, require: Any) -> list[Any]:
        """Read an ndarray: PyArrayObject_fields and PyArray_Descr of NumPy's C API."""
        assert argument.ndim is not None
        head = self.header
        kind = _field(builder, obj, head - 8, _PTR)
        require(builder.icmp_unsigned("==", kind, _symbol(builder, "isograd_ndarray")))
        require(
            builder.icmp_signed("==", _field(builder, obj, head + 8, _I32), _I32(argument.ndim))
        )
        descriptor = _field(builder, obj, head + 40, _PTR)
        number = _field(builder, descriptor, head + 12, _I32)
        fits = ir.Constant(ir.IntType(1), 0)
        for expected in _type_numbers(np.dtype(argument.dtype)):
            fits = builder.or_(fits, builder.icmp_signed("==", number, _I32(expected)))
        order = _field(builder, descriptor, head + 10, _BYTE)
        swapped = builder.icmp_signed("==", order, _BYTE(ord(">")))
        require(builder.and_(fits, builder.not_(swapped)))
        # A C-contiguous array has flag 1; an aligned one 0x100.
        wanted = _I32(0x101 if argument.contiguous else 0x100)
        flags = _field(builder, obj, head + 48, _I32)
        require(builder.icmp_signed("==", builder.and_(flags, wanted), wanted))
        shape = _field(builder, obj, head + 16, _PTR)
        strides = _field(builder, obj, head + 24, _PTR)
        values = [_field(builder, obj, head, _PTR)]
        for source in (shape,) if argument.contiguous else (shape, strides):
            values += [_field(builder, source, 8 * i, _I64) for i in range(argument.ndim)]
        return values

    def _run(self, builder: Any, packed: Any, n: Any) -> None:
        """Run all work items: on this thread, or on several where the grain allows."""
        limit = builder.load(
            builder.bitcast(_symbol(builder, "isograd_threads"), _I64.as_pointer())
        )
        useful = builder.sdiv(n, _I64(self.grain))
        threads = builder.select(builder.icmp_signed("<", useful, limit), useful, limit)
        large = builder.icmp_signed(">", useful, _I64(1))
        with builder.if_else(large) as (then, otherwise):
            with then:
                state = builder.call(_external(self.module, "PyEval_SaveThread"), [])
                several = builder.icmp_signed(">", threads, _I64(1))
                with builder.if_else(several) as (parallel, serial):
                    with parallel:
                        arguments = [
                            builder.bitcast(self.team, _PTR),
                            builder.bitcast(packed, _PTR),
                            builder.trunc(threads, _I32),
                            _I32(0),
                        ]
                        builder.call(_external(self.module, "isograd_parallel"), arguments)
                    with serial:
                        self._call_work(builder, packed, _I64(0), n)
                builder.call(_external(self.module, "PyEval_RestoreThread"), [state])
            with otherwise, builder.if_then(builder.icmp_signed(">", n, _I64(0))):
                self._call_work(builder, packed, _I64(0), n)


def build_entry(
    module: Any, symbol: str, title: str, arguments: list[Argument], grain: int, body: Any, /
) -> None:
    """Add to ``module`` a function ``symbol`` that Python can call with METH_FASTCALL."""
    _Entry(module, symbol, title, arguments, grain, body)
