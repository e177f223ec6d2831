"""What may import what, and what ``import isograd`` brings along."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import isograd as ig

ROOT = Path(__file__).resolve().parent.parent

# Lower packages first. A package imports from the rows above its own, or from its own row where
# that makes no circle.
LAYERS = (
    ("core",),
    ("ir",),
    ("backend",),
    ("runtime",),
    ("ops",),
    ("compiler",),
    ("nn", "optim", "amp", "io", "data", "debug", "testing"),
    ("train",),
    ("sklearn", "einops"),
    ("cli",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}
BACKENDS = ("isograd_numpy", "isograd_numba", "isograd_cupy")
BACKEND_MAY_IMPORT = {"isograd_numba": {"isograd_numpy"}}

# Who may import the top package: the users among the layers, and what the array API demands.
MAY_IMPORT_ISOGRAD = (
    "debug/",
    "testing/",
    "cli/",
    "runtime/tensor.py",
)  # Tensor.__array_namespace__ returns it

# Optional packages are imported where they are used, so that isograd runs without them.
OPTIONAL = {
    "cupy",
    "jax",
    "llvmlite",
    "matplotlib",
    "ml_dtypes",
    "numba",
    "safetensors",
    "scipy",
    "tensorboardX",
    "torch",
}
ONLY_CLI = {"typer", "rich"}

# Modules of the standard library that are slow to import and that `import isograd` can do without.
HEAVY = {"asyncio", "http", "multiprocessing", "sqlite3", "unittest", "xml"}


def modules(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found, f"no modules in {folder}"
    return found


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _statements(node: ast.AST, *, inside_functions: bool) -> Iterator[ast.AST]:
    """Yield the nodes that run, without ``if TYPE_CHECKING:`` and, if asked, functions' bodies."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from _statements(other, inside_functions=inside_functions)
            continue
        yield child
        if inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(child, inside_functions=inside_functions)


@functools.cache
def imports(path: Path, *, inside_functions: bool) -> frozenset[str]:
    """Return the dotted names that a file imports."""
    found: set[str] = set()
    for node in _statements(ast.parse(path.read_bytes()), inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def packages_of_isograd(names: frozenset[str]) -> set[str]:
    """Return the subpackages of isograd among dotted names; ``""`` stands for isograd itself."""
    found: set[str] = set()
    for name in names:
        top, _, rest = name.partition(".")
        if top == "isograd":
            first = rest.partition(".")[0]
            found.add(first if first in RANK else "")
    return found


@pytest.mark.parametrize("package", RANK)
def test_imports_point_down(package: str) -> None:
    folder = ROOT / "src" / "isograd" / package
    if not folder.exists():
        raise AssertionError(f"{folder} is missing")
    for path in modules(folder):
        where = path.relative_to(folder.parent).as_posix()
        for target in packages_of_isograd(imports(path, inside_functions=True)) - {package}:
            if target == "":
                assert where.startswith(MAY_IMPORT_ISOGRAD), f"{where}: imports isograd itself"
            else:
                assert RANK[target] <= RANK[package], (
                    f"{where}: {package} imports {target} above it"
                )


def test_packages_of_one_layer_do_not_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for package in RANK:
        for path in (ROOT / "src" / "isograd" / package).rglob("*.py"):
            names = packages_of_isograd(imports(path, inside_functions=True))
            edges.setdefault(package, set()).update(names - {package, ""})
    open_ends = {name: set(targets) for name, targets in edges.items()}
    while leaves := [name for name, targets in open_ends.items() if not targets & open_ends.keys()]:
        for name in leaves:
            del open_ends[name]
    assert not open_ends, f"packages in a circle: {open_ends}"


@pytest.mark.parametrize("package", BACKENDS)
def test_backends_import_the_backend_interface_only(package: str) -> None:
    for path in modules(ROOT / "backends" / package):
        names = imports(path, inside_functions=True)
        assert packages_of_isograd(names) <= {"backend"}, path
        others = {name.partition(".")[0] for name in names} & set(BACKENDS) - {package}
        assert others <= BACKEND_MAY_IMPORT.get(package, set()), path


@pytest.mark.parametrize("package", RANK)
def test_no_package_imports_a_backend(package: str) -> None:
    for path in (ROOT / "src" / "isograd" / package).rglob("*.py"):
        names = {name.partition(".")[0] for name in imports(path, inside_functions=True)}
        assert not names & set(BACKENDS), path


@pytest.mark.parametrize("path", modules(ROOT / "src"), ids=lambda p: str(p.relative_to(ROOT)))
def test_optional_packages_are_imported_where_they_are_used(path: Path) -> None:
    names = {name.partition(".")[0] for name in imports(path, inside_functions=False)}
    assert not names & OPTIONAL
    if "cli" not in path.parts:
        assert not names & ONLY_CLI


def test_importing_isograd_needs_numpy_alone() -> None:
    """Compare the modules that ``import numpy`` loads with those that ``import isograd`` loads."""
    code = (
        "import sys, json; import numpy; before = set(sys.modules); import isograd;"
        "print(json.dumps([sorted(before), sorted(set(sys.modules) - before)]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, added = (set(names) for names in json.loads(out.stdout))
    tops = {name.partition(".")[0] for name in added}
    foreign = tops - set(sys.stdlib_module_names) - {"isograd", "numpy"}
    assert not foreign, f"import isograd loads {sorted(foreign)}"
    assert not tops & HEAVY - {name.partition(".")[0] for name in before}


def test_a_star_import_brings_functions_and_the_packages_that_users_name() -> None:
    names = ig.__all__
    assert len(names) == len(set(names))
    modules = {name for name in names if isinstance(getattr(ig, name), ModuleType)}
    assert modules == {
        *("amp", "data", "debug", "fft", "io", "linalg", "nn", "ops", "optim", "random"),
        *("testing", "train"),
    }


def test_the_library_loads_when_it_is_named() -> None:
    code = (
        "import sys, isograd; loaded = 'isograd.testing' in sys.modules;"
        "isograd.testing; print(loaded, 'isograd.testing' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "True"]


# A file that breaks each rule, to show that the rules above can fail.
@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import numba", {"numba"}),
        ("from isograd.nn import functional as F", {"isograd.nn.functional"}),
        ("def f():\n    import scipy.special", {"scipy.special"}),
        ("try:\n    import cupy\nexcept ImportError:\n    pass", {"cupy"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", set()),
    ],
)
def test_imports_are_found(source: str, found: set[str], tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)
    assert imports(path, inside_functions=True) - {"typing.TYPE_CHECKING"} == found
    if source.startswith("def"):
        assert imports(path, inside_functions=False) == set()
