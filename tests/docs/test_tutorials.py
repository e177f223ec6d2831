"""Run the pages of the docs, and the README, and compare what they print with what they show.

A page is MyST Markdown. Its ``python`` blocks run in order in one namespace; a ``text`` block shows
the output of the Python block before it. A block that prints must be followed by such a block.
Words are compared exactly; numbers may differ by one unit in the last digit shown, and ``...``
stands for anything.

``python tests/docs/test_tutorials.py docs/tutorials/PAGE.md`` writes a page's output into it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

import isograd

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
PAGES = [
    path
    for path in (
        ROOT / "README.md",
        ROOT / "docs/index.md",
        *sorted((ROOT / "docs").glob("*/*.md")),
    )
    if "```python\n" in path.read_text("utf-8")
]
MANDATORY = {"getting_started", "two_layer_network", "two_three_one", "finding_slips"}

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page: its language, text, and the line where its text starts."""

    language: str
    text: str
    line: int
    start: int
    stop: int


def blocks_of(page: str) -> list[Block]:
    return [
        Block(m[1], m[2], page.count("\n", 0, m.start(2)) + 1, m.start(2), m.end(2))
        for m in _FENCE.finditer(page)
        if m[1] in ("python", "text")
    ]


def run_blocks(blocks: list[Block], filename: str) -> Iterator[tuple[Block, Block | None, str]]:
    """Run the Python blocks in order; yield each with its shown and its real output."""
    module = ModuleType("__tutorial__")
    for index, block in enumerate(blocks):
        if block.language != "python":
            shows_output = index > 0 and blocks[index - 1].language == "python"
            assert shows_output, f"{filename}:{block.line}: output without a Python block before it"
            continue
        printed = io.StringIO()
        # Empty lines in front keep the page's line numbers in tracebacks.
        code = compile("\n" * (block.line - 1) + block.text, filename, "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, module.__dict__)
        following = blocks[index + 1] if index + 1 < len(blocks) else None
        shown = following if following is not None and following.language == "text" else None
        yield block, shown, printed.getvalue()


def difference(shown: str, printed: str) -> str | None:
    """Say where printed output departs from the output shown; None where it does not."""
    shown_lines = [line.rstrip() for line in shown.strip("\n").splitlines()]
    printed_lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    for number, (left, right) in enumerate(zip(shown_lines, printed_lines, strict=False), 1):
        if not _line_agrees(left, right):
            return (
                f"line {number} of the output: the page shows {left!r}, the code prints {right!r}"
            )
    if len(shown_lines) != len(printed_lines):
        return f"the page shows {len(shown_lines)} lines, the code prints {len(printed_lines)}"
    return None


def _line_agrees(shown: str, printed: str) -> bool:
    if "..." in shown:
        pattern = ".*".join(re.escape(part) for part in shown.split("..."))
        return re.fullmatch(pattern, printed) is not None
    words, others = _NUMBER.split(shown), _NUMBER.split(printed)
    if [w.split() for w in words] != [w.split() for w in others]:
        return False
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(printed), strict=True)
    return all(abs(float(a) - float(b)) <= 1.000001 * _last_place(a) for a, b in pairs)


def _last_place(number: str) -> float:
    """The value of one unit in a number's last digit: 0 for an integer, which must be equal."""
    mantissa, _, exponent = number.partition("e")
    _, point, decimals = mantissa.partition(".")
    if not point and not exponent:
        return 0.0
    return 10.0 ** (int(exponent or 0) - len(decimals))


def available_backends() -> list[str]:
    return [record.name for record in isograd.backends() if record.available]


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_page_prints_what_it_shows(page: Path, backend: str) -> None:
    if backend not in available_backends():
        pytest.skip(f"the {backend} backend is not available here")
    blocks = blocks_of(page.read_text("utf-8"))
    with isograd.use_backend(backend):
        for block, shown, printed in run_blocks(blocks, str(page)):
            where = f"{page.name}:{block.line}"
            if shown is None:
                assert not printed, f"{where}: prints, but shows no output:\n{printed}"
            else:
                problem = difference(shown.text, printed)
                assert problem is None, f"{where}: {problem}"


def test_the_textbook_pages_exist() -> None:
    assert {path.stem for path in PAGES} >= MANDATORY


def test_every_page_is_in_the_contents() -> None:
    contents = (TUTORIALS / "index.md").read_text("utf-8")
    listed = re.search(r"```\{toctree\}\n(.*?)```", contents, re.DOTALL)
    assert listed is not None
    assert {path.stem for path in TUTORIALS.glob("*.md")} - {"index"} == {
        line for line in listed[1].split() if not line.startswith(":")
    }


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("loss 0.5076", "loss 0.5077"),
        ("loss 1.25e-03", "loss 1.26e-03"),
        ("took ... ms\n", "took 12.5 ms\n"),
        ("a  b", "a b"),
    ],
)
def test_difference_allows(shown: str, printed: str) -> None:
    assert difference(shown, printed) is None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("loss 0.5076", "loss 0.5079"),
        ("epoch 100", "epoch 101"),
        ("agrees", "differs"),
        ("one line", "one line\ntwo lines"),
        ("", "surprise"),
        ("loss 0.5076", "loss nan"),
    ],
)
def test_difference_notices(shown: str, printed: str) -> None:
    assert difference(shown, printed) is not None


def test_a_failing_block_names_the_line_of_the_page() -> None:
    page = "# Title\n\n```python\nx = 1\nassert x == 2\n```\n"
    with pytest.raises(AssertionError) as caught:
        list(run_blocks(blocks_of(page), "page.md"))
    assert caught.traceback[-1].lineno + 1 == 5


def _write_output(path: Path) -> None:
    page = path.read_text("utf-8")
    edits = [
        (shown, printed)
        for _, shown, printed in run_blocks(blocks_of(page), str(path))
        if shown is not None and difference(shown.text, printed) is not None
    ]
    for shown, printed in reversed(edits):
        page = (
            page[: shown.start] + printed.rstrip("\n") + "\n" * bool(printed) + page[shown.stop :]
        )
    path.write_text(page, "utf-8")


if __name__ == "__main__":
    os.environ.setdefault("ISOGRAD_BACKEND", "numpy")
    for argument in sys.argv[1:]:
        _write_output(Path(argument))
