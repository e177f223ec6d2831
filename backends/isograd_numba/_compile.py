"""From a kernel's Python function to object code: the only module that imports Numba.

Numba types and lowers the body; the entry (`_entry`) is added to its library, Numba optimises both
together, and this module strips what Python will not call and emits object code for this CPU.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from isograd_numba import _llvm
from isograd_numba._entry import build_entry
from isograd_numba._interrupts import held_back
from isograd_numba._llvm import binding
from isograd_numba._signature import Argument

__all__ = ["intrinsic", "object_code", "step_code", "subroutine"]

llvm = binding()
llvm_ir = _llvm.ir()
numba: Any = import_module("numba")
arrayobj: Any = import_module("numba.np.arrayobj")
codegen: Any = import_module("numba.core.codegen")
compiler: Any = import_module("numba.core.compiler")
cpu: Any = import_module("numba.core.cpu")
extending: Any = import_module("numba.extending")
locks: Any = import_module("numba.core.compiler_lock")
registry: Any = import_module("numba.core.registry")
types: Any = import_module("numba.core.types")

_OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class _Plain(types.Array):
    """An array whose indices are never negative, so that loops over it can be vectorised."""

    def copy(self, dtype: Any = None, ndim: Any = None, layout: Any = None, **_: Any) -> Any:
        """Return the type of a view."""
        ndim = self.ndim if ndim is None else ndim
        return _Plain(dtype or self.dtype, ndim, layout or self.layout)


def _unsigned(kind: Any) -> Any:
    """Return an index's type with integers made unsigned, which spares the wrap-around."""
    if isinstance(kind, types.BaseTuple):
        return types.Tuple([_unsigned(k) for k in kind])
    kind = types.unliteral(kind)
    if isinstance(kind, types.Integer) and kind.signed:
        return types.Integer.from_bitwidth(kind.bitwidth, signed=False)
    return kind


def _plain_getitem(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array, index = signature.args
    lower = arrayobj.getitem_array_tuple
    if not isinstance(index, types.BaseTuple):
        lower = arrayobj.getitem_arraynd_intp
    return lower(context, builder, signature.replace(args=(array, _unsigned(index))), args)


def _plain_setitem(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array, index, value = signature.args
    plain = signature.replace(args=(array, _unsigned(index), value))
    return arrayobj.setitem_array(context, builder, plain, args)


def _register() -> None:
    extending.register_model(_Plain)(extending.models.ArrayModel)
    for index in (types.Integer, types.BaseTuple):
        extending.lower_builtin(operator.getitem, _Plain, index)(_plain_getitem)
        extending.lower_builtin(operator.setitem, _Plain, index, types.Any)(_plain_setitem)


_register()


def subroutine(function: Callable[..., Any], /) -> Any:
    """Return what a kernel's globals must hold in place of an inlined function."""
    options: dict[str, Any] = {
        **_OPTIONS,
        "nopython": True,
        "boundscheck": False,
        "forceinline": True,
    }
    return registry.CPUDispatcher(function, targetoptions=options)


def intrinsic(emit: Callable[..., Any], parameters: int, /) -> Any:
    """Return a function of int64 arguments whose instructions ``emit(builder, ...)`` builds."""

    def typing(context: Any, *args: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            result = emit(builder, *values)
            return context.get_constant(types.int64, 0) if result is None else result

        return types.int64(*[types.int64] * parameters), lower

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    named = [inspect.Parameter(f"a{i}", kind) for i in range(parameters + 1)]
    typing.__signature__ = inspect.Signature(named)  # pyright: ignore[reportFunctionMemberAccess]
    return extending.intrinsic(typing)


def _numba_type(argument: Argument) -> Any:
    scalar = numba.from_dtype(np.dtype(argument.dtype))
    if argument.ndim is None:
        return scalar
    return _Plain(scalar, argument.ndim, "C" if argument.contiguous else "A")


def _rebuild(context: Any, builder: Any, argument: Argument, values: list[Any]) -> Any:
    """Take an argument's fields off the front of ``values``; return Numba's form of it."""
    kind = _numba_type(argument)
    if argument.ndim is None:
        value = values.pop(0)
        target = context.get_value_type(kind)
        if argument.kind == "f":
            return value if argument.dtype == "float64" else builder.fptrunc(value, target)
        if argument.kind == "b":
            return builder.icmp_signed("!=", value, value.type(0))
        return value if target.width == 64 else builder.trunc(value, target)
    itemsize = np.dtype(argument.dtype).itemsize
    data = builder.bitcast(values.pop(0), context.get_data_type(kind.dtype).as_pointer())
    shape = [values.pop(0) for _ in range(argument.ndim)]
    if argument.contiguous:
        strides = [context.get_constant(types.intp, itemsize)]
        for size in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], size))
    else:
        strides = [values.pop(0) for _ in range(argument.ndim)]
    array = context.make_array(kind)(context, builder)
    arrayobj.populate_array(array, data, shape, strides, itemsize, None)
    return array._getvalue()  # pyright: ignore[reportPrivateUsage]


@functools.cache
def _codegen() -> Any:
    """Return a code generator for this CPU that leaves emitting and linking to this package."""
    return codegen.AOTCPUCodegen("isograd", cpu_name="host")


def _lower(function: Callable[..., Any], signature: Any, options: dict[str, Any]) -> Any:
    flags = compiler.Flags()
    cpu.CPUTargetOptions.parse_as_flags(flags, options)
    flags.no_compile = True
    context = registry.cpu_target.target_context
    context.refresh()
    registry.cpu_target.typing_context.refresh()
    library = _codegen().create_library(function.__name__)
    typing = registry.cpu_target.typing_context
    return compiler.compile_extra(
        typing, context, function, signature, types.void, flags, {}, library=library
    )


def object_code(
    function: Callable[..., Any],
    arguments: list[Argument],
    grain: int,
    fastmath: frozenset[str],
    symbol: str,
    title: str,
    /,
) -> bytes:
    """Compile a kernel whose globals are resolved; return object code that defines ``symbol``."""
    with held_back(), locks.global_compiler_lock:
        options: dict[str, Any] = {
            **_OPTIONS,
            "nopython": True,
            "boundscheck": False,
            "forceinline": True,
        }
        options["fastmath"] = set(fastmath) if fastmath else False
        signature = (types.intp, types.intp, *map(_numba_type, arguments))
        lowered = _lower(function, signature, options)
        context = lowered.target_context

        def body(builder: Any, start: Any, stop: Any, values: list[Any]) -> None:
            rest = list(values)
            rebuilt = [_rebuild(context, builder, a, rest) for a in arguments]
            context.call_internal_no_propagate(
                builder, lowered.fndesc, lowered.signature, [start, stop, *rebuilt]
            )

        module = context.create_module(symbol)
        build_entry(module, symbol, title, arguments, grain, body)
        lowered.library.add_ir_module(module)
        lowered.library.finalize()
        return _emit(lowered.library.get_llvm_str(), symbol)


def step_code(function: Callable[..., Any], parameters: int, symbol: str, /) -> bytes:
    """Compile a function of ``start, stop`` and int64s as a step of compiled programs.

    The object code defines ``symbol(arguments, start, stop)``, which reads the others from memory.
    """
    with held_back(), locks.global_compiler_lock:
        options: dict[str, Any] = {
            **_OPTIONS,
            "nopython": True,
            "boundscheck": False,
            "forceinline": True,
        }
        signature = (types.intp,) * (2 + parameters)
        lowered = _lower(function, signature, options)
        context = lowered.target_context
        module = context.create_module(symbol)
        word = llvm_ir.IntType(64)
        kind = llvm_ir.FunctionType(llvm_ir.VoidType(), [word.as_pointer(), word, word])
        step = llvm_ir.Function(module, kind, symbol)
        builder = llvm_ir.IRBuilder(step.append_basic_block())
        arguments, start, stop = step.args
        values = [builder.load(builder.gep(arguments, [word(i)])) for i in range(parameters)]
        context.call_internal_no_propagate(
            builder, lowered.fndesc, lowered.signature, [start, stop, *values]
        )
        builder.ret_void()
        lowered.library.add_ir_module(module)
        lowered.library.finalize()
        return _emit(lowered.library.get_llvm_str(), symbol)


def _emit(text: str, symbol: str) -> bytes:
    """Emit object code of what ``symbol`` needs in a module that is already optimised."""
    module = llvm.parse_assembly(text)
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        jit=True,
    )
    if hasattr(llvm, "create_module_pass_manager"):  # llvmlite before 0.45
        passes = llvm.create_module_pass_manager()
        passes.add_global_dce_pass()
        passes.run(module)
    else:
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        passes = llvm.create_new_module_pass_manager()
        passes.add_global_dead_code_eliminate_pass()
        passes.run(module, llvm.create_pass_builder(machine, options))
    return machine.emit_object(module)
