"""Taking over the state of a module: everything that does not fit in one error, nothing loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from isograd.core.errors import StateDictError
from isograd.ops.creation import asarray
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

if TYPE_CHECKING:
    from isograd.nn.module import Module

__all__ = ["IncompatibleKeys", "Slots", "collect_state", "load_state", "slots_of"]

#: By dotted name, the module that holds a value, and the value.
Slots = dict[str, "tuple[Module, Tensor]"]


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` with ``strict=False`` left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def slots_of(module: Module) -> Slots:
    """Return the places of parameters and persistent buffers by dotted name."""
    slots: Slots = {}
    for path, part in module.named_modules(remove_duplicate=False):
        parts = [
            *part._own_parameters(),  # pyright: ignore[reportPrivateUsage]
            *part._own_buffers(persistent_only=True),  # pyright: ignore[reportPrivateUsage]
        ]
        for name, value in parts:
            slots[_dotted(path) + name] = (part, value)
    return slots


def collect_state(module: Module, prefix: str) -> dict[str, Tensor]:
    """Return the values of now, after the hooks of every module."""
    modules = list(module.named_modules(remove_duplicate=False))
    for path, part in modules:
        for hook in part._hooks_of("state_dict_pre"):  # pyright: ignore[reportPrivateUsage]
            hook.fn(part, prefix + _dotted(path), False)
    state = {prefix + name: value.detach() for name, (_, value) in slots_of(module).items()}
    for path, part in reversed(modules):
        for hook in part._hooks_of("state_dict"):  # pyright: ignore[reportPrivateUsage]
            hook.fn(part, state, prefix + _dotted(path), {})
    return state


def load_state(module: Module, state_dict: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Take over parameters and buffers by name, all or nothing."""
    modules = list(module.named_modules(remove_duplicate=False))
    state = dict(state_dict)
    missing: list[str] = []
    unexpected: list[str] = []
    problems: list[str] = []
    for path, part in modules:
        for hook in part._hooks_of("load_state_dict_pre"):  # pyright: ignore[reportPrivateUsage]
            hook.fn(part, state, _dotted(path), {}, strict, missing, unexpected, problems)
    slots = slots_of(module)
    missing += [name for name in slots if name not in state]
    unexpected += [name for name in state if name not in slots]
    values = {
        name: _fitting(name, state[name], current, problems)
        for name, (_, current) in slots.items()
        if name in state
    }
    keys = IncompatibleKeys(missing, unexpected)
    hooks = [
        (part, hook)
        for _, part in reversed(modules)
        for hook in part._hooks_of("load_state_dict")  # pyright: ignore[reportPrivateUsage]
    ]
    # Hooks may accept names; they see the module with its new values.
    if problems or (strict and not hooks):
        _raise_for(module, slots, keys, problems, strict)
    before = {name: slots[name][1].detach() for name in values}
    _put(slots, {name: value for name, value in values.items() if value is not None})
    try:
        for part, hook in hooks:
            hook.fn(part, keys)
        _raise_for(module, slots, keys, problems, strict)
    except BaseException:
        _put(slots, before)
        raise
    return keys


def _dotted(path: str) -> str:
    return f"{path}." if path else ""


def _fitting(name: str, given: Any, current: Tensor, problems: list[str]) -> Tensor | None:
    """Return a value on the device of what it replaces, or None and a line in ``problems``."""
    try:
        value = asarray(given)
    except (TypeError, ValueError):
        problems.append(f"not a tensor: {name} is a {type(given).__name__}")
        return None
    if value.shape != current.shape:
        problems.append(
            f"shape of {name}: {value.shape} in the state, {current.shape} in the module"
        )
    if value.dtype != current.dtype:
        problems.append(
            f"dtype of {name}: {value.dtype} in the state, {current.dtype} in the module"
        )
    return value.detach().to(current.device)


def _raise_for(
    module: Module, slots: Slots, keys: IncompatibleKeys, problems: list[str], strict: bool
) -> None:
    names: list[str] = []
    if strict:
        names += [
            f"missing: {name}" + (f" {_describe(slots[name][1])}" if name in slots else "")
            for name in keys.missing_keys
        ]
        names += [f"unexpected: {name}" for name in keys.unexpected_keys]
    if names or problems:
        lines = "\n  ".join(names + problems)
        raise StateDictError(
            f"load_state_dict: the state does not fit {type(module).__name__}, nothing was "
            f"loaded:\n  {lines}\n"
            "Build the module as it was saved, convert dtypes with .to(dtype), "
            "or pass strict=False to leave out names"
        )


def _put(slots: Slots, values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        module, current = slots[name]
        if isinstance(current, Parameter):
            current.assign_(value)
        else:
            setattr(module, name.rpartition(".")[2], value)


def _describe(value: Tensor) -> str:
    return f"{value.dtype.name}{list(value.shape)}"
