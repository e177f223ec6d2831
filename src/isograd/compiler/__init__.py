"""Compilation: trace a function, make its graph smaller, run it as one program."""

from isograd.compiler.compiled import Compiled, compile

__all__ = ["Compiled", "compile"]
