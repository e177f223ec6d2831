"""Fusing: which equations of a graph run in one pass over memory.

Equations are taken in order. Movements become views of what is stored; everything else joins a
`Group` or begins one. A reduction that has to begin one takes along what only it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from isograd.backend.schedule import CONVOLUTIONS, REDUCTIONS
from isograd.compiler.convolution import group_of, is_product
from isograd.compiler.groups import Group, Map
from isograd.compiler.views import MOVES, View, contiguous, map_after, map_before, moved
from isograd.ir.graph import Equation, Graph, Var

__all__ = ["Fused", "fuse"]

_PARTS = frozenset({"concat", "pad"})
_GATHERS = frozenset({"take", "take_along_axis"})
#: What is never moved from the group that it is in.
_STAYS = CONVOLUTIONS | REDUCTIONS | {"matmul", "reshape", "take", "take_along_axis"}
#: Reductions with fewer other indices than this, of more elements than that, take two passes.
SPLIT_ITEMS = 32
SPLIT_SIZE = 1 << 15


class Fused(NamedTuple):
    """What `fuse` found.

    Attributes
    ----------
    groups : list of Group
        In an order in which they can run.
    views : dict
        Values that are views; others are their own roots.
    uniform : dict
        Values that are one number throughout.
    ranges : dict
        Equations of ``arange``, by their outputs; they are computed where they are used.
    owner : dict
        The group that makes a value.
    layout : dict
        The strides of stored values; others are C-contiguous.
    """

    groups: list[Group]
    views: dict[Var, View]
    uniform: dict[Var, Any]
    ranges: dict[Var, Equation]
    owner: dict[Var, Group]
    layout: dict[Var, tuple[int, ...]]


class _Fuser:
    def __init__(
        self,
        graph: Graph,
        fusable: Callable[[Equation], bool],
        layout: Mapping[Var, tuple[int, ...]],
    ) -> None:
        self.graph = graph
        self.fusable = fusable
        self.order = {e: i for i, e in enumerate(graph.equations)}
        self.groups: list[Group] = []
        self.owner: dict[Var, Group] = {}
        self.maker: dict[Var, Equation] = {}
        self.alias: dict[Var, Equation] = {}
        self.views: dict[Var, View] = {}
        self.uniform: dict[Var, Any] = {}
        self.ranges: dict[Var, Equation] = {}
        self.deps: dict[Group, set[Group]] = {}
        self.uses: dict[Var, list[Equation]] = {}
        for equation in graph.equations:
            for var in equation.inputs:
                self.uses.setdefault(var, []).append(equation)
        self.kept = set(graph.outputs)
        self.layout = dict(layout)
        for var, array in graph.constants.items():
            if var.aval.shape == ():
                self.uniform[var] = array[()]

    def run(self) -> Fused:
        for equation in self.graph.equations:
            for var in equation.outputs:
                self.maker[var] = equation
            self._take(equation)
        groups = self._sorted([g for g in self.groups if g.equations])
        return Fused(groups, self.views, self.uniform, self.ranges, self.owner, self.layout)

    def _take(self, equation: Equation) -> None:
        name = equation.prim.name
        out = equation.outputs[0]
        if equation.prim.control is not None or equation.prim.multiple:
            self._begin("call", equation)
        elif name == "full":
            self.uniform[out] = equation.static["value"]
        elif name == "arange" and isinstance(equation.static["start"], int):
            self.ranges[out] = equation
        elif name in MOVES or self._is_identity(equation):
            self._move(equation)
        elif prod(out.aval.shape) == 0 or any(prod(v.aval.shape) == 0 for v in equation.inputs):
            self._begin("call", equation)
        elif name in _PARTS:
            self._begin("parts", equation)
            self._lay_out(out, self._nearest(equation.inputs[0].aval.shape, equation.inputs))
        elif not self.fusable(equation):
            self._begin("call", equation)
        elif name == "matmul":
            group = self._begin("product", equation)
            self._made(out, group, group.whole(out.aval.shape))
            own = group.maps[out]
            batch = tuple([a for axis in own[:-2] for a in axis])
            group.maps["parts"] = (batch, *own[-2:])
        elif name in CONVOLUTIONS:
            group, own = group_of(len(self.groups), equation)
            self.groups.append(group)
            self.deps[group] = set()
            self._add(equation, group)
            self._made(out, group, own)
        elif name in REDUCTIONS:
            self._reduce(equation, equation.static["axis"])
        elif name == "take_along_axis" and self._picks(equation):
            pass
        elif not self._join_any(equation):
            group = self._begin("loop", equation)
            self._made(out, group, group.whole(out.aval.shape))

    def _is_identity(self, equation: Equation) -> bool:
        """Tell whether an equation only renames: a cast to the same dtype, a sum of one element."""
        name, out, x = equation.prim.name, equation.outputs[0], equation.inputs[0]
        if name == "stop_gradient" or (name == "astype" and x.aval.dtype == out.aval.dtype):
            return True
        axes: tuple[int, ...] = equation.static.get("axis", ())
        return name in REDUCTIONS and all(x.aval.shape[a] == 1 for a in axes)

    # -- groups ------------------------------------------------------------------------------------

    def _begin(self, kind: str, equation: Equation, shape: Sequence[int] | None = None) -> Group:
        size = equation.outputs[0].aval.shape if shape is None else shape
        order = self._nearest(size, equation.inputs) if kind == "loop" else None
        group = Group(len(self.groups), kind, size, order)
        self.groups.append(group)
        self.deps[group] = set()
        self._add(equation, group)
        return group

    def _add(self, equation: Equation, group: Group) -> None:
        group.equations.append(equation)
        for var in equation.outputs:
            self.owner[var] = group
        self.deps[group] |= self._needed([equation], group)

    def _needed(self, equations: Iterable[Equation], group: Group) -> set[Group]:
        found = {self._group_of(v) for e in equations for v in e.inputs}
        return {g for g in found if g is not None and g is not group}

    def root(self, var: Var) -> Var:
        """Return the value whose memory holds ``var``."""
        view = self.views.get(var)
        return var if view is None else view.root

    def _group_of(self, var: Var) -> Group | None:
        return self.owner.get(self.root(var))

    def _reaches(self, start: Group, goal: Group) -> bool:
        """Tell whether ``start`` needs ``goal``, directly or not."""
        seen: set[Group] = set()
        todo = [start]
        while todo:
            group = todo.pop()
            if group is goal:
                return True
            if group not in seen:
                seen.add(group)
                todo.extend(self.deps[group])
        return False

    def _sorted(self, groups: list[Group]) -> list[Group]:
        """Order groups so that each comes after what it needs, else as the equations were."""
        for group in groups:
            group.equations.sort(key=self.order.__getitem__)
        groups = sorted(groups, key=lambda g: self.order[g.equations[0]])
        done: dict[Group, None] = {}
        for start in groups:
            todo = [start]
            while todo:
                group = todo[-1]
                waiting = [g for g in self.deps[group] if g not in done]
                if group in done or not waiting:
                    done[todo.pop()] = None
                else:
                    todo.extend(sorted(waiting, key=lambda g: -g.number))
        return list(done)

    # -- movements ---------------------------------------------------------------------------------

    def _move(self, equation: Equation) -> None:
        source, out = equation.inputs[0], equation.outputs[0]
        if source in self.uniform:
            self.uniform[out] = self.uniform[source]
            return
        view = moved(equation, self._view(source))
        if view is not None:
            self.views[out] = view
            self.alias[out] = equation
        else:
            self._copy(equation)

    def _copy(self, equation: Equation) -> None:
        """Let a reshape that is no view write its elements in order, where its operand is made."""
        source, out = equation.inputs[0], equation.outputs[0]
        group = self._group_of(source)
        fits = group is not None and group.kind in ("loop", "product") and not group.closed
        own = self.mapped(group, source) if fits and group is not None else None
        whole = own is not None and group is not None and len(own) == len(source.aval.shape)
        if group is None or own is None or not whole or not self._covers(group, own):
            group = self._begin("loop", equation, source.aval.shape)
            own = group.whole(source.aval.shape)
        else:
            self._add(equation, group)
        group.maps[equation] = own
        made = group.reshaped(own, out.aval.shape)
        if made is not None:  # else nothing in this group can use it
            made = group.reshaped(group.maps[equation], out.aval.shape) or made
            group.maps[out] = made

    @staticmethod
    def _covers(group: Group, own: Map) -> bool:
        return {a for axis in own for a in axis} == set(group.sizes)

    def _view(self, var: Var) -> View:
        """Return where a value is, or will be if it is stored."""
        view = self.views.get(var)
        if view is None:
            shape = var.aval.shape
            view = View(var, 0, shape, self.layout.get(var) or contiguous(shape))
        return view

    def _made(self, var: Var, group: Group, own: Map) -> None:
        """Note the map of a result, and lay it out in memory in the order of the group's loops."""
        group.maps[var] = own
        if var not in self.kept and group.is_ordered(own):
            self.layout[var] = group.strides(own)

    def _lay_out(self, var: Var, order: Sequence[int] | None) -> None:
        """Lay a value out in memory with its axes in an order, the outermost first."""
        if order is not None and var not in self.kept:
            steps = contiguous([var.aval.shape[a] for a in order])
            strides = dict(zip(order, steps, strict=True))
            self.layout[var] = tuple([strides[a] for a in range(len(order))])

    def _nearest(self, shape: Sequence[int], inputs: Sequence[Var]) -> list[int] | None:
        """Return the order of axes in which the first operand of a shape lies in memory."""
        for var in inputs:
            if var.aval.shape == tuple(shape) and var not in self.uniform:
                strides = self._view(var).strides
                pairs = zip(shape, strides, strict=True)
                if self._view(var).root not in self.ranges and all(n == 1 or s for n, s in pairs):
                    return _order(shape, strides)
        return None

    def mapped(self, group: Group, var: Var) -> Map | None:
        """Return the map of a value in the group that made it, through movements."""
        if var in group.maps:
            return group.maps[var]
        equation = self.alias.get(var)
        if equation is None:
            return None
        own = self.mapped(group, equation.inputs[0])
        return None if own is None else map_after(group, equation, own)

    # -- joining -----------------------------------------------------------------------------------

    def _join_any(self, equation: Equation) -> bool:
        """Add an equation to a group that makes one of its operands, if any can take it."""
        found = {self._group_of(v) for v in equation.inputs if v not in self.uniform}
        groups = [g for g in found if g is not None and g.kind in ("loop", "product")]
        groups.sort(key=lambda g: self.order[g.equations[-1]], reverse=True)
        if len(groups) == 2 and self._merge(equation, *groups):
            groups = [g for g in groups if g.equations]
        return any(self._join(equation, group) for group in groups)

    def _join(self, equation: Equation, group: Group) -> bool:
        if group.closed or not self._may_follow(equation, group):
            return False
        if group.kind == "product" and equation.prim.name in _GATHERS:
            return False
        own = self._out_map(equation, group)
        if own is None:
            return False
        if group.kind == "product" and not (
            self._covers(group, own) and len(group.maps["parts"][2]) <= 1
        ):
            return False  # tiles have one axis of columns
        self._made(equation.outputs[0], group, own)
        self._add(equation, group)
        self._gather_in(equation, group)
        return True

    def _gather_in(self, equation: Equation, group: Group) -> None:
        """Move what only this equation uses into its group, if nothing stays behind for it."""
        shape = equation.outputs[0].aval.shape
        for var in equation.inputs if equation.prim.name not in _GATHERS else ():
            giver = self.owner.get(var)
            if giver is None or giver is group or var.aval.shape != shape:
                continue
            if giver.kind == "loop" and self._is_free(var, giver):
                self._steal(var, group, group.maps[equation.outputs[0]])
        self.deps[group] = self._needed(group.equations, group)

    def _is_free(self, var: Var, giver: Group) -> bool:
        """Tell whether the group that makes a value can do without all that leads to it."""
        if var in self.kept or len(self.uses[var]) != 1 or var not in self.maker:
            return False
        equation = self.maker[var]
        if equation.prim.name in _STAYS or equation in giver.picks or giver.closed:
            return False
        return all(
            self._group_of(v) is not giver
            or v in self.uniform
            or (v.aval.shape == var.aval.shape and self._is_free(v, giver))
            for v in equation.inputs
        )

    def _may_follow(self, equation: Equation, group: Group) -> bool:
        """Tell whether what else an equation needs can be complete before the group runs."""
        return not any(self._reaches(g, group) for g in self._needed([equation], group))

    def _out_map(self, equation: Equation, group: Group) -> Map | None:
        """Return the map of an elementwise result, given those of its operands in the group."""
        shape = equation.outputs[0].aval.shape
        mine = [v for v in equation.inputs if self._group_of(v) is group and v not in self.uniform]
        if equation.prim.name == "take" and any(v is equation.inputs[0] for v in mine):
            return None
        if equation.prim.name == "take_along_axis" and equation.inputs[0] in mine:
            return None
        for v in mine:  # once more below: this may have split atoms
            if self.mapped(group, v) is None:
                return None
        axes: list[tuple[int, ...] | None] = [() if n == 1 else None for n in shape]
        for v in mine:
            own = self.mapped(group, v)
            assert own is not None
            first = len(shape) - len(own)
            if equation.prim.name == "take":
                first = equation.static["axis"]
            for i, axis in enumerate(own):
                if not axis:
                    continue
                if axes[first + i] not in (None, axis):
                    return None
                axes[first + i] = axis
        used = [a for axis in axes if axis for a in axis]
        if len(set(used)) != len(used):
            return None
        return group.filled(axes, shape)

    def _merge(self, equation: Equation, one: Group, two: Group) -> bool:
        """Make one group of two that an elementwise equation joins, if they run alike."""
        if one.kind != "loop":
            one, two = two, one
        if one.kind != "loop" or one.closed or two.closed or len(one.sizes) == 0:
            return False
        if two.kind == "product" and (
            one.reduced is not None
            or not self._is_whole(one)
            or any(e.prim.name in _GATHERS for e in one.equations)
        ):
            return False
        if None not in (one.reduced, two.reduced) and one.reduced != two.reduced:
            return False
        shape = equation.outputs[0].aval.shape
        pair: list[Map] = []
        for group in (one, two):
            inside = [v for v in equation.inputs if self._group_of(v) is group]
            full = [v for v in inside if v.aval.shape == shape and v not in self.uniform]
            own = self.mapped(group, full[0]) if full else None
            if own is None or not self._covers(group, own):
                return False
            pair.append(own)
        if not self._may_merge(one, two):
            return False
        names = _matched(one, two, *pair)
        if names is None:
            return False
        reduced = None if one.reduced is None else frozenset([names[a] for a in one.reduced])
        if None not in (reduced, two.reduced) and reduced != two.reduced:
            return False
        two.reduced = two.reduced if reduced is None else reduced
        for key, own in one.maps.items():
            two.maps[key] = tuple([tuple([names[a] for a in axis]) for axis in own])
        two.equations += one.equations
        two.equations.sort(key=self.order.__getitem__)
        two.picks |= one.picks
        for var in [v for e in one.equations for v in e.outputs]:
            self.owner[var] = two
        one.equations = []
        self.deps[two] = (self.deps[two] | self.deps.pop(one)) - {one, two}
        for others in self.deps.values():
            if one in others:
                others.discard(one)
                others.add(two)
        self.deps[two].discard(two)
        return True

    def _is_whole(self, group: Group) -> bool:
        atoms = set(group.sizes)
        return all(
            {a for axis in group.maps[v] for a in axis} == atoms
            for e in group.equations
            for v in e.outputs
        )

    def _may_merge(self, one: Group, two: Group) -> bool:
        """Tell whether neither of two groups needs the other, directly or not."""
        return not (self._reaches(one, two) or self._reaches(two, one))

    # -- reductions --------------------------------------------------------------------------------

    def _reduce(self, equation: Equation, axes: Sequence[int]) -> None:
        source, out = equation.inputs[0], equation.outputs[0]
        group = self._group_of(source)
        own: Map | None = None
        if group is not None and group.kind == "loop" and source not in self.uniform:
            own = self.mapped(group, source)
        if own is None or not self._may_reduce(equation, group, own, axes):
            group = self._begin("loop", equation, source.aval.shape)
            group.maps[equation] = own = group.whole(source.aval.shape)
            self._steal(source, group, own)
            own = group.maps[equation]  # looking back may have split atoms
            self.deps[group] = self._needed(group.equations, group)
        else:
            assert group is not None
            self._add(equation, group)
        group.maps[equation] = own
        group.reduced = frozenset([a for i in axes for a in own[i]])
        items = group.length([a for a in group.sizes if a not in group.reduced])
        if items < SPLIT_ITEMS and group.length(group.sizes) >= SPLIT_SIZE:
            group.closed = True
        if out.aval.shape == source.aval.shape or len(out.aval.shape) == len(own):
            result = tuple([() if i in axes else axis for i, axis in enumerate(own)])
        else:
            result = tuple([axis for i, axis in enumerate(own) if i not in axes])
        self._made(out, group, result)

    def _may_reduce(
        self, equation: Equation, group: Group | None, own: Map, axes: Sequence[int]
    ) -> bool:
        assert group is not None
        reduced = frozenset([a for i in axes for a in own[i]])
        if group.reduced not in (None, reduced) or {a for x in own for a in x} != set(group.sizes):
            return False
        # A second pass needs all rows of the first: what is reduced must not depend on one.
        return not (group.closed and self._depends_on_reduction(equation.inputs[0], group))

    def _depends_on_reduction(self, var: Var, group: Group) -> bool:
        todo, seen = [var], set[Var]()
        while todo:
            v = self.root(todo.pop())
            if v in seen or self.owner.get(v) is not group:
                continue
            seen.add(v)
            equation = self.maker[v]
            if equation.prim.name in REDUCTIONS or equation in group.picks:
                return True
            todo.extend(equation.inputs)
        return False

    def _steal(self, var: Var, group: Group, own: Map) -> None:
        """Take along the equation that makes ``var``, and what only it uses, if that is simple."""
        while True:  # back through movements
            if var in self.kept or len(self.uses.get(var, ())) != 1 or var in self.uniform:
                return
            movement = self.alias.get(var)
            if movement is None:
                break
            before = map_before(group, movement, own)
            if before is None:
                return
            var, own = movement.inputs[0], before
        giver, equation = self.owner.get(var), self.maker.get(var)
        if (
            giver is None
            or equation is None
            or giver is group
            or giver.kind not in ("loop", "product")
        ):
            return
        if equation.prim.name in _STAYS:
            return
        if giver.closed or equation in giver.picks:
            return
        giver.equations.remove(equation)
        giver.maps.pop(var, None)
        # Whether it is stored was decided: nobody else reads it, so its layout says nothing.
        self.deps[giver] = self._needed(giver.equations, giver)
        group.equations.append(equation)
        group.maps[var] = own
        self.owner[var] = group
        for source in equation.inputs:
            if source.aval.shape == var.aval.shape:
                self._steal(source, group, group.maps[var])

    def _picks(self, equation: Equation) -> bool:
        """Reduce instead of gathering, where one element is taken of each row made there."""
        source, indices = equation.inputs
        axis: int = equation.static["axis"]
        group = self._group_of(source)
        if group is None or group.kind != "loop" or indices.aval.shape[axis] != 1:
            return False
        if group.closed or not self._may_follow(equation, group) or source in self.uniform:
            return False
        own = self.mapped(group, source)
        if own is None or not own[axis] or not self._may_reduce(equation, group, own, (axis,)):
            return False
        if self._group_of(indices) is group:
            return False
        self._add(equation, group)
        group.picks.add(equation)
        group.maps[equation] = own
        group.reduced = frozenset(own[axis])
        result = tuple([() if i == axis else atoms for i, atoms in enumerate(own)])
        self._made(equation.outputs[0], group, result)
        return True


def fuse(
    graph: Graph,
    fusable: Callable[[Equation], bool],
    layout: Mapping[Var, tuple[int, ...]] | None = None,
    /,
) -> Fused:
    """Group the equations of a graph.

    Parameters
    ----------
    graph
        After all passes.
    fusable
        Tells of an equation that is no movement whether the backend renders it.
    layout
        The strides of inputs that are not C-contiguous.
    """

    def rendered(equation: Equation) -> bool:
        convolves = equation.prim.name in CONVOLUTIONS
        return fusable(equation) and (not convolves or is_product(equation))

    return _Fuser(graph, rendered, layout or {}).run()


def _order(shape: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Return the axes, outermost in memory first; one of length 1 stays behind its neighbour."""
    axes = [a for a, n in enumerate(shape) if n != 1]
    order = sorted(axes, key=lambda a: -abs(strides[a]))
    for axis, n in enumerate(shape):
        if n == 1:
            order.insert(order.index(axis - 1) + 1 if axis else 0, axis)
    return order


def _matched(one: Group, two: Group, own: Map, other: Map) -> dict[int, int] | None:
    """Return the atoms of ``two`` for those of ``one``, which run over the same indices."""
    names: dict[int, int] = {}
    for mine, its in zip(own, other, strict=True):
        if [one.sizes[a] for a in mine] != [two.sizes[a] for a in its]:
            return None
        names.update(zip(mine, its, strict=True))
    return names if len(names) == len(one.sizes) else None
