"""Groups of equations that one pass over memory computes.

An equation joins the group that makes one of its operands if the two run over the same indices. A
group's indices are *atoms*: axes that no member splits further. Every member maps each of its axes
to atoms, so transposes, broadcasts and reshapes inside a group are only other maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from isograd.ir.graph import Equation

__all__ = ["Group", "Map"]

#: For each axis of a value, the atoms it runs over, outermost first; none where its length is 1.
Map = tuple[tuple[int, ...], ...]


class Group:
    """Equations that run together.

    Attributes
    ----------
    kind : str
        ``loop``; ``product``, whose first equation is a matmul; ``call`` and ``parts``, which are
        one equation each.
    sizes : dict
        The length of each atom, outermost first.
    reduced : frozenset or None
        The atoms that reductions run over, once there is a reduction.
    maps : dict
        For each value made here, its map; for an equation, that of its operand; for ``"parts"`` of
        a product, the atoms of its batch, rows and columns.
    equations : list
        In order.
    closed : bool
        Whether only reductions may still join: their results are complete after a second pass.
    """

    def __init__(
        self, number: int, kind: str, shape: Sequence[int], order: Sequence[int] | None = None
    ) -> None:
        self.number = number
        self.kind = kind
        axes = range(len(shape)) if order is None else order
        self.sizes = {i: shape[i] for i in axes if shape[i] != 1}
        self.reduced: frozenset[int] | None = None
        self.maps: dict[Any, Map] = {}
        self.equations: list[Equation] = []
        self.picks: set[Equation] = set()
        self.closed = False
        self._next = len(shape)

    def whole(self, shape: Sequence[int]) -> Map:
        """Return the map of a value over all indices, in a group made for ``shape``."""
        return tuple([(i,) if n != 1 else () for i, n in enumerate(shape)])

    def strides(self, own: Map) -> tuple[int, ...]:
        """Return the strides of a value of this map whose memory is in the order of the atoms."""
        mine = {a for axis in own for a in axis}
        steps: dict[int, int] = {}
        step = 1
        for atom in reversed([a for a in self.sizes if a in mine]):
            steps[atom] = step
            step *= self.sizes[atom]
        return tuple([steps[axis[-1]] if axis else 0 for axis in own])

    def is_ordered(self, own: Map) -> bool:
        """Tell whether each axis of a value runs over atoms that are neighbours, in order."""
        mine = {a for axis in own for a in axis}
        place = {a: i for i, a in enumerate([a for a in self.sizes if a in mine])}
        return all(place[b] == place[a] + 1 for axis in own for a, b in pairwise(axis))

    def length(self, atoms: Iterable[int]) -> int:
        """Return how many indices some atoms have."""
        return prod([self.sizes[a] for a in atoms])

    # -- maps --------------------------------------------------------------------------------------

    def permuted(self, own: Map, axes: Sequence[int]) -> Map:
        """Return the map after a transpose."""
        return tuple([own[a] for a in axes])

    def reshaped(self, own: Map, shape: Sequence[int]) -> Map | None:
        """Return the map after a reshape, splitting atoms where need be; None where it has none."""
        rest = [a for axis in own for a in axis]
        found: list[tuple[int, ...]] = []
        for n in shape:
            taken: list[int] = []
            while n > 1 and rest:
                size = self.sizes[rest[0]]
                if n % size == 0:
                    taken.append(rest.pop(0))
                    n //= size
                elif size % n == 0:
                    outer, inner = self._split(rest.pop(0), n)
                    taken.append(outer)
                    rest.insert(0, inner)
                    n = 1
                else:
                    return None
            if n != 1:
                return None
            found.append(tuple(taken))
        # Atoms that were split meanwhile stand under their new names.
        return tuple(found) if not rest else None

    def filled(self, own: Sequence[tuple[int, ...] | None], shape: Sequence[int]) -> Map | None:
        """Give the axes that are None the atoms that no other axis has, in order."""
        used = {a for axis in own if axis for a in axis}
        free = [a for a in self.sizes if a not in used]
        found: list[tuple[int, ...]] = []
        for axis, n in zip(own, shape, strict=True):
            if axis is not None or n == 1:
                found.append(axis or ())
                continue
            taken: list[int] = []
            while n > 1 and free and n % self.sizes[free[0]] == 0:
                n //= self.sizes[free[0]]
                taken.append(free.pop(0))
            if n != 1:
                return None
            found.append(tuple(taken))
        return tuple(found)

    def _split(self, atom: int, outer: int) -> tuple[int, int]:
        """Split an atom in two, of which the first has ``outer`` indices."""
        new = (self._next, self._next + 1)
        self._next += 2
        size = self.sizes[atom]
        parts = {new[0]: outer, new[1]: size // outer}
        sizes: dict[int, int] = {}
        for a, n in self.sizes.items():
            sizes.update(parts if a == atom else {a: n})
        self.sizes = sizes
        self.maps = {
            var: tuple([self._renamed(axis, atom, new) for axis in own])
            for var, own in self.maps.items()
        }
        if self.reduced is not None and atom in self.reduced:
            self.reduced = (self.reduced - {atom}) | set(new)
        return new

    @staticmethod
    def _renamed(axis: tuple[int, ...], atom: int, new: tuple[int, int]) -> tuple[int, ...]:
        if atom not in axis:
            return axis
        at = axis.index(atom)
        return (*axis[:at], *new, *axis[at + 1 :])
