"""From LLVM instructions to object code for this CPU."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from isograd_numba._llvm import binding

__all__ = ["object_code"]


@functools.cache
def _machine() -> Any:
    llvm = binding()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=2,
        reloc="pic",
        jit=True,
    )


def object_code(module: Any, exported: Sequence[str], /) -> bytes:
    """Optimise a module and return object code of what the exported functions need.

    Loops are written in vectors already, so LLVM is not asked to find any.
    """
    llvm, machine = binding(), _machine()
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    parsed = llvm.parse_assembly(str(module))
    for function in parsed.functions:
        if not function.is_declaration and function.name not in exported:
            function.linkage = "internal"
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = False
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    return machine.emit_object(parsed)
