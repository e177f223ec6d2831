"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from isograd.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


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

    def __init__(self, modules: Iterable[Module] = (), /) -> None:
        super().__init__()
        self.extend(modules)


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
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = (), /
    ) -> None:
        super().__init__()
        self.update(modules)

    def __getitem__(self, key: str, /) -> Any:
        return dict(self._own_modules())[key]

    def __setitem__(self, key: str, module: Module, /) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str, /) -> None:
        del self.__dict__[key]

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object, /) -> bool:
        return key in self.keys()

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
