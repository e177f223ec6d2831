"""llvmlite's modules, imported when needed; they have no types."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["binding", "ir"]


def binding() -> Any:
    """Return ``llvmlite.binding``: LLVM itself."""
    return import_module("llvmlite.binding")


def ir() -> Any:
    """Return ``llvmlite.ir``: builders of LLVM's intermediate representation."""
    return import_module("llvmlite.ir")
