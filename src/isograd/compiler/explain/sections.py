"""The sections of a report, each a function of what is known of a program."""

from __future__ import annotations

import linecache
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isograd.compiler.explain.cost import (
    Memory,
    Timing,
    bytes_moved,
    bytes_of,
    flops_of,
    memory_of,
    parts_of,
)
from isograd.compiler.explain.layout import Column, Facts, Kind, Listing, Section, Table
from isograd.compiler.program import Program
from isograd.ir.graph import Equation, Graph, Var

__all__ = ["SECTIONS", "Subject"]

#: Elements up to which the numbers in a constant are shown.
_FEW = 6

#: Rows from which a table about names is closed at first.
_MANY = 12


@dataclass(frozen=True)
class Subject:
    """A program, with what its function knows of it.

    Attributes
    ----------
    called
        Names and values of facts about the function and the call.
    inputs
        A name for each input of the graph, and what it is: an argument, state, a random key.
    results
        Names of what the outputs become, each with its place among them; None where a cell is
        emptied.
    timing
        Measured times, where they were asked for.
    """

    program: Program
    called: Sequence[tuple[str, str]]
    inputs: Sequence[tuple[str, str]]
    results: Sequence[tuple[str, int | None]]
    timing: Timing | None = None

    @property
    def graph(self) -> Graph:
        """The graph that runs."""
        return self.program.graph

    @cached_property
    def names(self) -> dict[Var, str]:
        """The name of each value of the graph that runs."""
        return _names(self.graph)

    @cached_property
    def memory(self) -> Memory:
        """The estimate of memory."""
        return memory_of(self.graph)

    @cached_property
    def moved(self) -> list[int]:
        """Bytes that each equation reads and writes."""
        return bytes_moved(self.graph)

    @cached_property
    def files(self) -> dict[str, str]:
        """Short names of the files that the equations come from."""
        equations = [*_all_equations(self.program.traced), *_all_equations(self.graph)]
        paths = sorted({_place(e.line)[0] for e in equations if e.line})
        short = Counter(map(os.path.basename, paths))
        return {p: p if short[os.path.basename(p)] > 1 else os.path.basename(p) for p in paths}

    def line(self, equation: Equation) -> str:
        """Return the user's line of an equation, with the file's short name."""
        path, number = _place(equation.line)
        return f"{self.files[path]}:{number}" if path else ""


def _place(line: str | None) -> tuple[str, int]:
    path, _, number = (line or "").rpartition(":")
    return (path, int(number)) if number.isdigit() else ("", 0)


def _names(graph: Graph) -> dict[Var, str]:
    names: dict[Var, str] = {}
    made = (v for e in graph.equations for v in e.outputs)
    for var in (*graph.inputs, *graph.constants, *made):
        names.setdefault(var, f"%{len(names)}")
    return names


def _equation(equation: Equation, names: dict[Var, str]) -> str:
    left = ", ".join(f"{names[v]}: {v.aval}" for v in equation.outputs)
    static = [f"{k}={_static(v)}" for k, v in equation.static.items()]
    return (
        f"{left} = {equation.prim.name}({', '.join([names[v] for v in equation.inputs] + static)})"
    )


def _static(value: Any) -> str:
    if isinstance(value, Graph):
        return f"graph of {len(value.equations)} equations"
    return value.name if hasattr(value, "itemsize") else str(value)


def _all_equations(graph: Graph) -> Iterator[Equation]:
    """Yield the equations of a graph and of the graphs inside them."""
    for equation in graph.equations:
        yield equation
        for part in parts_of(equation).values():
            yield from _all_equations(part)


def _uses(graph: Graph) -> Counter[Var]:
    return Counter(v for e in graph.equations for v in set(e.inputs))


def _total(numbers: Iterable[int | None]) -> int:
    return sum([number or 0 for number in numbers])


def _facts(s: Subject) -> Section:
    graph, memory, backend = s.graph, s.memory, s.program.table.backend
    devices = sorted({str(v.device) for v in s.names}) or [backend.memory.device_type]
    kinds = Counter(kind for _, kind in s.inputs)
    values: list[tuple[str, Any, Kind]] = []
    values.extend((name, value, "text") for name, value in s.called)
    values.extend(
        [
            ("backend", f"{backend.name} {backend.version} on {', '.join(devices)}", "text"),
            ("inputs", ", ".join(f"{kind}: {n}" for kind, n in kinds.items()) or "none", "text"),
            ("equations traced", len(s.program.traced.equations), "count"),
            ("equations run", len(graph.equations), "count"),
            ("arithmetic", _total(map(flops_of, graph.equations)), "flops"),
            ("bytes moved", sum(s.moved), "bytes"),
            ("memory of inputs", memory.inputs, "bytes"),
            ("memory of constants", memory.constants, "bytes"),
            ("memory of outputs", memory.outputs, "bytes"),
            ("peak memory", memory.peak, "bytes"),
        ]
    )
    if memory.peak_at is not None:
        equation = graph.equations[memory.peak_at]
        at = f"equation {memory.peak_at}, {equation.prim.name}, {s.line(equation)}"
        values.append(("peak reached at", at, "text"))
    if s.timing is not None:
        values.extend(
            [
                ("time of a run", s.timing.whole, "seconds"),
                ("time of all equations", sum(s.timing.equations), "seconds"),
                ("runs measured", s.timing.runs, "count"),
            ]
        )
    values.extend(
        (f"file {short}", path, "text") for path, short in s.files.items() if short != path
    )
    return Facts("facts", "Key facts", values)


def _inputs(s: Subject) -> Section:
    uses = _uses(s.graph)
    columns = (
        Column("value", "code"),
        Column("name"),
        Column("what"),
        Column("type", "code"),
        Column("size", "bytes"),
        Column("used by", "count"),
    )
    rows = [
        (s.names[v], name, kind, str(v.aval), bytes_of(v), uses[v])
        for v, (name, kind) in zip(s.graph.inputs, s.inputs, strict=True)
    ]
    return Table("inputs", "Inputs", columns, rows, folded=len(rows) > _MANY)


def _results(s: Subject) -> Section:
    columns = (
        Column("value", "code"),
        Column("becomes"),
        Column("type", "code"),
        Column("size", "bytes"),
    )
    rows: list[Sequence[Any]] = []
    for name, place in s.results:
        if place is None:
            rows.append(("None", name, "", None))
        else:
            var = s.graph.outputs[place]
            rows.append((s.names[var], name, str(var.aval), bytes_of(var)))
    title = "Outputs and state written"
    return Table("outputs", title, columns, rows, folded=len(rows) > _MANY)


def _lines(s: Subject) -> Section:
    grouped: dict[str, list[int]] = {}
    for number, equation in enumerate(s.graph.equations):
        grouped.setdefault(equation.line or "", []).append(number)
    columns = [
        Column("line"),
        Column("source", "code"),
        Column("equations", "count"),
        Column("flops", "flops"),
        Column("moved", "bytes"),
    ]
    rows: list[list[Any]] = []
    for line, numbers in grouped.items():
        equations = [s.graph.equations[n] for n in numbers]
        row: list[Any] = [s.line(equations[0]), linecache.getline(*_place(line)).strip()]
        row += [len(numbers), _total(map(flops_of, equations)) or None]
        row.append(sum([s.moved[n] for n in numbers]))
        if s.timing is not None:
            row.append(sum([s.timing.equations[n] for n in numbers]))
        rows.append(row)
    if s.timing is not None:
        columns.append(Column("time", "seconds"))
    bars = "moved" if s.timing is None else "time"
    note = "Derivatives belong to the line that asks for them."
    return Table("lines", "By line of your program", columns, rows, note, bars)


def _counts(s: Subject) -> Section:
    before = Counter(e.prim.name for e in _all_equations(s.program.traced))
    after = Counter(e.prim.name for e in _all_equations(s.graph))
    columns = (Column("primitive", "code"), Column("traced", "count"), Column("run", "count"))
    order = sorted({*before, *after}, key=lambda name: (-after[name], -before[name], name))
    rows = [(name, before[name], after[name]) for name in order]
    title = "Primitives before and after passes"
    return Table("primitives", title, columns, rows, folded=len(rows) > _MANY)


def _equations(s: Subject) -> Section:
    columns = [
        Column("#", "count"),
        Column("equation", "code"),
        Column("flops", "flops"),
        Column("moved", "bytes"),
        Column("live", "bytes"),
    ]
    rows: list[list[Any]] = []
    for number, equation in enumerate(s.graph.equations):
        row: list[Any] = [number, _equation(equation, s.names), flops_of(equation)]
        row += [s.moved[number], s.memory.live[number]]
        if s.timing is not None:
            row.append(s.timing.equations[number])
        rows.append([*row, s.line(equation)])
    if s.timing is not None:
        columns.append(Column("time", "seconds"))
    columns.append(Column("line"))
    note = (
        "flops: multiplications and additions of matmul and linear; moved: bytes read and written, "
        "none by views; live: bytes of computed values that are still needed."
    )
    bars = "moved" if s.timing is None else "time"
    return Table("equations", "Equations that run", columns, rows, note, bars)


def _constants(s: Subject) -> Section:
    to_host, uses = s.program.table.memory.to_host, _uses(s.graph)
    columns = (
        Column("value", "code"),
        Column("type", "code"),
        Column("size", "bytes"),
        Column("used by", "count"),
        Column("numbers", "code"),
    )
    rows: list[Sequence[Any]] = []
    for var, array in s.graph.constants.items():
        host = to_host(s.program.table.as_array(array))
        numbers = str(host.tolist()) if host.size <= _FEW else f"{host.size:,} elements"
        rows.append((s.names[var], str(var.aval), bytes_of(var), uses[var], numbers))
    return Table("constants", "Constants", columns, rows, folded=len(rows) > _MANY)


def _listed(s: Subject, graph: Graph, indent: str = "") -> Iterator[str]:
    """Yield the equations of a graph, each with those of the graphs inside it."""
    names = _names(graph)
    for equation in graph.equations:
        line = s.line(equation)
        yield f"{indent}{_equation(equation, names)}{f'  # {line}' if line else ''}"
        yield from _listed_parts(s, equation, indent + "    ")
    yield f"{indent}return {', '.join([names[v] for v in graph.outputs])}"


def _listed_parts(s: Subject, equation: Equation, indent: str) -> Iterator[str]:
    for name, part in parts_of(equation).items():
        names = _names(part)
        yield f"{indent}{name} of {', '.join([f'{names[v]}: {v.aval}' for v in part.inputs])}"
        yield from _listed(s, part, indent)


def _parts(s: Subject) -> Section | None:
    lines: list[str] = []
    for number, equation in enumerate(s.graph.equations):
        if parts_of(equation):
            lines.append(f"equation {number}, {equation.prim.name}")
            lines += _listed_parts(s, equation, "    ")
    return Listing("parts", "Graphs inside equations", lines, folded=False) if lines else None


def _traced(s: Subject) -> Section:
    lines = list(_listed(s, s.program.traced))
    return Listing("traced", "Graph as traced, before passes", lines)


#: In the order of the report. A function that returns None has nothing to say of that program.
SECTIONS: Sequence[Callable[[Subject], Section | None]] = (
    _facts,
    _lines,
    _counts,
    _inputs,
    _results,
    _constants,
    _equations,
    _parts,
    _traced,
)
