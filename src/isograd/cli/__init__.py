"""The command ``isograd``: `doctor`, `demo`, `check`, `diff`, `record`, `conform`, `graph`.

Needs typer and rich (``pip install 'isograd[cli]'``), imported only when the command runs.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]

_REQUIRED = ("typer", "rich")


def main() -> None:
    """Run the command line; exits with 2 where the command's packages are missing."""
    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        print(
            f"isograd: the command line needs {' and '.join(missing)}; pip install 'isograd[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(2)
    from isograd.cli.app import app

    app(prog_name="isograd")
