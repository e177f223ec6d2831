"""Building kernels: nodes over atoms, then axes in the order in which memory is best read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any

from isograd.backend.schedule import Kernel, Node, Param, Place, Store
from isograd.compiler.groups import Map

__all__ = ["Builder", "class_counts", "sliced", "strides_of"]

Strides = tuple[int, ...]


class Builder:
    """Collects the body of a loop nest over axes of given lengths."""

    def __init__(self, sizes: Sequence[int], reduced: Sequence[bool]) -> None:
        self.sizes = tuple(sizes)
        self.reduced = tuple(reduced)
        self.nodes: list[Node] = []
        self.stores: list[Store] = []
        self.params: list[Param] = []
        self.dtypes: list[str] = []
        self.checks: list[Any] = []
        self._known: dict[Node, int] = {}

    def add(self, op: str, args: Sequence[int], dtype: str, static: tuple[Any, ...] = ()) -> int:
        """Return the number of a node, which is made once."""
        node = Node(op, tuple(args), dtype, static)
        key: Any = (node, repr(static))  # 0.0 and -0.0 are equal, and not the same
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(node)
        return self._known[key]

    def param(self, place: Place) -> int:
        """Return the number of the parameter that begins where an array does."""
        param = Param(place.buffer, place.offset)
        if param not in self.params:
            self.params.append(param)
            self.dtypes.append(place.dtype)
        return self.params.index(param)

    def load(self, place: Place, strides: Strides) -> int:
        return self.add("load", (), place.dtype, (self.param(place), strides))

    def store(self, place: Place, strides: Strides, node: int) -> None:
        self.stores.append(Store(self.param(place), strides, node))

    def wrap(self, index: int, size: int, equation: Any) -> int:
        """Check an index."""
        count = len(self.nodes)
        made = self.add("wrap", (index,), "int64", (size,))
        if len(self.nodes) > count:
            self.checks.append(equation)
        return made

    def kernel(self, classes: Sequence[int] | None = None, lane: int | None = None) -> Kernel:
        """Return the kernel, with axes that follow each other in memory made one.

        ``classes`` gives a number to each axis; those of one number are adjacent, and others are
        not joined. ``lane`` is the axis for vectors, else it is chosen.
        """
        kernel = Kernel(
            self.sizes, self.reduced, -1, tuple(self.nodes), tuple(self.stores), tuple(self.dtypes)
        )
        kernel = _collapsed(_pruned(kernel), classes or [0] * len(self.sizes))
        if not kernel.shape:
            return kernel
        return replace(kernel, lane=_lane(kernel) if lane is None else len(kernel.shape) - 1)


def _strided(kernel: Kernel) -> list[Strides]:
    """Return the strides of everything that a kernel reads and writes, and of its indices."""
    found = [s.strides for s in kernel.stores]
    for node in kernel.nodes:
        if node.op in ("load", "gather"):
            found.append(node.static[1])
        elif node.op == "index":
            found.append(node.static[0])
    return found


def _pruned(kernel: Kernel) -> Kernel:
    """Drop nodes that no store needs. Checks stay, since they are for the user."""
    needed = {s.node for s in kernel.stores}
    for number in range(len(kernel.nodes) - 1, -1, -1):
        if number in needed or kernel.nodes[number].op == "wrap":
            needed.update([number, *kernel.nodes[number].args])
    kept = sorted(needed)
    places = {old: new for new, old in enumerate(kept)}
    nodes = [
        replace(kernel.nodes[i], args=tuple([places[a] for a in kernel.nodes[i].args]))
        for i in kept
    ]
    stores = [replace(s, node=places[s.node]) for s in kernel.stores]
    return replace(kernel, nodes=tuple(nodes), stores=tuple(stores))


def _with_axes(
    kernel: Kernel, change: Callable[[Strides], Strides], shape: Strides, reduced: tuple[bool, ...]
) -> Kernel:
    """Return a kernel with other axes; ``change`` maps old strides to new ones."""
    nodes: list[Node] = []
    for node in kernel.nodes:
        if node.op in ("load", "gather"):
            static = (node.static[0], change(node.static[1]), *node.static[2:])
            node = replace(node, static=static)
        elif node.op == "index":
            node = replace(node, static=(change(node.static[0]), *node.static[1:]))
        nodes.append(node)
    stores = tuple([replace(s, strides=change(s.strides)) for s in kernel.stores])
    return replace(kernel, shape=shape, reduced=reduced, nodes=tuple(nodes), stores=stores)


def _collapsed(kernel: Kernel, classes: Sequence[int]) -> Kernel:
    """Join axes that everything runs through as if they were one."""
    strides = _strided(kernel)
    runs: list[list[int]] = []
    for axis, size in enumerate(kernel.shape):
        if runs:
            last = runs[-1][-1]
            alike = classes[last] == classes[axis] and kernel.reduced[last] == kernel.reduced[axis]
            if alike and all(s[last] == s[axis] * size for s in strides):
                runs[-1].append(axis)
                continue
        runs.append([axis])
    shape = tuple([prod([kernel.shape[a] for a in run]) for run in runs])
    reduced = tuple([kernel.reduced[run[0]] for run in runs])

    def joined(strides: Strides) -> Strides:
        return tuple([strides[run[-1]] for run in runs])

    return _with_axes(kernel, joined, shape, reduced)


def _lane(kernel: Kernel) -> int:
    """Choose the axis along which most of the memory is contiguous."""
    votes = [0.0] * len(kernel.shape)
    for number, strides in enumerate(_strided(kernel)):
        weight = 2.0 if number < len(kernel.stores) else 1.0
        weight *= sum([s != 0 for s in strides])  # larger arrays count more
        for axis, step in enumerate(strides):
            if step == 1:
                votes[axis] += weight
    best = max(votes)
    return max([axis for axis, vote in enumerate(votes) if vote == best])


def sliced(
    kernel: Kernel, params: Sequence[Param], axis: int, start: int, chunks: int, length: int
) -> tuple[Kernel, list[Param]]:
    """Return a kernel for ``chunks`` parts of an axis, from ``start``, each of some length.

    The number of the part is a new first axis, which is not reduced. Stores of reductions must be
    given strides along it by the caller; they have 0.
    """
    shifted: dict[int, int] = {}
    for node in kernel.nodes:
        if node.op in ("load", "gather"):
            shifted[node.static[0]] = node.static[1][axis] * start
    for store in kernel.stores:
        shifted[store.param] = store.strides[axis] * start
    moved = [Param(p.buffer, p.offset + shifted.get(i, 0)) for i, p in enumerate(params)]
    nodes = [
        replace(
            n,
            static=(
                n.static[0],
                n.static[1] + n.static[2] * n.static[0][axis] * start,
                n.static[2],
            ),
        )
        if n.op == "index"
        else n
        for n in kernel.nodes
    ]
    shape = (chunks, *[length if i == axis else n for i, n in enumerate(kernel.shape)])
    part = replace(kernel, nodes=tuple(nodes), lane=kernel.lane + 1)

    def parted(strides: Strides) -> Strides:
        return (strides[axis] * length, *strides)

    part = _with_axes(part, parted, shape, (False, *kernel.reduced))
    return part, moved


def strides_of(
    builder: Builder, atoms: Sequence[int], own: Map, strides: Sequence[int], shape: Sequence[int]
) -> tuple[int, ...]:
    """Return the stride of each atom, given those of axes."""
    sizes = dict(zip(atoms, builder.sizes, strict=True))
    found: dict[int, int] = {}
    for axis, step, n in zip(own, strides, shape, strict=True):
        if n == 1:
            continue
        for atom in reversed(axis):
            found[atom] = step
            step *= sizes[atom]
    return tuple([found.get(a, 0) for a in atoms])


def class_counts(builder: Builder, classes: Sequence[int]) -> list[int]:
    """Return how many axes of each class are left once they are joined."""
    found = [0, 0, 0]
    for one in range(3):
        members = [i for i, c in enumerate(classes) if c == one]
        if members:
            strides = [s.strides for s in builder.stores]
            strides += [n.static[1] for n in builder.nodes if n.op in ("load", "gather")]
            strides += [n.static[0] for n in builder.nodes if n.op == "index"]
            breaks = [
                any(s[a] != s[b] * builder.sizes[b] for s in strides) for a, b in pairwise(members)
            ]
            found[one] = 1 + sum(breaks)
    return found
