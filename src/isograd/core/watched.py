"""Dicts and counters that tell compiled functions when to look again.

A compiled training step that ran with some state runs on with it, without looking at everything in
each call. These counters move when modules and optimizers are changed other than by the values of
their parameters, which are looked at.
"""

from __future__ import annotations

from typing import Any

__all__ = ["WatchedDict", "changes"]


class Changes:
    """How often something changed.

    Attributes
    ----------
    structure : int
        Attributes of modules, and groups of optimizers.
    numbers : int
        Items of groups and of optimizers' state, as a learning rate, and buffers: what a compiled
        function that uses them looks at again.
    """

    __slots__ = ("numbers", "structure")

    def __init__(self) -> None:
        self.structure = 0
        self.numbers = 0


changes = Changes()


class WatchedDict(dict[Any, Any]):
    """A dict that counts its changes in ``changes.numbers``.

    Examples
    --------
    >>> group = WatchedDict(lr=0.1)
    >>> before = changes.numbers
    >>> group["lr"] = 0.2
    >>> changes.numbers - before
    1
    """

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        changes.numbers += 1
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        changes.structure += 1
        super().__delitem__(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        new = dict(*args, **kwargs)
        if new.keys() <= self.keys():
            changes.numbers += 1
        else:
            changes.structure += 1
        super().update(new)

    def pop(self, *args: Any) -> Any:
        changes.structure += 1
        return super().pop(*args)

    def popitem(self) -> Any:
        changes.structure += 1
        return super().popitem()

    def clear(self) -> None:
        changes.structure += 1
        super().clear()

    def setdefault(self, *args: Any) -> Any:
        changes.structure += 1
        return super().setdefault(*args)

    def __ior__(self, other: Any) -> WatchedDict:
        self.update(other)
        return self
