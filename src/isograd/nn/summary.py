"""A table of a model's modules, with shapes, parameters and arithmetic, without computing."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from isograd.compiler.explain.cost import flops_of
from isograd.compiler.passes import decompose
from isograd.compiler.trace import Trace
from isograd.core.pytree import tree_flatten, tree_map
from isograd.ir.graph import Equation, Graph
from isograd.nn.module import Module
from isograd.ops.creation import zeros
from isograd.runtime.modes import no_grad
from isograd.runtime.tensor import Tensor

__all__ = ["Summary", "SummaryRow", "summary"]


@dataclasses.dataclass
class SummaryRow:
    """One module of a model.

    Attributes
    ----------
    name, kind : str
        Its dotted name, and its class.
    depth : int
        How many modules it is inside of.
    output : str
        The shapes that its first call returned; empty where it was not called.
    parameters : int
        Elements of its own parameters, not those of modules inside. A shared one counts once.
    flops : int
        Multiplications and additions of contractions in all its calls, modules inside included.
    calls : int
        How often it was called.
    """

    name: str
    kind: str
    depth: int
    output: str = ""
    parameters: int = 0
    flops: int = 0
    calls: int = 0


@dataclasses.dataclass(frozen=True)
class Summary:
    """What `summary` returns. Print it.

    Attributes
    ----------
    rows : sequence of SummaryRow
        The model, then its modules in order.
    parameters, trainable, buffers : int
        Elements of all parameters, of those that require gradients, and of buffers.
    bytes : int
        Memory of parameters and buffers.
    flops : int
        Multiplications and additions of contractions (products of matrices, convolutions,
        attention) in one forward pass, a multiplication with its addition being 2.
    """

    rows: Sequence[SummaryRow]
    parameters: int
    trainable: int
    buffers: int
    bytes: int
    flops: int

    def __str__(self) -> str:
        table = [("module", "output", "parameters", "flops")]
        for row in self.rows:
            name = row.name.rpartition(".")[2]
            label = "  " * row.depth + (f"{name}: {row.kind}" if name else row.kind)
            output = row.output + (f" x {row.calls}" if row.calls > 1 else "")
            table.append(
                (
                    label,
                    output or "not called",
                    f"{row.parameters:,}" if row.parameters else "-",
                    f"{row.flops:,}" if row.flops else "-",
                )
            )
        widths = [max(len(row[i]) for row in table) for i in range(4)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip()
            for a, b, c, d in table
        ]
        lines.insert(1, "-" * (sum(widths) + 6))
        return "\n".join(
            [
                *lines,
                lines[1],
                f"{self.parameters:,} parameters, {self.trainable:,} trainable; "
                f"{self.buffers:,} in buffers; {self.bytes:,} bytes; {self.flops:,} flops forward",
            ]
        )

    __repr__ = __str__


def summary(model: Module, /, *args: Any, **kwargs: Any) -> Summary:
    """Describe a model's modules for an input: output shapes, parameters, arithmetic.

    The model is run once with symbols in place of numbers, so nothing is computed, and buffers and
    random state are as before.

    Parameters
    ----------
    model : Module
        What to describe.
    *args, **kwargs
        What it is called with; of tensors only shape and dtype matter. A tuple of whole numbers
        stands for a tensor of that shape, in the default dtype.

    Returns
    -------
    Summary
        Prints as a table.

    Raises
    ------
    ConcretizationError
        If ``forward`` asks for the number in a tensor.

    Examples
    --------
    >>> import isograd as ig
    >>> model = ig.nn.Sequential(ig.nn.Linear(4, 8), ig.nn.ReLU(), ig.nn.Linear(8, 3))
    >>> summary(model, ig.ones((2, 4)))
    module       output  parameters  flops
    --------------------------------------
    Sequential   (2, 3)           -    246
      0: Linear  (2, 8)          40    144
      1: ReLU    (2, 8)           -      -
      2: Linear  (2, 3)          27    102
    --------------------------------------
    67 parameters, 67 trainable; 0 in buffers; 268 bytes; 246 flops forward
    """
    rows: dict[int, SummaryRow] = {}
    counted: set[int] = set()
    for name, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, own))
        depth = name.count(".") + 1 if name else 0
        row = SummaryRow(name, type(module).__name__, depth)
        row.parameters = sum(p.size for p in own)
        rows[id(module)] = row
    trace = Trace()
    with trace, no_grad(), _symbolic(trace, model), _noted(trace, model, rows):
        model(*_symbols(trace, [_filled(arg) for arg in args]), **_symbols(trace, kwargs))
    params, buffers = list(model.parameters()), list(model.buffers())
    return Summary(
        rows=list(rows.values()),
        parameters=sum(p.size for p in params),
        trainable=sum(p.size for p in params if p.requires_grad),
        buffers=sum(b.size for b in buffers),
        bytes=sum(t.size * t.dtype.itemsize for t in (*params, *buffers)),
        flops=rows[id(model)].flops,
    )


def _is_shape(arg: object) -> bool:
    return isinstance(arg, tuple) and all(isinstance(n, int) for n in cast("tuple[Any, ...]", arg))


def _filled(arg: Any) -> Any:
    """Return zeros for a shape, and all else as it is."""
    return zeros(arg) if _is_shape(arg) else arg


def _symbols(trace: Trace, tree: Any) -> Any:
    def symbol(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        return trace.input(leaf.aval, leaf.device, "argument")

    return tree_map(symbol, tree)


@contextmanager
def _symbolic(trace: Trace, model: Module) -> Generator[None]:
    """Put symbols into parameters and buffers while the block runs."""
    params = [(p, p.array) for p in model.parameters()]
    buffers = [
        (module, name, buffer)
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    symbols = {
        id(buffer): trace.input(buffer.aval, buffer.device, name) for _, name, buffer in buffers
    }
    for param, _ in params:
        param.array = trace.input(param.aval, param.device, "parameter").array
    for module, name, buffer in buffers:
        setattr(module, name, symbols[id(buffer)])
    try:
        yield
    finally:
        for param, array in params:
            param.array = array
        for module, name, buffer in buffers:
            setattr(module, name, buffer)


@contextmanager
def _noted(trace: Trace, model: Module, rows: dict[int, SummaryRow]) -> Generator[None]:
    """Fill the rows from the calls of modules while the block runs."""
    began: list[int] = []

    def before(module: Module, args: Any) -> None:
        began.append(len(trace.graph.equations))

    def after(module: Module, args: Any, out: Any) -> None:
        row = rows[id(module)]
        row.calls += 1
        row.flops += sum(map(_flops, trace.graph.equations[began.pop() :]))
        if row.calls == 1:
            shapes = [str(leaf.shape) for leaf in tree_flatten(out)[0] if isinstance(leaf, Tensor)]
            row.output = ", ".join(shapes)

    handles = [
        handle
        for module in model.modules()
        for handle in (
            module.register_forward_pre_hook(before),
            module.register_forward_hook(after),
        )
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _flops(equation: Equation) -> int:
    """Count an equation, where need be through its definition."""
    found = flops_of(equation)
    if found is not None or equation.prim.decompose is None:
        return found or 0
    whole = Graph()
    whole.inputs.extend(dict.fromkeys(equation.inputs))
    whole.equations.append(equation)
    whole.outputs.extend(equation.outputs)
    known = {"linear"}
    return sum(flops_of(e) or 0 for e in decompose(whole, lambda e: e.prim.name in known).equations)
