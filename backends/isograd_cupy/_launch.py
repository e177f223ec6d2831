"""The one way to launch a kernel: by its own signature, which is read from its text.

CUDA takes kernel arguments as untyped bytes: a Python float given for a ``float`` arrives as 0, a
missing argument crashes. So every argument is checked here, and given the width that it must have.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple

import cupy
import numpy as np

from isograd.backend import numerics_mode
from isograd_cupy._compile import load
from isograd_cupy._debug import launched

__all__ = [
    "C_TYPES",
    "STRUCTS",
    "Kernels",
    "Parameter",
    "grid_for",
    "kernels",
    "read",
    "signatures",
]

THREADS: Final = 256
_MOST_BLOCKS: Final = 1 << 20

#: C's name of each dtype.
C_TYPES: Final = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float16": "half_t",
    "bfloat16": "bfloat_t",
    "float32": "float",
    "float64": "double",
    "complex64": "complex_t<float>",
    "complex128": "complex_t<double>",
}
_DTYPES: Final = {c: name for name, c in C_TYPES.items()}

#: Structures that are passed by value, as NumPy's dtypes.
STRUCTS: Final = {
    "Layout": np.dtype(
        [("rank", np.int64), ("shape", np.int64, 25), ("strides", np.int64, (4, 25))]
    ),
    "Windows": np.dtype(
        [
            ("rank", np.int64),
            *((name, np.int64, 8) for name in ("size", "count", "kernel", "stride")),
            *((name, np.int64, 8) for name in ("dilation", "padding")),
        ]
    ),
    "Attention": np.dtype(
        [
            *((name, np.int64) for name in ("rows", "columns", "inner", "outer")),
            *((name, np.int64, 2) for name in ("q", "k", "v", "mask")),
            ("scale", np.float64),
            *((name, np.int64) for name in ("causal", "masked")),
        ]
    ),
    "Tensors": np.dtype([("pointers", np.int64, (7, 32)), ("sizes", np.int64, 32)]),
}

_INCLUDE = re.compile(r'^#include "(\w+)\.cu"$', re.MULTILINE)
_ENTRY = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')


class Parameter(NamedTuple):
    """One parameter of a kernel: its name, its type in C, and whether it is a pointer."""

    name: str
    type: str
    pointer: bool


def read(name: str, /) -> str:
    """Return the text of a file in the folder ``cu``, with those of the files that it includes."""
    text = (files("isograd_cupy") / "cu" / f"{name}.cu").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda found: read(found.group(1)), text)


def signatures(source: str, types: Mapping[str, str], /) -> dict[str, tuple[Parameter, ...]]:
    """Return the parameters of every kernel in a source.

    Parameters
    ----------
    source
        CUDA C.
    types
        What the names that the source leaves open stand for, such as ``T``.
    """
    found: dict[str, tuple[Parameter, ...]] = {}
    for name, text in _ENTRY.findall(source):
        parameters: list[Parameter] = []
        for part in text.split(","):
            words = part.replace("*", " * ").split()
            pointer = "*" in words
            kind = " ".join(word for word in words[:-1] if word not in ("*", "const"))
            parameters.append(Parameter(words[-1], types.get(kind, kind), pointer))
        found[name] = tuple(parameters)
    return found


def grid_for(count: int, /) -> tuple[int]:
    """Return how many blocks of the usual size work on so many elements."""
    return (min(-(-count // THREADS), _MOST_BLOCKS),)


def _pointer(value: Any, wanted: Parameter, device: int) -> str | None:
    """Say what is wrong with an argument that must be an array on the device."""
    if not isinstance(value, cupy.ndarray):
        return f"an array on the device is wanted, not {type(value).__name__}"
    if value.dtype.name != _DTYPES[wanted.type]:
        return f"dtype {_DTYPES[wanted.type]} is wanted, not {value.dtype.name}"
    if value.device.id != device:
        return f"it is on device {value.device.id}, the kernel runs on {device}"
    return None


def _scalar(value: Any, wanted: Parameter, /) -> tuple[Any, str | None]:
    """Return an argument that is passed by value in its width, or say what is wrong with it."""
    struct = STRUCTS.get(wanted.type)
    if struct is not None:
        fits = type(value) is np.ndarray and value.ndim == 0
        fits = fits and getattr(value, "dtype", None) == struct
        return (value, None) if fits else (None, f"a {wanted.type} is wanted, not {value!r}")
    dtype = np.dtype(_DTYPES[wanted.type])
    if dtype.kind == "f":
        fits = isinstance(value, float)
    else:
        fits = isinstance(value, int) and not isinstance(value, bool)
        fits = fits and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
    return (dtype.type(value), None) if fits else (value, f"{wanted.type} is wanted, not {value!r}")


class Kernels:
    """The kernels of one source text with its types filled in.

    Parameters
    ----------
    source
        CUDA C, without what all share.
    types
        What the type names in it stand for.
    """

    def __init__(self, source: str, types: Mapping[str, str]) -> None:
        definitions = "".join(f"typedef {c} {name};\n" for name, c in types.items())
        common, _, rest = read("common").partition("template <class To")
        if "complex_t" in definitions + source:
            common += read("complex")
        self.source = f"{common}{definitions}template <class To{rest}{source}"
        self.signatures = signatures(source, types)

    def launch(
        self,
        name: str,
        arguments: Sequence[Any],
        grid: tuple[int, ...],
        block: tuple[int, ...] = (THREADS,),
    ) -> None:
        """Launch a kernel on the current device and stream.

        Raises
        ------
        TypeError
            If an argument is missing, is one too many, or is not of the kernel's type. Nothing has
            been launched then.
        """
        wanted = self.signatures[name]
        if len(arguments) != len(wanted):
            raise TypeError(
                f"kernel {name} takes {len(wanted)} arguments "
                f"({', '.join(p.name for p in wanted)}), not {len(arguments)}"
            )
        device = cupy.cuda.runtime.getDevice()
        given: list[Any] = []
        for value, parameter in zip(arguments, wanted, strict=True):
            if parameter.pointer:
                wrong = _pointer(value, parameter, device)
            else:
                value, wrong = _scalar(value, parameter)
            if wrong is not None:
                raise TypeError(f"kernel {name}, argument {parameter.name}: {wrong}")
            given.append(value)
        _function(self.source, name, device, numerics_mode())(grid, block, tuple(given))
        launched(f"kernel {name}")

    def over(self, name: str, arguments: Sequence[Any], count: int) -> None:
        """Launch a kernel whose threads each work on elements of so many."""
        if count:
            self.launch(name, arguments, grid_for(count))


@functools.cache
def _function(source: str, name: str, device: int, mode: str) -> Any:
    return load(source, device, mode).get_function(name)


@functools.cache
def kernels(name: str, dtype: np.dtype[Any], /, **more: str) -> Kernels:
    """Return the kernels of a file, with a dtype for T and, computing, for A.

    Parameters
    ----------
    name
        The file's, without its ending.
    dtype
        Of the elements; 16-bit floats are computed in float32.
    **more
        The dtypes of other types that the file leaves open, and texts for its ``@NAMES@``.
    """
    text = read(name)
    half = dtype.name in ("float16", "bfloat16")
    types = {"T": C_TYPES[dtype.name], "A": "float" if half else C_TYPES[dtype.name]}
    for key, value in more.items():
        if value in C_TYPES:
            types[key] = C_TYPES[value]
        text = text.replace(f"@{key}@", value)
    return Kernels(text, types)
