"""What a graph costs: arithmetic, bytes moved, memory of live values, and measured times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from time import perf_counter
from typing import Any, NamedTuple

from isograd.backend.protocols import Inspectable
from isograd.compiler.program import Program
from isograd.core.config import modes
from isograd.ir.graph import Equation, Graph, Var

__all__ = [
    "Memory",
    "Timing",
    "bytes_moved",
    "bytes_of",
    "flops_of",
    "measure",
    "memory_of",
    "parts_of",
]

#: Primitives whose kernels may look into their first input instead of copying it.
_VIEWS = frozenset({"broadcast_to", "flip", "permute_dims", "reshape", "slice", "stop_gradient"})

#: Multiplications and additions of the contractions, from the shapes of inputs and output.
_FLOPS: Mapping[str, Callable[[Equation], int]] = {
    "matmul": lambda e: 2 * _size(e.outputs[0]) * e.inputs[0].aval.shape[-1],
    "linear": lambda e: _size(e.outputs[0]) * (2 * e.inputs[0].aval.shape[-1] + 1),
}


class Memory(NamedTuple):
    """An estimate of the memory of a program, in bytes.

    Attributes
    ----------
    inputs, constants, outputs
        What the caller and the program hold, and what the caller gets.
    live
        For each equation, what was computed before or by it and is still needed.
    peak
        The most of ``live``, with inputs and constants.
    peak_at
        The number of that equation; None where there is none.
    """

    inputs: int
    constants: int
    outputs: int
    live: Sequence[int]
    peak: int
    peak_at: int | None


class Timing(NamedTuple):
    """The fastest of several runs, in seconds: of each part alone, and of the whole program.

    On a busy machine any run may wait for others; the fastest waits least.

    Attributes
    ----------
    parts
        The steps of native code, or the equations where there is none; empty where the backend's
        native code cannot be measured step by step.
    whole
        All of it, in one run.
    runs
        How many there were.
    """

    parts: Sequence[float]
    whole: float
    runs: int


def _size(var: Var) -> int:
    return prod(var.aval.shape)


def bytes_of(var: Var) -> int:
    """Return the bytes of a value."""
    return _size(var) * var.aval.dtype.itemsize


def parts_of(equation: Equation) -> dict[str, Graph]:
    """Return the graphs inside an equation: the body of a loop, the branches of a choice."""
    return {k: v for k, v in equation.static.items() if isinstance(v, Graph)}


def flops_of(equation: Equation) -> int | None:
    """Return the multiplications and additions of contractions; None where there are none.

    A loop counts all of its steps, a choice its more expensive branch.
    """
    count = _FLOPS.get(equation.prim.name)
    if count is not None:
        return count(equation)
    inner = [
        sum([flops_of(e) or 0 for e in part.equations]) for part in parts_of(equation).values()
    ]
    return max(inner, default=0) * equation.static.get("length", 1) or None


def _roots(graph: Graph) -> dict[Var, Var]:
    """Return for each view the value whose memory it looks into."""
    roots: dict[Var, Var] = {}
    for equation in graph.equations:
        if equation.prim.name in _VIEWS:
            seen = equation.inputs[0]
            roots[equation.outputs[0]] = roots.get(seen, seen)
    return roots


def bytes_moved(graph: Graph) -> list[int]:
    """Return for each equation the bytes that it reads and writes; views move none."""
    roots = _roots(graph)
    moved: list[int] = []
    for equation in graph.equations:
        if equation.prim.name in _VIEWS:
            moved.append(0)
            continue
        read = [min(bytes_of(v), bytes_of(roots.get(v, v))) for v in set(equation.inputs)]
        moved.append(sum(read) + sum(map(bytes_of, equation.outputs)))
    return moved


def memory_of(graph: Graph) -> Memory:
    """Estimate memory from last uses: a value is held until the last equation that reads it.

    Views hold what they look into. What kernels allocate for themselves is not known here.
    """
    roots = _roots(graph)
    given = {*graph.inputs, *graph.constants}
    born: dict[Var, int] = {}
    dies: dict[Var, int] = {}
    for number, equation in enumerate(graph.equations):
        for var in equation.outputs:
            born.setdefault(roots.get(var, var), number)
        for var in (*equation.inputs, *equation.outputs):
            dies[roots.get(var, var)] = number
    for var in graph.outputs:
        dies[roots.get(var, var)] = len(graph.equations)
    change = [0] * (len(graph.equations) + 1)
    for var, number in born.items():
        if var not in given:
            change[number] += bytes_of(var)
            change[min(dies[var] + 1, len(graph.equations))] -= bytes_of(var)
    live: list[int] = []
    held = 0
    for equation, step in zip(graph.equations, change, strict=False):
        held += step
        parts = parts_of(equation).values()
        live.append(held + max([max(memory_of(part).live, default=0) for part in parts], default=0))
    inputs = sum(map(bytes_of, graph.inputs))
    constants = sum(map(bytes_of, graph.constants))
    most = max(live, default=0)
    return Memory(
        inputs=inputs,
        constants=constants,
        outputs=sum(map(bytes_of, set(graph.outputs))),
        live=live,
        peak=inputs + constants + most,
        peak_at=live.index(most) if live else None,
    )


def measure(
    program: Program, arrays: Sequence[Any], *, runs: int = 21, seconds: float = 1.0
) -> Timing:
    """Time a program and each of its parts.

    Parameters
    ----------
    program
        What runs.
    arrays
        Its inputs. Kernels write none of them.
    runs
        How often, at most; and at least three times.
    seconds
        After how long to start no further run.
    """
    memory = program.table.memory
    devices = {var.device for equation in program.graph.equations for var in equation.outputs}

    def wait() -> None:
        for device in devices:
            memory.synchronize(device)

    def once() -> tuple[list[float], float]:
        if program.native is None:
            times = modes.run(_run_timed, program, arrays, wait)
        elif isinstance(program.native, Inspectable):
            times = modes.run(program.native.times, arrays)
        else:
            times = []
        start = perf_counter()
        program.run(arrays)
        wait()
        return times, perf_counter() - start

    once()  # kernels may be compiled at their first call
    until = perf_counter() + seconds
    results = [once()]
    while len(results) < 3 or (len(results) < runs and perf_counter() < until):
        results.append(once())
    parts = [min(times) for times in zip(*[r[0] for r in results], strict=True)]
    return Timing(parts, min([r[1] for r in results]), len(results))


def _run_timed(program: Program, arrays: Sequence[Any], wait: Callable[[], None]) -> list[float]:
    graph = program.graph
    values: dict[Var, Any] = dict(zip(graph.inputs, arrays, strict=True)) | graph.constants
    last: dict[Var, int] = {
        var: number
        for number, equation in enumerate(graph.equations)
        for var in (*equation.inputs, *equation.outputs)
    }
    kept = set(graph.outputs)
    times: list[float] = []
    for number, (equation, call) in enumerate(zip(graph.equations, program.calls(), strict=True)):
        inputs = [values[v] for v in equation.inputs]
        start = perf_counter()
        out = call(*inputs)
        wait()
        times.append(perf_counter() - start)
        made = out if equation.prim.multiple else (out,)
        values.update(zip(equation.outputs, made, strict=True))
        for var in (*equation.inputs, *equation.outputs):
            if last[var] == number and var not in kept:
                values.pop(var, None)
    return times
