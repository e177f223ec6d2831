"""``isograd graph``: a compiled function found by name, and its report."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

from isograd.compiler import Compiled
from isograd.compiler.explain import Explanation

__all__ = ["find", "report_on", "run"]

_CONVENTION = (
    "write a function without arguments that returns (compiled, args), and give its name: "
    "def example(): return step, (x, y)"
)


def run(
    target: str, *, html_file: Path | None, json_file: Path | None, timings: bool, source: bool
) -> int:
    """Print or write the report on ``target``; return the exit code."""
    explanation = report_on(find(target), target, timings=timings)
    for file, form in ((html_file, explanation.to_html), (json_file, explanation.to_json)):
        if file is not None:
            _write(file, form())
    if html_file is None:
        typer.echo(explanation.to_text(source=source))
    return 0


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"cannot write {str(file)!r}: {error.strerror}") from error


def find(target: str) -> Any:
    """Import ``module:name`` from the current folder or what is installed.

    Raises
    ------
    typer.BadParameter
        If there is no such module or name. What the module itself raises is not caught.
    """
    name, _, attribute = target.rpartition(":")
    path = Path(name)
    if path.suffix == ".py" or len(path.parts) > 1:
        raise typer.BadParameter(
            f"{name!r} is a file; go to the folder of {path.name!r} and write "
            f"{path.stem}:{attribute or 'NAME'}"
        )
    if not attribute or not all(map(str.isidentifier, name.split("."))):
        raise typer.BadParameter(
            f"{target!r} is not of the form MODULE:NAME; write for example train:step"
        )
    found: Any = _module(name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; check the name"
            raise typer.BadParameter(f"{name!r} has no {attribute!r}{hint}")
        found = getattr(found, part)
    return found


def _module(name: str) -> ModuleType:
    # A console script has its own folder in front, where Python itself would have this one.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that is missing inside the user's module is the user's to see in full.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise typer.BadParameter(
            f"there is no module {error.name!r} in {os.getcwd()} or installed; "
            "run the command in the folder that has it"
        ) from None


def report_on(found: Any, target: str, *, timings: bool) -> Explanation:
    """Explain a compiled function, or what a function that gives an example returns.

    Raises
    ------
    typer.BadParameter
        If there is nothing to explain; the message says what to write.
    """
    if isinstance(found, Compiled):
        return _explain(found, (), target, timings=timings)
    if not inspect.isroutine(found):
        raise typer.BadParameter(
            f"{target!r} is {type(found).__name__}, not a compiled function; {_CONVENTION}"
        )
    if _needs_arguments(found):
        raise typer.BadParameter(
            f"{target!r} is not compiled and takes arguments; decorate it with isograd.compile, "
            f"and {_CONVENTION}"
        )
    made: Any = found()
    what = type(made).__name__
    if isinstance(made, Compiled):
        return _explain(made, (), target, timings=timings)
    parts: list[Any] = [*made] if isinstance(made, tuple) else []
    if [type(part) for part in parts] != [Compiled, tuple]:
        raise typer.BadParameter(f"{target!r} returned {what}, not (compiled, args); {_CONVENTION}")
    return _explain(parts[0], parts[1], target, timings=timings)


def _explain(
    compiled: Compiled, arguments: tuple[Any, ...], target: str, *, timings: bool
) -> Explanation:
    # Without arguments, programs that exist are enough, except to measure them.
    if (arguments or timings or not compiled.programs) and _needs_arguments(compiled, *arguments):
        raise typer.BadParameter(
            f"{target!r} gives {len(arguments)} arguments for {compiled.name}{_signature(compiled)}"
            f"; {_CONVENTION}"
        )
    return compiled.explain(*arguments, timings=timings)


def _needs_arguments(fn: Callable[..., Any], *arguments: Any) -> bool:
    try:
        inspect.signature(fn).bind(*arguments)
    except TypeError:
        return True
    except ValueError:  # a callable without a signature
        return False
    return False


def _signature(fn: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(fn))
    except ValueError:
        return ""
