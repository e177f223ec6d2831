"""`Explanation`: what a compiled function does, to be read as text, as HTML or as JSON."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isograd.compiler.cells import Cell, ValueCell
from isograd.compiler.explain.cost import measure
from isograd.compiler.explain.html import html_of
from isograd.compiler.explain.layout import ProgramReport
from isograd.compiler.explain.sections import SECTIONS, Subject
from isograd.compiler.explain.text import text_of
from isograd.compiler.program import Program
from isograd.core.config import modes
from isograd.core.errors import IsogradError
from isograd.core.pytree import TreeDef

__all__ = ["Explanation", "check_arguments", "explain"]


class Explanation:
    """A report about a compiled function. ``str`` gives it as text for 100 columns.

    Attributes
    ----------
    title : str
        The function that it is about.
    programs : sequence of ProgramReport
        A report on each program, as sections with titles.

    Examples
    --------
    >>> import isograd as ig
    >>> double = ig.compile(lambda x: x + x)
    >>> report = double.explain(ig.ones(3))
    >>> report.to_html().startswith("<!doctype html>")
    True
    >>> import json
    >>> json.loads(report.to_json())["programs"][0]["primitives"]
    [{'primitive': 'add', 'traced': 1, 'run': 1}]
    """

    def __init__(self, title: str, programs: Sequence[ProgramReport]) -> None:
        self.title = title
        self.programs = programs

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<explanation of {self.title}: {len(self.programs)} programs>"

    def to_text(self, *, source: bool = False) -> str:
        """Return the report as text for 100 columns, with the generated code if ``source``."""
        return text_of(self.title, self.programs, source=source)

    def to_html(self) -> str:
        """Return the report as one HTML page that opens offline."""
        return html_of(self.title, self.programs, "Made by isograd.")

    def to_json(self) -> str:
        """Return the report as JSON: bytes, operations and seconds as numbers."""
        plain = {"title": self.title, "programs": [p.plain() for p in self.programs]}
        return json.dumps(plain, indent=2) + "\n"

    def save(self, path: str | os.PathLike[str], /) -> None:
        """Write the report to a file: HTML, JSON or text, as the name ends.

        Raises
        ------
        ValueError
            If the name ends in none of ``.html``, ``.json`` and ``.txt``.
        OSError
            If the file cannot be written.
        """
        file = Path(path)
        forms: Mapping[str, Callable[[], str]] = {
            ".html": self.to_html,
            ".json": self.to_json,
            ".txt": lambda: f"{self}\n",
        }
        form = forms.get(file.suffix.lower())
        if form is None:
            raise ValueError(
                f"save: {file.name!r} does not say what to write; end the name in "
                f"{', '.join(forms)}"
            )
        file.write_text(form(), encoding="utf-8")


def check_arguments(
    name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Refuse arguments that the function does not take, and calls while something is traced.

    Raises
    ------
    TypeError
        If the arguments do not fit.
    IsogradError
        If a function is being compiled in this thread.
    """
    if modes.trace is not None:
        raise IsogradError(
            f"explain: {name} cannot be explained while a function is being compiled; call explain "
            "outside of it"
        )
    signature = _signature(fn)
    if signature is None:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"explain: {name} does not take these arguments ({error}); pass them as in a call"
        ) from None


def explain(
    name: str,
    fn: Callable[..., Any],
    cells: Sequence[Cell],
    found: Sequence[tuple[Any, Any]],
    backwards: Mapping[Any, Program],
    call: Any,
    timings: bool,
) -> Explanation:
    """Make the report.

    Parameters
    ----------
    name, fn
        The function.
    cells
        Those of the declared state.
    found
        Keys and entries of the programs to report on, as `Compiled` keeps them.
    backwards
        Programs that are derivatives, by a key that begins with the one they belong to.
    call
        The call whose tensors are measured with, if ``timings``.
    timings
        Whether to measure.
    """
    reports: list[ProgramReport] = []
    for number, (key, entry) in enumerate(found):
        program: Program = entry.program
        leaves, structure = key[0], key[1]
        paths = list(_paths(structure, _signature(fn)))
        subject = Subject(
            program=program,
            called=_called(fn, leaves, paths),
            inputs=_inputs(program, leaves, paths, cells),
            results=_results(entry, leaves, paths, cells),
            timing=measure(program, _arrays(program, call)) if timings else None,
        )
        title = f"Program {number + 1} of {len(found)}"
        reports.append(_report(title, subject))
        for (owner, _), backward in backwards.items():
            if owner == key:
                names = [paths[i] for i, leaf in enumerate(leaves) if leaf.tracked]
                names += [c.name for c in cells if _is_followed(c)]
                subject = Subject(
                    program=backward,
                    called=_called(fn, leaves, paths),
                    inputs=_inputs(backward, leaves, paths, cells),
                    results=[(f"gradient of {n}", i) for i, n in enumerate(names)],
                )
                reports.append(_report(f"{title}: its derivative, for a backward pass", subject))
    return Explanation(f"compiled {name}", reports)


def _report(title: str, subject: Subject) -> ProgramReport:
    sections = [make(subject) for make in SECTIONS]
    return ProgramReport(title, [section for section in sections if section is not None])


def _is_followed(cell: Cell) -> bool:
    return isinstance(cell, ValueCell) and cell.param.edge is not None


def _signature(fn: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(fn)
    except (TypeError, ValueError):
        return None


def _paths(structure: TreeDef, signature: inspect.Signature | None) -> Iterator[str]:
    """Yield the name of each leaf of the arguments: ``x``, ``batch[0]``, ``options['rate']``."""
    args, kwargs = structure.children
    names = _positional(signature, len(args.children))
    for name, child in zip(names, args.children, strict=True):
        yield from _under(name, child)
    for key, child in zip(kwargs.data, kwargs.children, strict=True):
        yield from _under(str(key), child)


def _positional(signature: inspect.Signature | None, count: int) -> list[str]:
    names: list[str] = []
    for parameter in signature.parameters.values() if signature is not None else ():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return [*names, *[f"argument {i}" for i in range(len(names), count)]][:count]


def _under(name: str, tree: TreeDef) -> Iterator[str]:
    if tree.kind is None:
        yield name
        return
    fields: Any = getattr(tree.kind, "_fields", None)
    for number, child in enumerate(tree.children):
        if tree.kind is dict:
            part = f"[{tree.data[number]!r}]"
        elif fields is not None:
            part = f".{fields[number]}"
        else:
            part = f"[{number}]"
        yield from _under(name + part, child)


def _called(
    fn: Callable[..., Any], leaves: Sequence[Any], paths: Sequence[str]
) -> list[tuple[str, str]]:
    tensors: list[str] = []
    static: list[str] = []
    for leaf, path in zip(leaves, paths, strict=True):
        if leaf.aval is None:
            static.append(f"{path}={leaf.value[1]!r}")
        else:
            tensors.append(f"{path}: {leaf.aval}")
    facts = [("called with", ", ".join(tensors) or "nothing")]
    if static:
        facts.append(("static arguments", ", ".join(static)))
    code = getattr(inspect.unwrap(fn), "__code__", None)
    if code is not None:
        facts.append(("function", f"{code.co_filename}:{code.co_firstlineno}"))
    return facts


def _inputs(
    program: Program, leaves: Sequence[Any], paths: Sequence[str], cells: Sequence[Cell]
) -> list[tuple[str, str]]:
    """Name the inputs: tensor arguments first, then what cells hold, random keys, cotangents."""
    arguments = [path for leaf, path in zip(leaves, paths, strict=True) if leaf.aval is not None]
    named = {cell.name for cell in cells}
    found: list[tuple[str, str]] = []
    for number, var in enumerate(program.graph.inputs):
        if number < len(arguments):
            found.append((arguments[number], "argument"))
        else:
            found.append((var.name, "state" if var.name in named else var.name))
    return found


def _results(
    entry: Any, leaves: Sequence[Any], paths: Sequence[str], cells: Sequence[Cell]
) -> list[tuple[str, int | None]]:
    arguments = [path for leaf, path in zip(leaves, paths, strict=True) if leaf.aval is not None]
    returned = [name.removeprefix(".") for name in _under("returned", entry.structure)]
    results: list[tuple[str, int | None]] = [
        (name, place)
        for name, (place, _) in zip(returned, entry.returned, strict=True)
        if place is not None
    ]
    written: Sequence[tuple[int, int | None]] = entry.written
    for number, place in written:
        name = cells[number].name if number < len(cells) else f"state {number}"
        results.append((name if place is not None else f"{name} (emptied)", place))
    results += [(f"{arguments[number]}.grad", place) for number, place in entry.gradients]
    return results


def _arrays(program: Program, call: Any) -> list[Any]:
    """Return copies of what a call would run with; keys that draw nothing from generators."""
    memory, inputs = program.table.memory, program.graph.inputs
    held = [t for i, t in enumerate(call.held) if t is not None and call.shared[i] == i]
    arrays = [memory.from_host(memory.to_host(t.array), t.device) for t in (*call.tensors, *held)]
    arrays += [
        memory.from_host(np.zeros(var.aval.shape, var.aval.dtype), var.device)
        for var in inputs[len(arrays) :]
    ]
    return arrays
