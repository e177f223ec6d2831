"""What a tensor holds inside `isograd.vmap` in place of an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from isograd.core.errors import AutodiffError, ConcretizationError
from isograd.core.frames import user_line
from isograd.ir.graph import Var

if TYPE_CHECKING:
    from isograd.runtime.level import Level
    from isograd.runtime.tensor import Tensor

__all__ = ["Batched", "check_inside", "has_history", "is_symbol"]

_OF_ARRAYS = frozenset({"dtype", "flags", "ndim", "shape", "size", "strides"})


class Batched:
    """The values of a tensor for all examples of a `Level`.

    Attributes
    ----------
    value : Tensor
        A tensor of the level outside, with the history that derivatives outside follow.
    level : Level
        Whose examples they are.
    mapped : bool
        Whether the value's first axis runs over the examples; otherwise all share it.
    spread : bool
        For random keys: whether each example draws numbers of its own with it.
    """

    __slots__ = ("level", "mapped", "spread", "value")

    def __init__(self, value: Tensor, level: Level, mapped: bool, spread: bool = False) -> None:
        self.value = value
        self.level = level
        self.mapped = mapped
        self.spread = spread

    @property
    def hidden(self) -> bool:
        """Whether there is no one array of numbers that it stands for."""
        return self.mapped or is_symbol(self.value)

    @property
    def weak(self) -> bool:
        """Whether it was a Python number, in a function that is being compiled."""
        return self.value.array.__class__ in (Var, Batched) and self.value.array.weak

    def host(self) -> Any:
        """Return the numbers, where all examples share them, or raise."""
        if not self.level.active:
            self.level.refuse_leak()
        if self.mapped:
            self.refuse()
        return self.value.numpy()

    def refuse(self) -> NoReturn:
        """Raise, since one number was asked for where every example has its own."""
        aval = self.value.aval
        raise ConcretizationError(
            f"vmap: the numbers of a mapped tensor of shape {aval.shape[1:]} are asked for at "
            f"{user_line()}, and each of the {aval.shape[0]} examples has its own; use "
            "isograd.where in place of `if`, isograd.cond in place of branches, functions of "
            "isograd in place of NumPy's, or return the tensor"
        )

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.level.refuse_leak()

    __array_ufunc__ = __array__

    if not TYPE_CHECKING:  # a checker would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            if name in _OF_ARRAYS:  # a kernel was called with what left its level
                self.level.refuse_leak()
            raise AttributeError(f"the values of a mapped tensor have no attribute {name!r}")

    def __repr__(self) -> str:
        how = "mapped" if self.mapped else "shared"
        return f"<{how}: {self.value.aval}>"


def is_symbol(x: Tensor) -> bool:
    """Tell whether a tensor has no numbers yet, or other ones for each example of a `vmap`."""
    held = x.array
    return held.__class__ is Var or (held.__class__ is Batched and held.hidden)


def has_history(x: Tensor) -> bool:
    """Tell whether derivatives follow a tensor, or the values of all examples that it holds."""
    while x.edge is None and x.array.__class__ is Batched:
        x = x.array.value
    return x.edge is not None


def check_inside(value: Tensor, function: str, owner: str, advice: str) -> None:
    """Refuse to put what was made inside `isograd.vmap` into something that is outside.

    Raises
    ------
    AutodiffError
        If ``value`` was made inside.
    """
    if value.array.__class__ is Batched:
        raise AutodiffError(
            f"{function}: at {user_line()} {owner}, which is outside of vmap, would hold what "
            f"belongs to the {value.array.level.size} examples inside; {advice}"
        )
