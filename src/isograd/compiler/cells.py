"""What a compiled function may read and change beside its arguments: cells that hold tensors.

A cell is a place in the user's objects: a parameter's value, its gradient, a buffer, a slot of an
optimizer, a learning rate. Tracing puts a symbol into each; a call reads the tensors and puts the
new ones back. What is no tensor (train or eval, a momentum) is part of the key instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from isograd.core.devices import Device, device
from isograd.core.dtypes import float64
from isograd.core.errors import DTypeError
from isograd.ops.convert import constant
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = [
    "AttributeCell",
    "Cell",
    "FirstNumberCell",
    "GradCell",
    "ItemCell",
    "NumberCell",
    "PlainSlots",
    "ValueCell",
    "cells_of",
    "complete",
    "fixed_options",
    "module_facts",
    "owners_of",
    "static_facts",
    "varying",
]


class Cell(Protocol):
    """A place that holds a tensor, or None."""

    name: str

    def read(self) -> Tensor | None:
        """Return what the cell holds."""
        ...

    def write(self, value: Tensor | None, /) -> None:
        """Make the cell hold something else."""
        ...


class ValueCell:
    """The value of a parameter. Its history and gradient are not touched."""

    def __init__(self, name: str, param: Parameter) -> None:
        self.name = name
        self.param = param

    def read(self) -> Tensor:
        # A tensor of its own: the parameter will hold another array while a function is traced.
        return Tensor(self.param.array, self.param.aval, self.param.device)

    def write(self, value: Tensor | None, /) -> None:
        assert value is not None
        self.param.array = value.array


class GradCell:
    """The gradient that ``backward`` left on a parameter."""

    def __init__(self, name: str, param: Parameter) -> None:
        self.name = f"{name}.grad"
        self.param = param

    def read(self) -> Tensor | None:
        return self.param.grad

    def write(self, value: Tensor | None, /) -> None:
        self.param.grad = value


class AttributeCell:
    """A buffer: a tensor that is an attribute of a module."""

    def __init__(self, name: str, owner: Any, attribute: str) -> None:
        self.name = name
        #: A buffer is in the module's dict, under its name.
        self.place: tuple[dict[str, Any], str] = (vars(owner), attribute)

    def read(self) -> Tensor | None:
        owner, attribute = self.place
        return owner[attribute]

    def write(self, value: Tensor | None, /) -> None:
        owner, attribute = self.place
        owner[attribute] = value


class ItemCell:
    """A tensor in a dict: a slot of an optimizer."""

    def __init__(self, name: str, owner: dict[Any, Any], key: Any) -> None:
        self.name = name
        self.place = (owner, key)

    def read(self) -> Tensor | None:
        owner, key = self.place
        return owner[key]

    def write(self, value: Tensor | None, /) -> None:
        owner, key = self.place
        owner[key] = value


class NumberCell:
    """A number that may change between calls, as a learning rate: an input, not a constant."""

    def __init__(self, name: str, owner: dict[Any, Any], key: Any, where: Device) -> None:
        self.name = name
        self.place = (owner, key)
        self._where = where
        self._number: Any = self.number()

    def number(self) -> Any:
        """Return what is there: a number, and while tracing a symbol."""
        owner, key = self.place
        return owner[key]

    def read(self) -> Tensor:
        value = self.number()
        if isinstance(value, Tensor):
            return value
        self._number = value
        return constant(float(value), float64, self._where)

    def write(self, value: Any, /) -> None:
        owner, key = self.place
        owner[key] = value

    def restore(self) -> None:
        """Put back the number that was read."""
        self.write(self._number)


class FirstNumberCell(NumberCell):
    """The first of several numbers, of which the others stay what they are."""

    def number(self) -> Any:
        return super().number()[0]

    def write(self, value: Any, /) -> None:
        owner, key = self.place
        owner[key] = (value, *owner[key][1:])


def cells_of(state: Any, name: str = "state") -> Iterator[Cell]:
    """Yield the cells of a declared object: a module, an optimizer, a parameter, or a container.

    Raises
    ------
    DTypeError
        If the object holds no state that is known.
    """
    if isinstance(state, Parameter):
        yield ValueCell(name, state)
        yield GradCell(name, state)
    elif hasattr(state, "named_parameters"):
        for key, param in state.named_parameters():
            yield from cells_of(param, key)
        for prefix, module in state.named_modules():
            for key, _ in module.named_buffers(recurse=False):
                yield AttributeCell(f"{prefix}.{key}".lstrip("."), module, key)
    elif hasattr(state, "param_groups"):
        yield from _optimizer_cells(state, name)
    elif isinstance(state, tuple | list):
        for i, item in enumerate(state):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield from cells_of(item, f"{name}[{i}]")
    elif isinstance(state, dict):
        for key, item in state.items():  # pyright: ignore[reportUnknownVariableType]
            yield from cells_of(item, f"{name}[{key!r}]")
    elif not hasattr(state, "key"):  # a Generator takes part by itself
        raise DTypeError(
            f"compile: state holds {type(state).__name__}; declare modules, optimizers, "
            "parameters, generators, or containers of these"
        )


def varying(group: Mapping[str, Any]) -> list[str]:
    """Return the options of a group that a scheduler changes: inputs of a program, not constants.

    One that cycles the momentum, or the first beta, has left the bounds in the group.
    """
    cycled = "max_momentum" in group
    names = ["betas" if "betas" in group else "momentum"] if cycled else []
    return ["lr", *[name for name in names if name in group]]


def fixed_options(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a program has as constants."""
    changing = varying(group)
    found = {k: v for k, v in group.items() if k != "params" and k not in changing}
    if "betas" in changing:
        found["betas"] = group["betas"][1:]
    return found


def _optimizer_cells(optimizer: Any, name: str) -> Iterator[Cell]:
    number = 0
    for index, group in enumerate(optimizer.param_groups):
        where = group["params"][0].device if group["params"] else device("cpu")
        for option in varying(group):
            kind = FirstNumberCell if option == "betas" else NumberCell
            yield kind(f"{name}.param_groups[{index}][{option!r}]", group, option, where)
        for param in group["params"]:
            yield from cells_of(param, f"{name}.params[{number}]")
            slots: Mapping[str, Any] = optimizer.state[param]
            for key, value in slots.items():
                if isinstance(value, Tensor):
                    yield ItemCell(f"{name}.state[{number}][{key!r}]", optimizer.state[param], key)
            number += 1


def owners_of(state: Any) -> Iterator[int]:
    """Yield the identities of declared modules, and of the groups of declared optimizers."""
    if hasattr(state, "named_modules"):
        yield from [id(module) for _, module in state.named_modules()]
    elif hasattr(state, "param_groups"):
        yield id(state.param_groups)
    elif isinstance(state, tuple | list | dict):
        items: Any = state.values() if isinstance(state, dict) else state  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        for item in items:
            yield from owners_of(item)


def complete(state: Any) -> bool:
    """Let optimizers make what they will remember, and tell whether there is anything new."""
    if hasattr(state, "param_groups"):
        return state.complete_state()
    if isinstance(state, tuple | list | dict):
        items: Any = state.values() if isinstance(state, dict) else state  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        found = [complete(item) for item in items]  # all of them
        return any(found)
    return False


def static_facts(state: Any) -> Any:
    """Return what of a declared object is decided while tracing, as something hashable."""
    if isinstance(state, Parameter):
        return state.requires_grad
    if hasattr(state, "named_parameters"):
        facts = [module_facts(module) for module in state.modules()]
        return tuple(facts), tuple([p.requires_grad for p in state.parameters()])
    if hasattr(state, "param_groups"):
        return tuple([_group_facts(state, group) for group in state.param_groups])
    if isinstance(state, dict):
        return tuple([static_facts(item) for item in state.values()])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(state, tuple | list):
        return tuple([static_facts(item) for item in state])  # pyright: ignore[reportUnknownVariableType]
    return None


def module_facts(module: Any) -> Any:
    """Return by what a module decides what it does, beside tensors."""
    buffers = [name for name, _ in module.named_buffers(recurse=False)]  # others are None
    return module.training, module.hook_keys(), tuple(buffers)


def _group_facts(optimizer: Any, group: Mapping[str, Any]) -> Any:
    options = tuple([(k, _hashable(v)) for k, v in fixed_options(group).items()])
    slots = [
        tuple([(k, None if isinstance(v, Tensor) else v) for k, v in optimizer.state[p].items()])
        for p in group["params"]
    ]
    return options, tuple(slots)


class PlainSlots:
    """What optimizers remember beside tensors: part of the key, and changed by their steps."""

    def __init__(self, state: Any) -> None:
        self._held = [(owner, key, owner[key]) for owner, key in _plain_slots(state)]

    def changes(self) -> list[tuple[int, Any]]:
        """Return which are not any more what they were, with what they are."""
        held = enumerate(self._held)
        return [(n, owner[key]) for n, (owner, key, old) in held if owner[key] != old]

    def put_back(self) -> None:
        """Make all what they were."""
        for owner, key, old in self._held:
            owner[key] = old

    def change(self, changes: list[tuple[int, Any]]) -> None:
        """Make some what they were after a trace."""
        for number, value in changes:
            owner, key, _ = self._held[number]
            owner[key] = value


def _plain_slots(state: Any) -> Iterator[tuple[dict[Any, Any], Any]]:
    if hasattr(state, "param_groups"):
        for group in state.param_groups:
            for slots in [state.state[param] for param in group["params"]]:
                yield from [(slots, k) for k, v in slots.items() if not isinstance(v, Tensor)]
    elif isinstance(state, tuple | list | dict):
        items: Any = state.values() if isinstance(state, dict) else state  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        for item in items:
            yield from _plain_slots(item)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
