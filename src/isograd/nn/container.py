"""Modules that hold modules, or parameters, in lists and dicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from isograd.nn.module import Module
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Sequence(Module):
    """What Sequential and ModuleList share: submodules in order, under any names."""

    def _fill(self, modules: Iterable[tuple[str, Module]]) -> Self:
        for name, _ in self._own_modules():
            delattr(self, name)
        for name, module in modules:
            self.add_module(name, module)
        return self

    def _renumber(self, modules: Iterable[Module]) -> Self:
        return self._fill((str(i), module) for i, module in enumerate(modules))

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[Any]:
        return iter([module for _, module in self._own_modules()])

    @overload
    def __getitem__(self, index: int, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> Self: ...
    def __getitem__(self, index: int | slice, /) -> Any:
        if isinstance(index, slice):
            return type(self)()._fill(self._own_modules()[index])
        return self._item(index)[1]

    def __setitem__(self, index: int, module: Module, /) -> None:
        setattr(self, self._item(index)[0], module)

    def __delitem__(self, index: int | slice, /) -> None:
        modules = list(self)
        del modules[index]
        self._renumber(modules)

    def _item(self, index: int) -> tuple[str, Module]:
        items = self._own_modules()
        if not -len(items) <= index < len(items):
            raise IndexError(
                f"{type(self).__name__}: index {index} is out of range for {len(items)} modules; "
                f"use indices in [{-len(items)}, {len(items) - 1}]"
            )
        return items[index]

    def append(self, module: Module, /) -> Self:
        """Put a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module], /) -> Self:
        """Put modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module, /) -> Self:
        """Put a module before position ``index``; those after it get the next numbers."""
        modules = list(self)
        modules.insert(index, module)
        return self._renumber(modules)

    def pop(self, index: int = -1, /) -> Any:
        """Take a module out and return it; those after it get the numbers before theirs."""
        _, module = self._item(index)
        del self[index]
        return module

    def __add__(self, other: Iterable[Module], /) -> Self:
        return type(self)()._renumber([*self, *other])

    def __iadd__(self, other: Iterable[Module], /) -> Self:
        return self.extend(other)


class Sequential(_Sequence):
    """Apply modules one after the other.

    Parameters
    ----------
    *modules : Module, or one mapping of str to Module
        In order; a mapping gives them names, otherwise they are numbered.

    Examples
    --------
    >>> import isograd as ig
    >>> from isograd import nn
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> model(ig.ones((2, 4))).shape
    (2, 1)
    >>> model[:2]
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        named: Any = {str(i): item for i, item in enumerate(modules)}
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0]
        self._fill(named.items())

    def forward(self, x: Any, /) -> Any:
        """Return the last module's output."""
        for module in self:
            x = module(x)
        return x


class ModuleList(_Sequence):
    """A list of modules whose parameters belong to the module that holds it.

    Examples
    --------
    >>> from isograd import nn
    >>> layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __repr__(self) -> str:
        """Show neighbours that print alike once, with their count."""
        runs: list[tuple[int, int, str]] = []
        for number, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1] = (runs[-1][0], number, text)
            else:
                runs.append((number, number, text))
        lines = [
            f"({first}): {text}"
            if first == last
            else f"({first}-{last}): {last - first + 1} x {text}"
            for first, last, text in runs
        ]
        inner = "\n".join(lines).replace("\n", "\n  ")
        return f"ModuleList(\n  {inner}\n)" if lines else "ModuleList()"


class ModuleDict(Module):
    """A dict of modules whose parameters belong to the module that holds it.

    Examples
    --------
    >>> from isograd import nn
    >>> heads = nn.ModuleDict({"age": nn.Linear(4, 1), "name": nn.Linear(4, 9)})
    >>> heads["name"].out_features, list(heads)
    (9, ['age', 'name'])
    """

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        self.update(modules or ())

    def __getitem__(self, key: str, /) -> Any:
        return dict(self._own_modules())[key]

    def __setitem__(self, key: str, module: Module, /) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str, /) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object, /) -> bool:
        return key in self.keys()

    def pop(self, key: str, /) -> Any:
        """Take a module out and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for key in self.keys():
            del self[key]

    def keys(self) -> list[str]:
        """Return the keys in order."""
        return [name for name, _ in self._own_modules()]

    def values(self) -> list[Module]:
        """Return the modules in order."""
        return [module for _, module in self._own_modules()]

    def items(self) -> list[tuple[str, Module]]:
        """Return keys and modules in order."""
        return self._own_modules()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]], /) -> None:
        """Add or replace modules by key."""
        for key, module in dict(modules).items():
            self.add_module(key, module)


class ParameterList(Module):
    """A list of parameters that belong to the module that holds it; tensors are made into some.

    Examples
    --------
    >>> import isograd as ig
    >>> scales = ig.nn.ParameterList([ig.ones(2), ig.ones(3)])
    >>> len(scales), [name for name, _ in scales.named_parameters()]
    (2, ['0', '1'])
    """

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def __len__(self) -> int:
        return len(self._own_parameters())

    def __iter__(self) -> Iterator[Parameter]:
        return iter([param for _, param in self._own_parameters()])

    @overload
    def __getitem__(self, index: int, /) -> Parameter: ...
    @overload
    def __getitem__(self, index: slice, /) -> ParameterList: ...
    def __getitem__(self, index: int | slice, /) -> Any:
        params = list(self)
        return ParameterList(params[index]) if isinstance(index, slice) else params[index]

    def __setitem__(self, index: int, value: Tensor, /) -> None:
        setattr(self, str(range(len(self))[index]), _parameter(value))

    def append(self, value: Tensor, /) -> Self:
        """Put a parameter at the end."""
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Tensor], /) -> Self:
        """Put parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return _parameter_lines(self)


class ParameterDict(Module):
    """A dict of parameters that belong to the module that holds it; tensors are made into some.

    Examples
    --------
    >>> import isograd as ig
    >>> gains = ig.nn.ParameterDict({"low": ig.ones(2), "high": ig.ones(2)})
    >>> list(gains), gains["low"].shape
    (['low', 'high'], (2,))
    """

    def __init__(
        self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None
    ) -> None:
        super().__init__()
        self.update(parameters or ())

    def __getitem__(self, key: str, /) -> Parameter:
        return dict(self._own_parameters())[key]

    def __setitem__(self, key: str, value: Tensor, /) -> None:
        if key in self:
            setattr(self, key, _parameter(value))
        else:
            self.register_parameter(key, _parameter(value))

    def __delitem__(self, key: str, /) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._own_parameters())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object, /) -> bool:
        return key in self.keys()

    def keys(self) -> list[str]:
        """Return the keys in order."""
        return [name for name, _ in self._own_parameters()]

    def values(self) -> list[Parameter]:
        """Return the parameters in order."""
        return [param for _, param in self._own_parameters()]

    def items(self) -> list[tuple[str, Parameter]]:
        """Return keys and parameters in order."""
        return self._own_parameters()

    def update(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]], /) -> None:
        """Add or replace parameters by key."""
        for key, value in dict(parameters).items():
            self[key] = value

    def pop(self, key: str, /) -> Parameter:
        """Take a parameter out and return it."""
        param = self[key]
        del self[key]
        return param

    def extra_repr(self) -> str:
        return _parameter_lines(self)


def _parameter(value: Tensor) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)


def _parameter_lines(module: Module) -> str:
    lines = [
        f"({name}): {param.dtype.name}{list(param.shape)}"
        for name, param in module.named_parameters(recurse=False)
    ]
    return "\n  ".join(["", *lines]) + "\n" if lines else ""
