"""The entry point: lazy imports, missing packages, help."""

from __future__ import annotations

import subprocess
import sys

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


def isograd(*arguments: str) -> tuple[int, str]:
    testing = pytest.importorskip("typer.testing")
    from isograd.cli.app import app

    result = testing.CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_help_names_every_command() -> None:
    code, output = isograd("--help")
    assert code == 0
    for command in ("doctor", "demo", "check"):
        assert command in output


def test_an_unknown_command_is_bad_usage() -> None:
    code, output = isograd("doctr")
    assert code == 2
    assert "doctr" in output
