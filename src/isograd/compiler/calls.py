"""Calls of compiled functions taken apart: what is a tensor, what decides about the program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from isograd.compiler.cells import Cell, NumberCell, ValueCell, cells_of
from isograd.compiler.trace import Trace
from isograd.core.devices import Device
from isograd.core.errors import DTypeError
from isograd.core.pytree import TreeDef, tree_flatten, tree_unflatten
from isograd.ir import Aval
from isograd.ir.graph import Var
from isograd.ops.convert import constant
from isograd.ops.creation import tensor
from isograd.runtime.registry import default_device, table_for
from isograd.runtime.tape import LeafNode
from isograd.runtime.tensor import Tensor

__all__ = ["Call", "Leaf", "difference", "distinct", "take_apart"]

_FLOAT64 = np.dtype(np.float64)


class Leaf(NamedTuple):
    """What the key knows of a leaf of the arguments: a tensor's facts, or a static value."""

    kind: str
    aval: Aval | None = None
    device: Device | None = None
    tracked: bool = False
    value: Any = None

    def __str__(self) -> str:
        return f"{self.aval} on {self.device}" if self.aval is not None else repr(self.value[1])


class Call(NamedTuple):
    """A call taken apart: its arguments, and what the cells of the declared state hold."""

    leaves: tuple[Leaf, ...]
    tensors: list[Tensor]
    structure: TreeDef
    cells: list[Cell]
    held: list[Tensor | None]
    #: For each cell, the first one that holds the same tensor.
    shared: tuple[int, ...]

    def table(self) -> Any:
        """Return the table of kernels of the device that the call is for."""
        known = [t for t in (*self.tensors, *self.held) if t is not None]
        return table_for((known[0].device if known else default_device()).type)

    def donors(self, written: Sequence[tuple[int, int | None]]) -> dict[int, int]:
        """Return for places of outputs the inputs whose memory they can take: old values."""
        numbers = [i for i, t in enumerate(self.held) if t is not None and self.shared[i] == i]
        inputs = {cell: len(self.tensors) + i for i, cell in enumerate(numbers)}
        sources: dict[int, set[int]] = {}
        for cell, place in written:
            if place is not None:
                sources.setdefault(place, set()).add(self.shared[cell])
        single = {place: cells.pop() for place, cells in sources.items() if len(cells) == 1}
        return {place: inputs[cell] for place, cell in single.items() if cell in inputs}

    def followed(self) -> list[Tensor]:
        """Return the declared parameters that require gradients."""
        values = [cell for cell in self.cells if isinstance(cell, ValueCell)]
        return [cell.param for cell in values if cell.param.edge is not None]

    def sources(self) -> list[Tensor]:
        """Return what derivatives of the call lead to: arguments, then parameters."""
        return [t for t in self.tensors if t.edge is not None] + self.followed()

    def symbolic(self, trace: Trace) -> tuple[Any, Any, list[Tensor]]:
        """Return the arguments with symbols for tensors, and the symbols."""
        flat: list[Any] = []
        symbols: list[Tensor] = []
        for number, leaf in enumerate(self.leaves):
            if leaf.aval is None or leaf.device is None:
                flat.append(leaf.value[1])
                continue
            weak = leaf.kind == "number"
            made = trace.input(leaf.aval, leaf.device, f"argument {number}", weak=weak)
            if leaf.tracked:
                made.edge = (LeafNode(made), 0)
            flat.append(made)
            symbols.append(made)
        args, kwargs = tree_unflatten(self.structure, flat)
        return args, kwargs, symbols

    def put_symbols(self, trace: Trace) -> list[Var | None]:
        """Put symbols into all cells, the same for a shared tensor; return what each got."""
        symbols: dict[int, Tensor] = {}
        put: list[Var | None] = []
        for number, (cell, t) in enumerate(zip(self.cells, self.held, strict=True)):
            if t is None:
                put.append(None)
                continue
            first = self.shared[number]
            if first not in symbols:
                weak = isinstance(cell, NumberCell)
                symbols[first] = trace.input(t.aval, t.device, cell.name, weak=weak)
            cell.write(symbols[first])
            put.append(symbols[first].array)
        return put

    def now(self) -> Call:
        """Return the call with what its cells hold now."""
        return self._replace(held=[cell.read() for cell in self.cells])

    def put_back(self) -> None:
        """Give every cell what it held before it was traced."""
        for cell, t in zip(self.cells, self.held, strict=True):
            if isinstance(cell, NumberCell):
                cell.restore()
            else:
                cell.write(t)


def take_apart(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], state: Any) -> Call:
    """Take a call of a function apart.

    Raises
    ------
    DTypeError
        If an argument is neither a tensor nor hashable.
    """
    flat, structure = tree_flatten((args, kwargs))
    leaves: list[Leaf] = []
    tensors: list[Tensor] = []
    for leaf in flat:
        kind = "tensor"
        if isinstance(leaf, float):
            kind, leaf = "number", constant(float(leaf), _FLOAT64, default_device())
        elif isinstance(leaf, np.ndarray):
            leaf = tensor(leaf)
        if not isinstance(leaf, Tensor):
            leaves.append(_static(name, leaf))
            continue
        leaves.append(Leaf(kind, leaf.aval, leaf.device, leaf.edge is not None))
        tensors.append(leaf)
    cells = list(distinct(cells_of(state)))
    held = [cell.read() for cell in cells]
    # Equal numbers may be one tensor, but change apart from each other.
    marks = [
        id(cell if isinstance(cell, NumberCell) else t) for cell, t in zip(cells, held, strict=True)
    ]
    first: dict[int, int] = {}
    shared = tuple([first.setdefault(mark, i) for i, mark in enumerate(marks)])
    return Call(tuple(leaves), tensors, structure, cells, held, shared)


def _static(name: str, value: Any) -> Leaf:
    try:
        hash(value)
    except TypeError:
        raise DTypeError(
            f"compile: {name} got an argument of {type(value).__name__}, which is no tensor and "
            "cannot be hashed; pass tensors, numbers, strings, or tuples, lists and dicts of them"
        ) from None
    # The class is part of the key, since 1 == True == 1.0.
    return Leaf("static", value=(type(value), value))


def distinct(cells: Iterator[Cell]) -> Iterator[Cell]:
    """Drop cells that are declared twice: an optimizer's parameters are also the module's."""
    seen: set[Any] = set()
    for cell in cells:
        param = getattr(cell, "param", None)
        mark = (type(cell), cell.name if param is None else id(param))
        if mark not in seen:
            seen.add(mark)
            yield cell


def difference(old: Sequence[Leaf], new: Sequence[Leaf]) -> str:
    """Say by what two calls differ."""
    for number, (a, b) in enumerate(zip(old, new, strict=False)):
        if a != b:
            return f"argument {number} changed from {a} to {b}"
    return "the number of arguments or the declared state changed"
