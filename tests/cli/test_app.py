"""The application as a whole."""

from __future__ import annotations

from typer.testing import CliRunner

import isograd
from isograd.cli.app import app


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("doctor", "demo", "check"):
        assert command in result.output


def test_no_arguments_show_the_help() -> None:
    result = CliRunner().invoke(app, [])
    assert "doctor" in result.output


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.output.strip() == isograd.__version__


def test_an_unknown_command_is_bad_usage() -> None:
    result = CliRunner().invoke(app, ["doctr"])
    assert result.exit_code == 2
    assert "doctr" in result.output
