"""The tape: a graph of nodes, one per recorded operation, from outputs back to leaves.

An *edge* ``(node, index)`` on a tensor says that output ``index`` of ``node`` made it. Nodes keep
arrays, never tensors, so a parameter that is rebound later cannot change what was saved, and no
reference cycles arise. Nodes are numbered in order of creation, which is a topological order.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from isograd.core.config import modes
from isograd.core.errors import AutodiffError
from isograd.ir import Aval, Primitive

if TYPE_CHECKING:
    from isograd.core.devices import Device
    from isograd.runtime.tensor import Tensor

__all__ = ["AliasNode", "CustomNode", "Edge", "LeafNode", "Node", "PrimitiveNode", "SeveralNode"]

_next_number = itertools.count().__next__


class Node:
    """What is common to every node."""

    __slots__ = ("number", "parents")

    number: int
    parents: tuple[Edge | None, ...]

    #: How many tensors the node made.
    outputs: int = 1

    def pullback(self, cotangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Return the cotangent of each parent, given those of the outputs."""
        raise AutodiffError(
            f"{self.describe()} has no pullback; compute gradients only through recorded operations"
        )

    def pushforward(self, tangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Return the tangent of each output, given those of the parents."""
        from isograd.runtime.autodiff import pushforward_by_transposing_twice

        return pushforward_by_transposing_twice(self, tangents)

    #: Whether a backward pass has dropped what was saved.
    released: bool = False

    def release(self) -> None:
        """Drop what was saved for the backward pass."""

    def output_avals(self) -> Sequence[tuple[Aval, Device]]:
        """Return shape, dtype and device of each output."""
        raise AutodiffError(
            f"{self.describe()} does not know its outputs; record operations with bind"
        )

    def describe(self) -> str:
        """Return the node's name for messages."""
        return type(self).__name__


Edge = tuple[Node, int]


class LeafNode(Node):
    """A tensor that gradients are wanted for."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor | None = None) -> None:
        self.number = _next_number()
        self.parents = ()
        #: Weak, since the tensor owns the node.
        self.tensor: Callable[[], Tensor | None] = (
            (lambda: None) if tensor is None else weakref.ref(tensor)
        )


class AliasNode(Node):
    """The identity: a fresh name for a tensor that an outer derivative already follows."""

    __slots__ = ()

    def __init__(self, parent: Edge) -> None:
        self.number = _next_number()
        self.parents = (parent,)

    def pullback(self, cotangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return cotangents

    def pushforward(self, tangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return tangents


class PrimitiveNode(Node):
    """One application of a primitive with what its derivative rule needs."""

    __slots__ = (
        "device",
        "input_avals",
        "line",
        "output_aval",
        "prim",
        "saved_inputs",
        "saved_output",
        "static",
    )

    def __init__(
        self,
        prim: Primitive,
        static: dict[str, Any],
        parents: tuple[Edge | None, ...],
        input_avals: Sequence[Aval],
        output_aval: Aval,
        device: Device,
    ) -> None:
        self.number = _next_number()
        self.parents = parents
        self.prim = prim
        self.static = static
        self.input_avals = input_avals
        self.output_aval = output_aval
        self.device = device
        self.saved_inputs: dict[int, Any] | None = None
        self.saved_output: Any = None
        self.line: str | None = None

    def saved(self) -> dict[int, Any]:
        """Return the inputs that were kept, or raise if a backward pass has dropped them."""
        if self.saved_inputs is None:
            raise AutodiffError(
                f"backward: the values saved by {self.prim.name!r} were freed by an earlier "
                "backward pass; "
                "pass retain_graph=True to the first one to go back through it twice"
            )
        return self.saved_inputs

    def pullback(self, cotangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        self.saved()
        assert self.prim.rule is not None
        return self.prim.rule.pullback(self, cotangents)

    def pushforward(self, tangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        self.saved()
        assert self.prim.rule is not None
        return self.prim.rule.pushforward(self, tangents)

    @property
    def released(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.saved_inputs is None

    def release(self) -> None:
        self.saved_inputs = None
        self.saved_output = None

    def output_avals(self) -> Sequence[tuple[Aval, Device]]:
        return [(self.output_aval, self.device)]

    def describe(self) -> str:
        return self.prim.name


class SeveralNode(PrimitiveNode):
    """One application of a primitive that returns several tensors.

    ``output_aval`` and ``saved_output`` are tuples.
    """

    __slots__ = ("outputs",)

    def __init__(
        self,
        prim: Primitive,
        static: dict[str, Any],
        parents: tuple[Edge | None, ...],
        input_avals: Sequence[Aval],
        output_aval: Any,
        device: Device,
    ) -> None:
        super().__init__(prim, static, parents, input_avals, output_aval, device)
        self.outputs = len(output_aval)

    def output_avals(self) -> Sequence[tuple[Aval, Device]]:
        avals: Any = self.output_aval
        return [(aval, self.device) for aval in avals]


class CustomNode(Node):
    """A function with a pullback of its own: `checkpoint` and `custom_vjp`."""

    __slots__ = ("_avals", "_mappable", "_name", "_pullback", "outputs")

    def __init__(
        self,
        name: str,
        parents: tuple[Edge | None, ...],
        outputs: Sequence[Tensor],
        pullback: Callable[[Sequence[Tensor | None]], Sequence[Tensor | None]],
        *,
        mappable: bool = False,
    ) -> None:
        self.number = _next_number()
        self.parents = parents
        self.outputs = len(outputs)
        self._name = name
        #: Whether the pullback takes cotangents of many examples inside `isograd.vmap`.
        self._mappable = mappable
        self._avals = [(t.aval, t.device) for t in outputs]
        self._pullback: Callable[[Sequence[Tensor | None]], Sequence[Tensor | None]] | None = (
            pullback
        )

    def pullback(self, cotangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        if self._pullback is None:
            raise AutodiffError(
                f"backward: the values saved by {self._name!r} were freed by an earlier backward "
                "pass; pass retain_graph=True to the first one to go back through it twice"
            )
        if modes.trace is not None and not self._mappable:
            from isograd.runtime.level import current_level

            level = current_level()
            if level is not None:
                return level.one_by_one(self._pullback, cotangents)
        return self._pullback(cotangents)

    @property
    def released(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._pullback is None

    def release(self) -> None:
        self._pullback = None

    def output_avals(self) -> Sequence[tuple[Aval, Device]]:
        return self._avals

    def describe(self) -> str:
        return self._name
