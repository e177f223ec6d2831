"""The sections of a report, each a function of what is known of a program."""

from __future__ import annotations

import linecache
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isograd.backend.schedule import Schedule, format_schedule, touched
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
from isograd.compiler.explain.steps import (
    Holdings,
    described,
    equations_of,
    holdings_of,
    numbered,
    source_of,
)
from isograd.compiler.program import Program
from isograd.core import dtypes
from isograd.ir.graph import Equation, Graph, Var

__all__ = ["SECTIONS", "Subject"]

#: Elements up to which the numbers in a constant are shown.
_FEW = 6

#: Rows from which a table about names is closed at first.
_MANY = 12

#: Lines from which text has a schedule only where code is asked for.
_LONGEST = 1000

#: Steps from which those that are alike are one row.
_LONG = 200


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

    @property
    def schedule(self) -> Schedule | None:
        """The steps of native code, where there is any."""
        return self.program.schedule

    @cached_property
    def holdings(self) -> Holdings | None:
        """The memory of native code."""
        if self.schedule is None:
            return None
        return holdings_of(self.schedule, self.program.native)

    @property
    def equation_times(self) -> Sequence[float] | None:
        """The time of each equation, where equations run one by one and were measured."""
        return self.timing.parts if self.timing is not None and self.schedule is None else None

    @property
    def step_times(self) -> Sequence[float] | None:
        """The time of each step of native code, where they were measured."""
        if self.timing is None or self.schedule is None:
            return None
        return self.timing.parts if len(self.timing.parts) == len(self.schedule.steps) else None

    @cached_property
    def steps_of(self) -> dict[Equation, list[int]]:
        """The steps of native code that compute each equation: none where it is only a view."""
        found: dict[Equation, list[int]] = {}
        owners = {e: top for top in self.graph.equations for e in _inside(top)}
        for number, step in enumerate(self.schedule.steps if self.schedule is not None else ()):
            for equation in dict.fromkeys([owners.get(e, e) for e in equations_of(step)]):
                found.setdefault(equation, []).append(number)
        return found

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


def _inside(equation: Equation) -> Iterator[Equation]:
    """Yield an equation and those of the graphs inside it."""
    yield equation
    for part in parts_of(equation).values():
        yield from _all_equations(part)


def _all_equations(graph: Graph) -> Iterator[Equation]:
    """Yield the equations of a graph and of the graphs inside them."""
    for equation in graph.equations:
        yield from _inside(equation)


def _uses(graph: Graph) -> Counter[Var]:
    return Counter(v for e in graph.equations for v in set(e.inputs))


def _total(numbers: Iterable[int | None]) -> int:
    return sum([number or 0 for number in numbers])


def _facts(s: Subject) -> Section:
    graph, backend = s.graph, s.program.table.backend
    devices = sorted({str(v.device) for v in s.names}) or [backend.memory.device_type]
    kinds = Counter(kind for _, kind in s.inputs)
    values: list[tuple[str, Any, Kind]] = []
    values.extend((name, value, "text") for name, value in s.called)
    values.extend(
        [
            ("backend", f"{backend.name} {backend.version} on {', '.join(devices)}", "text"),
            ("runs as", _runs_as(s), "text"),
            ("inputs", ", ".join(f"{kind}: {n}" for kind, n in kinds.items()) or "none", "text"),
            ("equations traced", len(s.program.traced.equations), "count"),
            ("equations run", len(graph.equations), "count"),
            ("arithmetic", _total(map(flops_of, graph.equations)), "flops"),
        ]
    )
    values.extend(_memory_facts(s))
    if s.timing is not None:
        values.append(("time of a run", s.timing.whole, "seconds"))
        if s.timing.parts:
            what = "equations" if s.schedule is None else "steps"
            values.append((f"time of all {what}", sum(s.timing.parts), "seconds"))
        values.append(("runs measured", s.timing.runs, "count"))
    values.extend(
        (f"file {short}", path, "text") for path, short in s.files.items() if short != path
    )
    return Facts("facts", "Key facts", values)


def _runs_as(s: Subject) -> str:
    if s.schedule is None:
        return "the backend's kernels, one equation after the other"
    steps, kernels = len(s.schedule.steps), len(numbered(s.schedule))
    return f"code of its own: {steps} steps with {kernels} distinct kernels"


def _memory_facts(s: Subject) -> Iterator[tuple[str, Any, Kind]]:
    memory, held = s.memory, s.holdings
    if held is not None:
        yield ("bytes moved", sum(held.moved), "bytes")
        yield ("memory of inputs", held.inputs, "bytes")
        yield ("memory of constants", held.constants, "bytes")
        yield ("memory of outputs", held.outputs, "bytes")
        yield ("state written in place", held.state, "bytes")
        yield ("arena", held.arena, "bytes")
        if held.packed is not None:
            yield ("packed by products", held.packed, "bytes")
        yield ("peak memory", held.peak, "bytes")
        return
    yield ("bytes moved", sum(s.moved), "bytes")
    yield ("memory of inputs", memory.inputs, "bytes")
    yield ("memory of constants", memory.constants, "bytes")
    yield ("memory of outputs", memory.outputs, "bytes")
    yield ("peak memory", memory.peak, "bytes")
    if memory.peak_at is not None:
        equation = s.graph.equations[memory.peak_at]
        at = f"equation {memory.peak_at}, {equation.prim.name}, {s.line(equation)}"
        yield ("peak reached at", at, "text")


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
    ]
    times = s.equation_times
    rows: list[list[Any]] = []
    for line, numbers in grouped.items():
        equations = [s.graph.equations[n] for n in numbers]
        row: list[Any] = [s.line(equations[0]), linecache.getline(*_place(line)).strip()]
        row += [len(numbers), _total(map(flops_of, equations)) or None]
        if s.schedule is None:
            row.append(sum([s.moved[n] for n in numbers]))
        else:
            row.append(_ranges({n for e in equations for n in s.steps_of.get(e, ())}))
        if times is not None:
            row.append(sum([times[n] for n in numbers]))
        rows.append(row)
    columns.append(Column("moved", "bytes") if s.schedule is None else Column("steps"))
    if times is not None:
        columns.append(Column("time", "seconds"))
    bars = "flops" if s.schedule is not None else "moved" if times is None else "time"
    note = "Derivatives belong to the line that asks for them."
    return Table("lines", "By line of your program", columns, rows, note, bars)


def _ranges(numbers: Iterable[int]) -> str:
    """Return numbers as text, those that follow each other as a range.

    Examples
    --------
    >>> _ranges({7, 1, 2, 3})
    '1-3, 7'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join([f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs])


def _counts(s: Subject) -> Section:
    before = Counter(e.prim.name for e in _all_equations(s.program.traced))
    after = Counter(e.prim.name for e in _all_equations(s.graph))
    columns = (Column("primitive", "code"), Column("traced", "count"), Column("run", "count"))
    order = sorted({*before, *after}, key=lambda name: (-after[name], -before[name], name))
    rows = [(name, before[name], after[name]) for name in order]
    title = "Primitives before and after passes"
    return Table("primitives", title, columns, rows, folded=len(rows) > _MANY)


def _steps(s: Subject) -> Section | None:
    schedule, held = s.schedule, s.holdings
    if schedule is None or held is None:
        return None
    columns = [
        Column("#", "count"),
        Column("step", "code"),
        Column("computes", "code"),
        Column("flops", "flops"),
        Column("moved", "bytes"),
        Column("live", "bytes"),
    ]
    kernels = numbered(schedule)
    rows: list[list[Any]] = []
    for number, step in enumerate(schedule.steps):
        equations = equations_of(step)
        row: list[Any] = [number, *described(step, kernels)]
        row += [_total(map(flops_of, equations)) or None, held.moved[number], held.live[number]]
        if s.step_times is not None:
            row.append(s.step_times[number])
        rows.append([*row, ", ".join(dict.fromkeys([s.line(e) for e in equations if e.line]))])
    alike = len(rows) > _LONG
    if alike:
        rows = _merged(rows, columns)
    if s.step_times is not None:
        columns.append(Column("time", "seconds"))
    columns.append(Column("lines"))
    note = (
        "One pass over memory each. Axes that a loop reduces are in brackets; live: bytes of the "
        "arena that are in use."
    )
    if alike:
        columns.insert(1, Column("runs", "count"))
        note += " Steps that are alike are one row, with the number of the first."
    if schedule.commit < len(schedule.steps):
        note += f" State is written from step {schedule.commit} on, when nothing can fail any more."
    if s.step_times is not None:
        note += " Each time has a call from Python in it, which a run has once."
    bars = "moved" if s.step_times is None else "time"
    return Table("steps", "Steps that run, and what is fused in them", columns, rows, note, bars)


def _merged(rows: Sequence[list[Any]], columns: Sequence[Column]) -> list[list[Any]]:
    """Make one row of steps that are alike, as those of a loop: sums, but for what is live."""
    found: dict[tuple[str, ...], list[list[Any]]] = {}
    for row in rows:
        found.setdefault((row[1], row[2], row[-1]), []).append(row)
    merged: list[list[Any]] = []
    live = [column.name for column in columns].index("live")
    for group in found.values():
        made = [group[0][0], len(group), *group[0][1:3]]
        for place in range(3, len(group[0]) - 1):
            values = [row[place] for row in group]
            made.append(max(values) if place == live else _total(values) or None)
        merged.append([*made, group[0][-1]])
    return merged


def _buffers(s: Subject) -> Section | None:
    schedule = s.schedule
    if schedule is None:
        return None
    names = dict(zip(schedule.inputs, [name for name, _ in s.inputs], strict=True))
    for name, place in s.results:
        if place is not None:
            names.setdefault(schedule.outputs[schedule.returned[place][0]], name)
    used: dict[int, list[int]] = {}
    for number, step in enumerate(schedule.steps):
        for buffer in set[int]().union(*touched(step)):
            used.setdefault(buffer, []).append(number)
    columns = (
        Column("buffer", "code"),
        Column("name"),
        Column("type", "code"),
        Column("size", "bytes"),
        Column("where"),
        Column("used by steps"),
    )
    rows: list[Sequence[Any]] = []
    for number, buffer in enumerate(schedule.buffers):
        if number not in used and number not in names:
            continue
        where: str = buffer.role
        if number in schedule.offsets:
            where = f"arena at {schedule.offsets[number]:,}"
        elif number in schedule.donors:
            where = f"over b{schedule.donors[number]}"
        size = buffer.size * dtypes.as_dtype(buffer.dtype).itemsize
        kind = f"{buffer.dtype}[{buffer.size}]"
        found = _ranges(used.get(number, ()))
        rows.append((f"b{number}", names.get(number, ""), kind, size, where, found))
    note = (
        "All of the arena is there before the first step. State is written in place from the third "
        "call on, while nobody else holds it."
    )
    return Table("buffers", "Memory", columns, rows, note, folded=len(rows) > _MANY)


def _equations(s: Subject) -> Section:
    native = s.schedule is not None
    columns = [Column("#", "count"), Column("equation", "code"), Column("flops", "flops")]
    if native:
        columns.append(Column("steps"))
    else:
        columns += [Column("moved", "bytes"), Column("live", "bytes")]
    times = s.equation_times
    rows: list[list[Any]] = []
    for number, equation in enumerate(s.graph.equations):
        row: list[Any] = [number, _equation(equation, s.names), flops_of(equation)]
        if native:
            row.append(_ranges(s.steps_of.get(equation, ())) or "none")
        else:
            row += [s.moved[number], s.memory.live[number]]
        if times is not None:
            row.append(times[number])
        rows.append([*row, s.line(equation)])
    if times is not None:
        columns.append(Column("time", "seconds"))
    columns.append(Column("line"))
    note = "flops: multiplications and additions of matmul and linear"
    if native:
        note += "; steps: those that compute it, none for views and for numbers that are known."
        return Table("equations", "Equations that run", columns, rows, note, folded=True)
    note += (
        "; moved: bytes read and written, none by views; live: bytes of computed values that are "
        "still needed."
    )
    bars = "moved" if times is None else "time"
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


def _schedule(s: Subject) -> Section | None:
    if s.schedule is None:
        return None
    lines = format_schedule(s.schedule).splitlines()
    note = "Buffers, then steps. A kernel is written out where it is used first."
    return Listing("schedule", "Schedule", lines, note, long=len(lines) > _LONGEST)


def _source(s: Subject) -> Section | None:
    lines = [] if s.schedule is None else list(source_of(s.schedule, s.program.native))
    note = "Before it is optimised. Weights, sizes of products and addresses are no part of it."
    return Listing("source", "Code of the kernels", lines, note, long=True) if lines else None


#: In the order of the report. A function that returns None has nothing to say of that program.
SECTIONS: Sequence[Callable[[Subject], Section | None]] = (
    _facts,
    _lines,
    _steps,
    _counts,
    _inputs,
    _results,
    _constants,
    _buffers,
    _equations,
    _parts,
    _schedule,
    _source,
    _traced,
)
