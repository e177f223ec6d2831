"""Schedule: what a compiled program runs, in loops over memory, for a backend to render.

A program is a list of steps over buffers. A `Loop` computes many operations in one pass: its
`Kernel` has no names and no addresses, so equal kernels are equal values and are rendered once.
Products and whatever has no scalar form stay calls. All strides and offsets count elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, Literal

__all__ = [
    "CONVOLUTIONS",
    "REDUCTIONS",
    "UPDATES",
    "Apply",
    "Buffer",
    "Kernel",
    "Loop",
    "Node",
    "Param",
    "Place",
    "Product",
    "Schedule",
    "Step",
    "Store",
    "format_kernel",
    "format_schedule",
]

#: Primitives that become products of windows.
CONVOLUTIONS = frozenset({"conv", "conv_input_grad", "conv_weight_grad"})
#: Nodes that combine a value over all reduced axes.
REDUCTIONS = frozenset({"sum", "max", "min", "any", "all"})
#: Primitives that cannot fail, and whose results may take the places of operands of their shapes:
#: each element is read just before the one in its place is written.
UPDATES = frozenset({"sgd_update", "adam_update"})


@dataclass(frozen=True, slots=True)
class Node:
    """One value in the body of a loop.

    Attributes
    ----------
    op : str
        An elementwise primitive; a reduction of `REDUCTIONS`; or

        - ``load``: ``static`` is ``(param, strides)``, a stride for each axis of the loop
        - ``gather``: the same, and a stride for each argument, which are indices
        - ``wrap``: ``static`` is ``(size,)``: an index counted from the start; one that is out of
          range is reported, and read as 0
        - ``const``: ``static`` is ``(value,)``
        - ``index``: ``static`` is ``(strides, start, step)``: ``start + step * sum(strides * i)``
    args : tuple of int
        Numbers of earlier nodes.
    dtype : str
        The name of its dtype.
    static : tuple
        As above; for primitives, their parameters as pairs.
    """

    op: str
    args: tuple[int, ...]
    dtype: str
    static: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """Where a node's value is written: strides are 0 along reduced axes if it has none of them."""

    param: int
    strides: tuple[int, ...]
    node: int


@dataclass(frozen=True)
class Kernel:
    """A nest of loops with what is computed inside.

    Attributes
    ----------
    shape : tuple of int
        Lengths of the axes. None is 0.
    reduced : tuple of bool
        Which axes are reduced: for each index of the other axes, all nodes are computed for all
        indices of these before anything that uses a reduction of them.
    lane : int
        The axis whose elements are neighbours in memory, for vector units; -1 without axes.
    nodes, stores
        The body, in order.
    params : tuple of str
        The dtypes of the memory that it reads and writes.
    """

    shape: tuple[int, ...]
    reduced: tuple[bool, ...]
    lane: int
    nodes: tuple[Node, ...]
    stores: tuple[Store, ...]
    params: tuple[str, ...]

    @cached_property
    def axes(self) -> tuple[frozenset[int], ...]:
        """For each node, the axes that it depends on."""
        found: list[frozenset[int]] = []
        for node in self.nodes:
            own = frozenset[int]().union(*[found[a] for a in node.args])
            if node.op in ("load", "gather", "index"):
                strides = node.static[0 if node.op == "index" else 1]
                own |= {i for i, s in enumerate(strides) if s and self.shape[i] > 1}
            elif node.op in REDUCTIONS:
                own = frozenset({i for i in own if not self.reduced[i]})
            found.append(own)
        return tuple(found)

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """For each node, how many reductions must be complete before it: one after the other."""
        found: list[int] = []
        for node in self.nodes:
            before = max([found[a] for a in node.args], default=0)
            found.append(before + (node.op in REDUCTIONS))
        return tuple(found)

    @property
    def items(self) -> int:
        """How often the body runs for different indices of the axes that are not reduced."""
        return prod([n for n, r in zip(self.shape, self.reduced, strict=True) if not r])


@dataclass(frozen=True, slots=True)
class Buffer:
    """A piece of memory.

    Attributes
    ----------
    role : str
        ``input`` and ``constant`` come with a call, ``output`` is returned by it, and
        ``temporary`` is a part of the arena.
    """

    dtype: str
    size: int
    role: Literal["input", "constant", "output", "temporary"]


@dataclass(frozen=True, slots=True)
class Param:
    """What a kernel's parameter stands for: a buffer from an element on."""

    buffer: int
    offset: int


@dataclass(frozen=True, slots=True)
class Place:
    """An array in a buffer."""

    buffer: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Loop:
    """Run a kernel."""

    kernel: Kernel
    params: tuple[Param, ...]
    #: The equation of each ``wrap`` among the nodes, which messages name.
    checks: tuple[Any, ...] = ()
    line: str | None = None
    #: What is computed; none where values are only copied.
    equations: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """``out = x @ y`` of (batches of) matrices, then a kernel on each part of the output.

    ``x`` is (*batch, rows, *blocks, depth), ``y`` (*batch, *blocks, depth, columns); the sum goes
    over the blocks too, whose number of axes is ``blocks``. Batch axes of ``y`` may be missing. The
    kernel's first parameter is the output, whose element it loads; it may be stored over.
    """

    x: Place
    y: Place
    out: Place
    kernel: Kernel | None = None
    params: tuple[Param, ...] = ()
    #: How many axes of the kernel the batch has, and the rows; the columns have one.
    axes: tuple[int, int] = (0, 1)
    blocks: int = 0
    line: str | None = None
    #: What is computed, the matmul first.
    equations: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Apply:
    """Run a backend's kernel of a primitive, on arrays."""

    equation: Any
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    line: str | None = None


Step = Loop | Product | Apply


@dataclass(slots=True)
class Schedule:
    """A program as steps over buffers.

    Attributes
    ----------
    buffers : list of Buffer
    inputs, outputs : list of int
        Buffers of the graph's inputs, and of its distinct outputs, all C-contiguous.
    constants : dict
        Buffers of fixed arrays.
    steps : list
    donors : dict
        Buffers of outputs that may be in the memory of an input, with that input's buffer.
    commit : int
        The number of the first step that writes such memory; no other step comes after it.
    offsets : dict
        For each temporary buffer its place in the arena, in bytes.
    arena : int
        Bytes of the arena.
    returned : list of (int, tuple)
        For each output of the graph: the position among ``outputs``, and the shape.
    """

    buffers: list[Buffer] = field(default_factory=list[Buffer])
    inputs: list[int] = field(default_factory=list[int])
    outputs: list[int] = field(default_factory=list[int])
    constants: dict[int, Any] = field(default_factory=dict[int, Any])
    steps: list[Step] = field(default_factory=list[Step])
    donors: dict[int, int] = field(default_factory=dict[int, int])
    commit: int = 0
    offsets: dict[int, int] = field(default_factory=dict[int, int])
    arena: int = 0
    returned: list[tuple[int, tuple[int, ...]]] = field(
        default_factory=list[tuple[int, tuple[int, ...]]]
    )


def touched(step: Step) -> tuple[set[int], set[int]]:
    """Return the buffers that a step reads, and those that it writes."""
    if isinstance(step, Apply):
        return {p.buffer for p in step.inputs}, {p.buffer for p in step.outputs}
    reads: set[int] = set()
    writes: set[int] = set()
    if isinstance(step, Product):
        reads |= {step.x.buffer, step.y.buffer}
        writes.add(step.out.buffer)
    if step.kernel is not None:
        loads: set[int] = {n.static[0] for n in step.kernel.nodes if n.op in ("load", "gather")}
        reads |= {step.params[p].buffer for p in loads}
        writes |= {step.params[s.param].buffer for s in step.kernel.stores}
    return reads, writes


# -- text ------------------------------------------------------------------------------------------


def format_kernel(kernel: Kernel) -> Iterator[str]:
    """Yield the lines of a kernel, as loops around assignments."""
    names = [f"i{n}" for n in range(len(kernel.shape))]
    order = sorted(range(len(names)), key=lambda a: kernel.reduced[a])
    depth = 0
    for axis in order:
        words = ["reduced"] * kernel.reduced[axis] + ["lanes"] * (axis == kernel.lane)
        yield (
            "  " * depth
            + f"for {names[axis]} in {kernel.shape[axis]}:"
            + "".join([f"  # {w}" for w in words])
        )
        depth += 1

    def at(strides: tuple[int, ...]) -> str:
        terms = [f"{names[i]} * {s}" if s != 1 else names[i] for i, s in enumerate(strides) if s]
        return " + ".join(terms) or "0"

    for number, node in enumerate(kernel.nodes):
        args = [f"v{a}" for a in node.args]
        if node.op == "load":
            text = f"p{node.static[0]}[{at(node.static[1])}]"
        elif node.op == "gather":
            param, strides, steps = node.static
            terms = [f"{a} * {s}" for a, s in zip(args, steps, strict=True)]
            text = f"p{param}[{' + '.join([at(strides), *terms])}]"
        elif node.op == "const":
            text = repr(node.static[0])
        elif node.op == "index":
            strides, start, step = node.static
            text = f"{start} + {step} * ({at(strides)})"
        elif node.op == "wrap":
            text = f"wrap({args[0]}, {node.static[0]})"
        else:
            text = f"{node.op}({', '.join([*args, *[f'{k}={v}' for k, v in node.static]])})"
        yield "  " * depth + f"v{number}: {node.dtype} = {text}"
    for store in kernel.stores:
        yield "  " * depth + f"p{store.param}[{at(store.strides)}] = v{store.node}"


def format_schedule(schedule: Schedule) -> str:
    """Return a schedule as text: the buffers, then the steps."""
    lines = [f"arena of {schedule.arena} bytes"]
    for number, buffer in enumerate(schedule.buffers):
        where = f" at {schedule.offsets[number]}" if number in schedule.offsets else ""
        donor = f" over b{schedule.donors[number]}" if number in schedule.donors else ""
        lines.append(f"b{number}: {buffer.dtype}[{buffer.size}] {buffer.role}{where}{donor}")
    known: dict[Kernel, int] = {}
    for number, step in enumerate(schedule.steps):
        if number == schedule.commit:
            lines.append("-- from here on, state is written --")
        if isinstance(step, Apply):
            ins = ", ".join([_text(p) for p in step.inputs])
            outs = ", ".join([_text(p) for p in step.outputs])
            lines.append(f"{outs} = {step.equation.prim.name}({ins})")
            continue
        if isinstance(step, Product):
            lines.append(f"{_text(step.out)} = {_text(step.x)} @ {_text(step.y)}")
        if step.kernel is not None:
            first = known.setdefault(step.kernel, number)
            params = ", ".join([f"b{p.buffer}+{p.offset}" for p in step.params])
            word = "then " if isinstance(step, Product) else ""
            lines.append(f"{word}kernel {first}({params})")
            if first == number:
                lines += [f"  {line}" for line in format_kernel(step.kernel)]
    return "\n".join(lines)


def _text(place: Place) -> str:
    shape = "x".join(map(str, place.shape))
    return f"b{place.buffer}+{place.offset}[{shape}]"
