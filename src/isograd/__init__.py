"""isograd: the same gradient on every backend.

A compute-graph framework with interchangeable array backends: the same model runs forward and
backward on NumPy and on Numba, and its gradients are proved to match.

>>> import isograd as ig
>>> x = ig.tensor([1.0, 2.0], requires_grad=True)
>>> (x**2).sum().backward()
>>> x.grad.tolist()
[2.0, 4.0]
"""

from __future__ import annotations

from math import e, inf, nan, pi
from typing import TYPE_CHECKING, Any

from isograd import ops
from isograd.core.config import nan_safe, numerics
from isograd.core.devices import Device, device
from isograd.core.dtypes import (
    bool,
    complex64,
    complex128,
    default_float,
    finfo,
    float16,
    float32,
    float64,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    isdtype,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from isograd.core.errors import (
    AutodiffError,
    BackendUnavailableError,
    CompileWarning,
    ConcretizationError,
    DataFormatError,
    DeviceLostError,
    DeviceMismatchError,
    DTypeError,
    IndexOutOfRangeError,
    IsogradError,
    LinAlgError,
    NonFiniteError,
    NonMappableError,
    NotDifferentiableError,
    NumericsWarning,
    ShapeError,
    StateDictError,
    UndeclaredStateError,
    UnknownDeviceError,
)
from isograd.core.pytree import register_pytree, tree_flatten, tree_map, tree_unflatten
from isograd.ops import *  # noqa: F403
from isograd.ops.control import cond, scan
from isograd.ops.random import Generator, manual_seed
from isograd.runtime.bind import bind
from isograd.runtime.custom import checkpoint, custom_vjp
from isograd.runtime.modes import enable_grad, is_grad_enabled, lint, no_grad
from isograd.runtime.registry import (
    backends,
    get_backend,
    get_num_threads,
    register_backend,
    set_backend,
    set_default_device,
    set_num_threads,
    synchronize,
    use_backend,
)
from isograd.runtime.tensor import Tensor
from isograd.runtime.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from isograd.runtime.vmap import vmap

if TYPE_CHECKING:
    from isograd import amp, data, debug, io, nn, optim, testing, train
    from isograd.compiler import compile

__version__ = "0.1.0"
__array_api_version__ = "2024.12"

newaxis = None

_SUBMODULES = (
    "amp",
    "cli",
    "data",
    "debug",
    "einops",
    "io",
    "nn",
    "optim",
    "sklearn",
    "testing",
    "train",
)


def __getattr__(name: str) -> Any:
    """Import submodules, and look up bfloat16, when they are first used."""
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module(f"isograd.{name}")
    if name == "compile":
        from isograd.compiler import compile

        return compile
    if name == "bfloat16":
        from isograd.core.dtypes import as_dtype

        return as_dtype("bfloat16")
    from isograd.core.names import missing_name

    raise missing_name("module 'isograd'", name)


__all__ = [
    "AutodiffError",
    "BackendUnavailableError",
    "CompileWarning",
    "ConcretizationError",
    "DTypeError",
    "DataFormatError",
    "Device",
    "DeviceLostError",
    "DeviceMismatchError",
    "Generator",
    "IndexOutOfRangeError",
    "IsogradError",
    "LinAlgError",
    "NonFiniteError",
    "NonMappableError",
    "NotDifferentiableError",
    "NumericsWarning",
    "ShapeError",
    "StateDictError",
    "Tensor",
    "UndeclaredStateError",
    "UnknownDeviceError",
    "amp",
    "backends",
    "bind",
    "bool",
    "checkpoint",
    "compile",
    "complex64",
    "complex128",
    "cond",
    "custom_vjp",
    "data",
    "debug",
    "default_float",
    "device",
    "e",
    "enable_grad",
    "finfo",
    "float16",
    "float32",
    "float64",
    "get_backend",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "iinfo",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "io",
    "is_grad_enabled",
    "isdtype",
    "jacobian",
    "jvp",
    "lint",
    "manual_seed",
    "nan",
    "nan_safe",
    "newaxis",
    "nn",
    "no_grad",
    "numerics",
    "ops",
    "optim",
    "pi",
    "register_backend",
    "register_pytree",
    "scan",
    "set_backend",
    "set_default_device",
    "set_default_dtype",
    "set_num_threads",
    "synchronize",
    "testing",
    "train",
    "tree_flatten",
    "tree_map",
    "tree_unflatten",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "use_backend",
    "value_and_grad",
    "vjp",
    "vmap",
]
__all__ += ops.__all__  # pyright: ignore[reportUnsupportedDunderAll, reportUnknownVariableType, reportUnknownMemberType]
