"""Ring 4: every name of CuPy that the backend uses exists there and takes what it is given."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from pathlib import Path
from typing import Any

import cupy

import isograd_cupy

FOLDER = Path(isograd_cupy.__file__).parent
ROOTS = {"cupy": "cupy", "nvrtc": "cupy.cuda.nvrtc"}
NVRTC = "cupy.cuda.nvrtc."


def dotted(node: ast.AST) -> str | None:
    """Return the dotted name of an expression that begins with one of CuPy's modules."""
    if isinstance(node, ast.Name):
        return node.id if node.id in ROOTS else None
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None


def uses(texts: dict[str, str]) -> tuple[set[str], list[tuple[str, str, ast.Call]]]:
    """Return the names of CuPy in some modules' texts, and its calls with where they are."""
    names: set[str] = set()
    calls: list[tuple[str, str, ast.Call]] = []
    for file, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            name = dotted(node) if isinstance(node, ast.Attribute) else None
            if name:
                names.add(name)
            if isinstance(node, ast.Call) and (name := dotted(node.func)):
                calls.append((name, f"{file}:{node.lineno}", node))
    return names, calls


def resolve(name: str, emulator: Any) -> Any:
    root, _, rest = name.partition(".")
    full = f"{ROOTS[root]}.{rest}"
    replaced = {} if emulator is None else emulator.nvrtc.real
    if full.startswith(NVRTC) and full.removeprefix(NVRTC) in replaced:
        return replaced[full.removeprefix(NVRTC)]
    return functools.reduce(getattr, full.split(".")[1:], cupy)


def accepts(target: Any) -> tuple[int, float] | None:
    """Return how few and how many positional arguments a callable takes; None where unknown.

    Cython's functions have no signature, but the first line of their docstring says it.
    """
    try:
        parameters = list(inspect.signature(target).parameters.values())
        needed = sum(p.default is p.empty and p.kind < p.VAR_POSITIONAL for p in parameters)
        many = any(p.kind == p.VAR_POSITIONAL for p in parameters)
        most = sum(p.kind < p.VAR_POSITIONAL for p in parameters)
        return needed, float("inf") if many else most
    except (TypeError, ValueError):
        pass
    first = (getattr(target, "__doc__", None) or "").strip().partition("\n")[0]
    found = re.match(r"[\w.]+\((.*)\)", first)
    if found is None:
        return None
    parts = [p for p in re.split(r",\s*(?![^(]*\))", found.group(1)) if p not in ("", "self", "*")]
    needed = sum("=" not in p and not p.startswith("*") for p in parts)
    return needed, float("inf") if any(p.startswith("*") for p in parts) else len(parts)


def wrong_uses(texts: dict[str, str], emulator: Any) -> tuple[int, list[str]]:
    """Return how many calls were compared with a signature, and what is wrong."""
    names, calls = uses(texts)
    wrong: list[str] = []
    missing: set[str] = set()
    for name in sorted(names):
        try:
            resolve(name, emulator)
        except AttributeError:
            missing.add(name)
            wrong.append(f"{name} does not exist")
    checked = 0
    for name, where, call in calls:
        known = None if name in missing else accepts(resolve(name, emulator))
        if known is None:
            continue
        checked += 1
        given = len(call.keywords)
        for argument in call.args:
            if not isinstance(argument, ast.Starred):
                given += 1
            elif isinstance(argument.value, ast.Tuple):
                given += len(argument.value.elts)
            else:
                wrong.append(f"{where}: {name}(*...) hides its count")
                break
        else:
            if not known[0] <= given <= known[1]:
                wrong.append(f"{where}: {name} takes {known}, not {given}")
    return checked, wrong


def test_every_name_exists_and_every_call_fits(emulator_if_any: Any, record_property: Any) -> None:
    texts = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.py"))}
    assert len(uses(texts)[0]) > 20
    checked, wrong = wrong_uses(texts, emulator_if_any)
    record_property("calls", checked)
    assert wrong == []
    assert checked > 15


def test_signatures_are_read(emulator_if_any: Any) -> None:
    assert accepts(resolve("nvrtc.createProgram", emulator_if_any)) == (4, 4)
    assert accepts(cupy.cuda.runtime.memcpyAsync) == (5, 5)
    assert accepts(lambda a, b=1: a) == (1, 2)


#: CuPy's ways of launching, which take arguments untyped, and kernels that it writes itself.
OTHER_WAYS = {
    *("RawKernel", "RawModule", "ElementwiseKernel", "ReductionKernel", "fuse", "jit"),
    *("get_function", "launch_kernel", "launchKernel"),
}


def other_launches(texts: dict[str, str]) -> list[str]:
    """Return where modules but the launcher name another way to launch."""
    return [
        f"{file}:{node.lineno} {node.attr}"
        for file, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr in OTHER_WAYS and file != "_launch.py"
    ]


def test_the_launcher_is_the_only_way_to_launch() -> None:
    texts = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.py"))}
    assert other_launches(texts) == []
    assert "get_function" in texts["_launch.py"]
    assert other_launches({"own.py": "cupy.RawKernel(text, 'k')(grid, block, (x, 2.0))"})
