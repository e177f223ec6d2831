"""The vocabulary of programs: abstract values and primitives."""

from isograd.ir.primitive import Aval, Primitive, Rule

__all__ = ["Aval", "Primitive", "Rule"]
