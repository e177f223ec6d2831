"""One operation: its name, what it returns, how it is differentiated.

Kernels are not here: they are the backends'.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, final

import numpy as np

__all__ = ["Aval", "Control", "Primitive", "Rule"]


class Aval(NamedTuple):
    """What is known of a tensor without its data."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


class Rule(Protocol):
    """How cotangents go back through a primitive and tangents go forward.

    ``node`` is the tape's record of the application; the results are tensors, or None for zero.
    """

    def saves(self, tracked: tuple[bool, ...], /) -> tuple[tuple[int, ...], bool]:
        """Return which inputs to keep, and whether to keep the output.

        ``tracked`` says of each input whether it is followed by derivatives.
        """
        ...

    def pullback(self, node: Any, cotangents: Sequence[Any], /) -> Sequence[Any]:
        """Return the cotangent of each input."""
        ...

    def pushforward(self, node: Any, tangents: Sequence[Any], /) -> Sequence[Any]:
        """Return the tangent of each output."""
        ...


class Control(NamedTuple):
    """How a primitive runs that has graphs among its static parameters: a loop, a choice.

    Attributes
    ----------
    kernel : callable
        ``kernel(runner, kernels, **static)`` returns a function of arrays, as a backend's kernel
        is. ``runner(graph)`` makes a function from a list of input arrays to a list of output
        arrays; ``kernels(name)`` gives the kernels of other primitives.
    narrow : callable
        ``narrow(equation, needed)`` returns an equation that makes only what is needed of the
        outputs, if there is one.
    """

    kernel: Callable[..., Callable[..., tuple[Any, ...]]]
    narrow: Callable[[Any, set[Any]], Any]


@final
class Primitive:
    """An operation that backends have kernels for.

    Attributes
    ----------
    name : str
        The key of its kernels and of its row in the op table.
    infer : callable
        ``infer(*avals, **static)`` returns the output's `Aval` (a tuple of them where
        ``multiple``), or raises the error that the user sees.
    rule : Rule or None
        Its derivative; None where there is none, or where the decomposition gives it.
    decompose : callable or None
        For fused primitives: the same function in other functions of the library. It is the
        definition.
    multiple : bool
        Whether it returns a tuple.
    public : str
        The function that messages name, where it is called otherwise than the primitive.
    batching : Batching or None
        How `isograd.vmap` applies it to many examples at once; None where it goes through the
        decomposition.
    complex : bool
        Whether ``rule`` holds for complex numbers. Where it is False, following a derivative
        through complex values is an error.
    control : Control or None
        For control flow: how it runs. Backends have no kernels for these; whoever runs the program
        does it.
    """

    __slots__ = (
        "batching",
        "complex",
        "control",
        "decompose",
        "infer",
        "multiple",
        "name",
        "public",
        "rule",
    )

    def __init__(
        self,
        name: str,
        infer: Callable[..., Any],
        rule: Rule | None = None,
        *,
        decompose: Callable[..., Any] | None = None,
        multiple: bool = False,
        public: str | None = None,
        complex: bool = False,  # noqa: A002 - as the attribute
        control: Control | None = None,
    ) -> None:
        self.name = name
        self.complex = complex
        # Shapes recur in every step, and inferring them again costs more than a small kernel.
        # Graphs are not kept, since they hold arrays.
        self.infer: Callable[..., Any] = (
            functools.lru_cache(maxsize=4096)(infer) if control is None else infer
        )
        self.rule = rule
        self.decompose = decompose
        self.multiple = multiple
        self.public = public or name
        self.batching: Any = None
        self.control = control

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"
