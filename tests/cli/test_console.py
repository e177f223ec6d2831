"""What the commands share."""

from __future__ import annotations

import io
import math

import pytest

pytest.importorskip("typer")

import typer
from rich.console import Console

from isograd.cli import _console


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Stand in for standard error where it is a terminal."""
    screen = io.StringIO()

    def console(**options: object) -> Console:
        return Console(file=screen, force_terminal=True, width=80)

    monkeypatch.setattr(_console, "Console", console)
    return screen


def test_the_bar_shows_what_runs_on_a_terminal(screen: io.StringIO) -> None:
    with _console.Bar("checking") as bar:
        bar.show(1, 4, "add on numpy")
    assert "add on numpy" in screen.getvalue()
    assert "1/4" in screen.getvalue()


def test_the_bar_counts(screen: io.StringIO) -> None:
    with _console.Bar("training", total=3) as bar:
        bar.advance()
        bar.say("on numba")
        bar.advance(2)
    assert "3/3" in screen.getvalue()
    assert "on numba" in screen.getvalue()


def test_the_bar_draws_nothing_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with _console.Bar("checking", total=2) as bar:
        bar.advance()
    assert capsys.readouterr() == ("", "")


def test_choose_keeps_the_order_of_the_known_names() -> None:
    assert _console.choose("op", ["c", "a"], ["a", "b", "c"]) == ["a", "c"]
    assert _console.choose("op", None, ["a", "b"]) == ["a", "b"]


def test_choose_names_near_matches() -> None:
    with pytest.raises(typer.BadParameter, match="there is no op 'cosh_'; did you mean cosh or"):
        _console.choose("op", ["cosh_"], ["cosh", "cos", "sin", "acosh"])


@pytest.mark.parametrize(
    ("error", "text"), [(0.0, "0"), (0.12345, "0.123"), (1e9, "1e+09"), (math.nan, "NaN")]
)
def test_bounds_text(error: float, text: str) -> None:
    assert _console.bounds_text(error) == text
