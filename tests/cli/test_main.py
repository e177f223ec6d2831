"""The entry point: lazy imports and missing packages."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_package_is_one_line_with_the_cure(missing: str) -> None:
    done = python(
        f"import sys; sys.modules[{missing!r}] = None; from isograd.cli import main; main()"
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert missing in line
    assert "pip install 'isograd[cli]'" in line


def test_importing_the_package_imports_neither_typer_nor_rich() -> None:
    done = python(
        "import sys, isograd.cli; print([n for n in ('typer', 'rich') if n in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_the_packages_of_the_command_line_are_here(name: str) -> None:
    if find_spec(name) is None:
        pytest.skip(f"{name} is missing, so the tests of the commands are left out")
    done = python("import sys; sys.argv[1:] = ['--help']; from isograd.cli import main; main()")
    assert done.returncode == 0
    assert "doctor" in done.stdout
