"""Packages that isograd uses where they are installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["require"]


def require(function: str, module: str, extra: str) -> Any:
    """Import an optional module.

    Raises
    ------
    ImportError
        If it is missing; the message has the ``pip install`` line.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{function}: needs the package {package}, which cannot be imported ({error}); "
            f"pip install 'isograd[{extra}]'"
        ) from error
