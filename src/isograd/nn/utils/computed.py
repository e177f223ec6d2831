"""Replacing a parameter by a function of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isograd.nn.module import Module
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["plain_parameter", "set_computed", "unset_computed"]


def plain_parameter(function: str, module: Module, name: str) -> Parameter:
    """Return a parameter of a module that is not computed yet."""
    param = vars(module).get(name)
    if isinstance(param, Parameter):
        return param
    if name in module._computed:  # pyright: ignore[reportPrivateUsage]
        raise ValueError(
            f"{function}: {name!r} of {type(module).__name__} is normalised already; remove that "
            "first"
        )
    raise ValueError(
        f"{function}: {type(module).__name__} has no parameter {name!r}; named_parameters() lists "
        "the names"
    )


def set_computed(module: Module, name: str, compute: Callable[[Any], Tensor]) -> None:
    """Take the parameter ``name`` out; from now on the attribute is what ``compute`` returns."""
    delattr(module, name)
    module._computed = {**module._computed, name: compute}  # pyright: ignore[reportPrivateUsage]


def unset_computed(function: str, module: Module, name: str, kind: type) -> Any:
    """Make the attribute a parameter again, of its present value; return what computed it."""
    compute = module._computed.get(name)  # pyright: ignore[reportPrivateUsage]
    if compute is None or not isinstance(compute, kind):
        raise ValueError(
            f"{function}: {name!r} of {type(module).__name__} is not normalised so; nothing is to "
            "be removed"
        )
    value = compute(module).detach()
    rest = {k: v for k, v in module._computed.items() if k != name}  # pyright: ignore[reportPrivateUsage]
    module._computed = rest  # pyright: ignore[reportPrivateUsage]
    setattr(module, name, Parameter(value))
    return compute
