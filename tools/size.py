"""Print the lines of code per file and per package, and how the sums compare with the budgets.

A line counts when it holds code: blank lines, comments and docstrings are free.
"""

import ast
import tokenize
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ("", "backend", "compiler", "core", "ir", "runtime")
TOOLS = ("testing", "cli")


def _part(package: str) -> str | None:
    """Return the name below ``src/isograd`` of a package, or None for a backend's."""
    return package.removeprefix("src/isograd").strip("/") if package.startswith("src/") else None


# docs/adr/0009-budgets-of-lines.md says why these numbers.
GROUPS: dict[str, tuple[Callable[[str], bool], int]] = {
    "engine": (lambda name: _part(name) in ENGINE, 12_000),
    "functions": (lambda name: _part(name) == "ops", 8_500),
    "library": (lambda name: _part(name) not in (None, "ops", *ENGINE, *TOOLS), 13_500),
    "checking and command line": (lambda name: _part(name) in TOOLS, 17_750),
    "backends": (lambda name: _part(name) is None, 10_000),
}
NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            found.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return found


def code_lines(path: Path) -> int:
    """Count the lines of one file that hold code."""
    with tokenize.open(path) as file:
        tokens = [t for t in tokenize.generate_tokens(file.readline) if t.type not in NOT_CODE]
    lines = {number for t in tokens for number in range(t.start[0], t.end[0] + 1)}
    return len(lines - docstring_lines(ast.parse(path.read_bytes())))


def main() -> None:
    """Print lines per file, then per package, then the groups against their budgets."""
    packages: Counter[str] = Counter()
    for top, depth in (("src", 3), ("backends", 2)):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            count = code_lines(path)
            packages["/".join(parts[: min(depth, len(parts) - 1)])] += count
            print(f"{count:7}  {'/'.join(parts)}")
    print()
    for package, count in packages.items():
        print(f"{count:7}  {package}")
    print()
    for group, (member, budget) in GROUPS.items():
        total = sum(count for package, count in packages.items() if member(package))
        over = "" if total <= budget else f", OVER by {total - budget}"
        print(f"{total:7}  {group}: budget {budget}{over}")


if __name__ == "__main__":
    main()
