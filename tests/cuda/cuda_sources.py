"""Every source text that the backend can compile, and NVIDIA's compiler for them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from isograd_cupy import (
    _attention,
    _convolution,
    _elementwise,
    _launch,
    _reductions,
    _sources,
    _special,
)
from isograd_cupy._compile import OPTIONS

__all__ = ["compile_with_nvrtc", "every_source"]

FLOATS = ("float16", "bfloat16", "float32", "float64")
WIDE = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def _dtype(name: str) -> np.dtype[Any]:
    if name != "bfloat16":
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def every_source() -> dict[str, _launch.Kernels]:
    """Return the kernels of each module, by a name for messages."""
    made: dict[str, _launch.Kernels] = {"random": _sources.random_module()}
    everything = (*FLOATS, *INTEGERS, *COMPLEX, "bool")
    for name in everything:
        dtype = _dtype(name)
        made[f"elementwise {name}"] = _elementwise.elementwise_module(dtype)
        made[f"cast {name}"] = _elementwise.cast_module(dtype)
    families = {
        "gather": everything,
        "sources": everything,
        "sort": (*WIDE, *INTEGERS, "bool"),
        "fold": (*WIDE, *INTEGERS, *COMPLEX),
        "matmul": (*INTEGERS, "bool"),
        "wrap": INTEGERS,
        "softmax": WIDE,
        "matrices": WIDE,
        "dropout": FLOATS,
        "updates": FLOATS,
        "pool": FLOATS,
        "standardize": FLOATS,
    }
    for family, names in families.items():
        for name in names:
            made[f"{family} {name}"] = _launch.kernels(family, _dtype(name))
    for rank, name in itertools.product((1, 2, 3), FLOATS):
        made[f"conv {rank}d {name}"] = _convolution.conv_module(_dtype(name), rank)
    for name, mask in [(dtype, mask) for dtype in FLOATS for mask in ("bool", dtype)]:
        made[f"attention, {mask} mask, {name}"] = _attention.attention_module(
            _dtype(name), _dtype(mask)
        )
    for op, name in itertools.product(("erfinv", "lgamma", "digamma", "polygamma"), FLOATS):
        static = {"n": 2} if op == "polygamma" else {}
        made[f"{op} {name}"] = _special.special_module(_dtype(name), op, **static)
    numbers = (*WIDE, *INTEGERS)
    for op, name in itertools.product(("sum", "prod"), (*numbers, *COMPLEX)):
        made[f"reduce {op} {name}"] = _reductions.reduce_module(op, _dtype(name))
        made[f"scan {op} {name}"] = _reductions.scan_module(op, _dtype(name))
    for op, name in itertools.product(("max", "min"), (*numbers, "bool")):
        made[f"reduce {op} {name}"] = _reductions.reduce_module(op, _dtype(name))
    for op in ("any", "all"):
        made[f"reduce {op} bool"] = _reductions.reduce_module(op, _dtype("bool"))
    for op, name in itertools.product(("argmax", "argmin"), (*numbers, "bool")):
        made[f"{op} {name}"] = _reductions.arg_module(op, _dtype(name))
    return made


def compile_with_nvrtc(real: Any, source: str, arch: str, mode: str = "strict") -> str:
    """Return what the compiler says of a source's registers and spills."""
    program = real["createProgram"](source, "isograd.cu", (), ())
    try:
        options = (*OPTIONS[mode], f"-arch=sm_{arch}", "--ptxas-options=-v")
        real["compileProgram"](program, options)
        assert real["getCUBIN"](program)
        return real["getProgramLog"](program)
    except Exception as error:
        return f"refused: {error}: {real['getProgramLog'](program)}"
    finally:
        real["destroyProgram"](program)
