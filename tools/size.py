"""Print the lines of code per file and per package, and fail where a budget is exceeded.

A line counts when it holds code: blank lines, comments and docstrings are free.
"""

import ast
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = {"src": 9000, "backends": 3500}
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


def main() -> int:
    """Print the tables; return 1 where a budget is exceeded."""
    status = 0
    for top, budget in BUDGETS.items():
        packages: dict[str, int] = {}
        for path in sorted((ROOT / top).rglob("*.py")):
            count = code_lines(path)
            parts = path.relative_to(ROOT).parts
            package = "/".join(parts[: min(3 if top == "src" else 2, len(parts) - 1)])
            packages[package] = packages.get(package, 0) + count
            print(f"{count:7}  {'/'.join(parts)}")
        print()
        for package, count in packages.items():
            print(f"{count:7}  {package}")
        total = sum(packages.values())
        over = total > budget
        print(f"{total:7}  {top} in all; the budget is {budget}{': EXCEEDED' if over else ''}\n")
        status |= over
    return status


if __name__ == "__main__":
    sys.exit(main())
