"""Sums of padded parts that fill an array between them: the gradient of a value read in slices.

Each slice sends back zeros around its own part, and their sum has one part at each place. It is
written as a concatenation, whose parts are stored where they belong as they are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from isograd.compiler.renaming import renamed
from isograd.compiler.trace import traced
from isograd.ir.graph import Equation, Graph, Var, count_uses
from isograd.ops.arithmetic import add
from isograd.ops.movement import concat, reshape
from isograd.runtime.tensor import Tensor

__all__ = ["join_parts"]

Range = tuple[int, int]


class _Part(NamedTuple):
    """The value inside a padding, and the indices that it has: a range for each axis."""

    var: Var
    box: tuple[Range, ...]


def join_parts(graph: Graph) -> Graph:
    """Replace sums of padded values that fill an array by one concatenation, bit for bit."""
    uses = count_uses(graph)
    pads: dict[Var, list[Equation]] = {}
    inner: set[Var] = set()
    for equation in graph.equations:
        if equation.prim.name == "pad" and equation.static["value"] == 0:
            pads[equation.outputs[0]] = [equation]
        elif equation.prim.name == "add":
            x, y = equation.inputs
            if x is not y and all(v in pads and uses[v] == 1 for v in (x, y)):
                pads[equation.outputs[0]] = pads[x] + pads[y]
                inner |= {x, y}
    constants = dict(graph.constants)
    replaced: dict[Var, Var] = {}
    kept: list[Equation] = []
    for equation in graph.equations:
        out = equation.outputs[0]
        found = out in pads and out not in inner and len(pads[out]) > 1
        made = _joined(equation, pads[out]) if found else None
        if made is None:
            kept.append(equation)
            continue
        constants.update(made.constants)
        kept += made.equations
        replaced[out] = made.outputs[0]
    return renamed(Graph(graph.inputs, constants, kept, graph.outputs), replaced)


def _joined(whole: Equation, pads: Sequence[Equation]) -> Graph | None:
    """Return a graph of the result of ``whole``; None where the pads do not fill it."""
    shape = whole.outputs[0].aval.shape
    apart = [i for i in range(len(shape)) if any(pad.static["interior"][i] for pad in pads)]
    # Along an axis on which parts alternate, whose turn it is becomes an axis of its own.
    counts = [1] * len(shape)
    for i in apart:
        steps = {pad.static["interior"][i] + 1 for pad in pads}
        if len(steps) > 1 or shape[i] % max(steps):
            return None
        counts[i] = max(steps)
    wide = _spread(shape, counts)
    parts: list[_Part] = []
    for pad in pads:
        box: list[Range] = []
        sizes = pad.inputs[0].aval.shape
        for i, (n, low) in enumerate(zip(sizes, pad.static["low"], strict=True)):
            if counts[i] > 1:
                if n != shape[i] // counts[i] or low >= counts[i]:
                    return None
                box += [(0, n), (low, low + 1)]
            else:
                box.append((low, low + n))
        parts.append(_Part(pad.inputs[0], tuple(box)))
    if not _fills(parts, tuple([(0, n) for n in wide])):
        return None

    def assemble(*tensors: Tensor) -> Tensor:
        known = dict(zip([part.var for part in parts], tensors, strict=True))
        return reshape(_concatenated(parts, known, counts), shape)

    return traced(assemble, [part.var for part in parts], whole.line)


def _spread(shape: Sequence[int], counts: Sequence[int]) -> tuple[int, ...]:
    """Return a shape in which parts that alternate along an axis are the axis behind it."""
    found: list[int] = []
    for n, count in zip(shape, counts, strict=True):
        found += [n // count, count] if count > 1 else [n]
    return tuple(found)


def _cut(parts: Sequence[_Part], box: Sequence[Range]) -> tuple[int, list[list[_Part]]] | None:
    """Return an axis across which parts can be separated, and those of each range, in order."""
    for axis, (start, stop) in enumerate(box):
        by_range: dict[Range, list[_Part]] = {}
        for part in parts:
            by_range.setdefault(part.box[axis], []).append(part)
        ranges = sorted(by_range)
        ends = [start, *[r[1] for r in ranges]]
        if len(ranges) > 1 and ends[-1] == stop and [r[0] for r in ranges] == ends[:-1]:
            return axis, [by_range[r] for r in ranges]
    return None


def _fills(parts: Sequence[_Part], box: tuple[Range, ...]) -> bool:
    """Tell whether cuts right across separate a box into the parts."""
    if len(parts) == 1:
        return parts[0].box == box
    found = _cut(parts, box)
    if found is None:
        return False
    axis, groups = found
    return all(
        _fills(group, (*box[:axis], group[0].box[axis], *box[axis + 1 :])) for group in groups
    )


def _concatenated(
    parts: Sequence[_Part], tensors: dict[Var, Tensor], counts: Sequence[int]
) -> Tensor:
    if len(parts) == 1:
        (part,) = parts
        t = tensors[part.var]
        # Zeros were added to it, after which there is no -0.0.
        t = add(t, 0.0) if t.dtype.kind in "fcV" else t
        sizes: list[int] = []
        for n, count in zip(part.var.aval.shape, counts, strict=True):
            sizes += [n, 1] if count > 1 else [n]
        return reshape(t, tuple(sizes))
    bounds = [(min(r), max(r)) for r in zip(*[part.box for part in parts], strict=True)]
    box = [(low[0], high[1]) for low, high in bounds]
    found = _cut(parts, box)
    assert found is not None
    axis, groups = found
    return concat([_concatenated(group, tensors, counts) for group in groups], axis=axis)
