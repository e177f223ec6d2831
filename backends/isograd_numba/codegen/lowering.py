"""What of a graph this backend writes code for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isograd.backend import Kernel, Schedule
from isograd.backend.schedule import CONVOLUTIONS, REDUCTIONS
from isograd_numba.codegen import dialect
from isograd_numba.codegen.program import NativeProgram

__all__ = ["NumbaLowering"]

#: Fused primitives that run as kernels: code for their decompositions would not be better.
_KERNELS = frozenset({"random_normal"})
_FLOATS = ("float32", "float64")


class NumbaLowering:
    """Chooses what becomes part of loops."""

    def keeps(self, equation: Any, /) -> bool:
        """Tell whether a fused primitive stays whole."""
        name = equation.prim.name
        if name in CONVOLUTIONS:  # groups are products of a batch of matrices, or sums
            return equation.static["groups"] == 1
        return name in _KERNELS or dialect.knows(name)

    def renders(self, equation: Any, /) -> bool:
        """Tell whether an equation becomes part of a loop."""
        name = equation.prim.name
        dtypes = [v.aval.dtype.name for v in (*equation.inputs, *equation.outputs)]
        if name == "matmul" or name in CONVOLUTIONS:
            return dtypes[-1] in _FLOATS
        if name in REDUCTIONS:
            return dtypes[-1] in dialect.DTYPES and dtypes[0] == dtypes[-1]
        if name in ("take", "take_along_axis"):
            return dtypes[0] in dialect.DTYPES
        return dialect.speaks(name, dtypes)

    def load(self, schedule: Schedule, call: Callable[[Any], Kernel], /) -> NativeProgram:
        """Make a schedule callable."""
        return NativeProgram(schedule, call)
